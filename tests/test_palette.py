"""The palette finds every action of the app, and does it where it belongs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from app_driving import browsing, moon_store, until
from textual.pilot import Pilot

from colonnade.tui.screens.base import BaseScreen
from colonnade.tui.widgets.actions import actions_elsewhere, actions_of
from colonnade.tui.widgets.palette import found_actions
from colonnade.tui.widgets.prompt import Prompt
from colonnade.tui.widgets.window_table import ListSource, WindowTable

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moon_store(tmp_path_factory.mktemp("m") / "s", images=60)


async def typed(pilot: Pilot[None], screen: BaseScreen, words: str) -> list[tuple[str, ...]]:
    """What the palette offers for some words."""
    await pilot.press("colon")
    await until(lambda: screen.query(Prompt) and screen.query_one(Prompt).has_focus_within, "palette")
    await pilot.press(*words)
    source = screen.query_one(Prompt).query_one(WindowTable)._source
    assert isinstance(source, ListSource)
    return [tuple(map(str, row)) for row in source.rows]


@pytest.mark.asyncio
async def test_every_action_is_in_it(store: Path) -> None:
    async with browsing(store) as (_, screen):
        here = actions_of(screen, screen.focused)
        everything = {one.identity for one in [*here, *actions_elsewhere(screen, here)]}
    documented = set(re.findall(r"^\| `([^`]+)`", (ROOT / "docs" / "configuration.md").read_text(), re.M))
    left_out = {one for one in documented - everything if one.split(".")[0] not in ("first_run", "grid")}
    assert left_out <= {"help.close", "prompt.cancel", "prompt.complete", "prompt.down", "prompt.up"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("words", "identity"),
    [
        ("theme", "app.theme"),
        ("colours", "app.theme"),
        ("color", "app.theme"),
        ("lasso", "map.rectangle"),
        ("mark the", "browse.mark"),
        ("export", "browse.export"),
        ("history", "sql.history"),
        ("quit", "app.quit"),
        ("row down", "table.down"),
    ],
)
async def test_words_find_an_action(store: Path, words: str, identity: str) -> None:
    async with browsing(store) as (_, screen):
        here = actions_of(screen, screen.focused)
        found = found_actions([*here, *actions_elsewhere(screen, here)], words)
        assert identity in [one.identity for one in found[:4]], [one.identity for one in found]


@pytest.mark.asyncio
async def test_the_screens_own_actions_come_first_and_table_movement_last(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        offered = [row[-1] for row in await typed(pilot, screen, "")]
        assert offered[0].startswith("browse.")
        assert offered[-1].startswith("table.")
        assert offered.index("browse.similar") < offered.index("app.quit") < offered.index("map.rectangle")


@pytest.mark.asyncio
async def test_an_action_of_another_screen_is_done_there(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        app = screen.colonnade
        rows = await typed(pilot, screen, "start a job")
        assert rows[0][1] == "on Jobs: start a job"
        await pilot.press("enter")
        await until(lambda: app.base_screen.NAME == "jobs", "Jobs")
        await until(lambda: app.base_screen.query(Prompt), "its question")
        await pilot.press("escape")
        jobs = app.base_screen
        await until(lambda: not jobs.query(Prompt))
        rows = await typed(pilot, jobs, "line a hundredth up")
        assert rows[0][1].startswith("on Calibration: ")
        await pilot.press("enter")
        await until(lambda: app.base_screen.NAME == "calibration", "Calibration")
        await until(lambda: "does it, once" in app.base_screen.status.message, "what is missing")
