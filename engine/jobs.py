"""Records of running and past jobs under `STORE/jobs/`, outside the snapshots.

A job is alive exactly as long as it holds a lock on its log file, so a killed process leaves no doubt.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from colonnade.engine.durable import read_bounded, store_errors
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.snapshots import utc_now

__all__ = ["Job", "JobRecord", "embedding_rate", "list_jobs", "read_log", "record_job", "stop_job"]

KEEP_JOBS = 100
_MAX_RECORD_BYTES = 4 << 20
_WRITE_SECONDS = 0.5
_MOST_OUTCOMES = 1000
_ID = re.compile(r"\d{8}-\d{6}-\d{1,10}")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job, as its file tells it."""

    id: str
    command: tuple[str, ...]
    pid: int
    started: str
    updated: str
    state: str = "running"
    """running, done, failed, interrupted; `killed` where the process is gone without a word."""
    phase: str = ""
    done: int = 0
    total: int = 0
    failures: int = 0
    seconds: float = 0.0
    embedded_per_second: float | None = None
    message: str = ""
    outcomes: tuple[tuple[str, str], ...] = field(default=())
    """(path, reason) of files that could not be read."""


class Job:
    """A job that is running in this process."""

    def __init__(self, folder: Path, record: JobRecord, log: int) -> None:
        self._folder, self.record, self._log = folder, record, log
        self._started = time.monotonic()
        self._written = 0.0

    def update(self, phase: str, done: int = 0, total: int = 0, failures: int = 0) -> None:
        """Record progress; written to disk at most twice a second."""
        changed = phase != self.record.phase
        self.record = replace(self.record, phase=phase, done=done, total=total, failures=failures)
        if changed or time.monotonic() - self._written >= _WRITE_SECONDS:
            self.write()

    def note(self, **facts: Any) -> None:
        """Record facts of the job: outcomes, message, embedded_per_second."""
        self.record = replace(self.record, **facts)
        self.write()

    def failed(self, path: str, reason: str) -> None:
        """Record a file that cannot be read; written to disk with the next progress."""
        if len(self.record.outcomes) < _MOST_OUTCOMES:
            self.record = replace(self.record, outcomes=(*self.record.outcomes, (path, reason)))

    def log(self, line: str) -> None:
        """Append a line to the job's log."""
        text = line.replace("\n", " ") + "\n"
        with suppress(OSError):
            os.write(self._log, f"{utc_now()} {text}".encode("utf-8", "backslashreplace"))

    def write(self) -> None:
        """Put the record on disk. A record that cannot be written (a full disk) never fails the job."""
        self._written = time.monotonic()
        self.record = replace(self.record, updated=utc_now(), seconds=round(self._written - self._started, 3))
        path = self._folder / f"{self.record.id}.json"
        temporary = path.with_suffix(".tmp")
        try:
            temporary.write_bytes(json.dumps(asdict(self.record)).encode("utf-8", "surrogateescape"))
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def record_job(store: Path, command: Sequence[str]) -> Iterator[Job]:
    """Keep a record of what runs inside the block, whatever becomes of it."""
    folder = store / "jobs"
    with store_errors(folder):
        folder.mkdir(exist_ok=True)
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise StoreError(f"{folder}: not a folder of the store; refused, run `colonnade verify`")
        _forget_old(folder)
        now = utc_now()
        stamp = re.sub(r"[-:]", "", now[:19]).replace("T", "-")
        name = f"{stamp}-{os.getpid()}"
        log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
        fcntl.flock(log, fcntl.LOCK_EX)
        job = Job(folder, JobRecord(name, tuple(command), os.getpid(), now, now), log)
        job.write()
    state = "failed"
    try:
        yield job
        state = "done"
    except Exception as error:
        job.log(f"error: {error}")
        job.record = replace(job.record, message=str(error)[:2000])
        raise
    except BaseException:
        state = "interrupted"
        raise
    finally:
        job.record = replace(job.record, state=state)
        job.write()
        os.close(log)


def list_jobs(store: Path) -> list[JobRecord]:
    """The jobs that the store remembers, newest first. Damaged records are left out."""
    records = []
    try:
        names = sorted(os.listdir(store / "jobs"), reverse=True)
    except FileNotFoundError:
        return []
    for name in names:
        if not name.endswith(".json") or not _ID.fullmatch(name[:-5]):
            continue
        try:
            record = _parse(read_bounded(store / "jobs" / name, _MAX_RECORD_BYTES, follow=False))
        except (OSError, StoreError, ValueError, TypeError, KeyError, RecursionError):
            continue
        if record.state == "running" and not _alive(store, record.id):
            record = replace(record, state="killed")
        records.append(record)
    return records


def _parse(source: bytes) -> JobRecord:
    """A record from its file.

    Raises:
        ValueError, TypeError, KeyError: it is not one.
    """
    document = json.loads(source)
    rate = document["embedded_per_second"]
    return JobRecord(
        id=str(document["id"]),
        command=tuple(str(word) for word in document["command"]),
        pid=int(document["pid"]),
        started=str(document["started"]),
        updated=str(document["updated"]),
        state=str(document["state"]),
        phase=str(document["phase"]),
        done=int(document["done"]),
        total=int(document["total"]),
        failures=int(document["failures"]),
        seconds=float(document["seconds"]),
        embedded_per_second=None if rate is None else float(rate),
        message=str(document["message"]),
        outcomes=tuple((str(path), str(reason)) for path, reason in document["outcomes"]),
    )


def read_log(store: Path, job: str) -> str:
    """The log of a job, its last MiB.

    Raises:
        InputError: no such job.
    """
    path = store / "jobs" / f"{_checked(store, job)}.log"
    with store_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            start = max(0, os.fstat(descriptor).st_size - (1 << 20))
            return os.pread(descriptor, 1 << 20, start).decode("utf-8", "replace")
        finally:
            os.close(descriptor)


def stop_job(store: Path, job: str) -> bool:
    """Ask a running job to stop and keep what it finished; False if it was not running.

    Raises:
        InputError: no such job.
    """
    name = _checked(store, job)
    record = next((record for record in list_jobs(store) if record.id == name), None)
    if record is None or record.state != "running" or not name.endswith(f"-{record.pid}"):
        return False
    try:
        os.kill(record.pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True


def embedding_rate(store: Path) -> float | None:
    """Images per second of the latest job that embedded any."""
    rates = (record.embedded_per_second for record in list_jobs(store))
    return next((rate for rate in rates if rate), None)


def _checked(store: Path, job: str) -> str:
    if not _ID.fullmatch(job) or not (store / "jobs" / f"{job}.json").is_file():
        raise InputError(f"{job!r}: no such job; `colonnade jobs` lists them")
    return job


def _alive(store: Path, job: str) -> bool:
    try:
        descriptor = os.open(store / "jobs" / f"{job}.log", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _forget_old(folder: Path) -> None:
    names = sorted(
        name[:-5] for name in os.listdir(folder) if name.endswith(".json") and _ID.fullmatch(name[:-5])
    )
    for name in names[:-KEEP_JOBS]:
        for suffix in (".json", ".log"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
