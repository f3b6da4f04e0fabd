"""What changed between two snapshots: which images have another status for an attribute, and why.

Works cell by cell; cells whose files are the same in both snapshots are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from colonnade.engine.columns import shard_of
from colonnade.engine.diff_reasons import definition_change
from colonnade.engine.errors import InputError
from colonnade.engine.provenance import read_definitions
from colonnade.engine.scoring import codes_of_statuses
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.tables import read_files, read_table
from colonnade.engine.vocabulary import nearest

__all__ = ["AttributeDiff", "StatusChange", "diff_attribute", "diff_summary"]

ABSENT = "absent"
_NAMES = (ABSENT, "unknown", "rejected", "tentative", "accepted")
"""By status code + 2. `absent`: there is no row; `unknown`: a row without a confidence."""
_ABSENT = -2


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One image whose status for one attribute is another."""

    image_id: int
    path: str
    before: str
    """accepted, tentative, rejected, unknown, or absent where there was no score."""
    after: str
    why: str


@dataclass(frozen=True, slots=True)
class AttributeDiff:
    """One attribute that changed."""

    code: str
    counts: tuple[tuple[str, str, str, int], ...]
    """(before, after, why, images), most images first."""

    @property
    def images(self) -> int:
        return sum(count for *_, count in self.counts)


@dataclass(slots=True)
class _Cell:
    """The changes of one attribute in one shard, as arrays of the same length."""

    ids: np.ndarray
    before: np.ndarray
    """int64 [n], status codes; -2 for no row."""
    after: np.ndarray
    why: np.ndarray
    """int64 [n], places in `reasons`."""
    reasons: list[str]


def diff_summary(old: Snapshot, new: Snapshot, codes: Sequence[str] | None = None) -> list[AttributeDiff]:
    """The attributes that changed for any image, in the order of their codes.

    Raises:
        InputError: one of `codes` has scores in neither snapshot.
        StoreError: a file is damaged.
    """
    context = _Context(old, new)
    found = []
    for code in _codes(old, new, codes):
        counts: dict[tuple[str, str, str], int] = {}
        for cell in _changes(context, code):
            kinds = (cell.before + 2) * len(_NAMES) + cell.after + 2
            keys, sizes = np.unique(kinds * len(cell.reasons) + cell.why, return_counts=True)
            for packed, size in zip(keys.tolist(), sizes.tolist(), strict=True):
                kind, why = divmod(packed, len(cell.reasons))
                before, after = divmod(kind, len(_NAMES))
                key = _NAMES[before], _NAMES[after], cell.reasons[why]
                counts[key] = counts.get(key, 0) + size
        if counts:
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            found.append(AttributeDiff(code, tuple((*key, count) for key, count in ordered)))
    return found


def diff_attribute(old: Snapshot, new: Snapshot, code: str) -> Iterator[StatusChange]:
    """The images whose status for `code` changed, by image id.

    Raises:
        InputError: `code` has scores in neither snapshot.
        StoreError: a file is damaged.
    """
    (code,) = _codes(old, new, [code])
    context = _Context(old, new)
    for cell in _changes(context, code):
        paths = context.paths(shard_of(int(cell.ids[0])), cell.ids)
        for index, path in enumerate(paths):
            yield StatusChange(
                int(cell.ids[index]),
                path,
                _NAMES[cell.before[index] + 2],
                _NAMES[cell.after[index] + 2],
                cell.reasons[cell.why[index]],
            )


def _codes(old: Snapshot, new: Snapshot, codes: Sequence[str] | None) -> list[str]:
    stored = sorted({*old.partitions("scores"), *new.partitions("scores")})
    if codes is None:
        return stored
    for code in codes:
        if code not in stored:
            hint = nearest(code, stored)
            raise InputError(
                f"{code!r}: scored in neither snapshot" + (f"; did you mean {hint!r}?" if hint else "")
            )
    return list(dict.fromkeys(codes))


class _Context:
    """What the comparison of all attributes shares: definitions, and the images of the shard at hand."""

    def __init__(self, old: Snapshot, new: Snapshot) -> None:
        self.old, self.new = old, new
        self.known = read_definitions(old) | read_definitions(new)
        self._shard: tuple[int, pa.Table, pa.Table] | None = None
        self._pictures: dict[int, np.ndarray] = {}
        self._ids: dict[int, tuple[np.ndarray, np.ndarray]] = {}
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

    def _place(self, word: str | None) -> int:
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)

    def _images(self, shard: int) -> tuple[pa.Table, pa.Table]:
        if self._shard is None or self._shard[0] != shard:
            self._shard = (shard, _images(self.old, shard), _images(self.new, shard))
        return self._shard[1], self._shard[2]

    def new_pictures(self, shard: int) -> np.ndarray:
        """The ids (int64 [n]) of images in both snapshots whose content is another."""
        if shard not in self._pictures:
            same = _names(self.old.cell("images", None, shard)) == _names(
                self.new.cell("images", None, shard)
            )
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


def _ids(files: Sequence[DataFile]) -> np.ndarray:
    return np.asarray(read_table("images", files, ["image_id"])["image_id"].to_numpy())


def _images(snapshot: Snapshot, shard: int) -> pa.Table:
    return read_table("images", snapshot.cell("images", None, shard), ["image_id", "path", "content_hash"])


def _changed_content(old: pa.Table, new: pa.Table) -> np.ndarray:
    before, after = old["image_id"].to_numpy(), new["image_id"].to_numpy()
    both, at_old, at_new = np.intersect1d(before, after, assume_unique=True, return_indices=True)
    one = old["content_hash"].take(pa.array(at_old)).to_numpy()
    two = new["content_hash"].take(pa.array(at_new)).to_numpy()
    return np.asarray(both[one != two])


def _changes(context: _Context, code: str) -> Iterator[_Cell]:
    shards = {*context.old.shards("scores", code), *context.new.shards("scores", code)}
    for shard in sorted(shards):
        cell = _compare(context, code, shard)
        if cell is not None:
            yield cell


def _compare(context: _Context, code: str, shard: int) -> _Cell | None:
    old_files, new_files = (s.cell("scores", code, shard) for s in (context.old, context.new))
    if _names(old_files) == _names(new_files):
        return None
    old_ids, old_status, old_definition = context.read(old_files)
    new_ids, new_status, new_definition = context.read(new_files)
    ids = _union(old_ids, new_ids)
    columns = (
        ids,
        _aligned(ids, old_ids, old_status, _ABSENT),
        _aligned(ids, new_ids, new_status, _ABSENT),
        _aligned(ids, old_ids, old_definition, -1),
        _aligned(ids, new_ids, new_definition, -1),
    )
    changed = columns[1] != columns[2]
    if not changed.any():
        return None
    ids, before, after, one, two = (column[changed] for column in columns)
    return _explain(context, code, shard, (ids, before, after, one, two))


def _explain(
    context: _Context,
    code: str,
    shard: int,
    columns: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> _Cell:
    """Why each image changed. The first cause that applies is told: the image, its picture, the definition."""
    ids, before, after, one, two = columns
    reasons: list[str] = []
    why = np.full(len(ids), -1, dtype=np.int64)

    def set_reason(mask: np.ndarray, reason: str) -> None:
        mask = mask & (why < 0)
        if mask.any():
            if reason not in reasons:
                reasons.append(reason)
            why[mask] = reasons.index(reason)

    appeared, vanished = before == _ABSENT, after == _ABSENT
    if appeared.any() or vanished.any():
        old_images, new_images = context.ids(shard)
        set_reason(appeared & ~np.isin(ids, old_images), "image new")
        set_reason(vanished & ~np.isin(ids, new_images), "image gone")
        set_reason(appeared, "attribute new" if not context.old.files("scores", code) else "scored since")
        dropped = not context.new.files("scores", code)
        set_reason(vanished, "attribute dropped" if dropped else "no longer scored")
    set_reason(np.isin(ids, context.new_pictures(shard)), "picture changed")
    for a, b in sorted(set(zip(one.tolist(), two.tolist(), strict=True))):
        if a != b and a >= 0 and b >= 0:
            text = definition_change(context.words[a], context.words[b], context.known)
            set_reason((one == a) & (two == b), text)
    set_reason(np.ones(len(ids), dtype=bool), "embedding changed")
    return _Cell(ids, before, after, why, reasons)


def _union(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """As np.union1d, but quick for ascending ids that are the same or nearly so."""
    if np.array_equal(one, two):
        return one
    both = np.sort(np.concatenate([one, two]), kind="stable")
    return both[np.concatenate(([True], both[1:] != both[:-1]))]


def _aligned(ids: np.ndarray, own: np.ndarray, values: np.ndarray, absent: int) -> np.ndarray:
    """`values` (of the ids `own`, a subset of `ids`) at the places of `ids`; `absent` elsewhere. int64 [n]."""
    if len(ids) == len(own):
        return values
    full = np.full(len(ids), absent, dtype=np.int64)
    full[np.searchsorted(ids, own)] = values
    return full


def _names(files: Sequence[DataFile]) -> list[str]:
    return [file.name for file in files]
