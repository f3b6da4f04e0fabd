"""Drawing a sample of a collection's embeddings, and fetching those of some images."""

from __future__ import annotations

import numpy as np

from colonnade.engine.errors import StoreError
from colonnade.engine.parallel import in_order
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.tables import read_embeddings, read_files

__all__ = ["draw", "embedded_ids", "fetch"]

_BLOCK_ROWS = 4096


def embedded_ids(snapshot: Snapshot, model: Model) -> np.ndarray:
    """Ids int64 [n] of the images with a vector, ascending."""
    files = snapshot.files("embeddings", model.key)
    parts = [read_files([file], ["image_id"])["image_id"].to_numpy() for file in files]
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)


def draw(ids: np.ndarray, size: int, seed: int) -> np.ndarray:
    """`size` of the ids int64 [n], or all where there are no more; ascending.

    Whether an image is drawn depends on its id, the seed and the number of images alone, not on how they are stored.
    """
    if len(ids) <= size:
        return ids
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) + np.uint64(seed % 2**32 + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return np.asarray(np.sort(ids[np.argpartition(z, size)[:size]]))


def fetch(snapshot: Snapshot, model: Model, ids: np.ndarray) -> np.ndarray:
    """Vectors float32 [n, D] of images, by ascending ids int64 [n], each of which has one.

    Raises:
        StoreError: one has none, or a file is damaged or of another model.
    """
    vectors = np.zeros((len(ids), model.dimension), dtype=np.float32)

    def take(file: DataFile) -> int:
        """Put a file's vectors in their places; how many of the ids it has."""
        own = read_files([file], ["image_id"])["image_id"].to_numpy()
        if not np.isin(own, ids).any():
            return 0
        found = 0
        for block_ids, block in read_embeddings([file], batch_rows=_BLOCK_ROWS):
            if block.shape[1] != model.dimension:
                raise StoreError(f"{file.path}: not of model {model.key}; run `colonnade verify`")
            places = np.minimum(np.searchsorted(ids, block_ids), len(ids) - 1)
            chosen = ids[places] == block_ids
            vectors[places[chosen]] = block[chosen]
            found += int(chosen.sum())
        return found

    found = sum(in_order(take, snapshot.files("embeddings", model.key))) if len(ids) else 0
    if found != len(ids):
        raise StoreError(
            f"{snapshot.store}: {len(ids) - found:,} images have no vector of {model.key}; run `colonnade verify`"
        )
    return vectors
