"""Signals held back while others' C++ code is running: an exception that a handler raises in there ends the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["late_signals"]

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def late_signals() -> Iterator[None]:
    """Have the handler of a signal that asks the process to end run after the block, and not within.

    A second such signal within the block ends the process at once, as where nobody handles it. Signals that Python
    does not handle stay as they are, and so do all of them on a thread that is not the main one: handlers do not
    run there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Callable[[int, FrameType | None], object]] = {
        number: own for number in _NUMBERS if callable(own := signal.getsignal(number))
    }
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        for one in handlers:
            signal.signal(one, signal.SIG_DFL)

    try:
        for number in handlers:
            signal.signal(number, note)
        yield
    finally:
        for number, own in handlers.items():
            signal.signal(number, own)
        if came:
            handlers[came[0]](came[0], None)
