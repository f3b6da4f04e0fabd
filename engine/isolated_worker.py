"""A worker process of `isolate.py`: what it runs, and the frames that both ends exchange.

Imports next to nothing, so that a worker is up in about 50 ms.
"""

from __future__ import annotations

import pickle
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["PROTOCOL", "receive", "send", "serve", "told"]

PROTOCOL = 5
ALARM_GRACE_S = 5.0
MEMORY_BYTES = 6 << 30
"""How much memory an item may take beyond what the worker starts with: a bomb costs its worker, not the machine."""
HEADER = struct.Struct("<Q")


def send(channel: socket.socket, payload: bytes) -> None:
    """Write one frame: its length as 8 bytes, then the payload."""
    channel.sendall(HEADER.pack(len(payload)))
    channel.sendall(payload)


def receive(channel: socket.socket) -> bytearray | None:
    """The next frame; None at the end of the stream."""
    head = _exactly(channel, HEADER.size)
    return None if head is None else _exactly(channel, HEADER.unpack(head)[0])


def _exactly(channel: socket.socket, count: int) -> bytearray | None:
    buffer = bytearray(count)
    view = memoryview(buffer)
    while view:
        received = channel.recv_into(view)
        if not received:
            return None
        view = view[received:]
    return buffer


def serve(descriptor: int) -> None:
    """The main function of a worker process: reads the function, then items, from a socket; ends with it."""
    import resource

    # Whoever interrupts a command reaches its workers too, and these must not look crashed by their items.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with socket.socket(fileno=descriptor) as channel:
        channel.set_inheritable(False)
        try:
            code = receive(channel)
            if code is None:
                return
            function, error = None, None
            try:
                function = pickle.loads(code)  # noqa: S301 (from the process that started this one)
            except BaseException as failure:
                error = told(failure)
            _limit_memory(MEMORY_BYTES)
            send(channel, pickle.dumps((None, error), PROTOCOL))
            while function is not None and (frame := receive(channel)) is not None:
                limit, item = pickle.loads(frame)  # noqa: S301
                send(channel, _answer(function, limit, item))
        except OSError:  # the pool is gone
            return


def _limit_memory(extra: int) -> None:
    """Let this process take only `extra` bytes more; where the system cannot do that, nothing changes."""
    import resource

    if sys.platform != "linux":
        return
    try:
        taken = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        wanted = taken + extra
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
    except (OSError, ValueError, IndexError):
        return


def _answer(function: Callable[[Any], Any], limit: float, item: Any) -> bytes:
    # Should the pool be gone, a hanging worker ends by this alarm, which needs no Python code to run.
    signal.setitimer(signal.ITIMER_REAL, limit + ALARM_GRACE_S)
    try:
        return pickle.dumps((function(item), None), PROTOCOL)
    except BaseException as failure:
        return pickle.dumps((None, told(failure)), PROTOCOL)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def told(error: BaseException) -> str:
    """An exception on one line of printable characters, at most 300."""
    words = " ".join(f"{type(error).__name__}: {error}"[:2400].split()).removesuffix(":")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)[:300]
