"""The part of Browse that finds: query line, attributes and results are three views of one expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget

from colonnade.tui.keys import action
from colonnade.tui.screens.base import BaseScreen, one_line, superseded
from colonnade.tui.screens.browse_columns import found_words, result_columns, shown_sort
from colonnade.tui.session_damage import ADVICE
from colonnade.tui.widgets.attribute_list import AttributeList
from colonnade.tui.widgets.line import keyed
from colonnade.tui.widgets.query_line import QueryLine
from colonnade.tui.widgets.window_table import ListSource, WindowTable

if TYPE_CHECKING:
    from colonnade.tui.session_hits import Hits
    from colonnade.tui.session_model import AttributeRow
    from colonnade.tui.session_ranked import Ranked

__all__ = ["QueryScreen"]

_STATES_SECONDS = 1.5
_NOTHING = "no image matches"
_NO_ATTRIBUTES = "no attributes yet: {app.vocabulary:2} adds one"


class QueryScreen(BaseScreen):
    """The query line above, attributes at the left, results."""

    BINDINGS: ClassVar = [
        action("browse.panel", "tab", "next_panel(1)", "next panel"),
        action("browse.panel_back", "shift+tab", "next_panel(-1)", "panel before"),
        action("browse.facets", "f", "facets", "counts within the result, or in all images"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.hits: Hits | None = None
        self.ranked: Ranked | None = None
        """What a search by words or by a picture found, while it is shown in place of the query's hits."""
        self.attributes: tuple[AttributeRow, ...] = ()
        self._facets = False

    def compose_body(self) -> ComposeResult:
        yield QueryLine()
        with Horizontal(id="panels"):
            yield AttributeList(id="attributes")
            yield WindowTable(id="results", empty=_NOTHING)

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
        if shown is None or not self.session.is_asked(shown):
            self.line.set_text(self.session.query)
            self.find(keep=True)
        elif self.session.image is not None:
            self._go_to(self.session.image)
        self.table.redraw()

    def snapshot_changed(self) -> None:
        moved = self.hits is not None and self.hits.snapshot.number != self.session.snapshot
        if moved and not self.status.message:  # what was just done is better told by its own words
            self.say(f"the store changed: snapshot {self.session.snapshot}")
        self._read_attributes()
        self._read_states()
        if self.ranked is None:
            self.find(keep=True)

    # attributes

    def _read_attributes(self) -> None:
        self.background(
            "attributes", self.session.attributes, self._show_attributes, failed=self._no_attributes
        )

    def _read_states(self) -> None:
        """Which attributes are stale takes another process a while: the counts do not wait for it."""
        session = self.session

        def then(changed: bool) -> None:
            if changed:
                self._read_attributes()

        self.background("states", session.refresh_states, then, failed=lambda _: None, delay=_STATES_SECONDS)

    def _no_attributes(self, error: Exception) -> None:
        """Counts that nobody can read are not shown as none."""
        self.attributes = ()
        self.attribute_list.empty = f"attributes cannot be read: {one_line(error)}"
        self.attribute_list.fill((), {})
        self.attribute_list.redraw()
        self.fail(error)

    def _show_attributes(self, rows: tuple[AttributeRow, ...]) -> None:
        damaged = {row.code for row in rows if row.state == "damaged"}
        new = damaged - {row.code for row in self.attributes if row.state == "damaged"}
        self.attributes = rows
        if new:
            more = f" and of {len(damaged) - 1} more" if len(damaged) > 1 else ""
            self.fail(f"the scores of {min(new)}{more} cannot be read: {ADVICE}")
        listed = self.attribute_list
        listed.empty = _NO_ATTRIBUTES
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
        self.table.empty = _NOTHING
        self.line.clear_fault()
        self.line.instead(None)
        self.line.result(found_words(hits, self.colonnade.overview))
        self.table.show(hits, result_columns(hits), row=row, sort=shown_sort(hits.sort))
        self._show_conditions()
        if hits.warnings:
            self.warn(hits.warnings[0])
        self._count_facets()

    def show_ranked(self, ranked: Ranked) -> None:
        """Show what is nearest to words or to a picture, until Esc or another query."""
        self.ranked = ranked
        self.line.result(f"{ranked.count:,} nearest  {1000 * ranked.seconds:,.0f} ms")
        back = keyed(self, "{app.back:Esc}: back to the query")
        self.line.instead(f"{ranked.text}, of all images; {back}")
        self.table.show(ranked, result_columns(ranked))
        self.status.clear()
        self.table.focus()

    def _not_found(self, error: Exception) -> None:
        if superseded(error):
            return
        position = getattr(error, "position", None)
        if isinstance(position, int):
            self.line.fault(str(getattr(error, "message", error)), position)
        else:
            self._not_read(error)

    def _not_read(self, error: Exception) -> None:
        """Show why there is no result in its place: what was found before is not what is asked for now."""
        self.hits = self.ranked = None
        self.line.clear_fault()
        self.line.instead(None)
        self.line.result("cannot be read")
        self._show_nothing(one_line(error))
        self._show_conditions()
        self.fail(error)

    def _show_nothing(self, why: str) -> None:
        self.table.empty = why
        self.table.show(ListSource(()))
        self.table.redraw()
        self.image_moved()

    def not_opened(self, words: str) -> None:
        self.table.empty = words
        self.table.redraw()
        self.attribute_list.empty = "the store cannot be opened"
        self.attribute_list.redraw()

    def _go_to(self, image: int) -> None:
        shown = self.ranked or self.hits
        if shown is not None and self.table.values is not None and self.table.values[0] != image:

            def then(row: int | None) -> None:
                if row is not None:
                    self.table.go_to(row)

            self.background("place", lambda: shown.position_of(image), then)

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
            self.say("these are sorted by how near they are; {app.back:Esc}: back to the query")
            return
        self.session.sort = f"{event.column} {'desc' if event.descending else 'asc'}"
        self.find()

    def on_window_table_failed(self, event: WindowTable.Failed) -> None:
        if superseded(event.error):
            return
        if event.table is self.table:
            self._not_read(event.error)
        else:
            self.fail(event.error)

    def action_next_panel(self, step: int) -> None:
        panels = self.panels()
        places = [place for place, panel in enumerate(panels) if panel.has_focus_within]
        panels[((places[0] if places else 0) + step) % len(panels)].focus()

    def action_facets(self) -> None:
        self._facets = not self._facets
        if self._facets:
            self.say("counts of what is found; {browse.facets:f}: of all images")
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

            self.background("facets", lambda: session.facets(hits), then, failed=self._not_counted)

    def _not_counted(self, error: Exception) -> None:
        self._facets = False
        self.attribute_list.fill(facets=None)
        self.fail(error)
