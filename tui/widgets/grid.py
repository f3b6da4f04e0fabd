"""Pages of thumbnails with a cursor and toggles; each is filled in when its worker has it.

Moving the cursor or toggling redraws captions alone, some 200 bytes; pictures are drawn once a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click, Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import get_current_worker

from colonnade.tui.keys import action
from colonnade.tui.pictures import Loaded
from colonnade.tui.safe import safe
from colonnade.tui.widgets.cells import fit_name
from colonnade.tui.widgets.picture import pictures_of, protocol_of
from colonnade.tui.widgets.picture_strips import drawn_strips, mode_in

__all__ = ["Grid", "GridItem"]

_GAP = 1


@dataclass(frozen=True, slots=True)
class GridItem:
    """One picture of a grid."""

    id: int
    path: Path | None
    caption: str = ""
    reason: str | None = None
    """Why there is no picture, where that is known; the file is not tried then."""


class Grid(Widget, can_focus=True):
    """Thumbnails of any number of pictures, a page at a time.

    Args:
        tile: width and height of a thumbnail in cells, without its caption.
    """

    DEFAULT_CSS = "Grid { width: 1fr; height: 1fr; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        action("grid.left", "left", "move(-1)", "picture before"),
        action("grid.right", "right", "move(1)", "next picture"),
        action("grid.up", "up", "move_row(-1)", "row above"),
        action("grid.down", "down", "move_row(1)", "row below"),
        action("grid.page_up", "pageup", "move_page(-1)", "page before"),
        action("grid.page_down", "pagedown", "move_page(1)", "next page"),
        action("grid.first", "home", "edge(0)", "first picture"),
        action("grid.last", "end", "edge(-1)", "last picture"),
        action("grid.toggle", "space", "toggle_item", "toggle the picture"),
        action("grid.open", "enter", "open", "open the picture large"),
    ]

    @dataclass
    class Moved(Message):
        """The cursor is on another picture."""

        grid: Grid
        item: GridItem

    @dataclass
    class Toggled(Message):
        """A picture has been toggled by hand."""

        grid: Grid
        item: GridItem
        on: bool

    @dataclass
    class Opened(Message):
        """A picture is wanted large."""

        grid: Grid
        item: GridItem

    @dataclass
    class _Filled(Message, bubble=False):
        item: GridItem
        box: tuple[int, int]
        loaded: Loaded

    def __init__(
        self, *, tile: tuple[int, int] = (18, 8), id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._tile = tile
        self._items: Sequence[GridItem] = ()
        self._on: set[int] = set()
        self._cursor = 0
        self._drawn: dict[int, list[Strip]] = {}
        self._base: Style | None = None

    @property
    def item(self) -> GridItem | None:
        """The picture under the cursor."""
        return self._items[self._cursor] if self._items else None

    @property
    def on(self) -> frozenset[int]:
        """The ids that are toggled on."""
        return frozenset(self._on)

    @property
    def capacity(self) -> int:
        """How many pictures a page has."""
        return self._columns * self._rows

    @property
    def page(self) -> tuple[int, int]:
        """The present page, from 1, and how many there are."""
        return self._cursor // self.capacity + 1, max(1, -(-len(self._items) // self.capacity))

    def show(self, items: Sequence[GridItem], on: Iterable[int] = ()) -> None:
        """Show other pictures, the cursor on the first."""
        self._items, self._on, self._cursor = items, set(on), 0
        self._fill()

    def set_on(self, id: int, on: bool) -> None:
        """Toggle a picture without a message."""
        (self._on.add if on else self._on.discard)(id)
        for place, item in enumerate(self._visible()):
            if item.id == id:
                self._refresh_caption(place)

    def on_mount(self) -> None:
        pictures_of(self.app).open()

    def on_unmount(self) -> None:
        pictures_of(self.app).close()

    def on_resize(self, _: Resize) -> None:
        self._fill()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_mounted and self._base not in (None, self.rich_style):
            self._fill()

    def watch_has_focus(self, _: bool) -> None:
        self._refresh_caption(self._cursor % self.capacity)

    def on_click(self, event: Click) -> None:
        column, row = event.x // (self._tile[0] + _GAP), event.y // (self._tile[1] + 1)
        target = self._first + row * self._columns + column
        if column < self._columns and target < len(self._items):
            again = target == self._cursor
            self._go(target)
            if again:
                self.action_toggle_item()

    def action_move(self, delta: int) -> None:
        self._go(self._cursor + delta)

    def action_move_row(self, delta: int) -> None:
        target = self._cursor + delta * self._columns
        if 0 <= target < len(self._items):
            self._go(target)

    def action_move_page(self, delta: int) -> None:
        self._go(self._cursor + delta * self.capacity)

    def action_edge(self, place: int) -> None:
        self._go(place % max(1, len(self._items)))

    def action_toggle_item(self) -> None:
        if (item := self.item) is not None:
            self.set_on(item.id, item.id not in self._on)
            self.post_message(self.Toggled(self, item, item.id in self._on))

    def action_open(self) -> None:
        if (item := self.item) is not None:
            self.post_message(self.Opened(self, item))

    def render_line(self, y: int) -> Strip:
        base, width = self.rich_style, self.size.width
        row, line = divmod(y, self._tile[1] + 1)
        visible = self._visible()
        segments: list[Segment] = []
        if row < self._rows:
            for column in range(self._columns):
                place = row * self._columns + column
                if place >= len(visible):
                    break
                segments += self._tile_line(visible[place], place, line)
                segments.append(Segment(" " * _GAP, base))
        return Strip(segments).adjust_cell_length(width, base)

    def _tile_line(self, item: GridItem, place: int, line: int) -> list[Segment]:
        base, (width, height) = self.rich_style, self._tile
        if line == height:
            return [self._caption(item, self._first + place == self._cursor)]
        drawn = self._drawn.get(item.id, [])
        row = line - (height - len(drawn)) // 2
        if not 0 <= row < len(drawn):
            return [Segment(" " * width, base)]
        left = (width - drawn[row].cell_length) // 2
        right = width - left - drawn[row].cell_length
        return [Segment(" " * left, base), *drawn[row], Segment(" " * right, base)]

    def _caption(self, item: GridItem, here: bool) -> Segment:
        width = self._tile[0]
        mark = "x" if item.id in self._on else " "
        plain = f"{'>' if here else ' '}[{mark}] {fit_name(item.caption, width - 5)}"
        style = self.rich_style + Style(reverse=here and self.has_focus, bold=item.id in self._on)
        return Segment(plain, style)

    @property
    def _columns(self) -> int:
        return max(1, (self.size.width + _GAP) // (self._tile[0] + _GAP))

    @property
    def _rows(self) -> int:
        return max(1, self.size.height // (self._tile[1] + 1))

    @property
    def _first(self) -> int:
        return self._cursor - self._cursor % self.capacity

    def _visible(self) -> Sequence[GridItem]:
        return self._items[self._first : self._first + self.capacity]

    def _go(self, target: int) -> None:
        target = min(max(0, target), len(self._items) - 1)
        if target == self._cursor or target < 0:
            return
        before, first = self._cursor, self._first
        self._cursor = target
        if self._first != first:
            self._fill()
        else:
            self._refresh_caption(before % self.capacity)
            self._refresh_caption(target % self.capacity)
        self.post_message(self.Moved(self, self._items[target]))

    def _refresh_caption(self, place: int) -> None:
        row, column = divmod(place, self._columns)
        width, height = self._tile
        self.refresh(Region(column * (width + _GAP), row * (height + 1) + height, width, 1))

    def _fill(self) -> None:
        """Draw what is remembered of the page, and have the rest loaded."""
        self._base = self.rich_style
        self._drawn = {}
        wanted = []
        off = protocol_of(self.app).kind == "off"
        for item in self._visible() if self.size.area else ():
            if item.path is None or item.reason or off:
                self._draw(item, Loaded(reason=safe(item.reason or "", limit=300)))
                continue
            known = pictures_of(self.app).peek(item.path, *self._tile, mode_in(self.app))
            if known is not None:
                self._draw(item, known)
            wanted.append(item)
        self.refresh()
        work = partial(self._load, wanted)
        self.run_worker(work, thread=True, exclusive=True, group="grid", exit_on_error=False)

    def _load(self, items: Sequence[GridItem]) -> None:
        worker, source = get_current_worker(), pictures_of(self.app)
        for item in items:
            if worker.is_cancelled or item.path is None:
                return
            loaded = source.load(item.path, *self._tile, mode_in(self.app))
            self.post_message(self._Filled(item, self._tile, loaded))

    def on_grid__filled(self, message: _Filled) -> None:
        visible = self._visible()
        if message.item not in visible or message.box != self._tile:
            return
        before = self._drawn.get(message.item.id)
        self._draw(message.item, message.loaded)
        if self._drawn[message.item.id] != before:
            row, column = divmod(visible.index(message.item), self._columns)
            width, height = self._tile
            self.refresh(Region(column * (width + _GAP), row * (height + 1), width, height))

    def _draw(self, item: GridItem, loaded: Loaded) -> None:
        self._drawn[item.id] = drawn_strips(loaded, self._tile, self.rich_style)
