"""Calibration: the table of all attributes, and one attribute's distribution with lines that can be moved."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult

from colonnade.tui.keys import action
from colonnade.tui.screens.base import one_line
from colonnade.tui.screens.calibration_attribute import AttributePanel, estimate_words
from colonnade.tui.screens.calibration_changes import CalibrationChanges
from colonnade.tui.screens.calibration_columns import (
    NARROW,
    columns_for,
    left_out_words,
    sorted_rows,
    table_rows,
)
from colonnade.tui.screens.calibration_saving import Opened, near_items, read_attribute
from colonnade.tui.screens.review_request import ReviewRequest, ask_review
from colonnade.tui.session_damage import damage_words
from colonnade.tui.widgets.window_table import ListSource, WindowTable

__all__ = ["CalibrationScreen"]

_REST_S = 0.12
_REVIEWED = 12
_TABLE_HINT = "{table.choose:enter} opens  {calibration.review:r} review  {app.help:?} keys"
_LINES_HINT = (
    "{line.left:←} {line.right:→} move  {line.other:tab} other line  {calibration.review:r} review"
    "  {app.help:?} keys"
)


class CalibrationScreen(CalibrationChanges):
    """The table; enter opens an attribute below it, or on a low terminal in its place."""

    NAME = "calibration"
    AUTO_FOCUS = "#calibrations"
    DEFAULT_CSS = """
    CalibrationScreen #calibrations { height: 1fr; }
    CalibrationScreen #attribute { display: none; }
    CalibrationScreen.-open #attribute { display: block; }
    CalibrationScreen.-open #calibrations { height: 10; }
    CalibrationScreen.-open.-low #calibrations, CalibrationScreen.-open.-flat #calibrations { display: none; }
    """
    BINDINGS: ClassVar = [
        action(
            "calibration.review", "r", "review", "review: the images at the line, or the most telling ones"
        ),
        action("calibration.auto", "a", "fit('auto')", "fit without labels: first what that would change"),
        action(
            "calibration.labels", "L", "fit('labels')", "fit with the labels: first what that would change"
        ),
        action("calibration.undo", "u", "undo", "take back what was saved here last"),
        action("calibration.receipt", "d", "receipt", "what changed: the receipt of this calibration"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found: list[dict[str, Any]] = []
        self._sort: tuple[str, bool] | None = None
        self._warned = False

    def compose_body(self) -> ComposeResult:
        yield WindowTable(NARROW, id="calibrations", empty="reading the calibrations ...")
        yield AttributePanel(id="attribute")

    def session_ready(self) -> None:
        self.hint(_TABLE_HINT)
        self._read_table()

    def resumed(self) -> None:
        self._read_table()

    def snapshot_changed(self) -> None:
        if self.is_current:
            self.read_again()

    def read_again(self) -> None:
        """Read the table and the open attribute anew; lines that were moved stay where they are."""
        self._read_table()
        if self._open is not None:
            self._read_attribute(self._open, keep=True)

    def go_back(self) -> bool:
        if self._tried is not None:
            self._tried = None
            self.panel.say("the fit that was tried was not saved")
            return True
        if self._open is None:
            return False
        lines = self.panel.lines
        if lines is not None and lines.moved and not self._warned:
            self._warned = True
            self.warn(
                "the lines are not saved where they are: {line.save:enter} saves,"
                " {app.back:Esc} again leaves them as they were"
            )
            return True
        self._close()
        return True

    # the table

    def _read_table(self) -> None:
        self.background("table", self.session.calibration_table, self._show_table, failed=self._no_table)

    def _show_table(self, found: list[dict[str, Any]]) -> None:
        self._found = found
        if not found:
            self._say_empty("no attribute has a calibration: add one in Vocabulary ({app.vocabulary:2})")
        code = self.session.attribute or self.here
        rows = table_rows(sorted_rows(found, self._sort))
        place = next((n for n, row in enumerate(rows) if row[0] == code), self.table.cursor)
        width = self.size.width
        self.table.show(ListSource(rows), columns=columns_for(width), row=place, sort=self._sort)
        overview = self.colonnade.overview
        self.status.stand(left_out_words(overview.derived if overview is not None else 0, width))
        self._show_head()

    def _no_table(self, error: Exception) -> None:
        problems = self.colonnade.overview.problems if self.colonnade.overview else ()
        self._found = []
        self._say_empty(problems[0] if problems and damage_words(error) is None else one_line(error))
        self.table.show(ListSource(()))
        self.fail(error)

    def _say_empty(self, words: str) -> None:
        self.table.empty = words
        self.table.redraw()

    def on_window_table_sort_asked(self, message: WindowTable.SortAsked) -> None:
        if message.table is self.table:
            self._sort = (message.column, message.descending)
            self._show_table(self._found)

    def on_window_table_cursor_moved(self, message: WindowTable.CursorMoved) -> None:
        if message.table is self.table and message.values and self.table.has_focus:
            self.session.attribute = str(message.values[0])

    def on_window_table_chosen(self, message: WindowTable.Chosen) -> None:
        if message.table is self.table:
            self.open_attribute(str(message.values[0]))

    # one attribute

    def open_attribute(self, code: str) -> None:
        """Show an attribute's distribution."""
        self._open = self.session.attribute = code
        self._tried, self._warned, self._fit_wanted = None, False, None
        self.panel.close("reading the distribution ...")
        self.add_class("-open")
        self.hint(_LINES_HINT)
        self._show_head()
        self.call_after_refresh(self.panel.focus)
        self._read_attribute(code)
        self.colonnade.typeahead.hold_until(lambda: self.panel.has_focus and "attribute" not in self._at_work)

    def _close(self) -> None:
        self._open, self._warned = None, False
        for group in ("attribute", "strips"):
            self.forget(group)
        self.panel.close()
        self.table.focus()
        self.remove_class("-open")
        self.hint(_TABLE_HINT)
        self.call_after_refresh(self.table.focus)

    def _read_attribute(self, code: str, *, keep: bool = False) -> None:
        work = partial(read_attribute, self.session, code)
        self.background("attribute", work, partial(self._show_attribute, code, keep))

    def _show_attribute(self, code: str, keep: bool, opened: Opened) -> None:
        if code != self._open:
            return
        self._show_head(opened.label)
        if opened.found is None:
            self.panel.close(opened.why)
            self.warn(opened.why)
        else:
            self.panel.open(opened.found, keep=keep)
        method, self._fit_wanted = self._fit_wanted, None
        if method is not None:
            self.call_after_refresh(self._fit, code, method, dry_run=True)

    def not_opened(self, words: str) -> None:
        self._say_empty(words)

    def _show_head(self, label: str = "") -> None:
        row = next((row for row in self._found if row["code"] == self._open), None)
        if self._open is None or row is None:
            return
        cells = row["cells"]
        state = "" if cells["state"] == "fresh" else f"   {cells['state']}"
        facts = f"method {cells['method']}{state}" + (f"   {cells['note']}" if cells["note"] else "")
        name = (
            self._open if not row["label"] or row["label"] == self._open else f"{self._open}  {row['label']}"
        )
        self.panel.head(name, facts, estimate_words(row))

    def on_attribute_panel_moved(self, message: AttributePanel.Moved) -> None:
        lines = self.panel.lines
        if lines is None:
            return
        if not message.room_alone:
            self._warned, self._tried = False, None
        work = partial(near_items, self.session, lines, self.panel.place, self.panel.wanted)
        self.background("strips", work, lambda near: self.panel.show_strips(*near), delay=_REST_S)

    def on_attribute_panel_refused(self, message: AttributePanel.Refused) -> None:
        self.warn(message.words)

    def on_attribute_panel_labels_asked(self) -> None:
        self.action_fit("labels")

    # elsewhere

    def action_review(self) -> None:
        code = self.here
        if code is None:
            self.warn("no attribute is chosen")
            return
        self.session.attribute = code
        lines = self.panel.lines
        if self._open is not None and lines is not None and lines.found.count:
            above, below = lines.found.near(self.panel.place, _REVIEWED)
            pairs = [image for pair in zip(above, below, strict=False) for image in pair]
            rest = [*above[len(below) :], *below[len(above) :]]
            ask_review(self.session, ReviewRequest(code, (*pairs, *rest), f"at the {self.panel.moving} line"))
        self.colonnade.open_screen("review")
