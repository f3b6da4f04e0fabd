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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from colonnade.tui.keys import action
from colonnade.tui.widgets.cells import Cell, fit
from colonnade.tui.widgets.table_source import BLOCK_ROWS, GAP, BlockSource, Column, ListSource, Row, layout

__all__ = ["BLOCK_ROWS", "BlockSource", "Cell", "Column", "ListSource", "Row", "WindowTable"]

_KEPT_BLOCKS = 32
_SLOW_SECONDS = 0.25
_GUTTER = 2


class WindowTable(Widget, can_focus=True):
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
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"window-table--{part}" for part in ("heading", "column", "cursor", "dim", "good", "warn", "bad")
    }
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

    def __init__(
        self,
        columns: Sequence[Column] = (),
        *,
        empty: str = "",
        heading: bool = True,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`empty`: what an empty table says, such as what to do next."""
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
        self._source: BlockSource = ListSource(())
        self._blocks: OrderedDict[int, Sequence[Row]] = OrderedDict()
        self._reading: set[int] = set()
        self._generation = 0

    # what it shows

    @property
    def count(self) -> int:
        """How many rows it has."""
        return self._source.count

    @property
    def values(self) -> Row | None:
        """The values of the cursor's row, if it has been read."""
        return self.row_values(self.cursor) if self.count else None

    @property
    def page_rows(self) -> int:
        """How many rows are in view."""
        return max(1, self.size.height - self.heading)

    def row_values(self, row: int) -> Row | None:
        """A row, if its block has been read."""
        block = self._blocks.get(row // BLOCK_ROWS)
        offset = row % BLOCK_ROWS
        return block[offset] if block is not None and row >= 0 and offset < len(block) else None

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
            self._source, self._blocks = source, OrderedDict(blocks)
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
        if self.columns and self.columns[self.column].sortable:
            column = self.columns[self.column]
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
            left = _GUTTER
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

    def _moved(self) -> None:
        self.post_message(self.CursorMoved(self, self.cursor if self.count else None, self.values))

    def _redraw_rows(self, rows: Sequence[int]) -> None:
        lines = {row - self._top + self.heading for row in rows if 0 <= row - self._top < self.page_rows}
        if lines:
            self.refresh(*(Region(0, line, self.size.width, 1) for line in sorted(lines)))

    def _blocks_of(self, top: int, count: int) -> list[int]:
        """The blocks that hold the rows in view."""
        last = min(top + self.page_rows, count) - 1
        return list(range(top // BLOCK_ROWS, last // BLOCK_ROWS + 1)) if last >= 0 else []

    def _fetch(self) -> bool:
        """Read what the window needs and what stands next to it; True if all in view is there already."""
        needed = [k for k in self._blocks_of(self._top, self.count) if k not in self._blocks]
        if getattr(self._source, "immediate", False):
            for k in needed:
                self._keep(k, self._source.block(k))
            return True
        near = self._blocks_of(max(0, self._top - BLOCK_ROWS // 2), self.count)[:1]
        after = min(self.count - 1, self._top + self.page_rows + BLOCK_ROWS // 2) // BLOCK_ROWS
        wanted = [k for k in {*needed, *near, after} if k >= 0 and k not in {*self._blocks, *self._reading}]
        if wanted:
            generation = self._generation
            self._reading.update(wanted)

            def arrived(blocks: dict[int, Sequence[Row]]) -> None:
                if generation != self._generation:
                    return
                self._reading.difference_update(wanted)
                shown = set(self._blocks_of(self._top, self.count))
                for k, block in blocks.items():
                    self._keep(k, block)
                if shown & blocks.keys():
                    self.refresh()
                    self._moved()

            if needed:
                self.set_timer(_SLOW_SECONDS, self._show_waiting)
            self._read(self._source, wanted, arrived)
        return not needed

    def _keep(self, k: int, block: Sequence[Row]) -> None:
        self._blocks[k] = block
        self._blocks.move_to_end(k)
        shown = set(self._blocks_of(self._top, self.count))
        for old in list(self._blocks):
            if len(self._blocks) <= _KEPT_BLOCKS:
                break
            if old not in shown:
                del self._blocks[old]

    def _show_waiting(self) -> None:
        """The block takes long: show the rows as not read yet instead of the old ones."""
        if any(k not in self._blocks for k in self._blocks_of(self._top, self.count)):
            self.refresh()

    def _read(
        self,
        source: BlockSource,
        wanted: Sequence[int],
        arrived: Callable[[dict[int, Sequence[Row]]], None],
    ) -> None:
        generation = self._generation

        def read() -> None:
            try:
                blocks = {k: source.block(k) for k in wanted if generation == self._generation}
            except Exception as error:  # told by the screen: a query may fail in any of DuckDB's ways
                self._reading.difference_update(wanted)
                self.post_message(self.Failed(self, error))
                return
            if len(blocks) == len(wanted) and self.is_attached:
                self.app.call_from_thread(arrived, blocks)

        self.run_worker(read, thread=True, group="blocks", exit_on_error=False)

    # drawing

    def _layout(self) -> list[tuple[int, int]]:
        return layout(self.columns, self.size.width - _GUTTER, self._first_column)

    def _style(self, part: str) -> Style:
        return self.rich_style + self.get_component_rich_style(f"window-table--{part}", partial=True)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self.heading and y == 0:
            return self._heading_line(width)
        row = self._top + y - self.heading
        if row >= self.count:
            text = self.empty if not self.count and y == self.heading else ""
            return Strip([Segment(fit(" " + text, width), self._style("dim"))], width)
        return self._row_line(row, width)

    def _heading_line(self, width: int) -> Strip:
        base, current = self._style("heading"), self._style("column")
        segments = [Segment(" " * _GUTTER, base)]
        for index, size in self._layout():
            column = self.columns[index]
            heading = column.heading
            if self.sort is not None and self.sort[0] == column.name:
                heading += "▼" if self.sort[1] else "▲"
            segments.append(
                Segment(fit(heading, size, column.align), current if index == self.column else base)
            )
            segments.append(Segment(" " * GAP, base))
        return Strip(segments).adjust_cell_length(width, base)

    def _row_line(self, row: int, width: int) -> Strip:
        values = self.row_values(row)
        on_cursor = row == self.cursor
        style = self._style("cursor") if on_cursor and self.has_focus else self.rich_style
        if values is None:
            return Strip([Segment(fit(">…" if on_cursor else " …", width), style)], width)
        gutter = (">" if on_cursor else " ") + ("*" if self.marked(values) else " ")
        segments = [Segment(gutter, style)]
        for index, size in self._layout():
            column = self.columns[index]
            where = index if column.index is None else column.index
            cell = column.render(values[where] if where < len(values) else None)
            kind = ""
            if isinstance(cell, Cell):
                cell, kind = cell.text, cell.kind
            text = fit(cell, size, column.align, column.cut) + " " * GAP
            segments.append(Segment(text, self._style(kind) if kind and not on_cursor else style))
        return Strip(segments).adjust_cell_length(width, style)
