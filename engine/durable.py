"""Writing files so that a crash leaves the old or the new content, and the store's lock."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from colonnade.engine.errors import ConflictError, StoreError

__all__ = ["atomic_write", "exclusive_lock", "fsync_all", "fsync_directory", "fsync_file", "store_errors"]

LOCK_TIMEOUT_S = 60.0
LOCK_POLL_S = 0.02

_REASONS = {
    errno.ENOSPC: "no space left on the disk; nothing was changed, free some space and run it again",
    errno.EDQUOT: "the disk quota is used up; nothing was changed, free some space and run it again",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
    errno.EIO: "the disk reports an input/output error",
    errno.EMFILE: "too many open files; raise `ulimit -n`",
}


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals below `path` into one-line StoreErrors."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, (error.strerror or str(error)).lower())
        where = error.filename if isinstance(error.filename, str) else str(path)
        raise StoreError(f"{where}: {reason}") from error


def fsync_file(descriptor: int) -> None:
    """Flush a file to the disk itself (macOS needs F_FULLFSYNC for that)."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: Path, data: bytes, *, expected: bytes | None = None) -> None:
    """Replace `path` by `data` through a temporary file beside it; keeps the file's mode.

    Args:
        expected: what the caller read from `path`; if the file says something else now, nothing is written.

    Raises:
        ConflictError: the file changed since it was read.
        OSError: the disk refused.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fchmod(descriptor, mode)
            fsync_file(descriptor)
        finally:
            os.close(descriptor)
        if expected is not None and target.read_bytes() != expected:
            raise ConflictError(
                f"{path}: changed since it was read; nothing was written, run the command again"
            )
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(target.parent)


def fsync_all(paths: Iterable[Path]) -> None:
    """Make files and directories durable; several at once, which journaling file systems group."""
    todo = list(paths)

    def flush(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fsync_file(descriptor)
        finally:
            os.close(descriptor)

    if len(todo) < 4:
        for path in todo:
            flush(path)
        return
    with ThreadPoolExecutor(min(32, len(todo))) as pool:
        for _ in pool.map(flush, todo):
            pass


@contextmanager
def exclusive_lock(path: Path, *, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold `flock(path)`; the file names its holder for those who wait too long.

    Raises:
        StoreError: the lock could not be had within `timeout_s` seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip() or "unknown"
                    raise StoreError(
                        f"{path}: locked by process {holder} for {timeout_s:.0f} s; wait for it or stop it"
                    ) from None
                time.sleep(LOCK_POLL_S)
        holder_line = f"{os.getpid():<20}\n".encode()
        os.pwrite(descriptor, holder_line, 0)
        yield
    finally:
        os.close(descriptor)
