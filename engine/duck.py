"""DuckDB the way the store uses it: in memory, bounded, offline, over explicit lists of files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from colonnade.engine.errors import ColonnadeError, InputError, StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import DataFile

__all__ = ["connect", "duck_errors", "identifier", "literal", "one_line", "parquet"]

MIN_MEMORY = 512 << 20
_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)*", re.MULTILINE)
_EXCERPT = re.compile(r"^(LINE \d+:|\s*\^)")


def connect(*, memory_bytes: int | None = None) -> DuckDBPyConnection:
    """A private database in memory: no extension is fetched, nothing is spilled to disk or read from home.

    Args:
        memory_bytes: the most it may hold; by default half of the machine's memory.
    """
    import duckdb

    return duckdb.connect(
        ":memory:",
        config={
            "threads": _cores(),
            "memory_limit": f"{(memory_bytes or _half_of_memory()) >> 20}MiB",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "allow_persistent_secrets": False,
            "python_enable_replacements": False,
        },
    )


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _half_of_memory() -> int:
    try:
        return max(MIN_MEMORY, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    except (ValueError, OSError):
        return 4 * MIN_MEMORY


def identifier(name: str) -> str:
    """A name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text quoted for SQL.

    Raises:
        StoreError: it is not valid Unicode, which DuckDB cannot take.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = text.encode("utf-8", "replace").decode()
        raise StoreError(f"{shown}: DuckDB cannot open a path that is not UTF-8; move the store") from None
    return "'" + text.replace("'", "''") + "'"


def parquet(files: Iterable[DataFile]) -> str:
    """The table function that reads these files, at least one; partition columns are left out."""
    paths = ", ".join(literal(str(file.path)) for file in files)
    if not paths:
        raise ValueError("DuckDB reads no empty list of files")
    return f"read_parquet([{paths}], hive_partitioning = false)"


def one_line(error: BaseException) -> str:
    """DuckDB's message without the excerpt of the SQL, and without the way that an exception of Python's took."""
    lines: list[str] = []
    for line in _TRACEBACK.sub("", str(error)).splitlines():
        if _EXCERPT.match(line) and lines:
            break
        lines.append(line.strip())
    text = re.sub(r"^(\w+(?: \w+)? Error: )+", "", " ".join(filter(None, lines)))
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= 300 else text[:297] + "..."


@contextmanager
def duck_errors(where: str, *, user_sql: bool = False) -> Iterator[None]:
    """Turn DuckDB's exceptions into one line.

    Args:
        where: what was being read.
        user_sql: the SQL came from the user, so that what is wrong with it is an InputError.
    """
    import duckdb

    try:
        yield
    except ColonnadeError:
        raise
    except duckdb.OutOfMemoryException as error:
        raise InputError(f"{where}: needs more memory than allowed; add a --limit or select less") from error
    except (duckdb.Error, UnicodeError, OverflowError) as error:
        if user_sql:
            raise InputError(f"{where}: {one_line(error)}") from error
        raise StoreError(f"{where}: {one_line(error)}; run `colonnade verify`") from error
