"""What a query gives: columns, rows, and the same as Arrow, polars or pandas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from colonnade.engine.duck import duck_errors

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import polars as pl
    import pyarrow as pa
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

__all__ = ["QueryResult", "Row"]

Row = tuple[Any, ...]
BLOCK_ROWS = 2048


class QueryResult:
    """A query over immutable files: nothing runs until rows or the count are asked for, each time anew.

    Iterating gives tuples of Python values in the order of `columns`; rows are fetched in blocks.

    Args:
        connection: a database that nobody else uses.
        sql: one SELECT; `parameters` are its `?`.
        columns: the names of its columns.
        count_sql: a cheaper statement that gives the number of rows, with its parameters.
        warnings: what the user should know of the result, one line each.
        guard: what runs around each execution (a time limit).
        user_sql: what is wrong with the SQL is the user's fault.
        rows_sql: what rows are fetched by, where a value of `sql` has no like in Python; without parameters.
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        sql: str,
        parameters: Sequence[object] = (),
        *,
        columns: tuple[str, ...],
        types: tuple[str, ...],
        where: str,
        count_sql: tuple[str, Sequence[object]] | None = None,
        warnings: tuple[str, ...] = (),
        guard: Callable[[DuckDBPyConnection], AbstractContextManager[object]] | None = None,
        user_sql: bool = False,
        rows_sql: str | None = None,
    ) -> None:
        self._connection = connection
        self._sql = sql
        self._parameters = list(parameters)
        self._rows_sql = rows_sql or sql
        self._count_sql = count_sql
        self._where = where
        self._guard = guard
        self._user_sql = user_sql
        self.columns = columns
        self.types = types
        """DuckDB's names of the columns' types."""
        self.warnings = warnings

    def __repr__(self) -> str:
        return f"QueryResult({', '.join(self.columns)})"

    @cached_property
    def count(self) -> int:
        """The number of rows; reads no column that the conditions do not need."""
        if self._count_sql is None:
            return sum(len(block) for block in self.blocks())
        sql, parameters = self._count_sql
        cursor = self._connection.cursor()
        with self._errors(cursor):
            row = cursor.execute(sql, list(parameters)).fetchone()
        return int(row[0]) if row else 0

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[list[Row]]:
        """The rows in lists of at most `rows`."""
        cursor = self._connection.cursor()
        with self._errors(cursor):
            cursor.execute(self._rows_sql, self._parameters)
            while block := cursor.fetchmany(rows):
                yield block

    def __iter__(self) -> Iterator[Row]:
        for block in self.blocks():
            yield from block

    def fetch(self, limit: int | None = None) -> list[Row]:
        """The first `limit` rows, or all."""
        if limit is None:
            return list(self)
        rows: list[Row] = []
        for block in self.blocks(max(1, min(limit, BLOCK_ROWS))):
            rows += block
            if len(rows) >= limit:
                break
        return rows[:limit]

    def arrow(self) -> pa.Table:
        """All rows as an Arrow table."""
        with self._relation() as relation:
            table: pa.Table = relation.to_arrow_table()
            return table

    def batches(self, rows: int = 65_536) -> pa.RecordBatchReader:
        """The rows as a reader of Arrow record batches."""
        with self._relation() as relation:
            reader = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
            batches: pa.RecordBatchReader = reader(rows)
            return batches

    def polars(self) -> pl.DataFrame:
        """All rows as a polars DataFrame."""
        with self._relation() as relation:
            frame: pl.DataFrame = relation.pl()
            return frame

    def pandas(self) -> pd.DataFrame:
        """All rows as a pandas DataFrame."""
        with self._relation() as relation:
            frame: pd.DataFrame = relation.df()
            return frame

    @contextmanager
    def _relation(self) -> Iterator[DuckDBPyRelation]:
        cursor = self._connection.cursor()
        with self._errors(cursor):
            yield (
                cursor.sql(self._sql, params=self._parameters) if self._parameters else cursor.sql(self._sql)
            )

    @contextmanager
    def _errors(self, cursor: DuckDBPyConnection) -> Iterator[None]:
        with duck_errors(self._where, user_sql=self._user_sql):
            if self._guard is None:
                yield
            else:
                with self._guard(cursor):
                    yield
