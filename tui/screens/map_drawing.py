"""The map as it is drawn: reading it, the frame, the crowds' names, the cursor and what is under it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from colonnade.tui.screens.base import BaseScreen, one_line
from colonnade.tui.screens.browse_preview import no_picture
from colonnade.tui.screens.map_lasso import Lasso
from colonnade.tui.screens.map_reads import Drawn, Flags, Here, Look, crowds_of, draw_map, here
from colonnade.tui.widgets.cells import fit
from colonnade.tui.widgets.globe import Globe
from colonnade.tui.widgets.line import TextLines, keyed
from colonnade.tui.widgets.map_legend import KeyPart, MapLegend
from colonnade.tui.widgets.picture import Picture

if TYPE_CHECKING:
    import numpy as np
    from rich.style import Style

    from colonnade.tui.map_clusters import Cluster
    from colonnade.tui.map_data import MapData
    from colonnade.tui.map_paint import Paint
    from colonnade.tui.map_view import View

__all__ = ["MapDrawing"]

_CROWDS_SECONDS = 0.4
_HERE_SECONDS = 0.15
_DOT, _GAP = "⣿", "  "


def _key(look: Look) -> tuple[KeyPart, ...]:
    """What the colours of the dots mean."""
    scale: tuple[KeyPart, ...] = tuple((_DOT, level) for level in range(1, 6))
    if look.colouring == "density":
        return ("few ", None), *scale, (" many", None)
    most = ("none ", None), *scale, (" all", None)
    return (*most, (_GAP, None), (_DOT, 6), (" tentative", None)) if look.colouring == "attribute" else most


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
        self.crowds: list[Cluster] | None = None
        """Those in view; None while they are looked for."""
        self.named: tuple[Cluster, ...] = ()
        """Those whose names are on the screen."""
        self.here: Here | None = None
        self._look = Look("density", None, "", False)
        self._flags = Flags()
        self.awaited: int | None = None
        """The process of the job that was started here and has not ended."""
        self._turn = 0
        self._crowd: int | None = None
        """Which of the crowds the cursor was sent to last."""
        self._crowd_wanted = 0
        """A step to another crowd that was asked for while they were looked for."""
        self._job = ""

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="stage"):
            yield Globe(id="globe")
            with Vertical(id="side", classes="-open"):
                yield Picture(id="picture")
                yield TextLines(id="about")
        yield MapLegend(self._style_of, id="legend")

    @property
    def globe(self) -> Globe:
        """The globe."""
        return self.query_one(Globe)

    def _style_of(self, level: int) -> Style:
        return self.globe.style_of(level)

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
        self.globe.tell(keyed(self, one_line(error)))
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
            self.globe.point(old.cell_in(self.view, self.globe.cursor))
            self._set_lasso(None if self.lasso is None else self.lasso.moved(old, self.view))
        self.redraw()

    def redraw(self) -> None:
        """Draw the map as it is to be seen now."""
        data, view, look, chosen = self.data, self.view, self._look, self.selection
        if data is None or view is None:
            return
        flags = self._flags
        self.background("frame", lambda: draw_map(data, view, look, flags, chosen), self._drawn)

    def _drawn(self, drawn: Drawn) -> None:
        before, self.drawn = self.drawn, drawn
        moved = before is None or drawn.frame.view != before.frame.view
        if moved:
            self.crowds, self._crowd = None, None
        if before is None or moved or drawn.data is not before.data:
            self.background(
                "crowds",
                lambda: crowds_of(drawn, lambda: drawn.frame.view == self.view),
                self._show_crowds,
                failed=lambda error: self._show_crowds([]),
                delay=_CROWDS_SECONDS,
            )
        self._put_names(drawn.paint)
        self._tell_legend()
        self._look_here()

    def _show_crowds(self, found: list[Cluster]) -> None:
        same = self.crowds == found
        self.crowds = found
        if self.drawn is not None and not same:
            self._crowd = None
            self._put_names(self.drawn.paint)
        step, self._crowd_wanted = self._crowd_wanted, 0
        if step:
            self.action_crowd(step)

    def action_crowd(self, step: int) -> None:
        """Go to another crowd."""

    def _put_names(self, paint: Paint) -> None:
        from colonnade.tui.map_paint import with_names

        painted, self.named = with_names(paint, self.crowds or ())
        self.globe.show(painted)

    def _tell_legend(self) -> None:
        drawn, look, legend = self.drawn, self._look, self.query_one(MapLegend)
        if drawn is None:
            legend.explain([self._job])
            return
        images = f"{len(drawn.data.points):,}"
        parts = [f"{images} images"]
        if self.selection is not None:
            chosen = int(self.selection.sum())
            does = keyed(self, "{map.take:Enter} shows, {map.save:w} saves, {app.back:Esc} drops")
            parts = [f"{chosen:,} of {images} selected: {does}"]
        if look.colouring == "attribute" and look.attribute is not None:
            parts.append(f"{look.attribute}: {drawn.marked:,} accepted, {drawn.half:,} tentative")
        elif look.colouring == "query":
            asked = look.query or "true"
            parts.append(f"{drawn.marked:,} match {asked if len(asked) <= 40 else asked[:39] + '…'}")
        else:
            parts.append("by density")
        if look.only and look.colouring != "density":
            parts.append("the rest is not drawn")
        if drawn.data.missing:
            places = keyed(self, "{map.update:u} places them")
            parts.append(f"{drawn.data.missing:,} not on the map: {places}")
        if self._job:
            parts.append(self._job)
        legend.explain(parts, () if self.app.no_color else _key(look))

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
        name = fit(image.shown, about.size.width - len(mark), cut="left")
        about.show((mark + name, *(lines or ["no attribute accepted"])))
        picture.show(image.file, no_picture(image))

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
