"""A thread that notices what other processes do to the store, and whether the terminal is still there."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord
    from colonnade.tui.session import Session
    from colonnade.tui.session_model import Overview

__all__ = ["Watcher", "end_soon"]

_SECONDS = 0.4


class Watcher(threading.Thread):
    """Polls the session two or three times a second; says nothing while nothing changed."""

    def __init__(
        self,
        session: Session,
        call: Callable[..., Any],
        snapshot_moved: Callable[[Overview], None],
        jobs_moved: Callable[[Sequence[JobRecord]], None],
        seconds: float = _SECONDS,
    ) -> None:
        """`call`: runs a function with its arguments on the event loop."""
        super().__init__(name="colonnade-watcher", daemon=True)
        self._session, self._call, self._seconds = session, call, seconds
        self._snapshot_moved, self._jobs_moved = snapshot_moved, jobs_moved
        self._ended = threading.Event()
        self._jobs: tuple[JobRecord, ...] | None = None
        self._jobs_stamp = 0
        self._moved = False

    def stop(self) -> None:
        """End before the next look."""
        self._ended.set()

    def run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self._moved |= self._session.notice()
                overview = self._session.overview() if self._moved else None
                self._moved = False
                jobs = self._read_jobs()
            except Exception:  # a store that is being moved or restored: looked at again in a moment
                continue
            try:
                if overview is not None and not self._ended.is_set():
                    self._call(self._snapshot_moved, overview)
                if jobs is not None and jobs != self._jobs and not self._ended.is_set():
                    self._jobs = jobs
                    self._call(self._jobs_moved, jobs)
            except Exception:  # the event loop ended meanwhile
                return

    def _read_jobs(self) -> tuple[JobRecord, ...] | None:
        """The records, if they may have changed: a job that is killed tells only by its lock."""
        try:
            stamp = (self._session.path / "jobs").stat().st_mtime_ns
        except OSError:
            stamp = 0
        running = any(job.state == "running" for job in self._jobs or ())
        if stamp == self._jobs_stamp and not running:
            return self._jobs
        self._jobs_stamp = stamp
        return tuple(self._session.jobs())


def end_soon(code: int, seconds: float = 3.0) -> None:
    """End the process after a while even if a thread hangs on a terminal that is gone."""

    def end() -> None:
        time.sleep(seconds)
        os._exit(code)

    threading.Thread(target=end, daemon=True, name="colonnade-end").start()
