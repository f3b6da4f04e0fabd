"""`verify` compares the logits of some images of each shard with the vectors that are stored."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from sound_stores import MODEL, add_images, embedding_rows, unit_vectors

from colonnade.engine.prompts import ATTRIBUTE, replace_prompts
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_footer
from colonnade.engine.tag import tag
from colonnade.engine.vector_columns import vectors_column, vectors_of
from colonnade.engine.verify import verify

WORDS = "whose logit is not what the stored vectors of image and prompts give"


def rewrite(store: Store, table: str, partition: str, column: str, values: pa.Array) -> None:
    """Commit another column of a table, its checksums and footers in order."""
    cell = store.snapshot().cell(table, partition, 0)
    data = read_files(cell)
    place = data.column_names.index(column)
    with open_stage(store.path, command="test") as stage:
        made = data.set_column(place, data.schema.field(place), values)
        stage.replace(table, partition, 0, made, read=cell, inputs=read_footer(cell[0]).inputs)
        stage.commit()


def faults(store: Store) -> list[str]:
    return [str(fault) for fault in verify(store.path).faults]


def test_a_prompt_with_another_vector(store: Store) -> None:
    data = read_files(store.snapshot().cell("prompts", MODEL.key, 0))
    vectors = vectors_of(data["embedding"]).copy()
    vectors[data["prompt"].to_pylist().index("a photo of the moon")] = unit_vectors(1, seed=99)[0]
    rewrite(store, "prompts", MODEL.key, "embedding", vectors_column(vectors))
    (fault,) = faults(store)
    assert "attribute_code=moon/" in fault
    assert f"16 rows {WORDS} (first: image 0); `colonnade tag moon --force`" in fault
    tag(store, codes=["moon"], force=True)
    assert WORDS not in "".join(faults(store))


def test_images_with_other_vectors(store: Store) -> None:
    rewrite(store, "embeddings", MODEL.key, "embedding", vectors_column(unit_vectors(40, seed=99)))
    found = faults(store)
    assert len(found) == 2
    assert all(WORDS in fault for fault in found)


def test_a_logit_that_belongs_to_another_image(store: Store) -> None:
    """In a shard of so few images that each is looked at."""
    with open_stage(store.path, command="test") as stage:
        snapshot = store.snapshot()
        for table, partition in (("scores", "earth"), ("scores", "moon"), ("scores", "both")):
            stage.drop(table, partition, read=snapshot.files(table, partition))
        read = snapshot.cell("embeddings", MODEL.key, 0)
        stage.replace("embeddings", MODEL.key, 0, embedding_rows(np.arange(9), unit_vectors(9)), read=read)
        stage.commit()
    tag(store)
    assert not faults(store)
    data = read_files(store.snapshot().files("scores", "earth"))
    order = [1, 0, *range(2, 9)]
    for name in ("logit", "confidence", "status"):
        rewrite(store, "scores", "earth", name, data[name].take(pa.array(order)).combine_chunks())
    (fault,) = faults(store)
    assert f"2 rows {WORDS} (first: image 0)" in fault


def test_what_is_not_there_is_not_compared(store: Store) -> None:
    """Without the prompts, or of another model than the embeddings."""
    with open_stage(store.path, command="test") as stage:
        stage.drop("prompts", MODEL.key, read=store.snapshot().files("prompts", MODEL.key))
        stage.commit()
    assert not faults(store)


def test_what_programs_change_is_in_order(store: Store) -> None:
    """Other prompt vectors, more images in files of their own, a model with another scale."""
    with open_stage(store.path, command="test") as stage:
        vectors = {"a photo of the moon": unit_vectors(1, seed=5)[0]}
        replace_prompts(stage, MODEL, {ATTRIBUTE: vectors})
        stage.commit()
    assert not faults(store)
    for seed in range(3):
        add_images(store, 5, seed=seed)
        tag(store)
        assert not faults(store)
    other = Model(MODEL.key, "", MODEL.dimension, 37.0, -3.0)
    update_settings(store.path, lambda settings: settings.with_model(other, activate=True))
    assert not faults(store)
    tag(store)
    assert not faults(store)
