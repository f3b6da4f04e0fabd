"""Data files that are gone, told by what other tables say of their rows: no snapshot lists its files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from colonnade.engine.columns import SHARD_BITS, SHARD_IMAGES
from colonnade.engine.errors import InputError
from colonnade.engine.findings import Findings
from colonnade.engine.store_names import partition_folder

__all__ = ["WHOLE", "ImageIds", "VectorIds"]

WHOLE = "go back to a snapshot that is whole (`colonnade snapshots`, `restore N`), or to a backup"
_ANEW = "; without either, `colonnade sync` makes anew those that have files, and the imported ones need their import"
_MODELS = 64
"""Of how many models a store's lost vectors are told."""
_SHARDS = 5
"""How many shards a fault names."""
_Key = TypeVar("_Key")


@dataclass(slots=True)
class VectorIds:
    """Which images have a vector of which model: one bit for each image and model."""

    _bits: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    """(model, shard) -> uint8 [SHARD_IMAGES / 8]."""
    _unread: set[tuple[str, int]] = field(default_factory=set)
    _lost: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)
    """Model -> shard -> the same bits, of images that have scores by it and no vector."""

    def add(self, model: str, shard: int, ids: np.ndarray | None) -> None:
        """Note the ids (int64 [n]) of a file of embeddings; None where it cannot be read."""
        if ids is None:
            self._unread.add((model, shard))
            return
        _merge(self._bits, (model, shard), _slots(shard, ids))

    def check(self, model: str, shard: int, ids: np.ndarray) -> None:
        """Note the images (int64 [n], of one shard) that have base scores by a model but no vector of it."""
        if (model, shard) in self._unread or not len(ids):
            return
        bits = self._bits.get((model, shard), np.zeros(SHARD_IMAGES // 8, dtype=np.uint8))
        there = np.unpackbits(bits).view(bool)
        if there[ids & (SHARD_IMAGES - 1)].all():
            return
        slots = _slots(shard, ids) & ~there
        if slots.any() and (model in self._lost or len(self._lost) < _MODELS):
            _merge(self._lost.setdefault(model, {}), shard, slots)

    def finish(self, findings: Findings) -> None:
        """Tell of each model's lost vectors. Whatever removes a vector removes the scores that were made with it."""
        for model, shards in sorted(self._lost.items()):
            count = sum(int(np.unpackbits(bits).sum()) for bits in shards.values())
            shard = min(shards)
            first = (shard << SHARD_BITS) + int(np.argmax(np.unpackbits(shards[shard])))
            what = (
                f"vectors are lost: {_images(count)} in {_named(shards)} with scores by this model and "
                f"without a vector of it (first: image {first})"
            )
            findings.fault(_place(model), what, WHOLE + _ANEW)


@dataclass(slots=True)
class ImageIds:
    """The images of the images table, and which shards lack some that have vectors, or all that have anything."""

    shards: dict[int, np.ndarray] = field(default_factory=dict)
    """Shard -> ids int64 [n], ascending."""
    _unread: set[int] = field(default_factory=set)
    _gone: dict[int, set[str]] = field(default_factory=dict)
    """Shard without images -> tables that have rows in it."""
    _torn: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Shard -> the most rows of embeddings without an image, and the first such id."""

    def unread(self, shard: int) -> None:
        """A file of the shard cannot be read, which is told of where it is."""
        self._unread.add(shard)

    def lacking(self, table: str, shard: int, ids: np.ndarray) -> np.ndarray:
        """bool [n]: rows of images that are not there, to be told of with the file that has them.

        None where the images table has lost them: where it has no row of the shard, or lacks images that have vectors.
        """
        known = self.shards.get(shard, np.empty(0, np.int64))
        none = np.zeros(len(ids), dtype=bool)
        if shard in self._unread or (len(ids) == len(known) and np.array_equal(ids, known)):
            return none
        if not len(known):
            self._gone.setdefault(shard, set()).add(table)
            return none
        lacking = ~np.isin(ids, known)
        if table == "embeddings" and lacking.any():
            count, first = self._torn.get(shard, (0, int(ids[np.argmax(lacking)])))
            self._torn[shard] = max(count, int(np.count_nonzero(lacking))), first
        return none if shard in self._torn else lacking

    def finish(self, findings: Findings) -> None:
        """Tell of what the images table has lost, once."""
        if self._gone:
            tables = ", ".join(sorted(set().union(*self._gone.values())))
            where = _named(self._gone) if self.shards or self._unread else "any shard"
            findings.fault(
                "images", f"lost: it has no rows of {where}, where there are rows of {tables}", WHOLE
            )
        for count, first in list(self._torn.values())[:1]:
            what = (
                f"rows are lost: in {_named(self._torn)} there are vectors of images that the images table lacks "
                f"({count:,} in one file; first: image {first})"
            )
            findings.fault("images", what, WHOLE)


def _merge(known: dict[_Key, np.ndarray], key: _Key, slots: np.ndarray) -> None:
    packed = np.packbits(slots)
    known[key] = known[key] | packed if key in known else packed


def _slots(shard: int, ids: np.ndarray) -> np.ndarray:
    """bool [SHARD_IMAGES], true for the ids that are of the shard."""
    slots = np.zeros(SHARD_IMAGES, dtype=bool)
    slots[ids[(ids >> SHARD_BITS) == shard] & (SHARD_IMAGES - 1)] = True
    return slots


def _images(count: int) -> str:
    return f"{count:,} image{'s' if count > 1 else ''}"


def _named(shards: Iterable[int]) -> str:
    numbers = sorted(shards)
    more = f" and {len(numbers) - _SHARDS:,} more" if len(numbers) > _SHARDS else ""
    return f"shard{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:_SHARDS]))}{more}"


def _place(model: str) -> str:
    try:
        return f"embeddings/{partition_folder('embeddings', model)}"
    except (InputError, ValueError):
        return "embeddings"
