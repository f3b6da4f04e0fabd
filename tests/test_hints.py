"""Hints name the keys that are in force, and what is wrong with the configuration is told."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from app_driving import browsing, lines_of, moon_store, opened, until

from colonnade.tui.helper_errors import HelperError
from colonnade.tui.key_problems import key_problems
from colonnade.tui.keys import Configuration, key_text, read_configuration, with_keys
from colonnade.tui.screens.calibration import CalibrationScreen
from colonnade.tui.widgets.actions import all_bindings
from colonnade.tui.widgets.help_panel import HelpPanel
from colonnade.tui.widgets.prompt import Prompt
from colonnade.tui.widgets.query_line import QueryLine
from colonnade.tui.widgets.window_table import WindowTable

ROOT = Path(__file__).parents[1]
TOKEN = re.compile(r"\{([a-z_]+\.[a-z0-9_]+):([^{}]+)\}")
PLAIN = re.compile(
    r"(HINT = |\.hint\().*[\"' ](\?|\^?[A-Za-z]) (keys|review|quits?|adds?|saves?|runs?|page)\b"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moon_store(tmp_path_factory.mktemp("m") / "s", images=30)


def test_keys_in_a_text_are_those_in_force() -> None:
    text = "{app.help:?} keys  {app.quit:q} quit, {not a key} {x:y}"
    assert with_keys(text, {}) == "? keys  q quit, {not a key} {x:y}"
    assert with_keys(text, {"app.quit": "f10,q"}) == "? keys  F10 quit, {not a key} {x:y}"


def test_hints_name_the_keys_of_the_bindings() -> None:
    keys = {binding.id: key_text(binding.key).split() for binding in all_bindings()}
    groups = {(identity or "").split(".")[0] for identity in keys}
    named = 0
    for path in (ROOT / "tui").rglob("*.py"):
        for identity, shown in TOKEN.findall(path.read_text()):
            if identity.split(".")[0] not in groups:
                continue  # a value in a text, with its format
            named += 1
            assert shown.lower() in [key.lower() for key in keys[identity]], f"{path.name}: {identity}"
    assert named > 30


def test_no_hint_has_a_key_of_its_own() -> None:
    plain = [
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "tui").rglob("*.py")
        for line in path.read_text().splitlines()
        if PLAIN.search(line)
    ]
    assert not plain


@pytest.mark.asyncio
async def test_overridden_keys_stand_in_the_footer_and_in_messages(store: Path) -> None:
    keys = {"app.quit": "f10", "browse.mark": "f6", "browse.marks": "f7", "browse.query": "f8"}
    async with browsing(store, configuration=Configuration(keys=keys)) as (pilot, screen):
        await pilot.press("down")
        assert "F10 quit" in lines_of(screen.status)[0] and "q quit" not in lines_of(screen.status)[0]
        assert "F8 types a query" in lines_of(screen.query_one(QueryLine))[0]
        await pilot.press("f7")
        assert "F6 marks one" in screen.status.message


@pytest.mark.asyncio
async def test_every_fault_of_the_file_is_told(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        'bogus = 1\ntheme = "pink"\n[keys]\n"browse.nothing" = "m"\n"app.quit" = "two words"\n"browse.mark" = "x"\n'
    )
    async with opened(store, (80, 24), read_configuration(path)) as (pilot, app):
        screen = app.screen
        await until(lambda: "browse.nothing" in app.base_screen.status.message, "told")
        told = app.base_screen.status.message
        assert "bogus" in told and "theme" in told and "app.quit" in told
        assert "x is both browse.explain and browse.mark" in told
        assert told.count(str(path)) == 1
        await until(lambda: "embedded" in app.base_screen.status.message, "what else is to be said")
        assert "bogus" in app.base_screen.status.message
        await pilot.press("question_mark")
        await until(lambda: screen.query(HelpPanel))
        told = " ".join(words for _, words, group in screen.query_one(HelpPanel)._rows if group == "config")
        assert all(
            word in told for word in ("bogus", "theme", "app.quit", "browse.nothing", "browse.explain")
        )


@pytest.mark.asyncio
async def test_a_sound_file_is_not_spoken_of(store: Path) -> None:
    configuration = Configuration(
        keys={"browse.mark": "f6", "vocabulary.mark": "x,f6", "vocabulary.remove": "f9"}
    )
    async with browsing(store, configuration=configuration) as (_, screen):
        assert key_problems(configuration.keys) == ()
        assert "config" not in screen.status.message and not screen.colonnade.problems


@pytest.mark.asyncio
async def test_what_was_done_stays_said_when_the_store_has_changed_by_it(tmp_path: Path) -> None:
    async with browsing(moon_store(tmp_path / "s", images=30)) as (pilot, screen):
        before = screen.session.snapshot
        await pilot.press("m", "M")
        await until(lambda: screen.query(Prompt))
        await pilot.press(*"chosen", "enter")
        await until(lambda: "in_set(chosen)" in screen.status.message, "saved")
        await until(lambda: screen.hits and screen.hits.snapshot.number > before, "seen")
        assert "in_set(chosen)" in screen.status.message
        await pilot.press("down")
        session = screen.session
        await asyncio.to_thread(session.remove_set, "chosen")
        await until(
            lambda: "the store changed: snapshot" in screen.status.message, "a change that nobody spoke of"
        )


@pytest.mark.asyncio
async def test_no_key_is_without_an_answer_where_there_is_no_image(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        screen.change("earth and not earth")
        await until(lambda: screen.table.count == 0, "no hit")
        for key in ("x", "m", "s"):
            await pilot.press("down", key)
            assert "no image" in screen.status.message, key


@pytest.mark.asyncio
async def test_a_fit_that_cannot_be_had_is_no_failure(store: Path) -> None:
    async with opened(store) as (_, app):
        app.open_screen("calibration")
        await until(lambda: app.base_screen.NAME == "calibration" and app.base_screen.is_ready)
        screen = app.base_screen
        assert isinstance(screen, CalibrationScreen)
        screen._not_fitted(
            "earth", HelperError("earth: auto cannot be had (the model brings its own)", "input")
        )
        assert (screen.status.kind, "auto cannot be had" in screen.status.message) == ("warn", True)
        screen._not_fitted("earth", HelperError("the store is damaged", "store"))
        assert screen.status.kind == "bad"


@pytest.mark.asyncio
async def test_what_an_empty_table_advises_names_the_keys_in_force(store: Path) -> None:
    configuration = Configuration(
        keys={"jobs.start": "f6", "vocabulary.save": "f7", "vocabulary.editor": "f8"}
    )
    async with opened(store, (120, 36), configuration) as (_, app):
        app.open_screen("jobs")
        await until(lambda: app.base_screen.NAME == "jobs" and app.base_screen.is_ready)
        jobs = app.base_screen.query_one("#jobs", WindowTable)
        await until(lambda: "r does what is stale, F6 starts one" in " ".join(lines_of(jobs)), "the advice")
