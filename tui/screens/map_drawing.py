"""The map as it is drawn: reading it, the frame, the crowds' names, the cursor and what is under it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from colonnade.tui.screens.base import BaseScreen
from colonnade.tui.screens.map_lasso import Lasso
from colonnade.tui.screens.map_reads import Drawn, Flags, Here, Look, crowds_of, draw_map, here
from colonnade.tui.widgets.globe import Globe
from colonnade.tui.widgets.line import TextLine, TextLines
from colonnade.tui.widgets.picture import Picture

if TYPE_CHECKING:
    import numpy as np

    from colonnade.tui.map_clusters import Cluster
    from colonnade.tui.map_data import MapData
    from colonnade.tui.map_view import View

__all__ = ["MapDrawing"]

_CROWDS_SECONDS = 0.4
_HERE_SECONDS = 0.15


class MapDrawing(BaseScreen):
    """The globe at the left, the image under the cursor at the right, what is shown below."""

    DEFAULT_CSS = """
    MapDrawing #stage { height: 1fr; }
    MapDrawing #side { width: 30; margin: 0 0 0 1; display: none; }
    MapDrawing #side.-open { display: block; }
    MapDrawing #side TextLines { max-height: 9; }
    MapDrawing.-wide #side { width: 38; }
    MapDrawing.-full #side { width: 60; }
    MapDrawing.-tiny #side, MapDrawing.-flat #side { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.data: MapData | None = None
        self.view: View | None = None
        self.drawn: Drawn | None = None
        self.selection: np.ndarray | None = None
        """bool [n]: the images that the lasso took."""
        self.lasso: Lasso | None = None
        self.crowds: list[Cluster] = []
        self.here: Here | None = None
        self._look = Look("density", None, "", False)
        self._flags = Flags()
        self.awaited: int | None = None
        """The process of the job that was started here and has not ended."""
        self._turn = self._crowd = 0
        self._job = ""

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="stage"):
            yield Globe(id="globe")
            with Vertical(id="side", classes="-open"):
                yield Picture(id="picture")
                yield TextLines(id="about")
        yield TextLine(id="legend")

    @property
    def globe(self) -> Globe:
        """The globe."""
        return self.query_one(Globe)

    def on_mount(self) -> None:
        self.globe.focus()
        self.call_after_refresh(self.get_ready)

    def load(self) -> None:
        """Read the map anew; the view, and what is selected, stay."""
        from colonnade.tui.map_data import load_map

        session = self.session
        self.background("map", lambda: load_map(session), self._loaded, failed=self._not_loaded)

    def _loaded(self, data: MapData) -> None:
        if self.selection is not None and self.data is not None:
            import numpy as np

            chosen = np.isin(data.points.ids, self.data.points.ids[self.selection], assume_unique=True)
            self.selection = chosen if chosen.any() else None
        self.data = data
        self.redraw()

    def _not_loaded(self, error: Exception) -> None:
        self.data = self.drawn = self.selection = None
        self.globe.tell(str(error).partition("\n")[0])
        self.query_one(Picture).show(None)
        self._tell_legend()

    def on_globe_resized(self, event: Globe.Resized) -> None:
        from colonnade.tui.map_view import View

        width, height = event.size
        if width < 2 or height < 2:
            return
        old = self.view
        self.view = View(width, height) if old is None else replace(old, width=width, height=height)
        if old is None:
            self.globe.point((width // 2, height // 2))
        else:
            self.globe.point((min(self.globe.cursor[0], width - 1), min(self.globe.cursor[1], height - 1)))
        self._set_lasso(None)
        self.redraw()

    def redraw(self) -> None:
        """Draw the map as it is to be seen now."""
        data, view, look, chosen = self.data, self.view, self._look, self.selection
        if data is None or view is None:
            return
        flags = self._flags
        self.background("frame", lambda: draw_map(data, view, look, flags, chosen), self._drawn)

    def _drawn(self, drawn: Drawn) -> None:
        from colonnade.tui.map_paint import with_names

        moved = (
            self.drawn is None
            or drawn.frame.view != self.drawn.frame.view
            or drawn.data is not self.drawn.data
        )
        self.drawn = drawn
        if moved:
            self.crowds = []
            self.background(
                "crowds",
                lambda: crowds_of(drawn, lambda: drawn.frame.view == self.view),
                self._show_crowds,
                failed=lambda error: None,
                delay=_CROWDS_SECONDS,
            )
        self.globe.show(with_names(drawn.paint, self.crowds))
        self._tell_legend()
        self._look_here()

    def _show_crowds(self, found: list[Cluster]) -> None:
        from colonnade.tui.map_paint import with_names

        self.crowds = found
        if self.drawn is not None and any(cluster.text for cluster in found):
            self.globe.show(with_names(self.drawn.paint, found))

    def _tell_legend(self) -> None:
        drawn, look = self.drawn, self._look
        if drawn is None:
            self.query_one("#legend", TextLine).tell(self._job)
            return
        parts = []
        if self.selection is not None:
            parts.append(f"{int(self.selection.sum()):,} selected: enter shows, w saves, Esc drops")
        parts.append(f"{len(drawn.data.points):,} images")
        if look.colouring == "attribute" and look.attribute is not None:
            parts.append(f"{look.attribute}: {drawn.marked:,} accepted, {drawn.half:,} tentative")
        elif look.colouring == "query":
            parts.append(f"{drawn.marked:,} match {look.query or 'true'}")
        else:
            parts.append("by density")
        if look.only and look.colouring != "density":
            parts.append("the rest is not drawn")
        if drawn.data.missing:
            parts.append(f"{drawn.data.missing:,} not on the map: u places them")
        if self._job:
            parts.append(self._job)
        self.query_one("#legend", TextLine).tell("  ".join(parts))

    def _point(self, cell: tuple[int, int]) -> None:
        self._turn = 0
        self.globe.point(cell)
        if self.lasso is not None and self.view is not None:
            self.globe.lasso(self.lasso.cells(self.view.width, self.view.height, cell))
        self._look_here()

    def _look_here(self) -> None:
        drawn, cell, turn = self.drawn, self.globe.cursor, self._turn
        if drawn is None or not (
            cell[1] < drawn.frame.counts.shape[0] and cell[0] < drawn.frame.counts.shape[1]
        ):
            return
        self.status.stand(f"{int(drawn.frame.counts[cell[1], cell[0]]):,} here")
        self.background(
            "here",
            lambda: here(drawn, cell, turn),
            self._show_here,
            failed=lambda error: None,
            delay=_HERE_SECONDS,
        )

    def _show_here(self, found: Here) -> None:
        self.here = found
        about, picture = self.query_one("#about", TextLines), self.query_one(Picture)
        image = found.image
        if image is None:
            picture.show(None)
            about.show(("no image here",))
            return
        self.session.image = image.image_id
        mark = "* " if image.image_id in self.session.marks else ""
        best = sorted(
            (one for one in found.scores if one.status in ("accepted", "tentative")),
            key=lambda one: (one.status != "accepted", -(one.confidence or 0.0)),
        )
        lines = [
            f"{one.code} {f'{one.confidence or 0:.2f}'.removeprefix('0')} {one.status}" for one in best[:7]
        ]
        about.show((mark + image.shown, *(lines or ["no attribute accepted"])))
        reason = image.error or ("the file is missing" if image.state == "missing" else None)
        picture.show(image.file, reason or (None if image.file else "an imported vector: there is no file"))

    def _set_view(self, view: View) -> None:
        if view != self.view:
            self._set_lasso(None)
            self.view = view
            self.redraw()

    def _set_look(self, look: Look) -> None:
        self._look = look
        if look.attribute is not None:
            self.session.attribute = look.attribute
        self.redraw()

    def _set_lasso(self, lasso: Lasso | None) -> None:
        self.lasso = lasso
        view = self.view
        cells = (
            None if lasso is None or view is None else lasso.cells(view.width, view.height, self.globe.cursor)
        )
        self.globe.lasso(cells)
