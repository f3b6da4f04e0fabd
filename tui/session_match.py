"""Which images an expression matches, over columns in memory.

Conditions on confidence, logit and a bare name are decided here, in a few milliseconds a million images; every other
condition is asked of DuckDB once, by the same compiler that `colonnade query` uses, and its answer is kept.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

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
    Not,
    Operand,
    Or,
    Truth,
    operands,
)
from colonnade.engine.query_fields import Field
from colonnade.engine.query_sql import compile_query
from colonnade.tui.session_arrays import Base, Floats
from colonnade.tui.session_columns import Columns, file_key
from colonnade.tui.session_selection import Selection, placed

if TYPE_CHECKING:
    import numpy as np
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import Snapshot
    from colonnade.tui.session_selection import Selected

__all__ = ["Matcher", "names_state"]

_STATE = Operand("image", "state")
_ANY_STATE = Or((IsNull(_STATE), IsNull(_STATE, True)))
"""True of every image. A condition that names the state is asked of images in any state."""

_TESTS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPPOSITES = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def names_state(bound: Expression) -> bool:
    """Whether an expression asks for a state, so that it is not about the images in state `ok` alone."""
    return _STATE in set(operands(bound))


class Matcher:
    """Evaluates bound expressions over one snapshot.

    Args:
        check: called between steps; raises where the search was overtaken.
        selections: the images of each selection that is named.
    """

    def __init__(
        self,
        columns: Columns,
        cursor: DuckDBPyConnection,
        snapshot: Snapshot,
        check: Callable[[], None] = lambda: None,
        selections: Mapping[str, Selected] | None = None,
    ) -> None:
        self._columns = columns
        self._cursor = cursor
        self._snapshot = snapshot
        self._check = check
        self._selections = selections or {}
        self.base: Base = columns.base(cursor, snapshot)

    def matches(self, bound: Expression) -> np.ndarray:
        """bool [n]: the images that match, as `run_query` would find them."""
        found = self._holds(bound, True)
        return found if names_state(bound) else found & self.base.ok

    def _holds(self, node: Expression, wanted: bool) -> np.ndarray:
        """bool [n]: where a condition is known to be as wanted. Unknown is neither."""
        import numpy as np

        self._check()
        match node:
            case Constant(value):
                return self._all(value is wanted)
            case Not(part):
                return self._holds(part, not wanted)
            case And(parts):
                return self._joined(parts, wanted, operator.and_ if wanted else operator.or_)
            case Or(parts):
                return self._joined(parts, wanted, operator.or_ if wanted else operator.and_)
            case Truth(name, tentative):
                statuses = self._columns.statuses(self._cursor, self._snapshot, name)
                holds = statuses.accepted | statuses.tentative if tentative else statuses.accepted
                return holds if wanted else np.greater(statuses.known, holds)
            case InSelection(name):
                found = self._selected(name)
                return found if wanted else ~found
            case IsNull(Operand("confidence", name), negated):
                known = self._columns.statuses(self._cursor, self._snapshot, name).known
                return known if negated is wanted else np.logical_not(known)
            case Compare(Operand("confidence" | "logit") as tested, sign, value):
                floats = self._floats(tested)
                if not floats.odd:
                    return _compare(floats, sign if wanted else _OPPOSITES[sign], value)
            case Between(Operand("confidence" | "logit") as tested, low, high, negated):
                floats = self._floats(tested)
                if not floats.odd:
                    return _within(floats, low, high, negated is not wanted)
            case In(Operand("confidence" | "logit") as tested, values, negated):
                floats = self._floats(tested)
                if not floats.odd:
                    return _among(floats, values, negated is not wanted)
        return self._asked(node, wanted)

    def _joined(
        self, parts: Sequence[Expression], wanted: bool, join: Callable[[Any, Any], Any]
    ) -> np.ndarray:
        found: np.ndarray = reduce(join, (self._holds(part, wanted) for part in parts))
        return found

    def _selected(self, name: str) -> np.ndarray:
        import numpy as np

        chosen = self._selections[name]
        if not isinstance(chosen, Selection):
            return placed(chosen, self.base)
        key = ("selected", chosen, self.base.key)
        bits: np.ndarray = self._columns.get(key, lambda: np.packbits(placed(chosen, self.base)))
        return np.unpackbits(bits, count=len(self.base)).view(bool)

    def _floats(self, operand: Operand) -> Floats:
        return self._columns.floats(self._cursor, self._snapshot, operand.kind, operand.name)

    def _all(self, value: bool) -> np.ndarray:
        import numpy as np

        return np.full(len(self.base), value)

    def _asked(self, node: Expression, wanted: bool) -> np.ndarray:
        """What DuckDB says of one condition."""
        import numpy as np

        if isinstance(node, IsNull | InSet) and not wanted:
            return ~self._asked(node, True)  # these two are never unknown
        key = ("asked", node, wanted, self.base.key, self._files_of(node))
        bits: np.ndarray = self._columns.get(key, lambda: np.packbits(self._ask(node, wanted)))
        return np.unpackbits(bits, count=len(self.base)).view(bool)

    def _files_of(self, node: Expression) -> tuple[tuple[str, ...], ...]:
        if isinstance(node, InSet):
            return (file_key(self._snapshot.files("sets", node.name)),)
        codes: Collection[str] = [one.name for one in operands(node) if one.kind != "image"]
        return tuple(file_key(self._snapshot.files("scores", code)) for code in codes)

    def _ask(self, node: Expression, wanted: bool) -> np.ndarray:
        import numpy as np

        condition = And((node if wanted else Not(node), _ANY_STATE))
        fields = (Field("image", "image_id"),)
        statement = compile_query(self._cursor, self._snapshot, condition, fields)
        ids = self._cursor.execute(statement.sql, list(statement.parameters)).fetchnumpy()["image_id"]
        found = np.zeros(len(self.base), dtype=bool)
        if len(self.base):
            places, known = self.base.places(np.asarray(ids))
            found[places[known]] = True
        return found


def _within(floats: Floats, low: Any, high: Any, inside: bool) -> np.ndarray:
    """Where a value is between two numbers, or is outside."""
    found: np.ndarray
    if inside:
        found = _compare(floats, ">=", low) & _compare(floats, "<=", high)
    else:
        found = _compare(floats, "<", low) | _compare(floats, ">", high)
    return found


def _among(floats: Floats, values: Sequence[Any], inside: bool) -> np.ndarray:
    """Where a value is one of some numbers, or is none of them."""
    sign, join = ("=", operator.or_) if inside else ("!=", operator.and_)
    found: np.ndarray = reduce(join, (_compare(floats, sign, value) for value in values))
    return found


def _compare(floats: Floats, sign: str, value: Any) -> np.ndarray:
    """Where a value stands in this relation to a number, both as FLOAT as DuckDB compares them."""
    import numpy as np

    with np.errstate(over="ignore"):
        bound = np.float32(float(value))
    found: np.ndarray = _TESTS[sign](floats.values, bound)
    return found & (floats.values == floats.values) if sign == "!=" else found
