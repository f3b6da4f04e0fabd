"""Images ranked by how near they are: what a search by words or by a picture gives, read like `Hits`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colonnade.tui.session_columns import Columns
from colonnade.tui.session_hits import BLOCK, Row
from colonnade.tui.session_paths import read_texts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import Snapshot

__all__ = ["Ranked", "rank"]


@dataclass(eq=False)
class Ranked:
    """Images with their cosine and logit, nearest first."""

    text: str
    """What they are near to, for people."""
    rows: tuple[Row, ...]
    """image_id, path, cosine, logit."""
    seconds: float
    snapshot: int
    columns: tuple[str, ...] = ("image_id", "path", "cosine", "logit")
    types: tuple[str, ...] = ("BIGINT", "VARCHAR", "DOUBLE", "DOUBLE")
    warnings: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.rows)

    @property
    def blocks(self) -> int:
        return -(-self.count // BLOCK)

    def block(self, number: int) -> list[Row]:
        """Rows 256 x number and following; empty past the end."""
        return list(self.rows[number * BLOCK : (number + 1) * BLOCK])

    def ids(self, start: int = 0, stop: int | None = None) -> list[int]:
        """Image ids by position."""
        return [row[0] for row in self.rows[start:stop]]

    def position_of(self, image_id: int) -> int | None:
        """Where an image stands, from 0; None if it is not there."""
        return next((place for place, row in enumerate(self.rows) if row[0] == image_id), None)


def rank(
    columns: Columns,
    cursor: DuckDBPyConnection,
    snapshot: Snapshot,
    found: Sequence[dict[str, Any]],
    text: str,
    seconds: float,
) -> Ranked:
    """What the helper found, with paths; images that the snapshot does not have are left out."""
    base = columns.base(cursor, snapshot)
    rows = [row for row in found if base.place(row["image_id"]) is not None]
    paths = read_texts(columns, cursor, snapshot, "path", [row["image_id"] for row in rows])
    shown = tuple(
        (row["image_id"], path, row["cosine"], row["logit"]) for row, path in zip(rows, paths, strict=True)
    )
    return Ranked(text, shown, seconds, snapshot.number)
