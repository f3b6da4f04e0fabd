"""One statement of the SQL console, answered in a process of its own: what it takes is not taken from the app."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colonnade.tui.session_damage import check_images, check_scores, missing_scores
from colonnade.tui.sql_text import place_of_error

if TYPE_CHECKING:
    from colonnade.engine.snapshots import Snapshot

__all__ = ["SqlFault", "SqlRows", "SqlTask", "answer"]

MAX_ROWS = 100_000
MAX_BYTES = 24 << 20
"""Rows that are kept to be looked at; an export has all."""
MAX_TEXT = 4_000
"""Characters of a value."""
_MEMORY_BYTES = 2 << 30
_BLOCK_ROWS = 1024
_SAMPLED = 64
_SHOWN_NUMBERS = 64
_SCORED_VIEWS = ("wide", "scores", "derived")

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SqlTask:
    """What is to be run on the live snapshot of a store."""

    store: str
    text: str
    seconds: float


@dataclass
class SqlRows:
    """What a statement gave. As a source of a windowed table it never waits."""

    text: str
    snapshot: int
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    complete: bool = False
    """These are all rows; else there are more."""
    seconds: float = 0.0

    immediate = True

    @property
    def count(self) -> int:
        return len(self.rows)

    def block(self, k: int, /) -> Sequence[Row]:
        """Rows 256 k to 256 k + 255."""
        return self.rows[256 * k : 256 * (k + 1)]


@dataclass(frozen=True, slots=True)
class SqlFault:
    """Why there is no answer."""

    message: str
    store: bool = False
    """It is the store's fault, not the statement's."""
    place: tuple[int, int, int] | None = None
    """Row, first column, column after the last, from 0, of what is wrong in the statement."""


def answer(task: SqlTask) -> SqlRows | SqlFault:
    """Run a statement and read its first rows."""
    from colonnade.engine.console import run_sql
    from colonnade.engine.errors import ColonnadeError, InputError
    from colonnade.engine.snapshots import open_snapshot

    began = time.perf_counter()
    try:
        snapshot = open_snapshot(Path(task.store))
        _check_files(snapshot, task.text)
        result = run_sql(snapshot, task.text, memory_bytes=_MEMORY_BYTES)
        found = SqlRows(task.text, snapshot.number, result.columns, result.types)
        held = 0
        for block in result.blocks(_BLOCK_ROWS):
            if held >= MAX_BYTES or len(found.rows) >= MAX_ROWS:
                break
            found.rows += [tuple(_kept(value) for value in row) for row in block]
            sample = found.rows[-len(block) :: _SAMPLED]
            held += sum(64 + sum(sys.getsizeof(value) for value in row) for row in sample) * _SAMPLED
        else:
            found.complete = True
    except InputError as error:
        cause = str(error.__cause__) if error.__cause__ is not None else ""
        return SqlFault(str(error).removeprefix("sql: "), place=place_of_error(cause, task.text))
    except ColonnadeError as error:
        return SqlFault(str(error), store=True)
    found.seconds = time.perf_counter() - began
    return found


def _check_files(snapshot: Snapshot, text: str) -> None:
    """Refuse views whose files are gone: they would give nothing, or less than there is.

    Raises:
        StoreError: such a view may be read.
    """
    check_images(snapshot)
    if any(view in text.lower() for view in _SCORED_VIEWS):
        check_scores(snapshot, missing_scores(snapshot))


def _kept(value: Any) -> Any:
    """A value as it is kept: numbers as they are, everything else as a text of bounded length."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 1 << 63:
        return value
    if isinstance(value, bytes | bytearray):
        value = bytes(value[: MAX_TEXT // 2]).hex()
    if (
        isinstance(value, list)
        and len(value) > _SHOWN_NUMBERS
        and all(isinstance(each, float) for each in value)
    ):
        shown = ", ".join(f"{each:.4g}" for each in value[:_SHOWN_NUMBERS])
        value = f"[{shown}, ... {len(value)} numbers]"
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
