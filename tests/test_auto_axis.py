"""Stored axes: applied alone or together, written and read back, and refused when damaged."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.auto_axis import AutoAxis, Weights, along_axes, axis_from_json, bent, log_odds
from colonnade.engine.background_stats import FOLDS, Background, BackgroundStats, background_stats
from colonnade.engine.errors import StoreError
from colonnade.engine.settings import Model

MODEL = Model("m", "", 32, 100.0)


def planted(n: int = 60) -> tuple[np.ndarray, np.ndarray, BackgroundStats]:
    rng = np.random.default_rng(7)
    images, phrases = (rng.normal(size=(count, 32)).astype(np.float32) for count in (n, 90))
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    phrases /= np.linalg.norm(phrases, axis=1, keepdims=True)
    ground = Background(tuple(f"thing {k}" for k in range(90)), phrases)
    return images, rng.normal(20, 5, n).astype(np.float32), background_stats(images, ground, MODEL)


def axis(stats: BackgroundStats, **changes: Any) -> AutoAxis:
    rng = np.random.default_rng(8)
    values: dict[str, Any] = {
        "constants": "test",
        "background": stats.background.digest,
        "near": np.array([3, 7], dtype=np.uint16),
        "far": np.array([3, 7, 50], dtype=np.uint16),
        "first": Weights(-2.0, (0.3, 0.2, 0.1), -5.0),
        "second": Weights(-1.0, (0.2, 0.1, 0.3)),
        "seed": 0.4,
        "directions": rng.normal(size=(FOLDS, 32)).astype(np.float32),
        "offsets": rng.normal(size=FOLDS).astype(np.float32),
        "drop": 1.0,
        "width": 0.5,
        "rise": 0.5,
    }
    return AutoAxis(**(values | changes))


def test_an_axis_read_back_judges_alike() -> None:
    images, logits, stats = planted()
    one = axis(stats)
    other = axis_from_json(json.loads(json.dumps(one.as_json())))
    assert np.array_equal(log_odds(one, images, logits, stats), log_odds(other, images, logits, stats))
    assert other.as_json() == one.as_json()


def test_an_image_is_judged_alike_alone_and_among_others() -> None:
    images, logits, stats = planted()
    one = axis(stats)
    whole = log_odds(one, images, logits, stats)
    for row in (0, 31, 59):
        part = slice(row, row + 1)
        alone = log_odds(one, images[part], logits[part], stats.take(part))
        assert alone[0] == pytest.approx(whole[row], abs=1e-6)


def test_several_axes_at_once_project_as_one_by_one() -> None:
    images, logits, stats = planted()
    first, second = axis(stats), axis(stats, directions=axis(stats).directions[::-1].copy())
    along = along_axes([first, second], images, stats)
    for own, projected in zip((first, second), along, strict=True):
        together = log_odds(own, images, logits, stats, projected)
        assert together == pytest.approx(log_odds(own, images, logits, stats), abs=1e-5)


def test_another_background_is_refused() -> None:
    images, logits, stats = planted()
    with pytest.raises(StoreError, match="another background"):
        log_odds(axis(stats, background="0" * 16), images, logits, stats)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=50),
    st.floats(0, 3),
    st.floats(0.01, 2),
    st.floats(0.01, 2),
)
def test_the_step_keeps_the_order_and_the_cut(
    values: list[float], drop: float, width: float, rise: float
) -> None:
    stats = planted(2)[2]
    x = np.sort(np.array(values, dtype=np.float32))
    moved = bent(axis(stats, drop=drop, width=width, rise=rise), x)
    assert (np.diff(moved) >= -1e-5 * (1 + np.abs(moved[1:]))).all()
    assert np.array_equal(moved >= 0, x >= 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("directions", "!!"),
        ("directions", ""),
        ("directions", "AAAA"),
        ("offsets", "AAAA"),
        ("near", "AAAAAA="),
        ("seed", float("nan")),
        ("seed", "1"),
        ("seed", True),
        ("width", 0.0),
        ("rise", -1.0),
        ("first", {"intercept": 1.0, "margins": [1.0]}),
        ("second", {"intercept": 1.0, "margins": [1.0, 2.0, None]}),
        ("second", [1.0]),
        ("background", 5),
        ("constants", "x" * 500),
    ],
)
def test_a_damaged_axis_is_refused_in_words(name: str, value: object) -> None:
    document = axis(planted(2)[2]).as_json()
    with pytest.raises(StoreError, match="damaged"):
        axis_from_json(document | {name: value})


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_no_document_does_worse_than_to_be_refused(document: object) -> None:
    with pytest.raises(StoreError):
        axis_from_json(document)


def test_missing_and_unknown_fields_are_refused() -> None:
    document = axis(planted(2)[2]).as_json()
    with pytest.raises(StoreError):
        axis_from_json(document | {"more": 1})
    del document["seed"]
    with pytest.raises(StoreError):
        axis_from_json(document)
