"""The map in the app: drawn, steered by keys and mouse, and what it says when there is nothing to draw."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_driving import falls_silent
from map_driving import make_store, put_map, ready, shown
from textual.widgets import Input

from colonnade.engine.store import Store
from colonnade.tui.screens.map_reads import Flags, Look
from colonnade.tui.session import Session
from colonnade.tui.theme import THEME_NAMES
from colonnade.tui.widgets.globe import Globe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("map") / "s")


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


def is_other(session: Session, before: int | None) -> bool:
    return session.image != before


@pytest.mark.asyncio
async def test_names_from_outside_are_made_safe(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        await one.at_group(1)
        session = one.app.session
        assert session is not None
        await one.until(lambda: one.screen.here is not None and session.image is not None)
        for _ in range(25):
            if session.image == 1:
                break
            before = session.image
            await one.press("space")
            await one.until(partial(is_other, session, before))
        assert session.image == 1
        await one.until(lambda: "[/]" in one.text)
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
async def test_only_the_cursor_s_cells_are_drawn_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(store.path) as one:
        await ready(one)
        await falls_silent(one.app, monkeypatch, 0.5)
        drawn: list[Any] = []
        real = Globe.refresh

        def refresh(self: Globe, *regions: Any, **options: Any) -> Any:
            drawn.extend(regions or ["everything"])
            return real(self, *regions, **options)

        monkeypatch.setattr(Globe, "refresh", refresh)
        column, row = one.globe.cursor
        await one.press("right")
        await falls_silent(one.app, monkeypatch, 0.5)
        assert [tuple(region) for region in drawn] == [(column, row, 1, 1), (column + 1, row, 1, 1)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("images", "words"),
    [(3, "a map needs five images with an embedding, and 3 have one"), (9, "F6 makes it as a job")],
)
async def test_without_a_map_it_says_what_to_do(tmp_path: Path, images: int, words: str) -> None:
    store = make_store(tmp_path / "s", images=images, mapped=False)
    async with shown(store.path, keys={"map.update": "f6"}) as one:
        await one.until(lambda: words in one.text)
        await one.press(
            "r", "p", "enter", "n", "c", "o", "a", "w", "full_stop", "plus", "h", "m", "space", "x"
        )
        if images < 5:
            await one.press("f6")
            await one.until(lambda: "needs at least 5 images" in one.screen.status.message, 60)
        put_map(store, images)
        await one.until(lambda: one.legend.startswith(f"{images} images"))


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
