"""Queries: an expression over a snapshot.

Only the partitions that an expression, the sort key or the columns name are read, by their own paths, and
joined to the images on image_id; what has no row there is unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from colonnade.engine.columns import IMAGE_COLUMNS
from colonnade.engine.duck import connect, duck_errors
from colonnade.engine.errors import InputError
from colonnade.engine.expression import bind, expand, parse
from colonnade.engine.expression_tree import Expression, operands
from colonnade.engine.query_fields import Field, parse_columns, parse_sort
from colonnade.engine.query_sql import compile_query, no_scores
from colonnade.engine.result import QueryResult
from colonnade.engine.score_join import ScoreSource
from colonnade.engine.signal import no_signal_warnings

if TYPE_CHECKING:
    from colonnade.engine.snapshots import Snapshot

__all__ = ["MAX_LIMIT", "QueryResult", "run_query", "wide_table"]

MAX_LIMIT = 1_000_000_000


def run_query(
    snapshot: Snapshot,
    text: str,
    codes: Collection[str],
    sets: Collection[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    sort: str | None = None,
    limit: int | None = None,
    saved: Mapping[str, str] | None = None,
    selections: Mapping[str, Collection[int]] | None = None,
) -> QueryResult:
    """Find the images that match an expression.

    Args:
        text: the expression, see `colonnade.engine.expression`.
        codes: the attributes that may be named.
        sets: the sets that `in_set` may name; by default those of the snapshot.
        columns: see `parse_columns`; by default image_id, path and the confidence of each attribute named.
        sort: see `parse_sort`; by default, and among equals, by image_id.
        limit: the most rows to give, 0 to MAX_LIMIT.
        saved: saved queries, for `@name`.
        selections: image ids, for `in_selection(name)`; the running app has some.

    Raises:
        ExpressionError: the expression is wrong.
        InputError: a column, sort key or limit is wrong.
        StoreError: the snapshot's files cannot be read.
    """
    if limit is not None and not 0 <= limit <= MAX_LIMIT:
        raise InputError(f"the limit is {limit}; it must be 0 to {MAX_LIMIT:,}")
    tree = expand(parse(text), text, saved or {})
    names = snapshot.partitions("sets") if sets is None else sets
    bound = bind(tree, codes, names, selections=selections, text=text)
    fields = parse_columns(columns, codes) if columns is not None else default_fields(bound)
    keys = parse_sort(sort, codes) if sort else ()
    connection = connect()
    with duck_errors(str(snapshot.path)):
        statement = compile_query(connection, snapshot, bound, fields, keys, limit, selections)
    return QueryResult(
        connection,
        statement.sql,
        statement.parameters,
        columns=tuple(field.label for field in fields),
        types=tuple(field.type for field in fields),
        where=str(snapshot.path),
        count_sql=(statement.count_sql, statement.count_parameters),
        warnings=(*statement.warnings, *no_signal_warnings(snapshot, _codes(bound, fields))),
    )


def _codes(bound: Expression, fields: Sequence[Field]) -> tuple[str, ...]:
    """The attributes that the expression or the columns name."""
    named = [operand.name for operand in operands(bound) if operand.kind != "image"]
    return tuple(dict.fromkeys((*named, *(field.name for field in fields if field.kind != "image"))))


def wide_table(snapshot: Snapshot, codes: Sequence[str]) -> QueryResult:
    """One row per image in state `ok`: its columns, then the confidence of each of the attributes."""
    from colonnade.engine.views import FileSource, wide_select

    connection = connect()
    with duck_errors(str(snapshot.path)):
        tables = ScoreSource(connection, snapshot).tables(codes)
    return QueryResult(
        connection,
        f"{wide_select(FileSource(snapshot), codes, tables)}\nORDER BY image_id",
        columns=(*IMAGE_COLUMNS, *codes),
        types=(*IMAGE_COLUMNS.values(), *("FLOAT" for _ in codes)),
        where=str(snapshot.path),
        warnings=_unscored(snapshot, [code for code in codes if not snapshot.files("scores", code)]),
    )


def _unscored(snapshot: Snapshot, codes: Sequence[str]) -> tuple[str, ...]:
    """One line for attributes without scores, however many there are."""
    if len(codes) < 2:
        return tuple(no_scores(code, snapshot) for code in codes)
    shown = ", ".join(codes[:5]) + (", ..." if len(codes) > 5 else "")
    return (f"{len(codes):,} attributes have no scores in this snapshot: {shown}",)


def default_fields(bound: Expression) -> tuple[Field, ...]:
    """image_id, path, and the confidence of each attribute that the expression names."""
    codes = dict.fromkeys(operand.name for operand in operands(bound) if operand.kind != "image")
    return (
        Field("image", "image_id"),
        Field("image", "path"),
        *(Field("confidence", code) for code in codes),
    )
