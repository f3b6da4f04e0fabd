"""A line of outside text, without markup."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from colonnade.tui.keys import with_keys
from colonnade.tui.widgets.cells import fit

__all__ = ["TextLine", "TextLines", "folded", "folded_rows", "keyed"]

_NARROWEST = 12
_LONGEST = 4000


def keyed(widget: Widget, text: str) -> str:
    """A text of the app's own in which each `{IDENTITY:KEY}` is the key in force: see `with_keys`."""
    return with_keys(text, widget.app._keymap)


def folded(text: str, width: int) -> list[str]:
    """A line over as many as it needs, the others two cells further in than the first."""
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return wrap(text[:_LONGEST], max(_NARROWEST, width), subsequent_indent=indent)


def folded_rows(lines: Iterable[str], width: int) -> list[tuple[str]]:
    """Lines as the rows of a table, those that are too long over several."""
    return [(f" {part}",) for line in lines for part in folded(line, width) or [""]]


class TextLines(Widget):
    """Lines of text, each cut to the width; safe for text from outside."""

    DEFAULT_CSS = """
    TextLines { height: auto; width: 1fr; }
    """
    _cut = "right"

    def __init__(
        self, lines: tuple[str, ...] = (), *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.lines = lines

    def show(self, lines: tuple[str, ...]) -> None:
        """Show other lines."""
        if lines != self.lines:
            longer = len(lines) != len(self.lines)
            self.lines = lines
            self.refresh(layout=longer and self.styles.is_auto_height)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self.lines)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        text = self.lines[y] if y < len(self.lines) else ""
        return Strip([Segment(fit(text, width, cut=self._cut), self.rich_style)], width)


class TextLine(TextLines):
    """One line of text."""

    DEFAULT_CSS = """
    TextLine { height: 1; width: 1fr; }
    """

    def __init__(
        self, text: str = "", *, id: str | None = None, classes: str | None = None, cut: str = "right"
    ) -> None:
        """`cut`: where a text that is too long loses its characters; a path, on the left."""
        super().__init__((text,), id=id, classes=classes)
        self._cut = cut

    def tell(self, text: str) -> None:
        """Show another text."""
        self.show((text,))
