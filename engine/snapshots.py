"""Reading the store: which immutable files make up a snapshot. Takes no lock and never writes.

`STORE/live` is a link to `_snap/<number>`; a snapshot links each table to one version under `_tables/`;
a version holds `[<column>=<value>/]part-<shard>-<12 hex of the content's SHA-256>.parquet`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, unquote

from colonnade.engine.columns import TABLES
from colonnade.engine.errors import InputError, StoreError

__all__ = [
    "DataFile",
    "Snapshot",
    "data_file_name",
    "list_snapshots",
    "open_snapshot",
    "partition_folder",
    "snapshot_folder",
]

_DATA_FILE = re.compile(r"part-(\d{5})-([0-9a-f]{12})\.parquet")
_LIVE = re.compile(r"_snap/(\d{8})")


@dataclass(frozen=True, slots=True)
class DataFile:
    """One immutable Parquet file of a cell (table, partition, shard)."""

    table: str
    partition: str | None
    """The attribute code, model key or set name; None where the table is not partitioned."""
    shard: int
    name: str
    path: Path
    """Absolute, without links above the file's own name."""

    @property
    def digest(self) -> str:
        """The first 12 hex digits of the SHA-256 of the file's content, as its name claims."""
        return self.name[-20:-8]


def data_file_name(shard: int, digest: str) -> str:
    """The name of a data file: `digest` is the hex SHA-256 of its content."""
    return f"part-{shard:05d}-{digest[:12]}.parquet"


def partition_folder(table: str, partition: str | None) -> str:
    """The folder of a partition inside a table's version ('' for a table without partitions)."""
    column = TABLES[table]
    if column is None:
        return ""
    if not partition:
        raise ValueError(f"table {table} needs a partition")
    folder = f"{column}={quote(partition, safe='')}"
    if len(folder) > 255:
        raise InputError(f"the name {partition[:40]!r}... is too long for a folder (255 bytes)")
    return folder


def snapshot_folder(number: int) -> str:
    return f"_snap/{number:08d}"


class Snapshot:
    """One state of every table. Nothing of it changes for as long as it exists.

    Superseded snapshots stay readable for ten minutes at the least (see `gc`), so resolve one per query.
    """

    def __init__(self, store: Path, number: int) -> None:
        self.store = store
        self.number = number
        self.path = store / snapshot_folder(number)
        self._files: dict[tuple[str, str | None], tuple[DataFile, ...]] = {}

    def __repr__(self) -> str:
        return f"Snapshot({str(self.store)!r}, {self.number})"

    @cached_property
    def facts(self) -> dict[str, object]:
        """What `snapshot.json` says: next_image_id, created, command, parent."""
        try:
            facts = json.loads((self.path / "snapshot.json").read_bytes())
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{self.path}/snapshot.json: cannot be read ({error}); run `colonnade verify`"
            ) from None
        if not isinstance(facts, dict):
            raise StoreError(f"{self.path}/snapshot.json: not an object; run `colonnade verify`")
        return facts

    @property
    def next_image_id(self) -> int:
        """The smallest image id that was never given out."""
        value = self.facts.get("next_image_id")
        if not isinstance(value, int) or value < 0:
            raise StoreError(f"{self.path}/snapshot.json: next_image_id is missing; run `colonnade verify`")
        return value

    @property
    def command(self) -> str:
        return str(self.facts.get("command", ""))

    @property
    def created(self) -> datetime:
        """When it was committed (UTC)."""
        try:
            return datetime.fromisoformat(str(self.facts.get("created")))
        except ValueError:
            return datetime.fromtimestamp(0, UTC)

    def vocabulary_bytes(self) -> bytes:
        """The vocabulary file as it was when this snapshot was committed (b'' before the first)."""
        try:
            return (self.path / "vocabulary.yaml").read_bytes()
        except FileNotFoundError:
            return b""

    def version(self, table: str) -> Path:
        """The folder of this snapshot's version of a table, resolved.

        Raises:
            StoreError: the link is missing or leads outside `_tables/`.
        """
        link = self.path / table
        try:
            target = os.readlink(link)
        except OSError as error:
            raise StoreError(f"{link}: not a link ({error.strerror}); run `colonnade verify`") from None
        if not re.fullmatch(rf"\.\./\.\./_tables/{table}/\d{{8}}", target):
            raise StoreError(f"{link}: leads to {target!r}, outside _tables/{table}/; refused")
        return self.store / target.removeprefix("../../")

    def partitions(self, table: str) -> tuple[str, ...]:
        """The partition values that a table has, sorted (empty for an unpartitioned table)."""
        column = TABLES[table]
        if column is None:
            return ()
        prefix = f"{column}="
        try:
            names = os.listdir(self.version(table))
        except FileNotFoundError:
            raise self._gone() from None
        return tuple(sorted(unquote(name.removeprefix(prefix)) for name in names if name.startswith(prefix)))

    def files(self, table: str, partition: str | None = None) -> tuple[DataFile, ...]:
        """The files of one partition, or of the whole table, sorted by (partition, shard, name)."""
        if TABLES[table] is not None and partition is None:
            return tuple(file for value in self.partitions(table) for file in self.files(table, value))
        key = (table, partition)
        if key not in self._files:
            self._files[key] = tuple(self._scan(table, partition))
        return self._files[key]

    def cell(self, table: str, partition: str | None, shard: int) -> tuple[DataFile, ...]:
        """The files of one cell, sorted by name."""
        return tuple(file for file in self.files(table, partition) if file.shard == shard)

    def shards(self, table: str, partition: str | None = None) -> tuple[int, ...]:
        """The shards that a partition has rows in."""
        return tuple(sorted({file.shard for file in self.files(table, partition)}))

    def _scan(self, table: str, partition: str | None) -> Iterator[DataFile]:
        folder = self.version(table) / partition_folder(table, partition)
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            if not self.path.exists():
                raise self._gone() from None
            return
        for name in names:
            match = _DATA_FILE.fullmatch(name)
            if match:
                yield DataFile(table, partition, int(match[1]), name, folder / name)

    def _gone(self) -> StoreError:
        return StoreError(
            f"{self.store}: snapshot {self.number} was collected while it was read; run it again"
        )


def live_number(store: Path) -> int:
    """The number of the live snapshot.

    Raises:
        StoreError: no store there, or `live` leads outside `_snap/`.
    """
    try:
        target = os.readlink(store / "live")
    except FileNotFoundError:
        raise StoreError(f"{store}: no store here; `colonnade init {store}` makes one") from None
    except OSError as error:
        raise StoreError(f"{store}/live: not a link ({error.strerror}); run `colonnade verify`") from None
    match = _LIVE.fullmatch(target)
    if not match:
        raise StoreError(f"{store}/live: leads to {target!r}, outside _snap/; refused")
    return int(match[1])


def open_snapshot(store: Path | str, at: int | None = None) -> Snapshot:
    """The live snapshot, or number `at`.

    Raises:
        StoreError: no store, or a damaged one.
        InputError: there is no snapshot `at`.
    """
    root = Path(store).absolute()
    if at is None:
        return Snapshot(root, live_number(root))
    if at not in (numbers := list_snapshots(root)):
        kept = f"{numbers[0]} to {numbers[-1]} are kept" if numbers else "none is kept"
        raise InputError(f"{store}: there is no snapshot {at}; {kept}, see `colonnade snapshots`")
    return Snapshot(root, at)


def list_snapshots(store: Path) -> list[int]:
    """The numbers of the snapshots that exist, up to the live one, ascending."""
    live = live_number(store)
    numbers = sorted(int(name) for name in os.listdir(store / "_snap") if name.isdecimal() and len(name) == 8)
    return [number for number in numbers if number <= live]


def utc_now() -> str:
    """The present as ISO 8601 with microseconds, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds")
