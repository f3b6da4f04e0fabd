"""Moving the cut of an attribute by people's answers: a small Bayesian fit on the axis of its base fit.

x is how far an image's log odds lie above the cut of the base fit. An image shows the attribute with the probability
sigmoid(slope (x - center) + log(.4 / .6)), and a few answers are slips: one far from the cut must not move it. Where
two looks agree, both would have to be slips. Shrunk towards the base fit by center ~ N(0, 1.5), log slope ~ N(log 1.5,
.5); the posterior is summed on a grid, so that it depends on the answers alone, not on their order or a starting point.

The cut is where the expected F1 of the collection is highest: with the posterior's probability for images without a
label, and for labelled ones what the other labels make of them, updated by their own answer, which may be a slip (one
in ten). Without the collection it is the posterior mean of the center.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from colonnade.engine.label_arrays import FAR, Labels, as_given, checked, of_both

__all__ = [
    "LabelFit",
    "expected_deviation",
    "fit_labels",
    "ready",
    "slip_probabilities",
]

_OF_EACH, _IN_ALL = 2, 5

_DELTA_SD, _SLOPE, _SLOPE_SD = 1.5, 1.5, 0.5
_AT_CUT = float(np.log(0.4 / 0.6))
"""Log odds of "yes" at the cut."""
_LAPSES = ((0.01, 0.5), (0.05, 0.3), (0.12, 0.2))
"""(Share of answers that are slips, its prior probability)."""
_DELTAS, _SLOPES = 121, 17
_MARGIN = 1.0
"""How far outside the center's 90 % interval the cut may lie."""
_KNOTS, _KNOTS_TO = 241, 30.0
_KEPT = 200
"""Answers of which the likelihood is kept, some 20 MB."""


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


def ready(present: int, absent: int) -> bool:
    """Whether there are enough answers to move a cut: two of each kind, or five in all."""
    return min(present, absent) >= _OF_EACH or present + absent >= _IN_ALL


def fit_labels(
    x: np.ndarray,
    present: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    collection: np.ndarray | None = None,
    sure: np.ndarray | None = None,
) -> LabelFit:
    """The posterior of center and slope, and the cut that follows.

    Args:
        x: float [n], log odds of the labelled images minus the base fit's cut.
        present: bool [n], the answers.
        weight: float [n], how many answers each counts for; 1 by default.
        collection: float [N], log odds minus the cut of all images, the labelled ones among them. Without it the cut
            is the center. Where every answer is no, the cut lies above all labelled images.
        sure: bool [n], answers that rest on two looks; none by default.

    Raises:
        ValueError: the lengths differ, an x is not a number, or a weight is negative or infinite.
    """
    labels = checked(x, present, weight, sure)
    posterior = _log_posterior(labels)
    fit = _summary(posterior, int(labels.present.sum()), int((~labels.present).sum()))
    if collection is None or len(collection) == 0:
        return fit
    x = np.asarray(collection, dtype=np.float64)
    cut = _best_cut(fit, posterior, x, labels)
    if len(labels.x) and not labels.present.any():  # nobody saw it: what was judged is not accepted
        cut = max(cut, 0.0, _above(float(labels.x.max()), x))
    return replace(fit, delta=cut)


def expected_deviation(
    x: np.ndarray,
    present: np.ndarray,
    next_x: float,
    weight: np.ndarray | None = None,
    *,
    sure: np.ndarray | None = None,
) -> float:
    """The standard deviation of the center to be expected once one more image, at `next_x`, is labelled.

    Args:
        x, present, weight, sure: the labels so far, as for `fit_labels`.
    """
    before = _log_posterior(checked(x, present, weight, sure))
    yes = _yes(float(np.clip(next_x, -FAR, FAR)), False)
    probability = float((_normalised(before) * yes).sum())
    after_yes = _summary(before + np.log(yes), 0, 0).delta_sd
    after_no = _summary(before + np.log1p(-yes), 0, 0).delta_sd
    return probability * after_yes + (1 - probability) * after_no


def _best_cut(fit: LabelFit, log_posterior: np.ndarray, collection: np.ndarray, labels: Labels) -> float:
    """The cut of the highest expected F1, among those between two images that the posterior allows."""
    ordered = np.sort(np.clip(collection[~np.isnan(collection)], -FAR, FAR).astype(np.float64))[::-1]
    probability = _predicted(log_posterior, ordered)
    others = _by_the_others(log_posterior, labels)
    evidence = np.where(labels.present, labels.weight, -labels.weight) * np.log(1 / labels.slips - 1)
    own = 1 / (1 + np.exp(-(np.log(others / (1 - others)) + evidence)))
    places = np.minimum(np.searchsorted(-ordered, -labels.x), len(ordered) - 1)
    np.add.at(probability, places, own - _predicted(log_posterior, labels.x))
    hits = np.cumsum(probability)
    expected = 2 * hits / (np.arange(1, len(ordered) + 1) + hits[-1])
    cuts = (ordered + np.append(ordered[1:], ordered[-1] - 2 * _MARGIN)) / 2
    allowed = (cuts >= fit.delta_low - _MARGIN) & (cuts <= fit.delta_high + _MARGIN)
    return float(cuts[np.argmax(np.where(allowed, expected, -1))]) if allowed.any() else fit.center


def _above(highest: float, collection: np.ndarray) -> float:
    """A cut between what lies highest among images that were all judged not to show it, and what is higher still."""
    higher = collection[collection > highest]
    return float(highest + min(_MARGIN, (higher.min() - highest) / 2 if len(higher) else _MARGIN))


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


def slip_probabilities(
    x: np.ndarray, present: np.ndarray, sure: np.ndarray | None = None, *, of: np.ndarray | None = None
) -> np.ndarray:
    """How likely answers are slips, float [n], judged by the others: one in ten answers is, to begin with.

    The likeliest are worth a second look, which undoes most of what slips do.

    Args:
        x, present, sure: as for `fit_labels`.
        of: int or bool index of the answers to judge; all by default.
    """
    posterior = _log_posterior(checked(x, present, None, sure))
    labels = as_given(x, present, None, sure)
    if of is not None:
        labels = Labels(labels.x[of], labels.present[of], labels.weight[of], labels.sure[of])
    expected = _by_the_others(posterior, labels)
    agreeing = np.where(labels.present, expected, 1 - expected)
    slips = labels.slips
    return np.asarray(slips * (1 - agreeing) / (slips * (1 - agreeing) + (1 - slips) * agreeing))


def _by_the_others(log_posterior: np.ndarray, labels: Labels) -> np.ndarray:
    """The probability [n] that labelled images show the attribute, as the other labels have it."""
    delta, slope, _, _ = _grid()
    mass = _normalised(log_posterior)
    found = np.empty(len(labels.x))
    for row, answer in enumerate(labels.answers):
        others = (mass / _answer(*answer)[0] ** labels.weight[row]).sum(axis=2)
        shown = _sigmoid(slope[..., 0] * (answer[0] - delta[..., 0]) + _AT_CUT)
        found[row] = (others * shown).sum() / others.sum()
    return np.clip(found, 1e-12, 1 - 1e-12)


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


def _yes(x: float, sure: bool) -> np.ndarray:
    """Probability of "yes" at x over the grid, [D, S, L]."""
    delta, slope, lapse, _ = _grid()
    lapse = of_both(lapse) if sure else lapse
    return np.asarray(lapse + (1 - 2 * lapse) * _sigmoid(slope * (x - delta) + _AT_CUT))


@lru_cache(maxsize=_KEPT)
def _answer(x: float, present: bool, sure: bool) -> tuple[np.ndarray, np.ndarray]:
    """Probability of an answer over the grid, [D, S, L], and its logarithm. A review asks for the same ones again."""
    yes = _yes(x, sure)
    likelihood = yes if present else 1 - yes
    return likelihood, np.log(likelihood)


def _log_posterior(labels: Labels) -> np.ndarray:
    total = _grid()[3].copy()
    for answer, weight in zip(labels.answers, labels.weight.tolist(), strict=True):
        total += weight * _answer(*answer)[1]
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
