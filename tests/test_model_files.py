"""Weights that are overwritten under the same path: `plan` sees it without loading them, `sync` embeds anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collections_on_disk import make_store, write_image

from colonnade.engine.import_embeddings import import_embeddings
from colonnade.engine.model_files import files_of, known_model
from colonnade.engine.registry import use_model
from colonnade.engine.settings import read_settings
from colonnade.engine.store import Store
from colonnade.engine.tables import read_footer
from colonnade.tui.plan_text import plan_lines

pytest.importorskip("torch", reason="loading a model needs torch")
from clip_models import save


@pytest.fixture
def store(tmp_path: Path) -> Store:
    save(tmp_path / "model", seed=0)
    store = make_store(tmp_path, images=4, model=f"local-dir:{tmp_path / 'model'}")
    store.sync()
    assert store.plan().empty
    return store


def test_replaced_weights_make_everything_stale_and_sync_makes_it_fresh(store: Store, tmp_path: Path) -> None:
    before = store.settings.model_key
    save(tmp_path / "model", seed=1)
    plan = store.plan()
    assert plan.images_to_embed == 4 and plan.model_replaced
    assert all(work.reasons == ("model changed",) for work in plan.base)
    assert len(plan.base) == plan.base_count and plan.prompts_to_encode
    assert f"4 images to embed with {store.settings.spec}, whose files were replaced" in plan_lines(
        plan, store
    )
    outcome = store.sync()
    assert outcome.embed.embedded == plan.images_to_embed
    assert sorted(outcome.tag.attributes) == sorted(work.code for work in plan.base)
    assert store.plan().empty and store.settings.model_key != before


def test_one_new_image_beside_replaced_weights_is_not_all_there_is_to_embed(
    store: Store, tmp_path: Path
) -> None:
    write_image(tmp_path / "photos" / "new.jpg", 99)
    save(tmp_path / "model", seed=1)
    assert store.plan().images_to_embed == 5
    assert store.sync().embed.embedded == 5


def test_prompts_that_are_imported_for_it_leave_known_what_the_weights_were(
    store: Store, tmp_path: Path
) -> None:
    key = store.settings.model_key or ""
    before = store.settings.active
    assert before is not None and before.files is not None
    vector = np.eye(before.dimension, dtype=np.float32)[0]
    text = tmp_path / "text.parquet"
    pq.write_table(pa.table({"prompt": ["a comet"], "embedding": [vector]}), text)
    import_embeddings(store, None, key=key, logit_scale=None, text=text)
    assert store.settings.active == before
    save(tmp_path / "model", seed=1)
    assert store.plan().model_replaced


def test_touched_or_copied_weights_are_the_same(store: Store, tmp_path: Path) -> None:
    weights = tmp_path / "model" / "open_clip_model.safetensors"
    os.utime(weights, ns=(1, 1))
    assert store.plan().empty
    shutil.copy(weights, tmp_path / "copy")
    (tmp_path / "copy").replace(weights)
    assert store.plan().empty and not store.sync().embed.embedded


def test_another_configuration_is_another_model(store: Store, tmp_path: Path) -> None:
    save(tmp_path / "model", seed=0, preprocessing={"mean": [0.5, 0.5, 0.5]})
    assert store.plan().images_to_embed == 4
    store.sync()
    assert store.plan().empty


def test_a_rewritten_configuration_of_the_same_meaning_costs_no_embedding(
    store: Store, tmp_path: Path
) -> None:
    path, before = tmp_path / "model" / "open_clip_config.json", store.settings.model_key
    path.write_text(path.read_text() + "\n")
    assert store.plan().model_replaced, "what it means shows when it is loaded"
    assert store.sync().embed.embedded == 0
    assert store.plan().empty and store.settings.model_key == before


def test_weights_that_are_gone_or_photographs_out_of_reach_change_nothing(
    store: Store, tmp_path: Path
) -> None:
    before = store.settings
    shutil.move(tmp_path / "model", tmp_path / "elsewhere")
    assert store.plan().empty
    shutil.move(tmp_path / "elsewhere", tmp_path / "model")
    save(tmp_path / "model", seed=1)
    shutil.move(tmp_path / "photos", tmp_path / "unmounted")
    plan = store.plan()
    assert not plan.images_to_embed and not plan.base and not plan.model_replaced
    assert store.sync().embed.embedded == 0 and store.settings == before


def test_a_copy_needs_no_weights_but_gets_a_vector_of_those_that_replaced_others(
    store: Store, tmp_path: Path
) -> None:
    shutil.move(tmp_path / "model", tmp_path / "elsewhere")
    shutil.copy(tmp_path / "photos" / "001.jpg", tmp_path / "photos" / "copy.jpg")
    outcome = store.sync()
    assert (outcome.embed.embedded, outcome.embed.shared, outcome.embed.left) == (0, 1, 0)
    assert len(outcome.tag.attributes) == len(store.vocabulary().base) and store.plan().empty
    shutil.move(tmp_path / "elsewhere", tmp_path / "model")
    save(tmp_path / "model", seed=1)
    shutil.copy(tmp_path / "photos" / "001.jpg", tmp_path / "photos" / "another.jpg")
    before = store.settings.model_key
    outcome = store.sync()
    assert (outcome.embed.embedded, outcome.embed.shared) == (4, 2)
    assert store.plan().empty and store.settings.model_key != before
    files = store.snapshot().files("embeddings", before)
    assert sum(read_footer(file).rows for file in files) == 5, "of the old weights there is no new vector"


def test_weights_that_come_back_share_the_vectors_that_were_made_with_them(
    store: Store, tmp_path: Path
) -> None:
    save(tmp_path / "model", seed=1)
    store.sync()
    shutil.copy(tmp_path / "photos" / "001.jpg", tmp_path / "photos" / "copy.jpg")
    save(tmp_path / "model", seed=0)
    outcome = store.sync()
    assert (outcome.embed.embedded, outcome.embed.shared) == (0, 1)
    assert store.plan().empty


def test_a_copy_beside_touched_weights_is_counted_once(store: Store, tmp_path: Path) -> None:
    os.utime(tmp_path / "model" / "open_clip_model.safetensors", ns=(1, 1))
    shutil.copy(tmp_path / "photos" / "001.jpg", tmp_path / "photos" / "copy.jpg")
    write_image(tmp_path / "photos" / "new.jpg", 99)
    outcome = store.sync()
    assert (outcome.embed.embedded, outcome.embed.shared) == (1, 1)


def test_a_checkpoint_file_counts_too(tmp_path: Path) -> None:
    checkpoint = tmp_path / "weights.safetensors"
    checkpoint.write_bytes(b"1")
    assert files_of(f"ViT-B-32@{checkpoint}") == (checkpoint,)
    assert [file.name for file in files_of("demo")] == ["open_clip_config.json", "model.safetensors"]
    assert files_of("ViT-B-32/openai") == files_of("hf-hub:a/b") == files_of("hash") == ()


def test_the_settings_keep_what_the_files_were(store: Store) -> None:
    model = read_settings(store.path).active
    assert model is not None and model.files is not None and len(model.files.digest) == 64
    assert known_model(store.settings) == model
    use_model(store, "hash")
    assert known_model(store.settings) is None and not store.plan().model_replaced
