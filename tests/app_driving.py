"""Driving the app in tests: headless by Textual's pilot, or as a process in a real terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyte
import pytest
from query_stores import Content, Score, build_store, image
from textual.app import App
from textual.pilot import Pilot
from textual.widget import Widget

from colonnade.tui.app import ColonnadeApp
from colonnade.tui.keys import Configuration
from colonnade.tui.screens.browse import BrowseScreen

__all__ = [
    "ESCAPE",
    "HOSTILE",
    "VOCABULARY",
    "Terminal",
    "browsing",
    "falls_silent",
    "lines_of",
    "moon_store",
    "opened",
    "until",
]

ESCAPE = "\x1b[27u"
"""Escape as terminals of the kitty protocol send it: read together with the next key, it is still Escape."""
HOSTILE = (
    "\x1b]0;title\x07\x1b[31mred\x9b31m\u202egpj\u200b[/] [@click=app.quit]x[/] \ud800\n\t" + "e\u0301" * 30
)
"""A file name with raw ESC, C1, bidi, zero-width, markup, a lone surrogate, a line break and combining marks."""

VOCABULARY = """\
thresholds: {accepted: 0.8, tentative: 0.5}
base_attributes:
  - {code: earth, label: Earth, description: the earth}
  - {code: moon, label: Moon, description: the moon}
  - {code: empty, label: Empty, description: never scored}
derived_attributes:
  - {code: both, label: Both, description: earth and moon, rule: {all_of: [earth, moon]}}
"""


def _score(confidence: float) -> Score:
    status = "accepted" if confidence >= 0.8 else "tentative" if confidence >= 0.5 else "rejected"
    return 20 + 10 * confidence, confidence, status


def moon_store(path: Path, *, images: int = 600, hostile: bool = False) -> Path:
    """A store with `images` images: confidence n / images for earth, turned round for moon."""
    rows = [image(n, path=f"{n % 7}/{n:04d}.jpg") for n in range(images)]
    if hostile:
        rows[0] = image(0, path=HOSTILE.encode("utf-8", "replace").decode())
        rows[1] = image(1, path="x" * 4000 + ".jpg", state="unreadable", error="\x1b[2Jboom [/]")
    scores = {
        "earth": {n: _score(n / images) for n in range(images)},
        "moon": {n: _score(1 - n / images) for n in range(images)},
        "both": {n: _score(min(n / images, 1 - n / images)) for n in range(images)},
    }
    sets = {"few": range(5)}
    content = Content(rows, scores, sets, frozenset({"both"}))
    return build_store(path, content, vocabulary=VOCABULARY).path


async def until(condition: Callable[[], object], what: str = "", seconds: float = 60.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"did not happen: {what}")
        await asyncio.sleep(0.01)


@asynccontextmanager
async def opened(
    store: Path, size: tuple[int, int] = (80, 24), configuration: Configuration | None = None
) -> AsyncIterator[tuple[Pilot[None], ColonnadeApp]]:
    """The app on a store, headless, from when its session is open."""
    app = ColonnadeApp(store, configuration)
    async with app.run_test(size=size) as pilot:
        await until(lambda: app.session is not None and app.base_screen.is_ready, "a session")
        try:
            yield pilot, app
        finally:
            app.leave()
    app.close_session()


@asynccontextmanager
async def browsing(
    store: Path, size: tuple[int, int] = (80, 24), configuration: Configuration | None = None
) -> AsyncIterator[tuple[Pilot[None], BrowseScreen]]:
    """The app on a store, headless, from when Browse shows its results."""
    async with opened(store, size, configuration) as (pilot, app):
        screen = app.screen
        assert isinstance(screen, BrowseScreen)
        await until(lambda: screen.hits is not None and screen.table.values and screen.attributes, "results")
        await pilot.pause()
        yield pilot, screen


async def falls_silent(app: App[None], monkeypatch: pytest.MonkeyPatch, quiet: float = 1.2) -> None:
    """Wait until the app has drawn nothing for a while; fails if it goes on drawing."""
    drawn = [time.monotonic()]
    display = app._display

    def counted(target: Any, renderable: Any) -> None:
        drawn.append(time.monotonic())
        display(target, renderable)

    monkeypatch.setattr(app, "_display", counted)
    await until(lambda: time.monotonic() - drawn[-1] > quiet, f"nothing is drawn for {quiet} s")


def lines_of(widget: Widget) -> list[str]:
    """What a widget of the Line API shows."""
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]


class Terminal:
    """A process in a terminal of its own; `screen` is what the terminal shows."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        columns: int = 80,
        lines: int = 24,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        # COLUMNS and LINES, as readline leaves them behind, are not the size of this terminal.
        own = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        settings = {**own, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(environment or {})}
        self.received = b""
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.process, self._terminal = pty.fork()
        if self.process == 0:
            if cwd is not None:
                os.chdir(cwd)
            os.execvpe(arguments[0], list(arguments), settings)
        self.resize(columns, lines)

    @classmethod
    def on_app(cls, *words: str | Path, **options: object) -> Terminal:
        """`colonnade WORDS`."""
        arguments = [sys.executable, "-m", "colonnade.tui.cli", *map(str, words)]
        return cls(arguments, **options)  # type: ignore[arg-type]

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self._terminal)

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    @property
    def text(self) -> str:
        """What the terminal shows."""
        return "\n".join(self.screen.display)

    def settle(self, quiet: float = 0.4, seconds: float = 15.0) -> bytes:
        """What arrives until it has been quiet for a while."""
        end, got = time.monotonic() + seconds, b""
        while time.monotonic() < end and select.select([self._terminal], [], [], quiet)[0]:
            try:
                data = os.read(self._terminal, 1 << 16)
            except OSError:
                break
            if not data:
                break
            got += data
        self.received += got
        self._stream.feed(got)
        return got

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Until the terminal shows a text."""
        end = time.monotonic() + seconds
        while text not in self.text:
            if time.monotonic() > end:
                raise AssertionError(f"{text!r} is not on the terminal:\n{self.text}")
            self.settle(0.05, 0.5)

    def wait_while(self, text: str, seconds: float = 60.0) -> None:
        """As long as the terminal shows a text."""
        end = time.monotonic() + seconds
        while text in self.text:
            if time.monotonic() > end:
                raise AssertionError(f"{text!r} stays on the terminal:\n{self.text}")
            self.settle(0.05, 0.5)

    def wait_for_all(self, text: str, *, but_the_last: bool = False, seconds: float = 60.0) -> None:
        """Until the terminal shows a text and nothing else, or all of it but what its last line says."""
        end = time.monotonic() + seconds
        shown = slice(-1 if but_the_last else None)
        while (found := self.text.splitlines()[shown]) != text.splitlines()[shown]:
            assert time.monotonic() < end, "\n".join(["the terminal shows", *found, "instead of", text])
            self.settle(0.05, 0.5)

    def press(self, keys: str, quiet: float = 0.4) -> bytes:
        """Send keys; what the app answers."""
        os.write(self._terminal, keys.encode())
        return self.settle(quiet)

    def send_signal(self, number: int) -> None:
        """Signal the process."""
        os.kill(self.process, number)

    def stopped(self, seconds: float = 60.0) -> None:
        """Wait until the process stands still, by a signal, and take in what it sent before."""
        end = time.monotonic() + seconds
        while os.waitpid(self.process, os.WUNTRACED | os.WNOHANG)[0] == 0:
            assert time.monotonic() < end, "it does not stop"
            self.settle(0.05, 0.1)
        self.settle(0.1, 1.0)

    def ended(self, seconds: float = 60.0) -> int | None:
        """The exit status (negative: the signal) once the process has ended; None if it does not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found, status = os.waitpid(self.process, os.WNOHANG)
            if found:
                self.settle(0.05, 0.5)
                return os.waitstatus_to_exitcode(status)
            self.settle(0.05, 0.1)
        return None
