"""Of which attribute one more label is worth most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from colonnade.engine.calibration_store import active_model
from colonnade.engine.errors import InputError
from colonnade.engine.fits import without_labels
from colonnade.engine.places import read_places
from colonnade.engine.review_answers import read_judged
from colonnade.engine.review_choice import Doubt, doubt
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.store import Store
from colonnade.engine.tag import plan_tag
from colonnade.engine.vocabulary import Vocabulary

__all__ = ["AttributeWorth", "worth_by_attribute"]


@dataclass(frozen=True, slots=True)
class AttributeWorth:
    """What one more label of an attribute is worth."""

    code: str
    labels: int
    doubt: Doubt | None
    """None where that cannot be told."""
    why: str = ""
    """Why not."""
    no_signal: bool = False
    """Whether its scores tell nothing, as far as is known: then labels are worth less than elsewhere."""

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Sorts the most worth first, those without a signal after the others, and the unknown last."""
        return self.doubt is None, self.no_signal, -(self.doubt.worth if self.doubt else 0.0)


def worth_by_attribute(
    store: Store, snapshot: Snapshot, vocabulary: Vocabulary, codes: Sequence[str] | None = None
) -> tuple[AttributeWorth, ...]:
    """What one more label is worth, the most worth first, those without a signal after the others.

    Raises:
        InputError: nothing is embedded yet, or a code is not a base attribute.
    """
    found = []
    for work in plan_tag(snapshot, vocabulary, active_model(store), codes=codes):
        judged = read_judged(snapshot, work.code)
        ids, present = judged.settled
        try:
            places = read_places(store, snapshot, vocabulary, work.code, work)
        except InputError as error:
            found.append(AttributeWorth(work.code, len(ids), None, str(error)))
            continue
        x = places.odds - without_labels(places.fit).cut
        kept = np.isin(ids, places.ids)
        open_ = doubt(x, x[places.rows(ids)], present[kept], judged.sure[kept])
        found.append(AttributeWorth(work.code, len(ids), open_, no_signal=places.fit.no_signal))
    return tuple(sorted(found, key=lambda item: item.rank))
