"""One attribute's distribution, so that its cut can be moved and everything that follows shown at each key."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["LOG_4", "Axis", "Distribution"]

LOG_4 = math.log(4)
_LEAST_BINS = 16


@dataclass(frozen=True, slots=True)
class Axis:
    """How confidences follow from the stored numbers: confidence = sigmoid(slope (log_odds - cut) + log 4)."""

    code: str
    method: str
    """fixed, auto or labels."""
    column: str
    """`logit` or `log_odds`: what the distribution is of."""
    center: float | None
    scale: float | None
    """Where the column is the logit, log_odds = (logit - center) / scale."""
    cut: float
    slope: float
    no_signal: bool
    gate: float | None
    """Without signal: the log odds from which an image counts even so; None where none does."""
    accepted: float
    tentative: float
    """Thresholds on the confidence."""

    def place(self, confidence: float) -> float:
        """Where on the column the status of a threshold begins; infinite for 0 and 1, and without signal and gate."""
        if 0 < confidence < 1:
            odds = (math.log(confidence / (1 - confidence)) - self._log_4) / self.slope + self._cut
        else:
            odds = math.inf if confidence >= 1 else -math.inf
        if self.no_signal:
            odds = math.inf if self.gate is None else max(odds, self.gate)
        return self._column(odds)

    def eighty(self, accepted_at: float) -> float:
        """The log odds of confidence .80 if `accepted` is to begin at a place: what the engine stores as the cut."""
        wanted = math.log(self.accepted / (1 - self.accepted))
        return self._odds(accepted_at) - (wanted - LOG_4) / self.slope

    @property
    def gap(self) -> float:
        """How far below `accepted` `tentative` begins; infinite where one of the thresholds is 0 or 1."""
        if not (0 < self.tentative < 1 and 0 < self.accepted < 1):
            return 0.0 if self.tentative == self.accepted else math.inf
        odds = [math.log(value / (1 - value)) for value in (self.accepted, self.tentative)]
        return (odds[0] - odds[1]) / self.slope * (1.0 if self.scale is None else self.scale)

    @property
    def _log_4(self) -> float:
        return 0.0 if self.method == "fixed" else LOG_4

    @property
    def _cut(self) -> float:
        return 0.0 if self.method == "fixed" else self.cut

    def _odds(self, value: float) -> float:
        return value if self.center is None or self.scale is None else (value - self.center) / self.scale

    def _column(self, odds: float) -> float:
        return odds if self.center is None or self.scale is None else self.center + self.scale * odds


@dataclass(frozen=True, eq=False)
class Distribution:
    """The scored images of an attribute that are in state `ok`, by rising log odds."""

    axis: Axis
    snapshot: int
    ids: np.ndarray
    """int64 [n]."""
    values: np.ndarray
    """float64 [n], ascending."""

    @property
    def code(self) -> str:
        return self.axis.code

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def low(self) -> float:
        return float(self.values[0]) if len(self.values) else 0.0

    @property
    def high(self) -> float:
        return float(self.values[-1]) if len(self.values) else 0.0

    @property
    def accepted_at(self) -> float:
        """Where `accepted` begins now; infinite where nothing is accepted."""
        return self.axis.place(self.axis.accepted)

    @property
    def tentative_at(self) -> float:
        return self.axis.place(self.axis.tentative)

    def counts(self, accepted_at: float, tentative_at: float) -> tuple[int, int, int]:
        """(accepted, tentative, rejected) images with the lines at these places."""
        above = len(self.values) - int(self.values.searchsorted(accepted_at))
        some = len(self.values) - int(self.values.searchsorted(min(tentative_at, accepted_at)))
        return above, some - above, len(self.values) - some

    def changed(self, accepted_at: float) -> tuple[int, int]:
        """(entering, leaving) images if `accepted` began there and not where it does now."""
        now = self.counts(self.accepted_at, self.accepted_at)[0]
        then = self.counts(accepted_at, accepted_at)[0]
        return max(0, then - now), max(0, now - then)

    def near(self, place: float, count: int) -> tuple[list[int], list[int]]:
        """Ids of the images just above a line, nearest first, and of those just below it, nearest first."""
        line = int(self.values.searchsorted(place))
        above: list[int] = self.ids[line : line + count].tolist()
        below: list[int] = self.ids[max(0, line - count) : line][::-1].tolist()
        return above, below

    def bins_for(self, width: int) -> int:
        """How many bins tell something, 16 or more and at most one for each column.

        Twice as many as Freedman and Diaconis have, for what is near a line is looked at closely.
        """
        count = len(self.values)
        if count < 2 or width <= _LEAST_BINS:
            return max(1, width)
        spread = float(self.values[(3 * count) // 4] - self.values[count // 4])
        if spread <= 0:
            return width
        wanted = (self.high - self.low) * count ** (1 / 3) / spread
        return int(min(width, max(_LEAST_BINS, math.ceil(min(wanted, width)))))

    def step(self) -> float:
        """A hundredth of the width of the distribution: what one key moves a line by."""
        return max((self.high - self.low) / 100, 1e-6)
