"""The worker processes of a pool (`isolate.py`): starting, killing and reaping them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from colonnade.engine.errors import ColonnadeError
from colonnade.engine.isolated_worker import send, told

__all__ = ["Crew", "Task", "Worker", "ending"]

START_TIMEOUT_S = 60.0
REAP_S = 5.0
_BUFFER_BYTES = 256 << 10


@dataclass(slots=True, eq=False)
class Task:
    """An item on its way through the workers."""

    item: Any
    crashes: int = 0


@dataclass(slots=True, eq=False)
class Worker:
    """One process, and what it was given: the first task is the one that it works on."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    deadline: float
    """On the monotonic clock: for being ready, then for the first task."""
    ready: bool = False
    tasks: deque[Task] = field(default_factory=deque)


class Crew:
    """The workers that are alive, in the order in which they were started.

    Args:
        function: the pickled function that they are to call.
    """

    def __init__(self, function: bytes) -> None:
        self.workers: list[Worker] = []
        self._function = function
        self._dying: list[subprocess.Popen[bytes]] = []

    @property
    def busy(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.tasks]

    def start(self) -> Worker:
        """A new worker; it is ready once it says so.

        Raises:
            ColonnadeError: the system starts no more processes.
        """
        here, there = socket.socketpair()
        for end in (here, there):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        # -P and the explicit path: the current folder may hold a stranger's `struct.py` or `colonnade/`.
        boot = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from colonnade.engine.isolated_worker import serve; serve({there.fileno()})"
        )
        try:
            with there:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", boot],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[there.fileno()],
                )
            worker = Worker(process, here, time.monotonic() + START_TIMEOUT_S)
            self.workers.append(worker)
            send(here, self._function)
        except OSError as error:
            here.close()
            raise ColonnadeError(f"worker processes cannot be started: {told(error)}") from None
        return worker

    def dismiss(self, worker: Worker) -> None:
        """Kill a worker without waiting for it to be gone."""
        self.workers.remove(worker)
        worker.channel.close()
        worker.process.kill()
        self._dying.append(worker.process)
        self._dying = [process for process in self._dying if process.poll() is None]

    def close(self) -> None:
        """Kill every worker and wait until they are gone."""
        for worker in list(self.workers):
            self.dismiss(worker)
        for process in self._dying:
            try:
                process.wait(REAP_S)
            except subprocess.TimeoutExpired:  # it waits for a disk that does not answer, and goes with that
                pass
        self._dying.clear()


def ending(code: int) -> str:
    """How a process ended, by its return code."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
