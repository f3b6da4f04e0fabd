"""Killing real processes at random points, and what must hold of a store afterwards.

`COLONNADE_KILLS` sets how often (20 by default).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from colonnade.engine.columns import TABLES
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.verify import verify

KILLS = int(os.environ.get("COLONNADE_KILLS", "20"))
WRITER = Path(__file__).with_name("crash_writer.py")


@dataclass(frozen=True)
class Killed:
    """What a process said before it was killed, or ended by itself."""

    lines: tuple[str, ...]
    """Its whole lines on stdout."""
    returncode: int
    errors: str

    @property
    def by_signal(self) -> bool:
        return self.returncode == -signal.SIGKILL


def run_and_kill(
    command: Sequence[str | Path],
    delay: float,
    *,
    ready: str | None = "ready",
    env: Mapping[str, str] | None = None,
    timeout: float = 120.0,
) -> Killed:
    """Start a process, and kill -9 it and its children `delay` seconds after it said `ready`.

    Args:
        ready: the line on stdout from which the delay counts; None: from the start.
    """
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=None if env is None else {**os.environ, **env},
    )
    lines: list[str] = []
    started = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):
                lines.append(line.rstrip("\n"))
            if line.rstrip("\n") == ready:
                started.set()
        started.set()

    def read_errors() -> None:
        assert process.stderr is not None
        errors.append(process.stderr.read())

    errors: list[str] = []
    readers = [threading.Thread(target=read), threading.Thread(target=read_errors)]
    for reader in readers:
        reader.start()
    try:
        if ready is not None:
            assert started.wait(timeout), "the process never said that it is ready"
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        for reader in readers:
            reader.join(timeout)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    return Killed(tuple(lines), process.returncode, "".join(errors))


def delays(count: int, longest: float, seed: int = 0) -> Iterator[float]:
    """Random delays in seconds, `count` of them, more of the short ones."""
    draw = random.Random(seed)
    for _ in range(count):
        yield longest * draw.random() ** 1.5


def assert_sound(store: Path) -> None:
    """`verify` finds nothing wrong."""
    report = verify(store)
    assert report.sound, "\n".join(str(fault) for fault in report.faults)


def content(snapshot: Snapshot) -> dict[str, bytes]:
    """All that the tables of a snapshot hold: its data files by their names."""
    return {
        f"{table}/{file.partition}/{file.name}": file.path.read_bytes()
        for table in TABLES
        for file in snapshot.files(table)
    }


def naive(store: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query in which `{scores}` and the like stand for a plain glob over the table's Parquet.

    As somebody would write it who knows nothing of snapshots: `'STORE/scores/**/*.parquet'`.
    """
    with duckdb.connect() as connection:
        for table in ("images", "embeddings", "scores", "sets", "definitions"):
            glob = f"read_parquet('{store}/{table}/**/*.parquet', hive_partitioning = true)"
            sql = sql.replace("{" + table + "}", glob)
        return connection.execute(sql).fetchall()


def writer_command(mode: str, store: Path, *options: str | int) -> list[str]:
    """The command that runs `crash_writer.py`."""
    return [sys.executable, str(WRITER), mode, str(store), *(str(option) for option in options)]


@contextmanager
def small_disk(folder: Path, size: str = "4m") -> Iterator[Path]:
    """A tmpfs of `size` mounted at `folder`; skips the test where it cannot be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "colonnade-test", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no small disk could be mounted: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        for _ in range(50):
            if subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_disk(folder: Path, leave: int) -> Path:
    """Fill the disk with one file, but for about `leave` bytes; delete the file to have the space back."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    return ballast


@contextmanager
def pages_left(folder: Path, count: int) -> Iterator[None]:
    """A disk of `small_disk` that has room for so many pages of 4 KiB and no more."""
    ballast = fill_disk(folder, count * 4096)
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def names_left(folder: Path, count: int) -> Iterator[None]:
    """The same that takes so many new files, folders and links and no more, however small they are."""
    status = os.statvfs(folder)
    _limit_names(folder, status.f_files - status.f_ffree + count)
    try:
        yield
    finally:
        _limit_names(folder, status.f_files)


def _limit_names(folder: Path, count: int) -> None:
    command = ["mount", "-o", f"remount,nr_inodes={count}", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
