"""Putting the result of a query on stdout or into a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar, cast

import typer

from colonnade.tui.amounts import count_of
from colonnade.tui.console import emit, print_table, safe, say
from colonnade.tui.streams import reader_gone

if TYPE_CHECKING:
    from colonnade.engine.formats import Rows
    from colonnade.engine.store import Store

__all__ = ["MOST_ROWS", "Format", "chosen_format", "pipe", "write", "write_file", "write_paths"]

TERMINAL_ROWS = 500
"""The most rows a table shows on a terminal when no --limit was given."""


MOST_ROWS = 1_000_000_000
"""The largest --limit; that of `engine.query`, which takes too long to import for a command's options."""

_PLAN = ("explain_key", "explain_value")
"""The columns of EXPLAIN: drawings of many lines."""

F = TypeVar("F", bound=StrEnum)


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"
    PATHS = "paths"


def chosen_format(kind: type[F], given: F | None, output: Path | None) -> F:
    """The format asked for, else the one that the file's name ends in, else a table."""
    if given is not None:
        if output is not None and given == "table":
            raise typer.BadParameter("a table is for the screen; choose another --format for a file")
        return given
    if output is None:
        return kind("table")
    suffix = output.suffix.lower().removeprefix(".")
    if suffix != "table" and suffix in [member.value for member in kind]:
        return kind(suffix)
    raise typer.BadParameter(f"{output}: name the format with --format; the file's name does not tell")


def write(
    result: Rows, chosen: Format, output: Path | None, *, whole: bool, total: Callable[[], int] | None
) -> None:
    """Write a result in any format but paths.

    Args:
        whole: a table shows every row, on a terminal too.
        total: gives the number of rows, to tell how many a terminal does not show.
    """
    if output is not None:
        write_file(result, chosen, output)
    elif chosen is Format.TABLE:
        _write_table(result, whole=whole, total=total)
    else:
        _write_stream(result, chosen, _stdout(), terminal=sys.stdout.isatty())


def write_file(result: Rows, chosen: Format, output: Path) -> int:
    """Write a result to a file, which appears when it is complete; returns the number of rows."""
    from colonnade.engine.output_file import output_file

    with output_file(output) as sink:
        return _write_stream(result, chosen, sink, terminal=False)


def _write_stream(result: Rows, chosen: Format, sink: IO[bytes], *, terminal: bool) -> int:
    from colonnade.engine import formats
    from colonnade.engine.result import QueryResult

    if chosen is not Format.PARQUET:
        return formats.write_text(result, chosen.value, sink, clean=safe if terminal else None)
    if terminal or not isinstance(result, QueryResult):
        raise typer.BadParameter("parquet is binary; add --output FILE")
    return formats.write_parquet(result, sink)


def _write_table(result: Rows, *, whole: bool, total: Callable[[], int] | None) -> None:
    """A table of all rows, or on a terminal of the first ones."""
    from colonnade.engine.formats import cell, plain_blocks

    if result.columns == _PLAN:
        for block in plain_blocks(result):
            for name, plan in block:
                for line in (str(name), *str(plan).splitlines()):
                    emit(safe(line))
        return
    most = TERMINAL_ROWS if sys.stdout.isatty() and not whole else None
    rows: list[list[str]] = []
    for block in plain_blocks(result):
        rows += [
            [
                f"{value:.4f}" if kind == "FLOAT" and isinstance(value, float) else cell(value)
                for kind, value in pairs
            ]
            for pairs in (zip(result.types, row, strict=True) for row in block)
        ]
        if most is not None and len(rows) > most:
            break
    numbers = {"BIGINT", "INTEGER", "HUGEINT", "FLOAT", "DOUBLE", "UBIGINT"}
    right = {
        name for name, type_name in zip(result.columns, result.types, strict=True) if type_name in numbers
    }
    print_table(result.columns, rows[:most], right)
    if most is not None and len(rows) > most:
        of = f" of {total():,}" if total else ""
        say(f"the first {most:,}{of} rows are shown; --format csv gives all, --limit N more or fewer")


def write_paths(store: Store, result: Rows, output: Path | None, *, null: bool) -> None:
    """Write the full path of each image of a result that has the columns `formats.PATH_COLUMNS`."""
    from colonnade.engine import formats

    roots = {root.name: root.path for root in store.settings.roots}
    if output is not None:
        from colonnade.engine.output_file import output_file

        with output_file(output) as sink:
            _, broken, unknown = formats.write_paths(result, roots, sink, null=null)
    else:
        clean = safe if sys.stdout.isatty() else None
        _, broken, unknown = formats.write_paths(result, roots, _stdout(), null=null, clean=clean)
    if broken and not null:
        have = "has" if broken == 1 else "have"
        say(f"warning: {count_of(broken, 'name')} {have} a line break inside; use --null")
    if unknown:
        their = "its" if unknown == 1 else "their"
        say(f"warning: {count_of(unknown, 'image')} left out: {their} root is no longer one of the store's")


@contextmanager
def pipe() -> Iterator[None]:
    """Whoever reads our output may stop early, as `head` does; that is no error, and the query ends with it."""
    with suppress(BrokenPipeError):
        yield
        sys.stdout.flush()


class _Stdout:
    """The bytes of stdout, as a file to write that notices when its reader has gone."""

    closed = False

    def write(self, data: bytes) -> int:
        if reader_gone():
            raise BrokenPipeError
        return sys.stdout.buffer.write(data)

    def flush(self) -> None:
        sys.stdout.buffer.flush()


def _stdout() -> IO[bytes]:
    return cast("IO[bytes]", _Stdout())
