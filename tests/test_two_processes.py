"""Two processes tagging at once, and readers who know only what docs/store.md tells them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow.dataset as ds
import pytest
from crash_helpers import assert_sound

from colonnade.engine.calibration import ACCEPTED
from colonnade.engine.import_embeddings import import_vectors
from colonnade.engine.prompts import store_prompts
from colonnade.engine.scoring import codes_of_statuses, unit_length
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.tag import tag
from colonnade.engine.turns import OPTIMISTIC_TRIES

pytestmark = pytest.mark.slow

IMAGES, CODES, ROUNDS = 3000, [f"a{k}" for k in range(6)], 12

TAGGER = """
import sys
from colonnade.engine.store import Store
from colonnade.engine.tag import tag
from colonnade.engine.turns import OPTIMISTIC_TRIES
store, rounds, codes = Store(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
for _ in range(rounds):
    tag(store, codes=codes, force=True, on_conflict=lambda line: print(line, flush=True))
"""

CALIBRATOR = """
import sys, time
from colonnade.engine.fit_run import set_cut
from colonnade.engine.store import Store
store, last, codes = Store(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
print("ready", flush=True)
for number in range(1, last + 1):
    for code in codes:
        set_cut(store, code, float(number), shown=True, on_conflict=lambda line: print(line, flush=True))
    time.sleep(0.5)
"""

MOVER = """
import sys
from colonnade.engine.fit_run import set_cut
from colonnade.engine.store import Store
store, number = Store(sys.argv[1]), 0
while True:
    set_cut(store, sys.argv[2], float(number % 50), shown=True)
    number += 1
    print(number, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Imported vectors and prompts, nothing scored yet."""
    lines = [f"  - {{code: {code}, label: A, description: thing {code}}}" for code in CODES]
    store = Store.create(
        tmp_path / "store", vocabulary="\n".join(["base_attributes:", *lines, ""]).encode(), model="hash"
    )
    model = Model("other", "", 16, 100.0)
    rng = np.random.default_rng(5)
    update_settings(store.path, lambda now: now.with_model(model, activate=True))
    vectors = unit_length(rng.standard_normal((IMAGES, 16), dtype=np.float32))
    import_vectors(store, model, [f"image {i}" for i in range(IMAGES)], vectors)
    prompts = [prompt for code in CODES for prompt in store.vocabulary().prompts(code)]
    with open_stage(store.path, command="test") as stage:
        encoded = unit_length(rng.standard_normal((len(prompts), 16), dtype=np.float32))
        store_prompts(stage, model, dict(zip(prompts, encoded, strict=True)))
        stage.commit()
    return store


def by_duckdb(live: str) -> dict[str, tuple[int, int]]:
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"""
            SELECT attribute_code, count(*), count(DISTINCT image_id)
            FROM read_parquet('{live}/scores/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)
            GROUP BY 1
            """
        ).fetchall()
    return {code: (rows_, images) for code, rows_, images in rows}


def by_polars(live: str) -> dict[str, tuple[int, int]]:
    frame = pl.scan_parquet(f"{live}/scores/**/*.parquet", hive_partitioning=True)
    counted = (
        frame.group_by("attribute_code").agg(pl.len().alias("rows"), pl.col("image_id").n_unique()).collect()
    )
    return {str(code): (rows, images) for code, rows, images in counted.iter_rows()}


def by_pyarrow(live: str) -> dict[str, tuple[int, int]]:
    table = ds.dataset(f"{live}/scores", partitioning="hive").to_table(columns=["attribute_code", "image_id"])
    counted = table.group_by("attribute_code").aggregate(
        [("image_id", "count"), ("image_id", "count_distinct")]
    )
    return {
        row["attribute_code"]: (row["image_id_count"], row["image_id_count_distinct"])
        for row in counted.to_pylist()
    }


def read_in_a_loop(
    store: Store, read: Callable[[str], object], stop: threading.Event, faults: list[str]
) -> None:
    rounds = 0
    while not stop.is_set() or rounds < 3:
        try:
            seen = read(os.path.realpath(store.path / "live"))
            assert seen == dict.fromkeys(CODES, (IMAGES, IMAGES)), seen
        except Exception as error:
            faults.append(f"{read.__name__}: {error!r}")
            return
        rounds += 1


@pytest.mark.parametrize("shared", [False, True], ids=["different attributes", "the same attributes"])
def test_two_taggers_and_three_readers(store: Store, shared: bool) -> None:
    command = [sys.executable, "-c", TAGGER, str(store.path)]
    subprocess.run([*command, "1", *CODES], check=True)
    first, second = (CODES[:4], CODES[2:]) if shared else (CODES[:3], CODES[3:])
    before = {code: read_files(store.snapshot().files("scores", code)) for code in CODES}
    stop, faults = threading.Event(), list[str]()
    readers = [
        threading.Thread(target=read_in_a_loop, args=(store, read, stop, faults))
        for read in (by_duckdb, by_polars, by_pyarrow)
    ]
    for reader in readers:
        reader.start()
    taggers = [
        subprocess.Popen(
            [*command, str(ROUNDS), *codes], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for codes in (first, second)
    ]
    told = [tagger.communicate(timeout=200) for tagger in taggers]
    stop.set()
    for reader in readers:
        reader.join(60)
    assert not faults
    for tagger, (out, errors) in zip(taggers, told, strict=True):
        assert tagger.returncode == 0, errors
        assert errors == ""
        assert all(line.count("changed meanwhile, retrying") == 1 for line in out.splitlines()), out
    for code in CODES:
        assert read_files(store.snapshot().files("scores", code)).equals(before[code])
    assert_sound(store.path)


def test_who_writes_the_same_scores_meanwhile_is_told_and_tries_again(store: Store) -> None:
    """One moves the cuts of attributes that another tags, until both have written at once."""
    tag(store)
    last, codes, told = 12, CODES[:2], list[str]()
    words = [sys.executable, "-c", CALIBRATOR, str(store.path), str(last), *codes]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as calibrator:
        assert calibrator.stdout is not None and calibrator.stdout.readline() == "ready\n"
        while calibrator.poll() is None:
            tag(store, codes=codes, force=True, on_conflict=told.append)
        out, errors = calibrator.communicate()
    assert (calibrator.returncode, errors) == (0, "")
    told += out.splitlines()
    assert told and all(line.count("changed meanwhile, retrying") == 1 for line in told)
    assert_sound(store.path)
    tag(store)
    for code in codes:
        data = read_files(store.snapshot().files("scores", code))
        accepted = codes_of_statuses(data["status"]) == ACCEPTED
        assert data.num_rows == IMAGES
        assert np.array_equal(accepted, data["logit"].to_numpy() >= last), "the last cut is in force"


def wait_for_more(seen: list[int], reader: threading.Thread) -> None:
    before = len(seen)
    while len(seen) < before + 3:
        assert reader.is_alive(), "the other process ended"
        time.sleep(0.01)


def test_who_is_slow_gets_its_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One moves a cut without a pause; the other needs longer than that between reading and committing."""
    tag(store)
    real, told, seen = Stage.commit, list[str](), list[int]()

    def commit(stage: Stage, **options: bytes | None) -> Snapshot:
        if stage.command == "tag":
            time.sleep(0.4)
            assert store.snapshot().files("scores", CODES[0]), "readers do not wait"
        return real(stage, **options)

    monkeypatch.setattr(Stage, "commit", commit)
    words = [sys.executable, "-c", MOVER, str(store.path), CODES[0]]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as mover:
        assert mover.stdout is not None and mover.stderr is not None
        reader = threading.Thread(target=lambda out: seen.extend(map(int, out)), args=(mover.stdout,))
        reader.start()
        try:
            wait_for_more(seen, reader)
            for _ in range(2):
                tag(store, codes=CODES[:1], force=True, on_conflict=told.append)
            wait_for_more(seen, reader)
        finally:
            mover.kill()
            reader.join()
        assert mover.stderr.read() == ""
    assert 1 <= len(told) <= 2 * OPTIMISTIC_TRIES
    assert set(told) == {f"{store.path}: scores a0 (shard 0) changed meanwhile, retrying"}
    assert_sound(store.path)
