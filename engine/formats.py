"""Writing results: csv, json, jsonl, parquet, or the paths of the images; in blocks, to a file or a stream."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from colonnade.engine.errors import InputError
from colonnade.engine.images import one_line

if TYPE_CHECKING:
    from colonnade.engine.result import QueryResult, Row

__all__ = [
    "PATH_COLUMNS",
    "Listing",
    "Rows",
    "cell",
    "plain_blocks",
    "shortest",
    "write_parquet",
    "write_paths",
    "write_text",
]

_SINGLE = struct.Struct("f")
_AS_THEY_ARE = frozenset({"BIGINT", "INTEGER", "VARCHAR"})
"""Types whose Python values every format takes."""

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
    """Rows that are in memory already, by default of texts."""

    columns: tuple[str, ...]
    rows: Sequence[Row]
    types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.types:
            object.__setattr__(self, "types", ("VARCHAR",) * len(self.columns))

    def blocks(self) -> Iterator[list[Row]]:
        if self.rows:
            yield list(self.rows)


def shortest(value: float) -> float:
    """The shortest decimal that is `value` as a float32: 0.8, not 0.800000011920929."""
    if not math.isfinite(value):
        return value
    single = _SINGLE.pack(value)
    for digits in (7, 8):
        short = float(f"{value:.{digits}g}")
        if _SINGLE.pack(short) == single:
            return short
    return float(f"{value:.9g}")


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


def _exact(value: Any) -> Any:
    """A value as text has it: like `_plain`, but nan and infinities by name, and decimals with all of their digits."""
    if isinstance(value, float):
        return repr(value)
    return str(value) if isinstance(value, Decimal) else _plain(value)


def _single(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else shortest(value)


def _short(value: float | None) -> float | None:
    return None if value is None else shortest(value)


def cell(value: object) -> str:
    """A plain value as text; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def plain_blocks(rows: Rows) -> Iterator[list[Row]]:
    """The rows with plain values, in blocks."""
    return _converted(rows, {"FLOAT": _single}, _plain)


def _converted(
    rows: Rows, converters: Mapping[str, Callable[[Any], Any]], other: Callable[[Any], Any]
) -> Iterator[list[Row]]:
    """The blocks with each column converted by its type; integers and text are left as they are."""
    chosen = [None if name in _AS_THEY_ARE else converters.get(name, other) for name in rows.types]
    for block in rows.blocks():
        columns = zip(*block, strict=True)
        changed = (
            column if convert is None else map(convert, column)
            for convert, column in zip(chosen, columns, strict=True)
        )
        yield list(zip(*changed, strict=True))


def write_text(
    rows: Rows, format_name: str, sink: IO[bytes], *, clean: Callable[[str], str] | None = None
) -> int:
    """Write `csv`, `json` (one array of objects) or `jsonl` (one object a line) as UTF-8.

    Of columns of the same name, `json` and `jsonl` number those after the first: x, x_1.

    Args:
        clean: what every line or cell passes before a terminal gets it.

    Returns:
        The number of rows.
    """
    count = 0
    if format_name == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")

        def put(lines: Sequence[Sequence[object]]) -> None:
            writer.writerows([[clean(cell(value)) for value in line] for line in lines] if clean else lines)
            sink.write(buffer.getvalue().encode("utf-8", "replace"))
            buffer.seek(0)
            buffer.truncate()

        put([rows.columns])
        for block in _converted(rows, {"FLOAT": _short}, lambda value: cell(_exact(value))):
            put(block)
            count += len(block)
        return count
    names = _distinct(rows.columns)
    ascii_only = clean is not None
    between = b",\n" if format_name == "json" else b"\n"
    opening = b"[\n"
    for block in plain_blocks(rows):
        lines = [
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=ascii_only).encode("utf-8", "replace")
            for row in block
        ]
        before = (between if count else opening) if format_name == "json" else b""
        sink.write(before + between.join(lines))  # nothing before the first block: fetching it may fail
        sink.write(b"\n" if format_name == "jsonl" else b"")
        count += len(block)
    if format_name == "json":
        sink.write((b"\n" if count else opening) + b"]\n")
    return count


def _distinct(columns: Sequence[str]) -> list[str]:
    """The names as the keys of an object: x, x_1 where two are x."""
    names: list[str] = []
    for column in columns:
        name, number = column, 0
        while name in names or (number and name in columns):
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def write_parquet(result: QueryResult, sink: IO[bytes]) -> int:
    """Write a result as Parquet; returns the number of rows. Raises InputError: it has no type for a column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 0
    try:
        with (
            result.batches() as batches,
            pq.ParquetWriter(sink, batches.schema, compression="zstd") as writer,
        ):
            for batch in batches:
                writer.write_batch(batch)
                count += batch.num_rows
    except pa.ArrowNotImplementedError as error:
        raise InputError(
            f"parquet has no such type ({one_line(str(error), 160)}); cast the column, or choose another format"
        ) from None
    return count


def write_paths(
    rows: Rows,
    roots: Mapping[str, Path],
    sink: IO[bytes],
    *,
    null: bool = False,
    clean: Callable[[str], str] | None = None,
) -> tuple[int, int, int]:
    """Write the path of each image, a line or (`null`) a NUL-terminated string each.

    A name that is not UTF-8 is written with its own bytes. An imported image's path stands as it was given.

    Args:
        rows: with the columns PATH_COLUMNS.
        roots: name of a root -> its folder.

    Returns:
        The number of paths, how many have a line break inside (of no matter with `null`), and how many images were
        left out because their root is not among `roots`.
    """
    end = b"\0" if null else b"\n"
    folders = {name: os.fsencode(path).rstrip(b"/") + b"/" for name, path in roots.items()}
    count = broken = unknown = 0
    for block in rows.blocks():
        lines = []
        for root, path, path_bytes in block:
            name = bytes(path_bytes) if path_bytes is not None else str(path).encode()
            if root is not None:
                if root not in folders:
                    unknown += 1
                    continue
                name = folders[root] + name
            broken += b"\n" in name
            lines.append(clean(os.fsdecode(name)).encode() if clean else name)
        sink.write(b"".join(line + end for line in lines))
        count += len(lines)
    return count, broken, unknown
