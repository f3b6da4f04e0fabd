"""The process that tests kill: commits in a loop, and says so after each commit.

    crash_writer.py marks STORE [COUNT]            commits whose rows, in several tables and cells, share one mark
    crash_writer.py grow STORE SET FIRST COUNT     once told to, adds ids one by one to a set, retrying on conflict

A mark is a definition: every row of scores in a snapshot has the same one. Its fit's center is the commit's number.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from colonnade.engine.calibration import Fit, apply_fit, status_codes
from colonnade.engine.columns import SHARD_IMAGES, shard_of
from colonnade.engine.errors import ConflictError
from colonnade.engine.provenance import (
    Definition,
    confidence_definition,
    logit_definition,
    read_definitions,
    store_definitions,
)
from colonnade.engine.scoring import scores_table
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, conflict_retries, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, embeddings_schema, read_files
from colonnade.engine.vector_columns import vectors_column
from colonnade.engine.vocabulary import Thresholds

MODEL = Model("toy", "", 4, 100.0)
CODES = ("earth", "moon", "sun")
IMAGES = 40
NEW_IMAGES = 3


def marked_store(path: Path) -> Store:
    """A store whose images are in two shards, and whose rows have mark 0."""
    store = Store.create(path, model="")
    update_settings(store.path, lambda settings: settings.with_model(MODEL, activate=True))
    with open_stage(store.path, command="mark 0") as stage:

        def start(live: Snapshot, stage: Stage) -> None:
            first = stage.allocate_ids(SHARD_IMAGES + IMAGES // 2)
            ids = np.array([*first[: IMAGES // 2], *first[-(IMAGES // 2) :]])
            _add_images(live, stage, ids)
            _mark(live, stage, 0, ids)

        stage.late(start)
        stage.commit()
    return store


def mark_of(snapshot: Snapshot) -> int:
    """The number of the commit that made a snapshot's scores."""
    data = read_files(snapshot.files("scores", CODES[0]), ["definition"])
    (name,) = set(data["definition"].to_pylist())
    return int(read_definitions(snapshot)[name]["fit"]["center"])


def definitions_of(mark: int) -> tuple[Definition, Definition]:
    logit = logit_definition(MODEL, ["a prompt"])
    return logit, confidence_definition(logit, Fit("fixed", float(mark), 2.0), Thresholds(0.8, 0.5))


def _add_images(live: Snapshot, stage: Stage, ids: np.ndarray) -> None:
    for shard in np.unique(ids >> 17).tolist():
        mine = ids[ids >> 17 == shard]
        names = [f"{image_id}.jpg" for image_id in mine.tolist()]
        filled = {"image_id": mine, "path": names, "root": ["r"] * len(mine), "state": ["ok"] * len(mine)}
        filled |= {"source": ["file"] * len(mine)}
        schema = SCHEMAS["images"]
        columns = [pa.array(filled.get(f.name, [None] * len(mine)), f.type) for f in schema]
        images = pa.table(columns, schema=schema)
        stage.append("images", None, shard, images, read=live.cell("images", None, shard))
        vectors = np.zeros((len(mine), 4), dtype=np.float32)
        vectors[:, 0] = 1
        rows = pa.table([pa.array(mine), vectors_column(vectors)], schema=embeddings_schema(4))
        stage.append("embeddings", MODEL.key, shard, rows, read=live.cell("embeddings", MODEL.key, shard))


def _mark(live: Snapshot, stage: Stage, mark: int, ids: np.ndarray) -> None:
    """Scores of all images with this mark, in every code and shard, staged anew."""
    logit, definition = definitions_of(mark)
    for code in CODES:
        for shard in np.unique(ids >> 17).tolist():
            mine = np.sort(ids[ids >> 17 == shard])
            logits = np.sin(mine + mark).astype(np.float32) * 3 + mark
            confidence = apply_fit(Fit("fixed", float(mark), 2.0), logits)
            rows = scores_table(
                mine,
                logit=logits,
                confidence=confidence,
                status=status_codes(confidence, 0.8, 0.5),
                label_source="clip_zero_shot",
                model=MODEL.key,
                definition=definition.hash,
            )
            stage.replace("scores", code, shard, rows, read=live.cell("scores", code, shard))
    store_definitions(stage, [logit, definition])


def commit_mark(store: Store) -> int:
    """One commit: new images, and the next mark on everything. Returns the mark."""
    for _ in conflict_retries(store.path):
        snapshot = store.snapshot()
        mark = mark_of(snapshot) + 1
        known = read_files(snapshot.files("images"), ["image_id"])["image_id"].to_numpy()
        new = np.arange(snapshot.next_image_id, snapshot.next_image_id + NEW_IMAGES)
        try:
            with open_stage(store.path, command=f"mark {mark}") as stage:
                _add_images(snapshot, stage, new)
                _mark(snapshot, stage, mark, np.concatenate([known, new]))

                def claim(live: Snapshot, stage: Stage, wanted: np.ndarray = new) -> None:
                    if stage.allocate_ids(NEW_IMAGES)[0] != wanted[0]:
                        raise ConflictError("the ids were given to another")

                stage.late(claim)
                stage.commit()
        except ConflictError:
            continue
        return mark
    raise AssertionError("unreachable")


def grow_set(store: Store, name: str, image_id: int) -> int:
    """Add an id to a set, reading and writing it whole; returns how many conflicts there were."""
    for tries in conflict_retries(store.path):
        snapshot = store.snapshot()
        shard = shard_of(image_id)
        cell = snapshot.cell("sets", name, shard)
        ids = read_files(cell)["image_id"].to_pylist() if cell else []
        rows = pa.table({"image_id": [*ids, image_id]}, schema=SCHEMAS["sets"])
        try:
            with open_stage(store.path, command="mark") as stage:
                stage.replace("sets", name, shard, rows, read=cell)
                stage.commit()
        except ConflictError:
            continue
        return tries
    raise AssertionError("unreachable")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(mode: str, path: str, *options: str) -> None:
    store = Store(path)
    _say("ready")
    if mode == "marks":
        count = int(options[0]) if options else 1_000_000
        for _ in range(count):
            _say(str(commit_mark(store)))
    else:
        sys.stdin.readline()  # all begin together, or they might never meet
        name, first, count = options[0], int(options[1]), int(options[2])
        conflicts = sum(grow_set(store, name, first + step) for step in range(count))
        _say(f"conflicts {conflicts}")


if __name__ == "__main__":
    main(*sys.argv[1:])
