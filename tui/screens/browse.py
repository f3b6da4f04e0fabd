"""Browse: a query, what it finds, the attributes that make it, and the picture under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.widget import Widget

from colonnade.tui.job_rows import meter
from colonnade.tui.keys import action
from colonnade.tui.screens.base import one_line
from colonnade.tui.screens.browse_actions import BrowseActions
from colonnade.tui.widgets.status_line import STANDARD_HINT

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord
    from colonnade.tui.screens.browse_preview import ExplainPanel, LargePicture, Preview
    from colonnade.tui.session_model import ImageRow, ScoreRow
    from colonnade.tui.widgets.window_table import WindowTable

__all__ = ["BrowseScreen"]

_LOOK_SECONDS = 0.08
_EXPLAIN_SECONDS = 0.2
_BESIDE_COLUMNS = 110


class BrowseScreen(BrowseActions):
    """Attributes, results and preview: beside each other where there is room, else one behind a key."""

    NAME = "browse"
    LEGEND = (
        ("ask", "column: what the query asks of an attribute; .80: nothing, it is accepted from .80 on"),
        ("yes  yes?", "ask: accepted; at least tentative"),
        ("no  no?", "ask: not accepted; not even tentative"),
        ("≥.85", "ask: a confidence of .85 or more, whatever the attribute's own threshold"),
        ("…", "ask: the query says more of it than fits here"),
        ("* attribute", "the query asks for it"),
        ("* image", "it is marked"),
        ("=attribute", "derived from others by a rule"),
        ("×attribute", "has scores, but is no longer in the vocabulary"),
        ("1,204!", "the count is of an earlier wording or model: scoring it anew brings it up to date"),
    )
    DEFAULT_CSS = """
    BrowseScreen #panels { height: 1fr; }
    BrowseScreen #attributes { width: 30; }
    BrowseScreen #results { width: 1fr; margin: 0 0 0 1; }
    BrowseScreen.-tiny #attributes { display: none; width: 1fr; }
    BrowseScreen.-tiny #results { margin: 0; }
    BrowseScreen.-full #attributes { width: 40; }
    BrowseScreen.-list.-tiny #attributes { display: block; }
    BrowseScreen.-list.-tiny #results { display: none; }
    BrowseScreen.-looking.-narrow #attributes { display: none; }
    BrowseScreen.-looking.-tiny #results { display: none; }
    BrowseScreen.-list.-looking.-narrow #attributes { display: block; }
    BrowseScreen.-list.-looking.-narrow #preview, BrowseScreen.-list.-tiny #preview { display: none; }
    BrowseScreen.-large #panels, BrowseScreen.-large QueryLine { display: none; }
    """
    BINDINGS: ClassVar = [
        action("browse.preview", "p", "preview", "the picture beside the results, or none"),
        action("browse.explain", "x", "explain", "why these scores"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._preview_wanted: bool | None = None
        self._image: ImageRow | None = None
        self._scores: Sequence[ScoreRow] = ()
        self._jobs_told: dict[str, str] = {}

    def session_ready(self) -> None:
        super().session_ready()
        overview = self.colonnade.overview
        if overview is not None and overview.problems:
            self.warn(overview.problems[0])
        self._fit_preview()

    def snapshot_changed(self) -> None:
        super().snapshot_changed()
        self.image_moved()

    def jobs_changed(self, records: Sequence[JobRecord]) -> None:
        """Tell how jobs end; while one runs, the right end of the status line says how far it is."""
        running = [record for record in records if record.state == "running"]
        for record in records:
            before = self._jobs_told.get(record.id)
            if before == "running" and record.state != "running":
                said = f": {record.message}" if record.message else ""
                told = self.say if record.state == "done" else self.warn
                told(f"{' '.join(record.command)} {record.state}{said}")
        self._jobs_told = {record.id: record.state for record in records}
        if running:
            self.hint(meter(running))
        else:
            self.hint(STANDARD_HINT)

    def _panel(self, name: str) -> Widget | None:
        """A panel that is made when it is first needed; its module, with all of pictures, is imported then."""
        found = self.query(f"#{name}")
        return found.first() if found else None

    # the picture beside the results

    @property
    def preview(self) -> Preview | None:
        """The panel, once it is there."""
        return cast("Preview | None", self._panel("preview"))

    def panels(self) -> list[Widget]:
        explained = self._explanation
        lines = list(explained.query("WindowTable")) if explained is not None else []
        return [*super().panels(), *lines]

    def action_next_panel(self, step: int) -> None:
        """To the other panel; where there is no room for both it takes the other's place."""
        alone = self.has_class("-tiny") or (self.has_class("-narrow") and self.has_class("-looking"))
        if not alone or self._explanation is not None:
            super().action_next_panel(step)
            return
        listing = not self.has_class("-list")
        self.set_class(listing, "-list")
        self.call_after_refresh((self.attribute_list if listing else self.table).focus)

    def on_resize(self, event: events.Resize) -> None:
        if self.is_ready:
            self._fit_preview()

    def _fit_preview(self) -> None:
        """The picture stands beside the results where there is room, unless the user said otherwise."""
        wanted = self._preview_wanted
        self._show_preview(self.size.width >= _BESIDE_COLUMNS if wanted is None else wanted)

    def _show_preview(self, wanted: bool) -> None:
        panel = self.preview
        self.set_class(wanted, "-looking")
        if wanted and panel is None:
            from colonnade.tui.screens.browse_preview import Preview

            self.query_one("#panels").mount(Preview(id="preview"))
        elif panel is not None and panel.display != wanted:
            panel.display = wanted
            self.image_moved()

    def action_preview(self) -> None:
        panel = self.preview
        self.remove_class("-list")
        self._preview_wanted = not (panel is not None and panel.display)
        if self._preview_wanted and self.has_class("-tiny"):
            self.table.focus()
        self._show_preview(self._preview_wanted)

    def image_moved(self) -> None:
        """Read what the panels show of the image under the cursor; they wait until it rests."""
        large, explained, panel = self._large, self._explanation, self.preview
        if large is None and explained is None and (panel is None or not panel.display):
            return
        if self.table.values is None:
            if panel is not None:
                panel.show_image(None, (), ())
            return
        session, image = self.session, self.table.values[0]

        def work() -> tuple[ImageRow, tuple[ScoreRow, ...]]:
            return session.image_row(image), session.scores(image)

        self.background("look", work, self._show_image, failed=self._not_seen, delay=_LOOK_SECONDS)
        if explained is not None:
            self._read_explanation()

    def on_panel_ready(self) -> None:
        self.image_moved()

    def attribute_moved(self) -> None:
        if self._explanation is not None:
            self._read_explanation()

    def _not_seen(self, error: Exception) -> None:
        """What is shown is of another image: take it away."""
        if (panel := self.preview) is not None:
            panel.show_image(None, (), ())
        self.fail(error)

    def _show_image(self, found: tuple[ImageRow, Sequence[ScoreRow]]) -> None:
        self._image, self._scores = found
        named = tuple(self.session.conditions(self.session.query))
        if (panel := self.preview) is not None and panel.display:
            panel.show_image(self._image, self._scores, named)
        if (large := self._large) is not None:
            large.show_image(self._image, self._scores, named)

    def query_given(self) -> None:
        """The results are what is to be seen: no picture over them, and no search of another kind in their place."""
        self._close_large()
        if self.ranked is not None:
            self.hits = None

    # the picture large

    @property
    def _large(self) -> LargePicture | None:
        return cast("LargePicture | None", self._panel("large"))

    def on_window_table_chosen(self, event: WindowTable.Chosen) -> None:
        if event.table is self.attribute_list:
            self.attribute_list.action_cycle()
        elif event.table is self.table and self._large is None:
            from colonnade.tui.screens.browse_preview import LargePicture

            picture = LargePicture(id="large")
            self.mount(picture, after=self.query_one("#panels"))
            self.add_class("-large")
            picture.focus()
            self.opens(picture)

    def on_large_picture_turned(self, event: LargePicture.Turned) -> None:
        self.table.action_move(event.step)

    def on_large_picture_closed(self, event: LargePicture.Closed) -> None:
        self._close_large()

    def _close_large(self) -> None:
        if (large := self._large) is not None:
            large.remove()
            self.remove_class("-large")
            self.table.focus()

    # why

    @property
    def _explanation(self) -> ExplainPanel | None:
        return cast("ExplainPanel | None", self._panel("explain"))

    def action_explain(self) -> None:
        from colonnade.tui.screens.browse_preview import ExplainPanel

        if (panel := self._explanation) is not None:
            self._close_explanation(panel)
        elif not self.is_without_image():
            self.mount(ExplainPanel(id="explain"))

    def _read_explanation(self) -> None:
        if self.table.values is None or self._explanation is None:
            return
        session, image = self.session, self.table.values[0]
        path = str(self.table.values[1])
        focused = self.attribute_list.has_focus
        named = list(session.conditions(session.query))
        code = self.attribute_list.code if focused or not named else None
        codes = [code] if code else named

        def work() -> list[str]:
            return [line for one in codes for line in session.explain(image, one)["lines"]]

        def then(lines: list[str]) -> None:
            if (panel := self._explanation) is not None:
                panel.tell(f"{', '.join(codes)} of {path}", lines)

        def failed(error: Exception) -> None:
            then([one_line(error)])

        self.background("explain", work, then, failed=failed, delay=_EXPLAIN_SECONDS)

    def on_explain_panel_closed(self) -> None:
        if (panel := self._explanation) is not None:
            self._close_explanation(panel)

    def _close_explanation(self, panel: ExplainPanel) -> None:
        if panel.has_focus_within:
            self.table.focus()
        panel.remove()

    def go_back(self) -> bool:
        if (panel := self._explanation) is not None:
            self._close_explanation(panel)
            return True
        if self._large is not None:
            self._close_large()
            return True
        return super().go_back()
