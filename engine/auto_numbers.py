"""What is the same for all images of an attribute: how its phrase lies among the others, and what its images look like.

Cosines between phrases are taken relative to what is usual between phrases of the same model, and margins to how far
the background's logits usually spread, so that neither a model's scale nor its bias changes a number here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from colonnade.engine.background_stats import Background, BackgroundStats

__all__ = ["ImageSpread", "Kin", "collection_numbers", "image_spread", "kin_of"]

# Standard deviations above the usual cosine between phrases: cosines of .85, .80, .75 and .985 in CLIP ViT-B/32.
_NEAR, _FAR, _WIDE, _SELF = 2.09, 1.12, 0.144, 4.71
_LEAST_COMPETITORS = 50
_LVIS = 1203
_RIDGE = 0.3
_LIKELY = -1.7
_TOPS = {"top_2": 0.002, "top_5": 0.005, "top_10": 0.01, "top_30": 0.03}
"""How far down the ranking it is looked: shares of the sample, so that half of a collection looks like all of it."""
_CLEAR = 3.0
"""Clearer than this is clear enough: more must not count against an attribute."""


@dataclass(frozen=True, eq=False)
class Kin:
    """How an attribute's phrase lies among the background's phrases."""

    near: np.ndarray
    """uint16: phrases too close to compete with it."""
    far: np.ndarray
    """uint16: the same, under a wider meaning of close; all of `near` are among them."""
    crowd: float
    """Mean similarity of the ten phrases closest to it."""
    counts: tuple[float, float, float]
    """Logarithms of how many phrases are close, in three widths, were there 1,203 in all."""


@dataclass(frozen=True, eq=False)
class ImageSpread:
    """Mean float32 [D] and regularised inverse covariance float32 [D, D] of a sample's embeddings."""

    mean: np.ndarray
    inverse: np.ndarray


def kin_of(attribute_vector: np.ndarray, background: Background) -> Kin:
    """The kin of an attribute with a unit vector float32 [D]."""
    mean, deviation = background.similarity
    similar = (background.vectors @ attribute_vector - mean) / deviation
    others = np.sort(similar[similar <= _SELF])[::-1]
    share = _LVIS / len(similar)
    near, far, wide = (float(np.log1p((similar >= bound).sum() * share)) for bound in (_NEAR, _FAR, _WIDE))
    return Kin(
        _too_close(similar, _NEAR),
        _too_close(similar, _FAR),
        float(others[:10].mean()) if others.size else 0.0,
        (near, far, wide),
    )


def _too_close(similar: np.ndarray, bound: float) -> np.ndarray:
    """Phrases at least as similar as `bound`, but never so many that under 50 are left."""
    close = np.flatnonzero(similar >= bound)
    most = max(len(similar) - _LEAST_COMPETITORS, 0)
    if len(close) > most:
        close = np.sort(np.argsort(-similar, kind="stable")[:most])
    return close.astype(np.uint16)


def image_spread(embeddings: np.ndarray) -> ImageSpread:
    """What a direction among images needs of a sample float32 [n, D]; all attributes share it."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    centred = embeddings - mean.astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / len(embeddings)
    ridge = _RIDGE * np.trace(covariance) / len(covariance) + 1e-12
    inverse = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
    return ImageSpread(mean.astype(np.float32), inverse.astype(np.float32))


def collection_numbers(
    x: np.ndarray, embeddings: np.ndarray, stats: BackgroundStats, kin: Kin, spread: ImageSpread
) -> dict[str, float]:
    """What the second stage's log-odds float64 [n] look like over a sample, and what its ten likeliest images share."""
    order = np.argsort(-x, kind="stable")
    ranked = x[order]
    likely = order[:10]
    near = np.zeros(len(stats.background.phrases), dtype=bool)
    near[kin.near] = True
    strongest = stats.top_index[likely, :5]
    centred = (embeddings[likely] - spread.mean).astype(np.float64)
    alike = centred @ spread.inverse.astype(np.float64) @ centred.T
    length = np.sqrt(np.maximum(np.diag(alike), 1e-12))
    alike = alike / length[:, None] / length[None]
    with np.errstate(over="ignore"):
        expected = float((1.0 / (1.0 + np.exp(-ranked))).sum())
    return {
        **{name: min(float(ranked[int(share * len(x))]), _CLEAR) for name, share in _TOPS.items()},
        "above": math.log((int((ranked > _LIKELY).sum()) + 0.5) / len(x)),
        "expected": math.log((expected + 0.1) / len(x)),
        "median": float(np.median(ranked)),
        "spread": float(ranked.std()),
        "kin": float(near[strongest].mean()),
        "first_kin": float(near[strongest[:, 0]].mean()),
        "agreement": float(np.bincount(strongest.ravel()).max() / len(likely)),
        **dict(zip(("near_count", "far_count", "wide_count"), kin.counts, strict=True)),
        "crowd": kin.crowd,
        "alike3": float((alike[:3, :3].sum() - 3) / 6),
        "alike10": float((alike.sum() - len(likely)) / (len(likely) * (len(likely) - 1))),
    }
