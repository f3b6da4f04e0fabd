"""Stores over small pictures, for the tests of scanning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from colonnade.engine.scan import ScanOutcome, apply_scan, plan_scan
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_files, read_table

Rows = dict[str, dict[str, Any]]
TAGGED = ("earth", "moon")


def picture(path: Path, shade: int = 0, size: tuple[int, int] = (4, 3)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade % 256, shade // 256, 0)).save(path, "PNG")
    return path


def scan(store: Store, **options: Any) -> ScanOutcome:
    options.setdefault("workers", 1)
    outcome = apply_scan(store, plan_scan(store), **options)
    after = plan_scan(store)
    assert after.is_empty
    return outcome


def rows(store: Store) -> Rows:
    """`root/path` of every row -> the row."""
    found = read_table("images", store.snapshot().files("images")).to_pylist()
    by_name = {f"{row['root']}/{row['path']}": row for row in found}
    assert len(by_name) == len(found)
    return by_name


def ids(store: Store) -> dict[str, int]:
    return {name.removeprefix("photos/"): row["image_id"] for name, row in rows(store).items()}


def states(store: Store) -> dict[str, str]:
    return {name.removeprefix("photos/"): row["state"] for name, row in rows(store).items()}


def commit(store: Store, change: Callable[[Snapshot, Stage], None]) -> None:
    with open_stage(store.path, command="test") as stage:
        stage.late(change)
        stage.commit()


def describe_all(store: Store, value: float = 1.0) -> None:
    """Give every image an embedding, scores, a label and a set to be in."""

    def change(live: Snapshot, stage: Stage) -> None:
        found = sorted(row["image_id"] for row in rows(store).values())
        for model in ("m1", "m2"):
            vectors = pa.FixedSizeListArray.from_arrays(pa.array([value] * 4 * len(found), pa.float32()), 4)
            data = pa.table({"image_id": pa.array(found, pa.int64()), "embedding": vectors})
            stage.replace("embeddings", model, 0, data, read=live.cell("embeddings", model, 0))
        for table, partition in [*(("scores", code) for code in TAGGED), ("labels", "earth"), ("sets", "s")]:
            data = pa.Table.from_pylist([{"image_id": image} for image in found], schema=SCHEMAS[table])
            stage.replace(table, partition, 0, data, read=live.cell(table, partition, 0))

    commit(store, change)


def described(store: Store) -> dict[str, list[int]]:
    snapshot = store.snapshot()
    return {
        f"{table}/{partition}": read_files(files, ["image_id"])["image_id"].to_pylist()
        for table in ("embeddings", "scores", "labels", "sets")
        for partition in snapshot.partitions(table)
        if (files := snapshot.files(table, partition))
    }
