"""Browse: the query line, the attributes and the results are views of one expression."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
from app_driving import browsing, lines_of, moon_store, opened, until
from collections_on_disk import make_store
from query_stores import Content, fill, image
from textual.pilot import Pilot
from textual.widgets import Input

from colonnade.engine.jobs import JobRecord
from colonnade.engine.store import Store
from colonnade.engine.sync import make_plan, run_plan
from colonnade.engine.vocabulary import DerivedAttribute
from colonnade.tui.screens.browse import BrowseScreen
from colonnade.tui.widgets.prompt import Prompt
from colonnade.tui.widgets.query_line import caret_line
from colonnade.tui.widgets.status_line import StatusLine

IMAGES = 600


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return moon_store(tmp_path / "s", images=IMAGES)


async def typed(pilot: Pilot[None], text: str) -> None:
    """Type into the field that has the focus."""
    await until(lambda: isinstance(pilot.app.focused, Input), "a field")
    field = pilot.app.focused
    assert isinstance(field, Input)
    field.insert_text_at_cursor(text)
    await pilot.pause()


def count(screen: BrowseScreen) -> int:
    return screen.table.count


@pytest.mark.asyncio
async def test_results_have_the_focus_and_all_images(store: Path) -> None:
    async with browsing(store) as (_, screen):
        assert screen.table.has_focus and count(screen) == IMAGES
        assert lines_of(screen.line)[0].startswith("> all images")
        assert "600 hits" in lines_of(screen.line)[0]
        listed = lines_of(screen.attribute_list)
        assert listed[1].split() == [">", "earth", "120", ".80"]
        assert listed[3].split() == ["empty", "unscored", ".80"]
        assert listed[4].split()[0] == "=both"


@pytest.mark.asyncio
async def test_what_is_typed_is_searched_for_while_it_parses(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        await pilot.press("i")
        await typed(pilot, "earth >= 0.9")
        await until(lambda: count(screen) == 60, "60 hits")
        await typed(pilot, " and ")
        await until(lambda: "^" in lines_of(screen.line)[1], "a caret")
        assert count(screen) == 60
        await typed(pilot, "moom?")
        await until(lambda: "moon" in lines_of(screen.line)[1], "a hint")
        line = lines_of(screen.line)[1]
        assert line.index("^") == 2 + len("earth >= 0.9 and ")
        await typed(pilot, " or x")
        await pilot.press("escape")
        assert screen.table.has_focus
        await until(lambda: "^" in lines_of(screen.line)[1], "the fault stays")
        assert screen.session.query == "earth >= 0.9"


@pytest.mark.asyncio
async def test_completion_goes_through_what_fits(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        await pilot.press("i")
        await typed(pilot, "ear")
        await until(lambda: "tab: earth" in lines_of(screen.line)[1], "of ear")
        await pilot.press("tab")
        assert screen.line.text == "earth"
        await until(lambda: count(screen) == 120, "earth's images")
        await typed(pilot, " and m")
        await until(lambda: "moon" in lines_of(screen.line)[1], "completions")
        first = lines_of(screen.line)[1].split()[1]
        await pilot.press("tab")
        assert screen.line.text == f"earth and {first}"
        await pilot.press("tab")
        assert screen.line.text != f"earth and {first}"
        await pilot.press("enter")
        assert screen.table.has_focus


@pytest.mark.asyncio
async def test_the_list_makes_the_query(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        await pilot.press("tab")
        assert screen.attribute_list.has_focus
        for keys, text, hits in (
            (("space",), "earth", 120),
            (("space",), "earth?", 300),
            (("space",), "not earth?", 300),
            (("space",), "", 600),
            (("right",), "earth >= 0.81", 114),
            (("shift+right",), "earth >= 0.86", 84),
            (("left", "left"), "earth >= 0.84", 96),
            (("down", "space"), "earth >= 0.84 and moon", 0),
            (("c",), "", 600),
            (("u",), "earth >= 0.84 and moon", 0),
            (("u",), "earth >= 0.84", 96),
        ):
            await pilot.press(*keys)
            await until(lambda hits=hits: count(screen) == hits, f"{hits} for {text!r}")  # type: ignore[misc]
            assert (screen.session.query, screen.line.text) == (text, text)
        assert "≥.84" in lines_of(screen.attribute_list)[1]
        assert lines_of(screen.attribute_list)[1].startswith(" *")


@pytest.mark.asyncio
async def test_what_has_no_threshold_is_said_in_words(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        screen.change("earth or moon")
        await pilot.press("tab", "space")
        assert "earth" in screen.status.message and screen.status.kind == "bad"
        assert screen.session.query == "earth or moon"
        await pilot.press("down")
        assert not screen.status.message


@pytest.mark.asyncio
async def test_sorting_keeps_to_the_column(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        screen.change("earth?")
        await until(lambda: count(screen) == 300)
        await pilot.press("right", "o")
        await until(lambda: screen.table.values and screen.table.values[0] == IMAGES - 1, "highest first")
        await pilot.press("o")
        await until(lambda: screen.table.values and screen.table.values[0] == 300, "lowest first")
        assert "earth▲" in lines_of(screen.table)[0]


@pytest.mark.asyncio
async def test_facets_count_within_the_result(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        screen.change("earth >= 0.9")
        await until(lambda: count(screen) == 60)
        await pilot.press("f")
        await until(lambda: lines_of(screen.attribute_list)[1].split()[1] == "60", "facets")
        assert lines_of(screen.attribute_list)[2].split()[1] == "0"
        await pilot.press("f")
        await until(lambda: "120" in lines_of(screen.attribute_list)[1])


@pytest.mark.asyncio
async def test_marks_become_a_set(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        await pilot.press("m", "m", "up", "m")
        assert screen.session.marks == {0}
        await pilot.press("M")
        await until(lambda: screen.query(Prompt) and isinstance(screen.app.focused, Input), "a name is asked")
        await typed(pilot, "chosen")
        await pilot.press("enter")
        await until(lambda: "in_set(chosen)" in screen.status.message, "saved")
        screen.change("in_set(chosen)")
        await until(lambda: count(screen) == 1)


@pytest.mark.asyncio
async def test_a_query_is_saved_or_becomes_an_attribute(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        screen.change("earth and not moon?")
        for way, name in (("query", "lit"), ("derived", "lit_up")):
            await pilot.press("w")
            await until(lambda: isinstance(screen.app.focused, Input), "how")
            await typed(pilot, way)
            await pilot.press("enter")
            await until(lambda: any(" for the " in panel._title for panel in screen.query(Prompt)), "a name")
            await until(lambda: isinstance(screen.app.focused, Input))
            await typed(pilot, name)
            await pilot.press("enter")
            await until(lambda: not screen.query(Prompt))
        await until(lambda: "lit" in screen.session.named_queries())
        await until(lambda: "lit_up" in screen.session.vocabulary())
        rule = screen.session.vocabulary().attribute("lit_up")
        assert isinstance(rule, DerivedAttribute) and rule.rule.none_of == ("moon",)


@pytest.mark.asyncio
async def test_it_says_what_a_rule_cannot_say(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        screen.change("earth and width > 100")
        await pilot.press("w")
        await until(lambda: isinstance(screen.app.focused, Input), "how")
        shown = "\n".join(lines_of(screen.query_one(Prompt).query("WindowTable").first()))
        assert "a rule cannot say it" in shown
        await pilot.press("escape")
        await until(lambda: not screen.query(Prompt))
        assert screen.table.has_focus


@pytest.mark.asyncio
async def test_what_is_shown_is_exported(store: Path, tmp_path: Path) -> None:
    async with browsing(store) as (pilot, screen):
        screen.change("earth >= 0.9")
        await until(lambda: count(screen) == 60)
        for answer in ("", "yes"):
            await pilot.press("e")
            await until(lambda: isinstance(screen.app.focused, Input), "a file")
            field = screen.app.focused
            assert isinstance(field, Input)
            field.value = str(tmp_path / "out.csv")
            await pilot.press("enter")
            if answer:
                await until(lambda: screen.query(Prompt) and "is there" in screen.query_one(Prompt)._title)
                await until(lambda: isinstance(screen.app.focused, Input))
                await typed(pilot, answer)
                await pilot.press("enter")
            await until(lambda: "60 rows written" in screen.status.message, "written", seconds=30)
        with (tmp_path / "out.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 60 and all(float(row["earth"]) >= 0.9 for row in rows)


@pytest.mark.asyncio
async def test_a_new_snapshot_keeps_the_place(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        for _ in range(20):
            await pilot.press("down")
        before = screen.table.values
        assert before is not None
        fill(Store(store), Content([image(9000 + n, path=f"0/new{n}.jpg") for n in range(50)]))
        await until(lambda: count(screen) == IMAGES + 50, "the new images")
        assert "snapshot" in screen.status.message
        await until(lambda: screen.table.values == before, "the same image")
        await until(lambda: "650 images" in lines_of(screen.query("HeaderLine").first())[0])


@pytest.mark.asyncio
async def test_the_picture_large_and_back(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        await pilot.press("enter")
        await until(lambda: screen.query("#large-name"), "large")
        await until(lambda: "0000.jpg" in lines_of(screen.query_one("#large-name"))[0], "its name")
        await pilot.press("down", "m")
        await until(lambda: "0001.jpg" in lines_of(screen.query_one("#large-name"))[0], "the next")
        assert screen.session.marks
        await pilot.press("escape")
        await until(lambda: not screen.query("#large-name"))
        assert screen.table.has_focus and screen.table.cursor >= 1


@pytest.mark.asyncio
async def test_the_preview_stands_beside_where_there_is_room(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        assert not screen.query("#preview")
        await pilot.press("p")
        await until(
            lambda: screen.query("#preview-scores") and lines_of(screen.query_one("#preview-name"))[0], "it"
        )
        assert not screen.attribute_list.display
        await pilot.press("p")
        assert screen.attribute_list.display
    async with browsing(store, (160, 40)) as (pilot, screen):
        await until(
            lambda: screen.query("#preview-scores") and lines_of(screen.query_one("#preview-name"))[0], "it"
        )
        assert screen.attribute_list.display


@pytest.mark.asyncio
async def test_the_explanation_follows_the_cursor(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        screen.change("earth?")
        await until(lambda: count(screen) == 300)
        await pilot.press("x")
        await until(lambda: screen.query("#explain-title"), "the panel")
        await until(
            lambda: "earth of" in lines_of(screen.query_one("#explain-title"))[0], "explained", seconds=30
        )
        first = lines_of(screen.query_one("#explain-title"))[0]
        await pilot.press("down")
        await until(lambda: lines_of(screen.query_one("#explain-title"))[0] != first, "the next", seconds=30)
        await pilot.press("escape")
        await until(lambda: not screen.query("#explain-title"))


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(20, 5), (200, 50)])
async def test_any_size_is_usable(store: Path, size: tuple[int, int]) -> None:
    async with browsing(store, size) as (pilot, screen):
        await pilot.press("down", "i", *"moon", "enter")
        await until(lambda: count(screen) == 121, "moon's images")
        await pilot.press("p")
        await pilot.pause()
        await pilot.press("p", "question_mark")
        await pilot.pause()
        await pilot.press("escape")
        await pilot.resize_terminal(80, 24)
        await until(lambda: lines_of(screen.table)[1:2] > [""], "rows")


@pytest.mark.asyncio
async def test_where_one_panel_fits_tab_shows_the_other(store: Path) -> None:
    async with browsing(store, (30, 10)) as (pilot, screen):
        assert screen.table.display and not screen.attribute_list.display
        await pilot.press("tab")
        await until(lambda: screen.attribute_list.has_focus, "the list")
        assert not screen.table.display
        await pilot.press("space")
        await until(lambda: count(screen) == 120)
        await pilot.press("tab")
        await until(lambda: screen.table.has_focus, "the results")
        assert not screen.attribute_list.display
        await pilot.press("p")
        await until(lambda: screen.query("#preview") and screen.query_one("#preview").display, "the picture")
        await pilot.press("tab")
        await until(lambda: screen.attribute_list.has_focus, "the list again")


@pytest.mark.parametrize("place", [0, 5, 30, 39, 80])
def test_the_caret_stands_where_the_fault_is_and_the_words_beside_it(place: int) -> None:
    for words in ("no such attribute", "w" * 60, ""):
        line = caret_line(words, place, 40)
        assert len(line) == 40
        assert line[min(place, 39)] == "^" or len(words) > 30


@pytest.mark.asyncio
async def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    Store.create(tmp_path / "s", vocabulary=b"base_attributes: []", model="hash")
    async with opened(tmp_path / "s") as (pilot, app):
        await until(lambda: "colonnade root add" in app.base_screen.status.message, "the problem")
        screen = app.screen
        assert isinstance(screen, BrowseScreen)
        await until(lambda: "2 adds one" in lines_of(screen.attribute_list)[1])
        await pilot.press("tab", "space", "right", "m", "x", "s", "e", "escape", "f", "w", "enter", "p", "p")
        await pilot.pause()


@pytest.mark.asyncio
async def test_images_that_are_left_out_are_told_and_found(tmp_path: Path) -> None:
    store = moon_store(tmp_path / "s", images=60, hostile=True)
    async with opened(store) as (pilot, app):
        screen = app.screen
        assert isinstance(screen, BrowseScreen)
        await until(lambda: "59 hits  1 not readable" in lines_of(screen.line)[0], "what is left out")
        await pilot.press("i")
        await typed(pilot, "state = ")
        await until(lambda: "tab: 'ok'  'unreadable'  'missing'" in lines_of(screen.line)[1], "the values")
        await pilot.press("tab", "tab")
        assert screen.line.text == "state = 'unreadable'"
        await until(lambda: count(screen) == 1 and "1 hits" in lines_of(screen.line)[0], "the broken one")


@pytest.mark.asyncio
async def test_sets_are_offered_as_soon_as_one_is_due(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        await pilot.press("i")
        await typed(pilot, "in_set(")
        await until(lambda: "tab: few" in lines_of(screen.line)[1], "the sets")


@pytest.mark.asyncio
async def test_the_meter_of_a_job_shows_a_figure(store: Path) -> None:
    record = JobRecord("j", ("sync", "--root", "photos"), 1, "2026-01-01T00:00:00+00:00", "", seconds=7.0)
    async with browsing(store) as (_, screen):
        scanning, embedding = (
            replace(record, phase="scan", done=1234),
            replace(record, phase="embed", done=5, total=20),
        )
        for running, figure in (
            (record, r"sync: since [-\d :]+"),
            (scanning, "sync: scan 1,234"),
            (embedding, "sync: embed 25 %"),
        ):
            screen.status.clear()
            screen.jobs_changed([running])
            assert re.search(f"{figure}  . keys$", lines_of(screen.status)[-1])
        screen.jobs_changed([record, record])
        assert lines_of(screen.status)[-1].endswith(" +1  ? keys")


@pytest.mark.slow
@pytest.mark.asyncio
async def test_that_the_model_is_loaded_is_said_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path)
    run_plan(store, make_plan(store))
    said: list[str] = []
    monkeypatch.setattr(StatusLine, "tell", lambda self, text, kind="": said.append(text))
    async with browsing(store.path) as (pilot, screen):
        await pilot.press("s")
        await until(lambda: screen.ranked is not None, "similar images, for which no model is needed")
        for _ in range(2):
            await pilot.press("escape", "slash", *"rocket", "enter")
            await until(lambda: screen.ranked is not None and screen.ranked.text == "rocket", "rocket")
    assert [text for text in said if "load" in text] == ["loading the model; this takes a while once"]
