"""Commands that answer questions: query, sql and export."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from colonnade.tui.console import AtOption, StoreOption, emit, open_store, say
from colonnade.tui.results import MOST_ROWS, Format, chosen_format, pipe, write, write_file, write_paths

if TYPE_CHECKING:
    from colonnade.engine.result import QueryResult
    from colonnade.engine.snapshots import Snapshot
    from colonnade.engine.store import Store

__all__ = ["register"]

MAX_STDIN = 4_000_000


class SqlFormat(StrEnum):
    """How `sql` writes."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"


class ExportFormat(StrEnum):
    """How `export` writes."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


def _named(value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise typer.BadParameter("name a column")
    return value


OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here instead of to stdout.")
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        callback=_named,
        metavar="C,C",
        help="Image columns, CODE (its confidence), CODE.status, CODE.logit, CODE.source.",
    ),
]


def query(
    expression: Annotated[
        str | None,
        typer.Argument(metavar="EXPR", show_default=False, help="What is to hold of the images, in quotes."),
    ] = None,
    store: StoreOption = None,
    columns: ColumnsOption = None,
    sort: Annotated[
        str | None,
        typer.Option(
            callback=_named,
            metavar="COLUMN",
            help="CODE (highest first) or a column (lowest first); - before it turns the order.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, max=MOST_ROWS, metavar="N", help="The most images to give.")
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            show_default=False,
            help="By default that of FILE's name, else table.",
        ),
    ] = None,
    output: OutputOption = None,
    count: Annotated[bool, typer.Option("--count", help="Only the number of images.")] = False,
    null: Annotated[bool, typer.Option("--null", "-0", help="End paths with NUL, for xargs -0.")] = False,
    save: Annotated[
        str | None, typer.Option(metavar="NAME", help="Keep the expression; later write it as @NAME.")
    ] = None,
    saved: Annotated[bool, typer.Option("--saved", help="List the saved queries.")] = False,
    at: AtOption = None,
) -> None:
    """Find images by their attributes.

    NAME is accepted, NAME? at least tentative; compare confidences with numbers: earth >= 0.8. There are and,
    or, not, parentheses, between, in, like, is null; logit(earth) > 27, status(earth) = 'tentative',
    source(earth); image columns such as width, path, taken; in_set(NAME), @NAME for a saved query, true.
    What was not scored is unknown and never matches, with `not` neither.

    Example: colonnade query "earth >= 0.8 and moon < 0.5 and not diagram" --sort earth --limit 20

    Example: colonnade query "portrait and taken >= '2024'" --format paths --null | xargs -0 cp -t picked
    """
    if saved == (expression is not None):
        raise typer.BadParameter("give an expression, or --saved to list the saved queries")
    if null and format_ is not Format.PATHS:
        raise typer.BadParameter("--null goes with --format paths")
    if columns and (count or format_ is Format.PATHS):
        raise typer.BadParameter("--columns has no meaning with --count or --format paths")
    if count and (output or format_ or sort):
        raise typer.BadParameter("--count prints one number; leave --output, --format and --sort out")
    chosen = chosen_format(Format, format_, output)
    opened = open_store(store)
    if expression is None:
        _list_saved(opened, chosen, output)
        return
    snapshot = opened.snapshot(at)
    names: Sequence[str] | None = columns.split(",") if columns else None
    if chosen is Format.PATHS:
        from colonnade.engine.formats import PATH_COLUMNS

        names = PATH_COLUMNS
    result = _run(opened, snapshot, expression, at=at, columns=names, sort=sort, limit=limit)
    if save is not None:
        from colonnade.engine.queries_file import save_query

        save_query(opened.path, save, expression)
        say(f"saved; write it as @{save}")
    for warning in result.warnings:
        say(f"warning: {warning}")
    with pipe():
        if count:
            emit(str(result.count))
        elif chosen is Format.PATHS:
            write_paths(opened, result, output, null=null)
        else:
            write(result, chosen, output, whole=limit is not None, total=lambda: result.count)


def sql(
    statement: Annotated[str, typer.Argument(metavar="QUERY", help="One statement; - reads it from stdin.")],
    store: StoreOption = None,
    format_: Annotated[
        SqlFormat | None,
        typer.Option(
            "--format",
            "-f",
            show_default=False,
            help="By default that of FILE's name, else table.",
        ),
    ] = None,
    output: OutputOption = None,
    time_limit: Annotated[
        float | None, typer.Option(min=0.001, metavar="SECONDS", help="Stop a longer query.")
    ] = None,
    at: AtOption = None,
) -> None:
    """Read-only SQL (DuckDB) over the views of the store.

    The views: images, scores (every attribute, a row per image and code), wide (a column per attribute), derived,
    embeddings, labels, calibrations, definitions, prompts, sets, projections. Nothing can be written, and no
    other file read.

    Example: colonnade sql "SELECT attribute_code, avg(confidence) FROM scores GROUP BY 1 ORDER BY 2 DESC"

    Example: echo "SELECT path, earth FROM wide ORDER BY earth DESC LIMIT 9" | colonnade sql - --format csv
    """
    from colonnade.engine.console import run_sql

    chosen = chosen_format(SqlFormat, format_, output)
    if time_limit is not None and not math.isfinite(time_limit):
        raise typer.BadParameter("a number of seconds", param_hint="--time-limit")
    text = _stdin() if statement == "-" else statement
    opened = open_store(store)
    snapshot = opened.snapshot(at)
    codes = _wide_codes(opened, snapshot, at) if "wide" in text.lower() else None
    result = run_sql(snapshot, text, codes, time_limit_s=time_limit)
    with pipe():
        write(result, Format(chosen), output, whole=False, total=None)


def export(
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", show_default=False, help="The file to write.")
    ],
    store: StoreOption = None,
    format_: Annotated[
        ExportFormat | None,
        typer.Option(
            "--format",
            "-f",
            show_default=False,
            help="By default what DEST ends in; parquet if it ends in nothing.",
        ),
    ] = None,
    query_: Annotated[
        str | None,
        typer.Option("--query", metavar="EXPR", help="Only what matches, with the columns of `query`."),
    ] = None,
    columns: ColumnsOption = None,
    at: AtOption = None,
) -> None:
    """Write the wide table for others: a row per image, its columns, and one confidence per attribute.

    Example: colonnade export collection.parquet

    Example: colonnade export moons.csv --query "moon >= 0.9" --columns path,moon,taken
    """
    from colonnade.engine.query import wide_table

    if format_ is None and not destination.suffix:
        format_ = ExportFormat.PARQUET
    chosen = Format(chosen_format(ExportFormat, format_, destination))
    opened = open_store(store)
    snapshot = opened.snapshot(at)
    names = columns.split(",") if columns else None
    if query_ is None and names is None:
        result = wide_table(snapshot, _wide_codes(opened, snapshot, at))
    else:
        result = _run(opened, snapshot, query_ or "true", at=at, columns=names)
    for warning in result.warnings:
        say(f"warning: {warning}")
    with pipe():
        rows = write_file(result, chosen, destination)
        say(f"{rows:,} rows written to {destination}")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (query, sql, export):
        app.command()(command)


def _run(
    store: Store,
    snapshot: Snapshot,
    expression: str,
    *,
    at: int | None,
    columns: Sequence[str] | None = None,
    sort: str | None = None,
    limit: int | None = None,
) -> QueryResult:
    """Run a query; the vocabulary is read only if it names what has no scores yet, for that takes a while."""
    from colonnade.engine.errors import InputError
    from colonnade.engine.query import run_query

    saved = {}
    if "@" in expression:
        from colonnade.engine.queries_file import read_queries

        saved = read_queries(store.path)

    def run(codes: Sequence[str]) -> QueryResult:
        return run_query(snapshot, expression, codes, columns=columns, sort=sort, limit=limit, saved=saved)

    try:
        return run(snapshot.partitions("scores"))
    except InputError as error:
        try:
            codes = _wide_codes(store, snapshot, at)
        except InputError:
            raise error from None
        return run(codes)


def _wide_codes(store: Store, snapshot: Snapshot, at: int | None) -> list[str]:
    """The columns of the wide table: the vocabulary's attributes in its order, then orphans."""
    known = store.vocabulary(None if at is None else snapshot).codes
    return [*known, *(code for code in snapshot.partitions("scores") if code not in known)]


def _stdin() -> str:
    from colonnade.engine.errors import InputError

    data = sys.stdin.buffer.read(MAX_STDIN + 1)
    if len(data) > MAX_STDIN:
        raise InputError(f"stdin: more than {MAX_STDIN:,} bytes; refused")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"stdin: not UTF-8 at byte {error.start}") from None


def _list_saved(store: Store, chosen: Format, output: Path | None) -> None:
    from colonnade.engine.formats import Listing
    from colonnade.engine.queries_file import read_queries

    if chosen in (Format.PARQUET, Format.PATHS):
        raise typer.BadParameter("saved queries are listed as table, csv, json or jsonl")
    queries = read_queries(store.path)
    if not queries:
        say("no query is saved yet; colonnade query EXPR --save NAME keeps one")
    with pipe():
        write(Listing(("name", "expression"), list(queries.items())), chosen, output, whole=True, total=None)
