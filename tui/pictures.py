"""Picture files as cells for a terminal: decoded in processes of their own, remembered, bounded.

    with PictureSource() as pictures:
        for line in pictures.ansi_lines(Path("as11-40-5873.jpg"), 60, 30):
            print(line)

A file that hangs or crashes a decoder costs its worker process; the next picture gets a new one. Neither Pillow
nor numpy is imported in this process.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from colonnade.engine.errors import ColonnadeError
from colonnade.engine.images import reason_of
from colonnade.tui.picture_cells import Cells, Mode, Pixels, Request, ansi_lines, mode_of
from colonnade.tui.safe import safe

if TYPE_CHECKING:
    from colonnade.engine.isolate import IsolatedPool

__all__ = ["Cells", "Loaded", "Mode", "PictureSource", "Pixels", "mode_of"]

TIME_LIMIT_S = 10.0
CACHE_BYTES = 16 << 20
WORKERS = 2
"""So that a picture that hangs holds up a second one, but not all."""

_Key = tuple[Request, int, int]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of one picture: cells, pixels, or the reason why there are none."""

    cells: Cells | None = None
    pixels: Pixels | None = None
    reason: str | None = None
    """One line without the file's name, safe to show."""


class PictureSource:
    """Pictures by path and size. Every method may be called from any thread; loading blocks.

    Workers are started by the first picture that is not remembered. `close` ends them, also under a thread that
    waits for one, which then gets a reason; a closed source loads nothing more until `open`.
    """

    def __init__(self, *, workers: int = WORKERS, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._workers, self._time_limit_s = workers, time_limit_s
        self._lock = threading.Lock()
        self._remembered: OrderedDict[_Key, Loaded] = OrderedDict()
        self._latest: dict[Request, _Key] = {}
        self._bytes = 0
        self._users = 0
        self._slots: queue.LifoQueue[_Slot] = queue.LifoQueue()
        self._all: list[_Slot] = []

    def __enter__(self) -> PictureSource:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self.close()

    def open(self) -> None:
        """Note one more user."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._slots = queue.LifoQueue()
                self._all = [_Slot(self._time_limit_s) for _ in range(self._workers)]
                for slot in self._all:
                    self._slots.put(slot)

    def close(self) -> None:
        """Note one user less; the last one ends the workers."""
        with self._lock:
            self._users = max(0, self._users - 1)
            ending, self._all = (self._all, []) if self._users == 0 else ([], self._all)
            slots = self._slots
        for slot in ending:
            slot.close()
            slots.put(slot)  # wakes a thread that waits for one

    def peek(self, path: Path, width: int, height: int, mode: Mode | Literal["pixels"]) -> Loaded | None:
        """What is remembered of a picture, without a look at the file: it may have changed since."""
        with self._lock:
            key = self._latest.get(Request(str(path), width, height, mode))
            return self._remembered.get(key) if key else None

    def load(self, path: Path, width: int, height: int, mode: Mode | Literal["pixels"] = "64") -> Loaded:
        """A picture that fits into `width` x `height` cells (pixels for `pixels`); never raises for a file."""
        request = Request(str(path), width, height, mode)
        if width < 1 or height < 1:
            return Loaded(reason="no room for a picture")
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            return Loaded(reason=safe(reason_of(error) if isinstance(error, OSError) else error, limit=300))
        key = (request, status.st_size, status.st_mtime_ns)
        with self._lock:
            known = self._remembered.get(key)
            if known is not None:
                self._remembered.move_to_end(key)
                return known
            if not self._users:
                return Loaded(reason="closed")
            slots = self._slots
        slot = slots.get()
        try:
            loaded, lasting = slot.load(request)
        finally:
            slots.put(slot)
        if lasting:
            self._remember(key, loaded)
        return loaded

    def ansi_lines(self, path: Path, width: int, height: int, mode: Mode | None = None) -> list[str]:
        """The picture as lines for a bare terminal; where there is none, one line with the reason."""
        mode = mode or mode_of()
        loaded = self.load(path, width, height, mode)
        return ansi_lines(loaded.cells, mode) if loaded.cells else [f"[{loaded.reason}]"]

    def _remember(self, key: _Key, loaded: Loaded) -> None:
        with self._lock:
            before = self._latest.get(key[0])
            if before is not None and before in self._remembered:
                self._bytes -= _bytes(self._remembered.pop(before))
            self._remembered[key] = loaded
            self._latest[key[0]] = key
            self._bytes += _bytes(loaded)
            while self._bytes > CACHE_BYTES and len(self._remembered) > 1:
                oldest, gone = self._remembered.popitem(last=False)
                self._latest.pop(oldest[0], None)
                self._bytes -= _bytes(gone)


class _Slot:
    """One worker process, started anew after each file that killed it."""

    def __init__(self, time_limit_s: float) -> None:
        self._time_limit_s = time_limit_s
        self._pool: IsolatedPool[Request, Cells | Pixels | str] | None = None
        self._closed = False
        self._lock = threading.Lock()

    def load(self, request: Request) -> tuple[Loaded, bool]:
        """The picture, and whether asking again would give the same."""
        pool = self._opened()
        if pool is None:
            return Loaded(reason="closed"), False
        try:
            outcome = next(pool.run([request]), None)
        except ColonnadeError as error:
            return Loaded(reason=safe(error, limit=300)), False
        if outcome is None:
            return Loaded(reason="closed"), False
        if isinstance(outcome.value, Cells):
            return Loaded(cells=outcome.value), True
        if isinstance(outcome.value, Pixels):
            return Loaded(pixels=outcome.value), True
        reason = outcome.value if outcome.value is not None else outcome.error
        return Loaded(reason=safe(reason or "cannot be decoded", limit=300)), not outcome.died

    def close(self) -> None:
        with self._lock:
            self._closed = True
            pool = self._pool
        if pool is not None:
            with suppress(OSError):
                pool.close()

    def _opened(self) -> IsolatedPool[Request, Cells | Pixels | str] | None:
        from colonnade.engine.isolate import IsolatedPool

        with self._lock:
            if self._closed:
                return None
            if self._pool is None:
                self._pool = IsolatedPool(_render, workers=1, timeout=self._time_limit_s, ahead=1)
            return self._pool


def _render(request: Request) -> Cells | Pixels | str:
    """What a worker calls: only there are Pillow and numpy imported."""
    from colonnade.tui.picture_worker import render

    return render(request)


def _bytes(loaded: Loaded) -> int:
    """Roughly what it takes to remember."""
    if loaded.cells is not None:
        return 400 + len(loaded.cells.colours) + sum(map(len, loaded.cells.text))
    return 400 + (len(loaded.pixels.indices) if loaded.pixels else 0)
