"""Another vector makes an image's scores void, and what was derived from them, of whatever model the row says it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from history_stores import assert_sound, change_vocabulary
from sound_stores import MODEL, VOCABULARY, embedding_rows, rows, sound_store, unit_vectors

from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.embedding_rows import add_vectors
from colonnade.engine.errors import ConflictError
from colonnade.engine.prompts import store_prompts
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_footer
from colonnade.engine.tag import tag

OTHER = Model("other", "", 8, 100.0)
VOID = ("both", "moon", "nested")
RULES = b"""\
  - {code: nested, label: Nested, description: of a rule, rule: {any_of: [earth_alone, both]}}
  - {code: earth_alone, label: Earth alone, description: of one model, rule: {all_of: [earth], none_of: [sun]}}
"""
SUN = b"  - {code: sun, label: Sun, description: never scored}\n"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores of the earth by one model, of the moon by another; the derived rows say that the first made them."""
    store = sound_store(tmp_path_factory.mktemp("prepared") / "s")
    base, derived = VOCABULARY.split(b"derived_attributes:\n")
    store.vocabulary_path.write_bytes(base + SUN + b"derived_attributes:\n" + derived + RULES)
    prompts = store.vocabulary().prompts("moon")
    with open_stage(store.path, command="import") as stage:
        embedded = embedding_rows(np.arange(40), unit_vectors(40, seed=5))
        stage.append("embeddings", OTHER.key, 0, embedded, read=())
        vectors = unit_vectors(len(prompts), seed=6)
        store_prompts(stage, OTHER, dict(zip(prompts, vectors, strict=True)))
        stage.commit()
    update_settings(store.path, lambda settings: settings.with_model(OTHER, activate=True))
    tag(store, codes=["moon"])
    derive_attributes(store)
    return store.path


def give_vectors(store: Store, ids: np.ndarray, model: Model = OTHER, seed: int = 8) -> None:
    with open_stage(store.path, command="import") as stage:
        add_vectors(stage, store.snapshot(), model, 0, ids, unit_vectors(len(ids), seed=seed))
        stage.commit()


def names(store: Store, code: str) -> list[str]:
    return [file.name for file in store.snapshot().cell("scores", code, 0)]


def images(store: Store, code: str) -> list[int]:
    cell = store.snapshot().cell("scores", code, 0)
    return [] if not cell else read_files(cell)["image_id"].to_pylist()


def models(store: Store, code: str) -> set[str]:
    return {str(read_footer(file).model) for file in store.snapshot().cell("scores", code, 0)}


def test_derived_rows_of_two_models_go_with_either(store: Store) -> None:
    assert models(store, "both") == models(store, "nested") == {"toy"}
    assert models(store, "moon") == {OTHER.key}
    kept = {code: names(store, code) for code in ("earth", "earth_alone")}
    give_vectors(store, np.arange(10))
    assert {code: images(store, code) for code in VOID} == {code: list(range(10, 40)) for code in VOID}
    assert {code: names(store, code) for code in kept} == kept
    assert_sound(store)
    tag(store, codes=["moon"])
    assert derive_attributes(store) == ("both", "nested")
    assert {code: images(store, code) for code in VOID} == {code: list(range(40)) for code in VOID}
    assert {code: names(store, code) for code in kept} == kept
    assert_sound(store)
    assert derive_attributes(store) == ()


def test_every_vector_another(store: Store) -> None:
    """The derived cells go away; what is made anew is what all of it from the start would be."""
    give_vectors(store, np.arange(40))
    assert [images(store, code) for code in VOID] == [[], [], []]
    tag(store, codes=["moon"])
    assert derive_attributes(store) == ("both", "nested")
    made = {code: names(store, code) for code in VOID}
    assert derive_attributes(store, force=True) == ("both", "earth_alone", "nested")
    assert {code: names(store, code) for code in VOID} == made
    assert_sound(store)


def test_the_first_models_vectors(store: Store) -> None:
    moon = names(store, "moon")
    give_vectors(store, np.arange(10), MODEL)
    gone = ("both", "earth", "earth_alone", "nested")
    assert {code: images(store, code) for code in gone} == {code: list(range(10, 40)) for code in gone}
    assert names(store, "moon") == moon


def test_scores_that_another_model_has_replaced_meanwhile(store: Store) -> None:
    """The derived rows are of the vectors that change, though no base row is: those will come again as they were."""
    update_settings(store.path, lambda settings: settings.with_model(MODEL, activate=True))
    tag(store, codes=["moon"])
    kept = names(store, "moon")
    give_vectors(store, np.arange(10))
    assert names(store, "moon") == kept
    update_settings(store.path, lambda settings: settings.with_model(OTHER, activate=True))
    tag(store, codes=["moon"])
    assert derive_attributes(store) == ("both", "nested")
    assert_sound(store)


def test_vectors_of_new_images_void_nothing(store: Store) -> None:
    before = {code: names(store, code) for code in (*VOID, "earth", "earth_alone")}
    give_vectors(store, np.arange(40, 44))
    assert {code: names(store, code) for code in before} == before


def test_a_rule_that_is_another_by_now(store: Store) -> None:
    """What the rows were made by decides, not the vocabulary."""
    change_vocabulary(store, "[earth, moon]", "[earth]")
    give_vectors(store, np.arange(10))
    assert images(store, "both") == list(range(10, 40))


@pytest.mark.parametrize("input_of_moon", [None, "0" * 16, ["earth"], {"moon": 1}])
def test_inputs_that_nobody_can_tell_the_model_of(store: Store, input_of_moon: object) -> None:
    """They had several definitions, or one that is lost or damaged: with them go the rows that are made of them."""
    snapshot = store.snapshot()
    cell = snapshot.cell("definitions", None, 0)
    made_by = {code: str(read_footer(snapshot.cell("scores", code, 0)[0]).definition) for code in VOID}
    documents = read_files(cell).to_pylist()
    for row in documents:
        if row["definition"] == made_by["both"]:
            document = json.loads(row["json"])
            document["inputs"]["moon"] = input_of_moon
            row["json"] = json.dumps(document)
    with open_stage(store.path, command="test") as stage:
        stage.replace("definitions", None, 0, rows("definitions", documents), read=cell)
        stage.commit()
    kept = {code: names(store, code) for code in ("earth", "earth_alone")}
    give_vectors(store, np.arange(10))
    assert {code: images(store, code) for code in VOID} == {code: list(range(10, 40)) for code in VOID}
    assert {code: names(store, code) for code in kept} == kept


@pytest.mark.parametrize("code", ["moon", "both"])
def test_scores_made_of_the_old_vectors_meanwhile_are_a_conflict(store: Store, code: str) -> None:
    """Also of an attribute that had none: the commit that changes the vectors knew nothing of them."""
    with open_stage(store.path, command="test") as stage:
        stage.drop("scores", code, read=store.snapshot().files("scores", code))
        stage.commit()
    with open_stage(store.path, command="import") as stage:
        add_vectors(stage, store.snapshot(), OTHER, 0, np.arange(10), unit_vectors(10, seed=8))
        tag(store, codes=["moon"])
        derive_attributes(store, codes=["both"])
        with pytest.raises(ConflictError, match=f"scores {code} .shard 0. changed meanwhile"):
            stage.commit()
