"""Keys that come in one bundle, as over a slow line: each is for what the one before it has opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_driving import ESCAPE, Terminal, browsing, moon_store, opened, until
from textual import events


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moon_store(tmp_path_factory.mktemp("m") / "s")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("eexyzw", "exyzw"),  # a field that opens with a name that is proposed
        ("/moooom rocket", "moooom rocket"),
        (":zqx", "zqx"),
        ("imoon and not eagle", "moon and not eagle"),
        ("7smap", "place the images"),  # another screen, and there a prompt with choices
        ("2aorbiter", "orbiter"),  # a form on a screen that has to read first
        ("31/comet", "comet"),
    ],
)
def test_a_bundle_of_keys_is_read_one_after_the_other(store: Path, keys: str, shown: str) -> None:
    with Terminal.on_app("ui", store) as terminal:
        terminal.wait_for("? keys")
        terminal.wait_for("hits")
        terminal.press(keys)
        terminal.wait_for(shown)
        assert terminal.text.count("Write ") == (keys[0] == "e"), "one question at a time"
        for _ in range(3):
            terminal.press(ESCAPE)
        terminal.wait_while("Write ")


@pytest.mark.asyncio
async def test_what_comes_while_a_screen_opens_finds_it_open(store: Path) -> None:
    async with opened(store) as (_, app):
        app.open_screen("sql")
        assert app.overview is not None and not app.base_screen.is_ready
        app._snapshot_moved(app.overview)
        await app.on_event(events.Key("j", "j"))
        await until(lambda: app.base_screen.is_ready, "sql")


@pytest.mark.asyncio
async def test_what_is_said_while_a_screen_opens_is_read_on_it(store: Path) -> None:
    async with opened(store) as (_, app):
        app.open_screen("sql")
        app._tell_problems(("keys: no action is called map.udpate",))
        await until(lambda: app.base_screen.is_ready, "sql")
        assert "no action is called map.udpate" in app.base_screen.status.message


@pytest.mark.asyncio
async def test_a_key_clears_what_the_one_before_it_said(store: Path) -> None:
    async with browsing(store) as (_, screen):
        for key in ("ctrl+c", "down"):
            screen.app.post_message(events.Key(key, None))
        await until(lambda: screen.table.cursor == 1, "both")
        assert not screen.status.message
