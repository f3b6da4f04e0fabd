"""The line in which an expression is typed, what it finds, and what is wrong with it where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from colonnade.tui.keys import action
from colonnade.tui.safe import safe
from colonnade.tui.widgets.cells import fit, text_cells

__all__ = ["QueryLine"]

_PROMPT = 2
_SHOWN_OPTIONS = 40


class QueryLine(Vertical):
    """Two lines: the expression with what it finds, and under it completions or the fault.

    It knows nothing of a store: it posts `Edited` for each change and is told completions, faults and results.
    """

    DEFAULT_CSS = """
    QueryLine { height: 2; }
    QueryLine > Horizontal { height: 1; }
    QueryLine _Sign { width: 2; }
    QueryLine Input { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    QueryLine Input:focus { border: none; }
    QueryLine _Result { width: 26; height: 1; text-style: bold; }
    QueryLine _Under { height: 1; }
    QueryLine _Under > .query-line--bad { color: $error; text-style: bold; }
    BaseScreen.-tiny QueryLine _Result { width: 7; }
    BaseScreen.-flat QueryLine { height: 1; }
    BaseScreen.-flat QueryLine _Under { display: none; }
    """
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
        self._start = 0
        self._options: tuple[str, ...] = ()
        self._next = 0
        self._setting = ""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield _Sign()
            field = Input(select_on_focus=False, compact=True, placeholder="all images; i types a query")
            field.cursor_blink = False
            yield field
            yield _Result()
        yield _Under()

    @property
    def text(self) -> str:
        """The expression."""
        return self.query_one(Input).value

    @property
    def position(self) -> int:
        """Where the cursor is in it."""
        return self.query_one(Input).cursor_position

    @property
    def is_typing(self) -> bool:
        """Whether the field has the focus."""
        return self.query_one(Input).has_focus

    def type(self) -> None:
        """Put the focus into the field."""
        self.query_one(Input).focus()

    def set_text(self, text: str) -> None:
        """Show an expression that was made otherwise; posts no `Edited`."""
        field = self.query_one(Input)
        if text != field.value:
            self._setting = text
            field.value = text
            field.cursor_position = len(text)
        self.complete_with(0, ())

    def complete_with(self, start: int, options: Sequence[str]) -> None:
        """What may be typed: whole words that replace the text from `start` to the cursor."""
        self._start, self._options, self._next = start, tuple(options[:_SHOWN_OPTIONS]), 0
        self.query_one(_Under).options(self._options)

    def fault(self, message: str, position: int) -> None:
        """Mark what is wrong, in one line of words."""
        field = self.query_one(Input)
        place = text_cells(safe(field.value[:position])) - int(field.scroll_offset.x)
        self.query_one(_Under).fault(message, _PROMPT + max(0, place))

    def clear_fault(self) -> None:
        """Nothing is wrong any more."""
        self.query_one(_Under).fault("", 0)

    def result(self, text: str) -> None:
        """What the expression finds: `1,204 hits  6 ms`."""
        self.query_one(_Result).tell(text)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value == self._setting:
            self._setting = ""
            return
        self._setting = ""
        self.post_message(self.Edited(event.value, self.position))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Left(True))

    def on_input_blurred(self, event: Input.Blurred) -> None:
        self.query_one(_Under).options(())

    def on_key(self, event: events.Key) -> None:
        if event.key != "tab":
            self._next = 0

    def action_leave(self) -> None:
        self.post_message(self.Left(False))

    def action_complete(self) -> None:
        if not self._options:
            return
        chosen = self._options[self._next % len(self._options)]
        self._next += 1
        field = self.query_one(Input)
        options, start, following = self._options, self._start, self._next
        rest = field.value[field.cursor_position :]
        text = field.value[:start] + chosen
        self._setting = text + rest
        field.value = text + rest
        field.cursor_position = len(text)
        self.post_message(self.Edited(text + rest, len(text)))
        self._options, self._start, self._next = options, start, following

    def refill(self, start: int, options: Sequence[str]) -> None:
        """Completions for the present text, unless the user is going through some with tab."""
        if not self._next:
            self.complete_with(start, options)


class _Sign(Widget):
    def render_line(self, y: int) -> Strip:
        return Strip([Segment("> ", self.rich_style)], 2)


class _Result(Widget):
    def __init__(self) -> None:
        super().__init__()
        self._text = ""

    def tell(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        return Strip([Segment(fit(self._text, width, "right"), self.rich_style)], width)


class _Under(Widget):
    COMPONENT_CLASSES: ClassVar[set[str]] = {"query-line--bad"}

    def __init__(self) -> None:
        super().__init__()
        self._options: tuple[str, ...] = ()
        self._fault = ""
        self._place = 0

    def options(self, options: tuple[str, ...]) -> None:
        if options != self._options:
            self._options = options
            self.refresh()

    def fault(self, message: str, place: int) -> None:
        if (message, place) != (self._fault, self._place):
            self._fault, self._place = message, place
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if not self._fault:
            words = "  ".join(self._options)
            text = f"  tab: {words}" if words else ""
            return Strip([Segment(fit(text, width), self.rich_style)], width)
        words = safe(self._fault, limit=400)
        place = min(self._place, width - 1)
        size = text_cells(words)
        if place + 2 + size <= width:
            text = " " * place + "^ " + words
        elif size + 1 <= place:
            text = " " * (place - size - 1) + words + " ^"
        else:
            text = fit(words, max(0, place - 1)) + " ^" if place > width // 2 else " " * place + "^ " + words
        style = self.rich_style + self.get_component_rich_style("query-line--bad", partial=True)
        return Strip([Segment(fit(text, width), style)], width)
