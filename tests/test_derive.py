"""Derived attributes against a rule evaluator that looks at one image at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.derive import ACCEPTED, REJECTED, TENTATIVE, UNKNOWN, derive
from colonnade.engine.vocabulary import Rule

CODES = ("a", "b", "c", "d")
Cell = tuple[float, int]
"""Confidence (nan: missing) and status."""

parts = st.lists(st.sampled_from(CODES), max_size=3, unique=True).map(tuple)
rules = st.builds(Rule, parts, parts, parts).filter(lambda rule: bool(rule.codes))
confidences = st.sampled_from([0.0, 0.25, 0.5, 0.8, 1.0]) | st.floats(0, 1, width=32)


def cell_of(confidence: float) -> Cell:
    return confidence, ACCEPTED if confidence >= 0.8 else TENTATIVE if confidence >= 0.5 else REJECTED


cells = st.one_of(
    confidences.map(cell_of),
    st.just((math.nan, UNKNOWN)),
    st.just((math.nan, REJECTED)),
)
images = st.lists(st.fixed_dictionaries(dict.fromkeys(CODES, cells)), min_size=1, max_size=8)


def all_three(values: list[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True


def any_three(values: list[bool | None]) -> bool | None:
    return True if True in values else None if None in values else False


def status_of(rule: Rule, image: dict[str, Cell]) -> int:
    def accepted(code: str) -> bool | None:
        status = image[code][1]
        return None if status == UNKNOWN else status == ACCEPTED

    def absent(code: str) -> bool | None:
        status = image[code][1]
        return None if status == UNKNOWN else status == REJECTED

    conditions = [accepted(code) for code in rule.all_of] + [absent(code) for code in rule.none_of]
    if rule.any_of:
        conditions.append(any_three([accepted(code) for code in rule.any_of]))
    return {True: ACCEPTED, False: REJECTED, None: UNKNOWN}[all_three(conditions)]


def confidence_of(rule: Rule, image: dict[str, Cell], filling: dict[str, float]) -> np.float32:
    def value(code: str) -> np.float32:
        known = image[code][0]
        return np.float32(filling[code] if math.isnan(known) else known)

    terms = [value(code) for code in rule.all_of]
    if rule.any_of:
        terms.append(max(value(code) for code in rule.any_of))
    if rule.none_of:
        terms.append(np.float32(1) - max(value(code) for code in rule.none_of))
    return min(terms)


def corners(rule: Rule, image: dict[str, Cell]) -> list[dict[str, float]]:
    """Every way to fill the missing confidences with 0, a half or 1."""
    fillings: list[dict[str, float]] = [{}]
    for code in rule.codes:
        if math.isnan(image[code][0]):
            fillings = [{**filling, code: value} for filling in fillings for value in (0.0, 0.5, 1.0)]
    return fillings


def arrays(images: list[dict[str, Cell]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        code: (
            np.array([image[code][0] for image in images], dtype=np.float32),
            np.array([image[code][1] for image in images], dtype=np.int8),
        )
        for code in CODES
    }


@given(rules, images)
@settings(max_examples=60, deadline=None)
def test_agrees_with_one_image_at_a_time(rule: Rule, images: list[dict[str, Cell]]) -> None:
    confidence, status = derive(rule, arrays(images))
    assert confidence.dtype == np.float32 and status.dtype == np.int8
    for image, got_confidence, got_status in zip(images, confidence, status, strict=True):
        assert got_status == status_of(rule, image)
        possible = {float(confidence_of(rule, image, filling)) for filling in corners(rule, image)}
        disjoint = len(set(rule.all_of) | set(rule.any_of)) + len(rule.none_of) == len(rule.codes)
        if got_status == UNKNOWN:
            assert math.isnan(got_confidence)
        elif not math.isnan(got_confidence):
            assert possible == {float(got_confidence)}
        elif disjoint:
            assert len(possible) > 1


@pytest.mark.parametrize(
    ("rule", "image", "confidence", "status"),
    [
        (Rule(("a",), (), ("b", "c")), {"a": 0.9, "b": 0.1, "c": 0.2}, 0.8, ACCEPTED),
        (Rule(("a",), (), ("b",)), {"a": 0.9, "b": 0.6}, 0.4, REJECTED),
        (Rule((), ("a", "b"), ()), {"a": 0.1, "b": 0.95}, 0.95, ACCEPTED),
        (Rule((), ("a", "b"), ()), {"a": 0.9, "b": None}, None, ACCEPTED),
        (Rule((), ("a", "b"), ()), {"a": 1.0, "b": None}, 1.0, ACCEPTED),
        (Rule((), ("a", "b"), ()), {"a": 0.1, "b": None}, None, UNKNOWN),
        (Rule(("a", "b"), (), ()), {"a": 0.3, "b": None}, None, REJECTED),
        (Rule(("a", "b"), (), ()), {"a": 0.0, "b": None}, 0.0, REJECTED),
        (Rule(("a", "b"), (), ()), {"a": 0.9, "b": None}, None, UNKNOWN),
        (Rule((), (), ("a",)), {"a": None}, None, UNKNOWN),
    ],
)
def test_table(rule: Rule, image: dict[str, float | None], confidence: float | None, status: int) -> None:
    inputs = {
        code: (
            np.array([math.nan if value is None else value], dtype=np.float32),
            np.array([None if value is None else ("rejected", "tentative", "accepted")[cell_of(value)[1]]]),
        )
        for code, value in image.items()
    }
    got_confidence, got_status = derive(rule, inputs)
    assert got_status.tolist() == [status]
    expected = math.nan if confidence is None else confidence
    assert got_confidence[0] == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_refuses_nonsense() -> None:
    one = (np.zeros(1, np.float32), np.zeros(1, np.int8))
    two = (np.zeros(2, np.float32), np.zeros(2, np.int8))
    with pytest.raises(ValueError, match="no attribute"):
        derive(Rule(), {})
    with pytest.raises(ValueError, match="length"):
        derive(Rule(("a", "b")), {"a": one, "b": two})
    with pytest.raises(KeyError):
        derive(Rule(("a",)), {})
    with pytest.raises(KeyError):
        derive(Rule(("a",)), {"a": (one[0], np.array(["maybe"]))})


def test_no_images() -> None:
    confidence, status = derive(Rule(("a",), ("b",), ("c",)), arrays([]))
    assert len(confidence) == len(status) == 0
