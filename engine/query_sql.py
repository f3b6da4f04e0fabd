"""Compiling a bound expression to SQL over the files it needs.

The SQL holds no text of the user's: names are validated and quoted, values are parameters.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from colonnade.engine.columns import IMAGE_COLUMNS
from colonnade.engine.duck import identifier, parquet
from colonnade.engine.expression_binding import UTC_COLUMNS
from colonnade.engine.expression_tree import (
    And,
    Between,
    Compare,
    Constant,
    Expression,
    In,
    InSelection,
    InSet,
    IsNull,
    Like,
    Not,
    Operand,
    Or,
    Saved,
    Truth,
    Value,
    operands,
)
from colonnade.engine.query_fields import SCORE_FIELDS, Field, SortKey
from colonnade.engine.score_join import ScoreSource

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import Snapshot

__all__ = ["Statement", "compile_query", "no_scores"]


@dataclass(frozen=True, slots=True)
class Statement:
    """A compiled query. The SQL holds no text of the user's but validated names and the store's paths."""

    sql: str
    parameters: tuple[object, ...]
    count_sql: str
    count_parameters: tuple[object, ...]
    warnings: tuple[str, ...]


def no_scores(code: str, snapshot: Snapshot | None = None) -> str:
    """What to say of an attribute that has no partition in a snapshot, by default the live one."""
    if snapshot is not None and not snapshot.is_live():
        return f"{code} has no scores at snapshot {snapshot.number}"
    return f"{code} has no scores yet: run colonnade tag {code}"


def compile_query(
    connection: DuckDBPyConnection,
    snapshot: Snapshot,
    bound: Expression,
    fields: Sequence[Field],
    keys: Sequence[SortKey] = (),
    limit: int | None = None,
    selections: Mapping[str, Collection[int]] | None = None,
) -> Statement:
    """Compile a bound expression to the SQL of its rows and of their number.

    Args:
        selections: the image ids of each selection that the expression names.
    """
    chosen = selections or {}
    scores = ScoreSource(connection, snapshot)
    found = _Join(snapshot, scores, _codes(operands(bound)))
    condition, values = _where(snapshot, found, bound, chosen)
    count_sql = f"SELECT count(*)\n{found.sql}\nWHERE {condition}"
    count_parameters = list(values)
    if limit is not None:
        count_sql = count_sql.replace("count(*)", "least(count(*), ?)", 1)
        count_parameters.insert(0, limit)

    codes = [*found.codes, *_codes(key.field for key in keys)]
    late = limit is not None and any(_is_late(field, codes) for field in fields)
    if not late:
        codes += _codes(fields)
    join = found if set(codes) <= set(found.codes) else _Join(snapshot, scores, dict.fromkeys(codes))
    condition, values = _where(snapshot, join, bound, chosen)
    order = ", ".join([*(_order(join.value(key.field, raw=True), key) for key in keys), "i.image_id"])
    tail = f"\n{join.sql}\nWHERE {condition}\nORDER BY {order}" + ("" if limit is None else "\nLIMIT ?")
    parameters = (*values, *(() if limit is None else (limit,)))
    if late:
        sql = _late_columns(snapshot, scores, join, fields, keys, tail)
    else:
        selected = ", ".join(f"{join.value(field)} AS {identifier(field.label)}" for field in fields)
        sql = f"SELECT {selected}{tail}"
    named = dict.fromkeys([*codes, *_codes(fields)])
    warnings = tuple(no_scores(code, snapshot) for code in named if not snapshot.files("scores", code))
    return Statement(sql, parameters, count_sql, tuple(count_parameters), warnings)


def _codes(things: Iterable[Operand | Field]) -> list[str]:
    return list(dict.fromkeys(thing.name for thing in things if thing.kind != "image"))


def _where(
    snapshot: Snapshot, join: _Join, bound: Expression, selections: Mapping[str, Collection[int]]
) -> tuple[str, list[object]]:
    conditions = _Conditions(snapshot, join, selections)
    condition = conditions.compile(bound)
    if Operand("image", "state") not in set(operands(bound)):
        condition = f"i.state = 'ok' AND ({condition})"
    return condition, conditions.parameters


def _is_late(field: Field, codes: Collection[str]) -> bool:
    """Whether a column is worth fetching for the rows that remain after the limit only."""
    return field.name not in ("image_id", "state") if field.kind == "image" else field.name not in codes


def _late_columns(
    snapshot: Snapshot,
    scores: ScoreSource,
    join: _Join,
    fields: Sequence[Field],
    keys: Sequence[SortKey],
    tail: str,
) -> str:
    """First the few ids and what was joined for the condition, then the other columns of those ids."""
    early = [field for field in fields if not _is_late(field, join.codes)]
    inner = [
        "i.image_id AS image_id",
        *(f"{join.value(key.field, raw=True)} AS k{n}" for n, key in enumerate(keys)),
    ]
    inner += [f"{join.value(field)} AS e{n}" for n, field in enumerate(early)]
    rest = _Join(snapshot, scores, _codes(field for field in fields if field not in early), base="hits")
    selected = ", ".join(
        f"{f'h.e{early.index(field)}' if field in early else rest.value(field)} AS {identifier(field.label)}"
        for field in fields
    )
    order = ", ".join([*(_order(f"h.k{n}", key) for n, key in enumerate(keys)), "h.image_id"])
    hits = f"WITH hits AS MATERIALIZED (\nSELECT {', '.join(inner)}{tail}\n)"
    return f"{hits}\nSELECT {selected}\n{rest.sql}\nORDER BY {order}"


def _order(value: str, key: SortKey) -> str:
    return f"{value} {'DESC' if key.descending else 'ASC'} NULLS LAST"


class _Join:
    """FROM: the images `i`, left-joined to tables `s0`, `s1`, ... with the scores of some attributes."""

    def __init__(
        self, snapshot: Snapshot, scores: ScoreSource, codes: Iterable[str], *, base: str | None = None
    ) -> None:
        self.codes: tuple[str, ...] = tuple(codes)
        self._places: dict[str, tuple[str, str]] = {}
        images = snapshot.files("images")
        source = f"{parquet(images) if images else _no_images()} AS i"
        clauses = (
            [f"FROM {source}"]
            if base is None
            else [f"FROM {base} AS h", f"JOIN {source} ON i.image_id = h.image_id"]
        )
        for n, table in enumerate(scores.tables(self.codes)):
            clauses.append(f"LEFT JOIN {table.sql} AS s{n} ON s{n}.image_id = i.image_id")
            self._places |= {code: (f"s{n}", suffix) for code, suffix in table.columns.items()}
        self.sql = "\n".join(clauses)

    def value(self, field: Field | Operand, *, raw: bool = False) -> str:
        """The SQL of a value; `raw` leaves times as they are stored, which compares and sorts faster."""
        if field.kind == "image":
            value = f"i.{identifier(field.name)}"
            return f"make_timestamp(epoch_us({value}))" if field.name in UTC_COLUMNS and not raw else value
        column, type_name = SCORE_FIELDS[field.kind]
        if field.name not in self._places:
            return f"NULL::{type_name}"
        alias, suffix = self._places[field.name]
        return f"{alias}.{column}{suffix}"


def _no_images() -> str:
    """DuckDB refuses an empty list of files."""
    columns = ", ".join(f"NULL::{type_name} AS {name}" for name, type_name in IMAGE_COLUMNS.items())
    return f"(SELECT {columns} WHERE false)"


@dataclass
class _Conditions:
    """The WHERE clause. SQL's three values are those of the language, so each node is one SQL condition."""

    snapshot: Snapshot
    join: _Join
    selections: Mapping[str, Collection[int]]
    parameters: list[object] = field(default_factory=list)

    def compile(self, node: Expression) -> str:
        """The SQL of a condition; its values are added to the parameters."""
        match node:
            case Constant(value):
                return "true" if value else "false"
            case Not(part):
                return f"NOT ({self.compile(part)})"
            case And(parts):
                return " AND ".join(f"({self.compile(part)})" for part in parts)
            case Or(parts):
                return " OR ".join(f"({self.compile(part)})" for part in parts)
            case Truth(name, tentative):
                status = self.join.value(Operand("status", name))
                return f"{status} IN ('accepted', 'tentative')" if tentative else f"{status} = 'accepted'"
            case InSet(name):
                files = self.snapshot.files("sets", name)
                return f"i.image_id IN (SELECT image_id FROM {parquet(files)})" if files else "false"
            case InSelection(name):
                self.parameters.append(list(self.selections[name]))
                return "i.image_id IN (SELECT unnest(?::BIGINT[]))"
            case IsNull(operand, negated):
                tested = Operand("status", operand.name) if operand.kind == "confidence" else operand
                return f"{self.join.value(tested, raw=True)} IS {_no(negated)}NULL"
            case Like(operand, pattern, negated):
                return f"{self._operand(operand)} {_no(negated)}LIKE {self._value(operand, pattern)}"
            case Compare(operand, operator, value):
                return f"{self._operand(operand)} {operator} {self._value(operand, value)}"
            case Between(operand, low, high, negated):
                bounds = f"{self._value(operand, low)} AND {self._value(operand, high)}"
                return f"{self._operand(operand)} {_no(negated)}BETWEEN {bounds}"
            case In(operand, values, negated):
                listed = ", ".join(self._value(operand, value) for value in values)
                return f"{self._operand(operand)} {_no(negated)}IN ({listed})"
            case Saved():
                raise AssertionError("saved queries are put in before binding")

    def _operand(self, operand: Operand) -> str:
        return self.join.value(operand, raw=True)

    def _value(self, operand: Operand, value: Value) -> str:
        """A `?` for a value. Compared as DOUBLE, a stored 0.8 would be above 0.8: floats compare as FLOAT."""
        if operand.kind in ("confidence", "logit") and not isinstance(value, str | datetime):
            self.parameters.append(_float32(value))
            return "?::FLOAT"
        self.parameters.append(value)
        return "?"


def _no(negated: bool) -> str:
    return "NOT " if negated else ""


def _float32(value: float) -> float:
    """`value`, or an infinity where a FLOAT cannot hold it."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
