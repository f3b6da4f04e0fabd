"""How a windowed table draws its lines: a heading, rows with a cursor and marks, and what an empty one says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from colonnade.tui.safe import safe
from colonnade.tui.widgets.cells import Cell, fit
from colonnade.tui.widgets.line import keyed
from colonnade.tui.widgets.table_source import GAP, Column, Row, layout

__all__ = ["GUTTER", "DrawnTable"]

GUTTER = 2
"""Cells before the first column: `>` at the cursor, `*` at what is marked."""


class DrawnTable(Widget):
    """Draws the rows from `_top` on; a subclass says how many there are and what is in them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"window-table--{part}" for part in ("heading", "column", "cursor", "dim", "good", "warn", "bad")
    }

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty: str,
        heading: bool,
        id: str | None,
        classes: str | None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.columns: tuple[Column, ...] = tuple(columns)
        self.empty = empty
        self.heading = heading
        self.marked: Callable[[Row], bool] = lambda row: False
        self.sort: tuple[str, bool] | None = None
        self.cursor = 0
        self.column = 0
        self._first_column = 0
        self._top = 0
        self._columns_drawn: list[tuple[int, int]] | None = None
        self._styles_drawn: dict[str, Style] | None = None

    @property
    def count(self) -> int:
        """How many rows there are."""
        return 0

    def row_values(self, row: int) -> Row | None:
        """A row, if it has been read."""
        return None

    @property
    def page_rows(self) -> int:
        """How many rows are in view."""
        return max(1, self.size.height - self.heading)

    def render_lines(self, crop: Region) -> list[Strip]:
        self._columns_drawn, self._styles_drawn = self._layout(), {}  # the same for all lines of a drawing
        try:
            return super().render_lines(crop)
        finally:
            self._columns_drawn = self._styles_drawn = None

    @property
    def _advice(self) -> str:
        return safe(keyed(self, self.empty), limit=2000)

    def _layout(self) -> list[tuple[int, int]]:
        if self._columns_drawn is not None:
            return self._columns_drawn
        return layout(self.columns, self.size.width - GUTTER, self._first_column)

    def _style(self, part: str = "") -> Style:
        """The style of a part of the table, or of the table."""
        known = self._styles_drawn
        if known is not None and part in known:
            return known[part]
        style = self.rich_style
        if part:
            style += self.get_component_rich_style(f"window-table--{part}", partial=True)
        if known is not None:
            known[part] = style
        return style

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self.heading and y == 0:
            return self._heading_line(width)
        row = self._top + y - self.heading
        if row >= self.count:
            lines = wrap(self._advice, max(8, width - 1)) if not self.count else []
            text = lines[y - self.heading] if y - self.heading < len(lines) else ""
            return Strip([Segment(fit(" " + text, width), self._style("dim"))], width)
        return self._row_line(row, width)

    def _heading_line(self, width: int) -> Strip:
        base, current = self._style("heading"), self._style("column")
        segments = [Segment("‹ " if self._first_column else " " * GUTTER, base)]
        shown = self._layout()
        for index, size in shown:
            column = self.columns[index]
            heading = column.heading
            if self.sort is not None and self.sort[0] == column.name:
                heading += "▼" if self.sort[1] else "▲"
            segments.append(
                Segment(fit(heading, size, column.align), current if index == self.column else base)
            )
            segments.append(Segment(" " * GAP, base))
        line = Strip(segments).adjust_cell_length(width, base)
        if shown and shown[-1][0] < len(self.columns) - 1 and width > GUTTER:
            line = Strip([*line.crop(0, width - 1), Segment("›", base)], width)  # more columns to the right
        return line

    def _row_line(self, row: int, width: int) -> Strip:
        values = self.row_values(row)
        on_cursor = row == self.cursor
        style = self._style("cursor" if on_cursor and self.has_focus else "")
        if values is None:
            return Strip([Segment(fit(">…" if on_cursor else " …", width), style)], width)
        gutter = (">" if on_cursor else " ") + ("*" if self.marked(values) else " ")
        segments = [Segment(gutter, style)]
        for index, size in self._layout():
            column = self.columns[index]
            where = index if column.index is None else column.index
            cell = column.render(values[where] if where < len(values) else None)
            shown = cell if isinstance(cell, Cell) else Cell(cell)
            text = fit(shown.text, size, column.align, column.cut) + " " * GAP
            segments.append(Segment(text, self._style(shown.kind) if shown.kind and not on_cursor else style))
        return Strip(segments).adjust_cell_length(width, style)
