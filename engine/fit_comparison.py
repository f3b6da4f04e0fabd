"""What another fit does to the scored images of attributes: statuses before and after, cell by cell."""

from __future__ import annotations

import numpy as np

from colonnade.engine.calibration import ACCEPTED, REJECTED, TENTATIVE
from colonnade.engine.calibration_store import FitChange, StatusCounts
from colonnade.engine.freshness import AttributeWork, CellWork
from colonnade.engine.score_pass import CellScores
from colonnade.engine.scoring import codes_of_statuses
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.tables import read_files

__all__ = ["Comparison"]

_STATUSES = (ACCEPTED, TENTATIVE, REJECTED)


class Comparison:
    """Counts what is in a snapshot against what is made anew."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.before: dict[str, np.ndarray] = {}
        self.after: dict[str, np.ndarray] = {}
        self.moves: dict[str, np.ndarray] = {}

    def note(self, item: AttributeWork, cell: CellWork, scores: CellScores | None) -> None:
        """Count a cell that is made anew, or goes away."""
        ids, old = self._stored(item.code, cell.shard)
        new_ids, new = (scores.ids, scores.status) if scores is not None else (ids[:0], old[:0])
        self._count(self.before, item.code, old)
        self._count(self.after, item.code, new)
        was, is_now = ids[old == ACCEPTED], new_ids[new == ACCEPTED]
        sets = ((is_now, was), (was, is_now))
        moves = np.array([len(np.setdiff1d(one, other, assume_unique=True)) for one, other in sets], np.int64)
        self.moves[item.code] = self.moves.get(item.code, np.zeros(2, np.int64)) + moves

    def rest(self, item: AttributeWork) -> None:
        """Count the cells that stay as they are."""
        made = {cell.shard for cell in item.cells}
        for shard in self._snapshot.shards("scores", item.code):
            if shard not in made:
                _, old = self._stored(item.code, shard)
                self._count(self.before, item.code, old)
                self._count(self.after, item.code, old)

    def change(self, code: str) -> FitChange:
        """The sums of an attribute."""
        zeros = np.zeros(3, np.int64)
        before, after = (counts.get(code, zeros).tolist() for counts in (self.before, self.after))
        entering, leaving = self.moves.get(code, np.zeros(2, np.int64)).tolist()
        return FitChange(code, StatusCounts(*before), StatusCounts(*after), entering, leaving)

    def _stored(self, code: str, shard: int) -> tuple[np.ndarray, np.ndarray]:
        files = self._snapshot.cell("scores", code, shard)
        if not files:
            return np.empty(0, np.int64), np.empty(0, np.int8)
        data = read_files(files, ["image_id", "status"])
        return data["image_id"].to_numpy(), codes_of_statuses(data["status"])

    @staticmethod
    def _count(counts: dict[str, np.ndarray], code: str, status: np.ndarray) -> None:
        found = np.array([np.count_nonzero(status == value) for value in _STATUSES], np.int64)
        counts[code] = counts.get(code, np.zeros(3, np.int64)) + found
