"""Stores that hold some of everything, made as the commands make them, so that `verify` finds them sound."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from query_stores import image

from colonnade.engine.columns import shard_of
from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.prompts import store_prompts
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, embeddings_schema
from colonnade.engine.tag import tag
from colonnade.engine.vector_columns import vectors_column

MODEL = Model("toy", "", 8, 100.0)
VOCABULARY = b"""\
thresholds: {accepted: 0.8, tentative: 0.5}
base_attributes:
  - {code: earth, label: Earth, description: the earth}
  - {code: moon, label: Moon, description: the moon}
derived_attributes:
  - {code: both, label: Both, description: earth and moon, rule: {all_of: [earth, moon]}}
"""


def unit_vectors(count: int, seed: int = 0, dimension: int = MODEL.dimension) -> np.ndarray:
    """float32 [count, dimension], unit length."""
    vectors = np.random.default_rng(seed).normal(size=(count, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def embedding_rows(ids: np.ndarray, vectors: np.ndarray) -> pa.Table:
    return pa.table([pa.array(ids), vectors_column(vectors)], schema=embeddings_schema(vectors.shape[1]))


def add_images(store: Store, count: int, *, seed: int = 0, vocabulary: bytes | None = None) -> range:
    """Commit new images of shard 0 with their embeddings: one more file in each cell."""
    snapshot = store.snapshot()
    given: list[range] = []

    def insert(live: Snapshot, stage: Stage) -> None:
        ids = stage.allocate_ids(count)
        given.append(ids)
        rows = pa.Table.from_pylist([image(i) for i in ids], SCHEMAS["images"])
        assert shard_of(ids[-1]) == 0
        stage.append("images", None, 0, rows, read=live.cell("images", None, 0))
        vectors = embedding_rows(np.array(ids), unit_vectors(count, seed=ids[0] + seed))
        cell = live.cell("embeddings", MODEL.key, 0)
        stage.append("embeddings", MODEL.key, 0, vectors, read=cell)

    assert snapshot.number
    with open_stage(store.path, command="scan") as stage:
        stage.late(insert)
        stage.commit(vocabulary=vocabulary)
    return given[0]


def sound_store(path: Path, images: int = 40) -> Store:
    """Images, embeddings, prompts, scores, definitions, labels, a calibration, a set and a projection."""
    store = Store.create(path, vocabulary=VOCABULARY, model="")
    update_settings(store.path, lambda settings: settings.with_model(MODEL, activate=True))
    ids = add_images(store, images)
    vocabulary = store.vocabulary()
    prompts = [prompt for code in ("earth", "moon") for prompt in vocabulary.prompts(code)]
    with open_stage(store.path, command="import") as stage:
        store_prompts(stage, MODEL, dict(zip(prompts, unit_vectors(len(prompts), seed=7), strict=True)))
        fit = {"model": MODEL.key, "method": "fixed", "center": 10.0, "scale": 20.0, "fit": "{}"}
        fit |= {"fitted_at": datetime(2024, 5, 1, tzinfo=UTC)}
        for code in ("earth", "moon"):
            stage.append("calibrations", code, 0, rows("calibrations", [fit]), read=())
        labels = [label(i, present=bool(i % 2)) for i in ids[:4]]
        stage.append("labels", "earth", 0, rows("labels", labels), read=())
        stage.append("sets", "best of", 0, rows("sets", [{"image_id": i} for i in ids[:5]]), read=())
        places = [
            {"image_id": i, "latitude": i - 20.0, "longitude": 3.0 * i, "parameters": "{}"} for i in ids
        ]
        stage.append("projections", MODEL.key, 0, rows("projections", places), read=())
        stage.commit()
    tag(store)
    derive_attributes(store)
    return store


def rows(table: str, records: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(records, SCHEMAS[table])


def label(image_id: int, *, present: bool | None) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "content_hash": f"{image_id:064x}",
        "present": present,
        "reviewer": "ann",
        "reviewed_at": datetime(2024, 5, 1, tzinfo=UTC),
        "policy": "audit",
        "probability": 0.5,
    }
