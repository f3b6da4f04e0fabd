"""What changed between two snapshots: which images have another status for an attribute, and why.

As in queries, an image that is missing or unreadable has no status. Works cell by cell; cells whose files are the same
in both snapshots are read only where an image went missing or came back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from colonnade.engine.columns import shard_of
from colonnade.engine.diff_inputs import DiffContext, file_names
from colonnade.engine.diff_reasons import definition_change
from colonnade.engine.errors import InputError
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.vocabulary import nearest

__all__ = ["AttributeDiff", "StatusChange", "diff_attribute", "diff_summary"]

ABSENT = "absent"
_NAMES = (ABSENT, "unknown", "rejected", "tentative", "accepted")
"""By status code + 2. `absent`: no row, or an image that no query shows; `unknown`: a row without a confidence."""
_ABSENT = -2
_STATES = (
    ("missing", "image missing", "image came back"),
    ("unreadable", "image unreadable", "image readable now"),
)
"""The states of images that no query shows, and why a status goes and comes with each."""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One image whose status for one attribute is another."""

    image_id: int
    path: str
    before: str
    """accepted, tentative, rejected, unknown, or absent where there was no score, or no image for queries."""
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
    context = DiffContext(old, new)
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
    context = DiffContext(old, new)
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


def _changes(context: DiffContext, code: str) -> Iterator[_Cell]:
    shards = {*context.old.shards("scores", code), *context.new.shards("scores", code)}
    for shard in sorted(shards):
        cell = _compare(context, code, shard)
        if cell is not None:
            yield cell


def _compare(context: DiffContext, code: str, shard: int) -> _Cell | None:
    old_files, new_files = (s.cell("scores", code, shard) for s in (context.old, context.new))
    same = file_names(old_files) == file_names(new_files)
    if same and not len(context.shown_or_hidden(shard)):
        return None
    old_ids, old_status, old_definition = context.read(old_files)
    new_ids, new_status, new_definition = (
        (old_ids, old_status, old_definition) if same else context.read(new_files)
    )
    ids = _union(old_ids, new_ids)
    old_hidden, new_hidden = context.hidden(shard)
    columns = (
        ids,
        _without(ids, _aligned(ids, old_ids, old_status, _ABSENT), old_hidden.ids),
        _without(ids, _aligned(ids, new_ids, new_status, _ABSENT), new_hidden.ids),
        _aligned(ids, old_ids, old_definition, -1),
        _aligned(ids, new_ids, new_definition, -1),
    )
    changed = columns[1] != columns[2]
    if not changed.any():
        return None
    ids, before, after, one, two = (column[changed] for column in columns)
    return _explain(context, code, shard, (ids, before, after, one, two))


def _without(ids: np.ndarray, status: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The status codes (int64 [n]) of `ids`, absent for those that are hidden."""
    return np.where(np.isin(ids, hidden), _ABSENT, status) if len(hidden) else status


def _explain(
    context: DiffContext,
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
        old_hidden, new_hidden = context.hidden(shard)
        for state, lost, found in _STATES:
            set_reason(appeared & np.isin(ids, old_hidden.of(state)), found)
            set_reason(vanished & np.isin(ids, new_hidden.of(state)), lost)
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
