"""What is stale of base attributes: stored cells against what would be made now, from footers alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from colonnade.engine.calibration import Fit, default_fit
from colonnade.engine.errors import StoreError
from colonnade.engine.fit_choice import Choice, Grounds, read_choice, sound_row
from colonnade.engine.provenance import (
    Definition,
    confidence_definition,
    logit_definition,
    why_stale,
)
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.tables import read_footer
from colonnade.engine.vocabulary import BaseAttribute, Vocabulary

__all__ = [
    "AttributeWork",
    "CellState",
    "CellWork",
    "Task",
    "base_work",
    "cell_states",
    "inputs_digest",
    "read_fit",
]


@dataclass(frozen=True, slots=True)
class CellState:
    """A stored cell, as its footers tell it."""

    files: tuple[DataFile, ...]
    rows: int
    id_digest: int
    definition: str | None
    """The one definition of all its rows; None if there are several."""
    inputs: str | None = None
    """Of a derived cell: the digest of the rows that it was made from."""
    sketches: tuple[tuple[int, tuple[float, ...]], ...] = ()
    """Of each file whose footer has one: its rows and the sketch of their log odds."""
    redone: int = 0
    """Of embeddings yet to come: of how many images a scan removes the old vector, and the scores, before."""

    def same_ids(self, other: CellState) -> bool:
        """Whether both are of the same images, and none is to be redone."""
        same = self.rows == other.rows and self.id_digest == other.id_digest
        return same and not (self.redone or other.redone)


def cell_states(
    snapshot: Snapshot, table: str, partition: str | None, *, damaged_as_empty: bool = False
) -> dict[int, CellState]:
    """Shard -> state of each cell of a partition.

    Args:
        damaged_as_empty: a cell with a damaged file counts as one without rows, so that it can be made anew.

    Raises:
        StoreError: a file is damaged.
    """
    cells: dict[int, list[DataFile]] = {}
    for file in snapshot.files(table, partition):
        cells.setdefault(file.shard, []).append(file)
    states: dict[int, CellState] = {}
    for shard, files in cells.items():
        try:
            states[shard] = _cell_state(files)
        except StoreError:
            if not damaged_as_empty:
                raise
            states[shard] = CellState(tuple(files), 0, 0, None)
    return states


def _cell_state(files: Sequence[DataFile]) -> CellState:
    footers = [read_footer(file) for file in files]
    definitions = {footer.definition for footer in footers}
    return CellState(
        files=tuple(files),
        rows=sum(footer.rows for footer in footers),
        id_digest=sum(footer.id_digest for footer in footers) % 2**64,
        definition=definitions.pop() if len(definitions) == 1 else None,
        inputs=footers[0].inputs if len(footers) == 1 else None,
        sketches=tuple((f.rows, f.sketch) for f in footers if f.sketch is not None),
    )


def inputs_digest(inputs: Mapping[str, tuple[int, int]]) -> str:
    """A digest of which images a derived cell's inputs had: code -> (rows, id digest); (0, 0) for none.

    A derived cell whose digest is another now was made while an input lacked images, or had others.
    """
    text = "\n".join(f"{code} {rows} {digest:016x}" for code, (rows, digest) in sorted(inputs.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Task(Enum):
    """What a cell needs. The value orders them by cost."""

    REMOVE = 0
    """No image of it has an embedding any more."""
    CONFIDENCE = 1
    """Confidence and status from the stored logits."""
    MISSING = 2
    """Rows for images that have none (and none for images that have no embedding)."""
    LOGITS = 3
    """Every row."""
    RULE = 4
    """Every row, of a derived attribute."""


@dataclass(frozen=True, slots=True)
class CellWork:
    """One stale cell of an attribute."""

    shard: int
    task: Task
    reason: str
    rows: int
    """How many rows it will have, or how many are missing for Task.MISSING."""
    total: int | None = None
    """For Task.MISSING: how many rows it will have."""
    ids: tuple[int, int] | None = None
    """Of a base attribute: (rows, id digest) that the cell will have; None where old rows of them may differ."""


@dataclass(frozen=True, slots=True)
class AttributeWork:
    """What an attribute needs to be fresh; `cells` is empty if it is."""

    code: str
    derived: bool
    definition: Definition
    logit: Definition | None
    """Of a base attribute: the definition of its logits."""
    fit: Fit | None
    """Of a base attribute: the fit to apply; while a new one has to be made, the model's own."""
    cells: tuple[CellWork, ...]
    choice: Choice | None = None
    """Of a base attribute: how its fit was chosen."""
    sketches: tuple[tuple[int, tuple[float, ...]], ...] = ()
    """Of a base attribute's stored scores: rows and sketch of the log odds, file by file."""

    @property
    def to_make(self) -> str | None:
        """Why a new fit has to be made before it is scored."""
        return self.choice.to_make if self.choice is not None else None

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.reason for cell in self.cells))

    @property
    def rows(self) -> int:
        return sum(cell.rows for cell in self.cells)

    @property
    def needs_prompts(self) -> bool:
        return any(cell.task in (Task.MISSING, Task.LOGITS) for cell in self.cells)


def read_fit(snapshot: Snapshot, code: str, model: Model, prompts: Sequence[str]) -> Fit:
    """The fit that is stored for an attribute under a model, else or if it is damaged the model's own.

    See also `choose`.
    """
    stored, _ = sound_row(snapshot, code, model)
    return stored.fit if stored is not None else default_fit(model, prompts)


def base_work(
    snapshot: Snapshot,
    vocabulary: Vocabulary,
    attribute: BaseAttribute,
    grounds: Grounds,
    embedded: Mapping[int, CellState],
    known: Mapping[str, Mapping[str, Any]],
    *,
    force: bool = False,
    fit: Fit | None = None,
) -> AttributeWork:
    """What a base attribute needs, given the cells of the active model's embeddings.

    Args:
        fit: the one that it gets; by default the one that `choose` finds.
    """
    prompts = vocabulary.prompts(attribute.code)
    logit = logit_definition(grounds.model, prompts)
    if fit is None:
        choice = read_choice(snapshot, grounds, attribute.code, prompts, logit.hash, known)
    else:
        choice = Choice(fit)
    to_apply = None if choice.to_make else choice.fit
    wanted = confidence_definition(logit, to_apply, attribute.thresholds)
    stored = cell_states(snapshot, "scores", attribute.code, damaged_as_empty=force)
    cells = []
    for shard in sorted(embedded.keys() | stored.keys()):
        source, cell = embedded.get(shard), stored.get(shard)
        if source is None:
            assert cell is not None
            cells.append(CellWork(shard, Task.REMOVE, "no embeddings", 0))
        elif cell is None:
            reason = "new images" if stored else "new"
            cells.append(CellWork(shard, Task.LOGITS, reason, source.rows, ids=_ids_of(source)))
        elif force:
            cells.append(CellWork(shard, Task.LOGITS, "forced", source.rows))
        elif (why := why_stale(cell.definition, wanted, known, logit)) is not None:
            reason = choice.to_make if choice.to_make and why == "calibration changed" else why
            kept = _log_odds_stay(known.get(cell.definition or ""), logit, to_apply) and cell.same_ids(source)
            task = Task.CONFIDENCE if kept else Task.LOGITS
            cells.append(CellWork(shard, task, reason, source.rows, ids=_ids_of(source)))
        elif not cell.same_ids(source):
            missing = max(source.rows - cell.rows + source.redone, 1)
            cells.append(
                CellWork(shard, Task.MISSING, "new images", missing, source.rows, ids=_ids_of(source))
            )
    sketches = tuple(part for cell in stored.values() for part in cell.sketches)
    return AttributeWork(
        attribute.code, False, wanted, logit, choice.fit, tuple(cells), choice=choice, sketches=sketches
    )


def _ids_of(source: CellState) -> tuple[int, int] | None:
    return None if source.redone else (source.rows, source.id_digest)


def _log_odds_stay(old: Mapping[str, Any] | None, logit: Definition, fit: Fit | None) -> bool:
    """Whether confidences can be made anew from what is stored: of the same logits, and on the same axis."""
    if old is None or fit is None or old.get("logit") != logit.hash:
        return False
    stored = old.get("fit")
    return fit.axis is None or (isinstance(stored, dict) and stored.get("axis") == fit.axis)
