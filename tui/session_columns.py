"""Columns of a snapshot held in memory, in the order of the image ids: what queries and tables look at.

A column is read once from the files that hold it and kept under their names, which are never reused, so a new
snapshot reads only what it changed. Beyond `BUDGET` bytes the columns used least recently are dropped.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colonnade.engine.columns import IMAGE_COLUMNS
from colonnade.engine.duck import identifier, parquet

if TYPE_CHECKING:
    import numpy as np
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import DataFile, Snapshot

__all__ = ["BUDGET", "Base", "Columns", "Floats", "Statuses", "Wholes", "file_key"]

BUDGET = 48 << 20
_STATUS = {"accepted": 2, "tentative": 1}
_UNKNOWN = 255


def file_key(files: tuple[DataFile, ...]) -> tuple[str, ...]:
    """What tells the content of files: their names hold digests."""
    return tuple(file.name for file in files)


@dataclass(frozen=True, eq=False)
class Base:
    """The images of a snapshot: every column has one place for each."""

    key: tuple[str, ...]
    ids: np.ndarray
    """int64 [n], ascending."""
    ok: np.ndarray
    """bool [n]: in state `ok`."""

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(places int64 [k], found bool [k]) of image ids; the place of one not found means nothing."""
        import numpy as np

        places = np.searchsorted(self.ids, ids)
        places[places == len(self.ids)] = 0
        found = self.ids[places] == ids if len(self.ids) else np.zeros(len(ids), dtype=bool)
        return places, found

    def place(self, image_id: int) -> int | None:
        """The place of one image id."""
        place = int(self.ids.searchsorted(image_id))
        return place if place < len(self.ids) and self.ids[place] == image_id else None


@dataclass(frozen=True, eq=False)
class Floats:
    """float32 [n]; nan where there is no value."""

    values: np.ndarray
    odd: bool = False
    """Whether a stored value is itself nan, so that DuckDB alone knows how it compares."""

    @property
    def nbytes(self) -> int:
        return int(self.values.nbytes)


@dataclass(frozen=True, eq=False)
class Wholes:
    """int64 or int32 [n], and which of them are values."""

    values: np.ndarray
    known: np.ndarray

    @property
    def nbytes(self) -> int:
        return int(self.values.nbytes + self.known.nbytes)


@dataclass(frozen=True, eq=False)
class Statuses:
    """The statuses of an attribute, a bit each: numpy's packbits of bool [n]."""

    rows: int
    known_bits: np.ndarray
    accepted_bits: np.ndarray
    tentative_bits: np.ndarray

    @property
    def nbytes(self) -> int:
        return int(3 * self.known_bits.nbytes)

    def _bools(self, bits: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.unpackbits(bits, count=self.rows).view(bool)

    @property
    def known(self) -> np.ndarray:
        return self._bools(self.known_bits)

    @property
    def accepted(self) -> np.ndarray:
        return self._bools(self.accepted_bits)

    @property
    def tentative(self) -> np.ndarray:
        """bool [n]: tentative, and not accepted."""
        return self._bools(self.tentative_bits)

    def words(self, places: np.ndarray) -> list[str | None]:
        """The statuses at some places."""

        def bit(bits: np.ndarray) -> list[int]:
            found: list[int] = ((bits[places >> 3] >> (7 - (places & 7))) & 1).tolist()
            return found

        return [
            "accepted" if accepted else "tentative" if tentative else "rejected" if known else None
            for accepted, tentative, known in zip(
                bit(self.accepted_bits), bit(self.tentative_bits), bit(self.known_bits), strict=True
            )
        ]


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
        found: Base = self.get(("base", key), lambda: _load_base(cursor, snapshot, key))
        return found

    def floats(self, cursor: DuckDBPyConnection, snapshot: Snapshot, kind: str, code: str) -> Floats:
        """An attribute's confidences or logits (`kind`)."""
        base, files = self.base(cursor, snapshot), snapshot.files("scores", code)
        found: Floats = self.get(
            (kind, code, base.key, file_key(files)), lambda: _load_floats(cursor, base, files, kind)
        )
        return found

    def statuses(self, cursor: DuckDBPyConnection, snapshot: Snapshot, code: str) -> Statuses:
        """An attribute's statuses."""
        base, files = self.base(cursor, snapshot), snapshot.files("scores", code)
        found: Statuses = self.get(
            ("status", code, base.key, file_key(files)), lambda: _load_statuses(cursor, base, files)
        )
        return found

    def wholes(self, cursor: DuckDBPyConnection, snapshot: Snapshot, column: str) -> Wholes:
        """A column of the images that is a number, or a time in microseconds since 1970."""
        base = self.base(cursor, snapshot)
        found: Wholes = self.get(
            ("image", column, base.key), lambda: _load_wholes(cursor, base, snapshot, column)
        )
        return found

    def ranks(
        self, cursor: DuckDBPyConnection, snapshot: Snapshot, table: str, code: str | None, column: str
    ) -> Wholes:
        """How a text column (of the images, or of an attribute's scores) sorts: equal texts have equal ranks."""
        base, files = self.base(cursor, snapshot), snapshot.files(table, code)
        found: Wholes = self.get(
            ("rank", column, code, base.key, file_key(files)),
            lambda: _load_ranks(cursor, base, files, column),
        )
        return found


def _size(value: Any) -> int:
    if isinstance(value, Base):
        return int(value.ids.nbytes + value.ok.nbytes)
    return int(value.nbytes)


def _fetch(cursor: DuckDBPyConnection, sql: str) -> list[np.ndarray]:
    return list(cursor.execute(sql).fetchnumpy().values())


def _load_base(cursor: DuckDBPyConnection, snapshot: Snapshot, key: tuple[str, ...]) -> Base:
    import numpy as np

    files = snapshot.files("images")
    if not files:
        return Base(key, np.empty(0, np.int64), np.empty(0, bool))
    sql = f"SELECT image_id, coalesce(state = 'ok', false) FROM {parquet(files)}"
    ids, ok = (np.asarray(column) for column in _fetch(cursor, sql))
    if len(ids) and not (ids[1:] > ids[:-1]).all():
        order = np.argsort(ids, kind="stable")
        ids, ok = ids[order], ok[order]
    return Base(key, ids, ok)


def _placed(base: Base, ids: np.ndarray, values: np.ndarray, missing: Any) -> np.ndarray:
    """Values of some image ids at the places of these images, `missing` elsewhere."""
    import numpy as np

    if np.array_equal(ids, base.ids):
        return values
    placed = np.full(len(base), missing, dtype=values.dtype)
    if len(base):
        places, found = base.places(ids)
        placed[places[found]] = values[found]
    return placed


def _load_floats(cursor: DuckDBPyConnection, base: Base, files: tuple[DataFile, ...], kind: str) -> Floats:
    import numpy as np

    if not files:
        return Floats(np.full(len(base), np.nan, np.float32))
    ids, values = _fetch(cursor, f"SELECT image_id, {identifier(kind)}::FLOAT FROM {parquet(files)}")
    known = ~np.ma.getmaskarray(values)
    numbers = np.ma.getdata(values)
    odd = bool(np.isnan(numbers[known]).any())
    return Floats(_placed(base, np.asarray(ids), np.where(known, numbers, np.float32("nan")), np.nan), odd)


def _load_statuses(cursor: DuckDBPyConnection, base: Base, files: tuple[DataFile, ...]) -> Statuses:
    import numpy as np

    if files:
        cases = " ".join(f"WHEN '{word}' THEN {number}" for word, number in _STATUS.items())
        sql = (
            f"SELECT image_id, (CASE WHEN status IS NULL THEN {_UNKNOWN} ELSE CASE status {cases} ELSE 0 END END)"
            f"::UTINYINT FROM {parquet(files)}"
        )
        ids, found = (np.asarray(column) for column in _fetch(cursor, sql))
        values = _placed(base, ids, found, _UNKNOWN)
    else:
        values = np.full(len(base), _UNKNOWN, np.uint8)
    return Statuses(
        len(base), np.packbits(values != _UNKNOWN), np.packbits(values == 2), np.packbits(values == 1)
    )


def _load_wholes(cursor: DuckDBPyConnection, base: Base, snapshot: Snapshot, column: str) -> Wholes:
    name = identifier(column)
    value = f"epoch_us({name})" if IMAGE_COLUMNS[column] == "TIMESTAMP" else name
    return _wholes(cursor, base, snapshot.files("images"), value)


def _load_ranks(cursor: DuckDBPyConnection, base: Base, files: tuple[DataFile, ...], column: str) -> Wholes:
    name = identifier(column)
    value = f"CASE WHEN {name} IS NOT NULL THEN dense_rank() OVER (ORDER BY {name}) END"
    return _wholes(cursor, base, files, value)


def _wholes(cursor: DuckDBPyConnection, base: Base, files: tuple[DataFile, ...], value: str) -> Wholes:
    import numpy as np

    if not files:
        return Wholes(np.zeros(len(base), np.int64), np.zeros(len(base), bool))
    ids, values = _fetch(cursor, f"SELECT image_id, {value} FROM {parquet(files)}")
    known = ~np.ma.getmaskarray(values)
    numbers = np.where(known, np.ma.getdata(values), 0)
    ids = np.asarray(ids)
    return Wholes(_placed(base, ids, numbers, 0), _placed(base, ids, known, False))
