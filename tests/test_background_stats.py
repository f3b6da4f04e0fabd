"""Background stats and margins against brute force, and whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.auto_axis import margins
from colonnade.engine.background_stats import BLOCK, FOLDS, TOP, Background, BackgroundStats, background_stats
from colonnade.engine.errors import InputError
from colonnade.engine.settings import Model
from colonnade.vocab import background_phrases


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.normal(size=shape).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)


def background(rng: np.random.Generator, phrases: int, dimension: int) -> Background:
    return Background(tuple(f"thing {k}" for k in range(phrases)), unit(rng, phrases, dimension))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 40),
    st.integers(1, 130),
    st.sampled_from([(100.0, 0.0), (30.0, -7.0)]),
)
def test_the_stats_are_those_of_all_logits(
    seed: int, n: int, phrases: int, model: tuple[float, float]
) -> None:
    rng = np.random.default_rng(seed)
    images, ground = unit(rng, n, 16), background(rng, phrases, 16)
    stats = background_stats(images, ground, Model("m", "", 16, *model))
    logits = model[0] * images.astype(float) @ ground.vectors.T.astype(float) + model[1]
    ranked = -np.sort(-logits, axis=1)
    assert stats.top_logit == pytest.approx(ranked[:, :TOP], abs=1e-3)
    assert np.take_along_axis(logits, stats.top_index.astype(int), 1) == pytest.approx(
        stats.top_logit, abs=1e-4
    )
    assert stats.mean == pytest.approx(logits.mean(axis=1), abs=1e-4)
    assert stats.mean50 == pytest.approx(ranked[:, :50].mean(axis=1), abs=1e-3)
    assert stats.std == pytest.approx(logits.std(axis=1), abs=1e-2)
    assert stats.fold.max() < FOLDS


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(8, 120), st.data())
def test_margins_are_over_the_five_strongest_that_may_compete(
    seed: int, phrases: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    images, ground = unit(rng, 12, 16), background(rng, phrases, 16)
    stats = background_stats(images, ground, Model("m", "", 16, 100.0))
    excluded = np.array(
        sorted(data.draw(st.sets(st.integers(0, phrases - 1), max_size=phrases - 1))), dtype=np.uint16
    )
    own = rng.normal(20, 5, size=12).astype(np.float32)
    found = margins(own, images, stats, np.empty(0, np.uint16), excluded)
    logits = 100.0 * images.astype(float) @ ground.vectors.T.astype(float)
    for row, left in ((0, logits), (1, np.delete(logits, excluded, axis=1))):
        strongest = -np.sort(-left, axis=1)[:, :5]
        assert found[row] == pytest.approx(own - strongest.mean(axis=1), abs=1e-3)
    assert found[2] == pytest.approx(own - logits.mean(axis=1), abs=1e-3)


def test_an_image_has_the_same_stats_in_any_batch() -> None:
    rng = np.random.default_rng(1)
    images, ground = unit(rng, BLOCK + 40, 64), background(rng, 300, 64)
    model = Model("m", "", 64, 100.0)
    whole = background_stats(images, ground, model)
    for row in (0, 7, BLOCK - 1, BLOCK, BLOCK + 39):
        alone = background_stats(images[row : row + 1], ground, model)
        for name in ("top_index", "top_logit", "mean", "mean50", "std", "fold"):
            assert np.array_equal(getattr(alone, name)[0], getattr(whole, name)[row]), name


def test_copies_of_an_image_share_a_fold_and_folds_are_even() -> None:
    rng = np.random.default_rng(2)
    images = unit(rng, 4000, 16)
    model, ground = Model("m", "", 16, 100.0), background(rng, 20, 16)
    fold = background_stats(images, ground, model).fold
    assert np.array_equal(fold, background_stats(images.copy(), ground, model).fold)
    assert np.bincount(fold, minlength=FOLDS).min() > 4000 / FOLDS * 0.7


def test_the_digest_is_of_phrases_and_vectors_in_any_order() -> None:
    rng = np.random.default_rng(3)
    one = background(rng, 6, 8)
    other = Background(one.phrases[::-1], one.vectors[::-1].copy())
    assert one.digest == other.digest
    assert len(one.digest) == 16
    assert Background(one.phrases, one.vectors[::-1].copy()).digest != one.digest
    assert Background(("else", *one.phrases[1:]), one.vectors).digest != one.digest


def test_taking_rows_takes_all_of_them() -> None:
    rng = np.random.default_rng(4)
    stats = background_stats(unit(rng, 9, 8), background(rng, 5, 8), Model("m", "", 8, 100.0))
    some = stats.take(np.array([4, 2]))
    assert isinstance(some, BackgroundStats)
    assert len(some) == 2
    assert np.array_equal(some.top_logit, stats.top_logit[[4, 2]])


def test_vectors_that_do_not_fit_are_refused() -> None:
    rng = np.random.default_rng(5)
    ground = background(rng, 5, 8)
    with pytest.raises(InputError, match="8 numbers"):
        background_stats(unit(rng, 3, 9), ground, Model("m", "", 9, 100.0))
    with pytest.raises(InputError, match="one row a phrase"):
        Background(("a", "b"), ground.vectors)


def test_the_phrases_that_ship_are_many_readable_and_different() -> None:
    phrases = background_phrases()
    assert 1100 <= len(phrases) <= 1300
    assert len({phrase.casefold() for phrase in phrases}) == len(phrases)
    assert all(phrase == phrase.strip() and not set(phrase) & set("_()#") for phrase in phrases)
