"""Snapshots as history: what each holds, and going back to one."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from colonnade.engine.columns import SHARD_IMAGES, TABLES
from colonnade.engine.durable import atomic_write, exclusive_lock, read_bounded, store_errors
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.garbage import delete_trash, sweep
from colonnade.engine.publish import publish_snapshot
from colonnade.engine.settings import read_settings
from colonnade.engine.snapshots import (
    MAX_VOCABULARY_BYTES,
    DataFile,
    Snapshot,
    list_snapshots,
    live_number,
    open_snapshot,
)
from colonnade.engine.tables import read_files, read_footer
from colonnade.engine.views_file import refresh_views

__all__ = ["Restored", "SnapshotFacts", "restore", "snapshot_facts"]


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What a snapshot holds."""

    number: int
    live: bool
    created: datetime
    """1970 where its snapshot.json does not say; if that is damaged, the command is empty as well."""
    command: str
    images: int
    attributes: int
    """Attributes with scores, derived ones included."""
    labels: int
    files: int
    bytes: int
    """Of its data files, which it shares with other snapshots."""
    own_bytes: int
    """Of files that no other snapshot has: what its collection would free."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What `restore` did."""

    number: int
    """Of the snapshot that was made."""
    vocabulary_differs: bool
    """Whether the user's vocabulary.yaml is not the one that the restored snapshot was made with."""
    before: int
    """The snapshot that was live."""
    labels_left: int
    """People's answers in that one that the new one does not hold, as far as both can be read."""
    vocabulary_kept: str | None = None
    """The file in the store that keeps the text of vocabulary.yaml that was replaced, where no snapshot has it."""


def snapshot_facts(store: Path) -> tuple[SnapshotFacts, ...]:
    """What every kept snapshot holds, oldest first.

    Raises:
        StoreError: damaged.
    """
    store = Path(store).absolute()
    live = live_number(store)
    snapshots = [open_snapshot(store, number) for number in list_snapshots(store)]
    sizes = _Sizes()
    holders: dict[int, int] = {}
    inodes: dict[int, dict[int, int]] = {}
    with store_errors(store):
        for snapshot in snapshots:
            own = inodes[snapshot.number] = {}
            for table in TABLES:
                own |= sizes.of(snapshot, table)
            for inode in own:
                holders[inode] = holders.get(inode, 0) + 1
        return tuple(
            _facts(snapshot, live, inodes[snapshot.number], holders, sizes) for snapshot in snapshots
        )


class _Sizes:
    """Inodes and rows of table versions, each looked at once however many snapshots share it."""

    def __init__(self) -> None:
        self._bytes: dict[Path, dict[int, int]] = {}
        self._rows: dict[Path, int] = {}

    def of(self, snapshot: Snapshot, table: str) -> dict[int, int]:
        """Inode -> bytes."""
        version = snapshot.version(table)
        if version not in self._bytes:
            facts = [file.path.lstat() for file in snapshot.files(table)]
            self._bytes[version] = {fact.st_ino: fact.st_size for fact in facts}
        return self._bytes[version]

    def rows(self, snapshot: Snapshot, table: str) -> int:
        version = snapshot.version(table)
        if version not in self._rows:
            self._rows[version] = _rows(snapshot.files(table))
        return self._rows[version]


def _rows(files: tuple[DataFile, ...]) -> int:
    return sum(read_footer(file).rows for file in files)


def _facts(
    snapshot: Snapshot, live: int, inodes: dict[int, int], holders: dict[int, int], sizes: _Sizes
) -> SnapshotFacts:
    try:
        created, command = snapshot.created, snapshot.command
    except StoreError:  # whoever wants to go back past it looks here for where to
        created, command = datetime.fromtimestamp(0, UTC), ""
    return SnapshotFacts(
        number=snapshot.number,
        live=snapshot.number == live,
        created=created,
        command=command,
        images=sizes.rows(snapshot, "images"),
        attributes=len(snapshot.partitions("scores")),
        labels=sizes.rows(snapshot, "labels"),
        files=len(inodes),
        bytes=sum(inodes.values()),
        own_bytes=sum(size for inode, size in inodes.items() if holders[inode] == 1),
    )


def restore(store: Path, number: int, *, vocabulary: bool = False) -> Restored:
    """Commit a new snapshot whose tables are those of snapshot `number`; image ids go on from the highest.

    Args:
        vocabulary: put that snapshot's vocabulary in the place of the user's vocabulary.yaml, too.

    Raises:
        InputError: there is no such snapshot, it is the live one, or vocabulary.yaml is a link.
        StoreError: damaged, read-only, or locked for too long.
    """
    store = Path(store).absolute()
    settings = read_settings(store)
    trash: list[Path] = []
    kept: str | None = None
    if vocabulary:
        _refuse_link(store / "vocabulary.yaml")
    with store_errors(store):
        try:
            with exclusive_lock(store / ".lock"):
                live, old = open_snapshot(store), open_snapshot(store, number)
                if old.number == live.number:
                    raise InputError(f"{store}: snapshot {number} is the live one")
                versions = {table: old.version(table).name for table in TABLES}
                source, next_image_id = old.vocabulary_bytes(), _next_image_id(store)
                keep = [number]
                trash += sweep(
                    store,
                    live.number,
                    keep_snapshots=settings.keep_snapshots,
                    keep_seconds=settings.keep_seconds,
                    keep=keep,
                )
                new = publish_snapshot(
                    store,
                    live,
                    versions=versions,
                    vocabulary=source,
                    next_image_id=next_image_id,
                    command=f"restore {number}",
                )
                if vocabulary:
                    kept = _keep_vocabulary(store, source, new.number)
                    atomic_write(store / "vocabulary.yaml", source)
        finally:
            delete_trash(trash)
        refresh_views(store)
        differs = _user_vocabulary(store) != source
        return Restored(new.number, differs, live.number, len(_answers(live) - _answers(new)), kept)


def _answers(snapshot: Snapshot) -> set[tuple[object, ...]]:
    found: set[tuple[object, ...]] = set()
    for code in snapshot.partitions("labels"):
        files = snapshot.files("labels", code)
        with suppress(StoreError):  # damage may be why somebody goes back
            rows = read_files(files, ["image_id", "reviewer", "present"]).to_pylist() if files else []
            found.update((code, *row.values()) for row in rows)
    return found


def _next_image_id(store: Path) -> int:
    """An id that no kept snapshot has given out. Where a snapshot.json is broken, that is past its shards of images:
    the way back must be open then, too."""
    found = []
    for snapshot in (Snapshot(store, number) for number in list_snapshots(store)):
        try:
            found.append(snapshot.next_image_id)
        except StoreError:
            with suppress(StoreError):
                found += [(shard + 1) * SHARD_IMAGES for shard in snapshot.shards("images")]
    return max(found, default=0)


def _keep_vocabulary(store: Path, source: bytes, number: int) -> str | None:
    """Keep what vocabulary.yaml holds, unless a snapshot does: nobody else has what was never scored."""
    text = _user_vocabulary(store)
    if text is None or text == source:
        return None
    for known in list_snapshots(store):
        with suppress(StoreError, OSError):
            if Snapshot(store, known).vocabulary_bytes() == text:
                return None
    name = f"vocabulary.before-{number}.yaml"
    atomic_write(store / name, text)
    return name


def _refuse_link(path: Path) -> None:
    """A link may lead to any file of the user's; a stranger's snapshot is not written there."""
    if path.is_symlink():
        raise InputError(
            f"{path}: a link to {os.readlink(path)}; leave out --vocabulary and copy the snapshot's file there"
        )


def _user_vocabulary(store: Path) -> bytes | None:
    try:
        return read_bounded(store / "vocabulary.yaml", MAX_VOCABULARY_BYTES)
    except (OSError, StoreError):
        return None
