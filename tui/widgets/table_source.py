"""What a windowed table shows: columns, and rows in blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from colonnade.tui.widgets.cells import Cell

__all__ = ["BLOCK_ROWS", "BlockSource", "Column", "ListSource", "Row", "layout"]

BLOCK_ROWS = 256
GAP = 1

Row = tuple[Any, ...]


class BlockSource(Protocol):
    """Rows by position. `block(k)` gives rows 256 k to 256 k + 255, the last block fewer; it may block."""

    @property
    def count(self) -> int:
        """How many rows there are."""

    def block(self, k: int, /) -> Sequence[Row]:
        """The rows of one block; called in a thread."""


class ListSource:
    """Rows that are in memory; the table reads them without a thread."""

    immediate = True

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    @property
    def count(self) -> int:
        return len(self.rows)

    def block(self, k: int, /) -> Sequence[Row]:
        return self.rows[k * BLOCK_ROWS : (k + 1) * BLOCK_ROWS]


def _plain(value: Any) -> str | Cell:
    if isinstance(value, Cell):
        return value
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Column:
    """A column; the n-th shows the n-th value of a row, or the one that `index` names."""

    name: str
    heading: str
    width: int = 0
    """In cells; 0 takes what the others leave."""
    align: Literal["left", "right"] = "left"
    render: Callable[[Any], str | Cell] = _plain
    cut: Literal["left", "right"] = "right"
    """Where a text that is too long loses its characters."""
    index: int | None = None
    sortable: bool = True
    descends: bool = False
    """Whether its first sort goes from high to low."""


def layout(columns: Sequence[Column], room: int, first: int = 0) -> list[tuple[int, int]]:
    """(column, width) of the columns from `first` on that fit into `room` cells, from the left."""
    shown = list(enumerate(columns))[first:]
    fixed = sum(column.width + GAP for _, column in shown)
    flexible = [index for index, column in shown if not column.width]
    share = max(8, (room - fixed) // len(flexible)) if flexible else 0
    spans: list[tuple[int, int]] = []
    for index, column in shown:
        width = min(column.width or share, room)
        if width <= 0 or (spans and width < (column.width or 4)):
            break
        spans.append((index, width))
        room -= width + GAP
    if room > 0:
        for place, (index, width) in enumerate(spans):
            if index in flexible:
                spans[place] = (index, width + room)
                break
    return spans
