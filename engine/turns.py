"""Turns: who lost to other writers several times commits next, and they wait at their commits until then.

Commits are optimistic and safe without this; a turn only decides who is next. Whoever starved holds `flock(.turn)` from
before it reads until it has committed. Every commit looks, under the writer lock, whether another has a turn; if so
it gives the lock back and waits. The flock goes with its process, and a turn counts for ten minutes at the most, so
that a process that was stopped does not keep the others out.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from colonnade.engine.durable import LOCK_POLL_S, exclusive_lock, store_errors
from colonnade.engine.errors import ConflictError, StoreError

__all__ = ["commit_lock", "conflict_retries", "retrying"]

TRIES, OPTIMISTIC_TRIES = 20, 4
TURN_S = 600.0
_TELL_AFTER_S = 1.0
_FILE = ".turn"

Say = Callable[[str], None]

_held: dict[str, int] = {}
"""Store -> the thread of this process whose turn it is there."""


def conflict_retries(store: Path, say: Say | None = None) -> Iterator[int]:
    """Numbers the tries of an operation that a ConflictError sends back to its start.

    From the fifth on it is this thread's turn: nobody else commits until the loop is left, whichever way.

    Args:
        say: called with one line where it has to wait for another's turn.

    Raises:
        StoreError: after twenty tries, or another's turn did not end.
    """
    yield from range(OPTIMISTIC_TRIES)
    with _turn(Path(store), say):
        yield from range(OPTIMISTIC_TRIES, TRIES)
    raise StoreError("the store kept changing under this command for twenty tries; run it again")


def retrying(error: ConflictError) -> str:
    """A conflict as one line for who waits: what changed meanwhile, and that it is tried again."""
    text = str(error).removesuffix("; nothing was written").removesuffix("; run it again")
    what = text.removesuffix(" meanwhile")
    return f"{what.removesuffix(' changed')}{'' if what.endswith(' changed') else ';'} changed meanwhile, retrying"


@contextmanager
def commit_lock(store: Path, say: Say | None = None) -> Iterator[None]:
    """Hold the writer lock while nobody else has a turn.

    Raises:
        StoreError: the writer lock could not be had.
    """
    while True:
        with exclusive_lock(store / ".lock"):
            if _other(store) is None:
                yield
                return
        _wait(store, say)


@contextmanager
def _turn(store: Path, say: Say | None) -> Iterator[None]:
    key = os.path.realpath(store)
    if _held.get(key) == threading.get_ident():
        yield  # inside a loop that has the turn already
        return
    with store_errors(store):
        _wait(store, say)
        with exclusive_lock(store / _FILE, timeout_s=TURN_S):
            with exclusive_lock(store / ".lock"):
                pass  # who looked before it was our turn has committed by now
            _held[key] = threading.get_ident()
            try:
                yield
            finally:
                del _held[key]


def _wait(store: Path, say: Say | None) -> None:
    started, told = time.monotonic(), False
    while (holder := _other(store)) is not None:
        if say and not told and time.monotonic() - started >= _TELL_AFTER_S:
            say(f"{store}: waiting for process {holder}, whose turn it is to commit")
            told = True
        time.sleep(LOCK_POLL_S)


def _other(store: Path) -> int | None:
    """The process of another thread that has a turn (0 where the file does not say), if there is one."""
    if _held.get(os.path.realpath(store)) == threading.get_ident():
        return None
    try:
        descriptor = os.open(store / _FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        if abs(time.time() - os.fstat(descriptor).st_mtime) > TURN_S:
            return None
        holder = os.pread(descriptor, 20, 0).strip()
        return int(holder) if holder.isdigit() else 0
    finally:
        os.close(descriptor)
    return None
