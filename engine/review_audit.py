"""What an audit shows: precision and recall of the accepted images, and what one more label would be worth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from colonnade.engine.label_audit import AUDIT_SHARES, Audit, audit
from colonnade.engine.places import Places
from colonnade.engine.review_answers import Judged

__all__ = ["Audited", "audited_images", "estimate"]

_LEAST_BELOW = 3
_UNDECIDED = 0.5


@dataclass(frozen=True, eq=False)
class Audited:
    """The images that were drawn by chance and judged."""

    rows: np.ndarray
    """int64 [m]: their places in the arrays of `Places`."""
    present: np.ndarray
    """float [m], what most said: 1 or 0, and .5 where people are unsure or disagree. Such images are the hard ones:
    left out, they would make what is accepted look better than it is."""
    probability: np.ndarray
    """float64 [m], the chance with which each was drawn."""

    def estimate(self, places: Places) -> Audit:
        """Precision and recall of the accepted images.

        No precision without an accepted image among them, and no recall with fewer than three below the cut, where
        there are so many: hardly more than the prior would speak from it.
        """
        found = audit(places.above, places.above[self.rows], self.present, self.probability)
        below = len(places.above) - found.accepted
        if found.audited - found.audited_accepted < min(_LEAST_BELOW, below):
            found = replace(found, recall=None)
        return found if found.audited_accepted else replace(found, precision=None)

    def expected_width(self, places: Places) -> float | None:
        """The width of the precision's interval to be expected after one more label; None where nothing is accepted."""
        accepted = np.flatnonzero(places.above >= 0)
        if not accepted.size:
            return None
        found = self.estimate(places).precision
        if np.isin(accepted, self.rows).all():
            return found.width if found else None
        row = accepted[~np.isin(accepted, self.rows)][0]
        share = found.value if found else 0.5
        widths = [
            self._with(int(row), said, AUDIT_SHARES[0] / accepted.size).estimate(places)
            for said in (True, False)
        ]
        yes, no = (after.precision.width if after.precision else 1.0 for after in widths)
        return share * yes + (1 - share) * no

    def _with(self, row: int, present: bool, probability: float) -> Audited:
        return Audited(
            np.append(self.rows, row),
            np.append(self.present, present),
            np.append(self.probability, probability),
        )


def audited_images(places: Places, judged: Judged) -> Audited:
    """The audited images that are scored."""
    settled = dict(zip(*(part.tolist() for part in judged.settled), strict=True))
    drawn = {image: chance for image in sorted(judged.answers) if (chance := judged.drawn(image))}
    ids = np.array(list(drawn), dtype=np.int64)
    present = np.array([settled.get(image, _UNDECIDED) for image in drawn], dtype=np.float64)
    used = np.isin(ids, places.ids)
    return Audited(places.rows(ids[used]), present[used], np.array(list(drawn.values()), np.float64)[used])


def estimate(places: Places, judged: Judged) -> Audit:
    """Precision and recall of the accepted images, as far as answers show them."""
    return audited_images(places, judged).estimate(places)
