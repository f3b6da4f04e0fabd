"""Sketches of a distribution: 33 quantiles, kept in footers and fits, and how far two distributions lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["SKETCH", "distance", "quantiles", "sketch_or_none"]

SKETCH = 33
"""Quantiles in a sketch: every 1/32 of the values, from the lowest to the highest."""

Sketch = Sequence[float] | np.ndarray


def quantiles(values: np.ndarray) -> np.ndarray:
    """The sketch float32 [33] of finite numbers float32 [n], n > 0: each quantile is one of the numbers."""
    places = np.linspace(0, len(values) - 1, SKETCH).round().astype(np.intp)
    return np.asarray(np.sort(values)[places], dtype=np.float32)


def sketch_or_none(stored: object) -> tuple[float, ...] | None:
    """A sketch read from outside; None for anything that is not one."""
    if not isinstance(stored, list) or len(stored) != SKETCH:
        return None
    if not all(type(value) in (float, int) and math.isfinite(value) for value in stored):
        return None
    return tuple(float(value) for value in stored) if stored == sorted(stored) else None


def distance(one: Sequence[tuple[int, Sketch]], other: Sequence[tuple[int, Sketch]]) -> float:
    """The Kolmogorov-Smirnov distance, 0 to 1, of two distributions given as parts: (values, sketch) each.

    Exact to about 1/32, the resolution of a sketch; many values may be equal.
    """
    points = np.unique(np.concatenate([np.asarray(sketch, float) for _, sketch in (*one, *other)]))
    below, up_to = _mixed(one, points)
    other_below, other_up_to = _mixed(other, points)
    return float(max(np.abs(below - other_below).max(), np.abs(up_to - other_up_to).max()))


def _mixed(parts: Sequence[tuple[int, Sketch]], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of several parts together, the share of values below each point and the share up to it."""
    total = sum(count for count, _ in parts)
    shares = [
        np.asarray(_shares(np.asarray(sketch, float), points)) * (count / total) for count, sketch in parts
    ]
    below, up_to = np.sum(shares, axis=0)
    return below, up_to


def _shares(sketch: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    steps = np.linspace(0.0, 1.0, len(sketch))
    values, first = np.unique(sketch, return_index=True)
    last = np.append(first[1:], len(sketch)) - 1
    # Where values repeat the function jumps: interpolate between the end of one jump and the start of the next.
    between = np.interp(points, np.repeat(values, 2), steps[np.stack([first, last], axis=1).ravel()])
    place = np.minimum(np.searchsorted(values, points), len(values) - 1)
    here = values[place] == points
    below = np.where(here, steps[first[place]], between)
    up_to = np.where(here, steps[last[place]], between)
    below, up_to = np.where(points < values[0], 0.0, below), np.where(points < values[0], 0.0, up_to)
    return np.where(points > values[-1], 1.0, below), np.where(points > values[-1], 1.0, up_to)
