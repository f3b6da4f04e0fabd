"""Errors on their way from the helper to the app: one line, a kind, and the lines in full."""

from __future__ import annotations

from collections.abc import Sequence

from colonnade.engine.errors import ColonnadeError, ConflictError, InputError, ModelError, StoreError

__all__ = ["HelperError", "told"]

_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (ConflictError, "conflict"),
    (InputError, "input"),
    (StoreError, "store"),
    (ModelError, "model"),
)
_MAX_DETAILS = 200
_MAX_CHARACTERS = 2000


class HelperError(ColonnadeError):
    """What the helper could not do, in one line."""

    def __init__(self, message: str, kind: str = "helper", details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        """`input`, `store`, `conflict`, `model` as in `engine.errors`; `superseded` by a newer request of the group;
        `timeout`; `helper` where the process itself failed; `internal` where the program is at fault."""
        self.details = tuple(details) or (message,)
        """Every line: a vocabulary's faults, an expression and the caret below it."""


def told(error: BaseException, op: str) -> tuple[str, str, tuple[str, ...]]:
    """(one line, kind, every line) of what was raised while doing `op`."""
    if isinstance(error, ColonnadeError):
        lines = [line[:_MAX_CHARACTERS] for line in str(error).splitlines()] or [type(error).__name__]
        kind = next((kind for base, kind in _KINDS if isinstance(error, base)), "store")
        return lines[0], kind, tuple(lines[:_MAX_DETAILS])
    if isinstance(error, MemoryError):
        line = f"{op}: out of memory; close other programs, or ask for less"
        return line, "helper", (line,)
    words = " ".join(str(error).split())[:300]
    line = f"{op}: {type(error).__name__}" + (f": {words}" if words else "")
    return line, "internal", (line,)
