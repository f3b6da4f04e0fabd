"""Writing results: csv, json, jsonl, parquet, or the paths of the images; in blocks, to a file or a stream."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from colonnade.engine.durable import fsync_directory, fsync_file, store_errors
from colonnade.engine.errors import InputError, StoreError

if TYPE_CHECKING:
    from colonnade.engine.result import QueryResult, Row

__all__ = [
    "PATH_COLUMNS",
    "Listing",
    "Rows",
    "cell",
    "output_file",
    "shortest",
    "write_parquet",
    "write_paths",
    "write_text",
]

PATH_COLUMNS = ("root", "path", "path_bytes")
"""The columns that `write_paths` needs, in this order."""


class Rows(Protocol):
    """What can be written: a QueryResult, or a Listing."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def types(self) -> tuple[str, ...]: ...

    def blocks(self) -> Iterator[list[Row]]: ...


@dataclass(frozen=True)
class Listing:
    """Rows of text that are in memory already."""

    columns: tuple[str, ...]
    rows: Sequence[Row]

    @property
    def types(self) -> tuple[str, ...]:
        return ("VARCHAR",) * len(self.columns)

    def blocks(self) -> Iterator[list[Row]]:
        yield list(self.rows)


def shortest(value: float) -> float:
    """The shortest decimal that is `value` as a float32: 0.8, not 0.800000011920929."""
    if not math.isfinite(value):
        return value
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", value):
            return short
    return value


def _plain(value: Any) -> Any:
    """A value as JSON has it: times in ISO 8601, bytes in hexadecimal, what is not a number null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)


def _converters(rows: Rows) -> list[Callable[[Any], Any]]:
    """For each column what makes a plain value of it."""

    def single(value: Any) -> Any:
        return None if value is None else _plain(shortest(value))

    return [single if type_name == "FLOAT" else _plain for type_name in rows.types]


def cell(value: object) -> str:
    """A plain value as text; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def plain_blocks(rows: Rows) -> Iterator[list[list[Any]]]:
    """The rows with plain values, in blocks."""
    converters = _converters(rows)
    for block in rows.blocks():
        yield [[convert(value) for convert, value in zip(converters, row, strict=True)] for row in block]


def write_text(
    rows: Rows, format_name: str, sink: IO[bytes], *, clean: Callable[[str], str] | None = None
) -> int:
    """Write `csv`, `json` (one array of objects) or `jsonl` (one object a line) as UTF-8.

    Args:
        clean: what every line or cell passes before a terminal gets it.

    Returns:
        The number of rows.
    """
    count = 0
    blocks = plain_blocks(rows)
    if format_name == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")

        def put(lines: list[list[str]]) -> None:
            writer.writerows([[clean(text) for text in line] for line in lines] if clean else lines)
            sink.write(buffer.getvalue().encode("utf-8", "replace"))
            buffer.seek(0)
            buffer.truncate()

        put([list(rows.columns)])
        for block in blocks:
            put([[cell(value) for value in row] for row in block])
            count += len(block)
        return count
    names = list(rows.columns)
    ascii_only = clean is not None
    between = b",\n" if format_name == "json" else b"\n"
    sink.write(b"[\n" if format_name == "json" else b"")
    for block in blocks:
        lines = [
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=ascii_only).encode("utf-8", "replace")
            for row in block
        ]
        sink.write((between if count and format_name == "json" else b"") + between.join(lines))
        sink.write(b"\n" if format_name == "jsonl" else b"")
        count += len(block)
    sink.write((b"\n" if count else b"") + b"]\n" if format_name == "json" else b"")
    return count


def write_parquet(result: QueryResult, sink: IO[bytes]) -> int:
    """Write a result as Parquet; returns the number of rows."""
    import pyarrow.parquet as pq

    count = 0
    with result.batches() as batches, pq.ParquetWriter(sink, batches.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def write_paths(
    rows: Rows,
    roots: Mapping[str, Path],
    sink: IO[bytes],
    *,
    null: bool = False,
    clean: Callable[[str], str] | None = None,
) -> tuple[int, int]:
    """Write the path of each image, a line or (`null`) a NUL-terminated string each.

    A name that is not UTF-8 is written with its own bytes. An imported image's path stands as it was given.

    Args:
        rows: with the columns PATH_COLUMNS.
        roots: name of a root -> its folder.

    Returns:
        The number of paths, and how many have a line break inside (of no matter with `null`).

    Raises:
        StoreError: a root is not known.
    """
    end = b"\0" if null else b"\n"
    folders = {name: os.fsencode(path).rstrip(b"/") + b"/" for name, path in roots.items()}
    count = broken = 0
    for block in rows.blocks():
        lines = []
        for root, path, path_bytes in block:
            name = bytes(path_bytes) if path_bytes is not None else str(path).encode()
            if root is not None:
                if root not in folders:
                    raise StoreError(
                        f"the root {root!r} is not in colonnade.toml; add it with `colonnade root add`"
                    )
                name = folders[root] + name
            broken += b"\n" in name
            lines.append(clean(os.fsdecode(name)).encode() if clean else name)
        sink.write(b"".join(line + end for line in lines))
        count += len(block)
    return count, broken


@contextmanager
def output_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its place at once and complete, or not at all.

    What is no regular file (a pipe, /dev/stdout) is written directly.

    Raises:
        InputError: the folder does not exist, or `path` is one.
        StoreError: the disk refused.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{path}: a folder; name a file in it")
    if not target.parent.is_dir():
        raise InputError(f"{path}: there is no folder {target.parent}; make it first")
    with store_errors(target):
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                yield stream
            return
        temporary = target.with_name(f".{target.name[:200]}.{os.urandom(4).hex()}.tmp")
        try:
            with temporary.open("xb") as stream:
                yield stream
                stream.flush()
                fsync_file(stream.fileno())
            temporary.replace(target)
            fsync_directory(target.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
