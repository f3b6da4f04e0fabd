"""The line in which an expression is typed, what it finds, and what is wrong with it where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from colonnade.tui.keys import action
from colonnade.tui.safe import safe
from colonnade.tui.widgets.cells import fit, text_cells
from colonnade.tui.widgets.line import keyed

if TYPE_CHECKING:
    from textual.widgets import Input

__all__ = ["QueryLine"]

_SIGN = "> "
_SHOWN_OPTIONS = 40
_EMPTY = "all images; {browse.query:i} types a query"


class QueryLine(Widget):
    """Two lines: the expression with what it finds, and under it completions or the fault.

    It knows nothing of a store: it posts `Edited` for each change and is told completions, faults and results. The
    field to type in is made when it is first needed: the first frame should not wait for it.
    """

    DEFAULT_CSS = """
    QueryLine { height: 2; layout: vertical; }
    QueryLine > .query-line--result { text-style: bold; }
    QueryLine > .query-line--bad { color: $error; text-style: bold; }
    QueryLine > .query-line--dim { text-style: dim; }
    BaseScreen.-flat QueryLine { height: 1; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"query-line--result", "query-line--bad", "query-line--dim"}
    BINDINGS: ClassVar = [
        action("query.complete", "tab", "complete", "complete the word; again: the next one", priority=True),
        action("query.leave", "escape,down", "leave", "back to the results", priority=True),
    ]

    @dataclass
    class Edited(Message):
        """The user changed the text; `position` is the cursor's."""

        text: str
        position: int

    @dataclass
    class Left(Message):
        """The user is done typing; `accepted`: by enter."""

        accepted: bool

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = ""
        self._result = ""
        self._instead: str | None = None
        self._fault: tuple[str, int] | None = None
        self._start = 0
        self._options: tuple[str, ...] = ()
        self._tabs = 0
        self._expected: str | None = None
        self._field: Input | None = None

    @property
    def text(self) -> str:
        """The expression."""
        return self._text

    @property
    def position(self) -> int:
        """Where the cursor is in it."""
        return len(self._text) if self._field is None else self._field.cursor_position

    @property
    def is_typing(self) -> bool:
        """Whether the field has the focus."""
        return self._field is not None and self._field.has_focus

    def type(self) -> None:
        """Put the focus into the field."""
        if self._field is None:
            self._field = _field(self._text, self._field_width)
            self.mount(self._field)
        self._field.display = True
        self._field.focus()
        self._redraw(0)

    def set_text(self, text: str) -> None:
        """Show an expression that was made otherwise; posts no `Edited`."""
        if text != self._text:
            self._put(text, len(text))
        self.complete_with(0, ())

    def complete_with(self, start: int, options: Sequence[str]) -> None:
        """What may be typed: whole words that replace the text from `start` to the cursor."""
        self._start, self._tabs = start, 0
        if tuple(options[:_SHOWN_OPTIONS]) != self._options:
            self._options = tuple(options[:_SHOWN_OPTIONS])
            self._redraw(1)

    def refill(self, start: int, options: Sequence[str]) -> None:
        """Completions for the present text, unless the user is going through some with tab."""
        if not self._tabs:
            self.complete_with(start, options)

    def fault(self, message: str, position: int) -> None:
        """Mark what is wrong, in one line of words."""
        if self._fault != (message, position):
            self._fault = message, position
            self._redraw(1)
            self._redraw(0)

    def clear_fault(self) -> None:
        """Nothing is wrong any more."""
        if self._fault is not None:
            self._fault = None
            self._redraw(1)
            self._redraw(0)

    def instead(self, text: str | None) -> None:
        """What the results below come from, where that is not the expression."""
        if text != self._instead:
            self._instead = text
            self._redraw(0)

    def result(self, text: str) -> None:
        """What the expression finds: `1,204 hits  6 ms`."""
        if text != self._result:
            self._result = text
            self._redraw(0)

    # the field

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._text = event.value
        if event.value == self._expected:
            self._expected = None
            return
        self._expected, self._tabs = None, 0
        self.post_message(self.Edited(event.value, self.position))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Left(True))

    def on_input_blurred(self, event: Input.Blurred) -> None:
        if self._field is not None:
            self._field.display = False
        self.complete_with(0, ())
        self._redraw(0)

    def on_resize(self, event: events.Resize) -> None:
        if self._field is not None:
            self._field.styles.width = self._field_width

    def on_click(self) -> None:
        self.type()

    def action_leave(self) -> None:
        self.post_message(self.Left(False))

    def action_complete(self) -> None:
        if not self._options or self._field is None:
            return
        chosen = self._options[self._tabs % len(self._options)]
        self._tabs += 1
        text = self._text[: self._start] + chosen
        self._put(text + self._text[self.position :], len(text))
        self.post_message(self.Edited(self._text, len(text)))

    def _put(self, text: str, position: int) -> None:
        self._text = text
        if self._field is not None and text != self._field.value:
            self._expected = text
            self._field.value = text
            self._field.cursor_position = position
        self._redraw(0)

    @property
    def _field_width(self) -> int:
        return max(8, self.size.width - len(_SIGN) - self._result_width)

    @property
    def _result_width(self) -> int:
        return 26 if self.size.width >= 50 else 8

    # drawing

    def _redraw(self, line: int) -> None:
        self.refresh(Region(0, line, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        return self._first_line() if y == 0 else self._second_line()

    def _style(self, part: str) -> Style:
        return self.rich_style + self.get_component_rich_style(f"query-line--{part}", partial=True)

    def _first_line(self) -> Strip:
        width = self.size.width
        style = self.rich_style
        text, kind = (self._text, style) if self._text else (keyed(self, _EMPTY), self._style("dim"))
        if self._instead is not None:
            text, kind = self._instead, self._style("result")
        right = self._result
        if self._fault is not None:
            before = right.partition("  ")[0]
            right = "!! " + self._fault[0] if self.size.height == 1 else before and f"before: {before}"
        size = self._field_width if self.is_typing else max(8, width - len(_SIGN) - text_cells(right) - 2)
        segments = [
            Segment(_SIGN, style),
            Segment(fit(text, size), kind),
            Segment(fit(right, width - size - len(_SIGN), "right"), self._style("result")),
        ]
        return Strip(segments).adjust_cell_length(width, style)

    def _second_line(self) -> Strip:
        width = self.size.width
        if self._fault is None:
            words = "  ".join(self._options)
            text = f"  {keyed(self, '{query.complete:tab}')}: {words}" if words else ""
            return Strip([Segment(fit(text, width), self._style("dim"))], width)
        message, position = self._fault
        before = text_cells(safe(self._text[:position]))
        if self._field is not None:
            before -= int(self._field.scroll_offset.x)
        text = caret_line(message, len(_SIGN) + before, width)
        return Strip([Segment(text, self._style("bad"))], width)


def caret_line(message: str, place: int, width: int) -> str:
    """A line with ^ at `place` and the message beside it, where there is room for it."""
    words = safe(message, limit=400)
    place = max(0, min(place, width - 1))
    size = text_cells(words)
    if place + 2 + size <= width:
        text = " " * place + "^ " + words
    elif size + 1 <= place:
        text = " " * (place - size - 1) + words + " ^"
    elif place > width // 2:
        text = fit(words, place - 1) + " ^"
    else:
        text = " " * place + "^ " + words
    return fit(text, width)


def _field(text: str, width: int) -> Input:
    from colonnade.tui.widgets.field import SafeInput

    field = SafeInput(text)
    field.styles.width = width
    field.styles.height = 1
    field.styles.margin = (0, 0, 0, len(_SIGN))
    field.styles.padding = 0
    field.styles.background = "transparent"
    return field
