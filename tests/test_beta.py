"""Quantiles of the Beta and the beta-binomial distribution, against known values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.beta import beta_cdf, beta_quantile, drawn_quantiles, jeffreys

positive = st.floats(0.05, 500)


@pytest.mark.parametrize(
    ("x", "a", "b", "wanted"),
    [
        (0.3, 2, 5, 0.579825),  # 1 - sum of binomial terms, exact
        (0.5, 0.5, 0.5, 0.5),
        (0.25, 0.5, 0.5, 1 / 3),  # arcsine law: 2 / pi asin(sqrt x)
        (0.7, 1, 1, 0.7),
        (0.5, 3, 3, 0.5),
        (0.2, 1, 4, 1 - 0.8**4),
        (0.9, 5, 1, 0.9**5),
    ],
)
def test_known_values(x: float, a: float, b: float, wanted: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    # The 5 % and 95 % quantiles of Beta(hits + .5, misses + .5), by another library.
    [(19, 20, 0.82044458, 0.99113079), (3, 10, 0.11732938, 0.55812677), (45, 50, 0.81358916, 0.95319244)],
)
def test_jeffreys(hits: int, trials: int, low: float, high: float) -> None:
    assert jeffreys(hits, trials) == pytest.approx((low, high), abs=1e-6)


def test_jeffreys_ends() -> None:
    assert jeffreys(0, 20)[0] == 0
    assert jeffreys(20, 20)[1] == 1
    assert jeffreys(20, 20)[0] == pytest.approx(1 - jeffreys(0, 20)[1])
    with pytest.raises(ValueError, match="3 of 2"):
        jeffreys(3, 2)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.001, 0.999), positive, positive)
def test_mirrored_and_inverted(x: float, a: float, b: float) -> None:
    share = beta_cdf(x, a, b)
    assert 0 <= share <= 1
    assert share == pytest.approx(1 - beta_cdf(1 - x, b, a), abs=1e-9)
    if 1e-6 < share < 1 - 1e-6:
        assert beta_quantile(share, a, b) == pytest.approx(x, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 0.98), positive, positive)
def test_rises(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) <= beta_cdf(x + 0.01, a, b) + 1e-12


def beta_binomial(y: int, a: float, b: float, count: int) -> float:
    log = math.lgamma
    choose = log(count + 1) - log(y + 1) - log(count - y + 1)
    drawn = log(a + y) + log(b + count - y) - log(a + b + count)
    return math.exp(choose + drawn - log(a) - log(b) + log(a + b))


@settings(max_examples=40, deadline=None)
@given(positive, positive, st.integers(1, 60))
def test_drawn_quantiles_hold_their_mass(a: float, b: float, count: int) -> None:
    mass = [beta_binomial(y, a, b, count) for y in range(count + 1)]
    low, high = drawn_quantiles((0.05, 0.95), a, b, count)
    assert 0 <= low <= count
    assert low <= high + 1
    # Mid-p: outside lies at most a tail, counting half of the numbers at its edge.
    assert sum(mass[: int(low)]) - (mass[int(low) - 1] / 2 if low else 0) <= 0.05 + 1e-6
    assert sum(mass[int(high) + 1 :]) - (mass[int(high) + 1] / 2 if high < count else 0) <= 0.05 + 1e-6


def test_drawn_of_none_and_of_very_many() -> None:
    assert drawn_quantiles((0.05, 0.95), 3.5, 7.5, 0) == (0, 0)
    few, many = (drawn_quantiles((0.05, 0.95), 3.5, 7.5, count) for count in (50_000, 50_001))
    assert many == pytest.approx(few, rel=1e-3)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="above 0"):
        beta_cdf(0.5, 0, 1)
