"""Fits: what they do to logits, how they are stored, and what follows when one changes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_files import image_file, new_store, prompt_file, scored, vectors

from colonnade.engine.calibration import (
    ACCEPTED,
    REJECTED,
    TENTATIVE,
    UNKNOWN,
    Fit,
    apply_fit,
    default_fit,
    fit_from_json,
    status_codes,
)
from colonnade.engine.calibration_store import (
    active_model,
    base_attribute,
    cut_of,
    list_fits,
    preview_fit,
    refresh,
    store_fits,
)
from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.freshness import read_fit
from colonnade.engine.import_embeddings import import_embeddings
from colonnade.engine.settings import Model
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.tag import plan_tag, tag

MODEL = Model("m", "", 8, 30.0)
CHOSEN = Fit("fixed", 3.0, 2.0, chosen=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """40 images, scored and derived."""
    made = new_store(tmp_path / "s")
    names = [f"{i}.jpg" for i in range(40)]
    images = image_file(tmp_path / "i.parquet", names, vectors(40))
    text = prompt_file(tmp_path / "t.parquet", vectors(3, seed=1))
    import_embeddings(made, images, key="m", logit_scale=30, text=text)
    tag(made)
    derive_attributes(made)
    return made


@settings(max_examples=60, deadline=None)
@given(
    center=st.floats(-100, 100),
    scale=st.floats(1e-3, 100),
    logits=st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=20),
)
def test_confidence_is_a_sigmoid(center: float, scale: float, logits: list[float]) -> None:
    array = np.sort(np.array(logits, np.float32))
    found = apply_fit(Fit("fixed", center, scale), array)
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= 0).all()
    wanted = [0.5 * (1 + math.tanh((float(x) - center) / scale / 2)) for x in array]
    assert np.allclose(found, wanted, atol=1e-6)


def test_confidence_at_the_center_and_of_nothing() -> None:
    found = apply_fit(Fit("fixed", 25.5, 1.5), np.array([25.5, 27.0, np.nan, np.inf, -np.inf], np.float32))
    assert np.allclose(found, [0.5, 0.7310586, np.nan, 1, 0], equal_nan=True)


def test_cut_is_where_accepted_begins() -> None:
    fit = Fit("fixed", 25.5, 1.5)
    cut = cut_of(fit, 0.8)
    assert cut is not None
    assert cut == pytest.approx(25.5 + 1.5 * math.log(4))
    near = np.array([cut - 0.01, cut + 0.01], np.float32)
    assert status_codes(apply_fit(fit, near), 0.8, 0.5).tolist() == [TENTATIVE, ACCEPTED]
    assert cut_of(fit, 0.5) == 25.5
    assert cut_of(fit, 0.0) is None
    assert cut_of(fit, 1.0) is None


def test_status_codes() -> None:
    confidence = np.array([0.8, 0.79999, 0.5, 0.49, np.nan], np.float32)
    assert status_codes(confidence, 0.8, 0.5).tolist() == [ACCEPTED, TENTATIVE, TENTATIVE, REJECTED, UNKNOWN]


@pytest.mark.parametrize(("center", "scale"), [(math.nan, 1), (1, 0), (1, -1), (1, math.inf), (math.inf, 1)])
def test_a_fit_must_be_finite(center: float, scale: float) -> None:
    with pytest.raises(InputError, match="finite"):
        Fit("fixed", center, scale)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"method": "magic"},
        {"method": "fixed", "center": "x", "scale": 1},
        {"method": "fixed", "center": 1, "scale": -1},
        {"method": "fixed", "center": None},
    ],
)
def test_a_damaged_fit_is_refused(document: object) -> None:
    with pytest.raises(StoreError):
        fit_from_json(document)
    assert fit_from_json(CHOSEN.as_json()) == CHOSEN


def test_defaults_belong_to_the_model() -> None:
    assert default_fit(Model("c", "ViT-B-32/openai", 8, 100.0), ["p"]) == Fit("fixed", 25.5, 1.5)
    assert default_fit(Model("s", "ViT-B-16-SigLIP2/webli", 8, 112.0, -16.6), ["p"]) == Fit("fixed", 0.0, 1.0)


def change(store: Store, **fits: Fit | None) -> tuple[str, ...]:
    return store_fits(store, fits, MODEL)


def test_a_chosen_fit_remakes_that_attribute_and_what_is_derived_from_it(store: Store) -> None:
    before = {code: scored(store, code) for code in ("earth", "moon")}
    files = {code: store.snapshot().files("scores", code) for code in ("moon", "moonless")}
    logits = read_files(store.snapshot().files("scores", "earth"), ["logit"])
    assert change(store, earth=CHOSEN) == ("earth",)
    vocabulary = store.vocabulary()
    work = plan_tag(store.snapshot(), vocabulary, store.settings.active)
    assert [w.reasons for w in work] == [("calibration changed",), ()]
    assert refresh(store, ["earth"]) == (("earth", "both", "neither"), ())
    assert read_files(store.snapshot().files("scores", "earth"), ["logit"]).equals(logits)
    assert scored(store, "earth") != before["earth"]
    wanted = apply_fit(CHOSEN, logits["logit"].to_numpy())
    assert np.allclose(np.array(list(scored(store, "earth").values())), wanted)
    for code, old in files.items():
        assert store.snapshot().files("scores", code)[0].name == old[0].name, "untouched"
    assert not any(w.cells for w in plan_tag(store.snapshot(), vocabulary, store.settings.active))
    assert change(store, earth=None) == ("earth",)
    refresh(store, ["earth"])
    assert scored(store, "earth") == before["earth"]
    assert store.snapshot().files("calibrations") == ()


def test_choosing_the_same_again_changes_nothing(store: Store) -> None:
    change(store, earth=CHOSEN)
    refresh(store, ["earth"])
    number = store.snapshot().number
    assert change(store, earth=CHOSEN) == ()
    assert refresh(store, ["earth"]) == ((), ())
    assert change(store, moon=None) == ()
    assert store.snapshot().number == number


def test_fits_of_other_models_stay(store: Store) -> None:
    change(store, earth=CHOSEN)
    other = Model("n", "", 8, 100.0)
    store_fits(store, {"earth": Fit("fixed", 9.0, 9.0, chosen=True)}, other)
    snapshot = store.snapshot()
    assert read_fit(snapshot, "earth", MODEL, ["p"]) == CHOSEN
    assert read_fit(snapshot, "earth", other, ["p"]).center == 9
    assert read_fit(snapshot, "moon", MODEL, ["p"]) == Fit("fixed", 25.5, 1.5)
    change(store, earth=None)
    assert read_fit(store.snapshot(), "earth", other, ["p"]).center == 9
    fits = list_fits(store, store.snapshot(), store.vocabulary())
    assert [(fit.code, fit.model, fit.fit.chosen) for fit in fits] == [
        ("earth", "m", False),
        ("moon", "m", False),
        ("earth", "n", True),
    ]
    assert fits[2].fitted_at is not None
    assert fits[0].cut == pytest.approx(25.5 + 1.5 * math.log(4))


def test_preview_says_what_happens_then(store: Store) -> None:
    snapshot, vocabulary = store.snapshot(), store.vocabulary()
    attribute = base_attribute(vocabulary, "earth")
    told = preview_fit(snapshot, attribute, CHOSEN, MODEL, vocabulary.prompts("earth"))
    assert store.snapshot().number == snapshot.number
    assert told.before.accepted + told.before.tentative + told.before.rejected == 40
    before = read_files(snapshot.files("scores", "earth"), ["status"])["status"].to_pylist()
    change(store, earth=CHOSEN)
    refresh(store, ["earth"])
    after = read_files(store.snapshot().files("scores", "earth"), ["status"])["status"].to_pylist()
    assert (told.after.accepted, told.after.tentative, told.after.rejected) == tuple(
        after.count(word) for word in ("accepted", "tentative", "rejected")
    )
    pairs = list(zip(before, after, strict=True))
    assert told.entering == sum(b != "accepted" and a == "accepted" for b, a in pairs) > 0
    assert told.leaving == sum(b == "accepted" and a != "accepted" for b, a in pairs)


def test_what_needs_the_model_waits(store: Store) -> None:
    """A new wording is not encoded by a calibration; the fit is stored all the same."""
    path = store.vocabulary_path
    path.write_bytes(path.read_bytes().replace(b"[the moon, a crescent]", b"[something new]"))
    before = scored(store, "moon")
    change(store, moon=CHOSEN, earth=CHOSEN)
    written, waiting = refresh(store, ["moon", "earth"])
    assert waiting == ("moon",)
    assert "earth" in written
    assert scored(store, "moon") == before


def test_an_attribute_without_scores_is_left_to_sync(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    with pytest.raises(InputError, match="nothing is embedded"):
        active_model(store)
    images = image_file(tmp_path / "i.parquet", ["a"], vectors(1))
    import_embeddings(store, images, key="m", logit_scale=30)
    change(store, earth=CHOSEN)
    assert refresh(store, ["earth"]) == ((), ())
    assert store.snapshot().partitions("scores") == ()


def test_only_base_attributes_have_a_fit(store: Store) -> None:
    with pytest.raises(InputError, match="derived"):
        base_attribute(store.vocabulary(), "both")
    with pytest.raises(InputError, match="did you mean earth"):
        base_attribute(store.vocabulary(), "eart")
