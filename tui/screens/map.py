"""Map: the collection seen whole, as dots on a globe; a lasso makes the selection a query or a set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from colonnade.tui.keys import action
from colonnade.tui.screens.map_choosing import MapChoosing
from colonnade.tui.widgets.globe import Globe

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord
    from colonnade.tui.map_paint import Colouring

__all__ = ["MapScreen"]

_HINT = "{map.crowd:n} crowd  {map.nearer:+} {map.farther:-} zoom  {map.rectangle:r} lasso  {app.help:?} keys"

_COLOURINGS: tuple[Colouring, ...] = ("density", "attribute", "query")
_ZOOM = 1.5
_FAR_X, _FAR_Y = 8, 4
_TURN_DOTS = 12


class MapScreen(MapChoosing):
    """The keys of the map, the view and the colours."""

    NAME = "map"
    BINDINGS: ClassVar = [
        action("map.left", "left", "move(-1, 0)", "cursor left"),
        action("map.right", "right", "move(1, 0)", "cursor right"),
        action("map.up", "up", "move(0, -1)", "cursor up"),
        action("map.down", "down", "move(0, 1)", "cursor down"),
        action("map.far_left", "shift+left", f"move(-{_FAR_X}, 0)", "cursor far left"),
        action("map.far_right", "shift+right", f"move({_FAR_X}, 0)", "cursor far right"),
        action("map.far_up", "shift+up,pageup", f"move(0, -{_FAR_Y})", "cursor far up"),
        action("map.far_down", "shift+down,pagedown", f"move(0, {_FAR_Y})", "cursor far down"),
        action("map.turn_west", "h", f"turn(-{_TURN_DOTS}, 0)", "turn the globe west"),
        action("map.turn_east", "l", f"turn({_TURN_DOTS}, 0)", "turn the globe east"),
        action("map.turn_north", "k", f"turn(0, {_TURN_DOTS})", "turn the globe north"),
        action("map.turn_south", "j", f"turn(0, -{_TURN_DOTS})", "turn the globe south"),
        action("map.nearer", "plus,equals_sign", "zoom(1)", "nearer, about the cursor"),
        action("map.farther", "minus", "zoom(-1)", "farther"),
        action("map.centre", "full_stop", "centre", "turn the cursor's place to the middle"),
        action("map.whole", "0,home", "whole", "the whole globe"),
        action("map.crowd", "n,tab", "crowd(1)", "next crowd"),
        action("map.crowd_before", "N,shift+tab", "crowd(-1)", "crowd before"),
        action("map.colours", "c", "colours", "colour by density, attribute or query"),
        action("map.attribute", "a", "attribute", "choose the attribute"),
        action("map.attribute_before", "left_square_bracket", "step_attribute(-1)", "attribute before"),
        action("map.attribute_after", "right_square_bracket", "step_attribute(1)", "next attribute"),
        action("map.only", "o", "only", "draw only what is accepted, or what the query finds"),
        action("map.rectangle", "r", "rectangle", "lasso: a rectangle from here"),
        action("map.polygon", "p", "polygon", "lasso: a corner of a polygon here"),
        action("map.take", "enter", "take", "take the lasso; then show the selection in Browse"),
        action("map.save", "w", "save", "save the selection as a set"),
        action("map.next_image", "space", "next_image", "next image under the cursor"),
        action("map.mark", "m", "mark", "mark the image under the cursor"),
        action("map.side", "x", "side", "show or hide the picture"),
        action("map.update", "u", "update", "make the map, or place new images on it, as a job"),
        action("map.refit", "U", "refit", "make the map anew, as a job"),
    ]

    def session_ready(self) -> None:
        self._look = replace(self._look, attribute=self.session.attribute, query=self.session.query)
        self.hint(_HINT)
        self.globe.tell("reading the map ...")
        self.load()

    def resumed(self) -> None:
        look = replace(self._look, attribute=self.session.attribute, query=self.session.query)
        if look != self._look or look.colouring == "query":  # what a query finds may have changed
            self._look = look
            self.redraw()

    def snapshot_changed(self) -> None:
        self.load()

    def jobs_changed(self, records: Sequence[JobRecord]) -> None:
        newest = next((one for one in records if one.command[:1] == ("map",)), None)
        running = newest if newest is not None and newest.state == "running" else None
        if newest is not None and newest.pid == self.awaited and running is None:
            self.awaited = None
            if newest.state == "done":
                self.say("the map is up to date")
            else:
                self.fail(f"the job ended ({newest.state}): {newest.message or 'its log is in Jobs'}")
        job = ""
        if running is not None:
            job = (
                f"job: {running.phase} {running.done:,} of {running.total:,}" if running.total else "job runs"
            )
        if job != self._job:
            self._job = job
            self._tell_legend()

    def go_back(self) -> bool:
        if self.lasso is not None:
            self._set_lasso(None)
            return True
        if self.selection is not None:
            self.selection = None
            self.say("dropped here; in_selection(map) goes on asking for it until the next")
            self.redraw()
            return True
        return False

    def action_move(self, across: int, down: int) -> None:
        if self.view is None:
            return
        column, row = self.globe.cursor
        to = column + across, row + down
        inside = min(max(0, to[0]), self.view.width - 1), min(max(0, to[1]), self.view.height - 1)
        if inside == (column, row) and self.lasso is None:
            self.action_turn(2 * across, -4 * down)
            return
        self._point(inside)

    def action_next_image(self) -> None:
        self._turn += 1
        self._look_here()

    def action_mark(self) -> None:
        image = self.session.image
        if self.here is None or self.here.image is None or image is None:
            self.warn("no image here")
            return
        self.session.marks ^= {image}
        self._show_here(self.here)
        self.say(f"{len(self.session.marks):,} marked")

    def action_side(self) -> None:
        self.query_one("#side").toggle_class("-open")

    def action_crowd(self, step: int) -> None:
        if self.crowds is None:
            self._crowd_wanted = step
            self.say("looking for crowds ...")
            return
        crowds = self.named or tuple(self.crowds)
        if not crowds:
            self.warn("no crowd is in view")
            return
        first = 0 if step > 0 else -1
        self._crowd = (first if self._crowd is None else self._crowd + step) % len(crowds)
        cluster = crowds[self._crowd]
        self._point((cluster.column, cluster.row))
        apart = (
            f", {cluster.share:.0%} show {cluster.code}, {cluster.lift:.1f} times as many as elsewhere"
            if cluster.code
            else ""
        )
        self.say(f"crowd {self._crowd + 1} of {len(crowds)}: {cluster.images:,} images{apart}")

    def action_turn(self, east: float, north: float) -> None:
        if self.view is not None:
            self._set_view(self.view.turned(east, north))

    def action_zoom(self, step: int, cell: tuple[int, int] | None = None) -> None:
        if self.view is not None:
            column, row = cell or self.globe.cursor
            self._set_view(self.view.zoomed(_ZOOM**step, (2 * column + 1, 4 * row + 2)))

    def action_centre(self) -> None:
        if self.view is not None:
            import numpy as np

            column, row = self.globe.cursor
            place = self.view.place(np.array([(2 * column + 1, 4 * row + 2)]))[0]
            if not np.isfinite(place).all():
                self.warn("the cursor is beside the globe")
                return
            self._set_view(self.view.centred(place))
            self._point((self.view.width // 2, self.view.height // 2))

    def action_whole(self) -> None:
        if self.view is not None:
            self._set_view(replace(self.view, latitude=0.0, longitude=0.0, zoom=1.0))

    def on_globe_wheeled(self, event: Globe.Wheeled) -> None:
        self.action_zoom(1 if event.nearer else -1, event.cell)

    def action_colours(self) -> None:
        following = _COLOURINGS[(_COLOURINGS.index(self._look.colouring) + 1) % len(_COLOURINGS)]
        if following == "attribute" and self._look.attribute is None:
            scored = self.data.scored() if self.data else ()
            if not scored:
                following = "query"
            else:
                current = self.session.attribute
                self._look = replace(self._look, attribute=current if current in scored else scored[0])
        self._colour_by(following)
        self.say(f"colours: {following}")

    def _colour_by(self, colouring: Colouring) -> None:
        # Without colours, what is accepted shows only where nothing else is drawn.
        only = colouring != "density" and (self._look.only or self.app.no_color)
        self._set_look(replace(self._look, colouring=colouring, only=only))

    def action_attribute(self) -> None:
        scored = self.data.scored() if self.data else ()
        if not scored:
            self.warn("no attribute is scored yet: the plan in Jobs does it")
            return

        def choices(typed: str) -> Iterable[tuple[str, str]]:
            wanted = typed.strip().casefold()
            found = sorted(scored, key=lambda code: not code.startswith(wanted))
            return [(code, "") for code in found if wanted in code]

        self.ask("attribute", self._chose_attribute, choices=choices)

    def _chose_attribute(self, code: str) -> None:
        if self.data is None or code not in self.data.scored():
            self.warn(f"{code}: not scored")
            return
        self._look = replace(self._look, attribute=code)
        self._colour_by("attribute")

    def action_step_attribute(self, step: int) -> None:
        scored = self.data.scored() if self.data else ()
        if not scored:
            self.warn("no attribute is scored yet: the plan in Jobs does it")
            return
        now = (
            scored.index(self._look.attribute) if self._look.attribute in scored else (-1 if step > 0 else 0)
        )
        self._chose_attribute(scored[(now + step) % len(scored)])

    def action_only(self) -> None:
        if self._look.colouring == "density":
            self.action_colours()
        self._set_look(replace(self._look, only=not self._look.only))
