"""Fitting an attribute's confidence without labels: the axis, the cut through a valley, and whether there is a signal.

Competing phrases on the same image make logits comparable between images; what the likeliest images share gives a
direction; a cut goes where few images lie. The constants were fitted on labelled collections, see docs/calibration.md.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from colonnade.engine.auto_axis import AutoAxis, Weights, first_stage, folded, margins, second_stage
from colonnade.engine.background_stats import FOLDS, Background, BackgroundStats, project
from colonnade.engine.errors import InputError

__all__ = ["MINIMUM_IMAGES", "SAMPLE", "AutoFit", "ImageSpread", "fit_auto", "image_spread"]

MINIMUM_IMAGES = 200
SAMPLE = 50_000
QUANTILES = 33
_MEMBER = 0.2
_FEWEST = 3
_RIDGE = 0.3
_NEAR, _FAR, _SELF = 0.85, 0.75, 0.985
_LEAST_COMPETITORS = 50


@dataclass(frozen=True, eq=False)
class ImageSpread:
    """Mean float32 [D] and regularised inverse covariance float32 [D, D] of a sample's embeddings."""

    mean: np.ndarray
    inverse: np.ndarray


@dataclass(frozen=True, eq=False)
class AutoFit:
    """A fit without labels. Confidence = sigmoid(slope x (log-odds - cut) + log 4): .80 at the cut."""

    axis: AutoAxis
    cut: float
    slope: float
    no_signal: bool
    """Whether nothing in the sample shows the attribute: then nothing is accepted."""
    metrics: dict[str, Any]
    quantiles: np.ndarray
    """float32 [33]: log-odds on the sample at 0, 1/32 ... 1."""
    competing: tuple[tuple[str, float], ...]
    """Phrases that competed most with the images nearest to the cut, and their shares, largest first."""
    count: int
    """Images of the sample."""


def image_spread(embeddings: np.ndarray) -> ImageSpread:
    """What a direction among images needs of all attributes' sample, float32 [n, D]."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    centred = embeddings - mean.astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / len(embeddings)
    ridge = _RIDGE * np.trace(covariance) / len(covariance) + 1e-12
    inverse = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
    return ImageSpread(mean.astype(np.float32), inverse.astype(np.float32))


def fit_auto(
    embeddings: np.ndarray,
    logits: np.ndarray,
    stats: BackgroundStats,
    attribute_vector: np.ndarray,
    background: Background,
    *,
    seed: int = 0,
    spread: ImageSpread | None = None,
) -> AutoFit:
    """Fit an attribute on a sample of images.

    Args:
        embeddings: float32 [n, D], unit length.
        logits: float32 [n], the attribute's.
        stats: of the same images and `background`.
        attribute_vector: float32 [D], unit length.
        spread: `image_spread(embeddings)`, which all attributes share.

    Raises:
        InputError: fewer than MINIMUM_IMAGES images.
    """
    n = len(logits)
    if n < MINIMUM_IMAGES:
        raise InputError(f"{n} images: a fit without labels needs {MINIMUM_IMAGES}")
    constants = load_constants()
    spread = spread or image_spread(embeddings)
    unit = float(np.median(stats.std)) / constants["spread"]
    cosines = background.vectors @ attribute_vector
    near, far = _too_close(cosines, _NEAR), _too_close(cosines, _FAR)
    found = margins(logits, embeddings, stats, near, far) / np.float32(unit)
    numbers, null, width = _attribute_numbers(found, logits / unit, cosines)
    first = _weights(constants["first"], numbers, null, width, unit, floor=-5.0)
    odds = first_stage(first, found * np.float32(unit))
    second = constants["second"]["coef"]
    directions, offsets, apart = _directions(embeddings, odds, stats.fold, spread, second)
    numbers["sep"] = math.log(apart)
    axis = AutoAxis(
        constants["name"],
        background.digest,
        near,
        far,
        first,
        _weights(constants["second"], numbers, null, width, unit),
        float(second["l"]),
        directions,
        offsets,
    )
    along = folded(project(embeddings, directions), stats.fold) - offsets[stats.fold]
    x = second_stage(axis, found * np.float32(unit), odds, along).astype(np.float64)
    base = _logit(constants["base_probability"])
    cut = base + _valley(x - base)
    top = float(x.max()) - cut + base
    return AutoFit(
        axis,
        float(cut),
        float(constants["slope"]),
        bool(top < _logit(constants["gate"])),
        {
            "constants": constants["name"],
            "constants_fitted_on": constants["model"],
            "unit": unit,
            "separation": apart,
            "highest": float(x.max() - cut),
            "above_cut": int((x >= cut).sum()),
            "seed": seed,
        },
        np.quantile(x, np.linspace(0, 1, QUANTILES)).astype(np.float32),
        _competing(x - cut, stats, near),
        n,
    )


@functools.cache
def load_constants() -> dict[str, Any]:
    """The constants that ship, as `bench/fit_calibration_constants.py` wrote them."""
    source = resources.files("colonnade.engine").joinpath("auto_constants.json").read_text(encoding="utf-8")
    constants: dict[str, Any] = json.loads(source)
    return constants


def _too_close(cosines: np.ndarray, bound: float) -> np.ndarray:
    """uint16: phrases at least as similar as `bound`, but never so many that under 50 are left."""
    close = np.flatnonzero(cosines >= bound)
    most = max(len(cosines) - _LEAST_COMPETITORS, 0)
    if len(close) > most:
        close = np.sort(np.argsort(-cosines, kind="stable")[:most])
    return close.astype(np.uint16)


def _attribute_numbers(
    found: np.ndarray, logits: np.ndarray, cosines: np.ndarray
) -> tuple[dict[str, float], float, float]:
    """Numbers of the attribute, and median and width of its margin over all phrases."""
    null = float(np.median(found[3]))
    distance = null - float(np.quantile(found[3], 0.1))
    others = np.sort(cosines[cosines <= _SELF])[::-1]
    numbers = {
        "tmax": float(others[0]) if others.size else 0.0,
        "tm5": float(others[:10].mean()) if others.size else 0.0,
        "smean": float(found[3].mean(dtype=np.float64)),
        "ssd": float(logits.std(dtype=np.float64)),
        "top3": float(np.sort(found[0])[-3]),
        "nsd": distance,
    }
    return numbers, null, max(distance / 1.2816, 1e-6)


def _weights(
    model: dict[str, Any],
    numbers: dict[str, float],
    null: float,
    width: float,
    unit: float,
    *,
    floor: float | None = None,
) -> Weights:
    """A logistic model of one attribute: what is the same for all its images goes into the intercept."""
    coef = model["coef"]
    z = coef["z"] / width
    intercept = model["intercept"] - z * null + sum(coef.get(name, 0.0) * x for name, x in numbers.items())
    slopes = (coef["E85"], coef["E75"], coef["b50"], coef["ic"] + z)
    margins = tuple(float(slope / unit) for slope in slopes)
    return Weights(float(intercept), margins, -math.inf if floor is None else floor * unit)


def _directions(
    embeddings: np.ndarray,
    odds: np.ndarray,
    fold: np.ndarray,
    spread: ImageSpread,
    coef: dict[str, float],
) -> tuple[np.ndarray, np.ndarray, float]:
    """Directions [FOLDS, D] and offsets [FOLDS], each from likely images of the other folds; and how far apart these are."""
    p = 1.0 / (1.0 + np.exp(-odds.astype(np.float64)))
    members = np.flatnonzero(p > _MEMBER)
    if len(members) < _FEWEST:
        members = np.argsort(-odds, kind="stable")[:_FEWEST]
        weight = np.ones(len(members))
    else:
        weight = p[members]
    centred = embeddings[members].astype(np.float64) - spread.mean
    sums, totals = np.zeros((FOLDS, centred.shape[1])), np.zeros(FOLDS)
    np.add.at(sums, fold[members], weight[:, None] * centred)
    np.add.at(totals, fold[members], weight)
    others, left = sums.sum(axis=0) - sums, totals.sum() - totals
    means = np.where(left[:, None] > 0, others / np.maximum(left, 1e-9)[:, None], 0.0)
    raw = means @ spread.inverse.astype(np.float64)
    shift = raw @ spread.mean.astype(np.float64)
    own = np.take_along_axis(centred @ raw.T, fold[members][:, None].astype(np.intp), axis=1)[:, 0]
    apart = max(float((own * weight).sum() / weight.sum()), 1.0)
    deviation = math.sqrt(max(_variance(embeddings, raw, fold), 1e-12))
    gain = coef["d"] / apart + coef["dz"] / deviation
    return (gain * raw).astype(np.float32), (gain * shift).astype(np.float32), apart


def _variance(embeddings: np.ndarray, raw: np.ndarray, fold: np.ndarray) -> float:
    return float(folded(project(embeddings, raw.astype(np.float32)), fold).var(dtype=np.float64))


def _valley(x: np.ndarray) -> float:
    """Where within +-2.5 of 0 few values lie for how many lie above."""
    shifts = np.linspace(-2.5, 2.5, 101)
    ordered = np.sort(x)
    around = np.searchsorted(ordered, shifts + 0.7) - np.searchsorted(ordered, shifts - 0.7)
    above = len(ordered) - np.searchsorted(ordered, shifts)
    cost = 0.5 * np.log((around + 1) / (above + 2)) + shifts**2 / 2
    return float(shifts[np.argmin(cost)])


def _competing(
    x: np.ndarray, stats: BackgroundStats, near: np.ndarray, images: int = 50
) -> tuple[tuple[str, float], ...]:
    """Phrases most often among the five strongest competitors of the images nearest to the cut."""
    rows = np.argsort(np.abs(x), kind="stable")[:images]
    allowed = np.ones(len(stats.background.phrases), dtype=bool)
    allowed[near] = False
    index = stats.top_index[rows]
    use = allowed[index]
    use &= np.cumsum(use, axis=1) <= 5
    counts = np.bincount(index[use], minlength=len(allowed))
    order = np.argsort(-counts, kind="stable")[:8]
    share = counts / max(counts.sum(), 1)
    return tuple((stats.background.phrases[k], float(share[k])) for k in order if counts[k])


def _logit(p: float) -> float:
    return math.log(p / (1 - p))
