"""Making a store: probing the disk for what the commit protocol needs, then an empty first snapshot."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from colonnade.engine.columns import TABLES
from colonnade.engine.durable import atomic_write, exclusive_lock, fsync_directory, store_errors
from colonnade.engine.errors import StoreError
from colonnade.engine.settings import Settings, dump_settings
from colonnade.engine.stage import publish_snapshot

__all__ = ["create_store", "probe_disk"]

_NAMES = (
    "_snap",
    "_tables",
    "_stage",
    "jobs",
    "live",
    ".lock",
    "vocabulary.yaml",
    "queries.yaml",
    "views.sql",
    *TABLES,
)


def create_store(path: Path, *, settings: Settings, vocabulary: bytes) -> None:
    """Make a store with an empty first snapshot at `path`; `colonnade.toml` is written last.

    Raises:
        StoreError: there is a store already, something is in the way, or the disk cannot hold one.
    """
    with store_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        if (path / "colonnade.toml").exists():
            raise StoreError(f"{path}: there is a store already; `colonnade status -s {path}` shows it")
        _clear_interrupted(path)
        for name in _NAMES:
            if os.path.lexists(path / name):
                raise StoreError(f"{path}/{name}: in the way; choose an empty folder")
        probe_disk(path)
        for name in ("_snap", "_stage", "_tables", "jobs"):
            (path / name).mkdir()
        versions = {}
        for table in TABLES:
            (path / "_tables" / table / "00000001").mkdir(parents=True)
            fsync_directory(path / "_tables" / table)
            (path / table).symlink_to(f"live/{table}")
            versions[table] = "00000001"
        fsync_directory(path / "_tables")
        with exclusive_lock(path / ".lock"):
            publish_snapshot(
                path, None, versions=versions, vocabulary=vocabulary, next_image_id=0, command="init"
            )
            atomic_write(path / "vocabulary.yaml", vocabulary)
            atomic_write(path / "colonnade.toml", dump_settings(settings))


def _clear_interrupted(path: Path) -> None:
    """Remove what an interrupted `init` left: the folders of a store, but no data and no colonnade.toml."""
    tables = path / "_tables"
    if not tables.is_dir() or not (path / "_snap").is_dir() or any(tables.rglob("*.parquet")):
        return
    for name in _NAMES:
        target = path / name
        if (
            name in ("vocabulary.yaml", "queries.yaml")
            and target.exists()
            and not (path / "live").is_symlink()
        ):
            continue
        if target.is_symlink() or target.is_file():
            target.unlink()
        elif target.is_dir():
            shutil.rmtree(target)


def probe_disk(path: Path) -> None:
    """Try hard links, flock and atomic rename in `path`.

    Raises:
        StoreError: one of them does not hold there.
    """
    probe = path / f".probe-{uuid.uuid4().hex}"
    probe.mkdir()
    try:
        first, second, link = probe / "first", probe / "second", probe / "link"
        first.write_bytes(b"1")
        with _refused(path, "hard links"):
            os.link(first, second)
        if second.stat().st_nlink != 2:
            raise _unfit(path, "hard links")
        with _refused(path, "symbolic links and their replacement by rename"):
            link.symlink_to("first")
            other = probe / "other"
            other.symlink_to("second")
            other.rename(link)
            if os.readlink(link) != "second":
                raise _unfit(path, "atomic rename")
        one, two = os.open(first, os.O_RDWR), os.open(first, os.O_RDWR)
        try:
            with _refused(path, "flock"):
                fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
                raise _unfit(path, "flock")
        finally:
            os.close(one)
            os.close(two)
    finally:
        shutil.rmtree(probe, ignore_errors=True)


def _unfit(path: Path, what: str) -> StoreError:
    return StoreError(f"{path}: this disk does not support {what}, which a store needs; choose a local disk")


@contextlib.contextmanager
def _refused(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
            raise
        raise _unfit(path, what) from error
