"""The standard streams of a process, so that none of their failures is a traceback.

A reader that went away (`| head`) is no error: what is written after that is thrown away, and the command ends with its
own exit status. Anything else that keeps stdout from being written, as a full disk, is an error. What becomes of stderr
never changes how a command ends. A stream that was closed before the start (`>&-`) is /dev/null.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["guarded_streams", "reader_gone"]


class _Descriptor(io.RawIOBase):
    """Writes to a file descriptor; after the first failure nothing is written any more."""

    def __init__(self, descriptor: int, name: str, *, strict: bool) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._name = name
        self._strict = strict
        self.failed = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Buffer, /) -> int:
        """Write, or throw away.

        Raises:
            StoreError: the system refused to write to stdout, and not because its reader went away.
        """
        from colonnade.engine.durable import store_errors

        size = memoryview(data).nbytes
        if self.failed:
            return size
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            self.failed = True
            if self._strict and not isinstance(error, BrokenPipeError):
                with store_errors(Path(self._name)):
                    raise
            return size


class _Stream(io.TextIOWrapper):
    """A text stream over a `_Descriptor`."""

    def __init__(self, descriptor: int, name: str, like: TextIO | None, *, strict: bool) -> None:
        self.sink = _Descriptor(descriptor, name, strict=strict)
        super().__init__(
            io.BufferedWriter(self.sink),
            encoding=getattr(like, "encoding", None) or "utf-8",
            errors="backslashreplace",
            line_buffering=not strict or self.sink.isatty(),
        )


def reader_gone() -> bool:
    """Whether nobody reads stdout any more, so that there is no point in going on."""
    stream = sys.stdout
    return isinstance(stream, _Stream) and stream.sink.failed


@contextlib.contextmanager
def guarded_streams() -> Iterator[None]:
    """Replace the standard streams for the time of a command; those that are no files are left as they are."""
    before = sys.stdin, sys.stdout, sys.stderr
    _open_closed()
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = _guarded(sys.stdout, 1, "stdout", strict=True)
    sys.stderr = _guarded(sys.stderr, 2, "stderr", strict=False)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _open_closed() -> None:
    """Put /dev/null in the place of closed standard descriptors: else a file of the store would get their number."""
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            with contextlib.suppress(OSError):
                os.fstat(number)
                continue
            os.open(os.devnull, os.O_RDWR)


def _guarded(stream: TextIO | None, number: int, name: str, *, strict: bool) -> TextIO:
    if stream is None:
        return _Stream(number, name, None, strict=strict)
    try:
        stream.flush()
        number = stream.fileno()
    except OSError:  # a stream in memory, as tests have
        return stream
    return _Stream(number, name, stream, strict=strict)
