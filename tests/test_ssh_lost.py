"""What is lost when a connection is, a signal comes, or another process changes what the app shows: nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from app_driving import moon_store
from ssh_line import PROMPT, Line, NoLineError, Server

from colonnade.engine.demo.collection import PHOTOS, render_collection
from colonnade.engine.demo.files import demo_vocabulary
from colonnade.engine.jobs import JobRecord, list_jobs
from colonnade.engine.store import Store

DOWN, ENTER, ESCAPE, SUSPEND = "\x1b[B", "\r", "\x1b", "\x1a"
ADDING = """
import sys, time
from pathlib import Path
from query_stores import Content, fill, image
from colonnade.engine.store import Store
fill(Store(Path(sys.argv[1])), Content([image(9000 + n, path=f"0/new{n}.jpg") for n in range(50)]))
print(time.time())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(Server(tmp_path_factory.mktemp("state")))
        except NoLineError as error:
            pytest.skip(f"no session over ssh can be had here: {error}")
        yield server


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A store over rendered photographs that nothing was done with yet."""
    render_collection(tmp_path, 40, 1)
    path = tmp_path / "store"
    Store.create(path, roots=[tmp_path / PHOTOS], vocabulary=demo_vocabulary(), model="demo")
    return path


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def wait(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"did not happen within {seconds:g} s: {what}"
        time.sleep(0.05)


def apps(store: Path) -> list[psutil.Process]:
    """The processes of the app on a store."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if {"ui", str(store)} <= set(process.info["cmdline"] or ())
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def newest(store: Path) -> JobRecord:
    return list_jobs(store)[0]


def verified(store: Path) -> None:
    """`colonnade verify` finds nothing, and the sweep leaves nothing half-written."""
    words = [sys.executable, "-m", "colonnade.tui.cli", "-s", str(store), "verify"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [path for path in store.rglob("*") if path.name.startswith(".tmp-")]


@pytest.mark.slow
def test_a_killed_job_can_go_on_and_a_lost_line_stops_no_job(server: Server, demo: Path) -> None:
    with Line(server.command("colonnade", "ui", demo)) as line:
        line.sees("0 hits|no image")
        line.goes("2", "vocabulary", "lunar_surface")
        line.hits("a", "a new attribute")
        line.types("liftoff")
        for text in ("", "", "", "", "a rocket with fire below it"):
            line.press(DOWN, 0.1)
            line.types(text)
        line.hits(ESCAPE, "> liftoff .*new")
        line.goes("7", "jobs", "what is stale: nothing")
        line.hits("p", "what is stale: r does it")
        line.hits("r", "» running +sync")
        wait(lambda: newest(demo).phase, "a phase of the job")
        first = newest(demo)
        os.kill(first.pid, signal.SIGKILL)
        line.sees("! sync: killed, u runs it again, its process is gone")
        line.sees("! killed +sync")
        line.hits("u", "» running +sync")
        job = newest(demo)
        assert job.id != first.id

        line.goes("2", "vocabulary", "> liftoff .*new")
        line.hits("e", "edit liftoff")
        line.types(" at night")
        line.sees("below it at night")
        assert apps(demo) and newest(demo).state == "running"
        server.cut()
        assert line.ended(30) == 255
        wait(lambda: not apps(demo), "the app ends")

    wait(lambda: newest(demo).state != "running", "the job ends", 240)
    assert (newest(demo).id, newest(demo).state) == (job.id, "done")
    assert Store(demo).query("true").count == 40
    verified(demo)
    with Line(server.command("colonnade", "ui", demo)) as line:
        line.sees("40 hits")
        line.goes("2", "vocabulary", "edits of last time that were not saved: v shows them")
        line.hits("v", "[+].*code: liftoff")
        line.press("\t")
        line.hits("G", "[+].*below it at night")


@pytest.mark.slow
def test_in_tmux_the_app_outlives_the_line_and_is_whole_again(server: Server, tmp_path: Path) -> None:
    store = moon_store(tmp_path / "s", images=3000)
    command = server.command(*server.tmux, "new-session", "-A", "-s", "lost")
    with Line(command) as line:
        line.sees(f"^{PROMPT}")
        line.types(f"colonnade ui {store}\r")
        line.sees("600!")
        line.press("i")
        line.types("earth? and moon?")
        line.hits(ENTER, " 1 hits")
        line.press("\t")
        before = line.sees(r"(?s).*", quiet=1.0)[0]
        (app,) = apps(store)
        server.cut()
        assert line.ended(30) == 255
    with Line(command) as line:
        line.sees("earth[?] and moon[?]")
        line.sees(r"\d+ hits", quiet=0.5)
        assert without_bar(line.text) == without_bar(before)
        assert app.is_running()
        for columns, lines in ((20, 5), (80, 24)):
            line.resize(columns, lines)
            line.sees("hits|earth", quiet=0.7)
        assert without_bar(line.text) == without_bar(before)
        line.hits("q", f"^{PROMPT} *$")
        line.types("exit\r")
        assert line.ended(30) == 0


def without_bar(screen: str) -> list[str]:
    """The lines of a screen but for the last, which is the bar of tmux."""
    return screen.splitlines()[:-1]


@pytest.mark.slow
def test_suspended_by_a_key_and_back_by_fg_in_a_shell(server: Server, tmp_path: Path) -> None:
    store = moon_store(tmp_path / "s", images=3000)
    with in_tmux(server) as line:
        state = server.terminal_state()
        line.types(f"colonnade ui {store}\r")
        line.sees("600!")
        line.hits(DOWN, "2 of 3,000")
        before = line.sees(r"(?s).*", quiet=1.0)[0]
        assert server.terminal_state() != state
        line.press(SUSPEND)
        line.sees(f"^{PROMPT} *$", quiet=0.5)
        assert server.terminal_state() == state
        line.hits("fg\r", "3,000 hits")
        assert without_bar(line.sees(r"(?s).*", quiet=1.0)[0]) == without_bar(before)
        line.hits("q", f"^{PROMPT} *$")
        assert server.terminal_state() == state


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_after_a_signal_the_shell_has_its_terminal_back(
    server: Server, tmp_path: Path, number: int, code: int
) -> None:
    store = moon_store(tmp_path / "s", images=3000)
    with in_tmux(server) as line:
        state = server.terminal_state()
        line.types(f"colonnade ui {store}; echo code $?\r")
        line.sees("3,000 hits")
        line.press("i")
        (app,) = apps(store)
        app.send_signal(number)
        line.sees(f"^code {code} *$")
        assert server.terminal_state() == state
        line.types("echo fine")
        line.sees(f"^{PROMPT}echo fine")


@contextmanager
def in_tmux(server: Server) -> Iterator[Line]:
    """A shell in tmux over ssh, which is left at the end."""
    with Line(server.command(*server.tmux, "new-session", "-A", "-s", "shell")) as line:
        line.sees(f"^{PROMPT}")
        yield line
        line.press("\x15")
        line.types("exit\r")
        assert line.ended(30) == 0


@pytest.mark.slow
def test_what_another_process_writes_is_seen_at_once_and_the_place_is_kept(tmp_path: Path) -> None:
    store = moon_store(tmp_path / "s", images=600)
    with Line((sys.executable, "-m", "colonnade.tui.cli", "ui", str(store))) as line:
        line.sees("600 hits")
        for _ in range(30):
            line.press(DOWN, 0.05)
        place = line.sees(r"> +(\d+/\d+[.]jpg)[^\n]*$", quiet=0.7)[1]
        with subprocess.Popen(
            [sys.executable, "-c", ADDING, str(store)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        ) as writer:
            line.sees("650 hits")
            seen = time.time()
            assert writer.stdout is not None
            written = float(writer.stdout.read())
        assert seen - written < 20  # a second, and what a busy machine adds
        line.sees(rf"> +{re.escape(place)}")
        line.sees("650 images")
        assert len(list(Store(store).query("path like '0/new%'"))) == 50
