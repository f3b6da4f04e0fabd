"""A bare terminal for asking one question after the other: keys as they are pressed, the screen as lines.

Everything goes to stderr, so that stdout stays for data. The terminal gets its settings back in any case: when a
question is interrupted, when the process is stopped with Ctrl-Z, and when the program ends.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Terminal", "is_terminal"]

_CLEAR = "\x1b[2J\x1b[H"
_RESET = "\x1b[0m"
_END_OF_INPUT = "\x04"
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O])", re.DOTALL)
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_LOCAL, _CHARACTERS = 3, 6
"""Places in what `termios.tcgetattr` gives."""


def is_terminal() -> bool:
    """Whether a person can be asked: keys come from a terminal, and what is shown reaches one."""
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr.isatty())


class Terminal:
    """The terminal, for the time of a `with` block: keys come at once and are not echoed."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._before: list[Any] = []
        self._handlers: dict[int, Any] = {}
        self._unfinished = b""
        self.resized = False
        """Whether the window was resized, or the process stood still, since this was last set to False."""

    def __enter__(self) -> Terminal:
        self._before = termios.tcgetattr(self._descriptor)
        self._handlers = {
            signal.SIGTSTP: signal.signal(signal.SIGTSTP, self._suspend),
            signal.SIGWINCH: signal.signal(signal.SIGWINCH, self._changed),
        }
        self._take_keys()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        sys.stderr.write(_RESET)
        sys.stderr.flush()

    def _take_keys(self) -> None:
        settings = termios.tcgetattr(self._descriptor)
        settings[_LOCAL] &= ~(termios.ICANON | termios.ECHO)
        settings[_CHARACTERS][termios.VMIN] = 1
        settings[_CHARACTERS][termios.VTIME] = 0
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, settings)

    def _give_back(self) -> None:
        with suppress(termios.error, OSError):  # the terminal is gone
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # stands here until somebody says `fg`
        signal.signal(signal.SIGTSTP, self._suspend)
        with suppress(termios.error, OSError):
            self._take_keys()
        self.resized = True

    def _changed(self, number: int, frame: FrameType | None) -> None:
        self.resized = True

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        try:
            found = os.get_terminal_size(sys.stderr.fileno())
        except (OSError, ValueError):
            found = shutil.get_terminal_size()
        return max(found.columns, 20), max(found.lines, 8)

    def draw(self, lines: Sequence[str]) -> None:
        """Clear the screen and show lines, which hold nothing from outside that is not safe.

        What was typed before is forgotten: it was meant for another picture.
        """
        with suppress(termios.error, OSError):
            termios.tcflush(self._descriptor, termios.TCIFLUSH)
        self._unfinished = b""
        sys.stderr.write(_CLEAR + "\n".join(lines))
        sys.stderr.flush()

    def key(self, wanted: str) -> str | None:
        """Wait for one of the keys `wanted`; "\\x04" at the end of input.

        None if the screen has to be drawn anew first, see `resized`.
        """
        while not self.resized:
            # With a limit, because a signal that comes between the look at `resized` and the wait would be missed.
            ready, _, _ = select.select([self._descriptor], [], [], 0.5)
            if not ready:
                self._unfinished = b""  # the Escape key itself, and nothing followed
                continue
            for key in self._typed():
                if key in wanted or key == _END_OF_INPUT:
                    return key
        return None

    def _typed(self) -> str:
        try:
            data = os.read(self._descriptor, 64)
        except OSError:  # the terminal is gone
            return _END_OF_INPUT
        if not data:
            return _END_OF_INPUT
        # Arrows and other keys come as a sequence, whose letters are no answers; a slow line can cut it in two.
        data = _SEQUENCE.sub(b"", self._unfinished + data)
        cut = _UNFINISHED.search(data)
        self._unfinished = data[cut.start() :] if cut else b""
        return data[: cut.start() if cut else None].decode("ascii", "ignore").lower()
