"""Running a function on hostile items in worker processes that may hang, crash or be killed.

Each worker is a fresh interpreter (never a fork) that imports the module of the function and nothing else,
and talks to the pool through one socket: pickles, both ways between our own processes only. A thread of the
pool feeds the workers, so that they run ahead while the caller is busy, by at most `ahead` items.
"""

from __future__ import annotations

import os
import pickle
import queue
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar, cast

from colonnade.engine.errors import ColonnadeError
from colonnade.engine.isolated_crew import START_TIMEOUT_S, Crew, Task, Worker, ending
from colonnade.engine.isolated_worker import PROTOCOL, receive, send

__all__ = ["IsolatedPool", "Outcome", "usable_cpus"]

T = TypeVar("T")
R = TypeVar("R")

STOOD_STILL_S = 1.0
ITEM_BYTES = 64 << 10
"""An item is a path or the like. Larger ones could not be queued in a worker's socket."""
_DEPTH = 2  # items handed to a worker at once: the second is there when the first is done
_CRASHES = 2  # a crash may be the fault of the item before, so that an item gets a second, fresh worker


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T, R]):
    """What became of one item: a value, or the reason why there is none."""

    item: T
    value: R | None
    error: str | None = None
    """One line: the exception, `took longer than 30 s`, or `crashed (SIGSEGV)`; None if there is a value."""
    died: bool = False
    """The worker hung or crashed, as opposed to an exception."""


def usable_cpus() -> int:
    """How many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class IsolatedPool(Generic[T, R]):
    """A pool of worker processes, for use in a `with` statement.

    Args:
        function: called as `function(item)` with small items; results may be large. Importable by name (a
            `functools.partial` of such works too).
        workers: how many processes at most; they are started when there is work for them.
        timeout: seconds an item may take, or a function that gives them for an item.
        ahead: how many items may be under way or wait for the caller; by default 8 for each worker.

    Raises:
        ValueError: the function cannot be sent to another process.
    """

    def __init__(
        self,
        function: Callable[[T], R],
        *,
        workers: int | None = None,
        timeout: float | Callable[[T], float] = 30.0,
        ahead: int | None = None,
    ) -> None:
        try:
            self._crew = Crew(pickle.dumps(function, PROTOCOL))
        except Exception as error:
            raise ValueError(f"{function!r} is not importable by name: {error}") from None
        self._workers = max(1, usable_cpus() if workers is None else workers)
        self._ahead = max(1, 8 * self._workers if ahead is None else ahead)
        self._limit_s = timeout if callable(timeout) else lambda item: timeout
        self._pump: _Pump[T, R] | None = None

    def __enter__(self) -> IsolatedPool[T, R]:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self.close()

    def run(self, items: Iterable[T]) -> Generator[Outcome[T, R], None, None]:
        """One outcome for each item, in the order in which they are done.

        `items` is read in another thread, no faster than results are taken. What it raises is raised here.
        The workers stay for the next run; one run at a time.

        Raises:
            ColonnadeError: workers cannot be started.
        """
        if self._pump is not None:
            raise RuntimeError("this pool is already running")
        pump = self._pump = _Pump(self._crew, iter(items), self._workers, self._ahead, self._limit_s)
        try:
            yield from pump.outcomes()
        finally:
            pump.stop()
            if self._pump is pump:
                self._pump = None

    def close(self) -> None:
        """Kill the workers. They hold nothing that could be lost."""
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.stop()
        self._crew.close()

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that are alive."""
        return [worker.process.pid for worker in self._crew.workers]


class _Pump(Generic[T, R]):
    """The thread of one run: hands items to workers, takes results, keeps the clock."""

    def __init__(
        self, crew: Crew, items: Iterator[T], workers: int, ahead: int, limit_s: Callable[[T], float]
    ) -> None:
        self._crew = crew
        self._items = items
        self._most_workers = workers
        self._ahead = ahead
        self._limit_s = limit_s
        self._more = True
        self._again: deque[Task] = deque()
        self._done: queue.SimpleQueue[Outcome[T, R] | BaseException | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._open = 0  # items read and not yet taken by the caller
        self._stopping = False
        self._bell, self._ring = socket.socketpair()
        self._bell.setblocking(False)
        self._ring.setblocking(False)
        self._thread = threading.Thread(target=self._main, name="isolated-pool", daemon=True)
        self._thread.start()

    def outcomes(self) -> Iterator[Outcome[T, R]]:
        while (outcome := self._done.get()) is not None:
            if isinstance(outcome, BaseException):
                raise outcome
            with self._lock:
                was_full = self._open >= self._ahead
                self._open -= 1
            if was_full:
                self._wake()
            yield outcome

    def stop(self) -> None:
        self._stopping = True
        self._wake()
        self._thread.join()
        self._bell.close()
        self._ring.close()

    def _wake(self) -> None:
        try:
            self._ring.send(b"!")
        except OSError:  # full: it is awake
            pass

    def _main(self) -> None:
        try:
            self._loop()
            self._done.put(None)
        except BaseException as error:
            self._done.put(error)
        finally:
            for worker in self._crew.busy:
                self._crew.dismiss(worker)

    def _loop(self) -> None:
        while not self._stopping:
            self._dispatch()
            busy = self._crew.busy
            if not busy and not self._more and not self._again:
                return
            with selectors.DefaultSelector() as selector:
                selector.register(self._bell, selectors.EVENT_READ, None)
                for worker in self._crew.workers:
                    selector.register(worker.channel, selectors.EVENT_READ, worker)
                began = time.monotonic()
                soonest = min((worker.deadline for worker in busy), default=None)
                wait = None if soonest is None else max(0.0, soonest - began)
                events = selector.select(wait)
                if soonest is not None and time.monotonic() - max(began, soonest) > STOOD_STILL_S:
                    self._postpone(time.monotonic() - began)
                for key, _ in events:
                    if key.data is None:
                        self._bell.recv(1 << 16)
                    else:
                        self._receive(key.data)
            now = time.monotonic()
            for worker in busy:
                if worker.tasks and now >= worker.deadline and worker in self._crew.workers:
                    self._hung(worker)

    def _postpone(self, seconds: float) -> None:
        """Not count the time that this process stood still (Ctrl-Z, a busy interpreter) against the items."""
        for worker in self._crew.workers:
            worker.deadline += seconds

    def _dispatch(self) -> None:
        for depth in range(1, _DEPTH + 1):  # one each, before anyone gets a second
            while not self._stopping:
                worker = next((each for each in self._crew.workers if len(each.tasks) < depth), None)
                if worker is None and (depth > 1 or len(self._crew.workers) >= self._most_workers):
                    break
                task = self._next_task()
                if task is None:
                    return
                self._give(worker or self._crew.start(), task)

    def _next_task(self) -> Task | None:
        if self._again:
            return self._again.popleft()
        with self._lock:
            if not self._more or self._open >= self._ahead:
                return None
            self._open += 1
        try:
            return Task(next(self._items))
        except StopIteration:
            self._more = False
            with self._lock:
                self._open -= 1
            return None

    def _give(self, worker: Worker, task: Task) -> None:
        limit = self._limit_s(task.item)
        payload = pickle.dumps((limit, task.item), PROTOCOL)
        if len(payload) > ITEM_BYTES:
            raise ValueError(f"an item of {len(payload):,} bytes: pass what names it instead")
        if not worker.tasks and worker.ready:
            worker.deadline = time.monotonic() + limit
        worker.tasks.append(task)
        try:
            send(worker.channel, payload)
        except OSError:  # it died; reading from it will tell
            pass

    def _receive(self, worker: Worker) -> None:
        # A frame that began is there at once, but for a worker that was stopped in the middle of it.
        worker.channel.settimeout(max(0.1, worker.deadline - time.monotonic()))
        try:
            frame = receive(worker.channel)
        except TimeoutError:
            return self._hung(worker)
        except OSError:
            frame = None
        if frame is None:
            return self._died(worker)
        worker.channel.settimeout(None)
        value, error = pickle.loads(frame)  # noqa: S301 (from our own process)
        if not worker.ready:
            if error is not None:
                raise ColonnadeError(f"worker processes cannot be started: {error}")
            worker.ready = True
        else:
            task = worker.tasks.popleft()
            self._done.put(Outcome(cast(T, task.item), value, error))
        if worker.tasks:
            worker.deadline = time.monotonic() + self._limit_s(worker.tasks[0].item)
        return None

    def _hung(self, worker: Worker) -> None:
        if not worker.ready:
            raise ColonnadeError(f"worker processes do not start within {START_TIMEOUT_S:.0f} s")
        self._crew.dismiss(worker)
        task = worker.tasks.popleft()
        self._again.extend(worker.tasks)
        limit = self._limit_s(task.item)
        self._done.put(Outcome(cast(T, task.item), None, f"took longer than {limit:g} s", died=True))

    def _died(self, worker: Worker) -> None:
        self._crew.dismiss(worker)
        code = worker.process.wait()
        if not worker.ready:
            raise ColonnadeError(f"worker processes cannot be started: {ending(code)}")
        if not worker.tasks:
            return
        task = worker.tasks.popleft()
        self._again.extend(worker.tasks)
        task.crashes += 1
        if task.crashes < _CRASHES:
            self._again.append(task)
        else:
            self._done.put(Outcome(cast(T, task.item), None, f"crashed ({ending(code)})", died=True))
