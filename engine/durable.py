"""Writing files so that a crash leaves the old or the new content, and the store's lock."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from colonnade.engine.errors import ConflictError, StoreError

__all__ = [
    "atomic_write",
    "exclusive_lock",
    "fsync_all",
    "fsync_directory",
    "fsync_file",
    "read_bounded",
    "store_errors",
]

LOCK_TIMEOUT_S = 60.0
LOCK_POLL_S = 0.02

_REASONS = {
    errno.ENOSPC: "no space left on the disk; what was committed is kept, free some space and run it again",
    errno.EDQUOT: "the disk quota is used up; what was committed is kept, free some space and run it again",
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


def read_bounded(path: Path, limit: int, *, follow: bool = True) -> bytes:
    """The content of a regular file of at most `limit` bytes; a pipe or device is refused, not waited for.

    Args:
        follow: whether `path` itself may be a link.

    Raises:
        OSError: it cannot be read.
        StoreError: not a regular file, or larger than `limit`.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StoreError(f"{path}: not a regular file; refused")
        chunks, left = [], limit + 1
        while left > 0 and (chunk := os.read(descriptor, min(left, 1 << 20))):
            chunks.append(chunk)
            left -= len(chunk)
    finally:
        os.close(descriptor)
    if left <= 0:
        raise StoreError(f"{path}: larger than {limit:,} bytes; refused")
    return b"".join(chunks)


def atomic_write(path: Path, data: bytes, *, expected: bytes | None = None) -> None:
    """Replace `path` by `data` through a temporary file beside it; keeps the file's mode.

    Args:
        expected: what the caller read from `path`; if the file says something else now, nothing is written. A `path`
            that is a link is followed only then: without having read what is there, the link itself is replaced,
            so that a stranger's store cannot have files outside it overwritten.

    Raises:
        ConflictError: the file changed since it was read.
        OSError: the disk refused.
    """
    target = path.resolve() if expected is not None else path
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        mode = stat.S_IMODE(target.lstat().st_mode) & 0o777 if not target.is_symlink() else 0o644
    except FileNotFoundError:
        mode = 0o644
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
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
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(32, len(todo))) as pool:
        for _ in pool.map(flush, todo):
            pass


@contextmanager
def exclusive_lock(path: Path, *, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold `flock(path)`; the file names its holder for those who wait too long.

    Raises:
        StoreError: the lock could not be had within `timeout_s` seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StoreError(f"{path}: not a regular file; refused")
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
        with suppress(OSError):  # only a courtesy to those who wait; a full disk must not keep `gc` out
            os.pwrite(descriptor, f"{os.getpid():<20}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
