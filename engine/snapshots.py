"""Reading the store: which immutable files make up a snapshot. Takes no lock and never writes.

`STORE/live` is a link to `_snap/<number>`; a snapshot links each table to one version under `_tables/`;
a version holds `[<column>=<value>/]part-<shard>-<12 hex of the content's SHA-256>.parquet`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from colonnade.engine.columns import SHARD_IMAGES, TABLES
from colonnade.engine.durable import read_bounded
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.store_names import (
    numbered,
    parse_data_file,
    partition_folder,
    partition_name,
    snapshot_folder,
)

__all__ = [
    "DataFile",
    "Snapshot",
    "list_snapshots",
    "live_advice",
    "open_snapshot",
]

MAX_SHARDS = 100_000
MAX_NUMBER = 99_999_999
MAX_VOCABULARY_BYTES = 64 << 20
_MAX_FACTS_BYTES = 1 << 16
_LIVE = re.compile(r"_snap/([0-9]{8})")


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


class Snapshot:
    """One state of every table. Nothing of it changes for as long as it exists.

    Superseded snapshots stay readable for ten minutes at the least (see `gc`), so resolve one per query.
    """

    def __init__(self, store: Path, number: int) -> None:
        self.store = store
        self.number = number
        self.path = store / snapshot_folder(number)
        self._files: dict[tuple[str, str | None], tuple[DataFile, ...]] = {}
        self._versions: dict[str, Path] = {}

    def __repr__(self) -> str:
        return f"Snapshot({str(self.store)!r}, {self.number})"

    @cached_property
    def facts(self) -> dict[str, object]:
        """What `snapshot.json` says: next_image_id, created, command, parent."""
        path = self.path / "snapshot.json"
        try:
            facts = json.loads(read_bounded(path, _MAX_FACTS_BYTES, follow=False))
        except (OSError, ValueError, RecursionError) as error:
            if not self.path.exists():
                raise self._gone() from None
            raise StoreError(f"{path}: cannot be read ({error}); run `colonnade verify`") from None
        if not isinstance(facts, dict):
            raise StoreError(f"{path}: not an object; run `colonnade verify`")
        return facts

    @property
    def next_image_id(self) -> int:
        """The smallest image id that was never given out."""
        value = self.facts.get("next_image_id")
        if type(value) is not int or not 0 <= value <= MAX_SHARDS * SHARD_IMAGES:
            raise StoreError(f"{self.path}/snapshot.json: next_image_id is missing; run `colonnade verify`")
        return value

    @property
    def command(self) -> str:
        return str(self.facts.get("command", ""))

    @property
    def created(self) -> datetime:
        """When it was committed (UTC); 1970 where that is not said, see `dated`."""
        try:
            created = datetime.fromisoformat(str(self.facts.get("created")))
        except ValueError:
            return datetime.fromtimestamp(0, UTC)
        return created if created.tzinfo else created.replace(tzinfo=UTC)

    @property
    def dated(self) -> bool:
        """Whether it says when it was committed."""
        return self.created.year >= 2000

    def is_live(self) -> bool:
        """Whether `live` leads here now."""
        return live_number(self.store) == self.number

    def vocabulary_bytes(self) -> bytes:
        """The vocabulary file as it was when this snapshot was committed (b'' before the first)."""
        path = self.path / "vocabulary.yaml"
        try:
            return read_bounded(path, MAX_VOCABULARY_BYTES, follow=False)
        except FileNotFoundError:
            if not self.path.exists():
                raise self._gone() from None
            return b""
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror})") from None

    def version(self, table: str) -> Path:
        """The folder of this snapshot's version of a table, resolved.

        Raises:
            StoreError: the link is missing or leads outside `_tables/`.
        """
        if table in self._versions:
            return self._versions[table]
        link = self.path / table
        try:
            target = os.readlink(link)
        except OSError as error:
            if not self.path.exists():
                raise self._gone() from None
            raise StoreError(f"{link}: not a link ({error.strerror}); run `colonnade verify`") from None
        if not re.fullmatch(rf"\.\./\.\./_tables/{table}/[0-9]{{8}}", target):
            raise StoreError(f"{link}: leads to {target!r}, outside _tables/{table}/; refused")
        version = self.store / target.removeprefix("../../")
        for folder in (self.path.parent, self.path, *reversed(version.parents[:2]), version):
            if not _is_directory(folder) and (folder != version or self.path.exists()):
                raise StoreError(f"{folder}: not a folder of the store; run `colonnade verify`")
        self._versions[table] = version
        return version

    def partitions(self, table: str) -> tuple[str, ...]:
        """The partition values that a table has, sorted (empty for an unpartitioned table)."""
        if TABLES[table] is None:
            return ()
        try:
            folders = os.listdir(self.version(table))
        except FileNotFoundError:
            raise self._gone() from None
        names = (partition_name(table, folder) for folder in folders)
        return tuple(sorted(name for name in names if name is not None))

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
            if partition is not None and not stat.S_ISDIR(folder.lstat().st_mode):
                raise StoreError(f"{folder}: not a folder; refused, run `colonnade verify`")
            with os.scandir(folder) as entries:
                found = sorted(
                    (entry.name, entry.is_file(follow_symlinks=False))
                    for entry in entries
                    if parse_data_file(entry.name)
                )
        except FileNotFoundError:
            if not self.path.exists():
                raise self._gone() from None
            return
        for name, regular in found:
            if not regular:
                raise StoreError(f"{folder / name}: not a regular file; refused, run `colonnade verify`")
            yield DataFile(table, partition, int(name[5:10]), name, folder / name)

    def _gone(self) -> StoreError:
        if live_number(self.store) == self.number:
            remedy = live_advice(self.store) or "run `colonnade verify`"
            return StoreError(
                f"{self.store}/live: leads to snapshot {self.number}, which is missing; {remedy}"
            )
        return StoreError(
            f"{self.store}: snapshot {self.number} was collected while it was read; run it again"
        )


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def live_number(store: Path) -> int:
    """The number of the live snapshot.

    Raises:
        StoreError: no store there, or `live` is missing or leads outside `_snap/`.
    """
    try:
        target = os.readlink(store / "live")
    except FileNotFoundError:
        if advice := live_advice(store):
            raise StoreError(f"{store}/live: missing; {advice}") from None
        raise StoreError(f"{store}: no store here; `colonnade init {store}` makes one") from None
    except OSError as error:
        raise StoreError(f"{store}/live: not a link ({error.strerror}); run `colonnade verify`") from None
    match = _LIVE.fullmatch(target)
    if not match:
        raise StoreError(f"{store}/live: leads to {target!r}, outside _snap/; refused")
    return int(match[1])


def live_advice(store: Path) -> str | None:
    """How to make `live` anew from the highest snapshot; None where that cannot be told."""
    live = store / "live"
    try:
        numbers = numbered(store / "_snap")
    except OSError:
        return None
    if not numbers or (os.path.lexists(live) and not live.is_symlink()):
        return None
    return f"make it anew: ln -sfn {snapshot_folder(numbers[-1])} {shlex.quote(str(live))}"


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
        kept = " to ".join(str(number) for number in dict.fromkeys((*numbers[:1], *numbers[-1:])))
        raise InputError(f"{store}: there is no snapshot {at}, only {kept}; see `colonnade snapshots`")
    return Snapshot(root, at)


def list_snapshots(store: Path) -> list[int]:
    """The numbers of the snapshots that exist, up to the live one, ascending."""
    live = live_number(store)
    if not _is_directory(store / "_snap"):
        raise StoreError(f"{store}/_snap: not a folder of the store; run `colonnade verify`")
    return [number for number in numbered(store / "_snap") if number <= live]


def utc_now() -> str:
    """The present as ISO 8601 with microseconds, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds")
