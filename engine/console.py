"""SQL over the views of a snapshot, read-only and confined to the snapshot's own files."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from colonnade.engine.columns import TABLES
from colonnade.engine.duck import connect, duck_errors, identifier, literal, one_line
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.result import QueryResult
from colonnade.engine.score_join import ScoreSource
from colonnade.engine.views import VIEWS, FileSource, view_select, wide_select

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import Snapshot

__all__ = ["MAX_SQL_CHARACTERS", "run_sql"]

MAX_SQL_CHARACTERS = 1_000_000
_ALLOWED = "SELECT, WITH, FROM, VALUES, TABLE, DESCRIBE, SUMMARIZE, SHOW and EXPLAIN"
_EXPLAIN = re.compile(r"\s*explain\b\s*(?:analyze\b\s*|\([^()]*\)\s*)?(.*)", re.IGNORECASE | re.DOTALL)
_QUOTED_OR_ZONED = re.compile(
    r""""(?:[^"]|"")*"|'(?:[^']|'')*'|TIMESTAMP WITH TIME ZONE"""
)  # a field of a struct or a word of an enum may have such a name
_DATES = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})
_LISTS_EVERYTHING = re.compile(
    r"\b(show|information_schema|duckdb_\w+|pg_\w+|sqlite_master)\b", re.IGNORECASE
)


def run_sql(
    snapshot: Snapshot,
    sql: str,
    codes: Sequence[str] | None = None,
    *,
    time_limit_s: float | None = None,
    memory_bytes: int | None = None,
) -> QueryResult:
    """Run one SQL statement that reads, over the views of `colonnade.engine.views`.

    The statement can name the views and the snapshot's Parquet files, nothing else: no other file, no
    network, no setting, no extension. The snapshot's files must be regular files below the store. Instants with a
    zone are texts, in lists and structs too; in rows, infinite dates are as well.

    Args:
        codes: the columns of `wide`, by default every attribute that has scores.
        time_limit_s: the longest that fetching the result may take.
        memory_bytes: the most memory it may use; by default half of the machine's.

    Raises:
        InputError: not one reading statement, wrong SQL, or over a limit.
        StoreError: the snapshot's files are not what they should be.
    """
    if len(sql) > MAX_SQL_CHARACTERS:
        raise InputError(f"sql: {len(sql):,} characters; {MAX_SQL_CHARACTERS:,} is the most")
    connection = connect(memory_bytes=memory_bytes)
    with duck_errors("sql", user_sql=True):
        text = _one_reading_statement(connection, sql)
    _confine(connection, snapshot)
    views = _Views(connection, snapshot, codes)
    views.create(VIEWS if _LISTS_EVERYTHING.search(text) else _named(text))
    guard = _TimeLimit(time_limit_s) if time_limit_s is not None else None
    with duck_errors("sql", user_sql=True):
        columns, types = _described(connection, text, views, guard)
    unzoned = tuple(_QUOTED_OR_ZONED.sub(_unzoned, type_name) for type_name in types)
    if unzoned != types:
        text, types = _without_zones(text, columns, types, unzoned), unzoned
    return QueryResult(
        connection,
        text,
        columns=columns,
        types=types,
        where="sql",
        guard=guard,
        user_sql=True,
        rows_sql=_with_infinities(text, columns, types),
    )


def _one_reading_statement(connection: DuckDBPyConnection, sql: str) -> str:
    """The text of the only statement, without the semicolon after it."""
    import duckdb

    try:
        data = sql.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"sql: not valid UTF-8 at character {error.start + 1}") from None
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise InputError(f"sql: {len(statements) or 'no'} statements; give one")
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:
        inner = _EXPLAIN.fullmatch(statements[0].query)
        explained = connection.extract_statements(inner[1]) if inner else []
        kind = explained[0].type if len(explained) == 1 else kind
    starts = [offset for offset, _ in duckdb.tokenize(sql)]
    pragma = data[starts[0] : starts[0] + 6].lower() == b"pragma"  # some pass for the SELECT that they become
    if pragma or kind != duckdb.StatementType.SELECT:
        raise InputError(f"sql: this console only reads: {_ALLOWED}")
    ends = [offset for offset in starts if data[offset : offset + 1] == b";"]
    return data[: ends[0]].decode() if ends else sql


def _confine(connection: DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Let the database read the snapshot's files and nothing else, for good."""
    home = os.path.realpath(snapshot.store) + os.sep
    paths = []
    for table in TABLES:
        for file in snapshot.files(table):
            path = str(file.path)
            try:
                regular = stat.S_ISREG(os.lstat(path).st_mode) and os.path.realpath(path).startswith(home)
            except OSError as error:
                raise StoreError(
                    f"{path}: {(error.strerror or 'cannot be read').lower()}; run it again"
                ) from None
            if not regular:
                raise StoreError(f"{path}: not a regular file of this store; refused")
            paths.append(literal(path))
    with duck_errors(str(snapshot.path)):
        connection.execute(f"SET allowed_paths = [{', '.join(paths)}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")


def _named(text: str) -> list[str]:
    """The views whose name occurs in the text: binding them all opens a file of each partition."""
    lowered = text.lower()
    return [view for view in VIEWS if view in lowered]


class _Views:
    """Makes views when they are first needed."""

    def __init__(
        self, connection: DuckDBPyConnection, snapshot: Snapshot, codes: Sequence[str] | None
    ) -> None:
        self._connection = connection
        self._source = FileSource(snapshot)
        self._scores = ScoreSource(connection, snapshot)
        self._where = str(snapshot.path)
        self._codes = codes
        self._made: set[str] = set()

    def create(self, names: Sequence[str]) -> bool:
        """Make those of the views that are not there yet; whether there were any."""
        wanted = dict.fromkeys(["scores", *names] if "derived" in names else names)
        missing = [name for name in wanted if name not in self._made]
        codes = self._source.partitions("scores") if self._codes is None else self._codes
        with duck_errors(self._where):
            for name in missing:
                if name == "wide":
                    select = wide_select(self._source, codes, self._scores.tables(codes))
                else:
                    select = view_select(name, self._source, codes)
                self._connection.execute(f"CREATE VIEW {identifier(name)} AS\n{select}")
                self._made.add(name)
        return bool(missing)


def _described(
    connection: DuckDBPyConnection, text: str, views: _Views, guard: _TimeLimit | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names and types of the columns; a table that is not there may be a view not made yet."""
    import duckdb

    try:
        cursor = connection.cursor()
        with guard(cursor) if guard else _unlimited():
            relation = cursor.sql(text)
            return tuple(relation.columns), tuple(str(type_name) for type_name in relation.types)
    except duckdb.CatalogException:
        if views.create(VIEWS):
            return _described(connection, text, views, guard)
        raise


def _unzoned(found: re.Match[str]) -> str:
    return "VARCHAR" if found[0] == "TIMESTAMP WITH TIME ZONE" else found[0]


def _without_zones(
    text: str, columns: tuple[str, ...], types: tuple[str, ...], unzoned: tuple[str, ...]
) -> str:
    """Instants as text, in lists and structs too: as Python values they would need a package for time zones."""
    shown = [
        "{0}" if new == old else f"{{0}}::{new.replace('{', '{{').replace('}', '}}')}"
        for old, new in zip(types, unzoned, strict=True)
    ]
    return _select(text, columns, shown)


def _with_infinities(text: str, columns: tuple[str, ...], types: tuple[str, ...]) -> str | None:
    """The statement with the words "infinity" and "-infinity" in columns of dates; None where there is no such column.

    As Python values they would be the first and the last day there is, which real dates may be. A union gives a date
    here and a text there.
    """
    if _DATES.isdisjoint(types):
        return None
    return _select(text, columns, [_dated(name) if name in _DATES else "{0}" for name in types])


def _dated(type_name: str) -> str:
    either = f"UNION(moment {type_name}, words VARCHAR)"
    return (
        f"CASE WHEN isinf({{0}}) THEN union_value(words := {{0}}::VARCHAR)::{either} ELSE {{0}}::{either} END"
    )


def _select(text: str, columns: Sequence[str], shown: Sequence[str]) -> str:
    """A statement over the result of another.

    Args:
        shown: of each column what is shown of it, with {0} for its value.
    """
    names = [f"c{n}" for n in range(len(columns))]
    expressions = (
        f"{form.format(name)} AS {identifier(column)}"
        for name, column, form in zip(names, columns, shown, strict=True)
    )
    return f"SELECT {', '.join(expressions)}\nFROM (\n{text}\n) AS result({', '.join(names)})"


@contextmanager
def _unlimited() -> Iterator[None]:
    yield


class _TimeLimit:
    """Interrupts a connection that works for too long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    @contextmanager
    def __call__(self, connection: DuckDBPyConnection) -> Iterator[None]:
        import duckdb

        timer = threading.Timer(min(self._seconds, threading.TIMEOUT_MAX), connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except duckdb.InterruptException as error:
            raise InputError(
                f"sql: took longer than {self._seconds:g} s; stopped ({one_line(error)})"
            ) from None
        finally:
            timer.cancel()
            timer.join()  # it holds the connection: an interpreter that ends meanwhile would complain of that
