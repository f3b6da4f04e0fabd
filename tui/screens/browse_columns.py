"""How the columns of a result are shown."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from colonnade.tui.widgets.cells import Cell
from colonnade.tui.widgets.table_source import Column

if TYPE_CHECKING:
    from colonnade.tui.session_hits import Hits
    from colonnade.tui.session_model import Overview
    from colonnade.tui.session_ranked import Ranked

__all__ = ["found_words", "result_columns", "shown_sort"]

_WIDTHS = {
    "DOUBLE": 6,
    "FLOAT": 6,
    "TIMESTAMP": 16,
    "BIGINT": 9,
    "INTEGER": 7,
    "UBIGINT": 9,
    "BOOLEAN": 5,
}


def result_columns(hits: Hits | Ranked) -> tuple[Column, ...]:
    """A column for each of a result's but the image's id."""
    columns = []
    for index, (name, kind) in enumerate(zip(hits.columns, hits.types, strict=True)):
        if name == "image_id":
            continue
        kind = kind.partition("(")[0]
        number = kind in _WIDTHS and kind != "TIMESTAMP"
        width = 0 if name == "path" else max(_WIDTHS.get(kind, 12), min(len(name) + 1, 9 if number else 16))
        columns.append(
            Column(
                name,
                name,
                width,
                "right" if number else "left",
                _decimal if kind in ("DOUBLE", "FLOAT") else _any,
                "left" if name == "path" else "right",
                index,
                descends=kind in ("DOUBLE", "FLOAT"),
            )
        )
    return tuple(columns)


def found_words(hits: Hits, overview: Overview | None) -> str:
    """How many there are and how fast; of all images, how many are left out, for they cannot be read or are gone."""
    left = 0 if overview is None or hits.text or overview.ok != hits.count else overview.images - overview.ok
    if overview is None or not left:
        return f"{hits.count:,} hits  {1000 * hits.seconds:,.0f} ms"
    words = {overview.unreadable: "not readable", overview.missing: "gone"}
    return f"{hits.count:,} hits  {left:,} {words.get(left, 'not readable or gone')}"


def _decimal(value: Any) -> str | Cell:
    """A confidence without its zero; a number that is none with what it takes."""
    if value is None:
        return Cell("-", "dim")
    return f"{value:.2f}".removeprefix("0") if 0 <= value < 1 else f"{value:.2f}"


def _any(value: Any) -> str | Cell:
    if value is None:
        return Cell("-", "dim")
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def shown_sort(sort: str | None) -> tuple[str, bool] | None:
    """The column that the results are sorted by first, and whether it descends."""
    if not sort:
        return None
    name, _, direction = sort.partition(",")[0].strip().partition(" ")
    return name.removeprefix("-"), direction.strip().lower() == "desc" or name.startswith("-")
