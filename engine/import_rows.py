"""Staging imported vectors: which image each belongs to, new rows for the others, shard by shard.

Nothing is held but the shards that are not complete yet, so that vectors in the order of their images' ids (the
usual case: all new) take the memory of one shard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.embedding_rows import add_vectors
from colonnade.engine.errors import ConflictError
from colonnade.engine.images import uuid_of
from colonnade.engine.import_files import VectorSource
from colonnade.engine.lookup import without_displaced
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.tables import SCHEMAS, read_embeddings, read_table

__all__ = ["Counts", "Matches", "Resolve", "match_paths", "stage_images"]


@dataclass(frozen=True, slots=True)
class Matches:
    """Which rows of a source are images of the store: row `rows[i]` is the image `ids[i]`, sorted by row.

    A row may be several images (copies of a picture); a row that is none becomes a new image.
    """

    rows: np.ndarray
    ids: np.ndarray


Resolve = Callable[[Snapshot, Sequence[str]], Matches]


@dataclass(slots=True)
class Counts:
    """Images of an import."""

    new: int = 0
    updated: int = 0
    """Images of the store that had no vector of the model, or another."""
    unchanged: int = 0


def match_paths(snapshot: Snapshot, names: Sequence[str]) -> Matches:
    """Names are paths: an imported row comes before a file of the same path; an ambiguous path names no image."""
    data = read_table("images", snapshot.files("images"), ["image_id", "root", "path", "source", "state"])
    wanted = set(names)
    imported: dict[str, int] = {}
    files: dict[str, int | None] = {}
    named = data.filter(pc.is_in(data["path"], pa.array(list(wanted), pa.string())))
    for row in without_displaced(named.to_pylist()):
        path, image_id = row["path"], row["image_id"]
        if row["source"] == "import":
            imported[path] = image_id
        else:
            files[path] = None if path in files else image_id
    known = [(imported.get(name, files.get(name))) for name in names]
    rows = [row for row, image_id in enumerate(known) if image_id is not None]
    return Matches(np.array(rows, np.int64), np.array([known[row] for row in rows], np.int64))


def stage_images(
    stage: Stage, snapshot: Snapshot, model: Model, source: VectorSource, matches: Matches
) -> Counts:
    """Have the commit of `stage` hold the vectors of a source, and new images for its rows without a match.

    An image that has the very vector already is left alone; where the vector differs, the image's scores go. The ids
    of new images are taken from the snapshot: if another process used them meanwhile, the commit raises ConflictError.

    Raises:
        InputError: a vector is wrong.
    """
    new = np.setdiff1d(np.arange(len(source.names)), matches.rows)
    first = snapshot.next_image_id
    new_ids = np.arange(first, first + len(new), dtype=np.int64)
    rows = np.concatenate([matches.rows, new])
    order = np.argsort(rows, kind="stable")
    work = _Work(stage, snapshot, model, first, rows[order], np.concatenate([matches.ids, new_ids])[order])
    _stage_rows(stage, snapshot, new_ids, [source.names[row] for row in new.tolist()])
    start = 0
    for block in source.blocks():
        work.take(start, block)
        start += len(block)
    work.counts.new = len(new)
    return work.counts


def _stage_rows(stage: Stage, snapshot: Snapshot, ids: np.ndarray, names: Sequence[str]) -> None:
    for shard in snapshot.shards("images"):
        stage.require("images", None, shard, read=snapshot.cell("images", None, shard))
    if not len(ids):
        return
    for shard in np.unique(ids >> SHARD_BITS).tolist():
        places = np.flatnonzero((ids >> SHARD_BITS) == shard)
        data = _image_rows(ids[places], [names[place] for place in places.tolist()])
        stage.append("images", None, shard, data, read=snapshot.cell("images", None, shard))

    def claim(live: Snapshot, stage: Stage) -> None:
        if stage.allocate_ids(len(ids)).start != ids[0]:
            raise ConflictError(f"{stage.store}: images were added meanwhile; nothing was written")

    stage.late(claim)


def _image_rows(ids: np.ndarray, names: Sequence[str]) -> pa.Table:
    schema = SCHEMAS["images"]
    columns: dict[str, pa.Array] = {
        "image_id": pa.array(ids),
        "root": pa.nulls(len(ids), pa.string()),
        "path": pa.array(list(names)),
        # An id may be a bare UUID, where a file's name has an extension after it.
        "uuid": pa.array([uuid_of(name) or uuid_of(f"{name}.x") for name in names], pa.string()),
        "source": pa.array(["import"] * len(ids)),
        "state": pa.array(["ok"] * len(ids)),
    }
    return pa.table(
        [columns.get(field.name, pa.nulls(len(ids), field.type)) for field in schema], schema=schema
    )


@dataclass(slots=True)
class _Waiting:
    """A shard that is not complete yet."""

    ids: np.ndarray
    vectors: np.ndarray
    filled: int = 0


class _Work:
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
            add_vectors(self._stage, self._snapshot, self._model, shard, ids, vectors)

    def _unchanged(self, shard: int, ids: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """bool [n]: the image has exactly this vector."""
        same = np.zeros(len(ids), dtype=bool)
        order = np.argsort(ids)
        ordered = ids[order]
        for stored, block in read_embeddings(self._snapshot.cell("embeddings", self._model.key, shard)):
            places = np.minimum(np.searchsorted(ordered, stored), len(ordered) - 1)
            found = np.flatnonzero(ordered[places] == stored)
            targets = order[places[found]]
            same[targets] = (block[found] == vectors[targets]).all(axis=1)
        return same
