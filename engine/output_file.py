"""Files that a command writes for its user: complete or not there at all, and never over an image or a store's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from colonnade.engine.columns import TABLES
from colonnade.engine.durable import fsync_directory, fsync_file, store_errors
from colonnade.engine.errors import InputError
from colonnade.engine.images import EXTENSIONS

__all__ = ["output_file"]

_OF_A_STORE = frozenset(
    {
        *TABLES,
        *(".lock", ".turn", "_snap", "_stage", "_tables", "jobs", "live"),
        *("colonnade.toml", "queries.yaml", "views.sql", "vocabulary.yaml"),
    }
)


class _ReaderGoneError(Exception):
    """The reader of a pipe went away; no OSError, which would pass for one of the disk's."""


@contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise _ReaderGoneError from None


@contextmanager
def output_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its place at once and complete, or not at all.

    What is no regular file (a pipe, /dev/stdout) is written directly.

    Raises:
        BrokenPipeError: the pipe's reader went away.
        InputError: the folder does not exist, or `path` is one, or of a store, or an image that is there.
        StoreError: the disk refused.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder; name a file in it")
    if path.exists() and not path.is_file():  # /dev/stdout may stand for a pipe, which has no real path
        try:
            with store_errors(path), _unless_gone(), path.open("wb") as stream:
                yield stream
        except _ReaderGoneError:
            raise BrokenPipeError from None
        return
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise InputError(f"{path}: there is no folder {target.parent}; make it first")
    _refuse_an_image(path, target)
    _refuse_a_store_s(target)
    with store_errors(target):
        temporary = target.with_name(f".{target.name[:200]}.{os.urandom(4).hex()}.tmp")
        try:
            with temporary.open("xb") as stream:
                yield stream
                stream.flush()
                fsync_file(stream.fileno())
            temporary.replace(target)
            fsync_directory(target.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _refuse_an_image(path: Path, target: Path) -> None:
    """No format that is written is an image's, so what has such a name is somebody's picture."""
    for name in (path, target):
        if name.suffix[1:].lower() in EXTENSIONS and target.exists():
            raise InputError(f"{name}: an image, which would be lost; choose another name")


def _refuse_a_store_s(target: Path) -> None:
    for folder in target.parents:
        own = target.relative_to(folder).parts[0] in _OF_A_STORE
        if own and (folder / "colonnade.toml").is_file() and (folder / "_snap").is_dir():
            raise InputError(f"{target}: one of the files of the store {folder}; choose another place")
