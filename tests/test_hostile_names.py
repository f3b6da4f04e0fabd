"""Names that want the terminal, through every screen: the bytes that reach a real pty, and keys that still act."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path

import pytest
from app_driving import ESCAPE, Terminal
from hostile_stores import MARK, NASTY, hostile_store, vocabulary, yaml_text

from colonnade.tui.sql_history import history_path

DOWN, RIGHT, TAB, F5, HOME, END = "\x1b[B", "\x1b[C", "\t", "\x1b[15~", "\x1b[H", "\x1b[F"
PASTED = "\x1b[200~" + NASTY.replace("\x1b", "") + "[/]\x1b[201~"
OWN = re.compile(
    rb"\x1b(\[[0-9;]*m|\[\d+;\d+H|\[[?<>=][0-9;:]*[hlu]|\[\?\d+\$p|\[(\?\d+|>|=)?\d*[cq]|\[[JK2 q]+|\]22;[a-z-]*\x07"
    rb"|\[\d*[ABCDGJKt])|\r?\n"
)
"""What the app and Textual's driver send of themselves."""
STATEMENTS = (
    "SELECT path, root, error, format, uuid FROM images ORDER BY length(path) DESC",
    "SELECT reviewer, policy FROM labels",
    "SELECT chr(27) || '[6661m' || chr(155) || '[/][@click=app.quit]' || repeat('x', 4000) AS \"[/]\x9b\u202e\"",
    "SELECT '\x9b6661m[/]' || missing\u202e",
)


def assert_harmless(received: bytes) -> None:
    """Nothing but what the app sends of itself reaches the terminal, and no character that hides or turns others."""
    assert not re.search(rb"(\x1b|\xc2[\x80-\x9f])[^A-Za-z\x1b]{0,8}" + MARK.encode(), received)
    text = OWN.sub(b"", received).decode()
    for character in sorted(set(text)):
        place = text.index(character)
        assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"), ascii(
            text[place - 60 : place + 60]
        )


class Session:
    """A terminal in which screens are gone through."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.seen = 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self.terminal.press(key, 0.25)

    def go(self, title: str) -> None:
        """To another screen."""
        self.terminal.press(title[0], 0.25)
        self.terminal.wait_for(title, 60)
        self.terminal.settle(1.0)

    def still_answers(self, title: str, *, hostile: bool = True) -> None:
        """Keys still do what they should, and (unless it has no room for it) the screen has shown hostile text."""
        self.terminal.press("?", 0.25)
        self.terminal.wait_for("Keys. They can be changed", 60)
        self.terminal.press("?", 0.25)
        part = self.terminal.received[self.seen :].decode("utf-8", "replace")
        self.seen = len(self.terminal.received)
        assert not hostile or "\N{REPLACEMENT CHARACTER}" in part, (
            f"nothing hostile was on the screen {title}"
        )


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
def test_no_screen_lets_anything_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    for name in ("COLUMNS", "LINES", "COLONNADE_STORE"):
        monkeypatch.delenv(name, raising=False)
    store = hostile_store(tmp_path, vocabulary())
    environment = {name: str(tmp_path / "home") for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    environment |= {"LOGNAME": NASTY, "EDITOR": NASTY, "COLONNADE_CONFIG": str(tmp_path / "config.toml")}
    (tmp_path / "config.toml").write_text(f'theme = {yaml_text(NASTY)}\n"x[/]\\u001b[{MARK}m" = 1\n')
    history = history_path(store, environment)
    history.parent.mkdir(parents=True)
    history.write_text(
        json.dumps({"statements": [f"SELECT '{NASTY}'", *STATEMENTS], "draft": f"-- {NASTY}[/]"})
    )
    (store / "queries.yaml").write_text(f"nasty: {yaml_text(f'path = {NASTY}')}\nfine: earth\n")
    columns, lines = size
    options = {"columns": columns, "lines": lines, "environment": environment}
    with Terminal.on_app("ui", store, **options) as terminal:
        session = Session(terminal)
        terminal.wait_for("hits", 60)
        session.press(DOWN, DOWN, "\r", DOWN, DOWN, ESCAPE, "p", "x", DOWN, ESCAPE, "m", "f", END, HOME)
        session.press("i", "in_set(", TAB, ")", ESCAPE, "c", "i", "@", TAB, TAB, ESCAPE, "c")
        session.press(
            "i", PASTED, ESCAPE, "c", "e", PASTED, ESCAPE, "M", PASTED, "\r", "w", ESCAPE, "s", ESCAPE
        )
        session.still_answers("1 browse")
        session.go("2 vocabulary")
        session.press(
            DOWN, "v", "v", "\r", TAB, DOWN, PASTED, ESCAPE, "v", ESCAPE, "/", ESCAPE, "y", ESCAPE, "X"
        )
        session.press("i", ESCAPE, "E", DOWN, DOWN, "\r", ESCAPE)
        session.still_answers("2 vocabulary")
        session.go("3 calibration")
        session.press(HOME, "\r", RIGHT, "d", ESCAPE, ESCAPE, "L", "a", ESCAPE, ESCAPE)
        session.still_answers("3 calibration")
        session.go("4 review")
        session.press("c", "earth\r", "g", " ", "g", "b", "a", "N")
        session.still_answers("4 review")
        session.go("5 map")
        session.press("n", " ", " ", " ", " ", "x", "x", "m", "a", ESCAPE, "]", "w", PASTED, ESCAPE)
        session.still_answers("5 map", hostile=columns > 100)
        session.go("6 sql")
        for statement in STATEMENTS:
            session.press(ESCAPE, "n", f"\x1b[200~{statement}\x1b[201~", F5, ESCAPE, "\r", DOWN, ESCAPE)
        session.press("h", ESCAPE, "e", PASTED, ESCAPE)
        session.still_answers("6 sql")
        session.go("7 jobs")
        session.press("v", "f", TAB, DOWN, TAB, DOWN, "f", "v", "p", "s", PASTED, ESCAPE, "u")
        session.still_answers("7 jobs")
        (store / "vocabulary.yaml").write_text(
            f"base_attributes:\n  - {{{yaml_text(NASTY)}: [/], code: {yaml_text(NASTY)}}}\n"
        )
        session.go("2 vocabulary")
        session.press("R", DOWN, "v", "E", "1", "2")
        terminal.wait_for("2 vocabulary", 60)
        session.press(":", "[/]", ESCAPE)
        terminal.press("q")
        assert terminal.ended(30) == 0
        assert_harmless(terminal.received)
        assert MARK not in terminal.screen.title + terminal.screen.icon_name
        assert "[@click=app.quit]" in terminal.received.decode()


@pytest.mark.slow
def test_folders_with_such_names_are_chosen_on_the_first_run(tmp_path: Path) -> None:
    photos = tmp_path / f"photos {NASTY}"
    for name in (b"a[", b"a\xff\x9b6661m", b"a\x1b[6661m"):
        (photos / os.fsdecode(name)).mkdir(parents=True)
    with Terminal.on_app("ui", tmp_path / f"new {NASTY}", environment={"HOME": str(photos)}) as terminal:
        terminal.wait_for("add a folder", 60)
        terminal.press("\r")
        terminal.press(TAB)
        terminal.press("a")
        terminal.press(TAB)
        terminal.press("\r")
        terminal.wait_for("images", 60)
        terminal.press(PASTED)
        terminal.press("q")
        assert terminal.ended(30) == 0
        assert_harmless(terminal.received)
        assert "\N{REPLACEMENT CHARACTER}" in terminal.received.decode("utf-8", "replace")
