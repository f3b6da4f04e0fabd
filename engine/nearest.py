"""The nearest known name to a mistyped one, for "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["nearest"]

_LONGEST = 64
_MOST_EDITS = 3


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` is most likely meant to be, or None when none is near.

    Near means at most one edit (insertion, deletion, change, swap of neighbours) per three characters and
    never more than three; case and `-`, ` `, `_` do not count. Of equally near ones the first wins.
    """
    folded = _fold(word)
    if len(folded) > _LONGEST:
        return None
    best: str | None = None
    least = _MOST_EDITS + 1
    for candidate in candidates:
        other = _fold(candidate)
        if len(other) > _LONGEST:
            continue
        allowed = min(least - 1, max(len(folded), len(other)) // 3)
        edits = 0 if folded == other else _edits(folded, other, allowed)
        if edits is not None and edits < least:
            best, least = candidate, edits
            if edits == 0:
                break
    return best


def _fold(text: str) -> str:
    return text.casefold().replace("-", "_").replace(" ", "_")


def _edits(left: str, right: str, allowed: int) -> int | None:
    """Optimal string alignment distance, or None when it is over `allowed` (rows end early then)."""
    if abs(len(left) - len(right)) > allowed or allowed < 1:
        return None
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > allowed and min(previous) > allowed:
            return None
        before, previous = previous, row
    return previous[-1] if previous[-1] <= allowed else None
