"""What is selected on the map becomes a query or a set, and lasts."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import pytest
from map_driving import IMAGES, Shown, drag, lassoed, make_store, put_map, ready, shown
from textual.widgets import Input

from colonnade.engine.store import Store
from colonnade.tui.screens.browse import BrowseScreen
from colonnade.tui.session import Session
from colonnade.tui.widgets.globe import Globe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("map") / "s")


@pytest.mark.asyncio
async def test_a_rectangle_becomes_a_query(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        await drag(one, 0)
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
        await drag(one, 0)
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


@pytest.mark.asyncio
async def test_a_name_that_is_part_of_another_set_s_is_a_new_one(store: Store) -> None:
    async with shown(store.path) as one:
        await ready(one)
        await lassoed(one, 0)
        await one.press("w")
        await one.until(lambda: one.app.screen.query(Input))
        await one.press(*"kep", "enter")
        await one.until(lambda: "saved: in_set(kep)" in one.screen.status.message)
        assert Store(store.path).query("in_set(kept)").count == 2, "what is called kept is not replaced"
