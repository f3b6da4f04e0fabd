"""What a statement gave, as columns of a table and as one row in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from colonnade.tui.sql_run import SqlRows
from colonnade.tui.widgets.window_table import Column

__all__ = ["result_columns", "row_lines", "told"]

_NUMBERS = frozenset(
    ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "UINTEGER", "FLOAT", "DOUBLE")
)
_NARROWEST, _WIDEST = 4, 44
_SAMPLE = 100


def result_columns(rows: SqlRows, room: int) -> tuple[Column, ...]:
    """Columns as wide as their first values need, numbers to the right; the last text takes what is left."""
    columns: list[Column] = []
    for n, (name, kind) in enumerate(zip(rows.columns, rows.types, strict=True)):
        number = kind in _NUMBERS or kind.startswith("DECIMAL")
        longest = max((len(_text(row[n])) for row in rows.rows[:_SAMPLE]), default=0)
        width = min(_WIDEST, max(_NARROWEST, len(name), longest))
        columns.append(Column(name, name, width, "right" if number else "left", _text, index=n))
    texts = [n for n, column in enumerate(columns) if column.align == "left"]
    if texts and sum(column.width + 1 for column in columns) < room:
        columns[texts[-1]] = replace(columns[texts[-1]], width=0)
    return tuple(columns)


def _text(value: Any) -> str:
    if value is None:
        return "NULL"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def row_lines(columns: Sequence[str], values: Sequence[Any], width: int) -> tuple[str, ...]:
    """A row with a value a line, long ones over several."""
    width, lines = max(20, width), []
    longest = min(24, max((len(name) for name in columns), default=0))
    for name, value in zip(columns, values, strict=False):
        text = "NULL" if value is None else str(value)
        room = max(8, width - longest - 3)
        parts = [text[n : n + room] for n in range(0, min(len(text), 6 * room), room)] or [""]
        lines.append(f" {name[:longest]:{longest}} {parts[0]}")
        lines += [" " * (longest + 2) + part for part in parts[1:]]
    return tuple(lines)


def told(rows: SqlRows) -> str:
    """How many rows there are, how long it took, of which snapshot."""
    found = f"{rows.count:,} row{'' if rows.count == 1 else 's'}"
    more = "" if rows.complete else " are kept of more; {sql.export:e} writes all to a file"
    took = f"{1000 * rows.seconds:,.0f} ms" if rows.seconds < 1 else f"{rows.seconds:,.1f} s"
    return f"{found}{more}, {took}, snapshot {rows.snapshot}"
