"""The panel that shows what the wordings would do, before anything is saved: one column a wording."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from colonnade.tui.screens.vocabulary_tried_text import Axis, axis_of, name_lines, room_for_bins
from colonnade.tui.screens.vocabulary_trying import Tried
from colonnade.tui.widgets.grid import Grid, GridItem
from colonnade.tui.widgets.line import TextLine, TextLines, folded, keyed
from colonnade.tui.widgets.thumbnails import PictureStrip

__all__ = ["Tries", "TryColumn"]

_TILE = (16, 6)
_GRID_LINES = 7
_GRID_COLUMNS = 50


class TryColumn(Vertical):
    """What one wording would do."""

    DEFAULT_CSS = """
    TryColumn { width: 1fr; height: 1fr; margin: 0 1 0 0; }
    TryColumn > TextLine { background: $boost; text-style: bold; }
    TryColumn > TextLines { height: auto; max-height: 100%; }
    TryColumn > Grid { display: none; }
    TryColumn.-pictures > Grid { display: block; }
    """

    def __init__(self, name: str, *, id: str) -> None:
        super().__init__(id=id)
        self._heading = name
        self._tried: Tried | None = None
        self._lines: tuple[str, ...] = ()
        self._others: Callable[[], Sequence[TryColumn]] = lambda: ()
        self._state = ""

    def compose(self) -> ComposeResult:
        yield TextLine(id=f"{self.id}-title")
        yield TextLines(id=f"{self.id}-lines")
        yield PictureStrip(tile=_TILE, id=f"{self.id}-grid")

    def on_mount(self) -> None:
        self.call_after_refresh(self._fill)

    def on_resize(self, _: events.Resize) -> None:
        self._fill()

    @property
    def tried(self) -> Tried | None:
        """What it shows."""
        return self._tried

    def beside(self, others: Callable[[], Sequence[TryColumn]]) -> None:
        """The columns that stand beside it: histograms share one axis."""
        self._others = others

    def _axis(self) -> Axis | None:
        shown = [self, *self._others()]
        tries = [one.tried.found for one in shown if one.tried is not None and one.tried.found is not None]
        width = min(one.size.width for one in shown)
        return axis_of(tries, room_for_bins(width - 1)) if len(tries) > 1 else None

    def refill(self) -> None:
        """Show the same anew, for what stands beside it has changed."""
        self._fill()

    def name_it(self, heading: str) -> None:
        """Head the column by other words."""
        self._heading = heading
        self._tell()

    def tell(self, state: str) -> None:
        """Say what is going on, beside what was found before."""
        self._state = state
        self._tell()

    def show(self, tried: Tried) -> None:
        """Show what was found."""
        self._tried, self._lines, self._state = tried, tried.lines, ""
        for one in (self, *self._others()):
            one.refill()

    def explain(self, lines: Sequence[str]) -> None:
        """Say why there is nothing to show."""
        self._tried, self._lines, self._state = None, tuple(lines), ""
        self._fill()

    def _tell(self) -> None:
        if self.query(f"#{self.id}-title"):
            text = f" {self._heading}" + (f"   {self._state}" if self._state else "")
            self.query_one(f"#{self.id}-title", TextLine).tell(text)

    def _fill(self) -> None:
        """Facts, then pictures where there is room for them, else paths."""
        if not self.query(f"#{self.id}-lines"):
            return
        self._tell()
        tried, width = self._tried, self.size.width
        if tried is not None:
            said = tried.said(width - 1, self._axis(), keyed(self, "{form.which:^E}"))
        else:
            said = [part for line in self._lines for part in folded(keyed(self, line), width - 1)]
        facts = tuple(f" {keyed(self, line)}" for line in said)
        room = self.size.height - 1 - len(facts)
        pictures = tried.pictures if tried is not None else ()
        rows = room // _GRID_LINES if room < 2 * _GRID_LINES else room // _GRID_LINES - 1
        pictured = rows > 0 and width >= _GRID_COLUMNS and any(each.file for each in pictures)
        self.set_class(pictured, "-pictures")
        if tried is not None and pictured:
            across = max(1, (width + 1) // (_TILE[0] + 1))
            some = tried.some(across * rows)
            items = [
                GridItem(each.image_id, each.file, _caption(each.mark, each.value, each.path), each.reason)
                for each in some
            ]
            self.query_one(Grid).show(items)
            room -= rows * _GRID_LINES
            pictures = tuple(each for each in pictures if each not in some)
        if tried is not None:
            facts += tuple(f" {line}" for line in name_lines(pictures, room, width - 1))
        self.query_one(f"#{self.id}-lines", TextLines).show(facts)


def _caption(mark: str, value: str, path: str) -> str:
    return f"{mark} {value} {path.rpartition('/')[2]}".lstrip()


class Tries(Horizontal):
    """One column, or two side by side."""

    DEFAULT_CSS = """
    Tries { height: 1fr; }
    Tries > #try-b { display: none; }
    Tries.-two > #try-b { display: block; }
    VocabularyScreen.-tall Tries { height: 2fr; }
    """

    def compose(self) -> ComposeResult:
        yield TryColumn("try", id="try-a")
        yield TryColumn("wording B", id="try-b")

    def column(self, which: int) -> TryColumn:
        """The column of a wording."""
        return self.query_one("#try-b" if which else "#try-a", TryColumn)

    def compare(self, two: bool, chosen: int) -> None:
        """Show one wording or two, and which of them is edited."""
        self.set_class(two, "-two")
        first, second = self.column(0), self.column(1)
        first.beside(lambda: (second,) if self.has_class("-two") else ())
        second.beside(lambda: (first,))
        names = (
            [f"wording {'AB'[n]}{' (edited)' if n == chosen else ''}" for n in (0, 1)] if two else ["try", ""]
        )
        for which, name in enumerate(names):
            self.column(which).name_it(name)
