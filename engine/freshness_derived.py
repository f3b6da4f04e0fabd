"""What is stale of derived attributes: their stored cells against their rule and what their inputs are, or will be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from colonnade.engine.freshness import (
    AttributeWork,
    CellState,
    CellWork,
    Task,
    cell_states,
    inputs_digest,
)
from colonnade.engine.provenance import derived_definition, why_stale
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.vocabulary import DerivedAttribute

__all__ = ["derived_work"]


def derived_work(
    snapshot: Snapshot,
    attribute: DerivedAttribute,
    known: Mapping[str, Mapping[str, Any]],
    pending: Mapping[str, AttributeWork],
    *,
    force: bool = False,
) -> AttributeWork:
    """What a derived attribute needs.

    Args:
        pending: the work of attributes that will be done before it; an input that is in there with work to do
            makes this attribute stale as well.
    """
    rule = attribute.rule
    codes = rule.codes
    inputs = {code: cell_states(snapshot, "scores", code) for code in codes}
    definitions = {code: _planned_definition(code, inputs[code], pending) for code in codes}
    wanted = derived_definition(rule, definitions)
    stored = cell_states(snapshot, "scores", attribute.code, damaged_as_empty=force)
    expected = {code: _rows_to_be(inputs[code], pending.get(code)) for code in codes}
    changing = {code: {cell.shard: cell.ids for cell in work.cells} for code, work in pending.items()}
    shards = {shard for rows in expected.values() for shard in rows}
    cells = []
    for shard in sorted(shards | stored.keys()):
        rows = max((own.get(shard, 0) for own in expected.values()), default=0)
        cell = stored.get(shard)
        if shard not in shards:
            cells.append(CellWork(shard, Task.REMOVE, "no inputs", 0))
        elif cell is None:
            cells.append(CellWork(shard, Task.RULE, "new images" if stored else "new", rows))
        elif force:
            cells.append(CellWork(shard, Task.RULE, "forced", rows))
        elif (why := why_stale(cell.definition, wanted, known)) is not None:
            cells.append(CellWork(shard, Task.RULE, why, rows))
        elif cell.inputs is None or cell.inputs != _inputs_to_be(inputs, shard, changing):
            cells.append(CellWork(shard, Task.RULE, "inputs changed", rows))
    return AttributeWork(attribute.code, True, wanted, None, None, tuple(cells))


def _rows_to_be(states: Mapping[int, CellState], work: AttributeWork | None) -> dict[int, int]:
    """Shard -> rows of an attribute, once its pending work is done."""
    rows = {shard: state.rows for shard, state in states.items()}
    for cell in work.cells if work is not None else ():
        rows[cell.shard] = cell.rows if cell.total is None else cell.total
    removed = {cell.shard for cell in (work.cells if work else ()) if cell.task is Task.REMOVE}
    return {shard: count for shard, count in rows.items() if shard not in removed}


def _inputs_to_be(
    inputs: Mapping[str, Mapping[int, CellState]],
    shard: int,
    changing: Mapping[str, Mapping[int, tuple[int, int] | None]],
) -> str | None:
    """The digest of a derived cell's inputs once pending work on them is done; None if that cannot be told."""
    made_from: dict[str, tuple[int, int]] = {}
    for code, states in inputs.items():
        cell = states.get(shard)
        found = (cell.rows, cell.id_digest) if cell else (0, 0)
        if shard in changing.get(code, {}):
            coming = changing[code][shard]
            if coming is None:
                return None
            found = coming
        made_from[code] = found
    return inputs_digest(made_from)


def _planned_definition(
    code: str, states: Mapping[int, CellState], pending: Mapping[str, AttributeWork]
) -> str | None:
    if code in pending:
        return pending[code].definition.hash
    definitions = {state.definition for state in states.values()}
    return definitions.pop() if len(definitions) == 1 else None
