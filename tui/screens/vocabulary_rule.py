"""The codes that a rule may name, each with the list of the rule that it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.message import Message

from colonnade.engine.vocabulary_model import Rule
from colonnade.tui.keys import action
from colonnade.tui.widgets.line import keyed
from colonnade.tui.widgets.window_table import Cell, Column, ListSource, WindowTable

__all__ = ["RuleTable"]

_LISTS = ("all_of", "any_of", "none_of")
_WORDS = {
    "all_of": "all_of   accepted, too",
    "any_of": "any_of   one of these accepted",
    "none_of": "none_of  not even tentative",
}


class RuleTable(WindowTable):
    """The codes that a rule may name, each with the list it is in."""

    BINDINGS: ClassVar = [
        action("rule.cycle", "space", "put('')", "all_of, any_of, none_of, or none of them"),
        action("rule.all", "a", "put('all_of')", "all_of: must be accepted; again: off"),
        action("rule.any", "y", "put('any_of')", "any_of: one of these must be accepted; again: off"),
        action("rule.none", "n", "put('none_of')", "none_of: must not even be tentative; again: off"),
    ]

    @dataclass
    class Picked(Message):
        """The rule changed."""

        rule: Rule

    def __init__(self, rule: Rule, codes: Sequence[tuple[str, str]], *, id: str) -> None:
        columns = (
            Column("code", "code", 24, index=0, sortable=False),
            Column("list", "in the rule", 32, render=_listed, index=1, sortable=False),
            Column("label", "label", index=2, sortable=False),
        )
        super().__init__(
            columns, id=id, empty="there is no other attribute to make a rule of: add some first"
        )
        self._codes = tuple(codes)
        self.rule = rule

    def on_mount(self) -> None:
        self._show()

    def action_put(self, name: str) -> None:
        """Put the code under the cursor into a list, or out of it."""
        if self.values is None:
            return
        code = str(self.values[0])
        if code not in {known for known, _ in self._codes}:
            name = next((each for each in _LISTS if code in getattr(self.rule, each)), "")
        now = next((each for each in _LISTS if code in getattr(self.rule, each)), "")
        places = (*_LISTS, "")
        target = places[(places.index(now) + 1) % len(places)] if not name else "" if name == now else name
        lists = {each: tuple(c for c in getattr(self.rule, each) if c != code) for each in _LISTS}
        if target:
            lists[target] += (code,)
        self.rule = Rule(**lists)
        self._show()
        self.post_message(self.Picked(self.rule))

    def _show(self) -> None:
        where = {code: name for name in _LISTS for code in getattr(self.rule, name)}
        known = {code for code, _ in self._codes}
        lost = [code for code in where if code not in known]
        lacking = keyed(self, "! not in the vocabulary: {rule.cycle:space} takes it out")
        rows = [(code, where[code], lacking) for code in lost]
        rows += [(code, where.get(code, ""), label) for code, label in self._codes]
        self.show(ListSource(rows), keep=True)


def _listed(value: object) -> Cell:
    return Cell(_WORDS.get(str(value), "-"), "good" if value else "dim")
