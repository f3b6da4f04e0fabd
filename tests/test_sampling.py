"""Samples of a collection, work by several threads, and products that do not depend on the batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_stores import KEY, images, planted_store, put_images

from colonnade.engine.background_stats import Background, background_stats
from colonnade.engine.calibration_store import active_model
from colonnade.engine.errors import StoreError
from colonnade.engine.known_stats import KnownStats, joined
from colonnade.engine.parallel import in_order, one_blas_thread, workers
from colonnade.engine.products import products
from colonnade.engine.sampling import draw, embedded_ids, fetch
from colonnade.engine.settings import Model


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 1 << 40), max_size=80), st.integers(1, 40), st.integers(0, 5))
def test_a_draw_depends_on_the_images_alone(ids: set[int], size: int, seed: int) -> None:
    ordered = np.array(sorted(ids), dtype=np.int64)
    drawn = draw(ordered, size, seed)
    assert len(drawn) == min(size, len(ids))
    assert set(drawn.tolist()) <= ids
    assert (np.diff(drawn) > 0).all()
    assert np.array_equal(np.sort(draw(ordered[::-1], size, seed)), drawn)


def test_draws_are_even_and_differ_by_seed() -> None:
    ids = np.arange(20_000)
    first, second = draw(ids, 5000, 0), draw(ids, 5000, 1)
    assert abs(first.mean() - 10_000) < 300
    assert 1000 < len(np.intersect1d(first, second)) < 1500
    assert set(draw(ids[:19_000], 1000, 0).tolist()) >= set(draw(ids, 1000, 0).tolist()) & set(range(19_000))


def test_vectors_are_fetched_by_id(tmp_path: Path) -> None:
    store = planted_store(tmp_path, 60)
    more, _ = images(30, seed=7)
    put_images(store, tmp_path, more, first=60)
    snapshot, model = store.snapshot(), active_model(store)
    every = embedded_ids(snapshot, model)
    assert np.array_equal(every, np.arange(90))
    block = np.concatenate([images(60)[0], more])
    some = np.array([0, 5, 59, 60, 89])
    assert np.allclose(fetch(snapshot, model, some), block[some], atol=1e-6)
    assert fetch(snapshot, model, some[:0]).shape == (0, 64)
    with pytest.raises(StoreError, match="1 images have no vector"):
        fetch(snapshot, model, np.array([1, 90]))
    with pytest.raises(StoreError, match="not of model"):
        fetch(snapshot, Model(KEY, "", 32, 100.0), some)


def test_work_keeps_its_order_and_fetches_little_ahead() -> None:
    fetched: list[int] = []

    def items() -> Iterator[int]:
        for number in range(40):
            fetched.append(number)
            yield number

    def slow(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    found = []
    for value in in_order(slow, items()):
        found.append(value)
        assert len(fetched) <= len(found) + workers() + 1
    assert found == [number * number for number in range(40)]
    assert list(in_order(slow, [])) == []


def test_a_fault_in_one_piece_of_work_is_raised() -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    with pytest.raises(ValueError, match="three"):
        list(in_order(fail, range(100)))
    assert threading.active_count() < 50


def test_products_are_the_same_to_the_last_bit_in_any_batch() -> None:
    rng = np.random.default_rng(0)
    rows, columns = (rng.standard_normal((n, 200)).astype(np.float32) for n in (2100, 37))
    with one_blas_thread():
        whole = products(rows, columns)
        assert np.allclose(whole, rows @ columns.T, atol=1e-3)
        for row, column in ((0, 0), (1023, 15), (1024, 16), (2099, 36)):
            assert products(rows[row : row + 1], columns[column : column + 1])[0, 0] == whole[row, column]


def test_known_stats_are_those_of_the_images() -> None:
    block, _ = images(50)
    background = Background(tuple("abcdefgh"), images(8, seed=3)[0])
    model = Model("m", "", 64, 100.0)
    stats = joined(
        [background_stats(block[:20], background, model), background_stats(block[20:], background, model)]
    )
    known = KnownStats()
    assert known.of(np.array([1])) is None
    ids = np.arange(100, 150)
    known.remember(ids, stats)
    assert known.of(np.array([99])) is None
    assert known.of(np.array([100, 200])) is None
    found = known.of(np.array([149, 100]))
    assert found is not None
    own = background_stats(block[[49, 0]], background, model)
    for name in ("top_index", "top_logit", "mean", "mean50", "std", "fold"):
        assert np.array_equal(getattr(found, name), getattr(own, name)), name
