"""Imported vectors, sorted by shard and staged.

Nothing is held but the shards that are not complete yet, so that vectors in the order of their images' ids (the
usual case: all new) take the memory of one shard.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.embedding_rows import add_vectors
from colonnade.engine.errors import StoreError
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.tables import read_embeddings

__all__ = ["Counts", "ShardWork"]


@dataclass(slots=True)
class Counts:
    """Images of an import."""

    new: int = 0
    updated: int = 0
    """Images of the store that had no vector of the model, or another."""
    unchanged: int = 0
    lost: list[DataFile] = field(default_factory=list)
    """Damaged files of embeddings that the commit leaves out."""
    unclear: tuple[str, ...] = ()
    """Names that several different pictures have, which got no vector therefore."""


@dataclass(slots=True)
class _Waiting:
    """A shard that is not complete yet."""

    ids: np.ndarray
    vectors: np.ndarray
    filled: int = 0


class ShardWork:
    """Sorts vectors by shard, and stages each shard once all of its vectors have come."""

    def __init__(
        self, stage: Stage, snapshot: Snapshot, model: Model, first: int, rows: np.ndarray, ids: np.ndarray
    ) -> None:
        self._stage, self._snapshot, self._model = stage, snapshot, model
        self._first, self._rows, self._ids = first, rows, ids
        shards, numbers = np.unique(ids >> SHARD_BITS, return_counts=True)
        self._expected = dict(zip(shards.tolist(), numbers.tolist(), strict=True))
        self._waiting: dict[int, _Waiting] = {}
        self.counts = Counts()

    def take(self, start: int, block: np.ndarray) -> None:
        """Rows `start` and following of the source."""
        low, high = np.searchsorted(self._rows, [start, start + len(block)])
        ids, rows = self._ids[low:high], self._rows[low:high] - start
        for shard in np.unique(ids >> SHARD_BITS).tolist():
            mine = np.flatnonzero((ids >> SHARD_BITS) == shard)
            waiting = self._waiting.get(shard)
            if waiting is None:
                number = self._expected[shard]
                waiting = self._waiting[shard] = _Waiting(
                    np.empty(number, np.int64), np.empty((number, block.shape[1]), np.float32)
                )
            end = waiting.filled + len(mine)
            waiting.ids[waiting.filled : end] = ids[mine]
            waiting.vectors[waiting.filled : end] = block[rows[mine]]
            waiting.filled = end
            if end == len(waiting.ids):
                del self._waiting[shard]
                self._finish(shard, waiting.ids, waiting.vectors)

    def _finish(self, shard: int, ids: np.ndarray, vectors: np.ndarray) -> None:
        old = ids < self._first
        same = self._unchanged(shard, ids, vectors) if old.any() else np.zeros(len(ids), dtype=bool)
        self.counts.unchanged += int(same.sum())
        self.counts.updated += int((old & ~same).sum())
        if not same.all():
            if same.any():
                ids, vectors = ids[~same], vectors[~same]
            self.counts.lost += add_vectors(
                self._stage, self._snapshot, self._model, shard, ids, vectors, mend=True
            )

    def _unchanged(self, shard: int, ids: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """bool [n]: the image has exactly this vector, in a file that can be read to its end."""
        same = np.zeros(len(ids), dtype=bool)
        order = np.argsort(ids)
        for file in self._snapshot.cell("embeddings", self._model.key, shard):
            with suppress(StoreError):  # `add_vectors` finds out whether it is damaged
                same |= _same_vectors(file, ids, vectors, order)
        return same


def _same_vectors(file: DataFile, ids: np.ndarray, vectors: np.ndarray, order: np.ndarray) -> np.ndarray:
    """bool [n]: the file has exactly this vector for the image.

    Args:
        order: what sorts `ids`.

    Raises:
        StoreError: the file is damaged.
    """
    same = np.zeros(len(ids), dtype=bool)
    ordered = ids[order]
    for stored, block in read_embeddings([file]):
        places = np.minimum(np.searchsorted(ordered, stored), len(ordered) - 1)
        found = np.flatnonzero(ordered[places] == stored)
        targets = order[places[found]]
        same[targets] = (block[found] == vectors[targets]).all(axis=1)
    return same
