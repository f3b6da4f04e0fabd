"""Vectors of texts that are kept, so that nothing is encoded twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sound_stores import MODEL, sound_store, unit_vectors

from colonnade.engine.fit_choice import read_grounds
from colonnade.engine.prompts import ATTRIBUTE, PHRASE, read_vectors
from colonnade.engine.stage import open_stage
from colonnade.engine.texts import Encoded, stage_texts


def test_prompts_and_phrases_that_are_encoded_together_are_both_kept(tmp_path: Path) -> None:
    """The first tag with a model encodes both; were the prompts lost, each later change would need the model."""
    store = sound_store(tmp_path / "s")
    snapshot = store.snapshot()
    before = read_vectors(snapshot, MODEL)
    made = unit_vectors(3, seed=5)
    encoded = Encoded({"a new prompt": made[0]}, {"a phrase": made[1], "another phrase": made[2]})
    with open_stage(store.path, command="tag") as stage:
        stage_texts(stage, read_grounds(snapshot, store.vocabulary(), MODEL), encoded, (), background=False)
        stage.commit()
    after = read_vectors(store.snapshot(), MODEL)
    added = {("a new prompt", ATTRIBUTE), ("a phrase", PHRASE), ("another phrase", PHRASE)}
    assert after.keys() == before.keys() | added
    assert np.array_equal(after["a new prompt", ATTRIBUTE], made[0])
