"""The command as a whole: which areas are loaded, and that every command is in its area."""

from __future__ import annotations

import pytest
import typer.main

from colonnade.tui.cli import AREAS, areas_of, build_app


@pytest.mark.parametrize("area", AREAS)
def test_each_area_has_its_commands(area: str) -> None:
    app = build_app([area])
    app.command("other")(lambda: None)
    commands = set(getattr(typer.main.get_command(app), "commands", ()))
    assert commands == {*AREAS[area], "other"}


@pytest.mark.parametrize(
    ("words", "areas"),
    [
        ([], tuple(AREAS)),
        (["--help"], tuple(AREAS)),
        (["-q", "query", "sync"], ("query",)),
        (["--store", "sync", "query", "x"], ("query",)),
        (["-s", "demo", "jobs", "list"], ("jobs",)),
        (["--store=demo", "tag"], ("run",)),
        (["nonsense"], tuple(AREAS)),
    ],
)
def test_only_the_area_of_the_command_is_loaded(words: list[str], areas: tuple[str, ...]) -> None:
    assert areas_of(words) == areas
