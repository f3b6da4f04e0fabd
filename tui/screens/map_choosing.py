"""Choosing on the map: the lasso, the selection, what becomes of it; and the jobs that make the map."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from colonnade.tui.screens.map_drawing import MapDrawing
from colonnade.tui.screens.map_lasso import Lasso
from colonnade.tui.screens.map_reads import Drawn
from colonnade.tui.widgets.globe import Globe

if TYPE_CHECKING:
    import numpy as np

    from colonnade.tui.job_start import Started

__all__ = ["MapChoosing"]

_SELECTION = "map"
"""The name by which expressions ask for the selection."""


class MapChoosing(MapDrawing):
    """A lasso takes images; the selection is asked for as `in_selection(map)`, shown in Browse or saved as a set."""

    def action_rectangle(self) -> None:
        if self.drawn is not None:
            self._set_lasso(Lasso(True, (self.globe.cursor,)))
            self.say(
                "move to the other corner; {map.take:Enter} takes what is inside, {app.back:Esc} leaves it"
            )

    def action_polygon(self) -> None:
        if self.drawn is None:
            return
        lasso = self.lasso
        if lasso is None or lasso.rectangle:
            lasso = Lasso(False, (self.globe.cursor,))
        self._set_lasso(lasso.through(self.globe.cursor))
        self.say(
            f"{len(lasso.corners)} corners: {{map.polygon:p}} sets the next, {{map.take:Enter}} takes what is inside, "
            "{app.back:Esc} leaves it"
        )

    def on_globe_clicked(self, event: Globe.Clicked) -> None:
        self._point(event.cell)

    def on_globe_dragged(self, event: Globe.Dragged) -> None:
        if self.drawn is None or self.view is None:
            return
        path = [
            (min(max(0, column), self.view.width - 1), min(max(0, row), self.view.height - 1))
            for column, row in event.path
        ]
        self.lasso = Lasso(event.rectangle, (path[0],) if event.rectangle else tuple(path[:-1]) or (path[0],))
        self._point(path[-1])
        if event.done:
            self.action_take()

    def action_take(self) -> None:
        if self.lasso is None:
            if self.selection is None:
                self.warn(
                    "{map.rectangle:r} or {map.polygon:p} begins a lasso; with the mouse, drag around images"
                )
            else:
                self.colonnade.show_query(f"in_selection({_SELECTION})")
            return
        drawn, lasso, cursor = self.drawn, self.lasso, self.globe.cursor
        self._set_lasso(None)
        if drawn is None:
            return
        self.background(
            "lasso", lambda: (drawn, lasso.chosen(drawn.data.points, drawn.frame, cursor)), self._taken
        )

    def _taken(self, taken: tuple[Drawn, np.ndarray]) -> None:
        drawn, chosen = taken
        if drawn.data is not self.data:
            return
        if not chosen.any():
            self.warn("no image inside")
            return
        assert self.data is not None
        self.selection = chosen
        self.session.select(_SELECTION, self.data.points.ids[chosen])
        self.redraw()

    def action_save(self) -> None:
        if self.is_read_only():
            return
        if self.selection is None or self.data is None:
            self.warn("nothing is selected: {map.rectangle:r} or {map.polygon:p} begins a lasso")
            return
        session, names = self.session, self.session.sets()
        # what is selected now: by the answer another snapshot may have come
        ids: list[int] = self.data.points.ids[self.selection].tolist()

        def choices(typed: str) -> Iterable[tuple[str, str]]:
            wanted = typed.strip()
            known = [(name, "replace this set") for name in names if wanted and wanted in name]
            known.sort(key=lambda choice: choice[0] != wanted)
            return known if wanted in ("", *names) else [(wanted, "a new set"), *known]

        def save(name: str) -> None:
            name = name.strip()
            work = partial(session.save_set, name, ids)
            self.background("save", work, lambda _: self.say(f"saved: in_set({name})"))

        self.ask("save the selection as the set", save, choices=choices)

    def action_update(self) -> None:
        self._start(("map",))

    def action_refit(self) -> None:
        self._start(("map", "--refit"))

    def _start(self, words: tuple[str, ...]) -> None:
        if self.is_read_only():
            return
        session = self.session
        self.say(f"starting {' '.join(words)} ...")
        self.background("start", lambda: session.start_job(words), self._started)

    def _started(self, started: Started) -> None:
        self.awaited = None if started.ended else started.pid
        self.say(
            started.message
            if started.ended and started.message
            else "the job runs; it goes on if the app ends"
        )
        self.jobs_changed(self.colonnade.jobs)  # it may have ended just now
