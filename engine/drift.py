"""Fits that a collection has outgrown: it grew a good deal, or its images score otherwise than those fitted on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from colonnade.engine.calibration import AutoBase
from colonnade.engine.fit_choice import MINIMUM_IMAGES, Grounds
from colonnade.engine.freshness import AttributeWork
from colonnade.engine.sketch import distance

__all__ = ["GROWTH", "Proposal", "drift_of", "proposals"]

GROWTH = 0.25
"""Growth since the fit from which a new one is proposed."""
DRIFT = 0.1
"""Likewise the Kolmogorov-Smirnov distance of the log odds, where sampling noise alone does not reach it."""
_ONE_PERCENT = 1.63
"""Two samples of n and m of one distribution lie further apart than this x sqrt(1/n + 1/m) once in a hundred times."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An attribute that had better be fitted again, and why."""

    code: str
    reason: str
    growth: float
    """How much larger the collection is than at the fit: .25 for a quarter."""
    drift: float | None
    """The Kolmogorov-Smirnov distance of the log odds now and at the fit; None where nothing is scored."""


def proposals(work: Sequence[AttributeWork], grounds: Grounds) -> tuple[Proposal, ...]:
    """The attributes whose fit holds and is outgrown, by what footers tell."""
    found = []
    for item in work:
        base = item.fit.base if item.fit is not None else None
        if item.to_make or base is None:
            continue
        growth = grounds.embedded / max(base.embedded, 1) - 1
        drift = drift_of(item)
        said = []
        if growth > GROWTH:
            said.append(f"{base.embedded:,} images at the fit, {grounds.embedded:,} now")
        if drift is not None and drift > _bound(item, base):
            said.append(f"its images score otherwise than at the fit (drift {drift:.2f})")
        if said:
            found.append(Proposal(item.code, " and ".join(said), growth, drift))
    return tuple(found)


def drift_of(item: AttributeWork) -> float | None:
    """How far the stored log odds lie from those that the fit was made on; None for other fits and without scores."""
    base = item.fit.base if item.fit is not None else None
    if base is None or not item.sketches or not _on_this_axis(item):
        return None
    return distance(item.sketches, [(base.count, base.quantiles)])


def _on_this_axis(item: AttributeWork) -> bool:
    """Whether the stored log odds are of this fit: what is yet to be made anew tells nothing."""
    return all(cell.reason == "new images" or cell.task.name == "CONFIDENCE" for cell in item.cells)


def _bound(item: AttributeWork, base: AutoBase) -> float:
    rows = sum(count for count, _ in item.sketches)
    if min(rows, base.count) < MINIMUM_IMAGES:
        return math.inf
    return max(DRIFT, _ONE_PERCENT * math.sqrt(1 / rows + 1 / base.count))
