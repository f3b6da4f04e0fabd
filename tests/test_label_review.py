"""Answers in the store: one an image and reviewer, the majority over reviewers, and what they outlive."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_stores import MODEL, VOCABULARY, sound_store

from colonnade.engine.answers import read_answers
from colonnade.engine.errors import InputError
from colonnade.engine.label_fit import fit_labels
from colonnade.engine.labels import export_labels, import_labels
from colonnade.engine.removal import drop
from colonnade.engine.review_answers import AUDIT, POLICY, Answer, Judged, read_judged, save_answer
from colonnade.engine.review_choice import choose_image
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.tag import tag
from colonnade.engine.verify import verify

SAID = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from(["ann", "bob", "cyd", ""]), st.sampled_from([True, False, None])
    ),
    max_size=20,
)


def answer(image: int, reviewer: str = "eve", present: bool | None = True, policy: str = POLICY) -> Answer:
    return Answer(image, reviewer, present, None, policy, 0.25)


def hash_of(image: int) -> str:
    return f"{image:064x}"


def give(store: Store, *given: Answer, code: str = "moon") -> None:
    for one in given:
        save_answer(store, code, one, hash_of(one.image_id))


def settled(store: Store, code: str = "moon") -> dict[int, bool]:
    ids, present = read_judged(store.snapshot(), code).settled
    found = dict(zip(ids.tolist(), present.tolist(), strict=True))
    # What calibrates reads the same.
    answers = read_answers(store.snapshot(), code)
    assert dict(zip(answers.ids.tolist(), answers.present.tolist(), strict=True)) == found
    return found


def change_images(store: Store, image: int, **values: str) -> None:
    """Commit another path or content of an image, as a scan would."""
    snapshot = store.snapshot()
    files = snapshot.cell("images", None, 0)
    data = read_files(files)
    records = [row | values if row["image_id"] == image else row for row in data.to_pylist()]
    with open_stage(store.path, command="scan") as stage:
        stage.replace("images", None, 0, pa.Table.from_pylist(records, schema=data.schema), read=files)
        stage.commit()


def judged(rows: Sequence[tuple[int, str, bool | None]]) -> Judged:
    found = Judged({})
    for number, (image, reviewer, present) in enumerate(rows):
        moment = datetime.fromtimestamp(number, UTC)
        found = found.with_answer(replace(answer(image, reviewer, present), reviewed_at=moment))
    return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return sound_store(tmp_path / "s")


def test_the_last_answer_of_a_reviewer_stands(store: Store) -> None:
    give(store, answer(3, present=True), answer(3, present=False), answer(4, present=None))
    assert settled(store) == {3: False}
    found = read_judged(store.snapshot(), "moon")
    assert [one.present for one in found.of("eve")] == [False, None]
    assert found.of("bob") == []


def test_the_majority_counts_and_ties_are_shown(store: Store) -> None:
    give(
        store,
        *(answer(1, reviewer, reviewer != "cyd") for reviewer in ("ann", "bob", "cyd")),
        answer(2, "ann", True),
        answer(2, "bob", False),
        answer(3, "ann", False),
        answer(3, "bob", None),
    )
    assert settled(store) == {1: True, 3: False}
    assert read_judged(store.snapshot(), "moon").disputed == (1, 2)


def test_audits_keep_their_probability(store: Store) -> None:
    give(store, answer(1), replace(answer(2, policy=AUDIT), probability=0.001))
    found = read_judged(store.snapshot(), "moon")
    assert found.drawn(1) is None
    assert found.drawn(2) == 0.001


@pytest.mark.parametrize(
    ("policy", "word"), [(POLICY, "again"), (AUDIT, "audit again"), ("imported", "again")]
)
def test_an_answer_of_a_second_look_stays_one(store: Store, policy: str, word: str, tmp_path: Path) -> None:
    give(store, answer(3, present=True, policy=policy), answer(4, present=False))
    give(store, replace(answer(3, present=False, policy=policy), twice=True))
    found = read_judged(store.snapshot(), "moon")
    assert found.answers[3]["eve"].twice and not found.answers[4]["eve"].twice
    assert (found.drawn(3) is not None) is (policy == AUDIT)
    assert settled(store) == {3: False, 4: False}
    assert found.sure.tolist() == [True, False]
    assert read_answers(store.snapshot(), "moon").sure.tolist() == [True, False]
    assert verify(store.path).sound

    rows = [row | {"reviewed_at": None} for row in export_labels(store.snapshot(), ["moon"])]
    assert [row["policy"] for row in rows] == [word, POLICY]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = sound_store(tmp_path / "other")
    assert import_labels(other, tmp_path / "l.jsonl").written == 2
    assert read_judged(other.snapshot(), "moon").answers[3]["eve"].twice


def test_who_agree_are_sure() -> None:
    found = judged([(1, "ann", True), (1, "bob", True), (2, "ann", True), (3, "ann", True), (3, "bob", None)])
    assert found.sure.tolist() == [True, False, False]
    against = replace(answer(4, "cyd", False), twice=True)
    torn = judged([(4, "ann", True), (4, "bob", True)]).with_answer(against)
    assert torn.settled[1].tolist() == [True], "a second look gives nobody a second vote"
    assert torn.sure.tolist() == [False]


@settings(max_examples=50, deadline=None)
@given(SAID)
def test_majority_by_hand(rows: list[tuple[int, str, bool | None]]) -> None:
    last = {(image, reviewer): present for image, reviewer, present in rows}
    balance: dict[int, int] = {}
    for (image, _), present in last.items():
        balance[image] = balance.get(image, 0) + (0 if present is None else 1 if present else -1)
    ids, settled_ = judged(rows).settled
    wanted = {image: value > 0 for image, value in sorted(balance.items()) if value}
    assert dict(zip(ids.tolist(), settled_.tolist(), strict=True)) == wanted
    assert list(ids) == sorted(ids)
    assert len(judged(rows).sure) == len(ids)


def test_answers_outlive_tagging_models_and_attributes(store: Store) -> None:
    give(store, answer(1), answer(2, present=False), answer(7), answer(9, present=False))
    wanted = settled(store)
    assert wanted == {1: True, 2: False, 7: True, 9: False}

    tag(store, force=True)
    assert settled(store) == wanted

    other = Model("other", "", 8, 100.0)
    update_settings(store.path, lambda told: told.with_model(other, activate=True))
    assert settled(store) == wanted
    update_settings(store.path, lambda told: told.with_model(MODEL, activate=True))

    (store.path / "vocabulary.yaml").write_bytes(VOCABULARY.split(b"  - {code: moon")[0])
    drop(store, ["moon"], calibrations=True)
    assert "moon" not in store.snapshot().partitions("scores")
    assert settled(store) == wanted
    (store.path / "vocabulary.yaml").write_bytes(VOCABULARY)
    tag(store)
    assert settled(store) == wanted


def test_a_moved_file_keeps_its_answers_and_a_changed_one_sets_them_aside(store: Store) -> None:
    give(store, answer(1), answer(2, present=False))
    change_images(store, 1, path="elsewhere/new name.jpg")
    assert settled(store) == {1: True, 2: False}
    change_images(store, 2, content_hash="f" * 64)
    assert settled(store) == {1: True}
    with pytest.raises(InputError, match="changed or gone"):
        give(store, answer(2))
    change_images(store, 2, content_hash=hash_of(2))
    assert settled(store) == {1: True, 2: False}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(-40, 40).map(lambda tenths: tenths / 10), min_size=1, max_size=12), st.integers(0, 3)
)
def test_probabilities_of_selection_are_those_of_the_choice(x: list[float], asked: int) -> None:
    """Over all images they add up to one, and images are chosen about as often as they say."""
    places = np.array(x)
    eligible = np.arange(len(x)) >= asked
    fit = fit_labels(places[:asked], places[:asked] > 0)
    seen: dict[int, float] = {}
    counts = np.zeros(len(x))
    for number in range(300):
        one = choose_image(places, eligible, fit, seed=str(number))
        if one is None:
            assert not eligible.any()
            return
        assert eligible[one.index]
        assert seen.setdefault(one.index, one.probability) == pytest.approx(one.probability)
        counts[one.index] += 1
    assert sum(seen.values()) <= 1 + 1e-6
    for index, probability in seen.items():
        assert (
            abs(counts[index] / 300 - probability) < 5 * np.sqrt(probability * (1 - probability) / 300) + 0.02
        )
    assert sum(seen.values()) > 0.9


def test_the_same_question_comes_again_after_an_interruption() -> None:
    x = np.linspace(-5, 5, 500)
    fit = fit_labels(np.array([-1.0, 1.0]), np.array([False, True]))
    eligible = np.ones(500, dtype=bool)
    assert choose_image(x, eligible, fit, seed="a 2") == choose_image(x, eligible, fit, seed="a 2")
    chosen = {choose_image(x, eligible, fit, seed=f"a {number}") for number in range(20)}
    assert len(chosen) > 5
