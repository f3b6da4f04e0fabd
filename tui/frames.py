"""Sends a terminal only the cells that differ from what it shows.

Textual redraws whole widgets or lines. Over a slow line the difference counts: a cursor that moves by a row is two
lines here, a digit that changes is a digit. What is on the terminal is kept as cells, and every update that Textual
makes is compared with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate

if TYPE_CHECKING:
    from rich.console import Console
    from textual.app import App
    from textual.strip import Strip

__all__ = ["FrameKeeper"]

_NEAR = 5
"""So many unchanged cells are sent again rather than jumped over: a jump costs about as much."""

_PLAIN = Style()
_Cell = tuple[str, Style]


class FrameKeeper:
    """What the terminal shows, as far as this process knows."""

    def __init__(self) -> None:
        self._rows: dict[int, list[_Cell | None]] = {}
        self._size = (0, 0)

    def forget(self) -> None:
        """The terminal shows something else: the next update of a cell is sent whatever it was."""
        self._rows.clear()

    def changes(self, renderable: Any, app: App[Any]) -> Any:
        """The update that sends what differs; an update of another kind is passed on."""
        if isinstance(renderable, ChopsUpdate | LayoutUpdate):
            return _Changes(self, renderable, (app.size.width, app.size.height))
        return renderable

    def render(self, update: ChopsUpdate | LayoutUpdate, size: tuple[int, int], console: Console) -> str:
        """The bytes for an update, which is from then on what the terminal shows."""
        if size != self._size:
            self._size = size
            self.forget()
        system = console._color_system or ColorSystem.STANDARD
        out: list[str] = []
        pen = _PLAIN
        for y, x, strip in _pieces(update):
            row = self._rows.setdefault(y, [None] * size[0])
            cells = _cells(strip)
            if cells is None:
                out += [_transition(pen, _PLAIN, system), _move(x, y), strip.render(console)]
                pen = _PLAIN
                row[x : x + strip.cell_length] = [None] * len(row[x : x + strip.cell_length])
                continue
            cells = cells[: max(0, size[0] - x)]
            for start, end in _runs(row[x : x + len(cells)], cells):
                out.append(_move(x + start, y))
                for place in range(start, end):
                    text, style = cells[place]
                    if style is not pen:
                        out.append(_transition(pen, style, system))
                        pen = style
                    out.append(text)
                    if not text.isascii() and place + 1 < end:
                        wide = not cells[place + 1][0]
                        if wide or len(text) > 1:  # terminals disagree on how far these move the cursor
                            out.append(_move(x + place + 1 + wide, y))
            row[x : x + len(cells)] = cells
        out.append(_transition(pen, _PLAIN, system))
        return "".join(out)


class _Changes(CompositorUpdate):
    """An update that is compared when it is sent, not when it is made: Textual drops some."""

    def __init__(
        self, keeper: FrameKeeper, update: ChopsUpdate | LayoutUpdate, size: tuple[int, int]
    ) -> None:
        self._keeper, self._update, self._size = keeper, update, size

    def render_segments(self, console: Console) -> str:
        return self._keeper.render(self._update, self._size, console)


def _pieces(update: ChopsUpdate | LayoutUpdate) -> Iterator[tuple[int, int, Strip]]:
    """(y, x, strip) of all that an update draws; what stands beside its spans may not have been drawn with it."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            x = update.region.x
            line: Iterable[Any] = strips
            for strip in line:
                yield y, x, strip
                x += strip.cell_length
        return
    for y, left, right in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is not None and x < right and end > left:
                yield y, x, strip if end <= right else strip.crop(0, right - x)


def _cells(strip: Strip) -> list[_Cell] | None:
    """The cells of a strip; None where it carries what is no text, such as pixels of a picture."""
    cells: list[_Cell] = []
    for text, style, control in strip:
        if control or "\x1b" in text:
            return None
        style = style or _PLAIN
        if text.isascii():
            cells += [(character, style) for character in text]
            continue
        for character in text:
            size = get_character_cell_size(character)
            if size:
                cells.append((character, style))
                cells += [("", style)] * (size - 1)
            elif cells:
                before, kind = cells[-1]
                cells[-1] = (before + character, kind)
    return cells


def _runs(shown: list[_Cell | None], cells: list[_Cell]) -> list[tuple[int, int]]:
    """(start, end) of what differs; neighbours that are near are one run."""
    if shown == cells:
        return []
    runs: list[tuple[int, int]] = []
    for place, (old, new) in enumerate(zip(shown, cells, strict=True)):
        if old == new:
            continue
        while place and not cells[place][0]:
            place -= 1
        if runs and place - runs[-1][1] <= _NEAR:
            runs[-1] = (runs[-1][0], place + 1)
        else:
            runs.append((place, place + 1))
    return runs


def _move(x: int, y: int) -> str:
    return f"\x1b[{y + 1};{x + 1}H"


@lru_cache(maxsize=4096)
def _transition(old: Style, new: Style, system: ColorSystem) -> str:
    """What turns one style into another: the least that does."""
    if old == new:
        return ""
    if new == _PLAIN:
        return "\x1b[0m"
    codes = new._make_ansi_codes(system)
    if old == _PLAIN:
        return f"\x1b[{codes}m" if codes else ""
    if (
        _attributes(old) != _attributes(new)
        or (old.color and not new.color)
        or (old.bgcolor and not new.bgcolor)
    ):
        return f"\x1b[0;{codes}m" if codes else "\x1b[0m"
    parts: list[str] = []
    if new.color and new.color != old.color:
        parts += new.color.downgrade(system).get_ansi_codes()
    if new.bgcolor and new.bgcolor != old.bgcolor:
        parts += new.bgcolor.downgrade(system).get_ansi_codes(foreground=False)
    return f"\x1b[{';'.join(parts)}m" if parts else ""


def _attributes(style: Style) -> int:
    return style._attributes & style._set_attributes
