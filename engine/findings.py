"""What a check of the store found: faults, notes, and their collection in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Fault", "Findings", "Tally"]

_MAX_FAULTS = 1000


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where, what, and what to do."""

    where: str
    """A name relative to the store."""
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.advice}"


@dataclass(slots=True)
class Findings:
    """Faults and notes so far. After a thousand faults the rest is only counted."""

    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    more: int = 0

    def fault(self, where: str, what: str, advice: str) -> None:
        if len(self.faults) < _MAX_FAULTS:
            self.faults.append(Fault(where, " ".join(what.split()), advice))
        else:
            self.more += 1

    def note(self, text: str) -> None:
        if len(self.notes) < _MAX_FAULTS:
            self.notes.append(text)


@dataclass(slots=True)
class Tally:
    """Wrong rows of one file, counted by what is wrong with them, each kind with its first example."""

    _seen: dict[str, tuple[int, str]] = field(default_factory=dict)

    def rows(self, wrong: np.ndarray, what: str, ids: np.ndarray | None = None) -> None:
        """Count the rows where `wrong` (bool [n]) holds; `ids` (int64 [n]) name them."""
        count = int(np.count_nonzero(wrong))
        if count:
            example = f"image {int(ids[np.argmax(wrong)])}" if ids is not None else ""
            before, first = self._seen.get(what, (0, example))
            self._seen[what] = before + count, first

    def __iter__(self) -> Iterator[str]:
        for what, (count, first) in self._seen.items():
            yield f"{count:,} row{'s' if count > 1 else ''} {what}" + (f" (first: {first})" if first else "")
