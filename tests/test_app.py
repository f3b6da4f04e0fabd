"""The app as a process in a terminal: how it starts, what it sends, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from app_driving import ESCAPE, VOCABULARY, Terminal, browsing, lines_of, moon_store, opened, until
from query_stores import Content, fill, image
from textual.widgets import Input

from colonnade.engine.store import Store
from colonnade.tui.app import ColonnadeApp
from colonnade.tui.folders import count_images, folder_choices
from colonnade.tui.screens.first_run import FirstRunScreen
from colonnade.tui.widgets.help_panel import HelpPanel
from colonnade.tui.widgets.line import TextLine
from colonnade.tui.widgets.prompt import Prompt

DOWN, PAGE_DOWN = "\x1b[B", "\x1b[6~"
RESTORED = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?2004l", b"\x1b[?1003l")
"""The normal screen, the cursor, no bracketed paste, no mouse."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return moon_store(tmp_path / "s", images=3000)


def assert_restored(received: bytes) -> None:
    for code in RESTORED:
        assert received.rindex(code) > received.rindex(b"\x1b[?1049h"), code


def test_keys_cost_little_and_silence_costs_nothing(store: Path) -> None:
    with Terminal.on_app("ui", store) as terminal:
        terminal.wait_for("3,000 hits")
        terminal.wait_for("600!")
        terminal.settle(1.0)
        moves = [len(terminal.press(DOWN, 0.15)) for _ in range(25)]
        assert sorted(moves)[len(moves) // 2] <= 300 and sum(moves) / len(moves) <= 500, moves
        assert max(len(terminal.press(PAGE_DOWN)) for _ in range(4)) <= 8000
        terminal.press("\t")
        terminal.press(" ")
        steps = [len(terminal.press("\x1b[C")) for _ in range(4)]
        assert max(steps) <= 2500, steps
        end = time.monotonic() + 60
        while terminal.settle(3.0, 3.0):
            assert time.monotonic() < end, "it never falls silent"


def test_the_first_frame_needs_neither_the_store_nor_heavy_modules(store: Path) -> None:
    program = """
import json, sys
from pathlib import Path
from colonnade.tui.app import ColonnadeApp
from colonnade.tui.folders import count_images, folder_choices
app = ColonnadeApp(Path(sys.argv[1]))
def after():
    loaded = [name for name in ("duckdb", "numpy", "pyarrow", "torch", "umap", "yaml", "lark", "typer", "PIL")
              if name in sys.modules]
    Path(sys.argv[2]).write_text(json.dumps([loaded, app.session is None]))
    app.exit()
app._after_first_frame = after
app.run(headless=True, size=(80, 24))
"""
    answer = store.parent / "answer.json"
    subprocess.run([sys.executable, "-c", program, str(store), str(answer)], check=True, timeout=60)
    assert json.loads(answer.read_text()) == [[], True]


def test_the_app_never_loads_what_only_helpers_may(store: Path) -> None:
    program = """
import asyncio, json, sys
from pathlib import Path
from colonnade.tui.app import ColonnadeApp
from colonnade.tui.folders import count_images, folder_choices
async def main():
    app = ColonnadeApp(Path(sys.argv[1]))
    async with app.run_test(size=(160, 40)) as pilot:
        while app.session is None or not app.base_screen.is_ready or not app.base_screen.table.values:
            await asyncio.sleep(0.02)
        await pilot.press("i", *"earth", "enter", "right", "o", "f", "m", "x", "tab", "right", "p", "p", "w", "escape")
        await asyncio.sleep(1.5)
        for name in ("vocabulary", "calibration", "review", "map", "sql", "jobs", "browse"):
            app.open_screen(name)
            while app.base_screen.NAME != name or not app.base_screen.is_ready:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.5)
        app.leave()
    app.close_session()
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, str(store)], check=True, timeout=120, capture_output=True, text=True
    )
    loaded = set(json.loads(ended.stdout.splitlines()[-1]))
    assert "duckdb" in loaded
    assert not loaded & {"torch", "open_clip", "umap", "pyarrow", "pandas", "polars"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_end_it_and_restore_the_terminal(store: Path, number: int, code: int) -> None:
    with Terminal.on_app("ui", store) as terminal:
        terminal.wait_for("3,000 hits")
        terminal.send_signal(number)
        assert terminal.ended() == code
        assert_restored(terminal.received)
        assert b"Traceback" not in terminal.received and b"leaked" not in terminal.received


def test_a_terminal_that_goes_away_ends_it(store: Path) -> None:
    import pty

    process, master = pty.fork()
    if process == 0:
        os.execve(
            sys.executable,
            [sys.executable, "-m", "colonnade.tui.cli", "ui", str(store)],
            {**os.environ, "TERM": "xterm-256color"},
        )
    received = b""
    while b"3,000 hits" not in received:  # an app that is open: one that only starts would end by itself
        received += os.read(master, 1 << 16)
    os.close(master)
    end = time.monotonic() + 60
    while os.waitpid(process, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            raise AssertionError("it lives on without a terminal")
        time.sleep(0.05)


def test_suspended_and_resumed_it_shows_what_it_showed(store: Path) -> None:
    with Terminal.on_app("ui", store) as terminal:
        terminal.wait_for("3,000 hits")
        terminal.press(DOWN)
        terminal.wait_for("600!")
        terminal.settle(0.6)
        before = terminal.text
        terminal.send_signal(signal.SIGTSTP)
        terminal.stopped()
        assert_restored(terminal.received)
        terminal.screen.reset()
        terminal.send_signal(signal.SIGCONT)
        terminal.wait_for_all(before)
        terminal.press("q")
        assert terminal.ended() == 0


def test_resized_to_nearly_nothing_and_back(store: Path) -> None:
    with Terminal.on_app("ui", store) as terminal:
        for text in ("snapshot 2", "3,000 hits", "600!", "4/0018.jpg"):
            terminal.wait_for(text)
        terminal.settle()
        before = terminal.text
        for columns, lines in ((20, 5), (1, 1), (200, 50), (80, 24)):
            terminal.resize(columns, lines)
            terminal.send_signal(signal.SIGWINCH)
            terminal.settle(0.6)
        # And sooner than the app sees it: the terminal has lost its text, but its size is as it was.
        for columns, lines in ((20, 5), (80, 24)):
            terminal.resize(columns, lines)
        terminal.press("p")
        terminal.press("p")
        terminal.wait_for_all(before, but_the_last=True)
        terminal.press("q")
        assert terminal.ended() == 0


def test_sizes_that_are_told_in_the_wrong_order(store: Path) -> None:
    """The signal of a size may come while that of the one before is handled, and then overtakes it."""
    program = """
import sys, time
from pathlib import Path
from textual.drivers.linux_driver import LinuxDriver
from colonnade.tui.app import ColonnadeApp
real = LinuxDriver._get_terminal_size
def slow(driver):
    size = real(driver)
    while size == (40, 10) and real(driver) == (40, 10):
        Path(sys.argv[2]).touch()
        time.sleep(0.01)
    return size
LinuxDriver._get_terminal_size = slow
ColonnadeApp(Path(sys.argv[1])).run()
"""
    asked = store.parent / "asked"
    with Terminal([sys.executable, "-c", program, str(store), str(asked)]) as terminal:
        terminal.wait_for("snapshot 2")
        terminal.resize(40, 10)
        end = time.monotonic() + 60
        while not asked.exists():
            assert time.monotonic() < end, "the size is not asked for"
            terminal.settle(0.05, 0.1)
        terminal.resize(80, 24)
        terminal.wait_for("snapshot 2")
        terminal.press("q")
        assert terminal.ended() == 0


def test_hostile_text_does_not_reach_the_terminal(tmp_path: Path) -> None:
    store = moon_store(tmp_path / "s", images=40, hostile=True)
    with Terminal.on_app("ui", store, columns=120, lines=40) as terminal:
        terminal.wait_for("39 hits")
        for key in (DOWN, "\r", ESCAPE, "x", "x", "m", "?", ESCAPE, "p", "p", "o", "\x1b[H", "\r"):
            terminal.press(key)
        allowed = re.compile(rb"\x1b(\[[0-9;?<>=$]*[A-Za-z]|\]22;[a-z]+\x07|\[\?\d+\$p)|[\r\n]")
        plain = allowed.sub(b"", terminal.received).decode()
        assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\ud800-\udfff]", plain)
        assert "[@click=app.quit]" in plain
        terminal.press(ESCAPE)
        terminal.press("q")
        assert terminal.ended() == 0


def test_alone_in_a_store_it_opens_the_app_elsewhere_it_helps(store: Path, tmp_path: Path) -> None:
    (store / "deeper").mkdir()
    with Terminal.on_app(cwd=store / "deeper", environment={"COLONNADE_STORE": ""}) as terminal:
        terminal.wait_for("3,000 hits")
        terminal.press("q")
        assert terminal.ended() == 0
    with Terminal.on_app(cwd=tmp_path, environment={"COLONNADE_STORE": ""}) as terminal:
        terminal.wait_for("Open the terminal app.")


def test_an_editor_that_cannot_be_started_is_told_and_keys_still_act(store: Path, tmp_path: Path) -> None:
    environment = {"EDITOR": str(tmp_path / "no-such-editor"), "XDG_STATE_HOME": str(tmp_path / "state")}
    with Terminal.on_app("ui", store, columns=160, environment=environment) as terminal:
        terminal.wait_for("3,000 hits")
        terminal.press("2")
        terminal.wait_for("> earth")
        terminal.press("E")
        terminal.wait_for("no-such-editor")
        terminal.press(DOWN)
        terminal.wait_for("> moon")
        terminal.press("q")
        assert terminal.ended() == 0


def test_without_a_terminal_it_says_so(store: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "colonnade.tui.cli", "ui", str(store)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3
    assert "needs a terminal" in ended.stderr and not ended.stdout


def test_a_damaged_store_is_told_and_q_still_quits(store: Path) -> None:
    (store / "live").unlink()
    with Terminal.on_app("ui", store) as terminal:
        terminal.wait_for("!!")
        terminal.press("2")
        terminal.press("q")
        assert terminal.ended() == 0


@pytest.mark.asyncio
async def test_screens_keep_their_place_and_escape_goes_back(store: Path) -> None:
    async with browsing(store) as (pilot, browse):
        app = browse.colonnade
        await pilot.press("down", "down")
        await pilot.press("7")
        await until(lambda: app.base_screen.NAME == "jobs", "jobs")
        await pilot.press("6")
        await until(lambda: app.base_screen.NAME == "sql", "sql")
        await until(lambda: app.base_screen.is_ready)
        await pilot.press("escape")
        await until(lambda: app.base_screen.NAME == "jobs", "back in jobs")
        await pilot.press("escape")
        await until(lambda: app.base_screen is browse, "back in browse")
        assert browse.table.cursor == 2
        await pilot.press("escape")
        assert app.base_screen is browse


@pytest.mark.asyncio
async def test_help_and_palette_know_every_action(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        await pilot.press("question_mark")
        await until(lambda: screen.query(HelpPanel), "help")
        identities = {words for _, words, _ in screen.query_one(HelpPanel)._rows}
        assert {
            "mark the image, or take its mark away",
            "threshold up by 0.05",
            "row up",
            "quit; jobs go on",
        } <= identities
        await pilot.press("question_mark")
        await until(lambda: not screen.query(HelpPanel))
        await pilot.press("colon")
        await until(lambda: screen.query(Prompt) and screen.app.focused is not screen.table, "palette")
        await pilot.pause()
        await pilot.press(*"mark the im", "enter")
        await until(lambda: len(screen.session.marks) == 1, "marked")
        assert screen.table.has_focus


@pytest.mark.asyncio
async def test_what_was_said_holds_until_the_next_key(store: Path) -> None:
    async with browsing(store) as (pilot, screen):
        screen.warn("something")
        assert lines_of(screen.status)[0].startswith(" ! something")
        await pilot.press("down")
        assert not screen.status.message


@pytest.mark.asyncio
async def test_a_store_that_changes_under_it_is_noticed(store: Path) -> None:
    async with opened(store) as (_, app):
        fill(Store(store), Content([image(9000, path="new.jpg")]))
        await until(lambda: app.overview is not None and app.overview.images == 3001, "noticed")


@pytest.mark.asyncio
async def test_a_read_only_store_is_shown(store: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes anywhere")
    store.chmod(0o500)
    try:
        async with opened(store) as (_, app):
            assert "read-only" in app.base_screen.status.message
    finally:
        store.chmod(0o700)


@pytest.mark.asyncio
async def test_without_a_store_it_asks_for_one(tmp_path: Path) -> None:
    app = ColonnadeApp(tmp_path / "new")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, FirstRunScreen)
        await pilot.press("1", "6", "d", "b", "r")
        await pilot.pause()
        assert app.base_screen is screen
        assert screen.status.message
        await pilot.press("enter")
        await until(lambda: screen.query(Prompt))
        await pilot.press("escape")
        await until(lambda: not screen.query(Prompt))
        screen._add_root(str(tmp_path))
        await until(lambda: screen._counts, "counted")
        await pilot.press("home", "down", "enter")
        await until(lambda: screen.query(Prompt))
        field = screen.query_one(Prompt).query_one(Input)
        field.value = f"{Path.home()}/{tmp_path}/nowhere"
        await pilot.press("enter")
        title = screen.query_one(Prompt).query_one(TextLine)
        told = f"! {tmp_path}/nowhere: not a folder"
        await until(lambda: title.lines[0].startswith(told), "a path pasted behind another")
        assert field.value.endswith("nowhere"), "what was typed stays, to be put right"
        await pilot.press("escape")
        await until(lambda: not screen.query(Prompt))
        await pilot.press("home", "d")
        assert not screen.roots
        app.leave()


@pytest.mark.slow
def test_from_an_empty_folder_to_the_first_result(tmp_path: Path) -> None:
    from colonnade.engine.demo.collection import render_collection

    render_collection(tmp_path / "photos", 20, 1)
    with Terminal.on_app("ui", tmp_path / "new") as terminal:
        terminal.wait_for("add a folder")
        terminal.press("\r")
        terminal.wait_for("A folder of images")
        terminal.press("\x15")
        terminal.press(str(tmp_path / "photos"))
        terminal.press("\r")
        terminal.wait_for("20 images")
        terminal.press(DOWN)
        terminal.press(DOWN)
        terminal.press("\r")
        terminal.wait_for("Which model")
        terminal.press("demo\r")
        terminal.wait_while("Which model")
        terminal.press("r")
        terminal.wait_for("20 hits", seconds=120)
        terminal.wait_for("earth")
        assert "unscored" not in terminal.text
        terminal.press("q")
        assert terminal.ended() == 0


def test_folders_to_choose_from(tmp_path: Path) -> None:
    for name in ("alpha", "alps", "beta", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "alpine.txt").touch()
    assert [choice[0] for choice in folder_choices(f"{tmp_path}/al")] == ["alpha", "alps"]
    assert [choice[0] for choice in folder_choices(f"{tmp_path}/")] == [".", "alpha", "alps", "beta"]
    assert [choice[0] for choice in folder_choices(f"{tmp_path}/.h")] == [".hidden"]
    assert folder_choices(f"{tmp_path}/nowhere/x") == []
    assert folder_choices("\0") == []


def test_images_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("x.jpg", "a/y.PNG", "a/z.txt"):
        (tmp_path / name).touch()
    assert count_images(tmp_path) == (2, False)
    assert count_images(tmp_path, most=1) == (1, True)


def _told(app: ColonnadeApp) -> str:
    """What the screen says, its lines joined."""
    lines = app.screen._compositor.render_strips()
    return " ".join(word for line in lines for word in line.text.split())


@pytest.mark.asyncio
async def test_without_images_no_screen_says_that_all_is_well(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s", vocabulary=VOCABULARY.encode(), model="hash").path
    async with opened(store, (160, 30)) as (_, app):
        for name in ("browse", "vocabulary", "map", "jobs"):
            app.open_screen(name)
            await until(lambda: "`colonnade root add FOLDER`, or import embeddings" in _told(app), name)
            assert "fresh" not in _told(app)
            assert _told(app).count("no images yet") == 1


@pytest.mark.asyncio
async def test_a_vocabulary_that_is_gone_is_told_once_with_one_advice(tmp_path: Path) -> None:
    store = moon_store(tmp_path / "s", images=20)
    (store / "vocabulary.yaml").unlink()
    advice = f"{store}/vocabulary.yaml: missing; restore it, or copy it from {store}/live/"
    async with opened(store, (2 * len(advice), 30)) as (_, app):  # it is not cut, however deep the folder
        for name in ("browse", "vocabulary", "jobs", "review"):
            app.open_screen(name)
            await until(lambda: advice in _told(app), name)
            said = app.base_screen.status.message if name == "review" else _told(app)
            assert said.count("missing; restore it") == 1, _told(app)
