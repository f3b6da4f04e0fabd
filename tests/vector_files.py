"""Vectors for the tests of imports: random, in Parquet files of any shape."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_files
from colonnade.engine.vector_columns import vectors_of

VOCABULARY = b"""
base_attributes:
  - {code: earth, label: Earth, description: Earth}
  - {code: moon, label: Moon, description: Moon, prompts: [the moon, a crescent]}
derived_attributes:
  - {code: both, label: Both, description: both, rule: {all_of: [earth, moon]}}
  - {code: neither, label: Neither, description: none, rule: {none_of: [both]}}
  - {code: moonless, label: Moonless, description: none, rule: {none_of: [moon]}}
"""
PROMPTS = ("a photo of Earth", "the moon", "a crescent")


def vectors(rows: int, dimension: int = 8, seed: int = 0) -> np.ndarray:
    """Unit vectors float32 [rows, dimension]."""
    drawn = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    unit: np.ndarray = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def column(block: np.ndarray, kind: pa.DataType | None = None, *, fixed: bool = True) -> pa.Array:
    """A column of lists; numbers as `kind`."""
    value = kind or pa.float32()
    listed = pa.list_(value, block.shape[1]) if fixed else pa.list_(value)
    numbers = block.astype(value.to_pandas_dtype())
    return pa.array(list(numbers), type=listed)


def write(path: Path, /, **columns: Any) -> Path:
    """A Parquet file with these columns."""
    pq.write_table(pa.table(columns), path)
    return path


def image_file(path: Path, names: Sequence[object], block: np.ndarray, name: str = "path") -> Path:
    return write(path, **{name: pa.array(list(names)), "embedding": column(block)})


def prompt_file(path: Path, block: np.ndarray, prompts: Sequence[str] = PROMPTS) -> Path:
    return write(path, prompt=list(prompts), embedding=column(block))


def new_store(path: Path, vocabulary: bytes = VOCABULARY) -> Store:
    return Store.create(path, vocabulary=vocabulary, model="hash")


def add_files(store: Store, *rows: dict[str, Any]) -> None:
    """Images that have files; their ids must be the next ones."""

    def reserve(live: Snapshot, stage: Stage) -> None:
        stage.allocate_ids(len(rows))

    with open_stage(store.path, command="test") as stage:
        data = pa.Table.from_pylist(list(rows), SCHEMAS["images"])
        stage.append("images", None, 0, data, read=store.snapshot().cell("images", None, 0))
        stage.late(reserve)
        stage.commit()


def stored_vectors(store: Store, key: str) -> dict[str, np.ndarray]:
    """Path -> vector, of a model."""
    snapshot = store.snapshot()
    images = read_files(snapshot.files("images"), ["image_id", "path"])
    paths = dict(zip(images["image_id"].to_pylist(), images["path"].to_pylist(), strict=True))
    data = read_files(snapshot.files("embeddings", key))
    return {
        paths[i]: v for i, v in zip(data["image_id"].to_pylist(), vectors_of(data["embedding"]), strict=True)
    }


def scored(store: Store, code: str) -> dict[int, float | None]:
    """Image id -> confidence."""
    files = store.snapshot().files("scores", code)
    if not files:
        return {}
    data = read_files(files, ["image_id", "confidence"])
    return dict(zip(data["image_id"].to_pylist(), data["confidence"].to_pylist(), strict=True))
