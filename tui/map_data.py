"""What the map screen reads: where the images of the active model's map are, and what holds of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from colonnade.engine.duck import duck_errors, parquet
from colonnade.engine.errors import ColonnadeError
from colonnade.tui.map_view import Points
from colonnade.tui.session_problems import lacking

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import DataFile, Snapshot
    from colonnade.tui.session import Session
    from colonnade.tui.session_columns import Base

__all__ = ["MapData", "NoMapError", "load_map"]


class NoMapError(ColonnadeError):
    """There is nothing to draw; the message says what to do next."""


@dataclass(frozen=True, eq=False)
class MapData:
    """The map of a snapshot. Every method blocks and may be called from any thread."""

    session: Session
    snapshot: Snapshot
    model: str
    points: Points
    places: np.ndarray
    """int32 [n]: where each image stands in `base`."""
    base: Base
    missing: int
    """Images with a vector that are not on the map yet."""

    def statuses(self, code: str) -> tuple[np.ndarray, np.ndarray]:
        """(accepted, tentative) bool [n] of an attribute."""
        with duck_errors(str(self.snapshot.path)), self.session._cursor() as cursor:
            found = self.session._columns.statuses(cursor, self.snapshot, code)
        return found.accepted[self.places], found.tentative[self.places]

    def accepted(self, code: str, stride: int = 1) -> np.ndarray:
        """bool [n / stride]: where an attribute is accepted, of every so manieth image."""
        with duck_errors(str(self.snapshot.path)), self.session._cursor() as cursor:
            found = self.session._columns.statuses(cursor, self.snapshot, code)
        some = self.places[::stride]
        return np.asarray((found.accepted_bits[some >> 3] >> (7 - (some & 7)) & 1).astype(bool))

    def scored(self) -> tuple[str, ...]:
        """The attributes that have scores."""
        partitions = self.snapshot.partitions("scores")
        return tuple(code for code in partitions if self.snapshot.files("scores", code))

    def matches(self, text: str) -> np.ndarray:
        """bool [n]: the images that an expression matches.

        Raises:
            ExpressionError: it is wrong.
        """
        from colonnade.tui.session_search import Searcher

        # A searcher of its own: that of the session gives up the search of another screen for a newer one.
        session = self.session
        names = session._names()
        hits = Searcher(session._columns, session._cursor).find(names, text, None, ["image_id"])
        if hits.base.key == self.base.key:
            return np.asarray(hits.matched[self.places])
        ids = hits.base.ids[hits.matched]
        return np.isin(self.points.ids, ids, assume_unique=True)


def load_map(session: Session) -> MapData:
    """The map of the active model as it is now, of the images in state `ok`.

    Raises:
        NoMapError: there is none.
        StoreError: the store cannot be read.
    """
    state = session._now()
    snapshot, model = state.snapshot, state.settings.active
    if model is None:
        overview = session.overview()
        raise NoMapError(overview.damage or lacking(overview))
    files, embeddings = (snapshot.files(table, model.key) for table in ("projections", "embeddings"))
    with duck_errors(str(snapshot.path)), session._cursor() as cursor:
        embedded = _rows(cursor, embeddings)
        if not files:
            raise NoMapError(_no_map(model.key, embedded, bool(snapshot.partitions("projections"))))
        base = session._columns.base(cursor, snapshot)
        sql = f"""
            SELECT image_id, (cos(radians(latitude)) * cos(radians(longitude)))::FLOAT,
                (cos(radians(latitude)) * sin(radians(longitude)))::FLOAT, sin(radians(latitude))::FLOAT
            FROM {parquet(files)}
            WHERE isfinite(latitude) AND isfinite(longitude)
        """
        found = cursor.execute(sql).fetchnumpy()
    ids, *places3 = (np.asarray(column) for column in found.values())
    mapped = len(ids)
    places, known = base.places(ids)
    known[known] = base.ok[places[known]]
    if known.all():
        vectors = np.stack(places3)
    else:
        ids, places = ids[known], places[known]
        vectors = np.stack([column[known] for column in places3])
    return MapData(
        session,
        snapshot,
        model.key,
        Points(ids, vectors),
        places.astype(np.int32),
        base,
        max(0, embedded - mapped),
    )


def _no_map(model: str, embedded: int, others: bool) -> str:
    if embedded < 5:
        return f"a map needs five images with an embedding, and {embedded} have one: add images, then sync"
    other = " (there is one of another model)" if others else ""
    return (
        f"there is no map of {model} yet{other}: {{map.update:u}} makes it as a job, of {embedded:,} images"
    )


def _rows(cursor: DuckDBPyConnection, files: tuple[DataFile, ...]) -> int:
    if not files:
        return 0
    row = cursor.execute(f"SELECT count(*) FROM {parquet(files)}").fetchone()
    return int(row[0]) if row else 0
