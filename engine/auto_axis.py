"""The axis on which an attribute's images stand: a stored fit applied to images, alone and in any order.

An image's place is the log-odds of showing the attribute: from its margins over competing phrases, and from its
projection on a direction that the attribute's likeliest images share. Nothing else is needed to apply it: no model,
no other attribute and no other image.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from colonnade.engine.background_stats import FOLDS, BackgroundStats
from colonnade.engine.calibration import LARGEST, bounded
from colonnade.engine.errors import StoreError
from colonnade.engine.products import products

__all__ = ["AutoAxis", "Weights", "along_axes", "applies", "axis_from_json", "log_odds", "margins"]

MARGINS = ("near", "far", "all")
COMPETITORS = 5
_LIMIT = 7.0
_MOST_NUMBERS = 1 << 22


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model of one attribute, all that does not vary between images folded into the intercept."""

    intercept: float
    margins: tuple[float, ...]
    """Of the margins, in their order, per logit."""
    floor: float = -math.inf
    """Where the first margin is below, the log-odds are the least."""


@dataclass(frozen=True, eq=False)
class AutoAxis:
    """A fitted axis. Folds: images of a fold are judged by the direction made from the other folds."""

    constants: str
    """Name of the constants it was fitted with."""
    background: str
    """Digest of the background."""
    near: np.ndarray
    """uint16: phrases too close to the attribute to compete with it."""
    far: np.ndarray
    """uint16: the same, under a wider meaning of close."""
    first: Weights
    second: Weights
    seed: float
    """Weight of the first stage's log-odds."""
    directions: np.ndarray
    """float32 [FOLDS, D], in log-odds per unit of embedding."""
    offsets: np.ndarray
    """float32 [FOLDS]: subtracted from the projection."""
    drop: float
    """Just below the cut, at 0, the log-odds fall by so much more ..."""
    width: float
    """... within this width; positive."""
    rise: float
    """Above the cut they rise by this part of what they would."""

    def as_json(self) -> dict[str, Any]:
        """The axis as JSON values; arrays as base64 of little-endian numbers."""
        document = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, kind in _ARRAYS.items():
            document[name] = base64.b64encode(document[name].astype(kind).tobytes()).decode()
        for name in ("first", "second"):
            weights: Weights = document[name]
            document[name] = {"intercept": weights.intercept, "margins": list(weights.margins)}
            if math.isfinite(weights.floor):
                document[name]["floor"] = weights.floor
        return document


_ARRAYS = {"near": "<u2", "far": "<u2", "directions": "<f4", "offsets": "<f4"}


def axis_from_json(document: object) -> AutoAxis:
    """The inverse of `AutoAxis.as_json`, for an axis read from a store.

    Raises:
        StoreError: not an axis, or a damaged one.
    """
    try:
        if not isinstance(document, Mapping) or set(document) != {field.name for field in fields(AutoAxis)}:
            raise ValueError("fields")
        arrays = {name: _array(document[name], kind) for name, kind in _ARRAYS.items()}
        dimension, rest = divmod(arrays["directions"].size, FOLDS)
        if rest or not dimension or arrays["offsets"].size != FOLDS:
            raise ValueError("directions")
        arrays["directions"] = arrays["directions"].reshape(FOLDS, dimension)
        return AutoAxis(
            constants=_text(document["constants"]),
            background=_text(document["background"]),
            first=_weights(document["first"]),
            second=_weights(document["second"]),
            seed=_number(document["seed"]),
            drop=_number(document["drop"], least=0.0),
            width=_number(document["width"], least=1e-3),
            rise=_number(document["rise"], least=1e-3),
            **arrays,
        )
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise StoreError(
            "a stored calibration is damaged; `colonnade calibration fit` makes it anew"
        ) from None


def _array(value: object, kind: str) -> np.ndarray:
    if not isinstance(value, str) or len(value) > _MOST_NUMBERS * 6:
        raise ValueError("array")
    array = np.frombuffer(base64.b64decode(value, validate=True), dtype=kind)
    if array.dtype.kind == "f" and not (np.abs(array) <= LARGEST).all():
        raise ValueError("array")
    return array.astype(array.dtype.newbyteorder("="))


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError("text")
    value.encode()
    return value


def _number(value: object, least: float = -LARGEST) -> float:
    if not bounded(value, least):
        raise ValueError("number")
    return float(value)


def _weights(value: object) -> Weights:
    if not isinstance(value, Mapping) or not {"intercept", "margins"} <= set(value) <= {
        "intercept",
        "margins",
        "floor",
    }:
        raise ValueError("weights")
    margins = value["margins"]
    if not isinstance(margins, list) or len(margins) != len(MARGINS):
        raise ValueError("weights")
    floor = _number(value["floor"]) if "floor" in value else -math.inf
    return Weights(_number(value["intercept"]), tuple(_number(margin) for margin in margins), floor)


def applies(axis: AutoAxis, phrases: int, dimension: int) -> bool:
    """Whether an axis can be applied to embeddings of that dimension and a background of so many phrases: of each
    meaning of close a competitor must be left."""
    if axis.directions.shape[1] != dimension:
        return False
    close = (axis.near, axis.far)
    return all((some < phrases).all() and len(set(some.flat)) < phrases for some in close)


def along_axes(axes: Sequence[AutoAxis], embeddings: np.ndarray, stats: BackgroundStats) -> np.ndarray:
    """Projections float32 [k, n] of images with unit embeddings float32 [n, D] on the directions of k axes: for each
    image on those of its own fold, less the offset.

    Raises:
        StoreError: an axis is of another dimension.
    """
    if any(axis.directions.shape[1] != embeddings.shape[1] for axis in axes):
        raise StoreError("a calibration is of another model; run `colonnade calibration fit`")
    found = np.empty((len(axes), len(embeddings)), dtype=np.float32)
    for fold in range(FOLDS):
        rows = np.flatnonzero(stats.fold == fold)
        if rows.size:
            directions = np.stack([axis.directions[fold] for axis in axes])
            offsets = np.array([axis.offsets[fold] for axis in axes], dtype=np.float32)
            found[:, rows] = (products(embeddings[rows], directions) - offsets).T
    return found


def log_odds(
    axis: AutoAxis,
    embeddings: np.ndarray,
    logits: np.ndarray,
    stats: BackgroundStats,
    along: np.ndarray | None = None,
) -> np.ndarray:
    """Log-odds float32 [n] of images with unit embeddings float32 [n, D] and the attribute's logits float32 [n].

    Args:
        along: the axis's row of `along_axes`, where several axes are applied at once.

    Raises:
        StoreError: the axis was fitted with another background.
    """
    if axis.background != stats.background.digest or not applies(
        axis, len(stats.background.phrases), embeddings.shape[1]
    ):
        raise StoreError("a calibration was fitted with another background; run `colonnade calibration fit`")
    found = margins(logits, embeddings, stats, axis.near, axis.far)
    seed = first_stage(axis.first, found)
    if along is None:
        along = along_axes([axis], embeddings, stats)[0]
    return bent(axis, second_stage(axis, found, seed, along))


def margins(
    logits: np.ndarray, embeddings: np.ndarray, stats: BackgroundStats, near: np.ndarray, far: np.ndarray
) -> np.ndarray:
    """Margins float32 [3, n] of logits float32 [n]: over the five strongest competitors under the narrower and the
    wider meaning of close, and over all phrases."""
    found = np.empty((len(MARGINS), len(logits)), dtype=np.float32)
    for row, excluded in enumerate((near, far)):
        found[row] = logits - _strongest(embeddings, stats, excluded)
    found[2] = logits - stats.mean
    return found


def _strongest(embeddings: np.ndarray, stats: BackgroundStats, excluded: np.ndarray) -> np.ndarray:
    """Mean float32 [n] of the five largest background logits among phrases that are not excluded."""
    allowed = np.ones(len(stats.background.phrases), dtype=bool)
    allowed[excluded] = False
    wanted = min(COMPETITORS, int(allowed.sum()))
    n, top = stats.top_index.shape
    total, count = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.int8)
    rows: np.ndarray | slice = slice(None)
    for rank in range(top):
        use = allowed[stats.top_index[rows, rank]] & (count[rows] < wanted)
        total[rows] += np.where(use, stats.top_logit[rows, rank], np.float32(0))
        count[rows] += use
        if rank >= wanted - 1:
            rows = np.flatnonzero(count < wanted)
            if not rows.size:
                break
    if isinstance(rows, np.ndarray) and rows.size:
        logits = stats.logits(embeddings[rows])[:, allowed]
        strongest = np.partition(logits, logits.shape[1] - wanted, axis=1)[:, logits.shape[1] - wanted :]
        total[rows] = np.sort(strongest, axis=1)[:, ::-1].sum(axis=1)
    return np.asarray(total / np.float32(wanted))


def first_stage(weights: Weights, found: np.ndarray) -> np.ndarray:
    """Log-odds float32 [n] from margins float32 [3, n], within +-7."""
    raw = _linear(weights, found)
    raw[found[0] < weights.floor] = -_LIMIT
    return np.asarray(np.clip(raw, -_LIMIT, _LIMIT))


def second_stage(axis: AutoAxis, found: np.ndarray, seed: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Log-odds float32 [n] from margins, the first stage's log-odds and the projection."""
    raw = _linear(axis.second, found)
    return np.asarray(raw + np.float32(axis.seed) * seed + along)


def bent(axis: AutoAxis, x: np.ndarray) -> np.ndarray:
    """Log-odds float32 [n] with the step below the cut at 0, and its flatter side above: an order-preserving map."""
    below = np.where(x > -axis.width, x * np.float32(1 + axis.drop / axis.width), x - np.float32(axis.drop))
    return np.asarray(np.where(x >= 0, x * np.float32(axis.rise), below), dtype=np.float32)


def _linear(weights: Weights, found: np.ndarray) -> np.ndarray:
    raw = np.full(found.shape[1], weights.intercept, dtype=np.float32)
    for weight, margin in zip(weights.margins, found, strict=True):
        raw += np.float32(weight) * margin
    return raw


def folded(values: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Of values [n, FOLDS], each row's own fold: [n]."""
    return np.asarray(np.take_along_axis(values, fold[:, None].astype(np.intp), axis=1)[:, 0])
