"""Sketches: their quantiles, what is refused, and the distance of distributions against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.sketch import SKETCH, distance, quantiles, sketch_or_none

NUMBERS = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=300)


def exact(one: np.ndarray, other: np.ndarray) -> float:
    points = np.unique(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(values), points, "right") / len(values) for values in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


@settings(max_examples=60, deadline=None)
@given(NUMBERS)
def test_a_sketch_is_of_the_numbers_themselves(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    sketch = quantiles(values)
    assert sketch.shape == (SKETCH,)
    assert np.isin(sketch, values).all()
    assert (sketch[0], sketch[-1]) == (values.min(), values.max())
    assert (np.diff(sketch) >= 0).all()
    assert np.array_equal(quantiles(values[::-1]), sketch)
    assert sketch_or_none([float(value) for value in sketch]) == tuple(sketch.tolist())
    assert distance([(len(values), sketch)], [(len(values), sketch)]) == 0


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0, 30.0])
def test_the_distance_is_that_of_kolmogorov_and_smirnov(shift: float) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, 4000).astype(np.float32), rng.normal(shift, 1, 9000).astype(np.float32)
    found = distance([(4000, quantiles(one))], [(9000, quantiles(other))])
    assert found == pytest.approx(exact(one, other), abs=0.04)


def test_many_equal_values_are_no_drift() -> None:
    rng = np.random.default_rng(1)
    draws = [np.maximum(rng.normal(0, 1, 20_000), 0.5).astype(np.float32) for _ in range(2)]
    assert distance([(1, quantiles(draws[0]))], [(1, quantiles(draws[1]))]) < 0.05
    assert distance([(1, [0.0] * SKETCH)], [(1, [0.0] * SKETCH)]) == 0
    assert distance([(1, [0.0] * SKETCH)], [(1, [1.0] * SKETCH)]) == 1


def test_parts_count_by_their_rows() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(0, 1, 9000).astype(np.float32), rng.normal(3, 1, 1000).astype(np.float32)
    whole = quantiles(np.concatenate([first, second]))
    assert distance([(9000, quantiles(first)), (1000, quantiles(second))], [(10_000, whole)]) < 0.04
    assert distance([(1000, quantiles(first)), (9000, quantiles(second))], [(10_000, whole)]) > 0.5


@pytest.mark.parametrize(
    "stored",
    [None, "x", [], [1.0] * 32, ["1"] * SKETCH, [float("nan")] * SKETCH, [float("inf")] * SKETCH, [True] * SKETCH,
     [*range(32, -1, -1)], {"a": 1}],
)  # fmt: skip
def test_anything_else_is_no_sketch(stored: object) -> None:
    assert sketch_or_none(stored) is None
