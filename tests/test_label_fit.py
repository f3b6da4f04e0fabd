"""Answers move a cut: the posterior, what it must not depend on, and the cut of the highest expected F1."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.label_fit import expected_deviation, fit_labels, ready, slip_probabilities

answers = st.lists(
    st.tuples(st.floats(-40, 40), st.booleans(), st.floats(0.1, 3)), min_size=0, max_size=25
).map(lambda rows: tuple(np.array(column) for column in zip(*rows, strict=True)) if rows else None)


def brute_force(x: np.ndarray, present: np.ndarray) -> tuple[float, float]:
    """(mean, deviation) of the center, by a fine sum written out from the model."""
    center = np.linspace(-10, 10, 801)[:, None, None]
    log_slope = np.log(1.5) + np.linspace(-2, 2, 161)[None, :, None]
    lapse = np.array([0.01, 0.05, 0.12])[None, None, :]
    mass = np.exp(-0.5 * (center / 1.5) ** 2 - 0.5 * ((log_slope - np.log(1.5)) / 0.5) ** 2)
    mass = mass * np.array([0.5, 0.3, 0.2])
    for one, said in zip(x, present, strict=True):
        sure = 1 / (1 + np.exp(-(np.exp(log_slope) * (one - center) + math.log(0.4 / 0.6))))
        yes = lapse + (1 - 2 * lapse) * sure
        mass = mass * (yes if said else 1 - yes)
    over = mass.sum(axis=(1, 2)) / mass.sum()
    values = center[:, 0, 0]
    mean = float(over @ values)
    return mean, math.sqrt(float(over @ (values - mean) ** 2))


@pytest.mark.parametrize(
    ("x", "present"),
    [
        ([], []),
        ([0.5], [True]),
        ([-1.0, 0.2, 1.0, 2.5], [False, False, True, True]),
        ([3.0, -3.0, 0.1, 0.4, 1.2, -0.7], [False, True, True, False, True, False]),
    ],
)
def test_posterior_is_the_integral(x: list[float], present: list[bool]) -> None:
    fit = fit_labels(np.array(x), np.array(present, dtype=bool))
    mean, deviation = brute_force(np.array(x), np.array(present, dtype=bool))
    assert fit.center == pytest.approx(mean, abs=0.02)
    assert fit.delta_sd == pytest.approx(deviation, rel=0.02)
    assert fit.delta == fit.center
    assert fit.delta_low < fit.center < fit.delta_high
    assert (fit.present, fit.absent) == (sum(present), len(present) - sum(present))


def test_where_every_answer_is_no_nothing_that_was_judged_is_accepted() -> None:
    rng = np.random.default_rng(0)
    collection = np.sort(np.concatenate([rng.normal(-5, 1.5, 500), [0.4, 1.1, 2.9]]))
    for judged in (collection[-22:-2], collection[-2:], collection[-20:]):
        fit = fit_labels(judged, np.zeros(len(judged), dtype=bool), collection=collection)
        assert fit.delta > max(0, judged.max())
        assert ((collection >= fit.delta) == (collection > max(0, judged.max()))).all()


def test_without_labels_nothing_moves() -> None:
    fit = fit_labels(np.empty(0), np.empty(0, dtype=bool))
    assert fit.delta == pytest.approx(0, abs=1e-9)
    assert fit.slope == pytest.approx(1.5)
    assert fit.delta_sd == pytest.approx(1.5, rel=0.01)
    assert not ready(fit.present, fit.absent)


@pytest.mark.parametrize(
    ("present", "absent", "wanted"),
    [(2, 2, True), (1, 3, False), (1, 4, True), (5, 0, True), (2, 1, False), (0, 0, False), (0, 4, False)],
)
def test_ready(present: int, absent: int, wanted: bool) -> None:
    assert ready(present, absent) is wanted


@settings(max_examples=40, deadline=None)
@given(answers, st.randoms(use_true_random=False))
def test_order_does_not_matter(rows: tuple[np.ndarray, ...] | None, random: object) -> None:
    if rows is None:
        return
    x, present, weight = rows
    order = np.arange(len(x))
    random.shuffle(order)  # type: ignore[attr-defined]
    crowd = np.linspace(-30, 10, 200)
    one = fit_labels(x, present, weight, collection=np.concatenate([crowd, x]))
    other = fit_labels(x[order], present[order], weight[order], collection=np.concatenate([x[order], crowd]))
    assert one == other


@settings(max_examples=40, deadline=None)
@given(answers, st.floats(-6, 6))
def test_a_yes_lowers_and_a_no_raises(rows: tuple[np.ndarray, ...] | None, at: float) -> None:
    x, present, weight = rows if rows is not None else (np.empty(0), np.empty(0, bool), np.empty(0))
    cuts = [
        fit_labels(np.append(x, at), np.append(present, said), np.append(weight, 1.0)).center
        for said in (True, False)
    ]
    before = fit_labels(x, present, weight).center
    # The slope and the slips are unknown, so that an answer can say more of them than of the center.
    assert cuts[0] <= before + 0.05
    assert cuts[1] >= before - 0.05


@settings(max_examples=30, deadline=None)
@given(answers)
def test_a_weight_is_a_number_of_answers(rows: tuple[np.ndarray, ...] | None) -> None:
    if rows is None:
        return
    x, present, _ = rows
    twice = fit_labels(np.repeat(x, 2), np.repeat(present, 2))
    heavy = fit_labels(x, present, np.full(len(x), 2.0))
    assert heavy.center == pytest.approx(twice.center, abs=1e-9)
    assert heavy.delta_sd == pytest.approx(twice.delta_sd, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(answers, st.floats(-3, 3))
def test_always_finite(rows: tuple[np.ndarray, ...] | None, shift: float) -> None:
    x, present, weight = rows if rows is not None else (np.empty(0), np.empty(0, bool), np.empty(0))
    far = np.append(x * 1e6, [1e300, -math.inf])
    collection = np.append(far, [shift, -5.0, math.nan])
    fit = fit_labels(far, np.append(present, [True, False]), np.append(weight, [1, 1]), collection=collection)
    assert all(map(math.isfinite, (fit.delta, fit.slope, fit.delta_sd, fit.delta_low, fit.delta_high)))
    assert fit.slope > 0
    assert 0 < fit.lapse < 0.5


def test_one_slip_far_away_moves_little() -> None:
    x = np.array([-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0])
    said = x > 0
    before = fit_labels(x, said).center
    slipped = fit_labels(np.append(x, 8.0), np.append(said, False)).center
    assert abs(slipped - before) < 0.5


def test_the_cut_parts_what_the_answers_part() -> None:
    generator = np.random.default_rng(3)
    collection = np.concatenate([generator.normal(-6, 1.5, 3000), generator.normal(4, 0.7, 30)])
    x = np.array([3.2, 2.5, 3.9, 1.4, 1.0, 0.2, 1.7, -0.5])
    said = np.array([True, True, True, False, False, False, False, False])
    fit = fit_labels(x, said, collection=np.concatenate([collection, x]))
    assert 1.7 < fit.delta <= 2.5
    assert ready(fit.present, fit.absent)


def test_the_cut_is_between_images() -> None:
    collection = np.array([-3.0, -2.0, 2.0, 2.5])
    fit = fit_labels(np.array([2.0, -2.0]), np.array([True, False]), collection=collection)
    assert fit.delta == pytest.approx(0.0)


def test_a_tiny_collection_and_an_unlabelled_one() -> None:
    assert math.isfinite(fit_labels(np.empty(0), np.empty(0, bool), collection=np.array([0.3])).delta)
    assert fit_labels(np.empty(0), np.empty(0, bool), collection=np.empty(0)).delta == pytest.approx(0)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="one length"):
        fit_labels(np.zeros(2), np.zeros(3, dtype=bool))
    with pytest.raises(ValueError, match="numbers"):
        fit_labels(np.array([math.nan]), np.array([True]))
    with pytest.raises(ValueError, match="weights"):
        fit_labels(np.zeros(1), np.array([True]), np.array([-1.0]))


def test_labels_near_the_cut_tell_most() -> None:
    x, said = np.array([-2.0, 2.0]), np.array([False, True])
    now = fit_labels(x, said).delta_sd
    near, far = (expected_deviation(x, said, place) for place in (0.0, 9.0))
    assert near < far
    assert near < now
    assert far == pytest.approx(now, rel=0.05)


@settings(max_examples=20, deadline=None)
@given(st.floats(-5, 5), answers)
def test_expected_deviation_is_the_average_of_both_answers(
    place: float, rows: tuple[np.ndarray, ...] | None
) -> None:
    x, present, weight = rows if rows is not None else (np.empty(0), np.empty(0, bool), np.empty(0))
    both = [
        fit_labels(np.append(x, place), np.append(present, said), np.append(weight, 1.0)).delta_sd
        for said in (True, False)
    ]
    expected = expected_deviation(x, present, place, weight)
    assert min(both) - 1e-9 <= expected <= max(both) + 1e-9


def test_the_answer_that_others_contradict_is_the_likeliest_slip() -> None:
    x = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 2.5, -2.5])
    said = np.array([False, False, False, True, True, True, False, True])
    found = slip_probabilities(x, said)
    assert set(np.argsort(-found)[:2].tolist()) == {6, 7}
    assert found[:6].max() < 0.1 < found[6:].min()
    assert slip_probabilities(x[:0], said[:0]).tolist() == []


@settings(max_examples=20, deadline=None)
@given(answers, st.randoms(use_true_random=False))
def test_some_slips_are_told_as_all_are(rows: tuple[np.ndarray, ...] | None, random: object) -> None:
    if rows is None:
        return
    x, present, weight = rows
    sure = weight > 1.5
    some = np.array(random.sample(range(len(x)), len(x) // 2), dtype=np.int64)  # type: ignore[attr-defined]
    every = slip_probabilities(x, present, sure)
    assert slip_probabilities(x, present, sure, of=some) == pytest.approx(every[some])


def test_two_looks_that_agree_weigh_more_than_one() -> None:
    x = np.array([-2.0, -1.5, 1.0, 1.5, 2.5])
    said = np.array([True, False, True, True, True])
    once, twice = np.zeros(5, dtype=bool), np.arange(5) == 0
    assert fit_labels(x, said, sure=once) == fit_labels(x, said)
    assert fit_labels(x, said, sure=twice).center < fit_labels(x, said).center - 0.02
    before, after = slip_probabilities(x, said, once), slip_probabilities(x, said, twice)
    assert np.argmax(before) == 0
    assert after[0] < before[0] / 4
    assert expected_deviation(x, said, 0.0, sure=once) == expected_deviation(x, said, 0.0)
    with pytest.raises(ValueError, match="one length"):
        fit_labels(x, said, sure=np.zeros(4, dtype=bool))


@settings(max_examples=20, deadline=None)
@given(answers)
def test_slip_probabilities_are_probabilities(rows: tuple[np.ndarray, ...] | None) -> None:
    if rows is not None:
        found = slip_probabilities(rows[0], rows[1])
        assert ((found >= 0) & (found <= 1)).all()
