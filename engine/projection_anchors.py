"""What is read for a map: the fitted images that others are placed among, vectors, and what an image holds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.errors import ConflictError, StoreError
from colonnade.engine.projection_rows import read_map
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.tables import read_embeddings, read_files, read_table

__all__ = ["Anchors", "checked", "contents_of", "ids_of", "vectors_at"]


class Anchors:
    """The fitted images of the present map, which others are placed among.

    Raises:
        StoreError: the map is not one that images can be placed on.
    """

    def __init__(self, model: Model, snapshot: Snapshot) -> None:
        rows = read_map(snapshot.files("projections", model.key))
        parameters = next(iter(rows.fits)) if len(rows.fits) == 1 else None
        files = snapshot.files("embeddings", model.key)
        usable = rows.fitted & np.isin(rows.ids, ids_of(files), assume_unique=True)
        if parameters is None or not usable.any():
            raise StoreError(f"{snapshot.store}: the map cannot be added to; run `colonnade map --refit`")
        self.snapshot, self.parameters, self._model = snapshot, parameters, model
        ids = rows.ids[usable]
        self.shard = int(ids[0] >> SHARD_BITS)
        self.places = rows.places[usable]
        self.vectors = vectors_at(files, ids, model)

    def cell(self, snapshot: Snapshot) -> tuple[DataFile, ...]:
        """The files that hold the first of them: a new map replaces these, in any case."""
        files = snapshot.cell("projections", self._model.key, self.shard)
        if read_map(files).fits != {self.parameters}:
            raise ConflictError(f"{snapshot.store}: the map was made anew by another process")
        return files


def vectors_at(files: tuple[DataFile, ...], ids: np.ndarray, model: Model) -> np.ndarray:
    """The vectors float32 [n, D] of ids int64 [n], ascending, which the files have.

    Raises:
        StoreError: a vector is not of the model, or not finite.
    """
    vectors = np.empty((len(ids), model.dimension), np.float32)
    for block_ids, block in read_embeddings(files):
        rows = np.searchsorted(ids, block_ids)
        rows[rows == len(ids)] = 0
        found = ids[rows] == block_ids
        vectors[rows[found]] = checked(block[found], model, files)
    return vectors


def checked(vectors: np.ndarray, model: Model, files: tuple[DataFile, ...]) -> np.ndarray:
    """The vectors, which must be of the model's dimension and finite.

    Raises:
        StoreError: they are not.
    """
    if vectors.shape[1] != model.dimension:
        raise StoreError(f"{files[0].path}: not of model {model.key}; run `colonnade verify`")
    if not np.isfinite(vectors).all():
        raise StoreError(f"{files[0].path}: a vector is not finite; run `colonnade verify`")
    return vectors


def ids_of(files: tuple[DataFile, ...]) -> np.ndarray:
    """The image ids int64 [n] of some files, ascending."""
    if not files:
        return np.empty(0, np.int64)
    return np.asarray(read_files(files, ["image_id"])["image_id"].to_numpy())


def contents_of(files: tuple[DataFile, ...], ids: np.ndarray) -> list[tuple[int, str | None]]:
    """(image id, content hash) of some images."""
    rows = read_table("images", files, ["image_id", "content_hash"])
    rows = rows.filter(pa.array(np.isin(rows["image_id"].to_numpy(), ids)))
    return list(zip(rows["image_id"].to_pylist(), rows["content_hash"].to_pylist(), strict=True))
