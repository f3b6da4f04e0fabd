"""The calibration table against numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from query_stores import image
from vector_files import image_file, new_store, prompt_file, vectors

from colonnade.engine.calibration import Fit, apply_fit, status_codes
from colonnade.engine.calibration_store import store_fits
from colonnade.engine.calibration_table import BINS, calibration_table
from colonnade.engine.errors import InputError
from colonnade.engine.import_embeddings import import_embeddings
from colonnade.engine.scoring import scores_table
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS
from colonnade.engine.tag import tag

MODEL = Model("m", "", 8, 30.0)


def put(store: Store, code: str, logits: np.ndarray, first: int = 0) -> None:
    """Scores as they stand, of images `first` and following."""
    confidence = apply_fit(Fit("fixed", 25.5, 1.5), logits)
    rows = scores_table(
        np.arange(first, first + len(logits)),
        logit=logits,
        confidence=confidence,
        status=status_codes(confidence, 0.8, 0.5),
        label_source="clip_zero_shot",
        model="m",
        definition="d" * 16,
    )
    with open_stage(store.path, command="test") as stage:
        stage.append("scores", code, 0, rows, read=store.snapshot().cell("scores", code, 0))
        stage.commit()


def put_images(store: Store, *states: str) -> None:
    rows = [image(i, state=state) for i, state in enumerate(states)]
    with open_stage(store.path, command="test") as stage:
        stage.append("images", None, 0, pa.Table.from_pylist(rows, SCHEMAS["images"]), read=())
        stage.commit()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = new_store(tmp_path / "s")
    update_settings(made.path, lambda settings: settings.with_model(MODEL, activate=True))
    return made


def table(store: Store, *codes: str):  # type: ignore[no-untyped-def]
    return calibration_table(store, store.snapshot(), store.vocabulary(), codes or None)


def test_statistics_are_those_of_numpy(store: Store) -> None:
    logits = np.random.default_rng(0).normal(25, 3, 500).astype(np.float32)
    put_images(store, *["ok"] * 510)
    put(store, "earth", logits[:300])
    put(store, "earth", logits[300:], first=300)
    earth, moon = table(store)
    found = earth.distribution
    assert (found.low, found.high) == (logits.min(), logits.max())
    assert found.mean == pytest.approx(logits.mean(dtype=float))
    assert found.std == pytest.approx(logits.std(dtype=float))
    wanted, _ = np.histogram(
        logits.astype(float), bins=BINS, range=(float(logits.min()), float(logits.max()))
    )
    assert found.histogram == tuple(wanted)
    codes = status_codes(apply_fit(Fit("fixed", 25.5, 1.5), logits), 0.8, 0.5).tolist()
    assert (found.accepted, found.tentative, found.rejected) == (
        codes.count(2),
        codes.count(1),
        codes.count(0),
    )
    assert (found.scored, earth.unscored) == (500, 10)
    assert earth.fit == Fit("fixed", 25.5, 1.5)
    assert moon.distribution.scored == 0
    assert moon.distribution.low is None
    assert moon.distribution.histogram == ()
    assert moon.unscored == 510


def test_images_that_are_gone_do_not_count(store: Store) -> None:
    put_images(store, "ok", "missing", "ok", "unreadable")
    put(store, "earth", np.array([20, 99, 30, 99], np.float32))
    (earth,) = table(store, "earth")
    assert (earth.distribution.scored, earth.distribution.high, earth.unscored) == (2, 30, 0)
    assert sum(earth.distribution.histogram) == 2


def test_all_equal_and_damaged_logits(store: Store) -> None:
    put_images(store, *["ok"] * 3)
    put(store, "earth", np.array([25, 25, 25], np.float32))
    put(store, "moon", np.array([np.nan, np.inf, 25], np.float32))
    earth, moon = table(store)
    assert earth.distribution.histogram == (3, *[0] * (BINS - 1))
    assert earth.distribution.std == 0
    assert moon.distribution.histogram == (1, *[0] * (BINS - 1))


def test_an_empty_store(tmp_path: Path) -> None:
    rows = table(new_store(tmp_path / "s"))
    assert [(row.code, row.fit, row.cut, row.unscored, row.stale) for row in rows] == [
        ("earth", None, None, 0, ()),
        ("moon", None, None, 0, ()),
    ]


def test_fit_staleness_and_labels(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    images = image_file(tmp_path / "i.parquet", ["a.jpg", "b.jpg"], vectors(2))
    text = prompt_file(tmp_path / "t.parquet", vectors(3, seed=1))
    import_embeddings(store, images, key="m", logit_scale=30, text=text)
    assert [row.stale for row in table(store)] == [("new",), ("new",)]
    tag(store)
    assert [row.stale for row in table(store)] == [(), ()]
    store_fits(store, {"earth": Fit("fixed", 1.0, 2.0, chosen=True)}, MODEL)
    (earth,) = table(store, "earth")
    assert earth.fit == Fit("fixed", 1.0, 2.0, chosen=True)
    assert earth.stale == ("calibration changed",)
    assert earth.tentative_cut == 1.0
    now = SCHEMAS["labels"]
    rows = [
        {"image_id": 0, "content_hash": None, "present": True, "reviewer": "ann", "policy": "imported"},
        {"image_id": 0, "content_hash": None, "present": False, "reviewer": "bob", "policy": "imported"},
        {
            "image_id": 1,
            "content_hash": "of another picture",
            "present": True,
            "reviewer": "ann",
            "policy": "imported",
        },
    ]
    with open_stage(store.path, command="test") as stage:
        stage.append("labels", "earth", 0, pa.Table.from_pylist(rows, now), read=())
        stage.commit()
    assert [row.labels for row in table(store)] == [2, 0]


def test_codes_are_chosen_and_checked(store: Store) -> None:
    assert [row.code for row in table(store, "moon")] == ["moon"]
    for code in ("both", "mooon"):
        with pytest.raises(InputError):
            table(store, code)


def test_a_hundred_thousand_rows(store: Store) -> None:
    """More than one row group."""
    logits = np.random.default_rng(0).normal(25, 3, 125_000).astype(np.float32)
    put(store, "earth", logits)
    (earth,) = table(store, "earth")
    assert sum(earth.distribution.histogram) == earth.distribution.scored == 125_000
    assert earth.distribution.mean == pytest.approx(logits.mean(dtype=float))
