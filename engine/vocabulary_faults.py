"""What is wrong with a vocabulary file: one fault is one line with its place and a hint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from colonnade.engine.errors import InputError

__all__ = ["Fault", "VocabularyError", "shown", "shown_name"]


@dataclass(frozen=True, order=True)
class Fault:
    """One fault of a vocabulary file."""

    line: int
    """Counted from 1."""
    column: int
    """Counted from 1, in characters."""
    message: str
    """What is wrong. Text from the file is quoted and escaped in it, so that it is safe to print."""
    hint: str = ""
    """What to do, where that is known."""

    def render(self, name: str) -> str:
        """`file:line:column: what; hint` on one line."""
        place = f"{shown_name(name)}:{self.line}:{self.column}: {self.message}"
        return f"{place}; {self.hint}" if self.hint else place


class VocabularyError(InputError):
    """A vocabulary file does not load; `faults` holds everything wrong with it, in the file's order."""

    def __init__(self, name: str, faults: Iterable[Fault]) -> None:
        self.name = name
        self.faults: tuple[Fault, ...] = tuple(dict.fromkeys(sorted(faults)))
        super().__init__("\n".join(fault.render(name) for fault in self.faults))

    def __reduce__(self) -> tuple[type[VocabularyError], tuple[str, tuple[Fault, ...]]]:
        return type(self), (self.name, self.faults)


def shown(text: str, limit: int = 48) -> str:
    """`text` from outside as a quoted literal: invisible characters escaped, long text cut."""
    return repr(text) if len(text) <= limit else repr(text[:limit]) + "..."


def shown_name(name: str) -> str:
    """A file's name as it is, or escaped where it holds characters that cannot be printed."""
    return name if name.isprintable() else repr(name)[1:-1]
