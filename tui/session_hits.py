"""What a search found: counts, blocks of rows by position, places, facets. Nothing of it changes once it is made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isnan
from typing import TYPE_CHECKING, Any

from colonnade.engine.columns import IMAGE_COLUMNS
from colonnade.engine.duck import duck_errors, identifier, parquet
from colonnade.engine.query_fields import SCORE_FIELDS, Field, SortKey
from colonnade.tui.session_arrays import Base
from colonnade.tui.session_columns import Columns, file_key
from colonnade.tui.session_paths import read_texts

if TYPE_CHECKING:
    import numpy as np
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import Snapshot
    from colonnade.tui.session_selection import Selected

__all__ = ["BLOCK", "Hits", "Row"]

BLOCK = 256
"""Rows in a block."""

Row = tuple[Any, ...]
_EPOCH = datetime(1970, 1, 1)


@dataclass(eq=False)
class Hits:
    """The images that a search found, best read in blocks of 256 rows. Thread-safe.

    `text`, `sort` and `snapshot` say what was asked of which snapshot; `columns` names what a row holds;
    `seconds` is how long the search took; `warnings` is what the user should know, a line each.
    """

    text: str
    sort: str | None
    snapshot: Snapshot
    fields: tuple[Field, ...]
    keys: tuple[SortKey, ...]
    seconds: float
    warnings: tuple[str, ...]
    base: Base
    matched: np.ndarray
    """bool [n] over the places of `base`."""
    source: Columns
    cursor: Callable[[], DuckDBPyConnection]
    selections: Mapping[str, Selected] = field(default_factory=dict)
    """The selections that `text` names, as they were."""

    def __post_init__(self) -> None:
        import numpy as np

        self.count = int(np.count_nonzero(self.matched))
        self._order: np.ndarray | None = None
        self._ordering = threading.Lock()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns: `image_id`, `path`, `earth`, `earth.status`."""
        return tuple(field.label for field in self.fields)

    @property
    def types(self) -> tuple[str, ...]:
        """DuckDB's names of the columns' types."""
        return tuple(field.type for field in self.fields)

    @property
    def blocks(self) -> int:
        return -(-self.count // BLOCK)

    def block(self, number: int) -> list[Row]:
        """Rows 256 x number and following; empty past the end.

        Raises:
            StoreError: the files cannot be read (any more).
        """
        return self.rows(self.places(number * BLOCK, (number + 1) * BLOCK))

    def ids(self, start: int = 0, stop: int | None = None) -> list[int]:
        """Image ids by position."""
        found: list[int] = self.base.ids[self.places(start, self.count if stop is None else stop)].tolist()
        return found

    def position_of(self, image_id: int) -> int | None:
        """Where an image stands, from 0; None if it is not among the hits."""
        place = self.base.place(image_id)
        if place is None or not self.matched[place]:
            return None
        order = self._ordered()
        found = order.searchsorted(place) if not self.keys else (order == place).argmax()
        return int(found)

    def nearest_position(self, image_id: int) -> int | None:
        """Where an image stands or, where it is no hit, the next one by id (the last); None without hits."""
        found = self.position_of(image_id)
        if found is not None or not self.count:
            return found
        place = int(self.base.ids.searchsorted(image_id))
        later = self.matched[place:].argmax() if self.matched[place:].any() else None
        return self.count - 1 if later is None else self.position_of(int(self.base.ids[place + int(later)]))

    def facets(self, codes: Sequence[str]) -> dict[str, int]:
        """Code -> how many of the hits are accepted, for those of the codes that are scored.

        Raises:
            StoreError: the files cannot be read (any more).
        """
        import numpy as np

        ones = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.uint8)
        bits, cursor, found = np.packbits(self.matched), self.cursor(), {}
        with duck_errors(str(self.snapshot.path)):
            for code in codes:
                if self.snapshot.files("scores", code):
                    statuses = self.source.statuses(cursor, self.snapshot, code)
                    found[code] = int(ones[statuses.accepted_bits & bits].sum(dtype=np.int64))
        return found

    def places(self, start: int, stop: int) -> np.ndarray:
        """The places in `base` of the hits from `start` to before `stop`."""
        return self._ordered()[max(0, start) : max(0, stop)]

    def _ordered(self) -> np.ndarray:
        import numpy as np

        with self._ordering:
            if self._order is None:
                if self.keys:
                    with duck_errors(str(self.snapshot.path)):
                        order = self._sorted_places()
                    self._order = order[self.matched[order]]
                else:
                    self._order = np.flatnonzero(self.matched).astype(np.uint32)
            return self._order

    def _sorted_places(self) -> np.ndarray:
        """Every place in the order asked for; one order serves every search until the files change."""
        import numpy as np

        def sort() -> np.ndarray:
            values = [self._sort_values(key) for key in reversed(self.keys)]
            order = np.argsort(values[0], kind="stable") if len(values) == 1 else np.lexsort(values)
            return order.astype(np.uint32)

        codes = {key.field.name for key in self.keys if key.field.kind != "image"}
        files = tuple(file_key(self.snapshot.files("scores", code)) for code in sorted(codes))
        found: np.ndarray = self.source.get(("order", self.keys, self.base.key, files), sort)
        return found

    def _sort_values(self, key: SortKey) -> np.ndarray:
        """Numbers that ascend in the order asked for, with what is unknown at the end."""
        import numpy as np

        field, cursor = key.field, self.cursor()
        if field.kind in ("confidence", "logit"):
            values = self.source.floats(cursor, self.snapshot, field.kind, field.name).values
            return -values if key.descending else values
        if field.kind == "status":
            statuses = self.source.statuses(cursor, self.snapshot, field.name)
            numbers = np.where(statuses.accepted, 0, np.where(statuses.tentative, 2, 1))
            known = statuses.known
        else:
            if field.kind == "source":
                found = self.source.ranks(cursor, self.snapshot, "scores", field.name, "label_source")
            elif IMAGE_COLUMNS[field.name] in ("VARCHAR", "BLOB"):
                found = self.source.ranks(cursor, self.snapshot, "images", None, field.name)
            else:
                found = self.source.wholes(cursor, self.snapshot, field.name)
            numbers, known = found.values, found.known
        numbers = numbers.astype(np.int64)
        return np.where(known, -numbers if key.descending else numbers, np.iinfo(np.int64).max)

    def rows(self, places: np.ndarray) -> list[Row]:
        """The rows at some places of `base`, with the columns of this result."""
        if not len(places):
            return []
        with duck_errors(str(self.snapshot.path)):
            return list(zip(*(self._values(field, places) for field in self.fields), strict=True))

    def _values(self, field: Field, places: np.ndarray) -> Sequence[Any]:
        cursor = self.cursor()
        ids: list[int] = self.base.ids[places].tolist()
        if field.kind in ("confidence", "logit"):
            found = self.source.floats(cursor, self.snapshot, field.kind, field.name).values[places].tolist()
            return [None if isnan(value) else value for value in found]
        if field.kind == "status":
            return self.source.statuses(cursor, self.snapshot, field.name).words(places)
        if field.kind == "source":
            column = SCORE_FIELDS[field.kind][0]
            return _by_id(cursor, self.snapshot, "scores", field.name, column, ids)
        if field.name == "image_id":
            return ids
        if IMAGE_COLUMNS[field.name] == "VARCHAR":
            return read_texts(self.source, cursor, self.snapshot, field.name, ids)
        if IMAGE_COLUMNS[field.name] == "BLOB":
            return _by_id(cursor, self.snapshot, "images", None, field.name, ids)
        wholes = self.source.wholes(cursor, self.snapshot, field.name)
        numbers = wholes.values[places].tolist()
        known = wholes.known[places].tolist()
        shown = _moment if IMAGE_COLUMNS[field.name] == "TIMESTAMP" else int
        return [shown(number) if there else None for number, there in zip(numbers, known, strict=True)]


def _moment(microseconds: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


def _by_id(
    cursor: DuckDBPyConnection,
    snapshot: Snapshot,
    table: str,
    partition: str | None,
    column: str,
    ids: Sequence[int],
) -> list[Any]:
    files = snapshot.files(table, partition)
    if not files:
        return [None] * len(ids)
    marks = ", ".join("?" * len(ids))
    sql = f"SELECT image_id, {identifier(column)} FROM {parquet(files)} WHERE image_id IN ({marks})"
    found = dict(cursor.execute(sql, list(ids)).fetchall())
    return [found.get(image_id) for image_id in ids]
