"""Tables of scores to join to the images: several attributes at once where their rows are provably the same.

Attributes scored together have the same image ids, sorted, in the same places. Reading their files side by
side (DuckDB's POSITIONAL JOIN) is then many times faster than joining on image_id, and takes little memory.
It would be silently wrong where one row is missing, so it is used only on proof: the footers that this
program writes tell the number of rows, the least and greatest id, and a digest of the ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from colonnade.engine.duck import literal, parquet

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import DataFile, Snapshot

__all__ = ["SCORE_COLUMNS", "ScoreSource", "ScoreTable"]

SCORE_COLUMNS = ("confidence", "logit", "status", "label_source")
_SIDE_BY_SIDE = 256
"""Attributes in one table; DuckDB nests as deep as there are, and refuses 1,000."""


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A table expression with `image_id` and the score columns of some attributes."""

    sql: str
    columns: Mapping[str, str]
    """Code -> what follows the names SCORE_COLUMNS in this table: '' or a number."""


@dataclass(frozen=True, slots=True)
class _Ids:
    """Which ids a file's rows have, in order, as far as its footer tells."""

    least: int
    greatest: int
    rows: int
    digest: int


_Key = tuple[int, int, int, int]


class ScoreSource:
    """The scores of a snapshot, ready to be joined."""

    def __init__(self, connection: DuckDBPyConnection, snapshot: Snapshot) -> None:
        self._connection = connection
        self._snapshot = snapshot
        self._ids: dict[str, _Ids | None] = {}

    def tables(self, codes: Iterable[str]) -> list[ScoreTable]:
        """Tables that hold each of the codes that has scores once."""
        files = {code: found for code in codes if (found := self._snapshot.files("scores", code))}
        if len(files) < 2:
            return [ScoreTable(parquet(found), {code: ""}) for code, found in files.items()]
        self._read_footers([file for found in files.values() for file in found])
        groups: dict[_Key | str, list[str]] = {}
        for code, found in files.items():
            files[code] = tuple(sorted(found, key=self._least))
            groups.setdefault(self._key(files[code]) or code, []).append(code)
        tables = []
        for group in groups.values():
            for first in range(0, len(group), _SIDE_BY_SIDE):
                tables.append(
                    _side_by_side({code: files[code] for code in group[first : first + _SIDE_BY_SIDE]})
                )
        return tables

    def _least(self, file: DataFile) -> int:
        ids = self._ids[str(file.path)]
        return -1 if ids is None else ids.least

    def _key(self, files: Sequence[DataFile]) -> _Key | None:
        """What tells the sequence of ids in files one after another; None if it is not proved ascending."""
        known = [ids for file in files if (ids := self._ids[str(file.path)]) is not None]
        if len(known) != len(files) or any(a.greatest >= b.least for a, b in pairwise(known)):
            return None
        digest = sum(ids.digest for ids in known) % 2**64
        return known[0].least, known[-1].greatest, sum(ids.rows for ids in known), digest

    def _read_footers(self, files: Sequence[DataFile]) -> None:
        paths = [str(file.path) for file in files if str(file.path) not in self._ids]
        if not paths:
            return
        listed = f"[{', '.join(map(literal, paths))}]"
        rows = dict(
            self._connection.execute(
                f"SELECT file_name, num_rows FROM parquet_file_metadata({listed})"
            ).fetchall()
        )
        facts = dict(
            self._connection.execute(
                f"SELECT file_name, value FROM parquet_kv_metadata({listed}) WHERE key = 'colonnade'"
            ).fetchall()
        )
        for path in paths:
            self._ids[path] = _ids(facts.get(path), rows.get(path))


def _ids(facts: bytes | None, rows: int | None) -> _Ids | None:
    try:
        told = json.loads(facts or b"{}")
        return _Ids(int(told["min_id"]), int(told["max_id"]), int(rows or 0), int(told["id_digest"], 16))
    except (KeyError, TypeError, ValueError):
        return None


def _side_by_side(files: Mapping[str, Sequence[DataFile]]) -> ScoreTable:
    if len(files) == 1:
        ((code, found),) = files.items()
        return ScoreTable(parquet(found), {code: ""})
    numbers = {code: str(n) for n, code in enumerate(files)}
    values = ", ".join(f"p{n}.{column} AS {column}{n}" for n in numbers.values() for column in SCORE_COLUMNS)
    tables = " POSITIONAL JOIN ".join(f"{parquet(files[code])} AS p{n}" for code, n in numbers.items())
    return ScoreTable(f"(SELECT p0.image_id, {values} FROM {tables})", numbers)
