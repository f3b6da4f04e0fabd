"""The part of Browse that finds: query line, attributes and results are three views of one expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget

from colonnade.tui.keys import action
from colonnade.tui.screens.base import BaseScreen
from colonnade.tui.screens.browse_columns import result_columns
from colonnade.tui.widgets.attribute_list import AttributeList
from colonnade.tui.widgets.query_line import QueryLine
from colonnade.tui.widgets.window_table import WindowTable

if TYPE_CHECKING:
    from colonnade.engine.expression_completion import Completions
    from colonnade.tui.session_hits import Hits
    from colonnade.tui.session_model import AttributeRow, Checked
    from colonnade.tui.session_ranked import Ranked

__all__ = ["QueryScreen", "superseded"]

_TYPING_SECONDS = 0.06
_STATES_SECONDS = 1.5


def superseded(error: Exception) -> bool:
    """Whether a newer request took this one's place: nothing to tell."""
    return type(error).__name__ == "SupersededError" or getattr(error, "kind", "") == "superseded"


class QueryScreen(BaseScreen):
    """The query line above, attributes at the left, results."""

    BINDINGS: ClassVar = [
        action("browse.query", "i,equals_sign", "query", "type a query"),
        action("browse.panel", "tab", "next_panel(1)", "next panel"),
        action("browse.panel_back", "shift+tab", "next_panel(-1)", "panel before"),
        action("browse.facets", "f", "facets", "counts within the result, or in all images"),
        action("browse.clear", "c", "clear", "clear the query: all images"),
        action("browse.undo", "u", "undo", "the query before"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.hits: Hits | None = None
        self.ranked: Ranked | None = None
        """What a search by words or by a picture found, while it is shown in place of the query's hits."""
        self.attributes: tuple[AttributeRow, ...] = ()
        self._facets = False
        self._earlier: list[str] = []

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
    def attribute_list(self) -> AttributeList:
        """The attributes."""
        return self.query_one(AttributeList)

    @property
    def table(self) -> WindowTable:
        """The results."""
        return self.query_one("#results", WindowTable)

    def panels(self) -> list[Widget]:
        """What tab goes through, of what is in view."""
        return [panel for panel in (self.table, self.attribute_list) if panel.display]

    def on_mount(self) -> None:
        self.table.focus()

    # what the app tells

    def session_ready(self) -> None:
        marks = self.session.marks
        self.table.marked = lambda row: row[0] in marks
        self.line.set_text(self.session.query)
        self.find(first=True)
        self._read_attributes()
        self._read_states()

    def resumed(self) -> None:
        shown = self.hits
        if shown is None or (shown.text, shown.sort) != (self.session.query, self.session.sort):
            self.line.set_text(self.session.query)
            self.find(keep=True)
        elif self.session.image is not None:
            self._go_to(self.session.image)
        self.table.redraw()

    def snapshot_changed(self) -> None:
        if self.hits is not None and self.hits.snapshot.number != self.session.snapshot:
            self.say(f"the store changed: snapshot {self.session.snapshot}")
        self._read_attributes()
        self._read_states()
        if self.ranked is None:
            self.find(keep=True)

    # attributes

    def _read_attributes(self) -> None:
        self.background("attributes", self.session.attributes, self._show_attributes)

    def _read_states(self) -> None:
        """Which attributes are stale takes another process a while: the counts do not wait for it."""
        session = self.session

        def then(changed: bool) -> None:
            if changed:
                self._read_attributes()

        self.background("states", session.refresh_states, then, failed=lambda _: None, delay=_STATES_SECONDS)

    def _show_attributes(self, rows: tuple[AttributeRow, ...]) -> None:
        self.attributes = rows
        listed = self.attribute_list
        code = self.session.attribute if not listed.count else None
        listed.fill(rows, self.session.conditions(self.session.query), listed.facets, code=code)

    def _show_conditions(self) -> None:
        listed = self.attribute_list
        listed.fill(None, self.session.conditions(self.session.query), listed.facets)

    # finding

    def find(self, *, keep: bool = False, first: bool = False) -> None:
        """Search for the session's query; `keep`: the cursor stays on its image, or near it."""
        session = self.session
        text, sort = session.query, session.sort
        image = session.image if keep or first else None

        def work() -> tuple[Hits, int]:
            hits = session.find(text, sort)
            row = hits.nearest_position(image) if image is not None else None
            return hits, row or 0

        def then(found: tuple[Hits, int]) -> None:
            self._show_hits(*found)
            if first:
                self.background("warm", session.warm, lambda _: None, failed=lambda _: None, delay=0.5)

        self.background("find", work, then, failed=self._not_found)

    def _show_hits(self, hits: Hits, row: int) -> None:
        self.hits, self.ranked = hits, None
        self.line.clear_fault()
        self.line.result(f"{hits.count:,} hits  {1000 * hits.seconds:,.0f} ms")
        self.table.show(hits, result_columns(hits), row=row, sort=_sort(hits.sort))
        self._show_conditions()
        if hits.warnings:
            self.warn(hits.warnings[0])
        self._count_facets()

    def show_ranked(self, ranked: Ranked) -> None:
        """Show what is nearest to words or to a picture, until Esc or another query."""
        self.ranked = ranked
        self.line.result(f"{ranked.count:,} nearest  {1000 * ranked.seconds:,.0f} ms")
        self.table.show(ranked, result_columns(ranked))
        self.say(f"{ranked.text}; Esc: back to the query")
        self.table.focus()

    def _not_found(self, error: Exception) -> None:
        if superseded(error):
            return
        position = getattr(error, "position", None)
        if isinstance(position, int):
            self.line.fault(str(getattr(error, "message", error)), position)
        else:
            self.fail(error)

    def _go_to(self, image: int) -> None:
        shown = self.ranked or self.hits
        if shown is not None and self.table.values is not None and self.table.values[0] != image:
            self.background(
                "place",
                lambda: shown.position_of(image),
                lambda row: row is not None and self.table.go_to(row),
            )

    # changing the query

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
        session, text, position = self.session, event.text, event.position

        def work() -> tuple[Checked | None, Completions]:
            return session.check(text) if text.strip() else None, session.complete(text, position)

        def then(answer: tuple[Checked | None, Completions]) -> None:
            checked, completions = answer
            if self.line.is_typing:
                self.line.refill(completions.start, completions.options)
            if checked is not None and not checked.ok:
                in_word = completions.options and completions.start < position
                if in_word and checked.position >= completions.start and self.line.is_typing:
                    self.line.clear_fault()  # a word that is being typed is no fault yet
                else:
                    self.line.fault(checked.message, checked.position)
                return
            self.line.clear_fault()
            if session.query != text.strip():
                self._earlier = [*self._earlier[-99:], session.query]
                session.query = text.strip()
                self.find(keep=True)

        self.background("check", work, then, delay=_TYPING_SECONDS)

    def on_query_line_left(self, event: QueryLine.Left) -> None:
        self.table.focus()
        session, text = self.session, self.line.text

        def then(checked: Checked) -> None:
            if not checked.ok:
                self.line.fault(checked.message, checked.position)

        if text.strip() and text.strip() != session.query:
            self.background("check", lambda: session.check(text), then)

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

    # what the user moves

    def on_window_table_cursor_moved(self, event: WindowTable.CursorMoved) -> None:
        if event.table is self.table:
            if event.values is not None:
                self.session.image = event.values[0]
            place = f"{event.row + 1:,} of {self.table.count:,}" if event.row is not None else ""
            marks = f"  {len(self.session.marks):,} marked" if self.session.marks else ""
            self.status.stand(place + marks)
            self.image_moved()
        elif event.table is self.attribute_list and self.attribute_list.code is not None:
            self.session.attribute = self.attribute_list.code
            self.attribute_moved()

    def image_moved(self) -> None:
        """The cursor is on another image."""

    def attribute_moved(self) -> None:
        """The cursor is on another attribute."""

    def on_window_table_sort_asked(self, event: WindowTable.SortAsked) -> None:
        if event.table is not self.table or not self.is_ready:
            return
        if self.ranked is not None:
            self.say("these are sorted by how near they are; Esc: back to the query")
            return
        self.session.sort = f"{event.column} {'desc' if event.descending else 'asc'}"
        self.find()

    def on_window_table_failed(self, event: WindowTable.Failed) -> None:
        if not superseded(event.error):
            self.fail(event.error)

    def action_query(self) -> None:
        self.line.type()

    def action_next_panel(self, step: int) -> None:
        panels = self.panels()
        places = [place for place, panel in enumerate(panels) if panel.has_focus_within]
        panels[((places[0] if places else 0) + step) % len(panels)].focus()

    def action_clear(self) -> None:
        self.change("")

    def action_undo(self) -> None:
        if self._earlier:
            text = self._earlier.pop()
            self.session.query = text
            self.change(text)
        else:
            self.say("there is no earlier query")

    def action_facets(self) -> None:
        self._facets = not self._facets
        if self._facets:
            self.say("counts of what is found; f: of all images")
            self._count_facets()
        else:
            self.say("counts of all images")
            self.attribute_list.fill(facets=None)

    def _count_facets(self) -> None:
        hits = self.hits
        if self._facets and hits is not None:
            session = self.session

            def then(counts: dict[str, int]) -> None:
                if self._facets:
                    self.attribute_list.fill(facets=counts)

            self.background("facets", lambda: session.facets(hits), then)


def _sort(sort: str | None) -> tuple[str, bool] | None:
    """The column that the results are sorted by first, and whether it descends."""
    if not sort:
        return None
    name, _, direction = sort.partition(",")[0].strip().partition(" ")
    return name.removeprefix("-"), direction.strip().lower() == "desc" or name.startswith("-")
