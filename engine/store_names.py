"""Names inside a store: of data files, partition folders and snapshots."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

from colonnade.engine.columns import TABLES
from colonnade.engine.errors import InputError

__all__ = [
    "data_file_name",
    "numbered",
    "parse_data_file",
    "partition_folder",
    "partition_name",
    "snapshot_folder",
]

_DATA_FILE = re.compile(r"part-([0-9]{5})-([0-9a-f]{12})\.parquet")
_NUMBER = re.compile(r"[0-9]{8}")


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
    try:
        folder = f"{column}={quote(partition, safe='')}"
    except UnicodeEncodeError:
        raise InputError(f"the name {partition[:40]!a} is not valid text (UTF-8)") from None
    if len(folder) > 255:
        raise InputError(f"the name {partition[:40]!r}... is too long for a folder (255 bytes)")
    return folder


def partition_name(table: str, folder: str) -> str | None:
    """The inverse of `partition_folder`; None for a folder that it would not have made."""
    name = unquote(folder.removeprefix(f"{TABLES[table]}="))
    try:
        return name if name and partition_folder(table, name) == folder else None
    except InputError:
        return None


def snapshot_folder(number: int) -> str:
    return f"_snap/{number:08d}"


def numbered(folder: Path) -> list[int]:
    """The numbers that entries of a folder are named by (eight digits), ascending."""
    return sorted(int(name) for name in os.listdir(folder) if _NUMBER.fullmatch(name))


def parse_data_file(name: str) -> tuple[int, str] | None:
    """(shard, digest) of a data file's name; None for any other name."""
    match = _DATA_FILE.fullmatch(name)
    return (int(match[1]), match[2]) if match else None
