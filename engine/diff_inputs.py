"""What a comparison of two snapshots reads of them: scores, definitions, and how images were and are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from colonnade.engine.provenance import read_definitions
from colonnade.engine.scoring import codes_of_statuses
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.tables import read_files, read_table

__all__ = ["DiffContext", "Hidden", "file_names"]


@dataclass(frozen=True, slots=True)
class Hidden:
    """The images of a shard that queries leave out: those that are not in state `ok`."""

    ids: np.ndarray
    """int64 [n], ascending."""
    states: np.ndarray
    """str [n]: missing, unreadable."""

    def of(self, state: str) -> np.ndarray:
        """The ids (int64 [n]) of those in one state."""
        return np.asarray(self.ids[self.states == state])


class DiffContext:
    """What the comparison of all attributes shares: definitions, and the images of the shard at hand."""

    def __init__(self, old: Snapshot, new: Snapshot) -> None:
        self.old, self.new = old, new
        self.known = read_definitions(old) | read_definitions(new)
        self._shard: tuple[int, pa.Table, pa.Table] | None = None
        self._pictures: dict[int, np.ndarray] = {}
        self._ids: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._hidden: dict[int, tuple[Hidden, Hidden]] = {}
        self.words: list[str | None] = []
        """The definitions met so far; rows carry their places in it."""

    def read(self, files: Sequence[DataFile]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ids, status codes and places in `words` (-1: none) of a cell of scores, each int64 [n]."""
        if not files:
            nothing = np.empty(0, np.int64)
            return nothing, nothing, nothing
        data = read_files(files, ["image_id", "status", "definition"])
        encoded = data["definition"].unify_dictionaries().combine_chunks().dictionary_encode()
        places = [self._place(word) for word in encoded.dictionary.to_pylist()]
        table = np.array([*places, -1], dtype=np.int64)
        rows = encoded.indices.fill_null(len(places)).to_numpy(zero_copy_only=False)
        status = codes_of_statuses(data["status"]).astype(np.int64)
        return data["image_id"].to_numpy(), status, table[rows]

    def hidden(self, shard: int) -> tuple[Hidden, Hidden]:
        """Which images queries of the older and of the newer snapshot leave out."""
        if shard not in self._hidden:
            old = _hidden(self.old.cell("images", None, shard))
            same = self._same_images(shard)
            self._hidden[shard] = old, old if same else _hidden(self.new.cell("images", None, shard))
        return self._hidden[shard]

    def shown_or_hidden(self, shard: int) -> np.ndarray:
        """The ids (int64 [n]) of images that queries of one snapshot leave out and those of the other do not."""
        if self._same_images(shard):
            return np.empty(0, np.int64)
        old, new = self.hidden(shard)
        return np.setxor1d(old.ids, new.ids, assume_unique=True)

    def new_pictures(self, shard: int) -> np.ndarray:
        """The ids (int64 [n]) of images in both snapshots whose content is another."""
        if shard not in self._pictures:
            same = self._same_images(shard)
            self._pictures[shard] = np.empty(0, np.int64) if same else _changed_content(*self._images(shard))
        return self._pictures[shard]

    def ids(self, shard: int) -> tuple[np.ndarray, np.ndarray]:
        """The ids (int64 [n]) of the older and of the newer snapshot's images."""
        if shard not in self._ids:
            old, new = (snapshot.cell("images", None, shard) for snapshot in (self.old, self.new))
            self._ids[shard] = _ids(old), _ids(new)
        return self._ids[shard]

    def paths(self, shard: int, ids: np.ndarray) -> list[str]:
        """A path for each id, of the newer snapshot where it has the image."""
        names: dict[int, str] = {}
        for rows in self._images(shard):
            mine = rows.filter(pa.array(np.isin(rows["image_id"].to_numpy(), ids)))
            names |= dict(zip(mine["image_id"].to_pylist(), mine["path"].to_pylist(), strict=True))
        return [names.get(image_id) or "" for image_id in ids.tolist()]

    def _same_images(self, shard: int) -> bool:
        old, new = (snapshot.cell("images", None, shard) for snapshot in (self.old, self.new))
        return file_names(old) == file_names(new)

    def _images(self, shard: int) -> tuple[pa.Table, pa.Table]:
        if self._shard is None or self._shard[0] != shard:
            self._shard = (shard, _images(self.old, shard), _images(self.new, shard))
        return self._shard[1], self._shard[2]

    def _place(self, word: str | None) -> int:
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)


def file_names(files: Sequence[DataFile]) -> list[str]:
    """What tells one state of a cell from another without reading it."""
    return [file.name for file in files]


def _ids(files: Sequence[DataFile]) -> np.ndarray:
    return np.asarray(read_table("images", files, ["image_id"])["image_id"].to_numpy())


def _hidden(files: Sequence[DataFile]) -> Hidden:
    data = read_table("images", files, ["image_id", "state"])
    states = data["state"].to_numpy()
    left_out = np.flatnonzero(states != "ok")
    return Hidden(data["image_id"].to_numpy()[left_out], states[left_out].astype(str))


def _images(snapshot: Snapshot, shard: int) -> pa.Table:
    return read_table("images", snapshot.cell("images", None, shard), ["image_id", "path", "content_hash"])


def _changed_content(old: pa.Table, new: pa.Table) -> np.ndarray:
    before, after = old["image_id"].to_numpy(), new["image_id"].to_numpy()
    both, at_old, at_new = np.intersect1d(before, after, assume_unique=True, return_indices=True)
    one = old["content_hash"].take(pa.array(at_old)).to_numpy()
    two = new["content_hash"].take(pa.array(at_new)).to_numpy()
    return np.asarray(both[one != two])
