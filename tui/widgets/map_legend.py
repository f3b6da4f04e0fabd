"""The line under the map: what is shown and selected, and what its colours mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip

from colonnade.tui.widgets.cells import fit, text_cells
from colonnade.tui.widgets.line import TextLine

__all__ = ["KeyPart", "MapLegend"]

KeyPart = tuple[str, int | None]
"""A text of the key to the colours, and the level whose colour it has."""

_GAP = "  "


class MapLegend(TextLine):
    """Parts of text, the most important first, and the key to the colours: as many of them as there is room for.

    Args:
        style_of: the style of a level of the map.
    """

    DEFAULT_CSS = """
    MapLegend { height: 1; width: 1fr; }
    """

    def __init__(self, style_of: Callable[[int], Style], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._style_of = style_of
        self._parts: tuple[str, ...] = ()
        self._key: tuple[KeyPart, ...] = ()
        self._shown_key: tuple[KeyPart, ...] = ()

    def explain(self, parts: Sequence[str], key: Sequence[KeyPart] = ()) -> None:
        """Show other parts and another key."""
        self._parts, self._key = tuple(parts), tuple(key)
        self._fill()

    def on_resize(self, event: events.Resize) -> None:
        self._fill()

    def _fill(self) -> None:
        width, text = self.size.width, ""
        for part in self._parts:
            longer = f"{text}{_GAP}{part}" if text else part
            if not text or text_cells(longer) <= width:
                text = longer
        words = "".join(said for said, _ in self._key)
        key = self._key if words and text_cells(text) + len(_GAP) + text_cells(words) <= width else ()
        if key != self._shown_key:
            self._shown_key = key
            self.refresh()
        self.tell(f"{text}{_GAP}{words}" if key else text)

    def render_line(self, y: int) -> Strip:
        if not self._shown_key:
            return super().render_line(y)
        width = self.size.width
        words = "".join(said for said, _ in self._shown_key)
        text = self.lines[0][: len(self.lines[0]) - len(words)]
        used = text_cells(text) + text_cells(words)
        segments = [Segment(fit(text, text_cells(text)), self.rich_style)]
        segments += [
            Segment(said, self.rich_style if level is None else self._style_of(level))
            for said, level in self._shown_key
        ]
        segments.append(Segment(" " * max(0, width - used), self.rich_style))
        return Strip(segments).adjust_cell_length(width, self.rich_style)
