"""Stored fits: whole, the same after reading, and refused in one line when anything of them is damaged."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_stores import DIMENSION, PHRASES, TEXTS, directions, images

from colonnade.engine.auto_fit import fit_auto
from colonnade.engine.background_stats import Background, background_stats
from colonnade.engine.calibration import Fit, apply_fit, cut_of, fit_from_json, judge
from colonnade.engine.cut import moved
from colonnade.engine.errors import ColonnadeError, InputError, StoreError
from colonnade.engine.fit_document import fit_from_text, fit_text
from colonnade.engine.fit_parts import AutoBase, LabelPart
from colonnade.engine.fits import auto_fit, without_labels
from colonnade.engine.scoring import logits
from colonnade.engine.settings import Model

MODEL = Model("m", "", DIMENSION, 100.0)
LABELS = LabelPart(0.5, 0.4, 1.5, 0.3, -0.1, 0.9, 0.02, 7, 9)


def make_base() -> AutoBase:
    block, _ = images(220)
    every = directions()
    background = Background(tuple(f"p{i}" for i in range(PHRASES)), every[len(TEXTS) :])
    stats = background_stats(block, background, MODEL)
    found = fit_auto(block, logits(block, every[:1], MODEL)[:, 0], stats, every[0], background)
    return AutoBase(
        axis=found.axis,
        cut=found.cut,
        slope=found.slope,
        no_signal=found.no_signal,
        gate=found.gate,
        logit="0" * 16,
        vector="1" * 16,
        background=background.digest,
        count=220,
        embedded=240,
        snapshot=3,
        seed=0,
        metrics=found.metrics,
        quantiles=tuple(float(value) for value in found.quantiles),
        competing=found.competing,
    )


BASE = make_base()
AUTO = auto_fit(BASE)
FITS = {
    "fixed": Fit("fixed", 25.5, 1.5, chosen=True),
    "auto": AUTO,
    "auto with a cut by hand": moved(AUTO, -1.25),
    "labels": Fit(
        "labels", cut=-1.0, slope=2.0, axis=AUTO.axis, background=AUTO.background, base=BASE, labels=LABELS
    ),
    "labels on the logit": Fit("labels", 25.5, 1.5, cut=0.5, slope=2.0, logit="a" * 16, labels=LABELS),
}


@pytest.mark.parametrize("name", FITS)
def test_a_fit_is_the_same_after_reading(name: str) -> None:
    fit = FITS[name]
    text = fit_text(fit)
    back = fit_from_text(text, "cat")
    assert back == fit
    assert fit_text(back) == text
    assert (back.labels, back.moved, back.logit) == (fit.labels, fit.moved, fit.logit)
    if fit.base is not None:
        assert back.base is not None
        assert back.base.axis.as_json() == fit.base.axis.as_json()
        assert (back.base.metrics, back.base.quantiles) == (fit.base.metrics, fit.base.quantiles)
        assert back.base.competing == fit.base.competing
        assert without_labels(back) == AUTO
    assert len(text) < 100_000


@pytest.mark.parametrize("name", FITS)
def test_a_definition_makes_the_same_confidences(name: str) -> None:
    fit = FITS[name]
    numbers = np.linspace(-40, 60, 50).astype(np.float32)
    back = fit_from_json(json.loads(json.dumps(fit.as_json())))
    assert np.array_equal(apply_fit(back, numbers, numbers), apply_fit(fit, numbers, numbers))


def test_confidence_is_80_at_the_cut_whatever_the_slope() -> None:
    for slope in (0.3, 1.0, 7.0):
        fit = Fit("auto", cut=-2.5, slope=slope, axis="a" * 16)
        confidence, status = judge(
            fit, 0.8, 0.5, np.zeros(3, np.float32), np.array([-2.5, -2.4, -2.6], np.float32)
        )
        assert confidence[0] == np.float32(0.8)
        assert confidence[2] < confidence[0] < confidence[1]
        assert status.tolist() == [2, 2, 1]


@pytest.mark.parametrize("tentative", [0.0, 0.3, 0.5])
def test_without_signal_nothing_is_more_than_rejected(tentative: float) -> None:
    fit = Fit("auto", cut=0.0, axis="a" * 16, no_signal=True)
    odds = np.array([-9, 0, 9], np.float32)
    confidence, status = judge(fit, 0.8, tentative, odds, odds)
    assert confidence.max() == np.float32(0.49)
    assert status.tolist() == [0, 0, 0]


def test_without_signal_an_image_above_the_gate_counts_as_it_would() -> None:
    odds = np.array([-1, 0, 0.3, 0.4, 9], np.float32)
    silent = Fit("auto", cut=0.0, axis="a" * 16, background="b" * 16, no_signal=True, gate=0.35)
    confidence, status = judge(silent, 0.8, 0.1, odds, odds)
    usual, _ = judge(Fit("auto", cut=0.0, axis="a" * 16), 0.8, 0.1, odds, odds)
    assert status.tolist() == [0, 0, 0, 2, 2]
    assert confidence[:3].max() == np.float32(0.49)
    assert confidence[3:].tolist() == usual[3:].tolist()
    assert cut_of(silent, 0.8) == pytest.approx(0.35)
    assert fit_from_json(silent.as_json()) == replace(silent, chosen=True)


@pytest.mark.parametrize("gate", [None, -3.0, 0.35])
@pytest.mark.parametrize("accepted", [0.0, 0.1, 0.4, 0.8, 1.0])
def test_the_cut_is_where_the_status_begins_without_signal_too(accepted: float, gate: float | None) -> None:
    fit = Fit("auto", cut=0.0, axis="a" * 16, no_signal=True, gate=gate)
    odds = np.linspace(-9, 9, 3601, dtype=np.float32)
    _, status = judge(fit, accepted, 0.0, odds, odds)
    begins, cut = odds[status == 2], cut_of(fit, accepted)
    assert (cut is None) == (begins.size == 0)
    assert cut is None or begins.min() == pytest.approx(cut, abs=0.01)


@pytest.mark.parametrize("number", [1e20, -1e20, 1e308])
def test_what_could_not_be_read_is_not_made(number: float) -> None:
    with pytest.raises(InputError, match="beyond"):
        moved(AUTO, number)
    with pytest.raises(InputError, match="beyond"):
        Fit("auto", cut=number, axis="a" * 16)
    with pytest.raises(InputError, match="beyond"):
        Fit("fixed", number, 1.0)
    with pytest.raises(InputError, match="beyond"):
        Fit("fixed", 1.0, 1e-308)


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    for step in path[:-1]:
        document = document[step]
    document[path[-1]] = value


WRONG: list[tuple[tuple[Any, ...], Any]] = [
    (("format",), 2),
    (("format",), None),
    (("method",), "magic"),
    (("method",), []),
    (("chosen",), 1),
    (("cut",), "1"),
    (("cut",), 1e300),
    (("slope",), 0),
    (("slope",), -1.0),
    (("no_signal",), None),
    (("gate",), "high"),
    (("base", "gate"), float("1e300")),
    (("base",), []),
    (("base", "axis"), {}),
    (("base", "axis", "directions"), "AAAA"),
    (
        ("base", "axis", "directions"),
        base64.b64encode(np.full(8 * DIMENSION, np.nan, "<f4").tobytes()).decode(),
    ),
    (("base", "axis", "near"), "not base64!"),
    (("base", "slope"), 0),
    (("base", "logit"), "xyz"),
    (("base", "vector"), 7),
    (("base", "count"), -1),
    (("base", "count"), 1.5),
    (("base", "count"), True),
    (("base", "quantiles"), [1.0] * 32),
    (("base", "quantiles"), [*range(32, -1, -1)]),
    (("base", "metrics"), {"a": []}),
    (("base", "metrics"), {str(i): 1.0 for i in range(2000)}),
    (("base", "competing"), [["p"]]),
    (("base", "competing"), [["p" * 5000, 0.1]]),
    (("base", "competing"), {}),
    (("base", "competing"), [["\ud800", 0.1]]),
    (("base", "axis", "background"), "f" * 16),
    (("base", "axis", "constants"), "\ud800"),
    (("base", "axis", "seed"), 1e300),
    (("base", "axis", "first"), {"intercept": 0.0, "margins": [1e300, 0, 0]}),
    (
        ("base", "axis", "directions"),
        base64.b64encode(np.full(8 * DIMENSION, 3e38, "<f4").tobytes()).decode(),
    ),
    (("labels",), None),
    (("labels", "present"), "many"),
    (("labels", "slope"), None),
]


@pytest.mark.parametrize(("path", "value"), WRONG)
def test_a_damaged_fit_is_refused_in_one_line(path: tuple[Any, ...], value: Any) -> None:
    document = json.loads(fit_text(FITS["labels"]))
    put(document, path, value)
    with pytest.raises(StoreError, match="colonnade calibration fit") as told:
        fit_from_text(json.dumps(document), "cat")
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "{",
        "[]",
        "null",
        '{"format": 1, "method": "auto", "cut": NaN}',
        "[" * 100_000,
        "x" * (5 << 20),
    ],
)
def test_what_is_no_document_is_refused(text: object) -> None:
    with pytest.raises(StoreError):
        fit_from_text(text, "cat")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_gets_through_as_anything_but_a_fit_or_a_refusal(data: st.DataObject) -> None:
    text = fit_text(FITS[data.draw(st.sampled_from(sorted(FITS)))])
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    damaged = text[:at] + data.draw(st.text(max_size=12)) + text[at + length :]
    try:
        fit = fit_from_text(damaged, "cat")
    except ColonnadeError as error:
        assert isinstance(error, StoreError)
    else:
        assert isinstance(fit, Fit)
