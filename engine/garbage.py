"""What a crash or a superseded snapshot leaves behind: finding it under the lock, deleting it outside."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from colonnade.engine.columns import TABLES
from colonnade.engine.durable import exclusive_lock, store_errors
from colonnade.engine.snapshots import live_number, snapshot_folder

__all__ = ["Collected", "collect", "delete_trash", "sweep"]

KEEP_SNAPSHOTS = 20
KEEP_SECONDS = 600.0
_HIDDEN_STAGE_SECONDS = 60.0


@dataclass(frozen=True)
class Collected:
    """What `gc` removed."""

    snapshots: int
    leftovers: int
    bytes: int


def sweep(
    store: Path, live: int, *, keep_snapshots: int = KEEP_SNAPSHOTS, keep_seconds: float = KEEP_SECONDS
) -> list[Path]:
    """Move what nothing can refer to any more into the trash; returns the trash to delete after unlocking.

    The caller holds the lock. Garbage is: snapshots above `live`; snapshots superseded long enough ago;
    table versions that no snapshot links to; temporary names; stages whose writer has died.
    """
    doomed = [*_dead_stages(store), *_temporary(store)]
    numbers = sorted(int(name) for name in os.listdir(store / "_snap") if name.isdecimal())
    expired = set(_expired(store, [n for n in numbers if n <= live], keep_snapshots, keep_seconds))
    above = {n for n in numbers if n > live}
    doomed += [store / snapshot_folder(n) for n in sorted(expired | above)]
    kept = [n for n in numbers if n not in expired and n not in above]
    doomed += _unreferenced_versions(store, kept)
    if not doomed:
        return []
    trash = store / "_stage" / f".trash-{uuid.uuid4().hex}"
    trash.mkdir()
    for index, path in enumerate(doomed):
        try:
            path.rename(trash / f"{index:06d}")
        except FileNotFoundError:
            continue
    return [trash]


def delete_trash(trash: list[Path]) -> None:
    """Delete what `sweep` moved away. Needs no lock; an interrupted deletion is taken up by the next sweep."""
    for path in trash:
        shutil.rmtree(path, ignore_errors=True)


def collect(
    store: Path, *, keep_snapshots: int = KEEP_SNAPSHOTS, keep_seconds: float = KEEP_SECONDS
) -> Collected:
    """Remove garbage and old snapshots now; reports what was freed.

    Raises:
        StoreError: locked for too long, or the disk refused.
    """
    with store_errors(store):
        before = len(os.listdir(store / "_snap"))
        with exclusive_lock(store / ".lock"):
            trash = sweep(store, live_number(store), keep_snapshots=keep_snapshots, keep_seconds=keep_seconds)
        snapshots = before - len(os.listdir(store / "_snap"))
        leftovers = sum(len(os.listdir(path)) for path in trash)
        freed = sum(_exclusive_bytes(path) for path in trash)
        delete_trash(trash)
    return Collected(snapshots, leftovers - snapshots, freed)


def _expired(store: Path, numbers: list[int], keep_snapshots: int, keep_seconds: float) -> list[int]:
    candidates = numbers[: -max(1, keep_snapshots)]
    now = time.time()
    expired = []
    for number, successor in zip(candidates, numbers[1:], strict=False):
        try:
            superseded = (store / snapshot_folder(successor)).lstat().st_mtime
        except FileNotFoundError:
            continue
        if now - superseded >= keep_seconds:
            expired.append(number)
    return expired


def _unreferenced_versions(store: Path, snapshots: list[int]) -> list[Path]:
    referenced: set[tuple[str, str]] = set()
    for number in snapshots:
        folder = store / snapshot_folder(number)
        for table in TABLES:
            try:
                referenced.add((table, os.readlink(folder / table).rsplit("/", 1)[-1]))
            except OSError:
                continue
    return [
        store / "_tables" / table / name
        for table in TABLES
        for name in os.listdir(store / "_tables" / table)
        if name.isdecimal() and (table, name) not in referenced
    ]


def _temporary(store: Path) -> list[Path]:
    """Names that only the holder of the lock makes; whoever holds it now did not make them."""
    homes = [store, store / "_snap", *(store / "_tables" / table for table in TABLES)]
    return [home / name for home in homes for name in os.listdir(home) if name.startswith(".tmp-")]


def _dead_stages(store: Path) -> list[Path]:
    dead = []
    for name in os.listdir(store / "_stage"):
        path = store / "_stage" / name
        if name.startswith(".trash-"):
            dead.append(path)
        elif name.startswith("."):
            try:
                if time.time() - path.lstat().st_mtime > _HIDDEN_STAGE_SECONDS:
                    dead.append(path)
            except FileNotFoundError:
                continue
        elif not _locked(path / ".alive"):
            dead.append(path)
    return dead


def _locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError as error:
        return error.errno != errno.ENOTDIR
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _exclusive_bytes(folder: Path) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            facts = (Path(path) / name).lstat()
            total += facts.st_size if facts.st_nlink == 1 else 0
    return total
