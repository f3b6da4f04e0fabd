"""A distribution in blocks with two lines over it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from colonnade.tui.widgets.cells import fit

if TYPE_CHECKING:
    from colonnade.tui.cut_lines import CutLines

__all__ = ["Histogram"]

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ACCEPTED, _TENTATIVE = "┃", "┆"


class Histogram(Widget):
    """Bars from the lowest to the highest value; where a line stands, its own character; the places in words below."""

    DEFAULT_CSS = """
    Histogram { height: 1fr; width: 1fr; min-height: 3; }
    Histogram > .histogram--rejected { text-style: dim; }
    Histogram > .histogram--tentative { color: $warning; }
    Histogram > .histogram--accepted { color: $success; }
    Histogram > .histogram--line { text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "histogram--rejected",
        "histogram--tentative",
        "histogram--accepted",
        "histogram--line",
    }

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: CutLines | None = None
        self._moving = "accepted"
        self._logarithmic = False
        self._bars: tuple[object, list[float]] = (None, [])

    def show(self, lines: CutLines | None, moving: str = "accepted", *, logarithmic: bool = False) -> None:
        """Show a distribution and its lines.

        Args:
            moving: the line that the keys move, `accepted` or `tentative`; its name stands in brackets.
            logarithmic: heights by the logarithm, so that a few images among thousands are seen.
        """
        self._lines, self._moving, self._logarithmic = lines, moving, logarithmic
        self.refresh()

    def column_of(self, place: float) -> int | None:
        """The column of a place on the axis; None where that is beyond the picture."""
        lines, width = self._lines, self.size.width
        if lines is None or not width or not math.isfinite(place):
            return None
        low, high = lines.found.low, lines.found.high
        column = int((place - low) / ((high - low) or 1.0) * width)
        return column if 0 <= column < width else None

    def heights(self) -> list[float]:
        """A bar's height for every column, from 0 to 1."""
        lines, width = self._lines, self.size.width
        if lines is None or not width:
            return []
        key = (lines.found, width, self._logarithmic)
        if self._bars[0] != key:
            count = lines.found.bins_for(width)  # of few images, a bar for each column would be a comb
            bins = lines.bins(count)
            scaled = [math.log1p(count) if self._logarithmic else float(count) for count in bins]
            top = max(scaled) or 1.0
            self._bars = (key, [scaled[column * count // width] / top for column in range(width)])
        return self._bars[1]

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        rows = max(1, height - 2)
        if self._lines is None:
            return Strip.blank(width, self.rich_style)
        if y < rows:
            return self._bar_line(y, rows)
        text = self._axis() if y == rows else self._names() if y == rows + 1 else ""
        return Strip([Segment(fit(text, width), self.rich_style)], width)

    def _bar_line(self, y: int, rows: int) -> Strip:
        base, lines = self.rich_style, self._lines
        assert lines is not None
        accepted, tentative = self.column_of(lines.accepted_at), self.column_of(lines.tentative_at)
        first = {"accepted": self._first(lines.accepted_at), "tentative": self._first(lines.tentative_at)}
        runs: list[tuple[str, str]] = []
        for column, height in enumerate(self.heights()):
            if column == accepted:
                char, kind = _ACCEPTED, "line"
            elif column == tentative:
                char, kind = _TENTATIVE, "line"
            else:
                char = _block(height, rows - 1 - y, rows)
                above = column >= first["accepted"]
                kind = "accepted" if above else "tentative" if column >= first["tentative"] else "rejected"
            if runs and runs[-1][1] == kind:
                runs[-1] = (runs[-1][0] + char, kind)
            else:
                runs.append((char, kind))
        return Strip([Segment(text, self._style(kind, base)) for text, kind in runs], self.size.width)

    def _first(self, place: float) -> float:
        """The first column at or above a place."""
        column = self.column_of(place)
        if column is not None:
            return column
        assert self._lines is not None
        return 0 if place <= self._lines.found.low else math.inf

    def _style(self, kind: str, base: Style) -> Style:
        return base + self.get_component_rich_style(f"histogram--{kind}", partial=True)

    def _axis(self) -> str:
        lines = self._lines
        assert lines is not None
        cells = ["─"] * self.size.width
        for place in (lines.tentative_at, lines.accepted_at):
            column = self.column_of(place)
            if column is not None:
                cells[column] = "^"
        return "".join(cells)

    def _names(self) -> str:
        """The ends of the axis and the names of the lines under their marks, as far as there is room."""
        lines, width = self._lines, self.size.width
        assert lines is not None
        cells = [" "] * width
        low, high = f"{lines.found.low:.1f}", f"{lines.found.high:.1f}"
        places = {"accepted": lines.accepted_at, "tentative": lines.tentative_at}
        order = [self._moving, *(name for name in places if name != self._moving)]
        taken: list[range] = []
        wanted = [
            (f"[{name}]" if name == self._moving else name, self.column_of(places[name])) for name in order
        ]
        for text, column in (*wanted, (low, 0), (high, width - 1)):
            if column is None:
                continue
            start = max(0, min(column - len(text) // 2, width - len(text)))
            span = range(start, start + len(text))
            if len(text) > width or any(set(span) & set(range(old.start - 1, old.stop + 1)) for old in taken):
                continue
            taken.append(span)
            cells[span.start : span.stop] = text
        return "".join(cells)


def _block(height: float, row: int, rows: int) -> str:
    """The character of a bar in a row, counted from below; a bar that holds anything shows at least the lowest."""
    eighths = max(1, round(height * rows * 8)) if height > 0 else 0
    return _BLOCKS[min(8, max(0, eighths - row * 8))]
