"""Starting jobs that outlive the app: `colonnade -s STORE tag earth` as a process of its own, without a terminal.

While a job runs it holds a lock on `STORE/jobs/<command>[-<digest of the arguments>].out`, which also gets what it
prints. So the same command cannot be started twice, not by two apps at once either. One that a person started in a
shell is known by its record.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from colonnade.engine.durable import store_errors
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.jobs import JobRecord, list_jobs
from colonnade.engine.snapshots import utc_now
from colonnade.tui.own_process import own_command, own_environment

__all__ = ["COMMANDS", "Started", "printed", "start_job"]

COMMANDS = ("sync", "scan", "embed", "tag", "derive", "map", "calibration", "compact", "verify", "gc", "drop")
"""What may be started as a job."""

_WAIT_S = 3.0
_POLL_S = 0.05
_LEAVING_S = 1.0
"""How long one that has finished its work may take to end."""
_MAX_WORDS = 2000
_MAX_WORD_CHARACTERS = 4096
_SHOWN_BYTES = 1 << 16
_KEEP_S = 7 * 86_400.0
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
_PROCESS = re.compile(rb"process \d+")


@dataclass(frozen=True, slots=True)
class Started:
    """A job that was started."""

    pid: int
    job: str | None
    """The id of its record; None while it has none yet (a plan is made first), or where it ended without one."""
    ended: bool
    """Whether it has ended already, with status 0 or 1: there was nothing to do, or little."""
    message: str
    """The last line that it printed, if it has ended."""


def start_job(store: Path, words: Sequence[str], *, wait_s: float = _WAIT_S) -> Started:
    """Start a command of `colonnade` on a store; it goes on when this process ends or loses its terminal.

    Args:
        words: the command and its arguments: `("tag", "earth")`.
        wait_s: how long to wait for its record (or its early end) before saying that it was started.

    Raises:
        InputError: not a command that can be a job, or the same is running already (it says who holds it).
        StoreError: it ended at once with an error, or the store cannot be written.
    """
    words = tuple(words)
    _check(words)
    held = _running_record(store, words)
    if held is not None:
        raise _refusal(words[0], f"job {held.id}, process {held.pid}, since {held.started[11:16]} UTC")
    output, path = _held_output(store, words)
    started = utc_now()
    try:
        os.ftruncate(output, 0)
        process = subprocess.Popen(
            own_command("colonnade.tui.cli", "-s", str(store), *words),
            stdin=subprocess.DEVNULL,
            stdout=output,  # which holds the lock for as long as the job lives
            stderr=output,
            cwd=store,
            env=own_environment(),
            start_new_session=True,
        )
        os.write(output, f"process {process.pid}\n".encode())
    except OSError as error:
        raise StoreError(f"{words[0]}: cannot be started ({error.strerror or error})") from None
    finally:
        os.close(output)
    return _await(store, process, words, started, path, wait_s)


def _check(words: tuple[str, ...]) -> None:
    if not words or words[0] not in COMMANDS:
        given = words[0][:40] if words else ""
        raise InputError(f"{given!r}: not a command that can be a job; there are {', '.join(COMMANDS)}")
    if len(words) > _MAX_WORDS or any(len(word) > _MAX_WORD_CHARACTERS or "\0" in word for word in words):
        raise InputError(f"{words[0]}: too many arguments, or one that no command takes")


def _running_record(store: Path, words: tuple[str, ...]) -> JobRecord | None:
    """A job of the same command that runs, whoever started it; two with different codes may run side by side."""
    for record in list_jobs(store):
        if record.state == "running" and record.command[:1] == words[:1]:
            mine, theirs = (
                {word for word in command[1:] if not word.startswith("-")}
                for command in (words, record.command)
            )
            if not mine or not theirs or mine & theirs:
                return record
    return None


def _refusal(command: str, who: str) -> InputError:
    return InputError(f"{command}: already running ({who}); wait for it, or stop it in Jobs")


def _output_path(store: Path, words: Sequence[str]) -> Path:
    digest = hashlib.sha256("\0".join(sorted(words[1:])).encode("utf-8", "surrogateescape")).hexdigest()
    return store / "jobs" / (f"{words[0]}-{digest[:8]}.out" if words[1:] else f"{words[0]}.out")


def _held_output(store: Path, words: tuple[str, ...]) -> tuple[int, Path]:
    """The locked file for what the job prints."""
    path = _output_path(store, words)
    with store_errors(path):
        path.parent.mkdir(exist_ok=True)
        _forget_old(path.parent)
        deadline = time.monotonic() + _LEAVING_S
        while True:
            output = os.open(path, _FLAGS | os.O_CREAT, 0o644)
            try:
                fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_still(path, output):
                    return output, path
            except BlockingIOError:
                if time.monotonic() < deadline:
                    os.close(output)
                    time.sleep(_POLL_S)
                    continue
                who = _PROCESS.search(os.pread(output, _SHOWN_BYTES, 0))
                os.close(output)
                raise _refusal(words[0], who[0].decode() if who else "just started") from None
            except OSError:
                os.close(output)
                raise
            os.close(output)  # it was tidied away between opening and locking


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return path.lstat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _forget_old(folder: Path) -> None:
    """Remove what jobs printed more than a week ago, unless one still runs."""
    for path in folder.glob("*.out"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime < _KEEP_S:
                continue
            descriptor = os.open(path, _FLAGS)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


def _await(
    store: Path,
    process: subprocess.Popen[bytes],
    words: tuple[str, ...],
    started: str,
    path: Path,
    wait_s: float,
) -> Started:
    deadline = time.monotonic() + wait_s
    while True:
        code = process.poll()
        records = [record for record in list_jobs(store) if record.started >= started]
        job = next((record.id for record in records if record.pid == process.pid), None)
        if code is not None:
            return _ended(process.pid, words, code, job, path)
        if job is not None or time.monotonic() > deadline:
            threading.Thread(target=process.wait, daemon=True).start()  # no zombie is left behind
            return Started(process.pid, job, False, "")
        time.sleep(_POLL_S)


def _ended(pid: int, words: tuple[str, ...], code: int, job: str | None, path: Path) -> Started:
    line = last_line(path)
    if code not in (0, 1):
        raise StoreError(f"{words[0]}: {line.removeprefix('colonnade: ') or f'ended with status {code}'}")
    return Started(pid, job, True, line)


def last_line(path: Path) -> str:
    """The last line that a job printed; '' if it printed none."""
    said = [line.strip() for line in _output(path) if line.strip() and not _PROCESS.fullmatch(line)]
    return said[-1].decode("utf-8", "replace")[:500] if said else ""


def printed(store: Path, record: JobRecord) -> list[str]:
    """What a job that was started here has printed, its last 64 KiB; nothing once the same command was started anew."""
    lines = _output(_output_path(store, record.command))
    if f"process {record.pid}".encode() not in lines:
        return []
    return [
        line.decode("utf-8", "replace") for line in lines if line.strip() and not _PROCESS.fullmatch(line)
    ]


def _output(path: Path) -> list[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        first = os.pread(descriptor, 64, 0).splitlines()[:1]
        start = max(0, os.fstat(descriptor).st_size - _SHOWN_BYTES)
        return (first if start else []) + os.pread(descriptor, _SHOWN_BYTES, start).splitlines()
    finally:
        os.close(descriptor)
