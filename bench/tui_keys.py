"""Keys that are pressed in the app, or in another program that shows the same rows, and what followed each."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pyte
from tui_conditions import Conditions
from tui_terminal import Answer, Terminal, marked_row

__all__ = [
    "SCREENS",
    "Moves",
    "expect",
    "has_results",
    "hits_of",
    "jump",
    "move",
    "open_screens",
    "step",
    "type_query",
]

UP, DOWN, RIGHT, PAGE_DOWN, ESCAPE = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[6~", "\x1b"
SCREENS = ("browse", "vocabulary", "calibration", "review", "map", "sql", "jobs")
_FIRST_SETTLED, _SETTLED = 4.0, 1.5
"""Seconds without a byte after which a screen counts as complete."""


@dataclass(frozen=True)
class Moves:
    """What keys that move the cursor led to."""

    cursor: tuple[Answer, ...]
    """Down, and some up."""
    page: tuple[Answer, ...]


def expect(terminal: Terminal, condition: bool, what: str) -> None:
    """End the benchmark, with what the terminal shows, where something did not come."""
    if not condition:
        sys.exit(f"{what}: did not come; the terminal shows:\n{terminal.text}")


def hits_of(screen: pyte.Screen) -> int | None:
    """How many images the query line says were found."""
    found = re.search(r"([\d,]+) hits", screen.display[1])
    return int(found[1].replace(",", "")) if found else None


def has_results(screen: pyte.Screen) -> bool:
    """Whether the count and the rows of a result are there."""
    return hits_of(screen) is not None and marked_row(screen) is not None


def move(terminal: Terminal, keys: int) -> Moves:
    """Move the cursor in rows whose names are numbered."""
    cursor, page = [], []
    for key, by, times in ((DOWN, 1, keys), (UP, -1, keys // 3)):
        for _ in range(times):
            wanted = (marked_row(terminal.screen) or 0) + by
            cursor += terminal.press(key, lambda screen, wanted=wanted: marked_row(screen) == wanted)
    for _ in range(keys // 2):
        page += terminal.press(PAGE_DOWN, _elsewhere(terminal))
    return Moves(tuple(cursor), tuple(page))


def jump(terminal: Terminal, times: int) -> tuple[Answer, ...]:
    """To the last row and back to the first."""
    return tuple(answer for key in ("G", "g") * times for answer in terminal.press(key, _elsewhere(terminal)))


def type_query(terminal: Terminal, conditions: Conditions) -> tuple[tuple[Answer, ...], Answer]:
    """Type an expression key by key; the answers to each, and how soon after the last key its count was there."""
    terminal.send("c")
    terminal.settle()
    terminal.send("i")
    terminal.settle()
    text, answers = conditions.text, []
    for end in range(1, len(text)):
        if text[end - 1] == " ":  # cannot be told from the empty field
            terminal.send(" ")
            terminal.settle()
        else:
            answers += terminal.press(text[end - 1], _typed(text[:end]))
    last, counted = terminal.press(text[-1], _typed(text), lambda s: hits_of(s) == conditions.counts[0])
    terminal.send("\r")
    terminal.settle(1.0)
    expect(terminal, hits_of(terminal.screen) == conditions.counts[0], f"{conditions.counts[0]:,} hits")
    return (*answers, last), counted


def step(terminal: Terminal, conditions: Conditions) -> tuple[Answer, ...]:
    """Move the threshold of the first condition up, 0.01 a key, from the list of attributes."""
    terminal.send("\t")
    terminal.settle()
    for _ in range(conditions.place):
        terminal.send(DOWN)
        terminal.settle(0.1)
    terminal.settle(1.0)
    answers = []
    for before, wanted in zip(conditions.counts, conditions.counts[1:], strict=False):
        (answer,) = terminal.press(RIGHT, lambda s, wanted=wanted: hits_of(s) == wanted, quiet=0.3)
        expect(terminal, answer.seconds is not None, f"{wanted:,} hits")
        if before != wanted:
            answers.append(answer)
    return tuple(answers)


def open_screens(terminal: Terminal, rounds: int) -> dict[str, list[Answer]]:
    """Go to every screen and back; screen -> the first answer and those of later rounds."""
    answers: dict[str, list[Answer]] = {name: [] for name in SCREENS}
    for turn in range(rounds):
        for number, name in enumerate(SCREENS[1:], 2):
            answers[name] += _open(terminal, number, name, _SETTLED if turn else _FIRST_SETTLED)
            if name == SCREENS[-1]:
                answers["browse"] += _open(terminal, 1, "browse", _SETTLED)
            else:
                _back(terminal)
    return answers


def _open(terminal: Terminal, number: int, name: str, quiet: float) -> tuple[Answer, ...]:
    return terminal.press(str(number), _is_on(number, name), quiet=quiet, patience=30)


def _back(terminal: Terminal) -> None:
    on_browse = _is_on(1, "browse")
    for key in (ESCAPE, "1", ESCAPE, "1"):
        if not on_browse(terminal.screen):
            terminal.send(key)
            terminal.settle(0.7)
    expect(terminal, on_browse(terminal.screen), "Browse")


def _is_on(number: int, name: str) -> Callable[[pyte.Screen], bool]:
    return lambda screen: screen.display[0].startswith(f" {number} {name} ")


def _typed(text: str) -> Callable[[pyte.Screen], bool]:
    return lambda screen: screen.display[1].startswith(f"> {text} ")


def _elsewhere(terminal: Terminal) -> Callable[[pyte.Screen], bool]:
    """Whether the cursor is on another row than now, and that row is read."""
    before = marked_row(terminal.screen)
    return lambda screen: marked_row(screen) not in (None, before)
