"""The command as a whole: which areas are loaded, and that every command is in its area."""

from __future__ import annotations

import subprocess
import sys

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


SHUTTING_DOWN = """
import atexit, os, signal, sys, threading
from colonnade.tui import cli

def strike(kill=os.kill, process=os.getpid(), number=int(signal.SIGINT)):  # names may be gone when it runs
    kill(process, number)
    for _ in range(1000):  # the handler runs between two of these
        pass

class AtTheVeryEnd:
    def __del__(self, strike=strike):
        strike()

if sys.argv.pop() == "threads":
    threading._register_atexit(strike)
else:
    sys.at_the_very_end = AtTheVeryEnd()
cli.main()
"""


@pytest.mark.parametrize("when", ["threads", "modules"])
@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["status", "-s", "/nowhere"], 4)])
def test_an_interrupt_of_what_is_done_changes_nothing(when: str, words: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHUTTING_DOWN, *words, when],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr
