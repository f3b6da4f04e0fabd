"""Fitting an attribute's confidence without labels: its axis, and whether there is a signal at all.

Three logistic models in a row. The first compares an image's logit with competing phrases on the same image; the second
adds a direction that the first one's likeliest images share; the third moves the result by what the attribute looks
like over the whole collection. The constants were fitted on labelled collections, see docs/calibration.md.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from colonnade.engine.auto_axis import AutoAxis, Weights, bent, first_stage, folded, margins, second_stage
from colonnade.engine.auto_numbers import ImageSpread, Kin, collection_numbers, image_spread, kin_of
from colonnade.engine.background_stats import FOLDS, Background, BackgroundStats, project
from colonnade.engine.errors import InputError

__all__ = [
    "MINIMUM_IMAGES",
    "SAMPLE",
    "AutoFit",
    "ImageSpread",
    "Margins",
    "directions",
    "fit_auto",
    "image_spread",
    "load_constants",
    "unitless_margins",
]

MINIMUM_IMAGES = 200
"""Fewer embedded images are no collection to fit `auto` on."""
SAMPLE = 50_000
FLOOR = -5.0
"""Images with a lower margin over their near competitors are as unlikely as can be, and no member of anything."""
_QUANTILES = 33
_MEMBER = 0.2
_FEWEST = 3


@dataclass(frozen=True, eq=False)
class AutoFit:
    """A fit without labels. Confidence = sigmoid(slope x (log-odds - cut) + log 4): .80 at the cut."""

    axis: AutoAxis
    cut: float
    slope: float
    no_signal: bool
    """Whether nothing in the sample shows the attribute: no image of it has log-odds above the gate."""
    gate: float
    """In log-odds: what an image takes to show the attribute where nothing else does."""
    metrics: dict[str, Any]
    quantiles: np.ndarray
    """float32 [33]: log-odds on the sample at 0, 1/32 ... 1."""
    competing: tuple[tuple[str, float], ...]
    """Phrases that competed most with the images nearest to the cut, and their shares, largest first."""
    count: int
    """Images of the sample."""


@dataclass(frozen=True, eq=False)
class Margins:
    """An attribute's margins over a sample, in units of the background's spread."""

    values: np.ndarray
    """float32 [3, n]."""
    unit: float
    """Logits a unit."""
    null: float
    """Median of the margin over all phrases."""
    width: float
    """Its lower standard deviation: what an image that does not show the attribute varies by."""


def unitless_margins(
    embeddings: np.ndarray, logits: np.ndarray, stats: BackgroundStats, kin: Kin, spread: float
) -> Margins:
    """Margins of a sample; `spread` is the background's in logits of the model that the constants were fitted on."""
    unit = max(float(np.median(stats.std)), 1e-9) / spread
    values = margins(logits, embeddings, stats, kin.near, kin.far) / np.float32(unit)
    null = float(np.median(values[2]))
    distance = null - float(np.quantile(values[2], 0.1))
    return Margins(values, unit, null, max(distance / 1.2816, 1e-6))


def fit_auto(
    embeddings: np.ndarray,
    logits: np.ndarray,
    stats: BackgroundStats,
    attribute_vector: np.ndarray,
    background: Background,
    *,
    seed: int = 0,
    spread: ImageSpread | None = None,
    constants: Mapping[str, Any] | None = None,
) -> AutoFit:
    """Fit an attribute on a sample of images.

    Args:
        embeddings: float32 [n, D], unit length.
        logits: float32 [n], the attribute's.
        stats: of the same images and `background`.
        attribute_vector: float32 [D], unit length.
        spread: `image_spread(embeddings)`, which all attributes share.
        constants: by default those that ship.

    Raises:
        InputError: fewer than MINIMUM_IMAGES images.
    """
    n = len(logits)
    if n < MINIMUM_IMAGES:
        raise InputError(f"{n} images: a fit without labels needs {MINIMUM_IMAGES}")
    constants = constants or load_constants()
    spread = spread or image_spread(embeddings)
    kin = kin_of(attribute_vector, background)
    found = unitless_margins(embeddings, logits, stats, kin, constants["spread"])
    own = margins_in_logits(found)
    first = _weights(constants["first"], found, {"crowd": kin.crowd}, floor=FLOOR)
    odds = first_stage(first, own)
    raw, shifts, apart, deviation = directions(embeddings, odds, stats.fold, spread)
    coef = constants["second"]["coef"]
    gain = coef["share"] / apart + coef["reach"] / deviation
    second = _weights(constants["second"], found, {"crowd": kin.crowd, "apart": math.log(apart)})
    along = folded(project(embeddings, raw), stats.fold) - shifts[stats.fold]
    x = _linear(second, own) + coef["first"] * odds + gain * along
    numbers = collection_numbers(x, embeddings, stats, kin, spread)
    third = constants["third"]
    base = math.log(constants["base_probability"] / (1 - constants["base_probability"]))
    moved = third["intercept"] - base + sum(third["coef"][name] * value for name, value in numbers.items())
    scale = third["coef"]["second"]
    axis = AutoAxis(
        constants["name"],
        background.digest,
        kin.near,
        kin.far,
        first,
        Weights(scale * second.intercept + moved, tuple(scale * slope for slope in second.margins)),
        scale * coef["first"],
        (scale * gain * raw).astype(np.float32),
        (scale * gain * shifts).astype(np.float32),
        *(float(constants[name]) for name in ("drop", "width", "rise")),
    )
    along = folded(project(embeddings, axis.directions), stats.fold) - axis.offsets[stats.fold]
    straight = second_stage(axis, own, odds, along)
    highest = float(straight.max())
    final = bent(axis, straight)
    return AutoFit(
        axis,
        0.0,
        1.0,
        highest < constants["gate"],
        float(bent(axis, np.array([constants["gate"]], dtype=np.float32))[0]),
        {
            "constants": constants["name"],
            "constants_fitted_on": constants["model"],
            "unit": found.unit,
            "separation": apart,
            "agreement": numbers["agreement"],
            "highest": float(final.max()),
            "above_cut": int((final >= 0).sum()),
            "seed": seed,
        },
        np.quantile(final, np.linspace(0, 1, _QUANTILES)).astype(np.float32),
        _competing(final, stats, kin.near),
        n,
    )


@functools.cache
def load_constants() -> Mapping[str, Any]:
    """The constants that ship, as `bench/fit_calibration_constants.py` wrote them."""
    source = resources.files("colonnade.engine").joinpath("auto_constants.json").read_text(encoding="utf-8")
    constants: dict[str, Any] = json.loads(source)
    return constants


def margins_in_logits(found: Margins) -> np.ndarray:
    """float32 [3, n], what a stored axis sees of new images."""
    return found.values * np.float32(found.unit)


def _weights(
    model: Mapping[str, Any], found: Margins, numbers: Mapping[str, float], *, floor: float | None = None
) -> Weights:
    """A logistic model of one attribute: what is the same for all its images goes into the intercept."""
    coef = model["coef"]
    z = coef["z"] / found.width
    intercept = model["intercept"] - z * found.null + sum(coef[name] * x for name, x in numbers.items())
    slopes = (coef["near"], coef["far"], coef["all"] + z)
    return Weights(
        float(intercept),
        tuple(float(slope / found.unit) for slope in slopes),
        -math.inf if floor is None else floor * found.unit,
    )


def _linear(weights: Weights, own: np.ndarray) -> np.ndarray:
    return np.asarray(weights.intercept + np.array(weights.margins) @ own.astype(np.float64))


def directions(
    embeddings: np.ndarray, odds: np.ndarray, fold: np.ndarray, spread: ImageSpread
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """What the likeliest images have in common, as in regularised linear discriminant analysis.

    An image is judged by a direction made from likely images of other folds, or it would vouch for itself.

    Returns:
        Directions float32 [FOLDS, D], the collection's mean on each float64 [FOLDS], how far the likely images lie from
        it on average (at least 1), and the standard deviation of all.
    """
    p = 1.0 / (1.0 + np.exp(-odds.astype(np.float64)))
    members = np.flatnonzero(p > _MEMBER)
    if len(members) < _FEWEST:
        members = np.argsort(-odds, kind="stable")[:_FEWEST]
        weight = np.ones(len(members))
    else:
        weight = p[members]
    centred = embeddings[members].astype(np.float64) - spread.mean
    folds = np.eye(FOLDS)[fold[members]]
    sums, totals = (folds * weight[:, None]).T @ centred, weight @ folds
    left = totals.sum() - totals
    means = np.where(left[:, None] > 0, (sums.sum(axis=0) - sums) / np.maximum(left, 1e-9)[:, None], 0.0)
    raw = (means @ spread.inverse.astype(np.float64)).astype(np.float32)
    shifts = raw.astype(np.float64) @ spread.mean.astype(np.float64)
    own = folded(centred @ raw.T.astype(np.float64), fold[members])
    apart = max(float((own * weight).sum() / weight.sum()), 1.0)
    along = folded(project(embeddings, raw), fold) - shifts[fold]
    return raw, shifts, apart, math.sqrt(max(float(along.var()), 1e-12))


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
