"""The cut from which on enough of the accepted images show the attribute, by images that were drawn by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from colonnade.engine.calibration import LOG_4
from colonnade.engine.errors import InputError
from colonnade.engine.label_audit import Audit, audit
from colonnade.engine.places import Places
from colonnade.engine.review import Audited

__all__ = ["PrecisionCut", "cut_for_precision", "eighty"]

_MOST_CUTS = 200


@dataclass(frozen=True, slots=True)
class PrecisionCut:
    """A cut that reaches a precision, and what it costs."""

    cut: float
    """Log odds from which images are accepted."""
    found: Audit
    """Precision and recall there."""
    now: Audit
    """At the cut in force."""


def cut_for_precision(places: Places, audited: Audited, wanted: float) -> PrecisionCut:
    """The lowest cut whose estimated precision is at least `wanted`.

    Only answers on images drawn for the audit count: others are nearer to the cut than images are.

    Raises:
        InputError: no cut has an estimated precision as high, or nothing was audited.
    """
    review = f"colonnade review {places.code} --audit"
    if not len(audited.rows):
        raise InputError(
            f"{places.code}: nothing is audited yet, so no cut's precision is known; run {review}"
        )
    at = places.odds[audited.rows]
    best, found = 0.0, None
    for cut in _cuts(at):
        estimate = audit(places.odds - cut, at - cut, audited.present, audited.probability)
        if not estimate.audited_accepted or estimate.precision is None:
            continue
        best = max(best, estimate.precision.value)
        if estimate.precision.value >= wanted:
            found = (cut, estimate)
    if found is None:
        raise InputError(
            f"{places.code}: {len(at)} audited images show a precision of {best:.2f} at most, not {wanted:g}; "
            f"more of them may: {review}"
        )
    return PrecisionCut(*found, now=audited.estimate(places))


def _cuts(at: np.ndarray) -> list[float]:
    """Cuts between audited images, the highest first: only there does what is known change."""
    places = np.unique(at)[::-1]
    cuts = (places + np.append(places[1:], places[-1] - 1.0)) / 2
    if len(cuts) > _MOST_CUTS:
        cuts = cuts[np.linspace(0, len(cuts) - 1, _MOST_CUTS).round().astype(int)]
    return [float(cut) for cut in cuts]


def eighty(places: Places, cut: float) -> float:
    """The log odds of confidence .80 if images are to be accepted from `cut`, which `set_cut` takes.

    Raises:
        InputError: the attribute's threshold is 0 or 1, so that no cut decides what is accepted.
    """
    accepted = places.thresholds.accepted
    if not 0 < accepted < 1:
        raise InputError(
            f"{places.code}: its threshold for accepted is {accepted:g}, so no cut decides anything"
        )
    slope = 1.0 if places.fit.method == "fixed" else places.fit.slope
    return cut - (math.log(accepted / (1 - accepted)) - LOG_4) / slope
