"""Where SQL is written: coloured, completed with tab, and with the statements that were run before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import TextArea

from colonnade.tui.keys import action
from colonnade.tui.safe import safe
from colonnade.tui.sql_text import MAX_CHARACTERS, Completion, Token, tokens

__all__ = ["SqlEditor"]

_KINDS = ("keyword", "function", "quoted", "number", "string", "comment")


class SqlEditor(TextArea):
    """A text area for one statement.

    Attributes:
        completer: gives what may stand at a cursor; called on the event loop, so it must be quick.
        statements: the ones run before, oldest first.
    """

    DEFAULT_CSS = """
    SqlEditor { height: 5; border: none; padding: 0 1; background: $surface; color: $foreground; }
    SqlEditor:focus { border: none; }
    SqlEditor > .sql-editor--keyword { color: $primary; text-style: bold; }
    SqlEditor > .sql-editor--function { color: $secondary; }
    SqlEditor > .sql-editor--quoted { color: $foreground; text-style: italic; }
    SqlEditor > .sql-editor--number { color: $accent; }
    SqlEditor > .sql-editor--string { color: $success; }
    SqlEditor > .sql-editor--comment { text-style: dim italic; }
    SqlEditor > .sql-editor--fault { color: $error; text-style: bold underline; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"sql-editor--{kind}" for kind in (*_KINDS, "fault")}
    BINDINGS: ClassVar[list[BindingType]] = [
        action("sql_editor.complete", "tab", "complete(1)", "complete; again: the next choice"),
        action("sql_editor.complete_back", "shift+tab", "complete(-1)", "the choice before"),
        action("sql_editor.older", "ctrl+up", "recall(-1)", "statement before (also up on the first line)"),
        action("sql_editor.newer", "ctrl+down", "recall(1)", "next statement (also down on the last line)"),
        action("sql_editor.undo", "ctrl+underscore", "undo", "undo"),
        action("sql_editor.redo", "ctrl+y", "redo", "redo"),
    ]

    @dataclass
    class Offered(Message):
        """What may stand at the cursor changed; `index` is the choice that was taken, or -1."""

        choices: Sequence[str]
        index: int

    @dataclass
    class RunAsked(Message):
        """Enter behind a semicolon."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, soft_wrap=True, show_line_numbers=False, highlight_cursor_line=False)
        self.cursor_blink = False
        self.completer: Callable[[str, int], Completion] = lambda text, cursor: Completion(cursor, ())
        self.statements: Sequence[str] = ()
        self._offered = Completion(0, ())
        self._taken = -1
        self._completing = False
        self._recalled = 0
        self._draft = ""
        self._fault: tuple[int, int, int] | None = None
        self._lexed: tuple[str, dict[int, list[tuple[int, int, str]]]] = ("", {})

    @property
    def cursor_index(self) -> int:
        """The cursor as a place in the text."""
        row, column = self.cursor_location
        return sum(len(self.document.get_line(n)) + 1 for n in range(row)) + column

    def mark_fault(self, place: tuple[int, int, int] | None) -> None:
        """Mark (row, first column, column after the last) as wrong, until the text changes."""
        if place != self._fault:
            self._fault = place
            self._line_cache.clear()
            self.refresh()

    def set_statement(self, text: str) -> None:
        """Replace what is written; it can be undone."""
        self.replace(text, (0, 0), self.document.end)
        self.move_cursor(self.document.end)

    def get_line(self, line_index: int) -> Text:
        plain = self.document.get_line(line_index)
        shown = "\t".join(safe(part, limit=len(part) + 1) for part in plain.split("\t"))
        line = Text(shown, end="", no_wrap=True)
        for start, end, kind in self._spans().get(line_index, ()):
            line.stylize(self.get_component_rich_style(f"sql-editor--{kind}", partial=True), start, end)
        if self._fault is not None and self._fault[0] == line_index:
            _, start, end = self._fault
            line.stylize(
                self.get_component_rich_style("sql-editor--fault", partial=True), start, max(end, start + 1)
            )
        return line

    def on_key(self, event: events.Key) -> None:
        row, _ = self.cursor_location
        if event.key == "enter" and self.text.rstrip().endswith(";") and self._is_at_end():
            event.prevent_default().stop()
            self.post_message(self.RunAsked())
        elif event.key == "up" and row == 0:
            event.prevent_default().stop()
            self.action_recall(-1)
        elif event.key == "down" and row == self.document.line_count - 1:
            event.prevent_default().stop()
            self.action_recall(1)

    def action_complete(self, step: int) -> None:
        """Put the next choice where the cursor is; without choices, nothing."""
        choices = self._offered.choices
        if not choices:
            self._offer()
            choices = self._offered.choices
            if not choices:
                return
        start = self._offered.start
        self._taken = (
            (self._taken + step) % len(choices) if self._taken >= 0 or step > 0 else len(choices) - 1
        )
        self._completing = True
        self.replace(choices[self._taken], self._location(start), self.cursor_location)
        self.move_cursor(self._location(start + len(choices[self._taken])))
        self.post_message(self.Offered(choices, self._taken))

    def action_recall(self, step: int) -> None:
        """Show an older (-1) or newer (1) statement; the draft stands behind the newest."""
        target = min(max(0, self._recalled - step), len(self.statements))
        if target == self._recalled:
            return
        if self._recalled == 0:
            self._draft = self.text
        self._recalled = target
        self.set_statement(self.statements[-target] if target else self._draft)

    def forget_place(self) -> None:
        """Begin at the newest statement again."""
        self._recalled = 0

    def on_blur(self) -> None:
        self.post_message(self.Offered((), -1))

    def on_focus(self) -> None:
        self.post_message(self.Offered(self._offered.choices, self._taken))

    def on_text_area_changed(self, _: TextArea.Changed) -> None:
        self.mark_fault(None)
        if self._completing:
            self._completing = False
        else:
            self._offer()

    def on_text_area_selection_changed(self, _: TextArea.SelectionChanged) -> None:
        if self._taken < 0:
            self._offer()

    def _offer(self) -> None:
        before = self._offered
        self._offered, self._taken = self.completer(self.text, self.cursor_index), -1
        if self._offered.choices != before.choices:
            self.post_message(self.Offered(self._offered.choices, -1))

    def _is_at_end(self) -> bool:
        return not self.text[self.cursor_index :].strip()

    def _location(self, index: int) -> tuple[int, int]:
        before = self.text[:index]
        return before.count("\n"), index - (before.rfind("\n") + 1)

    def _spans(self) -> dict[int, list[tuple[int, int, str]]]:
        text = self.text
        if text != self._lexed[0]:
            found = tokens(text) if len(text) <= MAX_CHARACTERS else []
            self._lexed = (text, _by_line(text, found))
        return self._lexed[1]

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._line_cache.clear()


def _by_line(text: str, found: Sequence[Token]) -> dict[int, list[tuple[int, int, str]]]:
    """Line -> (first column, column after the last, kind) of the tokens that are coloured."""
    spans: dict[int, list[tuple[int, int, str]]] = {}
    row, line_start = 0, 0
    for token in found:
        line_breaks = text.count("\n", line_start, token.start)
        if line_breaks:
            row, line_start = row + line_breaks, text.rfind("\n", 0, token.start) + 1
        if token.kind not in _KINDS:
            continue
        start = token.start - line_start
        for n, part in enumerate(text[token.start : token.end].split("\n")):
            spans.setdefault(row + n, []).append((start, start + len(part), token.kind))
            start = 0
    return spans
