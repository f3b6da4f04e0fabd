"""Audits: how images are drawn, what they say of precision and recall, and how often the intervals are right."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.beta import jeffreys
from colonnade.engine.errors import InputError
from colonnade.engine.label_audit import AUDIT_SHARES, audit, draw, precision_at, strata
from colonnade.engine.label_precision import cut_for_precision
from colonnade.engine.places import Places
from colonnade.engine.review_audit import Audited


def drawn(x: np.ndarray, count: int, seed: str = "s") -> tuple[np.ndarray, np.ndarray]:
    """(places, probabilities) of a whole audit."""
    ids, done = np.arange(len(x)), np.zeros(len(x), dtype=bool)
    places, chances = [], []
    for _ in range(count):
        one = draw(x, ids, done, seed=seed)
        if one is None:
            break
        assert not done[one.index]
        done[one.index] = True
        places.append(one.index)
        chances.append(one.probability)
    return np.array(places, dtype=np.int64), np.array(chances)


def collection(
    seed: int, images: int = 3000, slope: float = 1.2, level: float = -1.0
) -> tuple[np.ndarray, np.ndarray]:
    """(x, present) of images whose shares of hits are about those of photographs."""
    generator = np.random.default_rng(seed)
    x = np.concatenate([generator.normal(-7, 2.5, images), generator.normal(1.5, 1.5, images // 20)])
    return x, generator.random(len(x)) < 1 / (1 + np.exp(-slope * x - np.where(x < 0, level, 0)))


def test_strata() -> None:
    x = np.array([3.0, 0.0, -1e-9, -1.0, -1.1, -3.0, -3.1, -math.inf, math.inf])
    assert strata(x).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 0]


def test_shares_and_probabilities() -> None:
    x, _ = collection(0)
    places, chances = drawn(x, 50)
    assert np.bincount(strata(x[places])).tolist() == [round(50 * share) for share in AUDIT_SHARES]
    sizes = np.bincount(strata(x))
    for stratum, share in enumerate(AUDIT_SHARES):
        mine = chances[strata(x[places]) == stratum]
        assert mine == pytest.approx(share / sizes[stratum])


def test_draws_follow_from_what_was_drawn() -> None:
    x, _ = collection(1)
    ids = np.arange(len(x)) + 1000
    places, _ = drawn(x, 30)
    done = np.zeros(len(x), dtype=bool)
    done[places[:20]] = True
    again = draw(x, np.arange(len(x)), done, seed="s")
    assert again is not None
    assert again.index == places[20]
    order = np.random.default_rng(0).permutation(len(x))
    none = np.zeros(len(x), dtype=bool)
    one, other = draw(x, ids, none, seed="s"), draw(x[order], ids[order], none, seed="s")
    assert one is not None
    assert other is not None
    assert ids[one.index] == ids[order][other.index]
    assert drawn(x, 30, "s")[0].tolist() != drawn(x, 30, "t")[0].tolist()


def test_every_image_once_then_none() -> None:
    x = np.array([2.0, 1.0, -0.5, -2.0, -9.0])
    places, _ = drawn(x, 99)
    assert sorted(places.tolist()) == [0, 1, 2, 3, 4]
    assert draw(np.empty(0), np.empty(0, np.int64), np.empty(0, bool), seed="s") is None


def test_draws_are_even() -> None:
    x = np.concatenate([np.full(20, 1.0), np.full(20, -9.0)])
    first = [int(drawn(x, 1, f"seed {number}")[0][0]) for number in range(600)]
    counts = np.bincount(first, minlength=40)
    assert counts[20:].sum() == 0
    assert counts[:20].min() >= 12
    assert counts[:20].max() <= 52


def test_a_full_audit_leaves_no_doubt() -> None:
    x = np.array([2.0, 1.0, 0.5, 0.2, -0.5, -2.0, -9.0])
    present = np.array([True, True, False, True, True, False, False])
    places, chances = drawn(x, 7)
    found = audit(x, x[places], present[places], chances)
    assert found.precision is not None
    assert found.recall is not None
    assert (found.precision.low, found.precision.value, found.precision.high) == (0.75, 0.75, 0.75)
    assert (found.recall.low, found.recall.value, found.recall.high) == (0.75, 0.75, 0.75)
    assert (found.accepted, found.audited, found.audited_accepted) == (4, 7, 4)


def test_of_many_images_the_precision_is_jeffreys() -> None:
    x = np.concatenate([np.full(400_000, 1.0), np.full(10, -5.0)])
    present = np.array([True] * 17 + [False] * 3)
    found = precision_at(x, np.full(20, 1.0), present, np.full(20, 0.6 / 400_000))
    assert found is not None
    assert (found.low, found.high) == pytest.approx(jeffreys(17, 20), abs=1e-4)
    assert found.value == pytest.approx(17.5 / 21, abs=1e-4)


def test_weights_undo_an_uneven_draw() -> None:
    """Half of the accepted images were audited ten times as often, and all that is right is among them."""
    x = np.full(10_000, 1.0)
    present = np.array([True] * 100 + [False] * 10)
    chances = np.array([1e-3] * 100 + [1e-4] * 10)
    found = precision_at(x, np.full(110, 1.0), present, chances)
    assert found is not None
    assert found.value == pytest.approx(0.5, abs=0.02)
    assert found.low < 0.4
    assert found.high > 0.6


def test_nothing_accepted_and_nothing_audited() -> None:
    x = np.full(300, -math.inf)
    places, chances = drawn(x, 5)
    found = audit(x, x[places], np.zeros(5, dtype=bool), chances)
    assert found.precision is None
    assert found.recall is None, "nothing is accepted, and nothing right was seen"
    blank = audit(np.array([1.0, -1.0]), np.empty(0), np.empty(0, bool), np.empty(0))
    assert blank.recall is None
    assert blank.precision is not None
    assert blank.precision.width > 0.9


def test_wrong_arguments() -> None:
    x = np.array([1.0, 2.0])
    for chance in (0.0, -1.0, 1.5, math.nan):
        with pytest.raises(ValueError, match="probability"):
            audit(x, x[:1], np.array([True]), np.array([chance]))
    with pytest.raises(ValueError, match="one length"):
        audit(x, x[:1], np.array([True, False]), np.array([0.5]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(-3, 3))
def test_estimates_are_shares_inside_their_intervals(seed: int, count: int, cut: float) -> None:
    x, present = collection(seed, 200)
    places, chances = drawn(x, count, str(seed))
    found = audit(x, x[places], present[places], chances, cut=cut)
    for estimate in (found.precision, found.recall):
        if estimate is not None:
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert found.accepted == (x >= cut).sum()
    order = np.argsort(present[places], kind="stable")
    other = audit(x[::-1], x[places][order], present[places][order], chances[order], cut=cut)
    assert other.precision is None or found.precision is not None
    if found.precision and other.precision:
        assert other.precision.value == pytest.approx(found.precision.value, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(0, 3), st.integers(0, 4), st.integers(0, 3), st.floats(-0.5, 0.5))
def test_an_estimate_is_inside_its_interval_when_nearly_all_are_audited(
    accepted: int, left: int, wrong: int, below: int, cut: float
) -> None:
    """The last few images can leave a 90 % interval of one number, which the mean is beside."""
    x = np.concatenate([np.linspace(0.01, 2, accepted), np.linspace(-0.9, -0.1, below)])
    seen = max(accepted - left, 0)
    present = np.arange(seen) >= wrong
    found = audit(x, x[:seen], present, np.full(seen, 0.6 / accepted), cut=cut)
    for estimate in (found.precision, found.recall):
        assert estimate is None or 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    hits = int(present[x[:seen] >= cut].sum())
    if found.precision is not None and found.accepted:
        rest = (found.accepted - found.audited_accepted) / found.accepted
        known = hits / found.accepted
        assert known - 1e-9 <= found.precision.low <= found.precision.high <= known + rest + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("target", [0.8, 0.9, 0.95])
def test_cut_for_precision(target: float) -> None:
    reached, chosen = [], 0
    for seed in range(12):
        x, present = collection(seed, 4000)
        places, chances = drawn(x, 60, str(seed))
        try:
            found = cut_for_precision(x, x[places], present[places], chances, target, code="dog")
        except InputError:
            continue
        chosen += 1
        assert found.precision.value >= target
        assert found.accepted == (x >= found.shift).sum()
        assert found.precision.low <= found.precision.value <= found.precision.high
        assert found.before.recall is not None
        assert found.recall is not None
        assert found.recall_cost == pytest.approx(found.before.recall.value - found.recall.value)
        reached.append(present[x >= found.shift].mean())
    assert chosen >= 6
    assert np.mean(reached) >= target - 0.03


def test_a_higher_target_means_a_higher_cut() -> None:
    x, present = collection(2, 6000)
    places, chances = drawn(x, 120)
    cuts = [
        cut_for_precision(x, x[places], present[places], chances, target).shift
        for target in (0.7, 0.85, 0.92)
    ]
    assert cuts == sorted(cuts)


def test_refusals_in_words() -> None:
    x = np.concatenate([np.linspace(0.1, 3, 500), np.linspace(-9, -0.1, 500)])
    places = np.arange(0, 500, 100)
    at, chances = x[places], np.full(5, 0.6 / 500)
    with pytest.raises(
        InputError,
        match=r"dog: 5 of 500 accepted pictures audited \(5 right\) cannot show .* takes 9 without",
    ):
        cut_for_precision(x, at, np.ones(5, bool), chances, 0.95, code="dog")
    with pytest.raises(InputError, match="no accepted picture has been audited"):
        cut_for_precision(x, np.empty(0), np.empty(0, bool), np.empty(0), 0.9)
    with pytest.raises(InputError, match="between 0 and 1"):
        cut_for_precision(x, at, np.ones(5, bool), chances, 1.0)
    many = np.arange(0, 500, 10)
    with pytest.raises(InputError, match="50 of 500 accepted pictures audited, 0 are right"):
        cut_for_precision(x, x[many], np.zeros(50, bool), np.full(50, 0.6 / 500), 0.9)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.sampled_from([0.6, 0.8, 0.9, 0.95, 0.99]))
def test_as_many_without_a_fault_as_a_refusal_asks_for_are_enough(accepted: int, target: float) -> None:
    x, needed = np.full(accepted, 1.0), 1
    for seen in range(1, accepted + 1):
        at, chances = x[:seen], np.full(seen, 1 / accepted)
        try:
            found = cut_for_precision(x, at, np.ones(seen, bool), chances, target)
        except InputError as error:
            needed = int(re.search(r"takes (\d+) without", str(error))[1])  # type: ignore[index]
            assert needed > seen
            continue
        assert found.precision.value >= target
        assert seen in (1, needed)
        return
    raise AssertionError("a whole audit without a fault shows any precision")


def test_without_any_accepted_image_nothing_can_be_shown() -> None:
    x = np.full(300, -math.inf)
    places, chances = drawn(x, 20)
    with pytest.raises(InputError, match="no accepted picture"):
        cut_for_precision(x, x[places], np.zeros(20, dtype=bool), chances, 0.9)


@pytest.mark.slow
def test_intervals_hold_the_truth_nine_times_of_ten() -> None:
    inside: dict[str, list[bool]] = {"precision": [], "recall": []}
    for number in range(500):
        x, present = collection(number % 100, 2000, slope=(0.8, 1.2, 1.8)[number % 3])
        places, chances = drawn(x, (20, 50)[number % 2], str(number))
        found = audit(x, x[places], present[places], chances)
        accepted = x >= 0
        truth = {
            "precision": present[accepted].mean(),
            "recall": present[accepted].sum() / present.sum(),
        }
        for what, estimate in (("precision", found.precision), ("recall", found.recall)):
            assert estimate is not None
            inside[what].append(bool(estimate.low <= truth[what] <= estimate.high))
    assert 0.86 <= np.mean(inside["precision"]) <= 0.97
    assert 0.86 <= np.mean(inside["recall"]) <= 0.97


def test_the_smallest_probabilities_are_weighed() -> None:
    x = np.array([2.0, 1.0, 0.5, -1.0, -2.0])
    found = audit(x, x[:2], np.array([True, False]), np.array([1e-300, 1e-300]))
    assert found.precision is not None
    assert 0 < found.precision.low <= found.precision.value <= found.precision.high < 1


def test_a_precision_of_nothing_accepted_is_refused_in_words() -> None:
    x = np.linspace(-5, -1, 50)
    with pytest.raises(InputError, match="dog: there is no accepted picture"):
        cut_for_precision(x, x[:0], np.zeros(0, bool), np.zeros(0), 0.9, code="dog")


def missing_some(seed: int, images: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """(x, present) of images of which up to four in ten of the hits lie below the cut, near it or anywhere."""
    generator = np.random.default_rng(seed)
    hits = max(3, int(images * generator.uniform(0.02, 0.25)))
    below = int(generator.binomial(hits, generator.uniform(0, 0.4)))
    far = generator.uniform(0, 6, below) if seed % 2 else abs(generator.normal(0, 1.5, below))
    above = abs(generator.normal(1.5, 1.5, hits - below))
    x = np.concatenate([above, -far - 1e-6, generator.normal(-7, 2.5, images - hits)])
    return x, np.arange(images) < hits


@pytest.mark.slow
@pytest.mark.parametrize("count", [10, 20])
def test_a_small_audit_does_not_make_the_recall_too_sure(count: int) -> None:
    inside, audits = 0, 200
    for number in range(audits):
        x, present = missing_some(number)
        places, chances = drawn(x, count, str(number))
        found = audit(x, x[places], present[places], chances).recall
        assert found is not None
        truth = present[x >= 0].sum() / present.sum()
        inside += bool(found.low - 1e-9 <= truth <= found.high + 1e-9)
    assert inside / audits >= 0.84, "0.86, less than one standard error"


def test_with_few_images_below_the_cut_recall_is_not_known() -> None:
    x = np.array([2.0, 1.0, 0.5, -1.0, -2.0, -3.0, -9.0])
    places = cast(Places, SimpleNamespace(above=x))
    above = Audited(np.array([0]), np.array([True]), np.array([0.5])).estimate(places)
    assert above.recall is None and above.precision is not None
    for some in ([0, 3], [0, 3, 4], [0, 1, 2, 3, 6]):
        few = Audited(np.array(some), np.ones(len(some), bool), np.full(len(some), 0.5)).estimate(places)
        assert few.recall is None and few.precision is not None
    enough = Audited(np.array([0, 3, 4, 6]), np.array([True] * 4), np.full(4, 0.5)).estimate(places)
    assert enough.recall is not None
    every = Audited(np.array([0, 3]), np.array([True, False]), np.full(2, 0.5))
    assert every.estimate(cast(Places, SimpleNamespace(above=x[:4]))).recall is not None
