"""How Browse's query changes: typed in the line, made by the list of attributes, cleared, taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from colonnade.tui.keys import action
from colonnade.tui.screens.browse_query import QueryScreen
from colonnade.tui.widgets.attribute_list import AttributeList
from colonnade.tui.widgets.query_line import QueryLine

if TYPE_CHECKING:
    from colonnade.engine.expression_completion import Completions
    from colonnade.tui.session_model import Checked

__all__ = ["EditScreen"]

_TYPING_SECONDS = 0.06


def _opens(before: str, options: Sequence[str]) -> bool:
    """Whether one of few words is due here: a value, a set, a named query."""
    return before.endswith(("(", "@")) or (bool(options) and options[0].startswith("'"))


class EditScreen(QueryScreen):
    """The ways to change the expression; each searches at once."""

    BINDINGS: ClassVar = [
        action("browse.query", "i,equals_sign", "query", "type a query"),
        action("browse.clear", "c", "clear", "clear the query: all images"),
        action("browse.undo", "u", "undo", "the query before"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._earlier: list[str] = []

    def change(self, text: str) -> None:
        """Take another expression as the query."""
        if text != self.session.query:
            self._earlier = [*self._earlier[-99:], self.session.query]
            self.session.query = text
        self.forget("check")
        self.line.set_text(text)
        self._show_conditions()
        self.find(keep=True)

    def on_query_line_edited(self, event: QueryLine.Edited) -> None:
        self._evaluate(event.text, event.position, delay=_TYPING_SECONDS)

    def on_query_line_left(self, event: QueryLine.Left) -> None:
        self.table.focus()
        self._evaluate(self.line.text, None)

    def _evaluate(self, text: str, position: int | None, *, delay: float = 0.0) -> None:
        """Search for a text if it parses, else mark what is wrong with it.

        Args:
            position: where the cursor is in it; None: the user is done typing.
        """
        session = self.session
        if position is None and text.strip() == session.query:
            return

        def work() -> tuple[Checked | None, Completions | None]:
            checked = session.check(text) if text.strip() else None
            return checked, None if position is None else session.complete(text, position)

        def then(answer: tuple[Checked | None, Completions | None]) -> None:
            checked, offered = answer
            in_word = False
            if offered is not None and position is not None and self.line.is_typing:
                self.line.refill(offered.start, offered.options)
                in_word = offered.start < position or _opens(text[:position], offered.options)
                in_word = in_word and bool(offered.options)
            if checked is None or checked.ok:
                self.line.clear_fault()
                if session.query != text.strip():
                    self._earlier = [*self._earlier[-99:], session.query]
                    session.query = text.strip()
                    self.find(keep=True)
            elif in_word and offered is not None and checked.position >= len(text[: offered.start].rstrip()):
                self.line.clear_fault()  # a word that is being typed is no fault yet
            else:
                self.line.fault(checked.message, checked.position)

        self.background("check", work, then, delay=delay)

    def on_attribute_list_stepped(self, event: AttributeList.Stepped) -> None:
        self._edit(lambda: self.session.step(self.session.query, event.code, event.delta))

    def on_attribute_list_cycled(self, event: AttributeList.Cycled) -> None:
        self._edit(lambda: self.session.cycle(self.session.query, event.code))

    def _edit(self, make: Callable[[], str]) -> None:
        """Change the query by what reads nothing but its text."""
        from colonnade.engine.errors import ColonnadeError

        try:
            text = make()
        except ColonnadeError as error:
            self.fail(error)
        else:
            self.change(text)

    def action_query(self) -> None:
        self.line.type()
        self.opens(self.line)

    def action_clear(self) -> None:
        self.change("")

    def action_undo(self) -> None:
        if self._earlier:
            text = self._earlier.pop()
            self.session.query = text
            self.change(text)
        else:
            self.say("there is no earlier query")
