"""What a crash or a superseded snapshot leaves behind: finding it under the lock, deleting it outside."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from colonnade.engine.columns import TABLES
from colonnade.engine.durable import exclusive_lock, store_errors
from colonnade.engine.errors import StoreError
from colonnade.engine.settings import KEEP_SECONDS, KEEP_SNAPSHOTS, read_settings
from colonnade.engine.snapshots import Snapshot, live_number
from colonnade.engine.store_names import numbered, snapshot_folder

__all__ = ["Collected", "check_layout", "collect", "delete_trash", "leftovers", "sweep"]

_GRACE_SECONDS = 60.0
"""How old a leftover of something that is written without the lock must be before it is taken for one."""
_HALF_WRITTEN = re.compile(r"\.(vocabulary\.yaml|colonnade\.toml|queries\.yaml|views\.sql)\.[0-9a-f]+\.tmp")
_TRASH = ".tmp-trash-"


@dataclass(frozen=True)
class Collected:
    """What `gc` removed."""

    snapshots: int
    leftovers: int
    """Names that crashes left behind, and table versions that no snapshot needs any more."""
    bytes: int


def check_layout(store: Path) -> None:
    """Refuse a store whose own folders are links: what is swept or written must be inside it.

    Raises:
        StoreError: a folder is missing or leads elsewhere.
    """
    tables = store / "_tables"
    for folder in (store / "_snap", store / "_stage", tables, *(tables / table for table in TABLES)):
        try:
            mode = folder.lstat().st_mode
        except FileNotFoundError:
            raise StoreError(f"{folder}: missing; run `colonnade verify`") from None
        if not stat.S_ISDIR(mode):
            raise StoreError(f"{folder}: not a folder of the store; refused, run `colonnade verify`")


def sweep(
    store: Path,
    live: int,
    *,
    keep_snapshots: int = KEEP_SNAPSHOTS,
    keep_seconds: float = KEEP_SECONDS,
    keep: Iterable[int] = (),
) -> list[Path]:
    """Move what nothing can refer to any more into the trash; returns the trash to delete after unlocking.

    The caller holds the lock. Garbage is: snapshots above `live`; snapshots superseded long enough ago;
    table versions that no snapshot links to; temporary names; stages whose writer has died.

    Args:
        keep: snapshots that stay in any case.

    Raises:
        StoreError: the store's own folders lead elsewhere, or the live snapshot is missing.
    """
    check_layout(store)
    numbers = numbered(store / "_snap")
    if live not in numbers:
        raise StoreError(f"{store}/live: leads to snapshot {live}, which is missing; run `colonnade verify`")
    upto = [number for number in numbers if number <= live]
    expired = set(_expired(store, upto, keep_snapshots, keep_seconds)) - set(keep)
    doomed = [store / snapshot_folder(number) for number in sorted(expired)]
    doomed += _leftovers(store, live, [number for number in upto if number not in expired])
    return _throw_away(store, doomed)


def leftovers(store: Path, live: int) -> list[Path]:
    """What crashes left behind, and what a commit under way is writing; only looks. See `sweep`."""
    return list(_leftovers(store, live, [n for n in numbered(store / "_snap") if n <= live]))


def _leftovers(store: Path, live: int, kept: list[int]) -> Iterator[Path]:
    yield from _dead_stages(store)
    yield from _temporary(store)
    yield from (store / snapshot_folder(n) for n in numbered(store / "_snap") if n > live)
    yield from _unreferenced_versions(store, kept)


def _throw_away(store: Path, doomed: list[Path]) -> list[Path]:
    if not doomed:
        return []
    trash = store / "_stage" / f".trash-{uuid.uuid4().hex}"
    try:
        trash.mkdir()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _rename_in_place(doomed)
    for index, path in enumerate(doomed):
        try:
            path.rename(trash / f"{index:06d}")
        except FileNotFoundError:
            continue
    return [trash]


def _rename_in_place(doomed: list[Path]) -> list[Path]:
    """On a full disk there is no room for a trash folder, but a name can still change."""
    renamed = []
    for path in doomed:
        target = path.with_name(f"{_TRASH}{uuid.uuid4().hex}")
        try:
            path.rename(target)
        except FileNotFoundError:
            continue
        renamed.append(target)
    return renamed


def delete_trash(trash: list[Path]) -> None:
    """Delete what `sweep` moved away. Needs no lock; an interrupted deletion is taken up by the next sweep."""
    for path in trash:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            try:
                path.unlink()
            except OSError:
                continue


def collect(
    store: Path, *, keep_snapshots: int | None = None, keep_seconds: float | None = None
) -> Collected:
    """Remove garbage and old snapshots now; reports what was freed.

    Args:
        keep_snapshots: how many of the latest to keep; by default what `colonnade.toml` says.
        keep_seconds: how long a snapshot is kept after it was superseded; likewise.

    Raises:
        StoreError: locked for too long, or the disk refused.
    """
    settings = read_settings(store)
    if keep_snapshots is None:
        keep_snapshots = settings.keep_snapshots
    if keep_seconds is None:
        keep_seconds = settings.keep_seconds
    with store_errors(store):
        check_layout(store)
        with exclusive_lock(store / ".lock"):
            live = live_number(store)
            before = sum(1 for number in numbered(store / "_snap") if number <= live)
            trash = sweep(store, live, keep_snapshots=keep_snapshots, keep_seconds=keep_seconds)
            snapshots = before - len(numbered(store / "_snap"))
        swept = sum(_entries(path) for path in trash)
        freed = _exclusive_bytes(trash)
        delete_trash(trash)
    return Collected(snapshots, swept - snapshots, freed)


def _expired(store: Path, numbers: list[int], keep_snapshots: int, keep_seconds: float) -> list[int]:
    latest = max(1, keep_snapshots)
    if len(numbers) <= latest:
        return []
    commands = [_command(store, number) for number in numbers]
    # An answer of a review that another answer followed takes no other snapshot's place.
    passed = [one == other and one.startswith("review ") for one, other in pairwise(commands)]
    spare = sum(passed[len(numbers) - latest :])
    now = time.time()
    expired = []
    for place in reversed(range(len(numbers) - latest)):
        if spare and not passed[place]:
            spare -= 1
            continue
        try:
            superseded = (store / snapshot_folder(numbers[place + 1])).lstat().st_mtime
        except FileNotFoundError:
            continue
        if now - superseded >= keep_seconds:
            expired.append(numbers[place])
    return expired


def _command(store: Path, number: int) -> str:
    """What made a snapshot; empty where that cannot be read."""
    try:
        return Snapshot(store, number).command
    except StoreError:
        return ""


def _unreferenced_versions(store: Path, snapshots: list[int]) -> list[Path]:
    found: list[Path] = []
    for table in TABLES:
        home = store / "_tables" / table
        try:
            referenced = {_version_of(f"{store}/{snapshot_folder(n)}/{table}") for n in snapshots}
        except OSError:
            continue  # a damaged link may have led to any of them: nothing of this table is garbage
        found += [home / f"{number:08d}" for number in numbered(home) if f"{number:08d}" not in referenced]
    return found


def _version_of(link: str) -> str:
    return os.readlink(link).rsplit("/", 1)[-1]


def _temporary(store: Path) -> list[Path]:
    """Names that only the holder of the lock makes; whoever holds it now did not make them."""
    homes = [store, store / "_snap", *(store / "_tables" / table for table in TABLES)]
    found = [home / name for home in homes for name in os.listdir(home) if name.startswith(".tmp-")]
    half = [store / name for name in os.listdir(store) if _HALF_WRITTEN.fullmatch(name)]
    return found + [path for path in half if _old(path)]


def _dead_stages(store: Path) -> list[Path]:
    dead = []
    for name in os.listdir(store / "_stage"):
        path = store / "_stage" / name
        if name.startswith((".trash-", _TRASH)):
            dead.append(path)
        elif name.startswith("."):
            if _old(path):
                dead.append(path)
        elif not _locked(path / ".alive"):
            dead.append(path)
    return dead


def _old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > _GRACE_SECONDS
    except FileNotFoundError:
        return False


def _locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except OSError as error:
        return error.errno not in (errno.ENOTDIR, errno.ELOOP)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _entries(trash: Path) -> int:
    if trash.name.startswith(_TRASH):
        return 1
    try:
        return len(os.listdir(trash))
    except OSError:
        return 0


def _exclusive_bytes(trash: list[Path]) -> int:
    """The bytes that deleting the trash frees: of files whose every link is in it."""
    links: dict[tuple[int, int], int] = {}
    total = 0
    for root in trash:
        for folder, _, names in os.walk(root):
            for name in names:
                try:
                    facts = (Path(folder) / name).lstat()
                except OSError:
                    continue
                inode = facts.st_dev, facts.st_ino
                links[inode] = links.get(inode, 0) + 1
                total += facts.st_size if links[inode] == facts.st_nlink else 0
    return total
