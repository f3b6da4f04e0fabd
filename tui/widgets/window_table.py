"""The windowed table: any number of rows, of which only those in view are ever fetched, drawn or sent.

How to use it::

    table = WindowTable((Column("path", "path", cut="left"), Column("earth", "earth", 6, "right", two_digits)))
    table.show(source)                      # source: .count and .block(k), see BlockSource
    table.show(source, row=17)              # with the cursor on a row; keep=True keeps the cursor where it is
    table.show(ListSource(rows))            # rows that are in memory already
    table.marked = lambda row: row[0] in ids    # rows with a `*`; call table.redraw() when the marks change

Blocks are read in a thread: `source.block(k)` may block and may raise (the table posts `Failed`). While the rows of a
new source are read, the old ones stay: nothing flickers. The table posts `CursorMoved`, `Chosen` (enter),
`SortAsked` (the screen sorts, then calls `show` with `sort=`) and `Failed`. Every text passes safe() here, so a
column's `render` may return what it likes; it returns a text, or a `Cell` with a kind: dim, good, warn or bad.
A line is sent only when it changed. Moving the cursor past an edge moves the window by half of its height, so
that most keys cost two lines.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.geometry import Region
from textual.message import Message

from colonnade.tui.keys import action
from colonnade.tui.widgets.cells import Cell
from colonnade.tui.widgets.status_line import StatusLine
from colonnade.tui.widgets.table_drawing import GUTTER
from colonnade.tui.widgets.table_reading import ReadTable
from colonnade.tui.widgets.table_source import BLOCK_ROWS, GAP, BlockSource, Column, ListSource, Row

__all__ = ["BLOCK_ROWS", "BlockSource", "Cell", "Column", "ListSource", "Row", "WindowTable"]


class WindowTable(ReadTable, can_focus=True):
    """A table of any length with a row cursor and a current column."""

    DEFAULT_CSS = """
    WindowTable { height: 1fr; width: 1fr; background: $surface; color: $foreground; }
    WindowTable > .window-table--heading { color: $primary; text-style: bold; }
    WindowTable > .window-table--column { color: $primary; text-style: bold underline; }
    WindowTable > .window-table--cursor {
        background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
    }
    WindowTable > .window-table--dim { text-style: dim; }
    WindowTable > .window-table--good { color: $success; }
    WindowTable > .window-table--warn { color: $warning; }
    WindowTable > .window-table--bad { color: $error; }
    """
    BINDINGS: ClassVar = [
        action("table.up", "up,k", "move(-1)", "row up"),
        action("table.down", "down,j", "move(1)", "row down"),
        action("table.page_up", "pageup,ctrl+b", "page(-1)", "page up"),
        action("table.page_down", "pagedown,ctrl+f", "page(1)", "page down"),
        action("table.first", "home,g", "edge(-1)", "first row"),
        action("table.last", "end,G", "edge(1)", "last row"),
        action("table.left", "left,h", "column(-1)", "column to the left"),
        action("table.right", "right,l", "column(1)", "column to the right"),
        action("table.choose", "enter", "choose", "open the row"),
        action("table.sort", "o", "sort", "sort by this column; again: the other way"),
    ]

    @dataclass
    class CursorMoved(Message):
        """The cursor is on another row (None: there is none); `values` is None until its block is read."""

        table: WindowTable
        row: int | None
        values: Row | None

        @property
        def control(self) -> WindowTable:
            return self.table

    @dataclass
    class Chosen(Message):
        """Enter on a row."""

        table: WindowTable
        row: int
        values: Row

        @property
        def control(self) -> WindowTable:
            return self.table

    @dataclass
    class SortAsked(Message):
        """Sort by a column; the screen does it and calls `show(..., sort=...)`."""

        table: WindowTable
        column: str
        descending: bool

        @property
        def control(self) -> WindowTable:
            return self.table

    @dataclass
    class Failed(Message):
        """A block could not be read."""

        table: WindowTable
        error: Exception

        @property
        def control(self) -> WindowTable:
            return self.table

    # what it shows

    @property
    def values(self) -> Row | None:
        """The values of the cursor's row, if it has been read."""
        return self.row_values(self.cursor) if self.count else None

    def show(
        self,
        source: BlockSource,
        columns: Sequence[Column] | None = None,
        *,
        row: int = 0,
        keep: bool = False,
        sort: tuple[str, bool] | None = None,
    ) -> None:
        """Show other rows, with the cursor on `row` (`keep`: where it is), as soon as those in view are read.

        Args:
            sort: the column's name and whether it descends, shown in the heading.
        """
        self._generation += 1
        generation = self._generation
        row = max(0, min(self.cursor if keep else row, source.count - 1))
        top = self._top if keep else max(0, row - self.page_rows // 2) if row >= self.page_rows else 0
        top = max(0, min(top, source.count - self.page_rows))
        if not top <= row < top + self.page_rows:
            top = row
        wanted = self._blocks_of(top, source.count)
        names = self.columns if columns is None else tuple(columns)

        def arrived(blocks: dict[int, Sequence[Row]]) -> None:
            if generation != self._generation:
                return
            self._source, self._blocks, self.is_filled = source, OrderedDict(blocks), True
            self._reading.clear()
            self.cursor, self._top, self.sort = row, top, sort
            if names != self.columns:
                self.columns, self.column, self._first_column = names, 0, 0
            self.refresh()
            self._moved()

        if getattr(source, "immediate", False) or not wanted:
            arrived({k: source.block(k) for k in wanted})
        else:
            self._read(source, wanted, arrived)

    def go_to(self, row: int) -> None:
        """Put the cursor on a row."""
        self._go(row)

    def redraw(self, row: int | None = None) -> None:
        """Draw a row anew, or all of them: the marks or what `render` answers changed."""
        if row is None:
            self.refresh()
        else:
            self._redraw_rows((row,))

    # keys

    def action_move(self, rows: int) -> None:
        self._go(self.cursor + rows)

    def action_page(self, pages: int) -> None:
        target = max(0, min(self.cursor + pages * self.page_rows, self.count - 1))
        top = max(0, min(self._top + pages * self.page_rows, self.count - self.page_rows))
        self._go(target, top)

    def action_edge(self, side: int) -> None:
        self._go(0 if side < 0 else self.count - 1)

    def action_column(self, step: int) -> None:
        column = max(0, min(self.column + step, len(self.columns) - 1))
        if column == self.column:
            return
        self.column = column
        first = self._first_column
        if column < first:
            self._first_column = column
        while self._first_column < column and column not in [index for index, _ in self._layout()]:
            self._first_column += 1
        if first != self._first_column:
            self.refresh()
        else:
            self.refresh(Region(0, 0, self.size.width, 1))

    def action_choose(self) -> None:
        if self.values is not None:
            self.post_message(self.Chosen(self, self.cursor, self.values))

    def action_sort(self) -> None:
        column = self.columns[self.column] if self.columns else None
        if column is None or not column.sortable:
            for line in self.screen.query(StatusLine):
                line.tell("this list cannot be sorted by this column")
        else:
            again = self.sort is not None and self.sort[0] == column.name
            descending = not self.sort[1] if again and self.sort else column.descends
            self.post_message(self.SortAsked(self, column.name, descending))

    # the mouse, where there is one

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._go(self.cursor + 3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._go(self.cursor - 3)

    def on_click(self, event: events.Click) -> None:
        row = event.y - self.heading
        if row < 0:
            spans = self._layout()
            left = GUTTER
            for index, width in spans:
                if left <= event.x <= left + width:
                    self.action_column(index - self.column)
                    self.action_sort()
                    return
                left += width + GAP
        elif self._top + row < self.count:
            self._go(self._top + row)
            if event.chain == 2:
                self.action_choose()

    def on_resize(self, event: events.Resize) -> None:
        self._top = max(0, min(self._top, self.count - self.page_rows))
        if not self._top <= self.cursor < self._top + self.page_rows:
            self._top = max(0, self.cursor - self.page_rows // 2)
        self._fetch()
        self.refresh()

    def on_focus(self) -> None:
        self._redraw_rows((self.cursor,))

    def on_blur(self) -> None:
        self._redraw_rows((self.cursor,))

    # moving and reading

    def _go(self, row: int, top: int | None = None) -> None:
        row = max(0, min(row, self.count - 1))
        if row == self.cursor or not self.count:
            return
        before, old_top = self.cursor, self._top
        page = self.page_rows
        if top is None:
            top = old_top
            if not top <= row < top + page:
                near = abs(row - before) < page
                half = page // 2 or 1
                if near:
                    top = row - page + half if row > before else row - half + 1
                else:
                    top = row - page // 2
                top = max(0, min(top, self.count - page))
        self.cursor, self._top = row, max(0, top)
        if top == old_top:
            self._redraw_rows((before, row))
            self._fetch()
        elif self._fetch():
            self.refresh()
        self._moved()

    def _unread(self, error: Exception) -> None:
        self.post_message(self.Failed(self, error))

    def _moved(self) -> None:
        self.post_message(self.CursorMoved(self, self.cursor if self.count else None, self.values))

    def _redraw_rows(self, rows: Sequence[int]) -> None:
        lines = {row - self._top + self.heading for row in rows if 0 <= row - self._top < self.page_rows}
        if lines:
            self.refresh(*(Region(0, line, self.size.width, 1) for line in sorted(lines)))
