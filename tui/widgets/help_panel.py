"""The keys of a screen, from its bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from colonnade.tui.keys import action
from colonnade.tui.widgets.actions import actions_of
from colonnade.tui.widgets.line import TextLine
from colonnade.tui.widgets.window_table import Column, ListSource, WindowTable

if TYPE_CHECKING:
    from textual.widget import Widget

    from colonnade.tui.screens.base import BaseScreen

__all__ = ["HelpPanel", "toggle_help"]


_EVERYWHERE = ("table", "line", "app")
"""Groups that every screen has: a screen's own keys come before them."""


class HelpPanel(Vertical):
    """Every key of the screen and what it does; `?` or Esc closes it."""

    DEFAULT_CSS = """
    HelpPanel { dock: right; width: 72; max-width: 100%; height: 1fr; background: $panel; margin: 1 0; }
    BaseScreen.-full HelpPanel { width: 84; }
    BaseScreen.-narrow HelpPanel, BaseScreen.-tiny HelpPanel { width: 100%; layer: panel; }
    HelpPanel > TextLine { text-style: bold; }
    HelpPanel > WindowTable { background: $panel; }
    """
    BINDINGS: ClassVar = [action("help.close", "escape,question_mark", "close", "close the keys")]

    def __init__(self, screen: BaseScreen, back: Widget | None) -> None:
        super().__init__()
        found = sorted(actions_of(screen, back), key=lambda one: one.group in _EVERYWHERE)
        self._rows = [(one.keys, one.words, one.group) for one in found]
        self._back = back

    def compose(self) -> ComposeResult:
        yield TextLine(" Keys. They can be changed: see docs/configuration.md")
        columns = (Column("keys", "key", 13), Column("words", "what it does"), Column("group", "where", 12))
        yield WindowTable(columns)

    def on_mount(self) -> None:
        table = self.query_one(WindowTable)
        table.show(ListSource(self._rows))
        table.focus()

    def on_window_table_sort_asked(self, event: WindowTable.SortAsked) -> None:
        event.stop()
        index = ("keys", "words", "group").index(event.column)
        rows = sorted(self._rows, key=lambda row: row[index].lower(), reverse=event.descending)
        event.table.show(ListSource(rows), sort=(event.column, event.descending))

    def action_close(self) -> None:
        if self._back is not None and self._back.is_attached:
            self._back.focus()
        self.remove()


def toggle_help(screen: BaseScreen) -> None:
    """Open the panel, or close it."""
    panels = screen.query(HelpPanel)
    if panels:
        panels.first().action_close()
    else:
        panel = HelpPanel(screen, screen.focused)
        screen.mount(panel)
        screen.opens(panel)
