"""Colours: chosen by the terminal, and never the only sign of anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_driving import Terminal, browsing, moon_store

from colonnade.tui.keys import Configuration
from colonnade.tui.theme import THEME_NAMES, chosen_theme, terminal_has_16_colours


@pytest.mark.parametrize(
    ("setting", "environment", "theme"),
    [
        ("auto", {"TERM": "xterm-256color"}, "colonnade-dark"),
        ("auto", {"TERM": "xterm-256color", "COLORFGBG": "0;15"}, "colonnade-light"),
        ("auto", {"TERM": "xterm-256color", "COLORFGBG": "15;0"}, "colonnade-dark"),
        ("auto", {"TERM": "linux"}, "ansi-dark"),
        ("auto", {"TERM": "xterm-16color", "COLORFGBG": "0;7"}, "ansi-light"),
        ("auto", {"TERM": "linux", "COLORTERM": "truecolor"}, "colonnade-dark"),
        ("auto", {"TERM": "xterm-256color", "NO_COLOR": "1"}, "ansi-dark"),
        ("light", {"TERM": "linux"}, "colonnade-light"),
        ("16-light", {}, "ansi-light"),
        ("nonsense", {}, "colonnade-dark"),
    ],
)
def test_the_terminal_and_the_user_choose(setting: str, environment: dict[str, str], theme: str) -> None:
    assert chosen_theme(setting, environment) == theme


def test_few_colours_are_noticed() -> None:
    assert terminal_has_16_colours({"TERM": "linux"})
    assert not terminal_has_16_colours({"TERM": "tmux-256color"})


@pytest.mark.asyncio
@pytest.mark.parametrize("name", sorted(THEME_NAMES))
async def test_every_theme_draws(tmp_path: Path, name: str) -> None:
    async with browsing(moon_store(tmp_path / "s", images=20), configuration=Configuration(theme=name)) as (
        pilot,
        screen,
    ):
        app = screen.colonnade
        assert app.theme == THEME_NAMES[name]
        for _ in THEME_NAMES:
            await pilot.press("ctrl+t")
            said = app.base_screen.status.message.removeprefix("theme: ")
            assert THEME_NAMES[said] == app.theme, "by the name that the configuration has for it"
        assert app.theme == THEME_NAMES[name]


@pytest.mark.parametrize(
    ("environment", "allowed"),
    [
        ({"NO_COLOR": "1"}, {"0", "1", "2", "3", "4", "7", "22", "24", "27", "39", "49"}),
        (
            {"TERM": "xterm-16color", "COLORTERM": ""},
            {"0", "1", "2", "3", "4", "7", "39", "49", *map(str, [*range(30, 38), *range(40, 48)])}
            | {*map(str, [*range(90, 98), *range(100, 108)])},
        ),
    ],
)
def test_a_terminal_with_few_colours_gets_no_others(
    tmp_path: Path, environment: dict[str, str], allowed: set[str]
) -> None:
    import re

    store = moon_store(tmp_path / "s", images=40)
    with Terminal.on_app("ui", store, environment=environment) as terminal:
        terminal.wait_for("40 hits")
        terminal.press("\x1b[B")
        terminal.press("m")
        terminal.press("\t")
        codes = {
            code
            for found in re.findall(rb"\x1b\[([0-9;]*)m", terminal.received)
            for code in found.decode().split(";")
        }
        assert codes - {""} <= allowed
        assert ">" in terminal.text and "*" in terminal.text
