"""The panel in which one attribute is edited: its fields, two wordings of it, or the codes of its rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, TextArea

from colonnade.tui.keys import action
from colonnade.tui.safe import safe
from colonnade.tui.screens.vocabulary_draft import Draft, Wording
from colonnade.tui.screens.vocabulary_rule import RuleTable
from colonnade.tui.widgets.field import SafeInput
from colonnade.tui.widgets.line import TextLine, keyed
from colonnade.tui.widgets.window_table import WindowTable

__all__ = ["Field", "Form", "Prompts"]

_LEAVE = "{vocabulary.save:^S} save   {app.back:Esc} back"


class Field(SafeInput):
    """A field of one line; what it holds may come from outside."""

    DEFAULT_CSS = """
    Field { height: 1; border: none; padding: 0; background: $surface; width: 1fr; }
    Field:focus { border: none; background: $boost; }
    """


class Prompts(TextArea):
    """Complete prompts, one a line."""

    DEFAULT_CSS = """
    Prompts { height: 2; border: none; padding: 0; background: $surface; width: 1fr; }
    Prompts:focus { border: none; background: $boost; }
    BaseScreen.-tall Prompts { height: 4; }
    """

    @dataclass
    class Left(Message):
        """The cursor goes past the first or the last line."""

        step: int

    def __init__(self, text: str, *, id: str) -> None:
        super().__init__(text, id=id, soft_wrap=False, show_line_numbers=False, highlight_cursor_line=False)
        self.cursor_blink = False

    def get_line(self, line_index: int) -> Text:
        plain = self.document.get_line(line_index)
        return Text(safe(plain, limit=len(plain) + 1), end="", no_wrap=True)

    def on_key(self, event: events.Key) -> None:
        row, _ = self.cursor_location
        step = -1 if event.key == "up" and row == 0 else 0
        if event.key == "down" and row == self.document.line_count - 1:
            step = 1
        if step:
            event.prevent_default().stop()
            self.post_message(self.Left(step))


class Form(Vertical):
    """The fields of one attribute. It posts `Changed` with what they say."""

    DEFAULT_CSS = """
    Form { height: auto; background: $panel; }
    Form > Horizontal { height: auto; }
    Form .name { width: 13; background: $panel; text-style: bold; }
    Form .short { width: 11; background: $panel; text-style: bold; padding: 0 0 0 1; }
    Form > #form-title { background: $panel; color: $primary; text-style: bold; }
    Form > RuleTable { height: 8; }
    Form #accepted, Form #tentative { width: 6; }
    BaseScreen.-tall Form > RuleTable { height: 14; }
    BaseScreen.-flat Form > RuleTable { height: 3; }
    BaseScreen.-tiny Form .name, BaseScreen.-tiny Form .short { width: 7; }
    """
    BINDINGS: ClassVar = [
        action("form.next", "down", "turn(1)", "next field (also enter)"),
        action("form.before", "up", "turn(-1)", "field before"),
        action("form.other", "tab", "other", "the other wording, side by side with the first", priority=True),
        action(
            "form.which", "ctrl+e", "which", "which images enter and which leave, all of them", priority=True
        ),
        action("form.other_back", "shift+tab", "turn(-1)", "field before", priority=True),
    ]

    @dataclass
    class Changed(Message):
        """What is typed changed."""

        draft: Draft

    @dataclass
    class WhichAsked(Message):
        """All images that enter or leave are to be seen."""

        draft: Draft

    def __init__(self, draft: Draft, codes: Sequence[tuple[str, str]]) -> None:
        super().__init__(id="form")
        self.draft = draft
        self._codes = codes
        self._filled = False
        self._here: Widget | None = None

    def compose(self) -> ComposeResult:
        draft = self.draft
        yield TextLine(self._title, id="form-title")
        with Horizontal():
            yield TextLine(" code", classes="name")
            yield Field(draft.code, id="code", placeholder="small_letters")
            yield TextLine("label", classes="short")
            yield Field(draft.label, id="label", placeholder="made of the code")
        with Horizontal():
            yield TextLine(" group", classes="name")
            yield Field(draft.type, id="type", placeholder="none")
            if draft.rule is None:
                yield TextLine("accepted", classes="short")
                yield Field(draft.accepted, id="accepted", placeholder="usual")
                yield TextLine("tentative", classes="short")
                yield Field(draft.tentative, id="tentative", placeholder="usual")
        with Horizontal():
            yield TextLine(" description", classes="name")
            hint = "the words that a caption would have for it" if draft.rule is None else "made of the rule"
            yield Field(draft.wording.description, id="description", placeholder=hint)
        if draft.rule is None:
            with Horizontal():
                yield TextLine(" prompts", classes="name")
                yield Prompts(draft.wording.prompts, id="prompts")
        else:
            yield RuleTable(draft.rule, self._codes, id="rule")

    def on_mount(self) -> None:
        self._filled = True
        self.focus_first()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._here = event.widget

    def focus_again(self) -> None:
        """Give the focus back to the field that had it."""
        if self._here is not None and self._here.is_attached:
            self._here.focus()
        else:
            self.focus_first()

    def focus_first(self) -> None:
        """Begin where something is to be typed."""
        first = "code" if self.draft.old is None and not self.draft.code else "description"
        self.query_one(f"#{first if self.draft.rule is None or first == 'code' else 'rule'}").focus()

    @property
    def _title(self) -> str:
        draft = self.draft
        what = f"edit {draft.old}" if draft.old else "a new attribute"
        if draft.rule is not None:
            return keyed(self, f" {what}, derived by a rule   {_LEAVE}")
        second = "AB"[draft.chosen]
        which = (
            f"wording {second} of two ({{form.other:tab}}: the other)"
            if len(draft.wordings) > 1
            else "{form.other:tab}: a second wording"
        )
        return keyed(self, f" {what}   {which}   {_LEAVE}")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._read()

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._read()

    def on_rule_table_picked(self, event: RuleTable.Picked) -> None:
        event.stop()
        self._tell(replace(self.draft, rule=event.rule))

    def on_window_table_cursor_moved(self, event: WindowTable.CursorMoved) -> None:
        event.stop()

    def on_window_table_chosen(self, event: WindowTable.Chosen) -> None:
        event.stop()
        self.query_one(RuleTable).action_put("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_turn(1)

    def on_prompts_left(self, event: Prompts.Left) -> None:
        event.stop()
        self.action_turn(event.step)

    def action_turn(self, step: int) -> None:
        """Put the focus on another field."""
        fields = [widget for widget in self.query("Field, Prompts, RuleTable") if widget.display]
        here = next((n for n, widget in enumerate(fields) if widget.has_focus), -1)
        fields[(here + step) % len(fields)].focus()

    def action_which(self) -> None:
        """Ask for the images that enter and leave."""
        self.post_message(self.WhichAsked(self.draft))

    def action_other(self) -> None:
        """Edit the other wording; of a rule there is but one."""
        if self.draft.rule is not None:
            self.action_turn(1)
            return
        draft = self.draft.other_wording()
        self._filled = False  # both fields are filled before anything is told
        self.query_one("#description", Field).value = draft.wording.description
        self.query_one("#prompts", Prompts).text = draft.wording.prompts
        self.call_after_refresh(self._turned, draft)
        self.draft = draft

    def _turned(self, draft: Draft) -> None:
        self._filled = True
        self._tell(draft)

    def _read(self) -> None:
        """Take what the fields say."""
        if not self._filled:
            return
        draft = self.draft
        values = {
            name: self.query_one(f"#{name}", Field).value
            for name in ("code", "label", "type", "accepted", "tentative")
            if self.query(f"#{name}")
        }
        description = self.query_one("#description", Field).value
        prompts = self.query_one("#prompts", Prompts).text if draft.rule is None else ""
        found = replace(draft, **values).with_wording(Wording(description, prompts))  # type: ignore[arg-type]
        if found != draft:
            self._tell(found)

    def _tell(self, draft: Draft) -> None:
        self.draft = draft
        self.query_one("#form-title", TextLine).tell(self._title)
        self.post_message(self.Changed(draft))
