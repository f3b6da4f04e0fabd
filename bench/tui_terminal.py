"""A program in a terminal of its own (a pty), with the time at which each byte of its output arrived.

What it sends is drained while it works and interpreted (pyte) only once it is quiet: a slow reader would hold it up,
and a busy one would note the times too late.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyte

__all__ = ["Answer", "Memory", "Size", "Terminal", "marked_row"]

Size = tuple[int, int]
"""Columns and lines."""
Shows = Callable[[pyte.Screen], bool]
_NEVER_QUIET = 5.0
"""Seconds after which a program that goes on sending (a cursor that blinks) is looked at all the same."""
_FRAME_GAP = 0.005
"""A frame reaches the reader in pieces; pieces that follow each other sooner than this are one frame."""


@dataclass(frozen=True)
class Answer:
    """What followed a key, or the start."""

    seconds: float | None
    """Until the last byte of the frame that showed what was waited for; None if it never came."""
    bytes: int
    """All that came until it was quiet."""
    settled: float
    """Seconds until the last byte of all that."""


@dataclass(frozen=True)
class Memory:
    """Resident memory in MB (2 ** 20 bytes)."""

    now: float
    peak: float | None
    """None where the system does not tell."""
    helpers: tuple[tuple[str, float], ...]
    """Processes under it: what they are, and what they hold."""


class Terminal:
    """A process that draws on a terminal; `screen` is what the terminal shows.

    Args:
        arguments: the program and its arguments.
        size: of the terminal, set before the program starts.
        environment: all of its environment.
    """

    def __init__(self, arguments: Sequence[str], size: Size, environment: Mapping[str, str]) -> None:
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.started = time.perf_counter()
        self.process, self._terminal = pty.fork()
        if self.process == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
                os.execvpe(arguments[0], list(arguments), dict(environment))
            finally:
                os._exit(127)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def first(self, *shows: Shows, quiet: float = 1.0, patience: float = 60.0) -> tuple[Answer, ...]:
        """How long after its start the terminal showed each of some things."""
        return self._answers(self.started, shows, quiet, patience)

    def press(
        self, keys: str, *shows: Shows, quiet: float = 0.2, patience: float = 5.0
    ) -> tuple[Answer, ...]:
        """Send keys at once, and wait for all that they should lead to, and then for quiet."""
        sent = time.perf_counter()
        os.write(self._terminal, keys.encode())
        return self._answers(sent, shows, quiet, patience)

    def send(self, keys: str) -> None:
        """Send keys of which nothing is measured; `settle` afterwards."""
        os.write(self._terminal, keys.encode())

    def settle(self, quiet: float = 0.5, patience: float = 30.0) -> int:
        """Drain until it is quiet; the number of bytes that came."""
        chunks = self._collect(quiet, time.perf_counter() + patience)
        self._stream.feed(b"".join(data for _, data in chunks))
        return sum(len(data) for _, data in chunks)

    def listen(self, seconds: float) -> int:
        """Drain for so long; the number of bytes that came."""
        end, size = time.perf_counter() + seconds, 0
        while (left := end - time.perf_counter()) > 0:
            size += self.settle(left, left)
        return size

    def wait_for(self, shows: Shows, patience: float = 60.0) -> bool:
        """Drain until the terminal shows something."""
        end = time.perf_counter() + patience
        while not shows(self.screen):
            if time.perf_counter() > end or self.ended:
                return False
            self.settle(0.05, 1.0)
        return True

    @property
    def text(self) -> str:
        """What the terminal shows."""
        return "\n".join(self.screen.display)

    @property
    def ended(self) -> bool:
        """Whether the process is over."""
        try:
            return psutil.Process(self.process).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def memory(self) -> Memory:
        """What the process and those under it hold now."""
        process = psutil.Process(self.process)
        helpers = []
        for child in process.children(recursive=True):
            try:
                words = [word for word in child.cmdline() if not word.startswith(("-", "/"))]
                helpers.append((words[0] if words else child.name(), child.memory_info().rss / 2**20))
            except psutil.Error:  # it ended meanwhile
                continue
        return Memory(process.memory_info().rss / 2**20, _peak(self.process), tuple(helpers))

    def end(self) -> None:
        """End the process and let go of the terminal."""
        try:
            os.kill(self.process, signal.SIGTERM)
            end = time.monotonic() + 5
            while not os.waitpid(self.process, os.WNOHANG)[0]:
                if time.monotonic() > end:
                    os.kill(self.process, signal.SIGKILL)
                self._collect(0.02, time.perf_counter() + 0.02)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self._terminal)

    def _answers(
        self, since: float, shows: Sequence[Shows], quiet: float, patience: float
    ) -> tuple[Answer, ...]:
        found: dict[int, float] = {}
        end = since + patience
        size, last = 0, since
        while True:
            chunks = self._collect(quiet, min(end, time.perf_counter() + _NEVER_QUIET))
            for number, (arrived, data) in enumerate(chunks):
                self._stream.feed(data)
                size, last = size + len(data), arrived
                for which, test in enumerate(shows):
                    if which not in found and test(self.screen):
                        found[which] = _frame_end(chunks, number)
            if len(found) == len(shows) or time.perf_counter() >= end or self.ended:
                break
        return tuple(
            Answer(found[k] - since if k in found else None, size, last - since) for k in range(len(shows))
        )

    def _collect(self, quiet: float, end: float) -> list[tuple[float, bytes]]:
        """(when it arrived, bytes) until nothing came for a while."""
        chunks: list[tuple[float, bytes]] = []
        while select.select([self._terminal], [], [], quiet)[0]:
            try:
                data = os.read(self._terminal, 1 << 16)
            except OSError:  # the other end was closed
                break
            if not data:
                break
            chunks.append((time.perf_counter(), data))
            if chunks[-1][0] > end:
                break
        return chunks


def marked_row(screen: pyte.Screen) -> int | None:
    """The number in the name of the image whose row looks unlike the others: that of the cursor."""
    named = []
    for y, line in enumerate(screen.display):
        place = line.find(".jpg")
        if place >= 7 and line[place - 7 : place].isdigit():
            cell = screen.buffer[y][place - 1]
            named.append((place, int(line[place - 7 : place]), (cell.fg, cell.bg, cell.reverse)))
    columns = Counter(place for place, _, _ in named).most_common(1)
    rows = [(number, look) for place, number, look in named if place == columns[0][0]]  # no other panel's
    looks = Counter(look for _, look in rows)
    single = [number for number, look in rows if looks[look] == 1]
    return single[0] if len(looks) > 1 and len(single) == 1 else None


def _frame_end(chunks: Sequence[tuple[float, bytes]], number: int) -> float:
    """When the last piece of the frame that a piece belongs to arrived."""
    arrived = chunks[number][0]
    for later, _ in chunks[number + 1 :]:
        if later - arrived > _FRAME_GAP:
            break
        arrived = later
    return arrived


def _peak(process: int) -> float | None:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    lines = (line.split() for line in status.splitlines())
    return next((int(line[1]) / 1024 for line in lines if line and line[0] == "VmHWM:"), None)
