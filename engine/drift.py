"""Fits that a collection has outgrown: it grew a good deal, its images score otherwise, or people said more of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from colonnade.engine.answers import read_answers
from colonnade.engine.auto_fit import MINIMUM_IMAGES, SAMPLE
from colonnade.engine.calibration import Fit
from colonnade.engine.fit_choice import Grounds
from colonnade.engine.fit_parts import AutoBase
from colonnade.engine.freshness import AttributeWork
from colonnade.engine.sketch import distance
from colonnade.engine.snapshots import Snapshot

__all__ = ["GROWTH", "Proposal", "drift_of", "proposals"]

GROWTH = 0.25
"""Growth since the fit from which a new one is proposed."""
DRIFT = 0.1
"""Likewise the Kolmogorov-Smirnov distance of the log odds, where sampling noise alone does not reach it."""
NEW_ANSWERS = 10
"""Likewise images that people judged since a fit from their answers, and not less than GROWTH of those it knows."""
CORRECTED = 0.1
"""Likewise the share of the answers a fit knows that were taken back or disputed since; one alone is no reason."""
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


def proposals(work: Sequence[AttributeWork], grounds: Grounds, snapshot: Snapshot) -> tuple[Proposal, ...]:
    """The attributes whose fit holds and is outgrown, by what footers and people's answers tell."""
    found = []
    auto = grounds.obstacle is None and not grounds.background.lacking
    for item in work:
        if item.to_make or item.fit is None:
            continue
        base = item.fit.base
        growth = grounds.embedded / max(base.embedded, 1) - 1 if base is not None else 0.0
        drift = drift_of(item)
        said = []
        if (new := _new_answers(item.fit, item.code, snapshot)) is not None:
            said.append(new)
        if auto and base is None and item.fit.method == "labels" and not item.fit.moved:
            said.append("answers move the model's own sigmoid; an auto fit can be made for them to move now")
        if base is not None and growth > GROWTH:
            said.append(f"{base.embedded:,} images at the fit, {grounds.embedded:,} now")
        if _shown_since(item, grounds):
            said.append("an image that the fit has not seen scores as one that shows it does")
        if base is not None and drift is not None and drift > _bound(item, base):
            said.append(f"its images score otherwise than at the fit (drift {drift:.2f})")
        if said:
            found.append(Proposal(item.code, " and ".join(said), growth, drift))
    return tuple(found)


def _new_answers(fit: Fit, code: str, snapshot: Snapshot) -> str | None:
    """That people answered more than the fit knows, in words; None where somebody chose a fit or a cut otherwise."""
    if fit.moved or (fit.chosen and fit.method != "labels") or not snapshot.files("labels", code):
        return None
    answers = read_answers(snapshot, code)
    yes, no = int(answers.present.sum()), int((~answers.present).sum())
    old_yes, old_no = (fit.labels.present, fit.labels.absent) if fit.labels is not None else (0, 0)
    used = old_yes + old_no
    taken_back = max(0, old_yes - yes) + max(0, old_no - no)
    if used and taken_back > max(1, CORRECTED * used):
        return f"{old_yes:,} yes and {old_no:,} no at the fit, {yes:,} and {no:,} now"
    if not answers.enough or (used and yes + no - used < max(NEW_ANSWERS, GROWTH * used)):
        return None
    return f"{used:,} labelled images at the fit, {yes + no:,} now"


def _shown_since(item: AttributeWork, grounds: Grounds) -> bool:
    """Whether a fit that saw no sign of the attribute has met an image above its gate, and another would see more: the
    collection grew, or somebody had it made on few images."""
    fit = item.fit
    if fit is None or fit.base is None or not fit.no_signal or fit.gate is None or not _on_this_axis(item):
        return False
    highest = max((values[-1] for count, values in item.sketches if count), default=-math.inf)
    more = grounds.embedded > fit.base.embedded or fit.base.count < min(SAMPLE, fit.base.embedded)
    return more and highest >= fit.gate


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
