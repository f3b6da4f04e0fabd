"""Columns of a snapshot held in memory, in the order of the image ids: what queries and tables look at.

A column is read once from the files that hold it and kept under their names, which are never reused, so a new
snapshot reads only what it changed. Beyond `BUDGET` bytes the columns used least recently are dropped.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from colonnade.tui.session_arrays import (
    Base,
    Floats,
    Statuses,
    Wholes,
    load_base,
    load_floats,
    load_ranks,
    load_statuses,
    load_wholes,
)
from colonnade.tui.session_damage import check_images, score_files

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import DataFile, Snapshot

__all__ = ["BUDGET", "Base", "Columns", "file_key"]

BUDGET = 40 << 20


def file_key(files: tuple[DataFile, ...]) -> tuple[str, ...]:
    """What tells the content of files: their names hold digests."""
    return tuple(file.name for file in files)


class Columns:
    """The cache. Thread-safe; a column is loaded by one thread while others wait for it."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, load: Callable[[], Any]) -> Any:
        """The value under a key, made by `load` where it is not there yet."""
        found = self._find(key)
        if found is not None:
            return found
        with self._lock:
            turn = self._loading.setdefault(key, threading.Lock())
        with turn:
            found = self._find(key)
            if found is not None:
                return found
            try:
                made = load()
                with self._lock:
                    self._held[key] = made
                    self._drop_least_used()
            finally:
                with self._lock:
                    self._loading.pop(key, None)
            return made

    def _find(self, key: Hashable) -> Any:
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            return found

    def _drop_least_used(self) -> None:
        size = sum(_size(value) for value in self._held.values())
        for key in list(self._held)[:-1]:
            if size <= self._budget:
                return
            size -= _size(self._held.pop(key))

    @property
    def nbytes(self) -> int:
        """What the held columns take."""
        with self._lock:
            return sum(_size(value) for value in self._held.values())

    def base(self, cursor: DuckDBPyConnection, snapshot: Snapshot) -> Base:
        """The images of a snapshot."""
        key = file_key(snapshot.files("images"))

        def load() -> Base:
            check_images(snapshot)
            return load_base(cursor, snapshot, key)

        found: Base = self.get(("base", key), load)
        return found

    def floats(self, cursor: DuckDBPyConnection, snapshot: Snapshot, kind: str, code: str) -> Floats:
        """An attribute's column `kind`: confidence, logit or log_odds."""
        base, files = self.base(cursor, snapshot), score_files(snapshot, code)
        found: Floats = self.get(
            (kind, code, base.key, file_key(files)), lambda: load_floats(cursor, base, files, kind)
        )
        return found

    def statuses(self, cursor: DuckDBPyConnection, snapshot: Snapshot, code: str) -> Statuses:
        """An attribute's statuses."""
        base, files = self.base(cursor, snapshot), score_files(snapshot, code)
        found: Statuses = self.get(
            ("status", code, base.key, file_key(files)), lambda: load_statuses(cursor, base, files)
        )
        return found

    def wholes(self, cursor: DuckDBPyConnection, snapshot: Snapshot, column: str) -> Wholes:
        """A column of the images that is a number, or a time in microseconds since 1970."""
        base = self.base(cursor, snapshot)
        found: Wholes = self.get(
            ("image", column, base.key), lambda: load_wholes(cursor, base, snapshot, column)
        )
        return found

    def ranks(
        self, cursor: DuckDBPyConnection, snapshot: Snapshot, table: str, code: str | None, column: str
    ) -> Wholes:
        """How a text column (of the images, or of an attribute's scores) sorts: equal texts have equal ranks."""
        base, files = self.base(cursor, snapshot), snapshot.files(table, code)
        found: Wholes = self.get(
            ("rank", column, code, base.key, file_key(files)),
            lambda: load_ranks(cursor, base, files, column),
        )
        return found


def _size(value: Any) -> int:
    if isinstance(value, Base):
        return int(value.ids.nbytes + value.ok.nbytes)
    return int(value.nbytes)
