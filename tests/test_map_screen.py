"""The map in the app: drawn, steered by keys and mouse, lassoed; and what it says when there is nothing to draw."""

from __future__ import annotations

import csv
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from query_stores import Content, build_store, image
from sound_stores import embedding_rows, unit_vectors
from textual.pilot import Pilot
from textual.widgets import Input

from colonnade.engine.projection_rows import Parameters, projection_rows
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.tui.app import ColonnadeApp
from colonnade.tui.keys import Configuration
from colonnade.tui.screens.browse import BrowseScreen
from colonnade.tui.screens.map import MapScreen
from colonnade.tui.screens.map_reads import Flags, Look
from colonnade.tui.session import Session
from colonnade.tui.theme import THEME_NAMES
from colonnade.tui.widgets.globe import Globe

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

    async def until(self, holds: Callable[[], Any], seconds: float = 15.0) -> None:
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
async def shown(store: Path, *, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Shown]:
    app = ColonnadeApp(store, Configuration())
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


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("map") / "s")


async def ready(one: Shown) -> None:
    await one.until(lambda: one.screen.drawn is not None and one.screen.crowds)


@pytest.mark.asyncio
async def test_the_map_is_drawn_and_crowds_are_named(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        assert one.legend == "60 images  by density  few ⣿⣿⣿⣿⣿ many"
        text = one.text
        assert any("\u2801" <= character <= "\u28ff" for character in text)
        assert re.search(r"red \d+%", text)
        assert re.search(r"green \d+%", text)
        assert "blue" not in text, "tentative alone sets nothing apart"


@pytest.mark.asyncio
async def test_the_cursor_shows_the_image_under_it(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        await one.at_group(0)
        await one.until(lambda: one.screen.here is not None and one.screen.here.image is not None)
        assert one.screen.here is not None
        await one.until(lambda: "red .90 accepted" in one.text)
        assert one.app.session is not None
        first = one.app.session.image
        assert first is not None
        assert first % 3 == 0
        await one.press("space")
        await one.until(lambda: one.app.session is not None and one.app.session.image != first)
        await one.press("m")
        assert one.app.session.marks == {one.app.session.image}
        await one.press("m")
        assert not one.app.session.marks
        await one.press("x")
        assert not one.screen.query_one("#side").display


@pytest.mark.asyncio
async def test_names_from_outside_are_made_safe(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        await one.at_group(1)
        for _ in range(25):
            await one.until(lambda: one.screen.here is not None)
            here = one.screen.here
            if here is not None and here.image is not None and here.image.image_id == 1:
                break
            await one.press("space")
            await one.pilot.pause(0.15)
        assert one.app.session is not None
        assert one.app.session.image == 1
        assert "[/]" in one.text, "shown as it is, not as markup"
        assert not {"\x1b", "\u202e"} & set(one.text)


@pytest.mark.asyncio
async def test_steering(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        column, row = one.globe.cursor
        await one.press("right", "down", "shift+right", "pagedown")
        assert one.globe.cursor == (column + 9, row + 5)
        await one.press("left", "up", "shift+left", "shift+up")
        assert one.globe.cursor == (column, row)
        await one.press("plus", "plus")
        assert one.screen.view is not None
        assert one.screen.view.zoom == pytest.approx(2.25)
        await one.press("l", "k")
        assert one.screen.view.longitude > 0
        assert one.screen.view.latitude > 0
        await one.press("minus", "full_stop")
        view = one.screen.view
        assert one.globe.cursor == (view.width // 2, view.height // 2)
        await one.press("0")
        assert (one.screen.view.zoom, one.screen.view.latitude, one.screen.view.longitude) == (1, 0, 0)
        one.screen._point((1, 9))
        await one.press("left", "left", "left")
        assert one.globe.cursor == (0, 9)
        assert one.screen.view.longitude < 0, "at the edge the globe turns"


@pytest.mark.asyncio
async def test_colours(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        assert one.app.session is not None
        one.app.session.attribute = "red"
        one.screen.resumed()
        await one.press("c")
        await one.until(lambda: "red: 20 accepted, 0 tentative" in one.legend)
        await one.press("right_square_bracket")
        await one.until(lambda: "blue: 0 accepted, 20 tentative" in one.legend)
        assert one.app.session.attribute == "blue"
        await one.press("right_square_bracket", "o")
        await one.until(lambda: "green: 20 accepted" in one.legend and "the rest is not drawn" in one.legend)
        one.app.session.query = "red or green"
        await one.press("c")
        one.screen.resumed()
        await one.until(lambda: "40 match red or green" in one.legend)
        await one.press("a")
        await one.until(lambda: one.app.screen.query(Input))
        await one.press(*"re", "enter")
        await one.until(lambda: "red: 20 accepted" in one.legend)


@pytest.mark.asyncio
async def test_a_rectangle_becomes_a_query(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        await one.at_group(0)
        column, row = one.globe.cursor
        one.screen._point((column - 5, row - 3))
        await one.press("r")
        one.screen._point((column + 5, row + 3))
        assert one.screen.lasso is not None
        await one.press("enter")
        await one.until(lambda: "20 of 60 selected" in one.legend)
        before = Store(store.path).snapshot().number
        await one.press("enter")
        await one.until(lambda: one.app.current_mode == "browse")
        assert one.app.session is not None
        assert one.app.session.query == "in_selection(map)"
        browse = one.app.base_screen
        assert isinstance(browse, BrowseScreen)
        await one.until(lambda: browse.hits is not None and browse.hits.count == 20)
        assert browse.hits is not None
        assert browse.hits.ids() == list(range(0, IMAGES, 3))
        assert Store(store.path).snapshot().number == before, "nothing is written"
        assert Store(store.path).snapshot().partitions("sets") == ("kept",)
        browse.change("in_selection(map) and green")
        await one.until(lambda: browse.hits is not None and browse.hits.count == 0)
        await one.press("w")
        assert "save the selection as a set first" in browse.status.message
        assert not one.app.screen.query(Input)


def found(browse: BrowseScreen, ids: list[int]) -> bool:
    return browse.hits is not None and browse.hits.ids() == ids


def in_front(one: Shown, name: str) -> bool:
    return one.app.current_mode == name and one.app.base_screen.is_ready


async def lassoed(one: Shown, group: int, reach: tuple[int, int] = (5, 3)) -> None:
    """Take a group with a rectangle."""
    await one.at_group(group)
    (column, row), (across, down) = one.globe.cursor, reach
    one.screen._point((column - across, row - down))
    await one.press("r")
    one.screen._point((column + across, row + down))
    await one.press("enter")
    session = one.app.session
    assert session is not None
    ids = list(range(group, IMAGES, 3))
    await one.until(lambda: "map" in session.selections and session.find("in_selection(map)").ids() == ids)
    await one.until(lambda: "20 of 60 selected" in one.legend)


@pytest.mark.asyncio
async def test_the_selection_is_seen_whatever_was_over_the_results(store: Store, tmp_path: Path) -> None:
    """A large picture, or what a search by words found, is not left over the selection."""
    async with shown(store.path) as one:
        await ready(one)
        one.app.open_screen("browse")
        browse = one.app.base_screen
        assert isinstance(browse, BrowseScreen)
        await one.until(lambda: browse.hits is not None and browse.table.values is not None)
        await one.press("enter")
        await one.until(lambda: browse.query("#large"))
        for group in (0, 1):  # the same words, another selection
            one.app.open_screen("map")
            await one.until(lambda: one.app.current_mode == "map")
            await lassoed(one, group)
            await one.press("enter")
            await one.until(lambda: one.app.current_mode == "browse")
            ids = list(range(group, IMAGES, 3))
            await one.until(partial(found, browse, ids))
            assert not browse.query("#large")
            assert not browse.has_class("-large")
            await one.until(lambda: "in_selection(map)" in one.text and "20 hits" in one.text)
            await one.press("enter")
            await one.until(lambda: browse.query("#large"))
        await one.press("escape", "e")
        await one.until(lambda: isinstance(one.app.focused, Input))
        field = one.app.focused
        assert isinstance(field, Input)
        field.value = str(tmp_path / "out.csv")
        await one.press("enter")
        await one.until(lambda: "20 rows written" in browse.status.message, 60)
        with (tmp_path / "out.csv").open() as file:
            assert [int(row["image_id"]) for row in csv.DictReader(file)] == list(range(1, IMAGES, 3))


@pytest.mark.asyncio
async def test_a_screen_that_comes_back_is_as_it_was(store: Store) -> None:
    async with shown(store.path, size=(80, 24)) as one:
        await ready(one)
        await one.press("plus", "h")
        await one.until(lambda: one.screen.drawn.frame.view == one.screen.view and one.screen.crowds)  # type: ignore[union-attr]
        await lassoed(one, 0)
        was = one.screen.view, one.globe.cursor, [cluster.text for cluster in one.screen.named]
        assert was[2]
        globe, before = one.text.splitlines()[1:-2], one.screen.data
        await one.press("enter")
        await one.until(lambda: one.app.current_mode == "browse")
        put_map(store, IMAGES)
        await one.until(lambda: one.map.data is not before and one.map.data is not None)
        one.app.open_screen("map")
        await one.until(lambda: one.app.current_mode == "map")
        await one.until(lambda: one.text.splitlines()[1:-2] == globe)
        assert (one.screen.view, one.globe.cursor, [cluster.text for cluster in one.screen.named]) == was
        assert one.screen.selection is not None


@pytest.mark.asyncio
async def test_crowds_are_gone_through_by_the_names_on_the_screen(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        names = [cluster.text for cluster in one.screen.named]
        assert sorted(names) == ["green 100%", "red 100%"]
        assert one.screen.crowds is not None
        assert len(one.screen.crowds) == 3, "one has no name"
        for number, name in ((1, names[0]), (2, names[1]), (1, names[0])):
            await one.press("n")
            assert one.screen.status.message.startswith(
                f"crowd {number} of 2: 20 images, 100% show {name.split()[0]}"
            )
            cluster = one.screen.named[number - 1]
            assert one.globe.cursor == (cluster.column, cluster.row)
        await one.press("N")
        assert one.screen.status.message.startswith("crowd 2 of 2: ")
        await one.press("plus", "n")  # at once: their names are not there yet
        assert one.screen.crowds is None
        await one.until(lambda: one.screen.status.message.startswith("crowd 1 of "))
        one.screen._set_view(replace(one.screen.view, longitude=180.0, zoom=4.0))
        await one.until(lambda: one.screen.crowds == [])
        await one.press("n")
        assert one.screen.status.message == "no crowd is in view"


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_what_a_lasso_says_is_readable(store: Store, size: tuple[int, int]) -> None:
    async with shown(store.path, size=size) as one:
        await ready(one)
        assert one.app.session is not None
        one.app.session.attribute = "green"
        one.screen.resumed()
        await one.press("c")
        await one.until(lambda: "green: 20 accepted" in one.legend)
        await lassoed(one, 0, (3, 2))
        line = next(line for line in one.text.splitlines() if "selected" in line)
        assert line.strip().startswith("20 of 60 selected: Enter shows, w saves, Esc drops")
        assert "…" not in line
        if size[0] == 80:
            await one.press("escape")
            await one.until(lambda: "none ⣿⣿⣿⣿⣿ all" in one.text and "selected" not in one.legend)


@pytest.mark.asyncio
async def test_a_lasso_lasts_when_the_screen_s_size_changes(store: Store) -> None:
    """A message over two lines is enough to change it."""
    async with shown(store.path) as one:
        await ready(one)
        await one.at_group(0)
        column, row = one.globe.cursor
        one.screen._point((column - 5, row - 3))
        await one.press("r")
        one.screen._point((column + 5, row + 3))
        await one.pilot.resize_terminal(80, 24)
        await one.until(lambda: one.screen.drawn.frame.view == one.screen.view)  # type: ignore[union-attr]
        assert one.screen.lasso is not None
        await one.press("enter")
        await one.until(lambda: "20 of 60 selected" in one.legend)


@pytest.mark.asyncio
async def test_a_store_that_cannot_be_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs it says so before it asks anything; the selection is shown all the same."""
    monkeypatch.setattr(Session, "writable", False)
    said = "the store is read-only for you: copy it to a place of your own to change it"
    async with shown(store.path) as one:
        await ready(one)
        await lassoed(one, 0)
        for key in ("w", "u", "U"):
            await one.press("right", key)
            assert one.screen.status.message == said
            assert not one.app.screen.query(Input)
        await one.press("enter")
        await one.until(lambda: one.app.current_mode == "browse")
        browse = one.app.base_screen
        assert isinstance(browse, BrowseScreen)
        await one.until(lambda: browse.hits is not None and browse.hits.count == 20)
        for screen, keys in (("jobs", "sr"), ("vocabulary", "t")):
            one.app.open_screen(screen)
            await one.until(partial(in_front, one, screen))
            await one.until(lambda: one.app.base_screen.takes_keys)
            if screen == "vocabulary":
                await one.until(lambda: one.app.base_screen.work is not None)  # type: ignore[attr-defined]
            for key in keys:
                one.app.base_screen.status.clear()
                await one.press(key)
                await one.until(lambda: one.app.base_screen.status.message == said)
                assert not one.app.screen.query(Input)


@pytest.mark.asyncio
async def test_what_is_saved_is_what_was_selected_when_it_was_asked(store: Store) -> None:
    """Another snapshot may leave nothing selected while the name is typed."""
    async with shown(store.path) as one:
        await ready(one)
        await lassoed(one, 0)
        await one.press("w")
        await one.until(lambda: one.app.screen.query(Input))
        one.screen.selection = None
        await one.press(*"asked", "enter")
        await one.until(lambda: "saved: in_set(asked)" in one.screen.status.message)
        assert Store(store.path).query("in_set(asked)").count == 20


def test_what_an_earlier_map_marked_is_not_taken_for_another_s() -> None:
    """A map that is let go leaves its place in memory to the next."""

    class OneMap:
        def __init__(self, images: int) -> None:
            self.images = images

        def statuses(self, code: str) -> tuple[np.ndarray, np.ndarray]:
            return np.ones(self.images, bool), np.zeros(self.images, bool)

    flags, look = Flags(), Look("attribute", "earth", "", False)
    for images in range(1, 9):
        marked, _ = flags.of(OneMap(images), look)  # type: ignore[arg-type]
        assert marked is not None and len(marked) == images


@pytest.mark.asyncio
async def test_the_name_under_the_picture_keeps_its_end(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        await one.until(lambda: one.screen.here is not None and one.screen.here.image is not None)
        here = one.screen.here
        assert here is not None and here.image is not None
        shown_as = "photos/" + "a-folder/" * 9 + "0012.jpg"
        one.screen._show_here(replace(here, image=replace(here.image, shown=shown_as)))
        await one.until(lambda: "-folder/0012.jpg" in one.text)


@pytest.mark.asyncio
async def test_a_polygon_is_saved_as_a_set(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        await one.at_group(1)
        column, row = one.globe.cursor
        for across, down in ((-6, -3), (6, -3), (6, 3)):
            one.screen._point((column + across, row + down))
            await one.press("p")
        one.screen._point((column - 6, row + 3))
        await one.press("enter")
        await one.until(lambda: "20 of 60 selected" in one.legend)
        await one.press("w")
        await one.until(lambda: one.app.screen.query(Input))
        await one.press(*"mine", "enter")
        await one.until(lambda: "saved: in_set(mine)" in one.screen.status.message)
        assert Store(store.path).query("in_set(mine) and green").count == 20
        await one.press("escape")
        await one.until(lambda: "selected" not in one.legend)
        assert one.app.current_mode == "map"
        assert one.app.session is not None
        assert one.app.session.find("in_selection(map)").count == 20, "dropped from the map alone"
        await one.press("r", "escape")
        assert one.screen.lasso is None
        assert one.app.current_mode == "map"
        await one.press("escape")
        assert one.app.current_mode == "browse"


@pytest.mark.asyncio
async def test_the_mouse(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        await one.pilot.click(Globe, offset=(10, 5))
        assert one.globe.cursor == (10, 5)
        await one.at_group(2)
        column, row = one.globe.cursor
        corners = [(column - 6, row - 3), (column + 6, row - 3), (column + 6, row + 3), (column - 6, row + 3)]
        await one.pilot.mouse_down(Globe, offset=corners[0])
        for corner in corners[1:]:
            await one.pilot.hover(Globe, offset=corner)
        await one.pilot.mouse_up(Globe, offset=corners[-1])
        await one.until(lambda: "20 of 60 selected" in one.legend)
        before = one.screen.view
        one.globe.post_message(Globe.Wheeled((column, row), nearer=True))
        await one.until(lambda: one.screen.view != before)


@pytest.mark.asyncio
async def test_only_the_cursor_s_cells_are_drawn_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(store.path) as one:
        await ready(one)
        await one.pilot.pause(0.5)
        drawn: list[Any] = []
        real = Globe.refresh

        def refresh(self: Globe, *regions: Any, **options: Any) -> Any:
            drawn.extend(regions or ["everything"])
            return real(self, *regions, **options)

        monkeypatch.setattr(Globe, "refresh", refresh)
        column, row = one.globe.cursor
        await one.press("right")
        await one.pilot.pause(0.5)
        assert [tuple(region) for region in drawn] == [(column, row, 1, 1), (column + 1, row, 1, 1)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("images", "words"),
    [(3, "a map needs five images with an embedding, and 3 have one"), (9, "u makes it as a job")],
)
async def test_without_a_map_it_says_what_to_do(tmp_path: Path, images: int, words: str) -> None:
    store = make_store(tmp_path / "s", images=images, mapped=False)
    async with shown(store.path) as one:
        await one.until(lambda: words in one.text)
        await one.press(
            "r", "p", "enter", "n", "c", "o", "a", "w", "full_stop", "plus", "h", "m", "space", "x"
        )
        if images < 5:
            await one.press("u")
            await one.until(lambda: "needs at least 5 images" in one.screen.status.message, 60)
        put_map(store, images)
        await one.until(lambda: one.legend.startswith(f"{images} images"))


@pytest.mark.asyncio
async def test_a_new_snapshot_keeps_view_and_selection(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s")
    async with shown(store.path) as one:
        await ready(one)
        await one.press("plus")
        view = one.screen.view
        await one.at_group(0)
        await one.press("r", "right", "down", "enter")
        await one.until(lambda: one.screen.selection is not None)
        assert one.screen.data is not None
        chosen = one.screen.data.points.ids[one.screen.selection].tolist()
        before = one.screen.data
        put_map(store, IMAGES)
        await one.until(lambda: one.screen.data is not before and one.screen.drawn.data is one.screen.data)  # type: ignore[union-attr]
        assert one.screen.view == view
        assert one.screen.data.points.ids[one.screen.selection].tolist() == chosen


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(80, 24), (20, 5), (120, 36)])
async def test_sizes(store: Store, size: tuple[int, int]) -> None:
    async with shown(store.path, size=size) as one:
        await one.until(lambda: one.screen.drawn is not None)
        await one.pilot.resize_terminal(60, 20)
        await one.until(lambda: one.screen.drawn.frame.view == one.screen.view)  # type: ignore[union-attr]
        assert one.screen.view is not None
        assert (one.screen.view.width, one.screen.view.height) == tuple(one.globe.size)


@pytest.mark.asyncio
@pytest.mark.parametrize("theme", ["dark", "light", "16-dark", "16-light", "none"])
async def test_every_theme_tells_the_same(store: Store, theme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without colours what is accepted is drawn alone, the selection is underlined, and the cursor is reversed."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    if theme == "none":
        monkeypatch.setenv("NO_COLOR", "1")
    async with shown(store.path) as one:
        if theme != "none":
            one.app.theme = THEME_NAMES[theme]
        await ready(one)
        styles = {one.globe._style(level, False, False, False) for level in range(8)}
        chosen, caught, cursor = (one.globe._style(3, *flags) for flags in np.eye(3, dtype=bool).tolist())
        plain = one.globe._style(3, False, False, False)
        assert len({plain, chosen, caught}) == 3
        assert cursor != plain
        assert one.app.session is not None
        one.app.session.attribute = "red"
        one.screen.resumed()
        await one.press("c")
        await one.until(lambda: "red: 20 accepted" in one.legend)
        if theme == "none":
            assert {style.color for style in styles} == {plain.color}
            assert "the rest is not drawn" in one.legend
            assert (chosen.underline, caught.reverse, cursor.reverse) == (True, True, True)
        else:
            assert len({style.color for style in styles}) >= 7
            assert "the rest is not drawn" not in one.legend
