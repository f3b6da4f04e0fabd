"""Browse: a query, what it finds, and the attributes that make it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal

from colonnade.tui.keys import action
from colonnade.tui.screens.base import BaseScreen
from colonnade.tui.screens.browse_columns import result_columns
from colonnade.tui.widgets.attribute_list import AttributeList
from colonnade.tui.widgets.query_line import QueryLine
from colonnade.tui.widgets.window_table import WindowTable

if TYPE_CHECKING:
    from colonnade.tui.session_hits import Hits
    from colonnade.tui.session_model import AttributeRow, Checked

__all__ = ["BrowseScreen"]

_TYPING_SECONDS = 0.08


class BrowseScreen(BaseScreen):
    """The query line above, attributes at the left, results, and what is known of the image under the cursor."""

    NAME = "browse"
    DEFAULT_CSS = """
    BrowseScreen #panels { height: 1fr; }
    BrowseScreen #attributes { width: 28; }
    BrowseScreen #results { width: 1fr; margin: 0 0 0 1; }
    BrowseScreen.-tiny #attributes { display: none; }
    BrowseScreen.-tiny #results { margin: 0; }
    BrowseScreen.-full #attributes { width: 36; }
    """
    BINDINGS: ClassVar = [
        action("browse.query", "i,equals_sign", "query", "type a query"),
        action("browse.panel", "tab", "next_panel", "next panel"),
        action("browse.facets", "f", "facets", "counts within the result, or in all images"),
        action("browse.all", "c", "clear", "clear the query: all images"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._hits: Hits | None = None
        self._attributes: tuple[AttributeRow, ...] = ()
        self._facets = False

    def compose_body(self) -> ComposeResult:
        yield QueryLine()
        with Horizontal(id="panels"):
            yield AttributeList(id="attributes")
            yield WindowTable(id="results", empty="no image matches")

    @property
    def line(self) -> QueryLine:
        """The query line."""
        return self.query_one(QueryLine)

    @property
    def list(self) -> AttributeList:
        """The attributes."""
        return self.query_one(AttributeList)

    @property
    def table(self) -> WindowTable:
        """The results."""
        return self.query_one("#results", WindowTable)

    def on_mount(self) -> None:
        self.table.focus()

    def session_ready(self) -> None:
        self.table.marked = lambda row: row[0] in self.session.marks
        self.line.set_text(self.session.query)
        self.background("attributes", self.session.attributes, self._show_attributes)
        self.find()

    def resumed(self) -> None:
        if self._hits is not None and (self._hits.text, self._hits.sort) != (
            self.session.query,
            self.session.sort,
        ):
            self.line.set_text(self.session.query)
            self.find()

    def snapshot_changed(self) -> None:
        self.background("attributes", self.session.attributes, self._show_attributes)
        self.find(keep=True)

    # the query

    def find(self, *, keep: bool = False) -> None:
        """Search for the session's query; `keep`: the cursor stays on its image."""
        session = self.session
        text, sort, image = session.query, session.sort, session.image if keep else None

        def work() -> tuple[Hits, int]:
            hits = session.find(text, sort)
            return hits, (hits.nearest_position(image) or 0) if image is not None else 0

        self.background("find", work, self._show_hits, failed=self._not_found)

    def _show_hits(self, found: tuple[Hits, int]) -> None:
        hits, row = found
        self._hits = hits
        self.line.clear_fault()
        self.line.result(f"{hits.count:,} hits  {1000 * hits.seconds:,.0f} ms")
        self.table.show(hits, result_columns(hits), row=row, sort=_sort(hits.sort))
        self._show_conditions()

    def _not_found(self, error: Exception) -> None:
        if type(error).__name__ != "SupersededError":
            self.fail(error)

    def _show_attributes(self, rows: tuple[AttributeRow, ...]) -> None:
        self._attributes = rows
        self.list.fill(rows, self.session.conditions(self.session.query))

    def _show_conditions(self) -> None:
        self.list.fill(None, self.session.conditions(self.session.query))

    def change(self, text: str) -> None:
        """Take another expression as the query, made by the list of attributes."""
        self.session.query = text
        self.line.set_text(text)
        self.find(keep=True)

    def on_query_line_edited(self, event: QueryLine.Edited) -> None:
        session, text, position = self.session, event.text, event.position

        def work() -> tuple[Checked, Any]:
            return session.check(text) if text.strip() else None, session.complete(text, position)

        def then(answer: tuple[Checked | None, Any]) -> None:
            checked, completions = answer
            if self.line.is_typing:
                self.line.refill(completions.start, completions.options)
            if checked is not None and not checked.ok:
                self.line.fault(checked.message, checked.position)
                return
            self.line.clear_fault()
            if session.query != text.strip():
                session.query = text.strip()
                self.find(keep=True)

        self.background("check", work, then, delay=_TYPING_SECONDS)

    def on_query_line_left(self, event: QueryLine.Left) -> None:
        self.table.focus()

    def on_attribute_list_stepped(self, event: AttributeList.Stepped) -> None:
        self._edit(lambda: self.session.step(self.session.query, event.code, event.delta))

    def on_attribute_list_cycled(self, event: AttributeList.Cycled) -> None:
        self._edit(lambda: self.session.cycle(self.session.query, event.code))

    def _edit(self, make: Any) -> None:
        from colonnade.engine.errors import ColonnadeError

        try:
            self.change(make())
        except ColonnadeError as error:
            self.fail(error)

    def on_window_table_cursor_moved(self, event: WindowTable.CursorMoved) -> None:
        if event.table is self.table and event.values is not None:
            self.session.image = event.values[0]
            self.status.stand(f"{(event.row or 0) + 1:,} of {self.table.count:,}")
        elif event.table is self.list and event.values is not None:
            self.session.attribute = event.values[-1]

    def on_window_table_sort_asked(self, event: WindowTable.SortAsked) -> None:
        if event.table is self.table:
            self.session.sort = ("-" if event.descending else "") + event.column
            self.find(keep=True)

    def on_window_table_failed(self, event: WindowTable.Failed) -> None:
        self.fail(event.error)

    def action_query(self) -> None:
        self.line.type()

    def action_next_panel(self) -> None:
        (self.list if self.table.has_focus and self.list.display else self.table).focus()

    def action_clear(self) -> None:
        self.change("")

    def action_facets(self) -> None:
        self._facets = not self._facets


def _sort(sort: str | None) -> tuple[str, bool] | None:
    return None if sort is None else (sort.removeprefix("-"), sort.startswith("-"))
