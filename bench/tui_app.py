"""What the app costs: its first frame beside a bare Textual app's, and one run in which keys are pressed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyte
from measure import COLONNADE
from tui_conditions import Conditions
from tui_keys import Moves, expect, has_results, hits_of, jump, move, open_screens, step, type_query
from tui_terminal import Answer, Memory, Size, Terminal, marked_row

__all__ = ["AppFigures", "Start", "measure_app", "measure_start"]

BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("bare header")
        yield Static("static text")
Bare().run()
"""
"""The least that Textual can show."""


@dataclass(frozen=True)
class Start:
    """Seconds from the start of a process, of both programs in turn."""

    frame: float
    """The app's whole frame: header, query line, headings, status line."""
    results: float
    """The app's rows and their count."""
    bare: float
    """A bare Textual app's frame."""


@dataclass(frozen=True)
class AppFigures:
    """One run of the app."""

    moves: Moves
    jumps: tuple[Answer, ...]
    whole_bytes: int
    """Of a screen that is drawn anew: no page can cost more, whatever its rows hold."""
    typing: tuple[Answer, ...]
    typed: Answer
    """From the last key of an expression to the count of what it finds."""
    steps: tuple[Answer, ...]
    screens: Mapping[str, list[Answer]]
    """Screen -> the first time it was opened, and the later ones."""
    idle_bytes: int
    memory: Memory


def measure_start(store: Path, size: Size, environment: Mapping[str, str], runs: int) -> list[Start]:
    """Start both programs in turn."""
    starts = []
    for number in range(runs + 1):
        with Terminal([sys.executable, "-c", BARE], size, environment) as terminal:
            (bare,) = terminal.first(_bare_frame, patience=60)
            expect(terminal, bare.seconds is not None, "the bare app's frame")
        with Terminal([COLONNADE, "ui", str(store)], size, environment) as terminal:
            frame, results = terminal.first(_whole_frame, has_results, patience=60)
            expect(terminal, frame.seconds is not None and results.seconds is not None, "the app's frame")
            terminal.send("q")
            terminal.settle(0.1, 2.0)
        if number:  # the first run fills the caches of files and of compiled modules
            starts.append(Start(frame.seconds or 0, results.seconds or 0, bare.seconds or 0))
    return starts


def measure_app(
    store: Path, size: Size, environment: Mapping[str, str], conditions: Conditions, keys: int, idle: float
) -> AppFigures:
    """Start the app and press keys.

    Args:
        keys: cursor keys; of other kinds fewer.
        idle: seconds without a key, over which what still comes is counted.
    """
    with Terminal([COLONNADE, "ui", str(store)], size, environment) as terminal:
        expect(terminal, terminal.wait_for(has_results), "results")
        terminal.settle(3.0)  # which attributes are stale is told after a while
        for keys_of_query in ("i", conditions.every, "\r"):
            terminal.send(keys_of_query)
            terminal.settle()
        expect(terminal, terminal.wait_for(lambda s: _shows(s, conditions)), "all images")
        terminal.settle(1.5)
        moves = move(terminal, keys)
        jumps = jump(terminal, max(2, keys // 10))
        terminal.send("\x0c")
        whole = terminal.settle()
        typing, typed = type_query(terminal, conditions)
        steps = step(terminal, conditions)
        screens = open_screens(terminal, max(2, keys // 20))
        terminal.settle(3.0)
        silence = terminal.listen(idle)
        return AppFigures(moves, jumps, whole, typing, typed, steps, screens, silence, terminal.memory())


def _bare_frame(screen: pyte.Screen) -> bool:
    return "bare header" in screen.display[0] and "static text" in screen.display[1]


def _whole_frame(screen: pyte.Screen) -> bool:
    """Whether every part is there, the session's facts apart: what the store holds comes after it."""
    first, line, *body, last = screen.display
    return (
        first.startswith(" 1 browse")
        and line.startswith("> all images")
        and any("attribute" in row for row in body)
        and "q quit" in last
    )


def _shows(screen: pyte.Screen, conditions: Conditions) -> bool:
    typed = screen.display[1].startswith(f"> {conditions.every} ")
    return typed and hits_of(screen) == conditions.images and marked_row(screen) is not None
