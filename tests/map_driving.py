"""Driving the map screen in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from query_stores import Content, build_store, image
from sound_stores import embedding_rows, unit_vectors
from textual.pilot import Pilot

from colonnade.engine.projection_rows import Parameters, projection_rows
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.tui.app import ColonnadeApp
from colonnade.tui.keys import Configuration
from colonnade.tui.screens.map import MapScreen
from colonnade.tui.widgets.globe import Globe

__all__ = ["IMAGES", "MODEL", "Shown", "drag", "lassoed", "make_store", "put_map", "ready", "shown"]

MODEL = Model("toy", "", 8, 100.0)
PARAMETERS = Parameters("0123456789abcdef", 0, 10_000, 60, 60, 15, 0.3, 0.03, 300, "0.5.12")
IMAGES = 60
HOSTILE = "a\x1b[31mb\u202ec[/]\n[@click=app.quit].jpg"


def make_store(path: Path, *, images: int = IMAGES, mapped: bool = True) -> Store:
    """Three groups on the globe: `red` accepted in the first, `green` in the second, `blue` tentative in the third."""
    root = path.parent / "photos"
    root.mkdir()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(root / "0000.jpg")
    ids = range(images)
    statuses = {
        code: {i: (25.0, 0.9, there) if i % 3 == n else (10.0, 0.1, "rejected") for i in ids}
        for n, (code, there) in enumerate(
            {"red": "accepted", "green": "accepted", "blue": "tentative"}.items()
        )
    }
    content = Content(
        [image(i, **({"path": HOSTILE} if i == 1 else {})) for i in ids], statuses, {"kept": [0, 1]}
    )
    store = build_store(path, content, root=root)
    update_settings(store.path, lambda old: old.with_model(MODEL, activate=True))
    number = np.arange(images)
    with open_stage(store.path, command="test") as stage:
        stage.append("embeddings", MODEL.key, 0, embedding_rows(number, unit_vectors(images)), read=())
        stage.commit()
    if mapped:
        put_map(store, images)
    return store


def put_map(store: Store, images: int) -> None:
    number = np.arange(images)
    centres = np.array([[0.9, 0.0, 0.1], [0.5, -0.8, 0.2], [0.5, 0.8, -0.2]])
    places = centres[number % 3] + np.random.default_rng(0).normal(0, 0.02, (images, 3))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    with open_stage(store.path, command="map") as stage:
        cell = store.snapshot().cell("projections", MODEL.key, 0)
        rows = projection_rows(number, places, replace(PARAMETERS, fitted=images), how="fitted")
        stage.replace("projections", MODEL.key, 0, rows, read=cell)
        stage.commit()


class Shown:
    """The map in a running app."""

    def __init__(self, app: ColonnadeApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def screen(self) -> MapScreen:
        screen = self.app.base_screen
        assert isinstance(screen, MapScreen)
        return screen

    @property
    def map(self) -> MapScreen:
        """The map, also while another screen is in front."""
        return next(screen for screen in self.app.open_screens() if isinstance(screen, MapScreen))

    @property
    def globe(self) -> Globe:
        return self.screen.globe

    @property
    def text(self) -> str:
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())

    @property
    def legend(self) -> str:
        return str(self.screen.query_one("#legend").lines[0])  # type: ignore[attr-defined]

    async def until(self, holds: Callable[[], Any], seconds: float = 60.0) -> None:
        """Wait for what threads do."""
        for _ in range(int(seconds / 0.05)):
            if holds():
                return
            await self.pilot.pause(0.05)
        raise AssertionError(self.text)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def at_group(self, number: int) -> None:
        """Put the cursor on a group's middle."""
        drawn = self.screen.drawn
        assert drawn is not None
        dots = drawn.frame.view.dots(drawn.data.points.vectors.T[number::3]).mean(axis=0)
        self.screen._point((int(dots[0]) // 2, int(dots[1]) // 4))
        await self.pilot.pause()


@asynccontextmanager
async def shown(
    store: Path, *, size: tuple[int, int] = (100, 30), keys: Mapping[str, str] | None = None
) -> AsyncIterator[Shown]:
    app = ColonnadeApp(store, Configuration(keys=dict(keys or {})))
    async with app.run_test(size=size) as pilot:
        one = Shown(app, pilot)
        await one.until(lambda: app.session is not None)
        app.open_screen("map")
        await one.until(lambda: isinstance(app.base_screen, MapScreen) and app.base_screen.is_ready)
        yield one
        if app._watcher is not None:  # it must not speak to an event loop that has ended
            app._watcher.stop()
            await one.until(lambda: app._watcher is not None and not app._watcher.is_alive())
    app.close_session()


async def ready(one: Shown) -> None:
    await one.until(lambda: one.screen.drawn is not None and one.screen.crowds)


async def drag(one: Shown, group: int, reach: tuple[int, int] = (5, 3)) -> None:
    """Draw a rectangle around a group, up to the key that takes what is in it."""
    await one.at_group(group)
    (column, row), (across, down) = one.globe.cursor, reach
    one.screen._point((column - across, row - down))
    await one.press("r")
    one.screen._point((column + across, row + down))


async def lassoed(one: Shown, group: int, reach: tuple[int, int] = (5, 3)) -> None:
    """Take a group with a rectangle."""
    await drag(one, group, reach)
    await one.press("enter")
    session = one.app.session
    assert session is not None
    ids = list(range(group, IMAGES, 3))
    await one.until(lambda: "map" in session.selections and session.find("in_selection(map)").ids() == ids)
    await one.until(lambda: "20 of 60 selected" in one.legend)
