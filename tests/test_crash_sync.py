"""kill -9 at random points of `sync`: the store stays clean, nothing mixes, and in the end nothing is missing.

`COLONNADE_KILLS` sets how often.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest
from collections_on_disk import make_store, write_image
from crash_helpers import KILLS, assert_sound, run_and_kill

from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.vector_columns import vectors_of

pytestmark = pytest.mark.slow

SYNC = """
import sys
from colonnade.engine import embed
from colonnade.engine.store import Store
embed.COMMIT_IMAGES, embed.COMMIT_SECONDS = 6, 0.05
print("ready", flush=True)
Store(sys.argv[1]).sync(batch=4)
print("done", flush=True)
"""


def sync_once(store: Store) -> None:
    subprocess.run([sys.executable, "-c", SYNC, store.path], check=True, stdout=subprocess.DEVNULL)


Scores = dict[str, dict[str, tuple[float | None, str | None]]]


def content(store: Store) -> tuple[dict[str, str], dict[str, np.ndarray], Scores]:
    """The state of every image, its vector, and its scores, by path."""
    snapshot = store.snapshot()
    images = read_files(snapshot.files("images")).to_pylist()
    paths = {row["image_id"]: row["path"] for row in images}
    rows = read_files(snapshot.files("embeddings"))
    vectors = dict(
        zip((paths[i] for i in rows["image_id"].to_pylist()), vectors_of(rows["embedding"]), strict=True)
    )
    scores: Scores = {}
    for code in snapshot.partitions("scores"):
        data = read_files(snapshot.files("scores", code)).to_pylist()
        scores[code] = {paths[row["image_id"]]: (row["logit"], row["status"]) for row in data}
    return {row["path"]: row["state"] for row in images}, vectors, scores


def naive_glob_is_sound(store: Store) -> None:
    """What somebody sees who knows nothing of snapshots."""
    if not store.snapshot().files("scores"):
        return
    rows = duckdb.execute(
        f"""
        SELECT count(*), count(DISTINCT (attribute_code, image_id)),
               count(*) FILTER (attribute_code IN (SELECT attribute_code FROM (
                   SELECT attribute_code, count(DISTINCT definition) AS kinds
                   FROM read_parquet('{store.path}/scores/**/*.parquet', hive_partitioning = true,
                                     hive_types_autocast = false) GROUP BY 1) WHERE kinds > 1))
        FROM read_parquet('{store.path}/scores/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)
        """
    ).fetchone()
    assert rows is not None
    total, distinct, mixed = rows
    assert total == distinct
    assert mixed == 0


def change(photos: Path, number: int) -> None:
    """What happens to the folder between two runs, the same for both stores."""
    write_image(photos / f"new-{number:03d}.jpg", 1000 + number)
    if number % 3 == 1:
        files = sorted(photos.glob("new-*.jpg"))
        files[len(files) // 2].unlink()
    if number % 4 == 2:
        files = sorted(photos.glob("0*.jpg"))
        files[number % len(files)].rename(photos / f"moved-{number:03d}.jpg")


def reword(store: Store, number: int) -> None:
    text = store.vocabulary_path.read_text()
    start = text.index("description: ", text.index("code: sun")) + len("description: ")
    end = text.index("}", start)
    store.vocabulary_path.write_text(f"{text[:start]}the Sun in wording {number}{text[end:]}")


STAGES = {"scan", "embed", "tag", "derive"}


def test_kill_9_at_random_points_of_sync(tmp_path: Path) -> None:
    rng = random.Random(7)
    disturbed = make_store(tmp_path / "disturbed", images=12)
    calm = make_store(tmp_path / "calm", images=12)
    started = time.monotonic()
    sync_once(calm)
    window = time.monotonic() - started
    stages: set[str] = set()
    killed = 0
    for number in range(3 * KILLS):
        if number >= KILLS and len(stages & STAGES) > 1:  # a busy machine may need more
            break
        for store, photos in ((disturbed, tmp_path / "disturbed/photos"), (calm, tmp_path / "calm/photos")):
            if number % 2:
                change(photos, number)
            if number % 5 == 4:
                reword(store, number)
        done = run_and_kill([sys.executable, "-c", SYNC, disturbed.path], rng.uniform(0, window))
        assert done.by_signal or done.returncode == 0, done.errors
        killed += done.by_signal
        window *= 1.15 if done.by_signal else 0.8
        stages.add(disturbed.snapshot().command)
        assert_sound(disturbed.path)
        naive_glob_is_sound(disturbed)
    sync_once(disturbed)
    sync_once(calm)
    assert disturbed.plan().empty
    assert_sound(disturbed.path)
    states, vectors, scores = content(disturbed)
    calm_states, calm_vectors, calm_scores = content(calm)
    present = {path for path, state in calm_states.items() if state == "ok"}
    assert present == {path for path, state in states.items() if state == "ok"}
    assert scores.keys() == calm_scores.keys()
    for path in present:
        assert np.allclose(vectors[path], calm_vectors[path])
        for code in calm_scores:
            logit, status = scores[code][path]
            calm_logit, calm_status = calm_scores[code][path]
            assert status == calm_status
            assert logit == calm_logit or np.isclose(logit or 0, calm_logit or 0, atol=1e-4)
    assert killed >= KILLS // 3
    assert len(stages & STAGES) > 1, "the kills all came at the same step"
