"""Statements of the SQL console: run in a process of their own, stopped by hand or by the clock.

    with SqlConsole(path) as console:
        rows = console.run("SELECT path, earth FROM wide ORDER BY earth DESC")      blocks; from any thread
    console.cancel()                                                                from another

A statement that takes all memory, crashes DuckDB or cannot be interrupted costs that process; the next one gets a
new one.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from colonnade.engine.errors import ColonnadeError, InputError, StoreError
from colonnade.tui.sql_text import Names
from colonnade.tui.sql_worker import SqlFault, SqlRows, SqlTask, answer

if TYPE_CHECKING:
    from colonnade.engine.isolate import IsolatedPool

__all__ = ["FailedStatement", "SqlConsole", "SqlRows", "StoppedError", "names_of"]

TIME_LIMIT_S = 60.0
MAX_CHARACTERS = 15_000
"""Of a statement: it is handed to the other process at once, each character up to four bytes."""


class StoppedError(ColonnadeError):
    """The user stopped it."""


class FailedStatement(InputError):
    """The statement is wrong, or took too long."""

    def __init__(self, message: str, place: tuple[int, int, int] | None = None) -> None:
        super().__init__(message)
        self.place = place
        """Row, first column, column after the last, from 0."""


class SqlConsole:
    """Runs one statement at a time on the live snapshot of a store."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._pool: IsolatedPool[SqlTask, SqlRows | SqlFault] | None = None
        self._busy = False

    def __enter__(self) -> SqlConsole:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self.close()

    def run(self, text: str, *, time_limit_s: float = TIME_LIMIT_S) -> SqlRows:
        """Run a statement and read its first rows.

        Raises:
            FailedStatement: it is wrong, and where; it writes; or it was over a limit.
            StoppedError: `cancel` or `close` was called.
            StoreError: the store cannot be read.
            ColonnadeError: no process can be started; or another statement runs.
        """
        if len(text) > MAX_CHARACTERS:
            raise FailedStatement(f"{len(text):,} characters; {MAX_CHARACTERS:,} is the most here")
        task = SqlTask(str(self._store), text, time_limit_s)
        pool = self._begin()
        try:
            outcome = next(pool.run([task]), None)
        finally:
            with self._lock:
                self._busy = False
        if outcome is None:
            raise StoppedError("stopped")
        found = outcome.value
        if isinstance(found, SqlRows):
            return found
        if found is None:
            raise FailedStatement(f"{outcome.error}; stopped" if outcome.died else str(outcome.error))
        raise StoreError(found.message) if found.store else FailedStatement(found.message, found.place)

    def cancel(self) -> bool:
        """Stop what runs; False if nothing does."""
        with self._lock:
            if not self._busy:
                return False
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        return True

    def close(self) -> None:
        """Stop what runs, and end the process."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _begin(self) -> IsolatedPool[SqlTask, SqlRows | SqlFault]:
        from colonnade.engine.isolate import IsolatedPool

        with self._lock:
            if self._busy:
                raise ColonnadeError("a statement runs already; stop it first")
            if self._pool is None:
                self._pool = IsolatedPool(answer, workers=1, timeout=_seconds, ahead=1)
            self._busy = True
            return self._pool


def _seconds(task: SqlTask) -> float:
    return task.seconds


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
