"""What a scan found against what the store knows: pure functions, no files and no store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colonnade.engine.images import FileEntry, Problem

__all__ = ["Gone", "KnownImages", "Moves", "RootDiff", "diff_images", "file_name"]

_WINDOW = 256


@dataclass(frozen=True, slots=True)
class KnownImages:
    """The rows of one root that stand for files, as parallel columns.

    Paths are unique among the rows that are not missing. Where another picture was moved onto the path of one
    that is nowhere any more, the missing row has the same path.
    """

    ids: NDArray[np.int64]
    paths: Sequence[str]
    sizes: NDArray[np.int64]
    mtimes: NDArray[np.int64]
    """Microseconds since 1970; -1 where the file is to be read again whatever its time is."""
    missing: NDArray[np.bool_]
    retry: NDArray[np.bool_]
    """To be tried again although size and time are the same: it could not be read."""
    refused: NDArray[np.bool_]
    """Of those: the system did not permit it."""


@dataclass(frozen=True, slots=True)
class RootDiff:
    """What a scan of one root would do. Each known row is in one of the groups but `new` and `problems`."""

    new: list[FileEntry] = field(default_factory=list)
    changed: list[tuple[int, FileEntry]] = field(default_factory=list)
    """(row, file): size or time differs, so that the file has to be read to know more."""
    retried: list[tuple[int, FileEntry]] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)
    """Rows that were missing, whose file is there as it was."""
    vanished: list[int] = field(default_factory=list)
    absent: list[int] = field(default_factory=list)
    """Rows that were missing and still are."""
    unchanged: int = 0
    unseen: int = 0
    """Rows under something that could not be looked at. They stay as they are."""
    problems: list[Problem] = field(default_factory=list)


def diff_images(known: KnownImages, found: Iterable[FileEntry | Problem]) -> RootDiff:
    """Compare by path, size and time. Rows are positions in `known`; what each group means is in `RootDiff`.

    `found` is read once, as it comes; each path occurs once.
    """
    diff = RootDiff()
    unchanged = 0
    rows = dict(zip(known.paths, range(len(known.paths)), strict=True))
    if len(rows) < len(known.paths):  # of several rows of a path, the one that is there
        rows.update((known.paths[row], row) for row in np.flatnonzero(~known.missing).tolist())
    seen = np.zeros(len(known.paths), dtype=np.bool_)
    sizes, mtimes = known.sizes.tolist(), known.mtimes.tolist()
    special = (known.missing | known.retry).tolist()
    for entry in found:
        if isinstance(entry, Problem):
            diff.problems.append(entry)
            continue
        row = rows.get(entry.path)
        if row is None:
            diff.new.append(entry)
            continue
        seen[row] = True
        if sizes[row] != entry.size or mtimes[row] != entry.mtime_us:
            diff.changed.append((row, entry))
        elif not special[row]:
            unchanged += 1
        elif known.missing[row]:
            diff.returned.append(row)
        else:
            diff.retried.append((row, entry))
    blind = frozenset(problem.path for problem in diff.problems if problem.blind)
    unseen = 0
    for row in np.flatnonzero(~seen).tolist():
        if known.missing[row]:
            diff.absent.append(row)
        elif blind and _under(known.paths[row], blind):
            unseen += 1
        else:
            diff.vanished.append(row)
    return RootDiff(
        diff.new,
        diff.changed,
        diff.retried,
        diff.returned,
        diff.vanished,
        diff.absent,
        unchanged,
        unseen,
        diff.problems,
    )


def _under(path: str, folders: frozenset[str]) -> bool:
    """Whether a path is one of `folders` or lies in one ('' is the root)."""
    while path:
        if path in folders:
            return True
        path = path.rpartition("/")[0]
    return "" in folders


def file_name(path: str) -> str:
    """The last part of a relative path."""
    return path.rpartition("/")[2]


def _names_and_sizes(entries: Sequence[FileEntry]) -> NDArray[np.int64]:
    return _keys((file_name(entry.path), entry.size) for entry in entries)


def _names(paths: Iterable[str]) -> NDArray[np.int64]:
    return np.fromiter((hash(file_name(path)) for path in paths), np.int64)


def _keys(pairs: Iterable[tuple[object, int]]) -> NDArray[np.int64]:
    """A number for each pair, which is the same for the same pair in this process."""
    return np.fromiter(map(hash, pairs), np.int64)


def _paired(keys: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each key a place in `others` that has it; -1 if there is none left. Each place is given once."""
    places = np.argsort(others, kind="stable")
    order = np.argsort(keys, kind="stable")
    ranked, sorted_keys = others[places], keys[order]
    before = np.arange(len(keys)) - np.searchsorted(sorted_keys, sorted_keys)
    position = np.searchsorted(ranked, sorted_keys) + before
    there = position < np.searchsorted(ranked, sorted_keys, side="right")
    found = np.full(len(keys), -1, dtype=np.int64)
    found[order[there]] = places[position[there]]
    return found


class Gone(NamedTuple):
    """A row whose file is gone from its path."""

    image_id: int
    root: str
    path: str


class Moves:
    """Rows to be found again by content under another path: their file is gone, or may be another by now.

    Each row is given out once. Columns are parallel and one element a row; memory is about 100 bytes a row.

    Args:
        times: microseconds since 1970.
        held: the ids of those whose path has a file that differs. They are given out only once that was read and
            the row released.
    """

    def __init__(
        self,
        ids: Sequence[int],
        roots: Sequence[str],
        paths: Sequence[str],
        sizes: Sequence[int],
        times: Sequence[int],
        hashes: Sequence[str],
        held: Collection[int] = (),
    ) -> None:
        keys = np.array([value.encode() for value in hashes], dtype="S32")
        order = np.lexsort((np.asarray(ids, dtype=np.int64), keys))
        self._keys = keys[order]
        self._ids = np.asarray(ids, dtype=np.int64)[order]
        self._order = order.tolist()
        self._roots, self._paths, self._sizes, self._times = roots, paths, sizes, times
        self._taken = np.zeros(len(order), dtype=np.bool_)
        self._held = np.isin(self._ids, np.fromiter(held, np.int64, count=len(held)))
        self._at = {int(self._ids[place]): place for place in np.flatnonzero(self._held).tolist()}
        self._first: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._order)

    def lookalikes(self, entries: Sequence[FileEntry]) -> NDArray[np.bool_]:
        """Which of some new files have the name and the size of a file that is gone, or may be."""
        return np.isin(_names_and_sizes(entries), self._names_and_sizes() if entries else [])

    def likely(self, entries: Sequence[FileEntry]) -> NDArray[np.int64]:
        """For each of some new files the id of the row that it seems to be, as far as can be told unread.

        That is one of its size and time, by preference of its name; -1 if there is none. Each row is named once.
        Size and name alone tell nothing: scans of one format all have one size.
        """
        found = np.full(len(entries), -1, dtype=np.int64)
        if not len(entries) or not len(self):
            return found
        new = _keys((entry.size, entry.mtime_us) for entry in entries)
        known = _keys(zip(self._sizes, self._times, strict=True))
        # Files of the same size, time and name have the same sum; that others do is as unlikely as it gets.
        rows = _paired(new + _names(entry.path for entry in entries), known + _names(self._paths))
        rest, left = np.flatnonzero(rows < 0), np.setdiff1d(np.arange(len(self)), rows)
        again = _paired(new[rest], known[left])
        rows[rest[again >= 0]] = left[again[again >= 0]]
        ids = np.empty(len(self), dtype=np.int64)
        ids[self._order] = self._ids
        found[rows >= 0] = ids[rows[rows >= 0]]
        return found

    def of_a_size(self, entries: Sequence[FileEntry]) -> NDArray[np.bool_]:
        """Which of some files have the size of a row."""
        sizes = np.fromiter((entry.size for entry in entries), np.int64, count=len(entries))
        return np.isin(sizes, np.asarray(self._sizes, dtype=np.int64))

    def _names_and_sizes(self) -> NDArray[np.int64]:
        columns = zip(self._paths, self._sizes, strict=True)
        return _keys((file_name(path), size) for path, size in columns)

    @property
    def held_sizes(self) -> set[int]:
        """The sizes of the pictures of the rows that were ever held."""
        return {self._sizes[self._order[place]] for place in self._at.values()}

    def held_row(self, image_id: int) -> tuple[str, int] | None:
        """(content hash, size) of the picture of a row that is or was held; None for any other."""
        place = self._at.get(image_id)
        return None if place is None else (self._keys[place].decode(), self._sizes[self._order[place]])

    def release(self, image_id: int) -> None:
        """The file of a held row is another: its picture may be found elsewhere."""
        self._held[self._at[image_id]] = False

    def keep(self, image_id: int) -> None:
        """Let a row that is or was held be given out no more."""
        self._taken[self._at[image_id]] = True

    def holds(self, content_hash: str) -> bool:
        """Whether there is a held row with that content, which may be released yet."""
        low, high = self._range(content_hash)
        return bool((self._held[low:high] & ~self._taken[low:high]).any())

    def take(self, root: str, path: str, content_hash: str, *, same_name: bool = False) -> Gone | None:
        """A row with that content, by preference of the same name and root; None if there is none.

        Args:
            same_name: only a row of the same file name will do.
        """
        low, high = self._range(content_hash)
        first = self._first.get(low, low)
        while first < high and self._taken[first]:
            first += 1
        self._first[low] = first
        best, best_rank = -1, -1
        for position in range(
            first, min(high, first + _WINDOW)
        ):  # thousands of empty files are not worth a search
            if self._taken[position] or self._held[position]:
                continue
            row = self._order[position]
            named = file_name(self._paths[row]) == file_name(path)
            rank = 2 * named + (self._roots[row] == root)
            if rank > best_rank and (named or not same_name):
                best, best_rank = position, rank
        if best < 0:
            return None
        self._taken[best] = True
        row = self._order[best]
        return Gone(int(self._ids[best]), self._roots[row], self._paths[row])

    def _range(self, content_hash: str) -> tuple[int, int]:
        key = np.array(content_hash.encode(), dtype="S32")
        low, high = (int(np.searchsorted(self._keys, key, side=side)) for side in ("left", "right"))
        return low, high
