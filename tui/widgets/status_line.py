"""The first and the last line of every screen."""

from __future__ import annotations

from textwrap import wrap
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from colonnade.tui.safe import safe
from colonnade.tui.widgets.cells import fit, text_cells
from colonnade.tui.widgets.line import keyed

__all__ = ["STANDARD_HINT", "HeaderLine", "StatusLine"]

STANDARD_HINT = "{app.help:?} keys  {app.palette::} actions  {app.quit:q} quit"
_SIGNS = {"": "", "warn": "! ", "bad": "!! "}
_MOST_LINES = 5
_NARROWEST = 20


class HeaderLine(Widget):
    """Where one is: the screen, the store, its facts at the left, the model at the right."""

    DEFAULT_CSS = """
    HeaderLine { height: 1; width: 1fr; background: $panel; color: $foreground; text-style: bold; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._facts: tuple[tuple[str, ...], str] = ((), "")

    def update_facts(self, facts: tuple[tuple[str, ...], str]) -> None:
        """(what stands at the left, most important first; what stands at the right if there is room)."""
        if facts != self._facts:
            self._facts = facts
            self.refresh()

    def render_line(self, y: int) -> Strip:
        left, right = self._facts
        width = self.size.width
        text = ""
        for fact in left:
            longer = f"{text}  {safe(fact, limit=200)}" if text else f" {safe(fact, limit=200)}"
            if text and text_cells(longer) > width:
                break
            text = longer
        right = safe(right, limit=200)
        room = width - text_cells(text)
        if right and text_cells(right) + 3 <= room:
            text += " " * (room - text_cells(right) - 1) + right
        return Strip([Segment(fit(text, width), self.rich_style)], width)


class StatusLine(Widget):
    """What was just said at the left, over several lines if it is long; a lasting hint at the right.

    `{IDENTITY:KEY}` in what is said or hinted is the key in force of an action: see `with_keys`.
    """

    DEFAULT_CSS = """
    StatusLine { height: 1; width: 1fr; dock: bottom; background: $panel; color: $foreground; }
    StatusLine > .status-line--warn { color: $warning; text-style: bold; }
    StatusLine > .status-line--bad { color: $error; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"status-line--warn", "status-line--bad"}

    def __init__(self) -> None:
        super().__init__()
        self.message = ""
        self.kind = ""
        self._hint = STANDARD_HINT
        self._standing = ""
        self._lead = ""
        self._lines: tuple[str, ...] = ()

    def tell(self, text: str, kind: str = "") -> None:
        """Say something; `kind`: warn or bad, which is said by a sign, too."""
        if self._lead:
            text, kind = f"{self._lead} - {text}" if text else self._lead, kind or "warn"
        text = safe(keyed(self, text), limit=2000)
        if (text, kind) != (self.message, self.kind):
            self.message, self.kind = text, kind
            self._fold()
            self.refresh()

    def on_resize(self) -> None:
        self._fold()

    def _fold(self) -> None:
        """Take as many lines as the message needs."""
        width = self.size.width
        text = f"{_SIGNS[self.kind]}{self.message}"
        if width < _NARROWEST or text_cells(text) < width:
            self._lines = ()
        else:
            self._lines = tuple(wrap(text, width - 2, max_lines=_MOST_LINES, placeholder=" …"))
        height = max(1, len(self._lines))
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height

    def stand(self, text: str) -> None:
        """What the left shows while nothing was just said."""
        text = safe(keyed(self, text), limit=2000)
        if text != self._standing:
            self._standing = text
            self.refresh()

    def lead(self, text: str) -> None:
        """Warn of something that no other message takes the place of before the next key."""
        said = self.message.removeprefix(self._lead).removeprefix(" - ") if self._lead else self.message
        self._lead = text
        self.tell(said, self.kind or "warn")

    def clear(self) -> None:
        """Take back what was said."""
        self._lead = ""
        self.tell("")

    def hint(self, text: str) -> None:
        """What stands at the right."""
        if text != self._hint:
            self._hint = text
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        style = self.rich_style
        said = style
        if self.message and self.kind:
            said = style + self.get_component_rich_style(f"status-line--{self.kind}", partial=True)
        if self._lines:
            line = self._lines[y] if y < len(self._lines) else ""
            return Strip([Segment(fit(f" {line}", width), said)], width)
        left = f" {_SIGNS[self.kind]}{self.message}" if self.message else f" {self._standing}"
        hint = safe(keyed(self, self._hint), limit=300)
        room = width - text_cells(left)
        right = hint + " " if text_cells(hint) + 3 <= room else ""
        size = width - text_cells(right)
        segments = [Segment(fit(left, size), said)]
        if right:
            segments.append(Segment(right, style))
        return Strip(segments, width)
