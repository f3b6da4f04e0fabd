"""A panel at the bottom that asks for a text, with what may be picked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Input

from colonnade.tui.keys import action
from colonnade.tui.widgets.field import SafeInput
from colonnade.tui.widgets.line import TextLine
from colonnade.tui.widgets.window_table import Column, ListSource, WindowTable

__all__ = ["Prompt"]

Choices = Callable[[str], Iterable[tuple[str, ...]]]
"""What is typed -> (answer, words) or (shown, words, answer) of each choice."""

Check = Callable[[str], str | None]
"""An answer -> what is wrong with it, or None."""

_MOST_CHOICES = 9


class Prompt(Vertical):
    """Asks for a text; enter answers with it, or with the choice under the cursor; Esc answers nothing.

    Args:
        title: what is asked for.
        then: is called with the answer, after the panel has gone.
        choices: what may be picked for what is typed; the cursor goes through it with up and down.
        check: an answer with which something is wrong stays in the field, to be put right.
        back: what gets the focus afterwards.
    """

    DEFAULT_CSS = """
    Prompt { dock: bottom; height: 2; max-height: 60%; background: $panel; }
    Prompt > TextLine { background: $panel; text-style: bold; }
    Prompt > WindowTable { height: 1fr; background: $panel; }
    Prompt > Input { height: 1; border: none; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar = [
        action("prompt.cancel", "escape", "cancel", "leave without an answer", priority=True),
        action("prompt.up", "up,ctrl+p", "pick(-1)", "choice above", priority=True),
        action(
            "prompt.complete",
            "tab",
            "complete",
            "take the choice into the field, to go on typing",
            priority=True,
        ),
        action("prompt.down", "down,ctrl+n", "pick(1)", "choice below", priority=True),
    ]

    def __init__(
        self,
        title: str,
        then: Callable[[str], None],
        *,
        value: str = "",
        choices: Choices | None = None,
        check: Check | None = None,
        back: Widget | None = None,
    ) -> None:
        super().__init__(classes="-with-choices" if choices else None)
        self._title, self._then, self._value = title, then, value
        self._choices, self._check, self.back = choices, check, back

    def compose(self) -> ComposeResult:
        yield TextLine(self._title)
        # A name that is proposed is replaced by what is typed; a path to go on from is not.
        yield SafeInput(self._value, select_on_focus=self._choices is None)
        if self._choices is not None:
            table = WindowTable((Column("value", "", 24), Column("words", "")), heading=False)
            table.can_focus = False
            yield table

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._list(self._value)
        if self._choices is not None:
            self.styles.height = 2 + max(2, min(_MOST_CHOICES, len(list(self._choices("")))))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_one(TextLine).tell(self._title)
        self._list(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        answer = event.value
        if self._choices is not None:
            table = self.query_one(WindowTable)
            if table.values is not None:
                answer = str(table.values[-1])
        self._answer(answer)

    def on_window_table_chosen(self, event: WindowTable.Chosen) -> None:
        event.stop()
        self._answer(str(event.values[-1]))

    def _answer(self, answer: str) -> None:
        if self._check is not None and (fault := self._check(answer)):
            self.query_one(TextLine).tell(f"! {fault}")
            return
        self._end()
        self._then(answer)

    def action_pick(self, step: int) -> None:
        if self._choices is not None:
            self.query_one(WindowTable).action_move(step)

    def action_complete(self) -> None:
        if self._choices is not None and (values := self.query_one(WindowTable).values) is not None:
            field = self.query_one(Input)
            field.value = str(values[-1])
            field.cursor_position = len(field.value)

    def action_cancel(self) -> None:
        self._end()

    def _list(self, typed: str) -> None:
        if self._choices is not None:
            rows = [
                (choice[0], choice[1], choice[-1 if len(choice) > 2 else 0])
                for choice in self._choices(typed)
            ]
            self.query_one(WindowTable).show(ListSource(rows))

    def _end(self) -> None:
        if self.back is not None and self.back.is_attached:
            self.back.focus()
        self.remove()
