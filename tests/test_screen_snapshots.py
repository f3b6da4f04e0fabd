"""Every screen as a person's terminal shows it, compared with `tests/screens/SIZE/NAME.txt`.

The app runs as a process in a real terminal (a pty, drawn by pyte), not under Textual's pilot: what is compared has
gone through the app's own driver and through `frames.py`, which sends only what changed. The pictures are plain text,
without colours: a diff of them can be reviewed by eye, and as nothing may be told by colour alone, whatever a picture
does not show is missing on the screen. Colours, themes and the bytes have tests of their own (test_theme, test_frames).

The store is the same to the last digit each time. What cannot be the same (how long a search took) is masked, keeping
its width. Each test waits until the terminal shows what is expected, however long that takes on a busy machine, and
until it still does so after a quiet while.

`make snapshots` writes the pictures anew; look at the diff before you commit it.
"""

from __future__ import annotations

import difflib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from app_driving import ESCAPE, Terminal
from query_stores import Content, build_store
from screen_stores import OTHER_WORDS, apollo_store

SCREENS = Path(__file__).with_name("screens")
SIZES = {"80x24": (80, 24), "120x36": (120, 36)}
UPDATE = "COLONNADE_UPDATE_SCREENS"
PATIENCE_S, QUIET_S = 90.0, 0.4
NEW_QUIET_S = 3.0
"""So long nothing has changed before a new picture is taken."""
DOWN, RIGHT, CLEAR, F5 = "\x1b[B", "\x1b[C", "\x15", "\x1b[15~"
STATEMENT = "SELECT path, earth, moon FROM wide WHERE earth > 0.5 ORDER BY moon DESC"


@dataclass(frozen=True)
class Wait:
    """Between two keys: until the terminal shows a text."""

    text: str


@dataclass(frozen=True)
class Shot:
    """A picture, and what leads to it from the picture before."""

    name: str
    keys: tuple[str | Wait, ...]
    until: tuple[str, ...]
    """Texts that the screen shows once it is complete."""


WALKS: dict[str, tuple[Shot, ...]] = {
    "first_run": (
        Shot("first_run", (), ("add a folder", "as many folders")),
        Shot(
            "first_run_folder",
            ("\r", Wait("A folder of images"), CLEAR, "FOLDER\r"),
            ("8 images", "add another folder"),
        ),
        Shot("first_run_model", (DOWN, DOWN, "\r"), ("Which model?", "SigLIP 2")),
    ),
    "nothing": (Shot("browse_nothing", (), ("0 hits",)),),
    "browse": (
        Shot("browse", (), ("478 hits", "1 of 478", "parachute")),
        Shot(
            "browse_query",
            ("i", "earth and moon? and not hand", ESCAPE, DOWN, DOWN),
            ("hits", "3 of"),
        ),
        Shot("browse_explain", ("x",), ("earth",)),
        Shot("browse_large", (ESCAPE, "\r"), ("PNG",)),
        Shot("browse_help", (ESCAPE, "?"), ("Keys.", "why these scores")),
        Shot("browse_palette", ("?", ":", "mark"), ("mark the image",)),
    ),
    "vocabulary": (
        Shot(
            "vocabulary",
            ("2", Wait("earth_only"), DOWN, DOWN, DOWN),
            ("> porthole", "not fresh", "42 accepted"),
        ),
        Shot(
            "vocabulary_edit",
            ("\r", Wait("edit porthole"), CLEAR, OTHER_WORDS),
            ("enter (+)", "10 leave", OTHER_WORDS),
        ),
        Shot(
            "vocabulary_which",
            ("\x05", Wait("> -"), DOWN),
            ("> -", "back to the form", "as09-41-5873.png"),
        ),
        Shot(
            "vocabulary_diff", (ESCAPE, Wait("two wordings"), ESCAPE, Wait("edited"), "v"), ("+++ as edited",)
        ),
    ),
    "calibration": (
        Shot("calibration", ("3",), ("earth", "parachute")),
        Shot("calibration_attribute", ("\r",), ("method labels", "accepted")),
        Shot("calibration_moved", (RIGHT, RIGHT, RIGHT), ("would leave",)),
    ),
    "review": (
        Shot("review", (Wait("478 hits"), Wait("porthole"), "4"), ("Earth?", "settled")),
        Shot("review_page", ("g",), ("pictures",)),
    ),
    "map": (Shot("map", ("5",), ("478 images",)),),
    "sql": (
        Shot("sql", ("6",), ("Views:",)),
        Shot("sql_result", ("i", STATEMENT, F5), ("rows", "snapshot")),
    ),
    "jobs": (
        Shot("jobs", ("7", Wait("interrup")), ("1 new attribute",)),
        Shot("jobs_files", (DOWN, DOWN, DOWN, "f"), ("truncated",)),
        Shot("jobs_start", ("s",), ("start which job?",)),
    ),
}

MASKS = (
    (re.compile(r"( *)(\S+ (?:hits|nearest))  [\d,]+ ms"), r"\2  # ms"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "#" * 16),
    (re.compile(r"(\d rows?.*), [\d.,]+ m?s(, snapshot \d+) *"), r"\1, # ms\2"),
)
"""What differs from run to run -> what stands there in a picture; it keeps its place at the right or the left."""


def masked(display: list[str]) -> str:
    lines = []
    for line in display:
        for pattern, words in MASKS:
            found = pattern.search(line)
            if found:
                said = found.expand(words)
                width = found.end() - found.start()
                said = said.rjust(width) if pattern is MASKS[0][0] else said.ljust(width)
                line = line[: found.start()] + said + line[found.end() :]
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stores that the screens are drawn of, and a folder of images that no store has yet."""
    folder = tmp_path_factory.mktemp("screens")
    store = apollo_store(folder)
    build_store(folder / "nothing", Content([]))
    # Whatever the temporary folder is called, what a screen shows of this one is its end.
    scanned = folder / "archive/of/photographs/apollo/hasselblad/70mm/magazines/as11-to-as17/scanned"
    scanned.mkdir(parents=True)
    for path in sorted((store.parent / "photos").iterdir())[:8]:
        (scanned / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("walk", WALKS)
def test_screens_are_as_they_were(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, walk: str, size: str
) -> None:
    for name in ("NO_COLOR", "COLORFGBG", "COLUMNS", "LINES", "COLONNADE_STORE", "EDITOR", "VISUAL", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    home = str(tmp_path)
    environment = {
        **dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), home),
        "TZ": "UTC",
        "LOGNAME": "ann",
        "LC_ALL": "C.UTF-8",
        "COLONNADE_CONFIG": f"{home}/none.toml",
    }
    store = {"first_run": "new", "nothing": "nothing"}.get(walk, "apollo")
    columns, lines = SIZES[size]
    differences: list[str] = []
    with Terminal.on_app(
        "ui", store, columns=columns, lines=lines, cwd=collection, environment=environment
    ) as terminal:
        for shot in WALKS[walk]:
            press(terminal, shot.keys, collection)
            path = SCREENS / size / f"{shot.name}.txt"
            if os.environ.get(UPDATE):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(settled(terminal, shot), encoding="utf-8")
            else:
                differences += difference(terminal, path, 8.0 if differences else PATIENCE_S)
        terminal.press(ESCAPE)
    assert not differences, "\n".join(
        [*differences, "", f"{size} {walk}: if that is meant, `make snapshots` writes the pictures anew"]
    )


def press(terminal: Terminal, keys: tuple[str | Wait, ...], folder: Path) -> None:
    for key in keys:
        if isinstance(key, Wait):
            terminal.wait_for(key.text, PATIENCE_S)
        elif key.startswith("FOLDER"):
            found = next(folder.rglob("scanned"))
            terminal.press(f"{found}{key.removeprefix('FOLDER')}")
        else:
            terminal.press(key, 0.15)


def settled(terminal: Terminal, shot: Shot) -> str:
    """The screen, once it shows all that it will."""
    for text in shot.until:
        terminal.wait_for(text, PATIENCE_S)
    while terminal.settle(NEW_QUIET_S, PATIENCE_S):
        pass
    return masked(terminal.screen.display)


def difference(terminal: Terminal, path: Path, seconds: float) -> list[str]:
    """What differs from a picture, once the screen has had time to become like it; nothing if it does."""
    expected = path.read_text(encoding="utf-8")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if masked(terminal.screen.display) != expected:
            terminal.settle(0.05, 0.5)
        elif not terminal.settle(QUIET_S) or masked(terminal.screen.display) == expected:
            return []
    now = masked(terminal.screen.display)
    return list(
        difflib.unified_diff(expected.splitlines(), now.splitlines(), f"{path}", "now", lineterm="", n=1)
    )


@pytest.mark.skipif(UPDATE in os.environ, reason="the pictures are being written")
def test_every_picture_is_of_a_screen() -> None:
    names = {f"{shot.name}.txt" for shots in WALKS.values() for shot in shots}
    for size in SIZES:
        assert {path.name for path in (SCREENS / size).iterdir()} == names
