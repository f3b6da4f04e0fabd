"""Cells of a picture as Textual's strips."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.strip import Strip

from colonnade.tui.picture_cells import NO_COLOUR, Cells, Mode, runs

if TYPE_CHECKING:
    from textual.app import App

    from colonnade.tui.pictures import Loaded

__all__ = ["drawn_strips", "mode_in", "strips"]


def mode_in(app: App[Any]) -> Mode:
    """What the app's terminal can show."""
    if app.no_color:
        return "text"
    return "16" if app.console.color_system == "standard" else "64"


def strips(cells: Cells, base: Style) -> list[Strip]:
    """One strip a row, `cells.columns` wide; half-cells without a colour show the background of `base`."""
    return [
        Strip(
            [Segment(text, _style(base, front, back)) for text, front, back in runs(cells, row)],
            cells.columns,
        )
        for row in range(cells.rows)
    ]


def drawn_strips(loaded: Loaded, size: tuple[int, int], base: Style) -> list[Strip]:
    """The rows of a picture or, where there is none, the reason in lines of at most the width."""
    if loaded.cells is not None:
        return strips(loaded.cells, base)
    if not loaded.reason or size[0] < 1:
        return []
    lines = Content(loaded.reason).wrap(size[0])[: size[1]]
    return [Strip([Segment(line.plain, base)]) for line in lines]


@lru_cache(maxsize=8192)
def _style(base: Style, front: int, back: int) -> Style:
    if front == back == NO_COLOUR:
        return base
    foreground = None if front == NO_COLOUR else _colour(front)
    return Style.from_color(foreground, base.bgcolor if back == NO_COLOUR else _colour(back))


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
