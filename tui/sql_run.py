"""Statements of the SQL console: run beside the event loop, stopped by hand or by the clock, bounded in memory.

console = SqlConsole(path)
rows = console.run("SELECT path, earth FROM wide ORDER BY earth DESC", arrived)      blocks; from any thread
console.cancel()                                                                     from another
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colonnade.engine.errors import ColonnadeError, InputError
from colonnade.tui.sql_text import Names, place_of_error

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["FailedStatement", "SqlConsole", "SqlRows", "StoppedError", "names_of"]

TIME_LIMIT_S = 60.0
MAX_ROWS = 100_000
MAX_BYTES = 24 << 20
"""Rows that are kept to be looked at; an export has all."""
MAX_TEXT = 4_000
_MEMORY_BYTES = 512 << 20
_FIRST_ROWS = 256
_SAMPLED = 16
_PLAIN = (bool, int, float)

Row = tuple[Any, ...]


class StoppedError(ColonnadeError):
    """The user stopped it."""


class FailedStatement(InputError):
    """The statement is wrong, or took too long."""

    def __init__(self, message: str, place: tuple[int, int, int] | None = None) -> None:
        super().__init__(message)
        self.place = place
        """Row, first column, column after the last, from 0."""


@dataclass
class SqlRows:
    """What a statement gave, as far as it has been read. As a source of a windowed table it never waits."""

    text: str
    snapshot: int
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    complete: bool = False
    """Every row has been read; else there may be more."""
    seconds: float = 0.0

    immediate = True

    @property
    def count(self) -> int:
        return len(self.rows)

    def block(self, k: int, /) -> Sequence[Row]:
        """Rows 256 k to 256 k + 255."""
        return self.rows[256 * k : 256 * (k + 1)]


class SqlConsole:
    """Runs one statement at a time on the live snapshot of a store."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._watch: _Watch | None = None

    def run(
        self,
        text: str,
        arrived: Callable[[SqlRows], None] | None = None,
        *,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> SqlRows:
        """Run a statement; `arrived` is called with the first rows while the rest is being read.

        Raises:
            FailedStatement: it is wrong, and where; it writes; or it was over a limit.
            StoppedError: `cancel` was called.
            StoreError: the store cannot be read.
        """
        from colonnade.engine.console import run_sql
        from colonnade.engine.snapshots import open_snapshot

        watch = _Watch(time_limit_s)
        with self._lock:
            self._watch = watch
        began = time.perf_counter()
        try:
            snapshot = open_snapshot(self._store)
            result = run_sql(snapshot, text, memory_bytes=_MEMORY_BYTES)
            result._guard = watch.over  # so that what runs can be interrupted from another thread
            found = SqlRows(text, snapshot.number, result.columns, result.types)
            found.complete = self._read(result.blocks(_FIRST_ROWS), found, arrived, watch)
        except InputError as error:
            if isinstance(error, FailedStatement):
                raise
            cause = str(error.__cause__) if error.__cause__ is not None else ""
            raise FailedStatement(str(error).removeprefix("sql: "), place_of_error(cause, text)) from error
        finally:
            with self._lock:
                if self._watch is watch:
                    self._watch = None
        found.seconds = time.perf_counter() - began
        return found

    def cancel(self) -> bool:
        """Stop what runs; False if nothing does."""
        with self._lock:
            watch = self._watch
        if watch is not None:
            watch.stop()
        return watch is not None

    def _read(
        self,
        blocks: Iterator[list[Row]],
        found: SqlRows,
        arrived: Callable[[SqlRows], None] | None,
        watch: _Watch,
    ) -> bool:
        held = 0
        for block in blocks:
            if watch.stopped:
                raise StoppedError("stopped")
            rows = [tuple(_kept(value) for value in row) for row in block]
            found.rows += rows
            sample = rows[::_SAMPLED]
            held += (
                sum(64 + sum(sys.getsizeof(value) for value in row) for row in sample)
                * len(rows)
                // len(sample)
            )
            if arrived is not None and len(found.rows) == len(rows) == _FIRST_ROWS:
                arrived(found)
            if held >= MAX_BYTES or len(found.rows) >= MAX_ROWS:
                return next(blocks, None) is None
        return True


class _Watch:
    """Interrupts the connection that works for a statement: by hand, or after a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._connection: DuckDBPyConnection | None = None
        self.stopped = False

    def stop(self) -> None:
        with self._lock:
            self.stopped = True
            if self._connection is not None:
                self._connection.interrupt()

    @contextmanager
    def over(self, connection: DuckDBPyConnection) -> Iterator[None]:
        import duckdb

        with self._lock:
            self._connection = connection
        if self.stopped:
            raise StoppedError("stopped")
        timer = threading.Timer(self._seconds, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except duckdb.InterruptException:
            if self.stopped:
                raise StoppedError("stopped") from None
            raise FailedStatement(f"took longer than {self._seconds:g} s; stopped") from None
        finally:
            timer.cancel()
            timer.join()  # a thread that still holds the connection when Python ends makes DuckDB complain
            with self._lock:
                self._connection = None


def names_of(store: Path) -> Names:
    """What a statement on a store may name: its views, their columns, its attributes."""
    from colonnade.engine.columns import IMAGE_COLUMNS
    from colonnade.engine.snapshots import open_snapshot
    from colonnade.engine.views import VIEW_COLUMNS

    codes = open_snapshot(store).partitions("scores")
    views = {view: tuple(columns) for view, columns in VIEW_COLUMNS.items()}
    views["derived"] = views["scores"]
    views["wide"] = (*IMAGE_COLUMNS, *codes)
    order = ("wide", "images", "scores")
    return Names(
        {view: views[view] for view in (*order, *(view for view in views if view not in order))},
        tuple(codes),
        (
            ("status", ("accepted", "tentative", "rejected")),
            ("state", ("ok", "unreadable", "missing")),
            ("label_source", ("clip_zero_shot", "derived_rule")),
            ("source", ("file", "import")),
        ),
    )


def _kept(value: Any) -> Any:
    """A value as it is kept: numbers as they are, everything else as a text of bounded length."""
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, bytes | bytearray):
        value = bytes(value[: MAX_TEXT // 2]).hex()
    if isinstance(value, list) and len(value) > 64 and all(isinstance(each, float) for each in value):
        value = f"[{', '.join(f'{each:.4g}' for each in value[:64])}, ... {len(value)} numbers]"
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
