"""People's answers on an attribute, one an image: what moves its cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from colonnade.engine.label_fit import ready
from colonnade.engine.review_answers import read_judged
from colonnade.engine.snapshots import Snapshot

__all__ = ["Answers", "read_answers"]


@dataclass(frozen=True, eq=False)
class Answers:
    """What the majority of reviewers said of each image on which there is one."""

    ids: np.ndarray
    """int64 [n], ascending."""
    present: np.ndarray
    """bool [n]."""
    sure: np.ndarray
    """bool [n]: whether two looks more speak for the answer than against it."""

    @property
    def enough(self) -> bool:
        """Whether they can move a cut."""
        return ready(int(self.present.sum()), int((~self.present).sum()))

    def of(self, ids: np.ndarray) -> Answers:
        """Those on the images of `ids`."""
        mask = np.isin(self.ids, ids)
        return Answers(self.ids[mask], self.present[mask], self.sure[mask])


def read_answers(snapshot: Snapshot, code: str) -> Answers:
    """The answers on pictures that are what they were when they were judged.

    Raises:
        StoreError: a file is damaged.
    """
    judged = read_judged(snapshot, code)
    return Answers(*judged.settled, judged.sure)
