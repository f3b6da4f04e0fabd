"""The list of attributes, or of the file's faults; below it what is known of one, or what is not saved."""

from __future__ import annotations

from textwrap import wrap
from typing import Any, Literal

from textual import events
from textual.app import ComposeResult

from colonnade.tui.amounts import count_of
from colonnade.tui.screens.vocabulary_rows import (
    FAULTS,
    Entry,
    about_lines,
    attribute_rows,
    columns_for,
    fault_rows,
)
from colonnade.tui.screens.vocabulary_which import VocabularyWhich
from colonnade.tui.screens.vocabulary_work import FILE
from colonnade.tui.session_model import AttributeRow
from colonnade.tui.widgets.line import TextLine, TextLines, folded_rows, keyed
from colonnade.tui.widgets.window_table import Column, ListSource, WindowTable

__all__ = ["VocabularyList"]

View = Literal["about", "diff", "outside"]

_EMPTY = (
    "the vocabulary has no attributes: {vocabulary.add:a} adds one,"
    " {vocabulary.import:i} takes in a vocabulary that ships"
)
_READING = "reading the vocabulary ..."
_MEND = (
    "mend them in your editor ({vocabulary.editor:E} opens it at the line under the cursor);"
    " the list follows when it is saved"
)
_ANEW = "{vocabulary.again:R} makes your edits anew on it, {vocabulary.drop:X} drops them"
_BEGIN = (
    "{vocabulary.add:a} adds an attribute: a code, a label, and a description in the words that a caption would have",
    "{vocabulary.import:i} takes in a vocabulary that ships, or a file",
    "{vocabulary.derive:d} makes an attribute that follows from others by a rule",
)
_PLAN_LINES = 3
_LINES = (Column("line", "", index=0, sortable=False),)


class VocabularyList(VocabularyWhich):
    """What is shown, and how it follows the file, the store and the cursor."""

    DEFAULT_CSS = """
    VocabularyList #list { height: 2fr; }
    VocabularyList #about { background: $panel; text-style: bold; }
    VocabularyList #below { height: 1fr; }
    VocabularyList #plan { height: auto; background: $boost; }
    VocabularyList.-editing #about, VocabularyList.-editing #below { display: none; }
    VocabularyList.-editing #list { display: none; }
    VocabularyList.-editing.-tall #list { display: block; height: 1fr; }
    VocabularyList.-which Tries { display: none; }
    VocabularyList.-which.-tall #list { display: none; }
    VocabularyList.-flat #about, VocabularyList.-flat #below, VocabularyList.-flat #plan { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.marked: set[str] = set()
        """Codes for the next action on several."""
        self.view: View = "about"
        self.sorting: tuple[str, bool] | None = None
        self._here: str | None = None
        self._stale = False
        self._below: tuple[str, ...] = ()
        self._plan = "plan: ..."

    def compose_body(self) -> ComposeResult:
        yield WindowTable(columns_for(self.app.size.width), id="list", empty=_READING)
        yield TextLine(id="about")
        yield WindowTable(_LINES, id="below", heading=False)
        yield TextLines((" plan: ...",), id="plan")

    @property
    def table(self) -> WindowTable:
        """The attributes, or the faults."""
        return self.query_one("#list", WindowTable)

    @property
    def below(self) -> WindowTable:
        """What is known of the attribute, or a diff."""
        return self.query_one("#below", WindowTable)

    @property
    def code(self) -> str | None:
        """The attribute under the cursor."""
        faulty = self.work is None or self.work.vocabulary is None
        return None if faulty or self.table.values is None else str(self.table.values[0])

    # following the store

    def session_ready(self) -> None:
        self._here = self.session.attribute
        self.table.marked = lambda row: row[0] in self.marked
        self.tell_keys()
        self.read_file()
        self.read_rows()

    @property
    def takes_keys(self) -> bool:
        return super().takes_keys and not self._is_reading

    def resumed(self) -> None:
        if self._stale:
            self.snapshot_changed()
        wanted = self.session.attribute
        if wanted is not None and wanted != self._here and self.form is None:
            self._here = wanted
            self.show_list()

    def snapshot_changed(self) -> None:
        self._stale = not self.is_current
        if self.is_current:
            self.read_file()
            self.read_rows()

    def read_rows(self) -> None:
        """Read counts at once, and states when the helper has found them."""
        self.background("rows", self.session.attributes, self._rows_read)
        self.background("states", self._states, self._rows_read, failed=self._no_states)

    def _states(self) -> tuple[AttributeRow, ...]:
        self.session.refresh_states()
        return self.session.attributes()

    def _no_states(self, error: Exception) -> None:
        if self.work is None or not self.work.faults:  # those are in the list already
            self.fail(error)

    def _rows_read(self, rows: tuple[AttributeRow, ...]) -> None:
        found = {row.code: row for row in rows}
        unknown = [row for row in rows if not row.state]
        if unknown and self.rows:  # not known yet: what was known stays meanwhile
            return
        if found != self.rows:
            self.rows = found
            self.show_list()
        self.plan_changed()

    # showing

    def work_changed(self, code: str | None) -> None:
        if code is not None:
            self._here = code
        if self.outside is None and self.view == "outside":
            self.view = "about"
        if self.view == "diff" and not self.steps:
            self.view = "about"
        self.marked &= set(self.work.vocabulary.codes) if self.work and self.work.vocabulary else set()
        self.show_list()
        self.plan_changed()

    def show_list(self) -> None:
        """Show the attributes as edited, or the faults; the cursor stays on its attribute."""
        work, table = self.work, self.table
        if work is None:
            table.empty = self.trouble or _READING
            table.show(ListSource(()))
            return
        if work.vocabulary is None:
            self._here = None
            table.show(ListSource(fault_rows(work.faults)), columns=FAULTS, keep=True)
            self._show_below()
            return
        table.empty = _EMPTY
        rows = [entry.row for entry in self._sorted(attribute_rows(work, self.rows))]
        places = {row[0]: n for n, row in enumerate(rows)}
        place = places.get(self._here, min(table.cursor, max(0, len(rows) - 1)))
        keep = place == table.cursor
        columns = columns_for(self.size.width)
        table.show(ListSource(rows), columns, row=place, keep=keep, sort=self.sorting)
        self._show_below()

    def _sorted(self, entries: list[Entry]) -> list[Entry]:
        if self.sorting is None:
            return entries
        name, descends = self.sorting

        def key(entry: Entry) -> Any:
            text = getattr(entry, name)
            digits = "".join(c for c in text if c.isdigit())
            return (int(digits) if digits else -1) if name in ("accepted", "lint") else text.casefold()

        return sorted(entries, key=key, reverse=descends)

    def on_window_table_sort_asked(self, event: WindowTable.SortAsked) -> None:
        if event.table is not self.table or self.work is None or self.work.vocabulary is None:
            return
        column = next(one for one in self.table.columns if one.name == event.column)
        again = self.sorting is not None and self.sorting[0] == event.column
        both = again and self.sorting is not None and self.sorting[1] != column.descends
        self.sorting = None if both else (event.column, event.descending)
        self.say("in the file's order" if both else f"by {column.heading}")
        self.show_list()

    def on_window_table_cursor_moved(self, event: WindowTable.CursorMoved) -> None:
        if event.table is self.table and (code := self.code) is not None:
            self._here = code
            if self.work is not None and self.work.attribute(code) is not None:
                self.session.attribute = code
            self._show_below()

    def on_resize(self, event: events.Resize) -> None:
        if self.is_ready and self.work is not None:
            self._below = ()
            self.show_list()
            self.tell_plan(self._plan)
            self.tell_keys()

    def before_form(self) -> None:
        self.view = "about" if self.outside is None else "outside"

    def focus_list(self) -> None:
        self.table.focus()

    def _show_below(self) -> None:
        """What the panel below the list shows now; where it is the same as before, nothing is drawn."""
        title, lines = self._content()
        title = keyed(self, title)
        self.query_one("#about", TextLine).tell(f" {title}")
        rows = folded_rows(lines, self.size.width - 4)
        shown = (title, *(row[0] for row in rows))
        if shown != self._below:
            self._below = shown
            self.below.show(ListSource(rows))

    def _content(self) -> tuple[str, list[str]]:
        work, code = self.work, self.code
        if work is None:
            return "", []
        if work.vocabulary is None:
            found = count_of(len(work.faults), "fault")
            return f"{FILE}: {found}, nothing is scored by it", [
                keyed(self, _MEND),
                "until then searches and tags go by the vocabulary of the last snapshot",
            ]
        if self.view == "outside" and self.outside is not None:
            return f"changed outside: {_ANEW}", [*self.outside_lines()]
        if self.view == "diff":
            lines = [*self.diff()] or ["all is saved"]
            made = [f"{number}. {step.words}" for number, step in enumerate(work.steps, 1)]
            begun = [
                keyed(self, f"begun and not finished: {one.name} ({one.key} goes on)")
                for one in self.drafts.values()
            ]
            keys = "{vocabulary.undo:u} takes the last back, {vocabulary.save:^S} saves"
            return f"not saved: {count_of(len(work.steps), 'edit')}; {keys}", [*begun, *made, *lines]
        if code is None:
            return "an empty vocabulary", [keyed(self, line) for line in _BEGIN]
        return "about ({vocabulary.view:v}: what is not saved)", about_lines(work, code, self.rows.get(code))

    def outside_changed(self) -> None:
        self.view = "outside"
        self._show_below()
        self.warn(f"{FILE} was changed outside, nothing is overwritten: {_ANEW}")

    def plan_changed(self) -> None:
        if not self.has_class("-editing"):
            self.tell_plan(self.plan_line())

    def tell_plan(self, text: str) -> None:
        self._plan = text
        low = text.startswith("plan:") and self.has_class("-low")  # its first words tell the most
        most = 1 if low else _PLAN_LINES
        lines = wrap(keyed(self, text), max(20, self.size.width - 2), max_lines=most, placeholder=" …")
        self.query_one("#plan", TextLines).show(tuple(f" {line}" for line in lines))
