"""Real processes, killed or working at once: what the commit protocol promises of the store afterwards."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.dataset as pads
import pytest
from crash_helpers import (
    KILLS,
    assert_sound,
    delays,
    fill_disk,
    naive,
    run_and_kill,
    small_disk,
    writer_command,
)
from crash_writer import CODES, commit_mark, definitions_of, mark_of, marked_store

from colonnade.engine.create import create_store
from colonnade.engine.errors import StoreError
from colonnade.engine.garbage import collect
from colonnade.engine.settings import Settings
from colonnade.engine.snapshots import open_snapshot
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.verify import verify

STEPS = Path(__file__).with_name("crash_steps.py")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a few commits in it; tests work on copies."""
    store = marked_store(tmp_path_factory.mktemp("prepared") / "store")
    commit_mark(store)
    return store.path


@pytest.fixture
def store(prepared: Path, tmp_path: Path) -> Store:
    return Store(shutil.copytree(prepared, tmp_path / "store", symlinks=True))


def assert_one_commit(path: Path) -> int:
    """What a naive glob shows is one commit, whole; returns its mark."""
    rows = naive(
        path, "SELECT attribute_code, count(*), count(DISTINCT image_id), min(definition), max(definition) "
        "FROM {scores} GROUP BY 1 ORDER BY 1"
    )  # fmt: skip
    ((images, distinct),) = naive(path, "SELECT count(*), count(DISTINCT image_id) FROM {images}")
    ((vectors,),) = naive(path, "SELECT count(*) FROM {embeddings}")
    assert images == distinct == vectors
    assert [row[0] for row in rows] == sorted(CODES)
    assert {row[1:] for row in rows} == {(images, images, rows[0][3], rows[0][3])}
    mark = mark_of(open_snapshot(path))
    assert rows[0][3] == definitions_of(mark)[1].hash
    return mark


@pytest.mark.slow
@pytest.mark.timeout(60 + 20 * KILLS)
def test_kill_at_random_points(store: Store) -> None:
    """Whole commits only, none that was acknowledged lost, and no trace after the next one."""
    acknowledged = mark_of(store.snapshot())
    hit = 0
    for delay in delays(KILLS, 0.4):
        killed = run_and_kill(writer_command("marks", store.path), delay)
        assert killed.by_signal, killed
        marks = [int(line) for line in killed.lines if line.isdecimal()]
        acknowledged = max([acknowledged, *marks])
        mark = assert_one_commit(store.path)
        assert mark in (acknowledged, acknowledged + 1)
        acknowledged = mark
        hit += bool(verify(store.path).notes)
        assert_sound(store.path)
    commit_mark(store)
    report = verify(store.path)
    assert report.sound
    assert not report.notes
    if KILLS >= 20:
        assert hit, "no kill left anything behind: the delays miss the commits"


@pytest.mark.slow
@pytest.mark.parametrize("action", ["init", "gc", "restore", "compact", "commit"])
def test_kill_before_every_step(prepared: Path, tmp_path: Path, action: str) -> None:
    """Killed before each change of the file system in turn (before every fifth, unless COLONNADE_KILLS is high)."""
    stride = 1 if KILLS >= 100 else 5
    first = 0 if stride == 1 else random.Random(action).randrange(stride)
    command = [sys.executable, str(STEPS), action, str(prepared), str(tmp_path), str(first), str(stride)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) >= 15 // stride


@pytest.mark.slow
def test_two_processes_lose_nothing(store: Store) -> None:
    """Both add to the same set, and each to its own, with everything read, changed and written back."""
    count = 25
    jobs = [("shared", 0), ("shared", count), ("left", 0), ("right", count)]
    writers = [
        subprocess.Popen(
            writer_command("grow", store.path, name, first, count),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, first in jobs
    ]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    said = [writer.communicate(timeout=200)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * len(jobs), said
    for name, expected in (
        ("shared", range(2 * count)),
        ("left", range(count)),
        ("right", range(count, 2 * count)),
    ):
        rows = read_files(store.snapshot().files("sets", name))
        assert rows["image_id"].to_pylist() == list(expected)
    conflicts = [int(text.split()[-1]) for text in said]
    assert conflicts[0] + conflicts[1] > 0, "they never met: the test shows nothing"


def query_duckdb(folder: Path) -> tuple[int, int, set[str]]:
    with duckdb.connect() as connection:
        glob = f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
        rows, cells, words = connection.execute(
            f"SELECT count(*), count(DISTINCT (attribute_code, image_id)), list(DISTINCT definition) FROM {glob}"
        ).fetchall()[0]
    return rows, cells, set(words)


def query_polars(folder: Path) -> tuple[int, int, set[str]]:
    data = pl.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=True).collect()
    cells = data.select("attribute_code", "image_id").n_unique()
    return data.height, cells, set(data["definition"].unique().to_list())


def query_pyarrow(folder: Path) -> tuple[int, int, set[str]]:
    data = pads.dataset(folder, format="parquet", partitioning="hive").to_table(
        columns=["attribute_code", "image_id", "definition"]
    )
    keys = data.group_by(["attribute_code", "image_id"]).aggregate([])
    return data.num_rows, keys.num_rows, set(data["definition"].unique().to_pylist())


@pytest.mark.slow
def test_readers_beside_a_writer(store: Store) -> None:
    """Each reader resolves `live` once per query, as docs/store.md tells: no error, no torn row."""
    writer = subprocess.Popen(
        writer_command("marks", store.path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 6

    def read(query: object) -> int:
        queries, words = 0, set()
        while time.monotonic() < end:
            scores = (store.path / "scores").resolve()
            rows, cells, definitions = query(scores)  # type: ignore[operator]
            assert rows == cells
            assert len(definitions) == 1
            words |= definitions
            queries += 1
        return queries if len(words) > 1 else 0

    try:
        with ThreadPoolExecutor(3) as pool:
            counts = list(pool.map(read, (query_duckdb, query_polars, query_pyarrow)))
    finally:
        writer.terminate()
        _, errors = writer.communicate(timeout=60)
    assert not errors
    assert all(counts), f"a reader saw no change: {counts}"
    assert_sound(store.path)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def free(disk: Path) -> int:
    return shutil.disk_usage(disk).free


def assert_one_line(error: StoreError) -> None:
    assert "\n" not in str(error)
    assert "no space left" in str(error)


@pytest.mark.slow
def test_init_on_a_full_disk(disk: Path) -> None:
    failures = 0
    for leave in range(0, 160 << 10, 4 << 10):
        ballast = fill_disk(disk, leave)
        path = disk / "store"
        try:
            create_store(path, settings=Settings(""), vocabulary=b"base_attributes: []\n")
        except StoreError as error:
            assert_one_line(error)
            failures += 1
            assert not path.exists(), "an init that failed leaves nothing"
        ballast.unlink()
        if not path.exists():
            create_store(path, settings=Settings(""), vocabulary=b"base_attributes: []\n")
        assert_sound(path)
        shutil.rmtree(path)
    assert failures


@pytest.mark.slow
def test_commits_on_a_full_disk(disk: Path, prepared: Path) -> None:
    """Whatever room is left: one line, nothing lost, sound, and going on once there is room."""
    shutil.copytree(prepared, disk / "store", symlinks=True)
    store = Store(disk / "store")
    failures = successes = 0
    for leave in range(0, 256 << 10, 8 << 10):
        mark = mark_of(store.snapshot())
        ballast = fill_disk(disk, leave)
        try:
            commit_mark(store)
        except StoreError as error:
            assert_one_line(error)
            assert mark_of(store.snapshot()) == mark
            failures += 1
        else:
            successes += 1
        assert_one_commit(store.path)
        assert_sound(store.path)
        ballast.unlink()
        collect(store.path, keep_snapshots=2, keep_seconds=0)
        assert commit_mark(store) >= mark + 1
    assert failures
    assert successes


@pytest.mark.slow
def test_gc_frees_a_full_disk(disk: Path, prepared: Path) -> None:
    shutil.copytree(prepared, disk / "store", symlinks=True)
    store = Store(disk / "store")
    commit_mark(store)
    fill_disk(disk, 0)
    with pytest.raises(StoreError) as caught:
        commit_mark(store)
    assert_one_line(caught.value)
    before = free(disk)
    found = collect(store.path, keep_snapshots=1, keep_seconds=0)
    assert found.snapshots == 3
    assert free(disk) > before
    assert not verify(store.path).notes
    assert_sound(store.path)


def test_read_only_store(disk: Path, prepared: Path) -> None:
    shutil.copytree(prepared, disk / "store", symlinks=True)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    store = Store(disk / "store")
    assert mark_of(store.snapshot()) == assert_one_commit(store.path)
    assert_sound(store.path)
    for change in (lambda: commit_mark(store), lambda: collect(store.path)):
        with pytest.raises(StoreError, match="read-only") as caught:
            change()
        assert "\n" not in str(caught.value)


def test_read_only_folder(store: Store) -> None:
    """Without root's rights: folders that may not be written."""
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (store.path / "_stage").chmod(0o555)
    try:
        with pytest.raises(StoreError, match="permission denied"):
            commit_mark(store)
        assert_sound(store.path)
    finally:
        (store.path / "_stage").chmod(0o755)


def test_a_copy_is_a_backup(store: Store, tmp_path: Path) -> None:
    """`cp -a` of the folder is a whole store, and facts of snapshots stay readable in it."""
    copy = shutil.copytree(store.path, tmp_path / "copy", symlinks=True)
    assert_sound(copy)
    assert json.loads((copy / "live" / "snapshot.json").read_text())["command"].startswith("mark")
    assert assert_one_commit(copy) == mark_of(store.snapshot())
