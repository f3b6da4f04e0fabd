"""Grids for a purpose: a strip that is only looked at, and a page of pictures that are judged."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType

from colonnade.tui.widgets.cells import fit_name
from colonnade.tui.widgets.grid import Grid, GridItem

__all__ = ["JudgedGrid", "PictureStrip"]


class PictureStrip(Grid, can_focus=False):
    """Thumbnails that are only looked at."""

    DEFAULT_CSS = "PictureStrip { width: 1fr; height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = []

    @property
    def ids(self) -> list[int]:
        """The images that are shown."""
        return [item.id for item in self._items]

    def _caption(self, item: GridItem, here: bool) -> Segment:
        return Segment(fit_name(item.caption, self._tile[0]), self.rich_style)


class JudgedGrid(Grid):
    """Thumbnails with an answer each: toggled on is yes (x), else no; or unsure (?)."""

    DEFAULT_CSS = "JudgedGrid { width: 1fr; height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, *, tile: tuple[int, int] = (18, 7), id: str | None = None) -> None:
        super().__init__(tile=tile, id=id)
        self._unsure: set[int] = set()
        self._seen: set[int] = set()

    @property
    def unsure(self) -> frozenset[int]:
        """The ids that are neither yes nor no."""
        return frozenset(self._unsure)

    @property
    def seen(self) -> frozenset[int]:
        """The ids whose picture, or the reason why there is none, has been drawn."""
        return frozenset(self._seen | {item.id for item in self._items if item.path is None or item.reason})

    def clear_answers(self) -> None:
        """Forget what was said of earlier pictures; before others are shown."""
        self._unsure.clear()
        self._seen.clear()

    def judge(self, id: int, present: bool | None) -> None:
        """Say yes, no or unsure of a picture."""
        (self._unsure.add if present is None else self._unsure.discard)(id)
        self.set_on(id, present is True)

    def answer_of(self, id: int) -> bool | None:
        """What is said of a picture."""
        return None if id in self._unsure else id in self._on

    def action_toggle_item(self) -> None:
        if (item := self.item) is not None:
            self._unsure.discard(item.id)
        super().action_toggle_item()

    def on_grid__filled(self, message: Grid._Filled) -> None:
        self._seen.add(message.item.id)
        if message.loaded.reason:  # nobody can say what is on a picture that cannot be shown
            self.judge(message.item.id, None)

    def _caption(self, item: GridItem, here: bool) -> Segment:
        mark = "?" if item.id in self._unsure else "x" if item.id in self._on else " "
        text = f"{'>' if here else ' '}[{mark}] {fit_name(item.caption, self._tile[0] - 5)}"
        style = self.rich_style + Style(reverse=here and self.has_focus, bold=item.id in self._on)
        return Segment(text, style)
