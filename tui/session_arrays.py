"""Columns of a snapshot as arrays, one place for each image in the order of their ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colonnade.engine.columns import IMAGE_COLUMNS
from colonnade.engine.duck import identifier, parquet

if TYPE_CHECKING:
    import numpy as np
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import DataFile, Snapshot

__all__ = [
    "Base",
    "Floats",
    "Statuses",
    "Wholes",
    "load_base",
    "load_floats",
    "load_ranks",
    "load_statuses",
    "load_wholes",
]

_STATUS = {"accepted": 2, "tentative": 1}
_UNKNOWN = 255


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


def _fetch(cursor: DuckDBPyConnection, sql: str) -> list[np.ndarray]:
    return list(cursor.execute(sql).fetchnumpy().values())


def load_base(cursor: DuckDBPyConnection, snapshot: Snapshot, key: tuple[str, ...]) -> Base:
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


def load_floats(cursor: DuckDBPyConnection, base: Base, files: tuple[DataFile, ...], kind: str) -> Floats:
    import numpy as np

    if not files:
        return Floats(np.full(len(base), np.nan, np.float32))
    ids, values = _fetch(cursor, f"SELECT image_id, {identifier(kind)}::FLOAT FROM {parquet(files)}")
    known = ~np.ma.getmaskarray(values)
    numbers = np.ma.getdata(values)
    odd = bool(np.isnan(numbers[known]).any())
    return Floats(_placed(base, np.asarray(ids), np.where(known, numbers, np.float32("nan")), np.nan), odd)


def load_statuses(cursor: DuckDBPyConnection, base: Base, files: tuple[DataFile, ...]) -> Statuses:
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


def load_wholes(cursor: DuckDBPyConnection, base: Base, snapshot: Snapshot, column: str) -> Wholes:
    name = identifier(column)
    value = f"epoch_us({name})" if IMAGE_COLUMNS[column] == "TIMESTAMP" else name
    return _wholes(cursor, base, snapshot.files("images"), value)


def load_ranks(cursor: DuckDBPyConnection, base: Base, files: tuple[DataFile, ...], column: str) -> Wholes:
    import numpy as np

    if not files:
        return Wholes(np.zeros(len(base), np.int64), np.zeros(len(base), bool))
    name = identifier(column)
    # Half the memory of dense_rank(): of two neighbours, equal hashes tell equal texts.
    ids, hashes, there = (
        np.asarray(values)
        for values in _fetch(
            cursor,
            f"SELECT image_id, hash({name}), {name} IS NOT NULL FROM {parquet(files)} ORDER BY {name}",
        )
    )
    ranks = np.zeros(len(ids), np.int32)
    np.cumsum(hashes[1:] != hashes[:-1], out=ranks[1:])
    return Wholes(_placed(base, ids, ranks, 0), _placed(base, ids, there, False))


def _wholes(cursor: DuckDBPyConnection, base: Base, files: tuple[DataFile, ...], value: str) -> Wholes:
    import numpy as np

    if not files:
        return Wholes(np.zeros(len(base), np.int64), np.zeros(len(base), bool))
    ids, values = _fetch(cursor, f"SELECT image_id, {value} FROM {parquet(files)}")
    known = ~np.ma.getmaskarray(values)
    numbers = np.where(known, np.ma.getdata(values), 0)
    ids = np.asarray(ids)
    return Wholes(_placed(base, ids, numbers, 0), _placed(base, ids, known, False))
