"""The globe: cells of braille dots, a cursor, a lasso, the selection; it tells what the mouse does on it."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from colonnade.tui.widgets.cells import fit

if TYPE_CHECKING:
    import numpy as np

    from colonnade.tui.map_paint import Paint

__all__ = ["Globe"]

Cell = tuple[int, int]
"""Column and row."""

_DARK = (240, 24, 31, 37, 114, 227, 173, 231)
_LIGHT = (250, 110, 67, 25, 55, 125, 136, 16)
_FEW = (8, 4, 6, 2, 3, 1, 5, 7)
_FEW_LIGHT = (7, 6, 4, 2, 5, 1, 3, 0)
"""The terminal's colours of the edge, the five levels, what is half marked, and names."""
_CHOSEN = {"dark": 238, "light": 253}


class Globe(Widget, can_focus=True):
    """Draws a map of images. The screen gives it frames and tells it where the cursor is."""

    DEFAULT_CSS = """
    Globe { width: 1fr; height: 1fr; }
    """

    @dataclass
    class Resized(Message):
        """There is room for so many cells."""

        size: Size

    @dataclass
    class Clicked(Message):
        """The mouse pointed at a cell."""

        cell: Cell

    @dataclass
    class Dragged(Message):
        """The mouse went over cells with its button down; `done` when it is released."""

        path: tuple[Cell, ...]
        rectangle: bool
        done: bool

    @dataclass
    class Wheeled(Message):
        """The wheel was turned over a cell; up is nearer."""

        cell: Cell
        nearer: bool

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._paint: Paint | None = None
        self._lines: tuple[str, ...] = ()
        self._cursor: Cell = (0, 0)
        self._lasso: np.ndarray | None = None
        self._path: list[Cell] = []
        self._styles: dict[tuple[int, bool, bool, bool], Style] = {}
        self._text = False

    @property
    def cursor(self) -> Cell:
        """Where the cursor is."""
        return self._cursor

    def show(self, painted: Paint) -> None:
        """Draw another frame."""
        self._paint, self._lines = painted, ()
        self.refresh()

    def tell(self, *lines: str) -> None:
        """Show lines of text in place of a map."""
        self._paint, self._lines = None, lines
        self.refresh()

    def style_of(self, level: int) -> Style:
        """How a cell of a level looks that nothing else is said of."""
        return self._style(level, False, False, False)

    def point(self, cell: Cell) -> None:
        """Put the cursor on a cell; draws two cells."""
        if cell != self._cursor:
            before, self._cursor = self._cursor, cell
            self.refresh(Region(*before, 1, 1), Region(*cell, 1, 1))

    def lasso(self, cells: np.ndarray | None) -> None:
        """Show which cells, bool [height, width], the lasso holds so far; None takes it away."""
        if cells is not None or self._lasso is not None:
            self._lasso = cells
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if self._paint is None:
            lines = [part for line in self._lines for part in wrap(line, max(20, width - 4))]
            first = (self.size.height - len(lines)) // 2
            text = lines[y - first] if 0 <= y - first < len(lines) else ""
            return Strip([Segment(fit(f"  {text}" if text else "", width), base)], width)
        if y >= len(self._paint.rows):
            return Strip.blank(width, base)
        characters, runs = self._paint.rows[y], self._runs(y)
        segments = [Segment(characters[start:end], self._style(*look)) for start, end, look in runs]
        strip = Strip(segments, len(characters))
        return strip.adjust_cell_length(width, base)

    def _runs(self, y: int) -> list[tuple[int, int, tuple[int, bool, bool, bool]]]:
        """(start, end, (level, chosen, in the lasso, cursor)) of the cells of a row that look alike."""
        assert self._paint is not None
        levels = self._paint.levels[y].tolist()
        chosen = self._paint.chosen[y].tolist()
        lasso = self._lasso
        caught = lasso[y].tolist() if lasso is not None and lasso.shape == self._paint.levels.shape else None
        at = self._cursor[0] if self._cursor[1] == y else -1
        runs: list[tuple[int, int, tuple[int, bool, bool, bool]]] = []
        for column, level in enumerate(levels):
            blank = self._paint.rows[y][column] == " "
            look = (
                0 if blank else level,
                chosen[column],
                caught is not None and caught[column],
                column == at,
            )
            if runs and runs[-1][2] == look:
                runs[-1] = (runs[-1][0], column + 1, look)
            else:
                runs.append((column, column + 1, look))
        return runs

    def _style(self, level: int, chosen: bool, caught: bool, cursor: bool) -> Style:
        key = (level, chosen, caught, cursor)
        if key not in self._styles:
            self._styles[key] = self._made(*key)
        return self._styles[key]

    def _made(self, level: int, chosen: bool, caught: bool, cursor: bool) -> Style:
        base = self.rich_style
        few = self.app.console.color_system == "standard" or self.app.current_theme.name.startswith("ansi")
        dark = self.app.current_theme.dark
        bold = level == 7
        if self.app.no_color:  # a selection is underlined, a lasso and the cursor are reversed
            return base + Style(bold=bold, underline=chosen, reverse=caught != cursor)
        colours = (_FEW if dark else _FEW_LIGHT) if few else _DARK if dark else _LIGHT
        style = base + Style(color=_colour(colours[level]), bold=bold)
        if caught or chosen:
            if few:
                style += Style(underline=chosen, reverse=caught)
            else:
                style += Style(
                    bgcolor=_colour(_CHOSEN["dark" if dark else "light"] + 2 * caught), bold=caught or bold
                )
        return style + Style(reverse=not (few and caught)) if cursor else style

    def notify_style_update(self) -> None:
        self._styles.clear()
        super().notify_style_update()

    def on_resize(self, event: events.Resize) -> None:
        self.post_message(self.Resized(event.size))

    # the mouse

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.button == 1 and self._paint is not None:
            self.capture_mouse()
            self._path = [(event.x, event.y)]
            event.stop()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._path and self._path[-1] != (event.x, event.y):
            self._path.append((event.x, event.y))
            self.post_message(self.Dragged(tuple(self._path), event.shift, done=False))
            event.stop()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        path, self._path = tuple(self._path), []
        if not path:
            return
        self.release_mouse()
        event.stop()
        if len(set(path)) == 1:
            self.post_message(self.Clicked(path[0]))
        else:
            self.post_message(self.Dragged(path, event.shift, done=True))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, nearer=True)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, nearer=False)

    def _wheel(self, event: events.MouseEvent, *, nearer: bool) -> None:
        event.stop()
        self.post_message(self.Wheeled((event.x, event.y), nearer))


def _colour(number: int) -> Color:
    """A colour of the terminal by its number. With its RGB beside it Textual leaves it as it is, half the bytes."""
    kind = ColorType.STANDARD if number < 16 else ColorType.EIGHT_BIT
    return Color(f"color({number})", kind, number=number, triplet=ColorTriplet(*_rgb(number)))


def _rgb(number: int) -> tuple[int, int, int]:
    if number >= 232:
        return (8 + 10 * (number - 232),) * 3
    if number >= 16:
        levels = (0, 95, 135, 175, 215, 255)
        return levels[(number - 16) // 36], levels[(number - 16) // 6 % 6], levels[(number - 16) % 6]
    level = 255 if number >= 8 else 205
    return level * (number & 1), level * (number >> 1 & 1), level * (number >> 2 & 1)
