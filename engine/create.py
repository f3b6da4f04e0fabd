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
from colonnade.engine.publish import publish_snapshot
from colonnade.engine.settings import Settings, dump_settings

__all__ = ["create_store", "probe_disk"]

_NAMES = (
    "_snap",
    "_tables",
    "_stage",
    "jobs",
    "live",
    ".lock",
    ".turn",
    "vocabulary.yaml",
    "queries.yaml",
    "views.sql",
    *TABLES,
)


def create_store(path: Path, *, settings: Settings, vocabulary: bytes) -> None:
    """Make a store with an empty first snapshot at `path`; `colonnade.toml` is written last.

    Raises:
        StoreError: there is a store already, something is in the way, or the disk cannot hold one; what was begun
            is removed.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = str(path).encode("utf-8", "replace").decode()
        raise StoreError(f"{shown}: not a UTF-8 path, which DuckDB needs; choose another place") from None
    with store_errors(path):
        made = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        _refuse_occupied(path)
        with exclusive_lock(path / ".lock"):
            _refuse_occupied(path)
            _clear_interrupted(path)
            try:
                probe_disk(path)
                _build(path, settings, vocabulary)
            except BaseException:
                _undo(path, made)
                raise
        with contextlib.suppress(OSError):  # a folder that only its owner may read still can hold a store
            fsync_directory(path.parent)


def _build(path: Path, settings: Settings, vocabulary: bytes) -> None:
    for name in ("_snap", "_stage", "_tables", "jobs"):
        (path / name).mkdir()
    versions = {}
    for table in TABLES:
        (path / "_tables" / table / "00000001").mkdir(parents=True)
        fsync_directory(path / "_tables" / table)
        (path / table).symlink_to(f"live/{table}")
        versions[table] = "00000001"
    fsync_directory(path / "_tables")
    publish_snapshot(path, None, versions=versions, vocabulary=vocabulary, next_image_id=0, command="init")
    atomic_write(path / "vocabulary.yaml", vocabulary)
    atomic_write(path / "colonnade.toml", dump_settings(settings))


def _refuse_occupied(path: Path) -> None:
    if (path / "colonnade.toml").exists():
        raise StoreError(f"{path}: there is a store already; `colonnade status -s {path}` shows it")
    interrupted = _interrupted(path)
    for name in _NAMES:
        if not os.path.lexists(path / name) or (interrupted and _made_by_init(path, name)):
            continue
        if name == ".lock" and _is_lock(path / name):
            continue
        raise StoreError(f"{path}/{name}: in the way; choose an empty folder")


def _interrupted(path: Path) -> bool:
    """Whether an `init` was killed here: it begins with `_snap`, and commits nothing but snapshot 1."""
    snap, tables = path / "_snap", path / "_tables"
    if (path / "colonnade.toml").exists() or not snap.is_dir() or snap.is_symlink():
        return False
    if not set(os.listdir(snap)) <= {"00000001", ".tmp-00000001"}:
        return False
    return not any(names for _, _, names in os.walk(tables))


def _made_by_init(path: Path, name: str) -> bool:
    target = path / name
    if name in TABLES or name == "live":
        return target.is_symlink()
    if name == "jobs":
        return not target.is_symlink() and target.is_dir() and not any(target.iterdir())
    if name == "vocabulary.yaml":
        return (path / "live").is_symlink() and target.is_file()
    return name in ("_snap", "_tables", "_stage") and target.is_dir() and not target.is_symlink()


def _is_lock(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size <= 64


def _clear_interrupted(path: Path) -> None:
    """Remove what an interrupted `init` left. The caller holds the lock."""
    for probe in path.glob(".probe-" + "[0-9a-f]" * 32):
        shutil.rmtree(probe, ignore_errors=True)
    if not _interrupted(path):
        return
    doomed = [path / name for name in _NAMES if _made_by_init(path, name)]
    for target in sorted(doomed, key=lambda target: target.name == "_snap"):
        if target.is_symlink() or target.is_file():
            target.unlink()
        else:
            shutil.rmtree(target)
    for pattern in (".tmp-live-*", ".vocabulary.yaml.*.tmp", ".colonnade.toml.*.tmp"):
        for temporary in path.glob(pattern):
            temporary.unlink(missing_ok=True)


def _undo(path: Path, made: bool) -> None:
    with contextlib.suppress(OSError):
        _clear_interrupted(path)
        (path / ".lock").unlink()
        if made:
            path.rmdir()


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
