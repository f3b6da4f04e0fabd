"""Changing the store: data files are staged without the lock, then published by one rename.

The protocol is described in docs/store.md. What makes a commit atomic is the last step of `_publish`:
`live` is replaced by rename. Whatever a crash leaves behind before that is garbage, known by its name.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from colonnade.engine.columns import shard_of
from colonnade.engine.durable import fsync_all, store_errors
from colonnade.engine.errors import ConflictError, StoreError
from colonnade.engine.garbage import check_layout, delete_trash, sweep
from colonnade.engine.publish import build_version, publish_snapshot
from colonnade.engine.settings import read_settings
from colonnade.engine.snapshots import MAX_SHARDS, DataFile, Snapshot, live_number, open_snapshot
from colonnade.engine.store_names import data_file_name, partition_folder
from colonnade.engine.tables import conform, write_parquet
from colonnade.engine.turns import commit_lock, conflict_retries, retrying
from colonnade.engine.views_file import refresh_views

__all__ = ["Stage", "conflict_retries", "open_stage", "publish_snapshot", "retrying"]

Cell = tuple[str, str | None, int]


@dataclass(slots=True)
class _Change:
    """What a cell was when it was read, and the files it is to have."""

    read: tuple[str, ...]
    keep: tuple[DataFile, ...]
    new: list[DataFile] = field(default_factory=list)


class Stage:
    """Files being written for one commit. Made by `open_stage`."""

    def __init__(
        self, store: Path, folder: Path, command: str, say: Callable[[str], None] | None = None
    ) -> None:
        self.store = store
        self.command = command
        self._say = say
        self._folder = folder
        self._changes: dict[Cell, _Change] = {}
        self._required: dict[Cell, tuple[str, ...]] = {}
        self._late: list[Callable[[Snapshot, Stage], None]] = []
        self._next_image_id: int | None = None
        self._written = 0
        self._unsynced: list[Path] = []

    def append(
        self, table: str, partition: str | None, shard: int, data: pa.Table, *, read: Sequence[DataFile]
    ) -> None:
        """Add rows to a cell; its ids must not be in the cell yet.

        Args:
            data: the rows, in any order; columns as in `tables.SCHEMAS`.
            read: the cell's files as the caller read them; the commit is refused if they changed.
        """
        if data.num_rows:
            change = self._change((table, partition, shard), read)
            change.new.append(self._write(table, partition, shard, data))

    def replace(
        self,
        table: str,
        partition: str | None,
        shard: int,
        data: pa.Table,
        *,
        read: Sequence[DataFile],
        inputs: str | None = None,
    ) -> None:
        """Make `data` all that a cell holds; without rows the cell goes away.

        Args:
            inputs: for derived scores, the digest of the rows that they were made from.
        """
        self.rewrite(table, partition, shard, data, keep=(), read=read, inputs=inputs)

    def rewrite(
        self,
        table: str,
        partition: str | None,
        shard: int,
        data: pa.Table,
        *,
        keep: Sequence[DataFile],
        read: Sequence[DataFile],
        inputs: str | None = None,
    ) -> None:
        """Make the files in `keep` (some of `read`) and a new one with `data` all that a cell holds."""
        change = self._change((table, partition, shard), read)
        change.keep = tuple(keep)
        change.new = [self._write(table, partition, shard, data, inputs)] if data.num_rows else []

    def drop(self, table: str, partition: str | None, *, read: Sequence[DataFile]) -> None:
        """Remove every file in `read` (a whole partition, or some of its cells)."""
        cells: dict[Cell, list[DataFile]] = {}
        for file in read:
            cells.setdefault((table, partition, file.shard), []).append(file)
        for cell, files in cells.items():
            change = self._change(cell, files)
            change.keep, change.new = (), []

    def require(self, table: str, partition: str | None, shard: int, *, read: Sequence[DataFile]) -> None:
        """Refuse the commit if a cell that the change was computed from is no longer what was read."""
        self._required[table, partition, shard] = tuple(sorted(file.name for file in read))

    def late(self, callback: Callable[[Snapshot, Stage], None]) -> None:
        """Run `callback(live, stage)` under the lock, before the commit; what it reads cannot change.

        For small read-modify-writes (definitions, labels) and for giving out image ids.
        """
        self._late.append(callback)

    def allocate_ids(self, count: int) -> range:
        """New image ids, never given out before. Only inside a `late` callback."""
        if self._next_image_id is None:
            raise RuntimeError("allocate_ids works under the lock only: call it in a late callback")
        first = self._next_image_id
        self._next_image_id = first + count
        return range(first, first + count)

    @property
    def changed(self) -> bool:
        """Whether anything is staged so far."""
        return bool(self._changes) or bool(self._late)

    def commit(self, *, vocabulary: bytes | None = None) -> Snapshot:
        """Publish what was staged as the new live snapshot; waits while another has its turn (`turns`).

        Args:
            vocabulary: the vocabulary file that the change was made with; by default the last snapshot's.

        Raises:
            ConflictError: a cell is no longer what was read; nothing was published.
            StoreError: the disk refused, or the store was locked for too long; nothing was published.
        """
        settings = read_settings(self.store)

        def swept(number: int) -> list[Path]:
            return sweep(
                self.store,
                number,
                keep_snapshots=settings.keep_snapshots,
                keep_seconds=settings.keep_seconds,
            )

        trash: list[Path] = []
        with store_errors(self.store):
            self._flush()
            try:
                with commit_lock(self.store, self._say):
                    live = open_snapshot(self.store)
                    trash += swept(live.number)
                    self._next_image_id = live.next_image_id
                    for callback in self._late:
                        callback(live, self)
                    self._flush()
                    self._check(live)
                    if not self._changes and vocabulary in (None, live.vocabulary_bytes()):
                        return live
                    versions = self._build_versions(live)
                    new = publish_snapshot(
                        self.store,
                        live,
                        versions=versions,
                        vocabulary=live.vocabulary_bytes() if vocabulary is None else vocabulary,
                        next_image_id=self._next_image_id,
                        command=self.command,
                    )
                    # The commit stands, whatever becomes of the old snapshots.
                    with suppress(OSError, StoreError):
                        trash += swept(new.number)
            finally:
                delete_trash(trash)
        if self._partitions_differ(live, new):
            refresh_views(self.store)
        return new

    def _partitions_differ(self, live: Snapshot, new: Snapshot) -> bool:
        """Whether a partition came or went, so that the views over the store are others."""
        touched = {(table, partition) for table, partition, _ in self._changes}
        return any(bool(live.files(*one)) != bool(new.files(*one)) for one in touched)

    def _write(
        self, table: str, partition: str | None, shard: int, data: pa.Table, inputs: str | None = None
    ) -> DataFile:
        partition_folder(table, partition)
        data = conform(table, data)
        _check_shard(table, shard, data)
        path = self._folder / f"{self._written:06d}.parquet"
        self._written += 1
        self._unsynced.append(path)
        with store_errors(path):
            digest = write_parquet(table, data, path, inputs=inputs)
        return DataFile(table, partition, shard, data_file_name(shard, digest), path)

    def _flush(self) -> None:
        fsync_all(self._unsynced)
        self._unsynced = []

    def _change(self, cell: Cell, read: Sequence[DataFile]) -> _Change:
        names = tuple(sorted(file.name for file in read))
        change = self._changes.get(cell)
        if change is None:
            change = self._changes[cell] = _Change(names, tuple(read))
        elif change.read != names:
            raise ConflictError(f"{self.store}: {_cell_name(cell)} was read twice and differs; run it again")
        return change

    def _check(self, live: Snapshot) -> None:
        changed = [(cell, change.read) for cell, change in self._changes.items()]
        for cell, read in (*self._required.items(), *changed):
            if tuple(file.name for file in live.cell(*cell)) != read:
                raise ConflictError(
                    f"{self.store}: {_cell_name(cell)} changed meanwhile; nothing was written"
                )

    def _build_versions(self, live: Snapshot) -> dict[str, str]:
        versions: dict[str, str] = {}
        for table in sorted({cell[0] for cell in self._changes}):
            changes = {cell: change for cell, change in self._changes.items() if cell[0] == table}
            files = [f for f in live.files(table) if (table, f.partition, f.shard) not in changes]
            files += [file for change in changes.values() for file in (*change.keep, *change.new)]
            versions[table] = build_version(self.store, table, files)
        return versions


@contextmanager
def open_stage(
    store: Path | str, *, command: str, say: Callable[[str], None] | None = None
) -> Iterator[Stage]:
    """A place to write the files of one commit; nothing of it stays unless it is committed.

    Args:
        say: called with one line where the commit has to wait for another's turn.

    Raises:
        StoreError: no store, read-only, or the disk refused.
    """
    root = Path(store).absolute()
    live_number(root)
    name = uuid.uuid4().hex
    hidden, visible = root / "_stage" / f".{name}", root / "_stage" / name
    alive = -1
    with store_errors(root):
        check_layout(root)
        try:
            hidden.mkdir()
            alive = os.open(hidden / ".alive", os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(alive, fcntl.LOCK_EX)
            hidden.rename(visible)
        except OSError:
            shutil.rmtree(hidden, ignore_errors=True)
            if alive >= 0:
                os.close(alive)
            raise
    try:
        yield Stage(root, visible, command, say)
    finally:
        shutil.rmtree(visible, ignore_errors=True)
        os.close(alive)


def _check_shard(table: str, shard: int, data: pa.Table) -> None:
    if not 0 <= shard < MAX_SHARDS:
        raise ValueError(f"{table}: there is no shard {shard}")
    if "image_id" not in data.column_names:
        return
    ids = data["image_id"]
    first, last = ids[0].as_py(), ids[-1].as_py()
    if first < 0 or shard_of(first) != shard or shard_of(last) != shard:
        raise ValueError(f"{table}: ids {first} to {last} do not belong to shard {shard}")


def _cell_name(cell: Cell) -> str:
    table, partition, shard = cell
    return f"{table}{f' {partition}' if partition else ''} (shard {shard})"
