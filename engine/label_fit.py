"""Moving the cut of an attribute by people's answers: a small Bayesian fit on the axis of its base fit.

x is how far an image's log odds lie above the cut of the base fit. An image shows the attribute with the probability
sigmoid(slope (x - center) + log(.4 / .6)), and a few answers are slips: one far from the cut must not move it. Shrunk
towards the base fit by center ~ N(0, 1.5), log slope ~ N(log 1.5, .5); the posterior is summed on a grid, so that it
depends on the answers alone, not on their order or a starting point.

The cut is where the expected F1 of the collection is highest: with the posterior's probability for images without a
label, and for labelled ones what the other labels make of them, updated by their own answer, which may
be a slip (one in ten). Without the collection it is the posterior mean of the center.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

__all__ = [
    "READY_IN_ALL",
    "READY_OF_EACH",
    "LabelFit",
    "expected_deviation",
    "fit_labels",
    "ready",
    "slip_probabilities",
]

READY_OF_EACH, READY_IN_ALL = 2, 10

_DELTA_SD, _SLOPE, _SLOPE_SD = 1.5, 1.5, 0.5
_AT_CUT = float(np.log(0.4 / 0.6))
"""Log odds of "yes" at the cut."""
_LAPSES = ((0.01, 0.5), (0.05, 0.3), (0.12, 0.2))
"""(Share of answers that are slips, its prior probability)."""
_DELTAS, _SLOPES = 121, 17
_FAR = 60.0
_SLIPS = 0.1
"""How many answers are taken for slips where one is judged by the others."""
_MARGIN = 1.0
"""How far outside the center's 90 % interval the cut may lie."""
_KNOTS, _KNOTS_TO = 241, 30.0
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class LabelFit:
    """What answers say of an attribute's cut, all of it in log odds of the base fit."""

    delta: float
    """How far the cut moves."""
    center: float
    """Where four of ten images show the attribute: posterior mean. Images near it tell most."""
    slope: float
    """Of the confidence over the log odds: exp of the posterior mean of its logarithm."""
    delta_sd: float
    """Posterior standard deviation of the center."""
    delta_low: float
    """5 % and 95 % posterior quantiles of the center."""
    delta_high: float
    lapse: float
    """Posterior mean of the share of answers that are slips."""
    present: int
    absent: int
    """Answers that were used, of each kind."""

    @property
    def ready(self) -> bool:
        return ready(self.present, self.absent)


def ready(present: int, absent: int) -> bool:
    """Whether there are enough answers to move a cut: two of each kind, or ten in all."""
    return min(present, absent) >= READY_OF_EACH or present + absent >= READY_IN_ALL


def fit_labels(
    x: np.ndarray,
    present: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    collection: np.ndarray | None = None,
) -> LabelFit:
    """The posterior of center and slope, and the cut that follows.

    Args:
        x: float [n], log odds of the labelled images minus the base fit's cut.
        present: bool [n], the answers.
        weight: float [n], how many answers each counts for; 1 by default.
        collection: float [N], log odds minus the cut of all images, the labelled ones among them. Without it the cut
            is the center.

    Raises:
        ValueError: the lengths differ, an x is not a number, or a weight is negative or infinite.
    """
    x, present, weight = _checked(x, present, weight)
    posterior = _log_posterior(x, present, weight)
    fit = _summary(posterior, int(present.sum()), int((~present).sum()))
    if collection is None or len(collection) == 0:
        return fit
    return replace(fit, delta=_best_cut(fit, posterior, np.asarray(collection), x, present, weight))


def expected_deviation(
    x: np.ndarray, present: np.ndarray, next_x: float, weight: np.ndarray | None = None
) -> float:
    """The standard deviation of the center to be expected once one more image, at `next_x`, is labelled.

    Args:
        x, present, weight: the labels so far, as for `fit_labels`.
    """
    x, present, weight = _checked(x, present, weight)
    before = _log_posterior(x, present, weight)
    yes_given, no_given = _log_answers(np.array([_bounded(next_x)]))
    probability = float((_normalised(before) * np.exp(yes_given[0])).sum())
    after_yes = _summary(before + yes_given[0], 0, 0).delta_sd
    after_no = _summary(before + no_given[0], 0, 0).delta_sd
    return probability * after_yes + (1 - probability) * after_no


def _best_cut(
    fit: LabelFit,
    log_posterior: np.ndarray,
    collection: np.ndarray,
    x: np.ndarray,
    present: np.ndarray,
    weight: np.ndarray,
) -> float:
    """The cut of the highest expected F1, among those between two images that the posterior allows."""
    ordered = np.sort(np.clip(collection[~np.isnan(collection)], -_FAR, _FAR).astype(np.float64))[::-1]
    probability = _predicted(log_posterior, ordered)
    others = _by_the_others(log_posterior, x, present, weight)
    evidence = np.where(present, weight, -weight) * np.log(1 / _SLIPS - 1)
    own = 1 / (1 + np.exp(-(np.log(others / (1 - others)) + evidence)))
    places = np.minimum(np.searchsorted(-ordered, -x), len(ordered) - 1)
    np.add.at(probability, places, own - _predicted(log_posterior, x))
    hits = np.cumsum(probability)
    expected = 2 * hits / (np.arange(1, len(ordered) + 1) + hits[-1])
    cuts = (ordered + np.append(ordered[1:], ordered[-1] - 2 * _MARGIN)) / 2
    allowed = (cuts >= fit.delta_low - _MARGIN) & (cuts <= fit.delta_high + _MARGIN)
    return float(cuts[np.argmax(np.where(allowed, expected, -1))]) if allowed.any() else fit.center


def _predicted(log_posterior: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The posterior's probability [n] that images at x [n] show the attribute, slips left out."""
    delta, slope, _, _ = _grid()
    mass = _normalised(log_posterior).sum(axis=2)
    at = np.linspace(-_KNOTS_TO, _KNOTS_TO, _KNOTS)
    value = np.zeros(_KNOTS)
    for column, steepness in enumerate(slope[0, :, 0]):
        value += _sigmoid(steepness * (at[:, None] - delta[:, 0, 0]) + _AT_CUT) @ mass[:, column]
    known = np.log(value / (1 - value))
    return np.asarray(_sigmoid(np.interp(x, at, known)))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1 / (1 + small), small / (1 + small)))


def slip_probabilities(x: np.ndarray, present: np.ndarray) -> np.ndarray:
    """How likely each answer is a slip, float [n], judged by the others: one in ten answers is, to begin with.

    The likeliest are worth a second look, which costs less than another label and undoes most of what slips do.
    """
    x, present = np.asarray(x, dtype=np.float64), np.asarray(present, dtype=bool)
    posterior = _log_posterior(*_checked(x, present, None))
    expected = _by_the_others(posterior, np.clip(x, -_FAR, _FAR), present, np.ones(len(x)))
    agreeing = np.where(present, expected, 1 - expected)
    return np.asarray(_SLIPS * (1 - agreeing) / (_SLIPS * (1 - agreeing) + (1 - _SLIPS) * agreeing))


def _by_the_others(
    log_posterior: np.ndarray, x: np.ndarray, present: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """The probability [n] that labelled images show the attribute, as the other labels have it."""
    delta, slope, _, _ = _grid()
    found = np.empty(len(x))
    for row, place in enumerate(x):
        yes, no = _log_answers(x[row : row + 1])
        others = _normalised(log_posterior - weight[row] * (yes if present[row] else no)[0]).sum(axis=2)
        found[row] = (others * _sigmoid(slope[..., 0] * (place - delta[..., 0]) + _AT_CUT)).sum()
    return np.clip(found, 1e-12, 1 - 1e-12)


def _bounded(value: float) -> float:
    return float(np.clip(value, -_FAR, _FAR))


def _checked(
    x: np.ndarray, present: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = np.asarray(x, dtype=np.float64)
    present = np.asarray(present, dtype=bool)
    weight = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not x.shape == present.shape == weight.shape or x.ndim != 1:
        raise ValueError(
            f"x {x.shape}, present {present.shape} and weight {weight.shape} must be of one length"
        )
    if np.isnan(x).any() or not (np.isfinite(weight) & (weight >= 0)).all():
        raise ValueError("x must be numbers, weights finite and not negative")
    # In a fixed order, so that the sum below does not depend, in its last bits, on the order of the labels.
    order = np.lexsort((weight, present, x))
    return np.clip(x, -_FAR, _FAR)[order], present[order], weight[order]


@lru_cache(maxsize=1)
def _grid() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(delta [D, 1, 1], slope [1, S, 1], lapse [1, 1, L], log prior [D, S, L])."""
    delta = np.linspace(-5 * _DELTA_SD, 5 * _DELTA_SD, _DELTAS)[:, None, None]
    log_slope = (np.log(_SLOPE) + _SLOPE_SD * np.linspace(-3.5, 3.5, _SLOPES))[None, :, None]
    lapse, share = np.array(_LAPSES).T
    prior = (
        -0.5 * (delta / _DELTA_SD) ** 2
        - 0.5 * ((log_slope - np.log(_SLOPE)) / _SLOPE_SD) ** 2
        + np.log(share)
    )
    return delta, np.exp(log_slope), lapse[None, None, :], prior


def _log_answers(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log probabilities of "yes" and of "no" at x [n] over the grid: [n, D, S, L] each."""
    delta, slope, lapse, _ = _grid()
    signed = slope * (x[:, None, None, None] - delta) + _AT_CUT
    yes = lapse + (1 - 2 * lapse) * _sigmoid(signed)
    return np.log(yes), np.log1p(-yes)


def _log_posterior(x: np.ndarray, present: np.ndarray, weight: np.ndarray) -> np.ndarray:
    total = _grid()[3].copy()
    for start in range(0, len(x), _BLOCK):
        part = slice(start, start + _BLOCK)
        yes, no = _log_answers(x[part])
        chosen = np.where(present[part, None, None, None], yes, no)
        total += np.tensordot(weight[part], chosen, axes=1)
    return total


def _normalised(log_posterior: np.ndarray) -> np.ndarray:
    mass = np.exp(log_posterior - log_posterior.max())
    return np.asarray(mass / mass.sum())


def _summary(log_posterior: np.ndarray, present: int, absent: int) -> LabelFit:
    delta, slope, lapse, _ = _grid()
    mass = _normalised(log_posterior)
    over_delta = mass.sum(axis=(1, 2))
    values = delta[:, 0, 0]
    mean = float(over_delta @ values)
    quantile = _quantiles(values, over_delta)
    return LabelFit(
        delta=mean,
        center=mean,
        slope=float(np.exp((mass * np.log(slope)).sum())),
        delta_sd=float(np.sqrt(over_delta @ (values - mean) ** 2)),
        delta_low=quantile(0.05),
        delta_high=quantile(0.95),
        lapse=float((mass * lapse).sum()),
        present=present,
        absent=absent,
    )


def _quantiles(values: np.ndarray, mass: np.ndarray) -> Callable[[float], float]:
    """Of a density on evenly spaced values, each cell's mass spread evenly over it."""
    half = (values[1] - values[0]) / 2
    edges = np.concatenate([values - half, values[-1:] + half])
    below = np.concatenate([[0.0], np.cumsum(mass)])
    return lambda share: float(np.interp(share, below, edges))
