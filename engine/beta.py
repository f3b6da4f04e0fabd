"""The Beta distribution's and the beta-binomial's quantiles, by summing and numeric inversion."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["beta_cdf", "beta_quantile", "drawn_quantiles", "jeffreys"]

_TINY = 1e-300
_STEPS = 500
_MOST_SUMMED = 50_000


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), for a and b above 0.

    By its continued fraction (Lentz), on the side where that converges fast.
    """
    if not (a > 0 and b > 0):
        raise ValueError(f"a {a} and b {b} must be above 0")
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_cdf(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return min(1.0, math.exp(log_front) / a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a - 1 + 2 * m) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 1 + 2 * m))
        for term in (even, odd):
            d = 1 / _off_zero(1 + term * d)
            c = _off_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x at which `beta_cdf` is `share`, by bisection to the last bit."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if beta_cdf(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def jeffreys(hits: float, trials: float, level: float = 0.9) -> tuple[float, float]:
    """The equal-tailed Jeffreys interval of a share; it begins at 0 without hits, and ends at 1 without misses."""
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials}")
    tail = (1 - level) / 2
    a, b = hits + 0.5, trials - hits + 0.5
    return (
        0.0 if hits == 0 else beta_quantile(tail, a, b),
        1.0 if hits == trials else beta_quantile(1 - tail, a, b),
    )


def drawn_quantiles(shares: tuple[float, ...], a: float, b: float, count: int) -> tuple[float, ...]:
    """Quantiles of how many of `count` more are hits, if their share is distributed as Beta(a, b): beta-binomial.

    A number's own mass counts half (mid-p), so that an interval of few is not wider than it says. Of more than 50,000,
    the share's quantile.
    """
    if count <= 0:
        return tuple(0.0 for _ in shares)
    if count > _MOST_SUMMED:
        return tuple(count * beta_quantile(share, a, b) for share in shares)
    y = np.arange(count, dtype=np.float64)
    ratios = np.log(count - y) + np.log(a + y) - np.log(y + 1) - np.log(b + count - y - 1)
    log_mass = np.concatenate([[0.0], np.cumsum(ratios)])
    mass = np.exp(log_mass - log_mass.max())
    mass /= mass.sum()
    below = np.cumsum(mass) - mass / 2
    return tuple(
        float(
            np.searchsorted(below, share) if share < 0.5 else np.searchsorted(below, share, side="right") - 1
        )
        for share in shares
    )
