"""Publishing: the next version of a table, the next snapshot, and the rename that makes it live.

Everything here is called with the store's lock held.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from colonnade.engine.columns import TABLES
from colonnade.engine.durable import fsync_all, fsync_directory, fsync_file
from colonnade.engine.errors import StoreError
from colonnade.engine.snapshots import MAX_NUMBER, DataFile, Snapshot, utc_now
from colonnade.engine.store_names import numbered, partition_folder, snapshot_folder

__all__ = ["build_version", "publish_snapshot"]


def build_version(store: Path, table: str, files: Iterable[DataFile]) -> str:
    """Link files, staged or of older versions, into the table's next version; returns the version's name."""
    home = store / "_tables" / table
    number = _next_number(home, 1 + max(numbered(home), default=0))
    temporary = home / f".tmp-{number:08d}"
    temporary.mkdir()
    folders: set[Path] = {temporary}
    for file in files:
        folder = temporary / partition_folder(table, file.partition)
        if folder not in folders:
            folder.mkdir()
            folders.add(folder)
        target = folder / file.name
        if not target.exists():
            os.link(file.path, target, follow_symlinks=False)
    fsync_all(folders)
    temporary.rename(home / f"{number:08d}")
    fsync_directory(home)
    return f"{number:08d}"


def publish_snapshot(
    store: Path,
    live: Snapshot | None,
    *,
    versions: dict[str, str],
    vocabulary: bytes,
    next_image_id: int,
    command: str,
) -> Snapshot:
    """Build the next snapshot and make it live. The caller holds the lock.

    Args:
        live: the present snapshot; None for a store's first.
        versions: table -> the name of its version; tables left out keep the live snapshot's.
    """
    number = _next_number(store, 1 if live is None else live.number + 1)
    temporary = store / "_snap" / f".tmp-{number:08d}"
    temporary.mkdir()
    for table in TABLES:
        if table in versions:
            version = versions[table]
        elif live is not None:
            version = live.version(table).name
        else:
            raise ValueError(f"the first snapshot needs a version of {table}")
        (temporary / table).symlink_to(f"../../_tables/{table}/{version}")
    facts = {
        "next_image_id": next_image_id,
        "created": utc_now(),
        "command": command,
        "parent": None if live is None else live.number,
    }
    _write_durably(temporary / "snapshot.json", json.dumps(facts, indent=1).encode() + b"\n")
    _write_durably(temporary / "vocabulary.yaml", vocabulary)
    fsync_directory(temporary)
    temporary.rename(store / snapshot_folder(number))
    fsync_directory(store / "_snap")
    link = store / f".tmp-live-{number:08d}"
    link.unlink(missing_ok=True)
    link.symlink_to(snapshot_folder(number))
    link.rename(store / "live")
    fsync_directory(store)
    return Snapshot(store, number)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        fsync_file(file.fileno())


def _next_number(where: Path, number: int) -> int:
    if number > MAX_NUMBER:
        raise StoreError(f"{where}: the numbers of its versions are used up; export it into a new store")
    return number
