"""Fits without labels: what is there is found, what is not is said, and nothing but the images matters."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colonnade.engine.auto_axis import axis_from_json, log_odds
from colonnade.engine.auto_fit import MINIMUM_IMAGES, AutoFit, fit_auto, load_constants
from colonnade.engine.background_stats import Background, BackgroundStats, background_stats
from colonnade.engine.errors import InputError
from colonnade.engine.settings import Model

D, PHRASES = 64, 400
ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "calibration" / "collections.json"


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)


@dataclasses.dataclass(frozen=True)
class World:
    """Phrases with a common part, as those of CLIP have, and images that each show one of them."""

    background: Background
    images: np.ndarray
    shown: np.ndarray
    model: Model
    stats: BackgroundStats
    attribute: np.ndarray

    @property
    def logits(self) -> np.ndarray:
        return np.asarray(
            self.model.logit_scale * self.images @ self.attribute + self.model.logit_bias, dtype=np.float32
        )

    def fit(self) -> AutoFit:
        return fit_auto(self.images, self.logits, self.stats, self.attribute, self.background)

    def accepted(self, fit: AutoFit) -> np.ndarray:
        odds = log_odds(fit.axis, self.images, self.logits, self.stats)
        return np.asarray(odds >= fit.cut)


def world(shown: int, n: int = 600, *, scale: float = 100.0, bias: float = 0.0, seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    common = np.zeros(D)
    common[0] = 1.0
    phrases = unit(0.86 * common + 0.51 * unit(rng.normal(size=(PHRASES + 1, D))))
    place = rng.integers(0, PHRASES, n)
    place[:shown] = PHRASES
    own = phrases[place] - 0.86 * common
    images = unit(0.9 * unit(rng.normal(size=D)) + 0.6 * unit(own) + 0.25 * unit(rng.normal(size=(n, D))))
    background = Background(tuple(f"thing {k}" for k in range(PHRASES)), phrases[:PHRASES])
    model = Model("m", "", D, scale, bias)
    stats = background_stats(images, background, model)
    return World(background, images, place == PHRASES, model, stats, phrases[PHRASES])


def test_a_planted_cluster_is_found() -> None:
    one = world(30)
    fit = one.fit()
    accepted = one.accepted(fit)
    odds = log_odds(fit.axis, one.images, one.logits, one.stats)
    assert not fit.no_signal
    assert one.shown[np.argsort(-odds)[:28]].all()
    assert (accepted & one.shown).sum() >= 12
    assert (accepted & ~one.shown).sum() <= 3
    assert fit.count == 600
    assert fit.quantiles.shape == (33,)
    assert (np.diff(fit.quantiles) >= 0).all()
    assert fit.competing
    assert all(phrase in one.background.phrases and 0 < share <= 1 for phrase, share in fit.competing)


def test_what_no_image_shows_has_no_signal() -> None:
    silent = [world(0, seed=seed).fit().no_signal for seed in range(5)]
    assert sum(silent) >= 4


@pytest.mark.parametrize(("scale", "bias"), [(30.0, 0.0), (30.0, -7.0), (10.0, 50.0)])
def test_scale_and_bias_of_the_model_change_nothing(scale: float, bias: float) -> None:
    one, other = world(25), world(25, scale=scale, bias=bias)
    fit, moved = one.fit(), other.fit()
    assert np.array_equal(one.accepted(fit), other.accepted(moved))
    ours = log_odds(fit.axis, one.images, one.logits, one.stats)
    theirs = log_odds(moved.axis, other.images, other.logits, other.stats)
    assert theirs == pytest.approx(ours, abs=2e-3)
    assert fit.no_signal == moved.no_signal


def test_a_stored_fit_judges_new_images_alone_and_in_any_order() -> None:
    one = world(40)
    axis = axis_from_json(one.fit().axis.as_json())
    other = world(40, seed=0, n=900)
    whole = log_odds(axis, other.images, other.logits, other.stats)
    order = np.random.default_rng(1).permutation(900)
    mixed = log_odds(axis, other.images[order], other.logits[order], other.stats.take(order))
    assert mixed == pytest.approx(whole[order], abs=1e-6)


def test_the_same_images_give_the_same_fit() -> None:
    one = world(20)
    assert one.fit().axis.as_json() == one.fit().axis.as_json()


def test_few_images_are_refused() -> None:
    one = world(10, n=MINIMUM_IMAGES - 1)
    with pytest.raises(InputError, match="needs 200"):
        one.fit()


def test_a_fit_on_the_fewest_images_works_and_is_finite() -> None:
    one = world(5, n=MINIMUM_IMAGES)
    fit = one.fit()
    assert np.isfinite(log_odds(fit.axis, one.images, one.logits, one.stats)).all()


def test_copies_of_one_image_do_not_break_a_fit() -> None:
    one = world(5, n=300)
    same = np.repeat(one.images[:1], 300, axis=0)
    stats = background_stats(same, one.background, one.model)
    fit = fit_auto(same, one.logits[:1].repeat(300), stats, one.attribute, one.background)
    assert np.isfinite(fit.quantiles).all()


def test_a_fit_says_on_what_its_constants_were_fitted() -> None:
    metrics = world(20).fit().metrics
    assert metrics["constants"] == load_constants()["name"]
    assert metrics["constants_fitted_on"] == "ViT-B-32/openai"


@pytest.fixture(scope="module")
def benchmark() -> Any:
    if not DATA.is_file():
        pytest.skip(f"{DATA}: not there")
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        return importlib.import_module("calibration")
    finally:
        sys.path.remove(str(ROOT / "bench"))


@pytest.mark.slow
def test_the_rule_reaches_its_figures_on_attributes_it_has_not_seen(benchmark: Any) -> None:
    collections = benchmark.read_collections(["animals", "random500", "cifar10"])
    fits = benchmark.Fits(json.loads(benchmark.CROSSFIT.read_text()))
    scores = benchmark.apply(collections, fits.gated).scores
    assert np.mean([score.f1 for score in scores]) > 0.64
    assert np.mean([score.absent for score in scores]) < 0.27
    assert np.mean([score.ece for score in scores]) < 0.15


@pytest.mark.slow
def test_a_half_judged_by_the_fit_of_the_other_half_is_judged_as_well(benchmark: Any) -> None:
    fits = benchmark.Fits(json.loads(benchmark.CROSSFIT.read_text()))
    collection = benchmark.read_collections(["animals"])[0]
    whole = benchmark.judge(collection, benchmark.judged(fits, collection, gate=False)).f1
    assert abs(benchmark.in_halves(fits, collection, gate=False) - whole) <= 0.03
