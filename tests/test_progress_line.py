"""The progress line: images done, rate, time left and failures so far on a terminal, nothing of it elsewhere."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from collections_on_disk import VOCABULARY, make_store
from PIL import Image

from colonnade.engine.store import Store
from colonnade.tui.console import Progress

COLONNADE = Path(sys.executable).with_name("colonnade")
IMAGES, BROKEN = 30, 2
ONE_CPU = """
import os
from colonnade.tui import cli
if hasattr(os, "sched_setaffinity"):  # so that it takes a while on any machine
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
cli.main()
"""
WHOLE = re.compile(r"embed: (\d+) of 32, \d[\d,.]*/s, \d+ (?:s|min) left, (\d) failed")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that take a while to decode, and the first of them cannot be."""
    folder = tmp_path_factory.mktemp("photos")
    stream = io.BytesIO()
    Image.radial_gradient("L").resize((4000, 3000)).convert("RGB").save(stream, "PNG", compress_level=1)
    for number in range(IMAGES + BROKEN):
        data = stream.getvalue() + str(number).encode()  # behind its end
        (folder / f"{number:02d}.png").write_bytes(data[:-1000] if number < BROKEN else data)
    return folder


@pytest.fixture
def store(photos: Path, tmp_path: Path) -> Store:
    return Store.create(tmp_path / "s", roots=[photos], vocabulary=VOCABULARY.encode(), model="hash")


def on_terminal(store: Store, *words: str) -> str:
    """What a command shows on a terminal, character by character."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", ONE_CPU, "-s", str(store.path), *words]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # Linux: everybody has closed the other side
                break
            if not data:
                break
            shown += data
        os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["embed", "sync"])
def test_a_terminal_shows_the_four(store: Store, command: str) -> None:
    if command == "embed":
        subprocess.run([COLONNADE, "-q", "-s", store.path, "scan"], check=True, capture_output=True)
    shown = on_terminal(store, command, "--batch", "1")
    assert "\x1b" not in shown
    lines = [line for line in re.split(r"\r\n|\r|\n", shown) if line.startswith("embed: ")]
    whole = [match for line in lines if (match := WHOLE.match(line))]
    assert whole, lines
    done = [int(match[1]) for match in whole]
    assert done == sorted(done) and len(set(done)) > 1
    assert whole[-1][2] == str(BROKEN), "the failures so far"
    assert any(line.startswith(f"embed: {IMAGES + BROKEN} of {IMAGES + BROKEN}") for line in lines)
    if command == "sync":
        assert re.search(r"\rscan: \d+ of 32", shown)
    last = shown[shown.rindex("\rembed: ") :]
    assert re.match(r"\rembed: [^\r]*(?:\rtag: [^\r]*)*\r +\r", last), "it is wiped at the end"


def test_elsewhere_there_is_no_control_character(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    (tmp_path / "photos" / "text.jpg").write_text("no picture")
    command = [str(COLONNADE), "-s", str(store.path), "sync"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "unreadable: photos/text.jpg" in done.stderr
    for text in (done.stdout, done.stderr):
        assert all(character.isprintable() or character == "\n" for character in text)
    assert "embed: " not in done.stderr


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    ticking = Clock()
    monkeypatch.setattr(time, "monotonic", ticking)
    return ticking


def test_the_rate_is_that_of_the_phase_without_its_first_batch(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first news of a phase comes with its first batch; how long that took is not known."""
    line = Progress("", shown=True)
    clock.now += 500  # a scan, and loading the model
    line.phase("embed")
    line.update(64, 640)
    clock.now += 10
    line.phase("embed")
    line.update(128, 640, 3)
    assert capsys.readouterr().err.split("\r")[-1].rstrip() == "embed: 128 of 640, 6.4/s, 80 s left, 3 failed"


def test_news_come_at_most_ten_times_a_second_but_the_last_does(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Progress("verify", shown=True)
    for done in range(1, 101):
        clock.now += 0.01
        line.update(done, 100)
    shown = capsys.readouterr().err.split("\r")[1:]
    assert 9 <= len(shown) <= 12 and shown[-1].startswith("verify: 100 of 100")
    line.close()
    assert re.fullmatch(r"\r +\r", capsys.readouterr().err)
    line.close()
    hidden = Progress("verify", shown=False)
    hidden.update(1, 2)
    hidden.close()
    assert capsys.readouterr().err == ""
