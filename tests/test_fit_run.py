"""Fitting anew, moving a cut, labels: what is shown first, what is written, and what is left alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from collections_on_disk import data_files
from crash_helpers import assert_sound
from planted_stores import directions, images, planted_store, put_background, put_images

from colonnade.engine.auto_fit import MINIMUM_IMAGES
from colonnade.engine.calibration import ACCEPTED, LOG_4, Fit
from colonnade.engine.calibration_receipt import receipt
from colonnade.engine.calibration_store import active_model, store_fits
from colonnade.engine.calibration_table import calibration_table
from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.errors import InputError
from colonnade.engine.fit_choice import sound_row
from colonnade.engine.fit_document import fit_text
from colonnade.engine.fit_run import fit_attributes, set_cut
from colonnade.engine.review_answers import Answer, save_answer
from colonnade.engine.scoring import codes_of_statuses, unit_length
from colonnade.engine.settings import update_settings
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_files
from colonnade.engine.tag import tag

COUNT = 400


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 images, tagged and derived."""
    store = planted_store(tmp_path_factory.mktemp("planted"), COUNT)
    tag(store)
    derive_attributes(store)
    return store.path


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    shutil.copytree(made, tmp_path / "store", symlinks=True)
    return Store(tmp_path / "store")


def fit_of(store: Store, code: str) -> Fit:
    row = sound_row(store.snapshot(), code, active_model(store))[0]
    assert row is not None
    return row.fit


def accepted(store: Store, code: str) -> set[int]:
    data = read_files(store.snapshot().files("scores", code), ["image_id", "status"])
    return set(data["image_id"].to_numpy()[codes_of_statuses(data["status"]) == ACCEPTED].tolist())


def label(
    store: Store, code: str, answers: dict[int, bool], policy: str = "policy", chance: float | None = None
) -> None:
    rows = [
        {"image_id": image, "content_hash": None, "present": said, "reviewer": "ann", "policy": policy,
         "reviewed_at": datetime(2024, 1, 1, tzinfo=UTC), "probability": chance}
        for image, said in answers.items()
    ]  # fmt: skip
    with open_stage(store.path, command="test") as stage:
        stage.append("labels", code, 0, pa.Table.from_pylist(rows, SCHEMAS["labels"]), read=())
        stage.commit()


def test_a_dry_run_says_what_would_happen_and_writes_nothing(store: Store) -> None:
    set_cut(store, "cat", 40.0)
    number = store.snapshot().number
    tried = fit_attributes(store, ["cat", "dog"], dry_run=True)
    assert store.snapshot().number == number
    assert (tried.changed, tried.written) == ((), ())
    before = accepted(store, "cat")
    done = fit_attributes(store, ["cat", "dog"])
    assert [o.change for o in done.outcomes] == [o.change for o in tried.outcomes]
    now = accepted(store, "cat")
    change = done.outcomes[0].change
    assert (change.before.accepted, change.after.accepted) == (len(before), len(now)) == (0, len(now))
    assert (change.entering, change.leaving) == (len(now - before), len(before - now))
    assert done.outcomes[0].previous is not None
    assert done.outcomes[0].previous.moved
    assert done.written == ("cat", "pets", "haunted")
    assert store.plan().empty
    assert_sound(store.path)


def test_the_same_fit_once_more_is_no_change(store: Store) -> None:
    set_cut(store, "dog", 3.0)
    fit_attributes(store, ["cat"], "auto")
    number = store.snapshot().number
    row = sound_row(store.snapshot(), "cat", active_model(store))[0]
    set_cut(store, "dog", 4.0)
    assert store.snapshot().number > number
    again = fit_attributes(store, ["cat"], "auto")
    assert (again.changed, again.written) == ((), ())
    assert sound_row(store.snapshot(), "cat", active_model(store))[0] == row
    assert len(receipt(store, "cat").history) == 2


def test_a_fit_is_the_same_alone_and_with_others(store: Store) -> None:
    together = {o.change.code: o.fit for o in fit_attributes(store, dry_run=True).outcomes}
    assert together.keys() == {"cat", "dog", "ghost"}
    for code, fit in together.items():
        (alone,) = fit_attributes(store, [code], dry_run=True).outcomes
        assert fit_text(alone.fit) == fit_text(fit)
    other = {o.change.code: o.fit for o in fit_attributes(store, sample=250, seed=3, dry_run=True).outcomes}
    (alone,) = fit_attributes(store, ["cat"], sample=250, seed=3, dry_run=True).outcomes
    assert alone.fit.base is not None
    assert alone.fit.base.count == 250
    assert fit_text(alone.fit) == fit_text(other["cat"]) != fit_text(together["cat"])


def test_fitting_one_attribute_changes_no_byte_of_another(store: Store) -> None:
    scores, fits = data_files(store), data_files(store, "calibrations")
    fit_attributes(store, ["cat"], sample=250, seed=1)
    assert {code for code, files in data_files(store).items() if files != scores[code]} <= {
        "cat",
        "pets",
        "haunted",
    }
    now = data_files(store, "calibrations")
    assert {code for code in now if now[code] != fits[code]} == {"cat"}


def test_a_moved_cut_is_made_from_the_stored_log_odds(store: Store) -> None:
    fit = fit_of(store, "cat")
    data = read_files(store.snapshot().files("scores", "cat"), ["image_id", "log_odds"])
    odds = dict(zip(data["image_id"].to_pylist(), data["log_odds"].to_pylist(), strict=True))
    run = set_cut(store, "cat", fit.cut - 1.5)
    assert run.changed == ("cat",)
    assert accepted(store, "cat") == {image for image, value in odds.items() if value >= fit.cut - 1.5}
    moved = fit_of(store, "cat")
    assert (moved.method, moved.chosen, moved.moved, moved.axis) == ("auto", True, True, fit.axis)
    assert set_cut(store, "cat", fit.cut - 1.5).changed == ()
    again = read_files(store.snapshot().files("scores", "cat"), ["image_id", "log_odds"])
    assert again.equals(data)
    with pytest.raises(InputError, match="finite"):
        set_cut(store, "cat", float("nan"))
    with pytest.raises(InputError, match="derived"):
        set_cut(store, "pets", 1.0)
    assert_sound(store.path)


@pytest.mark.parametrize("method", ["auto", "fixed"])
def test_a_cut_as_the_table_shows_it(store: Store, method: str) -> None:
    text = store.vocabulary_path.read_text()
    store.vocabulary_path.write_text(
        text.replace("prompts: [cat]", "prompts: [cat], thresholds: {accepted: 0.9}")
    )
    fit_attributes(store, ["cat"], method)
    (row,) = calibration_table(store, store.snapshot(), store.vocabulary(), ["cat"])
    assert row.cut is not None
    set_cut(store, "cat", row.cut - 0.75, shown=True)
    (now,) = calibration_table(store, store.snapshot(), store.vocabulary(), ["cat"])
    assert now.cut == pytest.approx(row.cut - 0.75)
    data = read_files(store.snapshot().files("scores", "cat"))
    values = data["log_odds" if method == "auto" else "logit"].to_numpy(zero_copy_only=False)
    assert now.distribution.accepted == np.count_nonzero(values >= now.cut)
    store.vocabulary_path.write_text(
        text.replace("prompts: [cat]", "prompts: [cat], thresholds: {accepted: 1}")
    )
    with pytest.raises(InputError, match="no cut gives"):
        set_cut(store, "cat", 0.0, shown=True)


def test_a_cut_set_where_there_was_no_signal_is_obeyed(store: Store) -> None:
    assert store.plan().no_signal == ("ghost",)
    run = set_cut(store, "ghost", -7.0)
    assert run.outcomes[0].change.entering > 0
    assert store.plan().no_signal == ()
    assert_sound(store.path)


def test_a_fixed_fit_and_its_cut(store: Store) -> None:
    run = fit_attributes(store, ["cat"], "fixed")
    assert run.outcomes[0].fit == Fit("fixed", 25.5, 1.5, chosen=True)
    data = read_files(store.snapshot().files("scores", "cat"))
    assert data["log_odds"].null_count == data.num_rows
    set_cut(store, "cat", LOG_4 + 2.0)
    assert fit_of(store, "cat") == Fit("fixed", 28.5, 1.5, chosen=True)
    assert fit_attributes(store, ["cat"]).outcomes[0].fit.method == "auto"
    assert store.plan().empty


def test_labels_move_the_cut_and_forget_nothing_of_the_base(store: Store) -> None:
    shows = images(COUNT)[1][:, 0]
    base = fit_of(store, "cat")
    label(store, "cat", {0: True, 1: False})
    with pytest.raises(InputError, match="cat: 2 labels; two of each kind or five in all"):
        fit_attributes(store, ["cat"], "labels")
    assert fit_attributes(store, method="labels").outcomes == ()
    with open_stage(store.path, command="test") as stage:
        stage.drop("labels", "cat", read=store.snapshot().files("labels", "cat"))
        stage.commit()
    label(store, "cat", {image: bool(shows[image]) for image in range(0, COUNT, 4)})
    run = fit_attributes(store, ["cat"], "labels")
    assert (run.changed, run.outcomes[0].fit.method) == (("cat",), "labels")
    fit = fit_of(store, "cat")
    assert fit.base is not None
    assert base.base is not None
    assert fit.base.cut == base.base.cut
    assert fit.labels is not None
    assert fit.cut == pytest.approx(base.cut + fit.labels.delta)
    truth = set(np.flatnonzero(shows).tolist())

    def f1(found: set[int]) -> float:
        return 2 * len(found & truth) / (len(found) + len(truth))

    assert f1(accepted(store, "cat")) > 0.6
    assert fit_attributes(store, ["cat"], "labels").changed == ()
    assert fit_attributes(store, ["cat"], "auto").outcomes[0].fit.method == "auto"
    assert fit_attributes(store, ["cat"]).outcomes[0].fit.method == "labels"
    assert store.plan().empty
    assert_sound(store.path)


def test_one_yes_alone_does_not_lift_no_signal(store: Store) -> None:
    label(store, "ghost", {image: image == 0 for image in range(12)})
    assert fit_attributes(store, ["ghost"], "labels").outcomes[0].fit.no_signal
    assert accepted(store, "ghost") == set()
    with open_stage(store.path, command="test") as stage:
        stage.drop("labels", "ghost", read=store.snapshot().files("labels", "ghost"))
        stage.commit()
    label(store, "ghost", {image: image < 2 for image in range(12)})
    assert not fit_attributes(store, ["ghost"], "labels").outcomes[0].fit.no_signal


def test_labels_on_the_models_own_fit(tmp_path: Path) -> None:
    store = planted_store(tmp_path, 150)
    tag(store)
    shows = images(150)[1][:, 0]
    label(store, "cat", {image: bool(shows[image]) for image in range(0, 150, 3)})
    run = fit_attributes(store, ["cat", "dog"])
    methods = {o.change.code: (o.fit.method, o.fit.axis, o.fallback) for o in run.outcomes}
    assert methods["cat"] == ("labels", None, None)
    assert methods["dog"][:2] == ("fixed", None)
    assert "150 embedded images" in (methods["dog"][2] or "")
    assert run.changed == ("cat",)
    with pytest.raises(InputError, match="auto cannot be had"):
        fit_attributes(store, ["cat"], "auto")
    store.sync()
    assert store.plan().empty
    assert_sound(store.path)
    text = store.vocabulary_path.read_text()
    store.vocabulary_path.write_text(text.replace("prompts: [cat]", "prompts: [cat, cat again]"))
    assert [(work.code, work.reasons) for work in store.plan().base] == [("cat", ("prompt changed",))]
    store.sync()
    again = fit_of(store, "cat")
    assert (again.method, again.axis) == ("labels", None)
    assert again.labels is not None
    assert again.labels.present + again.labels.absent == 50
    assert store.plan().empty
    assert_sound(store.path)


def test_a_collection_that_grew_gets_a_proposal_and_nothing_else(store: Store, tmp_path: Path) -> None:
    fits = data_files(store, "calibrations")
    put_images(store, tmp_path, images(90, seed=8)[0], first=COUNT)
    store.sync()
    assert store.plan().proposals == ()
    put_images(store, tmp_path, images(20, seed=9)[0], first=COUNT + 90)
    store.sync()
    plan = store.plan()
    assert plan.empty
    assert [(p.code, p.reason) for p in plan.proposals] == [
        (code, "400 images at the fit, 510 now") for code in ("cat", "dog", "ghost")
    ]
    assert data_files(store, "calibrations") == fits
    (row,) = calibration_table(store, store.snapshot(), store.vocabulary(), ["cat"])
    assert row.proposal == "400 images at the fit, 510 now"
    fit_attributes(store)
    assert store.plan().proposals == ()


def test_the_table_tells_the_fit_that_its_counts_are_of(store: Store, tmp_path: Path) -> None:
    (before,) = calibration_table(store, store.snapshot(), store.vocabulary(), ["cat"])
    put_background(store, tmp_path, range(50))
    (row,) = calibration_table(store, store.snapshot(), store.vocabulary(), ["cat"])
    assert row.to_make and row.stale
    assert (row.fit, row.cut, row.distribution) == (before.fit, before.cut, before.distribution)
    store.sync()
    (row,) = calibration_table(store, store.snapshot(), store.vocabulary(), ["cat"])
    assert row.fit is not None and row.fit != before.fit and not row.to_make


def test_answers_on_the_sigmoid_get_a_proposal_once_auto_can_be_made(tmp_path: Path) -> None:
    store = planted_store(tmp_path, 150)
    store.sync()
    label(store, "dog", {image: image % 2 == 0 for image in range(12)})
    fit_attributes(store, ["dog"], "labels")
    assert fit_of(store, "dog").base is None
    assert store.plan().proposals == ()
    put_images(store, tmp_path, images(60, seed=8)[0], first=150)
    store.sync()
    (proposal,) = store.plan().proposals
    assert (proposal.code, "auto fit can be made" in proposal.reason) == ("dog", True)
    fit_attributes(store, ["dog"])
    fit = fit_of(store, "dog")
    assert (fit.method, fit.base is None, fit.labels is None) == ("labels", False, False)
    assert store.plan().proposals == ()


def test_auto_is_not_proposed_for_answers_while_the_background_has_no_vectors(tmp_path: Path) -> None:
    store = planted_store(tmp_path, background=False)
    store.sync()
    label(store, "dog", {image: image % 2 == 0 for image in range(12)})
    fit_attributes(store, ["dog"], "labels")
    update_settings(store.path, lambda now: replace(now, models=(replace(now.models[0], spec="hash"),)))
    assert store.plan().proposals == (), "whether the model can be loaded is not known"
    put_background(store, tmp_path)
    assert [proposal.code for proposal in store.plan().proposals] == ["dog"]


def test_answers_that_are_taken_back_get_a_proposal(store: Store) -> None:
    label(store, "dog", dict.fromkeys(range(12), True))
    fit_attributes(store, ["dog"], "labels")
    save_answer(store, "dog", Answer(0, "ann", False, None, "policy", None), None)
    assert store.plan().proposals == (), "one is no reason"
    for image in range(1, 5):
        save_answer(store, "dog", Answer(image, "ann", False, None, "policy", None), None)
    (proposal,) = store.plan().proposals
    assert proposal.reason == "12 yes and 0 no at the fit, 7 and 5 now"
    fit_attributes(store, ["dog"], "labels")
    assert store.plan().proposals == ()


def test_an_image_that_stands_out_is_accepted_where_no_other_showed_it(store: Store, tmp_path: Path) -> None:
    assert accepted(store, "ghost") == set()
    block, _ = images(3, seed=8)
    block[1] = unit_length(block[1:2] + 1.6 * directions()[2:3])[0]
    put_images(store, tmp_path, block, first=COUNT)
    store.sync()
    (row,) = calibration_table(store, store.snapshot(), store.vocabulary(), ["ghost"])
    ids = read_files(store.snapshot().files("scores", "ghost"), ["image_id"])["image_id"].to_numpy()
    assert accepted(store, "ghost") == {int(np.sort(ids)[-2])}
    assert row.no_signal
    assert row.cut == pytest.approx(fit_of(store, "ghost").gate)
    unseen = "an image that the fit has not seen scores as one that shows it does"
    assert row.proposal == unseen
    assert_sound(store.path)
    fit_attributes(store, ["ghost"])
    assert store.plan().proposals == ()
    fit_attributes(store, ["ghost"], sample=MINIMUM_IMAGES)
    assert fit_of(store, "ghost").no_signal
    assert [proposal.reason for proposal in store.plan().proposals] == [unseen], (
        "a fit on more images can be had"
    )


def test_labels_newer_than_the_fit_get_a_proposal(store: Store) -> None:
    label(store, "cat", {image: image < 2 for image in range(3)})
    assert store.plan().proposals == ()
    label(store, "dog", {image: image % 2 == 0 for image in range(12)})
    plan = store.plan()
    assert plan.empty
    assert [(p.code, p.reason) for p in plan.proposals] == [("dog", "0 labelled images at the fit, 12 now")]
    (row,) = calibration_table(store, store.snapshot(), store.vocabulary(), ["dog"])
    assert row.proposal == plan.proposals[0].reason
    set_cut(store, "dog", 1.0)
    assert store.plan().proposals == (), "somebody chose that cut"
    fit_attributes(store, ["dog"])
    assert store.plan().proposals == ()


def test_images_that_score_otherwise_are_told(store: Store, tmp_path: Path) -> None:
    assert all(
        (work.drift or 0) < 0.05 for work in calibration_table(store, store.snapshot(), store.vocabulary())
    )
    put_images(store, tmp_path, images(300, seed=4, cats=0.9, dogs=0.0)[0])
    store.sync()
    told = {p.code: p for p in store.plan().proposals}
    assert "drift" in told["cat"].reason
    assert (told["cat"].drift or 0) > 0.2
    assert told["cat"].growth == 0
    assert store.plan().empty


def test_the_receipt(store: Store) -> None:
    first = receipt(store, "cat")
    assert first.since is None
    assert first.fit is not None
    assert first.fit.base is not None
    assert first.fit.base.competing
    assert all(0 <= share <= 1 and phrase.startswith("phrase") for phrase, share in first.fit.base.competing)
    cut = first.fit.cut
    assert first.row.cut == pytest.approx(cut)
    assert len(first.above) == len(first.below) == 5
    assert all((image.log_odds or 0) >= cut for image in first.above)
    assert all((image.log_odds or 0) < cut for image in first.below)
    odds = [image.log_odds or 0 for image in (*reversed(first.above), *first.below)]
    assert odds == sorted(odds, reverse=True)
    assert first.above[0].path.endswith(".jpg")
    assert (first.row.fitted_on, first.row.no_signal, first.row.to_make, first.row.fallback) == (
        COUNT,
        False,
        None,
        None,
    )
    assert first.row.fitted_at is not None
    before = accepted(store, "cat")
    set_cut(store, "cat", cut + 1)
    second = receipt(store, "cat")
    assert second.since is not None
    assert second.since.difference == (f"cut of .80 (log odds) {cut:.3f} -> {cut + 1:.3f}",)
    assert (second.since.entering, second.since.leaving) == (0, len(before - accepted(store, "cat")))
    assert [version.command for version in second.history][:2] == ["calibration", "tag"]
    assert receipt(store, "cat", at=second.since.before.snapshot).fit == first.fit
    assert receipt(store, "ghost").row.no_signal


def test_estimates_come_from_audited_images_alone(store: Store) -> None:
    shows = images(COUNT)[1][:, 0]
    label(store, "cat", {image: bool(shows[image]) for image in range(0, COUNT, 10)})
    label(
        store, "dog", {image: bool(images(COUNT)[1][image, 1]) for image in range(0, COUNT, 2)}, "audit", 0.5
    )
    cat, dog = calibration_table(store, store.snapshot(), store.vocabulary(), ["cat", "dog"])
    assert (cat.labels, cat.precision, cat.recall) == (40, None, None)
    assert dog.precision is not None
    assert dog.recall is not None
    assert 0 <= dog.precision.low <= dog.precision.value <= dog.precision.high <= 1


def test_another_process_that_changes_the_fit_meanwhile(store: Store) -> None:
    told: list[str] = []
    seen = [0]

    def progress(done: int, total: int) -> None:
        if done == 1 and not seen[0]:
            seen[0] = 1
            store_fits(store, {"cat": Fit("fixed", 1.0, 2.0, chosen=True)}, active_model(store))

    run = fit_attributes(store, ["cat"], progress=progress, on_conflict=told.append)
    assert len(told) == 1
    assert "changed meanwhile" in told[0]
    assert run.outcomes[0].previous == Fit("fixed", 1.0, 2.0, chosen=True)
    assert fit_of(store, "cat").method == "auto"
    assert store.plan().empty
