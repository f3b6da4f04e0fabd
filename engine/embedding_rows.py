"""Rows of the embeddings table: adding vectors, finding one of the same content, and removing the scores that a
vector's change makes void."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.columns import shard_of
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.tables import (
    embeddings_schema,
    read_files,
    read_footer,
    read_table,
    vectors_column,
    vectors_of,
)

__all__ = ["add_vectors", "remove_rows", "vectors_of_content"]


def add_vectors(
    stage: Stage, snapshot: Snapshot, model: Model, shard: int, ids: np.ndarray, vectors: np.ndarray
) -> None:
    """Add rows to a cell of embeddings, merging small files so that a cell has few (each at least twice the next).

    Rows that the cell has already are replaced. Where the vector differs, the image's scores under that model, which
    describe the old one, are removed.
    """
    cell = snapshot.cell("embeddings", model.key, shard)
    if np.any(np.diff(ids) < 0):
        order = np.argsort(ids)
        ids, vectors = ids[order], vectors[order]
    data = pa.table([pa.array(ids), vectors_column(vectors)], schema=embeddings_schema(model.dimension))
    present = _present(cell, ids)
    if len(present):
        old = read_files(cell)
        data = data.cast(old.schema)
        replaced = pa.array(np.isin(old["image_id"].to_numpy(), present))
        before, after = (
            vectors_of(some["embedding"])
            for some in (old.filter(replaced), data.filter(pa.array(np.isin(ids, present))))
        )
        changed = present[(before != after).any(axis=1)]
        rows = pa.concat_tables([old.filter(pc.invert(replaced)), data])
        stage.replace("embeddings", model.key, shard, rows, read=cell)
        for code in snapshot.partitions("scores"):
            remove_rows(stage, snapshot.cell("scores", code, shard), changed, model=model.key)
        return
    merged, keep = [data], list(cell)
    sizes = {file.name: read_footer(file).rows for file in cell}
    total = len(ids)
    for file in sorted(cell, key=lambda file: sizes[file.name]):
        if sizes[file.name] > total:
            break
        merged.append(read_files([file]))
        keep.remove(file)
        total += sizes[file.name]
    stage.rewrite("embeddings", model.key, shard, pa.concat_tables(merged), keep=keep, read=cell)


def _present(cell: Sequence[DataFile], ids: np.ndarray) -> np.ndarray:
    if not cell:
        return np.empty(0, np.int64)
    stored = read_files(cell, ["image_id"])["image_id"].to_numpy()
    return np.asarray(ids[np.isin(ids, stored)])


def vectors_of_content(snapshot: Snapshot, model: Model, wanted: Mapping[str, int]) -> dict[int, np.ndarray]:
    """Image -> the stored unit vector float32 [D] of another image of the same content, where there is one.

    Args:
        wanted: content hash -> image.
    """
    files = snapshot.files("embeddings", model.key)
    if not files:
        return {}
    images = read_table("images", snapshot.files("images"), ["image_id", "content_hash"])
    embedded = read_files(files, ["image_id"])["image_id"].to_numpy()
    stored = images.filter(pa.array(np.isin(images["image_id"].to_numpy(), embedded)))
    twins = {
        twin: wanted[content]
        for twin, content in zip(
            stored["image_id"].to_pylist(), stored["content_hash"].to_pylist(), strict=True
        )
        if content in wanted
    }
    shared: dict[int, np.ndarray] = {}
    for shard in {shard_of(twin) for twin in twins}:
        data = read_files(snapshot.cell("embeddings", model.key, shard))
        own, vectors = data["image_id"].to_numpy(), vectors_of(data["embedding"])
        for twin in (t for t in twins if shard_of(t) == shard):
            shared[twins[twin]] = vectors[np.searchsorted(own, twin)].copy()
    return shared


def remove_rows(
    stage: Stage, cell: Sequence[DataFile], ids: Sequence[int] | np.ndarray, *, model: str | None = None
) -> int:
    """Stage the removal of some images' rows from one cell; returns how many it has.

    Args:
        model: of scores, those alone that a model has made; of any by default.
    """
    if not cell or not len(ids):
        return 0
    data = read_files(cell, ["image_id"] if model is None else ["image_id", "model"])
    lost = np.isin(data["image_id"].to_numpy(), ids)
    if model is not None:
        lost &= pc.equal(data["model"], model).to_numpy()
    count = int(np.count_nonzero(lost))
    if count:
        file = cell[0]
        rows = read_files(cell).filter(pa.array(~lost))
        stage.replace(file.table, file.partition, file.shard, rows, read=cell)
    return count
