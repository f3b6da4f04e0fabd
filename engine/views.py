"""The views people write SQL against, over a snapshot's files or over the store's folder.

`images embeddings scores labels calibrations prompts sets projections definitions` are the tables with the
partition as a column; `derived` is the scores that a rule made; `wide` has one row per image in state `ok`
and one column per attribute, its confidence. Times are UTC, but for `taken`, which has no zone.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from colonnade.engine.columns import IMAGE_COLUMNS, TABLES
from colonnade.engine.duck import identifier, literal
from colonnade.engine.score_join import ScoreTable
from colonnade.engine.store_names import partition_folder

if TYPE_CHECKING:
    from colonnade.engine.snapshots import Snapshot

__all__ = [
    "VIEWS",
    "VIEW_COLUMNS",
    "FileSource",
    "FolderSource",
    "Source",
    "view_select",
    "views_sql",
    "wide_select",
]

VIEW_COLUMNS: dict[str, dict[str, str]] = {
    "images": IMAGE_COLUMNS,
    "embeddings": {"image_id": "BIGINT", "model": "VARCHAR", "embedding": "FLOAT[]"},
    "scores": {
        "image_id": "BIGINT",
        "attribute_code": "VARCHAR",
        "logit": "FLOAT",
        "log_odds": "FLOAT",
        "confidence": "FLOAT",
        "status": "VARCHAR",
        "label_source": "VARCHAR",
        "model": "VARCHAR",
        "definition": "VARCHAR",
    },
    "labels": {
        "image_id": "BIGINT",
        "attribute_code": "VARCHAR",
        "content_hash": "VARCHAR",
        "present": "BOOLEAN",
        "reviewer": "VARCHAR",
        "reviewed_at": "TIMESTAMP",
        "policy": "VARCHAR",
        "probability": "DOUBLE",
    },
    "calibrations": {
        "attribute_code": "VARCHAR",
        "model": "VARCHAR",
        "method": "VARCHAR",
        "center": "DOUBLE",
        "scale": "DOUBLE",
        "fitted_at": "TIMESTAMP",
        "fit": "VARCHAR",
    },
    "definitions": {"definition": "VARCHAR", "json": "VARCHAR"},
    "prompts": {"model": "VARCHAR", "prompt": "VARCHAR", "kind": "VARCHAR", "embedding": "FLOAT[]"},
    "sets": {"set_name": "VARCHAR", "image_id": "BIGINT"},
    "projections": {
        "image_id": "BIGINT",
        "model": "VARCHAR",
        "latitude": "FLOAT",
        "longitude": "FLOAT",
        "parameters": "VARCHAR",
    },
}
"""Table -> columns of its view and their DuckDB types."""

VIEWS = (*VIEW_COLUMNS, "derived", "wide")
_INSTANTS = frozenset({"mtime", "reviewed_at", "fitted_at"})
_OF_ONE_MODEL = frozenset({"embeddings", "prompts"})
"""Tables whose partitions differ in type: the vectors of each model have a length of their own."""
_JOINED_AT_ONCE = 32
"""Joins in one SELECT of `wide`. In one chain, 200 joins take 8 times longer, and 1,000 nest too deep to parse."""


class Source(Protocol):
    """Where the rows of a table are."""

    @property
    def hive(self) -> bool:
        """Whether the partition can be read off a path: only if nothing above the tables looks like one."""

    def partitions(self, table: str) -> tuple[str, ...]:
        """The partitions that have files."""

    def table(self, table: str) -> str | None:
        """A table function over all files of a table, with the partition as a column; None without files."""

    def partition(self, table: str, partition: str | None) -> str | None:
        """A table function over one partition, without its column; None without files."""


class FileSource:
    """The files of one snapshot, by name."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @property
    def hive(self) -> bool:
        return "=" not in str(self._snapshot.store)

    def partitions(self, table: str) -> tuple[str, ...]:
        return tuple(name for name in self._snapshot.partitions(table) if self._snapshot.files(table, name))

    def table(self, table: str) -> str | None:
        return _read([literal(str(file.path)) for file in self._snapshot.files(table)], hive=True)

    def partition(self, table: str, partition: str | None) -> str | None:
        return _read([literal(str(file.path)) for file in self._snapshot.files(table, partition)], hive=False)


class FolderSource:
    """The folder of a store, through its `live` link: what is live when a query runs.

    Args:
        store: the folder as the views are to name it, unless the DuckDB variable `colonnade_store` is set.
        snapshot: the live snapshot, which tells what there is to read.
    """

    def __init__(self, store: Path, snapshot: Snapshot) -> None:
        self._store = store
        self._files = FileSource(snapshot)

    @property
    def hive(self) -> bool:
        return "=" not in str(self._store) and self._files.hive

    def partitions(self, table: str) -> tuple[str, ...]:
        return self._files.partitions(table)

    def table(self, table: str) -> str | None:
        if self._files.table(table) is None:
            return None
        column = TABLES[table]
        return _read([self._path(table, f"{column}=*" if column else "")], hive=True)

    def partition(self, table: str, partition: str | None) -> str | None:
        if self._files.partition(table, partition) is None:
            return None
        return _read([self._path(table, partition_folder(table, partition))], hive=False)

    def _path(self, table: str, folder: str) -> str:
        below = "/".join(filter(None, ["", "live", table, folder, "part-*.parquet"]))
        store = literal(glob.escape(str(self._store)))
        return f"coalesce(getvariable('colonnade_store'), {store}) || {literal('/' + below)}"


def _read(paths: Sequence[str], *, hive: bool) -> str | None:
    if not paths:
        return None
    named = paths[0] if len(paths) == 1 else f"[{', '.join(paths)}]"
    options = "hive_partitioning = true, hive_types_autocast = false" if hive else "hive_partitioning = false"
    return f"read_parquet({named}, {options})"


def view_select(name: str, source: Source, codes: Sequence[str]) -> str:
    """The SELECT of a view. `derived` is over the view `scores`, which must exist.

    Args:
        codes: the attributes that are columns of `wide`; one without scores is NULL throughout.
    """
    if name == "derived":
        return "SELECT *\nFROM scores\nWHERE label_source = 'derived_rule'"
    if name == "wide":
        reads = {code: read for code in codes if (read := source.partition("scores", code))}
        return wide_select(source, codes, [ScoreTable(read, {code: ""}) for code, read in reads.items()])
    columns = VIEW_COLUMNS[name]
    partition_column = TABLES[name]
    if partition_column is None or (source.hive and name not in _OF_ONE_MODEL):
        table = source.table(name)
        return _select(columns, table) if table else _nothing(columns)
    parts = [
        _select(columns, read, {partition_column: literal(partition)})
        for partition in source.partitions(name)
        if (read := source.partition(name, partition))
    ]
    return "\nUNION ALL\n".join(parts) if parts else _nothing(columns)


def _select(columns: Mapping[str, str], table: str, constants: Mapping[str, str] | None = None) -> str:
    def value(name: str, type_name: str) -> str:
        if constants and name in constants:
            return f"{constants[name]} AS {identifier(name)}"
        if name in _INSTANTS:
            return f"make_timestamp(epoch_us({identifier(name)})) AS {identifier(name)}"
        if type_name == "FLOAT[]":
            return f"{identifier(name)}::FLOAT[] AS {identifier(name)}"
        return identifier(name)

    return f"SELECT {', '.join(value(*column) for column in columns.items())}\nFROM {table}"


def _nothing(columns: Mapping[str, str]) -> str:
    values = ", ".join(f"NULL::{type_name} AS {identifier(name)}" for name, type_name in columns.items())
    return f"SELECT {values}\nWHERE false"


def wide_select(source: Source, codes: Sequence[str], tables: Sequence[ScoreTable]) -> str:
    """The SELECT of `wide`, given tables that hold each code that has scores once."""
    images = source.table("images")
    if images is None:
        return _nothing({**IMAGE_COLUMNS, **dict.fromkeys(codes, "FLOAT")})
    chunks = [tables[n : n + _JOINED_AT_ONCE] for n in range(0, len(tables), _JOINED_AT_ONCE)]
    if len(chunks) > 1:
        tables = [_chunk(images, chunk) for chunk in chunks]
    places = {
        code: f"s{n}.confidence{suffix}"
        for n, table in enumerate(tables)
        for code, suffix in table.columns.items()
    }
    shown = [
        f"make_timestamp(epoch_us(i.{name})) AS {name}" if name in _INSTANTS else f"i.{name}"
        for name in IMAGE_COLUMNS
    ]
    shown += [f"{places.get(code, 'NULL::FLOAT')} AS {identifier(code)}" for code in codes]
    lines = [
        f"SELECT {', '.join(shown)}",
        f"FROM {images} AS i",
        *_left_joins(tables, "i"),
        "WHERE i.state = 'ok'",
    ]
    return "\n".join(lines)


def _left_joins(tables: Sequence[ScoreTable], left: str) -> list[str]:
    return [
        f"LEFT JOIN {table.sql} AS s{n} ON s{n}.image_id = {left}.image_id" for n, table in enumerate(tables)
    ]


def _chunk(images: str, tables: Sequence[ScoreTable]) -> ScoreTable:
    """Some tables joined to the image ids, as one."""
    numbers: dict[str, str] = {}
    values = ["b.image_id"]
    for n, table in enumerate(tables):
        for code, suffix in table.columns.items():
            numbers[code] = str(len(numbers))
            values.append(f"s{n}.confidence{suffix} AS confidence{numbers[code]}")
    joins = "\n".join(_left_joins(tables, "b"))
    return ScoreTable(f"(SELECT {', '.join(values)}\nFROM {images} AS b\n{joins})", numbers)


_HEADER = """\
-- The views of this Colonnade store for the duckdb shell, from any folder:
--     duckdb -cmd ".read STORE/views.sql"
-- They read the store's live snapshot through STORE/live. The store's folder is written below as it was when
-- this file was made; where the store has moved, name it first:
--     SET VARIABLE colonnade_store = '/new/place/of/STORE';
-- Attributes that came later are in `scores`; `wide` and tables that were empty need this file made anew.
"""


def views_sql(store: Path, snapshot: Snapshot, codes: Sequence[str] | None = None) -> str:
    """The text of `STORE/views.sql`: the views for DuckDB, without limits or a sandbox.

    Args:
        store: the store's folder; made absolute.
        snapshot: the live snapshot: tables without files become empty views of the right columns.
        codes: the columns of `wide`, by default every attribute that has scores.

    Raises:
        StoreError: the path of the store is not UTF-8.
    """
    source = FolderSource(store.absolute(), snapshot)
    columns = list(source.partitions("scores") if codes is None else codes)
    views = (f"CREATE OR REPLACE VIEW {name} AS\n{view_select(name, source, columns)};" for name in VIEWS)
    return _HEADER + "\n" + "\n\n".join(views) + "\n"
