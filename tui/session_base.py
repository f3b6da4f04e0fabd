"""A store as the app has it open: its newest snapshot, its vocabulary, a database to read with."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from colonnade.engine.duck import duck_errors
from colonnade.engine.errors import ColonnadeError
from colonnade.engine.settings import Settings, read_settings
from colonnade.engine.snapshots import Snapshot, open_snapshot
from colonnade.tui.session_columns import Columns
from colonnade.tui.session_model import SupersededError

if TYPE_CHECKING:
    import numpy as np
    from duckdb import DuckDBPyConnection

    from colonnade.engine.vocabulary import Vocabulary
    from colonnade.tui.helper_client import HelperClient
    from colonnade.tui.session_search import Names
    from colonnade.tui.session_selection import Selected, Selection

__all__ = ["SessionBase", "State"]

_MEMORY = 256 << 20
_THREADS = 4
_FILES = ("vocabulary.yaml", "colonnade.toml", "queries.yaml")


@dataclass(frozen=True)
class State:
    """A store as it was when it was last looked at."""

    mark: tuple[object, ...]
    snapshot: Snapshot
    settings: Settings
    vocabulary: Vocabulary
    """The user's file or, where that is wrong, what the snapshot was made with."""
    fault: ColonnadeError | None
    """What is wrong with the user's file."""
    saved: Mapping[str, str]
    saved_fault: ColonnadeError | None


class SessionBase:
    """What every part of the session builds on.

    Args:
        path: the store's folder; whether there is one shows when something is asked of it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self.name = self.path.name or str(self.path)
        self.query = ""
        """The expression that is shown; "" matches every image."""
        self.sort: str | None = None
        self.attribute: str | None = None
        self.image: int | None = None
        self.marks: set[int] = set()
        self._selected: dict[str, Selection] = {}
        self._columns = Columns()
        self._lock = threading.RLock()
        self._closed = False
        self._state: State | None = None
        self._connection: DuckDBPyConnection | None = None
        self._helpers: dict[str, HelperClient] = {}
        self._states: tuple[tuple[object, ...], dict[str, str]] | None = None
        """What the helper found of the attributes' states, of which look at the store."""

    @property
    def snapshot(self) -> int:
        """The number of the snapshot that is shown."""
        return self._now().snapshot.number

    @property
    def model(self) -> str | None:
        """The active model's key, or how it will be loaded."""
        settings = self._now().settings
        return settings.model_key or settings.spec or None

    @property
    def writable(self) -> bool:
        """Whether the store's folder can be written by this user."""
        return os.access(self.path, os.W_OK) and os.access(self.path / "_stage", os.W_OK)

    @property
    def selections(self) -> dict[str, Selected]:
        """What `in_selection(NAME)` may name: what was selected last on the map, and the marked images."""
        found: dict[str, Selected] = dict(self._selected)
        if self.marks:
            found["marks"] = frozenset(self.marks)
        return found

    def select(self, name: str, ids: Sequence[int] | np.ndarray) -> None:
        """Keep images as `in_selection(name)`, in the place of earlier ones; in memory alone."""
        import numpy as np

        from colonnade.tui.session_selection import Selection

        self._selected[name] = Selection(np.unique(np.asarray(ids, dtype=np.int64)))

    def notice(self) -> bool:
        """Whether the store changed since it was last looked at; what comes next sees it as it is now.

        Never raises. Cheap enough to be asked several times a second.
        """
        with self._lock:
            if self._state is None or self._state.mark == self._mark():
                return False
            self._state = None
            return True

    def close(self) -> None:
        """End what runs for this session. Jobs go on."""
        with self._lock:
            connection, self._connection = self._connection, None
            self._state, self._closed = None, True
        if connection is not None:
            connection.interrupt()
            connection.close()

    def _now(self) -> State:
        with self._lock:
            if self._state is None:
                self._state = _look(self.path, self._mark())
            return self._state

    def _mark(self) -> tuple[object, ...]:
        """What changes whenever the store does."""
        return (_target(self.path / "live"), *(_stamp(self.path / name) for name in _FILES))

    def _names(self, state: State | None = None) -> Names:
        """What an expression may name."""
        from colonnade.tui.session_search import Names

        state = self._now() if state is None else state
        snapshot = state.snapshot
        codes = dict.fromkeys((*state.vocabulary.codes, *snapshot.partitions("scores")))
        sets = snapshot.partitions("sets")
        return Names(snapshot, tuple(codes), sets, state.saved, self.selections)

    def _cursor(self) -> DuckDBPyConnection:
        """A cursor of its own on the session's database."""
        from colonnade.engine.duck import connect

        with self._lock:
            if self._closed:
                raise SupersededError("the session was closed")
            if self._connection is None:
                self._connection = connect(memory_bytes=_MEMORY)
                # What a large sort took goes back to the system, not into the app's size for good.
                self._connection.execute("SET allocator_background_threads = true")
                self._connection.execute(f"SET threads = {min(_THREADS, os.cpu_count() or 1)}")
            return self._connection.cursor()

    @contextmanager
    def _reading(self) -> Iterator[DuckDBPyConnection]:
        """A cursor; what DuckDB raises becomes one line."""
        with duck_errors(str(self.path)), self._cursor() as cursor:
            yield cursor


def _target(path: Path) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _look(path: Path, mark: tuple[object, ...]) -> State:
    """The store as it is now; only without a store or its settings there is nothing to show.

    Raises:
        StoreError: there is no store, or its settings are damaged.
    """
    from colonnade.engine.queries_file import read_queries

    settings, snapshot = read_settings(path), open_snapshot(path)
    vocabulary, fault = _read_vocabulary(path, snapshot)
    saved, saved_fault = {}, None
    try:
        saved = read_queries(path)
    except ColonnadeError as error:
        saved_fault = error
    return State(mark, snapshot, settings, vocabulary, fault, saved, saved_fault)


def _read_vocabulary(path: Path, snapshot: Snapshot) -> tuple[Vocabulary, ColonnadeError | None]:
    from colonnade.engine.store import Store
    from colonnade.engine.vocabulary import Thresholds, Vocabulary, parse_vocabulary

    fault: ColonnadeError
    try:
        return Store(path).vocabulary(), None
    except ColonnadeError as error:
        fault = error
    with suppress(ColonnadeError):
        return parse_vocabulary(snapshot.vocabulary_bytes(), f"{snapshot.path}/vocabulary.yaml"), fault
    return Vocabulary(Thresholds(), (), (), ()), fault
