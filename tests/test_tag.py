"""Attributes whose prompts cannot be encoded: all others are scored, and then it is told."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_process import colonnade
from collections_on_disk import data_files, make_store, scan, write_image
from planted_stores import VOCABULARY, planted_store
from vector_files import PROMPTS, image_file, new_store, prompt_file, scored, vectors

from colonnade.engine.embed import embed
from colonnade.engine.embedder import Embedder, Vectors
from colonnade.engine.embedder_hash import HashEmbedder
from colonnade.engine.errors import ModelError
from colonnade.engine.import_embeddings import import_embeddings
from colonnade.engine.jobs import list_jobs
from colonnade.engine.settings import update_settings
from colonnade.engine.store import Store
from colonnade.engine.sync import SyncOutcome, make_plan, run_plan
from colonnade.engine.tag import UnscoredError, tag

OTHERS = ("cat", "dog", "ghost")


@pytest.fixture
def imported(tmp_path: Path) -> Store:
    """Vectors of four images and of all prompts but one, which `moon` needs."""
    store = new_store(tmp_path / "s")
    images = image_file(tmp_path / "i.parquet", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"], vectors(4))
    text = prompt_file(tmp_path / "t.parquet", vectors(2, seed=1), PROMPTS[:2])
    import_embeddings(store, images, text=text, key="m", logit_scale=100.0)
    return store


def without_model(store: Store) -> Path:
    """Have the store's model be one whose folder is gone."""
    folder = store.path.parent / "gone"
    active = store.settings.active
    assert active is not None
    there = replace(active, spec=f"local-dir:{folder}")
    update_settings(store.path, lambda now: replace(now, spec=there.spec, models=(there,)))
    return folder


def describe(store: Store, old: str, new: str) -> None:
    text = store.vocabulary_path.read_text()
    assert old in text
    store.vocabulary_path.write_text(text.replace(old, new))


def test_one_prompt_without_a_vector_keeps_no_other_attribute_from_its_scores(imported: Store) -> None:
    with pytest.raises(UnscoredError) as caught:
        tag(imported)
    assert caught.value.outcome.attributes == ("earth",)
    assert str(caught.value).startswith(
        "moon cannot be scored: model m: no vector for 1 prompt ('a crescent')"
    )
    assert "colonnade import embeddings --model m --text FILE" in str(caught.value)
    assert len(scored(imported, "earth")) == 4
    assert imported.snapshot().partitions("scores") == ("earth",)
    before = imported.snapshot().number
    with pytest.raises(UnscoredError) as again:
        tag(imported)
    assert again.value.outcome.attributes == ()
    assert imported.snapshot().number == before, "trying again in vain writes nothing"


def test_a_sync_derives_what_has_its_inputs_and_the_plan_keeps_the_rest(
    tmp_path: Path, imported: Store
) -> None:
    outcome = SyncOutcome()
    with pytest.raises(ModelError, match=r"^moon cannot be scored: .*'a crescent'"):
        run_plan(imported, make_plan(imported), outcome=outcome)
    assert (outcome.tag.attributes, set(outcome.derived)) == (("earth",), {"both", "neither"})
    plan, before = make_plan(imported), data_files(imported)
    assert [work.code for work in plan.base] == ["moon"]
    assert plan.prompts_to_encode == ("a crescent",)
    assert {work.code for work in plan.derived} == {"both", "neither", "moonless"}
    with pytest.raises(ModelError, match="moon"):
        imported.sync()
    assert data_files(imported) == before
    text = prompt_file(tmp_path / "t.parquet", vectors(3, seed=1))
    import_embeddings(imported, None, text=text, key="m", logit_scale=100.0)
    imported.sync()
    assert make_plan(imported).empty


def test_the_others_are_calibrated_in_the_same_commit(tmp_path: Path) -> None:
    more = "  - {code: owl, label: Owl, description: an owl, prompts: [owl]}\nderived_attributes"
    store = planted_store(tmp_path, vocabulary=VOCABULARY.replace("derived_attributes", more))
    before = store.snapshot().number
    with pytest.raises(UnscoredError, match=r"^owl cannot be scored: .*'owl'") as caught:
        tag(store)
    assert (caught.value.outcome.attributes, caught.value.outcome.fitted) == (OTHERS, OTHERS)
    assert store.snapshot().number == before + 1
    assert make_plan(store).to_calibrate == ("owl",)


def test_phrases_and_a_prompt_that_cannot_be_encoded_are_tried_once(tmp_path: Path) -> None:
    more = "  - {code: owl, label: Owl, description: an owl, prompts: [owl]}\nderived_attributes"
    vocabulary = VOCABULARY.replace("derived_attributes", more)
    store = planted_store(tmp_path, vocabulary=vocabulary, background=False)
    update_settings(store.path, lambda now: replace(now, models=(replace(now.models[0], spec="hash"),)))
    tried: list[str] = []

    def load(spec: str) -> Embedder:
        tried.append(spec)
        raise ModelError(f"{spec}: cannot be fetched")

    told: list[str] = []
    with pytest.raises(UnscoredError, match="owl cannot be scored: hash: cannot be fetched") as caught:
        tag(store, load=load, say=told.append)
    assert (caught.value.outcome.attributes, caught.value.outcome.fitted) == (OTHERS, ())
    assert tried == ["hash"] and "3 attributes have the model's fixed calibration" in told[0]


def test_what_was_encoded_before_a_conflict_is_scored_though_the_model_is_gone_by_then(
    tmp_path: Path,
) -> None:
    store = make_store(tmp_path, images=2)
    store.sync()
    describe(store, "the Sun visible", "our Sun")
    tried: list[str] = []

    def load(spec: str) -> Embedder:
        tried.append(spec)
        if len(tried) > 1:
            raise ModelError(f"{spec}: gone")
        write_image(tmp_path / "photos" / "new.jpg", 50)
        scan(store)
        embed(store)
        describe(store, "the Moon visible", "our Moon")
        return HashEmbedder()

    told: list[str] = []
    with pytest.raises(UnscoredError, match=r"^moon cannot be scored: hash: gone") as caught:
        tag(store, load=load, on_conflict=told.append)
    assert len(told) == 1 and tried == ["hash", "hash"]
    assert caught.value.outcome.attributes == ("earth", "sun")
    assert [work.code for work in make_plan(store).base] == ["moon"]


def test_a_text_encoder_that_gives_no_numbers_spoils_only_what_needs_it(tmp_path: Path) -> None:
    class Spoilt(HashEmbedder):
        def encode_prompts(self, prompts: Sequence[str]) -> Vectors:
            return np.full((len(prompts), self.dimension), np.nan, np.float32)

    store = make_store(tmp_path, images=2)
    store.sync()
    describe(store, "the Sun visible", "our Sun")
    describe(store, "accepted: 0.80", "accepted: 0.70")
    with pytest.raises(
        UnscoredError, match=r"sun cannot be scored: .*unusable.*'a photo of our Sun'"
    ) as caught:
        tag(store, load=lambda spec: Spoilt())
    assert caught.value.outcome.attributes == ("earth", "moon")


def test_a_model_that_is_gone_leaves_what_does_without_it(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=3)
    store.sync()
    folder = without_model(store)
    describe(store, "the Sun visible", "our Sun")
    describe(store, "accepted: 0.80", "accepted: 0.70")
    write_image(tmp_path / "photos" / "new.jpg", 50)
    shutil.copy(tmp_path / "photos" / "001.jpg", tmp_path / "photos" / "copy.jpg")
    done = colonnade(store.path, "sync")
    assert done.code == 5
    (line,) = [line for line in done.err.splitlines() if line.startswith("colonnade: ")]
    assert "sun cannot be scored" in line and str(folder) in line and "'a photo of our Sun'" in line
    assert "some images have no vector yet: " in done.err
    told = [line.split() for line in done.out.splitlines()]
    assert ["embed", "copies,", "vector", "shared", "1"] in told
    assert ["tag", "attributes", "scored", "2"] in told and ["derive", "attributes", "derived", "3"] in told
    assert list_jobs(store.path)[0].state == "failed"
    plan = make_plan(store)
    assert (plan.images_to_embed, plan.prompts_to_encode) == (1, ("a photo of our Sun",))
    again = colonnade(store.path, "sync", "--json")
    assert (again.code, again.json["outcomes"]["tag"]["attributes scored"]) == (5, 0)


def test_tag_lists_what_it_scored_and_derives_before_it_tells(imported: Store) -> None:
    done = colonnade(imported.path, "tag", "--derive")
    assert (done.code, done.out.split()) == (5, ["earth", "both", "neither"])
    assert "moon cannot be scored" in done.err and "1 attribute scored" in done.err
    done = colonnade(imported.path, "tag", "moon")
    assert (done.code, done.out) == (5, "") and "fresh" not in done.err
    assert list_jobs(imported.path)[0].state == "failed"
    assert colonnade(imported.path, "tag", "earth").code == 0
    assert colonnade(imported.path, "plan").code == 1


def test_a_model_that_cannot_be_had_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(tmp_path, images=1)
    store.sync()
    describe(store, "the Sun visible", "our Sun")
    write_image(tmp_path / "photos" / "new.jpg", 50)
    scan(store)
    tried: list[str] = []

    def load(spec: str, device: str | None = None) -> Embedder:
        tried.append(spec)
        raise ModelError(f"{spec}: cannot be fetched")

    monkeypatch.setattr("colonnade.engine.embedder.load_embedder", load)
    with pytest.raises(ModelError, match=r"sun cannot be scored: hash: cannot be fetched"):
        store.sync()
    assert tried == ["hash"]
