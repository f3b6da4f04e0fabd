"""The keys of a screen, from its bindings, and what its signs mean."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical

from colonnade.tui.keys import action
from colonnade.tui.widgets.actions import actions_of, own_first
from colonnade.tui.widgets.line import TextLine
from colonnade.tui.widgets.table_drawing import GUTTER
from colonnade.tui.widgets.table_source import GAP
from colonnade.tui.widgets.window_table import Column, ListSource, WindowTable

if TYPE_CHECKING:
    from textual.widget import Widget

    from colonnade.tui.screens.base import BaseScreen

__all__ = ["HelpPanel", "toggle_help"]

_NAMES = ("keys", "words", "group")
_KEYS_WIDTH, _GROUP_WIDTH = 17, 11
_WITH_GROUPS = 60
"""From so many columns on there is room to say where a key acts."""

_Row = tuple[str, str, str]


class HelpPanel(Vertical):
    """Every key of the screen and what it does, over whatever the screen shows; `?` or Esc closes it."""

    # A height in fr would not leave out the margin: the last rows would lie below the screen.
    DEFAULT_CSS = """
    HelpPanel { dock: right; layer: panel; width: 84; height: 100%; background: $panel; margin: 1 0; }
    BaseScreen.-narrow HelpPanel, BaseScreen.-tiny HelpPanel { width: 100%; }
    HelpPanel > TextLine { text-style: bold; }
    HelpPanel > WindowTable { background: $panel; }
    """
    BINDINGS: ClassVar = [action("help.close", "escape,question_mark", "close", "close the keys")]

    def __init__(self, screen: BaseScreen, back: Widget | None) -> None:
        super().__init__()
        found = own_first(actions_of(screen, back))
        rows = [(one.keys, one.words, one.group) for one in found]
        place = sum(one.is_own for one in found)
        self._rows: list[_Row] = [
            *rows[:place],
            *((sign, words, "sign") for sign, words in screen.LEGEND),
            *rows[place:],
            *(("!", problem, "config") for problem in screen.colonnade.problems),
        ]
        self._sort: tuple[str, bool] | None = None
        self._back = back

    def compose(self) -> ComposeResult:
        yield TextLine(" Keys. They can be changed: see docs/configuration.md")
        yield WindowTable(())

    def on_mount(self) -> None:
        self.query_one(WindowTable).focus()

    def on_resize(self, event: events.Resize) -> None:
        self._show(event.size.width)

    def on_window_table_sort_asked(self, event: WindowTable.SortAsked) -> None:
        event.stop()
        self._sort = (event.column, event.descending)
        self._show(self.size.width)

    def _show(self, width: int) -> None:
        with_groups = width >= _WITH_GROUPS
        columns = [Column("keys", "key", _KEYS_WIDTH), Column("words", "what it does")]
        if with_groups:
            columns.append(Column("group", "where", _GROUP_WIDTH))
        room = width - GUTTER - _KEYS_WIDTH - GAP - (_GROUP_WIDTH + GAP if with_groups else 0) - GAP
        rows: Iterable[_Row] = self._rows
        if self._sort is not None:
            index, descending = _NAMES.index(self._sort[0]), self._sort[1]
            rows = sorted(rows, key=lambda row: row[index].lower(), reverse=descending)
        table = self.query_one(WindowTable)
        table.show(ListSource(_folded(rows, room)), columns, keep=table.count > 0, sort=self._sort)

    def action_close(self) -> None:
        if self._back is not None and self._back.is_attached:
            self._back.focus()
        self.remove()


def _folded(rows: Iterable[_Row], width: int) -> list[_Row]:
    """Words that are too long for a line go on in the next."""
    folded: list[_Row] = []
    for keys, words, group in rows:
        first, *rest = wrap(words, max(8, width), subsequent_indent="  ") or [""]
        folded += [(keys, first, group), *(("", line, "") for line in rest)]
    return folded


def toggle_help(screen: BaseScreen) -> None:
    """Open the panel, or close it."""
    panels = screen.query(HelpPanel)
    if panels:
        panels.first().action_close()
    else:
        panel = HelpPanel(screen, screen.focused)
        screen.mount(panel)
        screen.opens(panel)
