"""Which fit an attribute gets: auto by its first tag, the model's own for want of it, and when it is made anew."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collections_on_disk import data_files
from crash_helpers import assert_sound
from planted_stores import (
    TEXTS,
    VOCABULARY,
    directions,
    images,
    names,
    planted_store,
    put_background,
    put_images,
    put_texts,
)
from vector_files import image_file, prompt_file

from colonnade.engine.calibration import ACCEPTED, Fit
from colonnade.engine.calibration_store import active_model, list_fits, refresh, store_fits
from colonnade.engine.calibration_table import calibration_table
from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.errors import InputError, ModelError, StoreError
from colonnade.engine.fit_choice import sound_row
from colonnade.engine.fit_run import fit_attributes, set_cut
from colonnade.engine.freshness import Task
from colonnade.engine.import_embeddings import import_embeddings, import_vectors
from colonnade.engine.places import read_places
from colonnade.engine.prompts import PHRASE, prompt_vectors
from colonnade.engine.scoring import codes_of_statuses, unit_length
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.stage import open_stage
from colonnade.engine.status import read_status
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_files, read_footer
from colonnade.engine.tag import plan_tag, tag
from colonnade.vocab import background_phrases

BASE = ("cat", "dog", "ghost")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 images, tagged and derived."""
    folder = tmp_path_factory.mktemp("planted")
    store = planted_store(folder)
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


def accepted(store: Store, code: str) -> np.ndarray:
    """bool [n], by image."""
    data = read_files(store.snapshot().files("scores", code), ["image_id", "status"])
    return np.asarray(codes_of_statuses(data["status"]) == ACCEPTED)


def put_labels(store: Store, code: str, answers: dict[int, bool]) -> None:
    rows = [
        {"image_id": image, "content_hash": None, "present": said, "reviewer": "ann", "policy": "policy",
         "reviewed_at": datetime(2024, 1, 1, tzinfo=UTC)}
        for image, said in answers.items()
    ]  # fmt: skip
    with open_stage(store.path, command="test") as stage:
        stage.append("labels", code, 0, pa.Table.from_pylist(rows, SCHEMAS["labels"]), read=())
        stage.commit()


def set_vocabulary(store: Store, old: str, new: str) -> None:
    text = store.vocabulary_path.read_text()
    assert old in text
    store.vocabulary_path.write_text(text.replace(old, new))


def test_the_first_tag_fits_and_stores_the_fit_with_the_scores(tmp_path: Path) -> None:
    store = planted_store(tmp_path)
    plan = store.plan()
    assert plan.to_calibrate == BASE
    assert (plan.phrases_to_encode, plan.prompts_to_encode) == (0, ())
    number = store.snapshot().number
    told: list[str] = []
    outcome = tag(store, say=told.append)
    assert (outcome.fitted, outcome.no_signal) == (BASE, ("ghost",))
    assert told == ["no signal in this collection, so at most what stands out is accepted: ghost"]
    assert store.snapshot().number == number + 1, "one commit"
    derive_attributes(store)
    assert store.plan().empty
    assert_sound(store.path)
    shows = images(300)[1]
    for column, code in enumerate(("cat", "dog")):
        found = accepted(store, code)
        assert found.sum() >= 5
        assert not (found & ~shows[:, column]).any()
        fit = fit_of(store, code)
        assert (fit.method, fit.chosen, fit.no_signal) == ("auto", False, False)
        assert fit.base is not None
        assert (fit.base.count, fit.base.embedded, fit.base.snapshot) == (300, 300, number)
    assert not accepted(store, "ghost").any()
    confidence = read_files(store.snapshot().files("scores", "ghost"), ["confidence"])[
        "confidence"
    ].to_numpy()
    assert confidence.max() <= 0.49
    for file in store.snapshot().files("scores", "cat"):
        assert read_footer(file).sketch is not None


def test_no_signal_is_told_where_the_attribute_is(store: Store) -> None:
    assert store.plan().no_signal == ("ghost",)
    states = {item.code: (item.state, item.no_signal) for item in read_status(store).attributes}
    assert states["ghost"] == ("no signal", True)
    assert states["cat"] == ("fresh", False)
    assert store.query("ghost").warnings == (
        "no signal in this collection, so at most what stands out is accepted: ghost",
    )
    assert store.query("cat and haunted?").warnings == store.query("ghost").warnings
    assert store.query("cat", columns=["ghost"]).warnings == store.query("ghost").warnings
    assert store.query("cat or dog").warnings == ()


@pytest.mark.parametrize(
    ("count", "background", "words"),
    [
        (199, range(80), "199 embedded images; auto needs 200"),
        (300, None, "no vectors of background phrases; import them"),
        (300, range(49), "49 background phrases; auto needs 50"),
    ],
)
def test_without_what_auto_needs_the_fit_is_the_models_own(
    tmp_path: Path, count: int, background: range | None, words: str
) -> None:
    store = planted_store(tmp_path, count, background=False)
    if background is not None:
        put_background(store, tmp_path, background)
    told: list[str] = []
    outcome = tag(store, say=told.append)
    assert outcome.fitted == ()
    assert outcome.attributes == BASE
    assert len(told) == 1
    assert words in told[0]
    assert store.snapshot().partitions("calibrations") == ()
    (work,) = plan_tag(store.snapshot(), store.vocabulary(), active_model(store), codes=["cat"])
    assert work.cells == ()
    assert work.fit == Fit("fixed", 25.5, 1.5)
    assert work.choice is not None
    assert words in (work.choice.fallback or "")
    assert not store.plan().base
    # Once it can be had, the next tag fits it.
    put_background(store, tmp_path)
    put_images(store, tmp_path, images(50, seed=3)[0], first=count)
    assert {reason for work in store.plan().base for reason in work.reasons} == {"not calibrated yet"}
    assert tag(store).fitted == BASE
    assert not store.plan().base
    assert_sound(store.path)


def test_the_demo_model_has_its_own_fits(tmp_path: Path) -> None:
    store = planted_store(tmp_path)
    update_settings(
        store.path, lambda now: replace(now, models=(replace(now.models[0], spec="demo"),), spec="demo")
    )
    told: list[str] = []
    assert tag(store, say=told.append).fitted == ()
    assert told == []
    assert not store.plan().base


@dataclass(frozen=True)
class Change:
    """A change of the user's, and what exactly it must cause."""

    apply: Callable[[Store, Path], None]
    fitted: frozenset[str] = frozenset()
    """Codes that get a new fit."""
    written: frozenset[str] = frozenset()
    """Codes whose partition of scores gets other files."""
    reason: str | None = None
    cheap: bool = False
    """Whether it is made from the stored log odds alone."""


EVERY = frozenset({*BASE, "pets", "haunted"})
CHANGES = {
    "nothing": Change(lambda store, folder: None),
    "new images": Change(
        lambda store, folder: put_images(store, folder, images(40, seed=5)[0], first=300), written=EVERY,
        reason="new images",
    ),
    "changed images": Change(
        lambda store, folder: put_images(store, folder, images(40, seed=6)[0]), written=EVERY, reason="new images"
    ),
    "background": Change(
        lambda store, folder: put_background(store, folder, range(70)), frozenset(BASE), EVERY, "background changed"
    ),
    "prompt": Change(
        lambda store, folder: set_vocabulary(store, "prompts: [cat]", "prompts: [cat, cat again]"),
        frozenset({"cat"}),
        frozenset({"cat", "pets", "haunted"}),
        "prompt changed",
    ),
    "prompt vector": Change(
        lambda store, folder: put_texts(store, folder, with_other_cat()),
        frozenset({"cat"}),
        frozenset({"cat", "pets", "haunted"}),
        "new",
    ),
    "model settings": Change(
        lambda store, folder: void(
            update_settings(store.path, lambda now: replace(now, models=(replace(now.models[0], logit_scale=50.0),)))
        ),
        frozenset(BASE),
        EVERY,
        "model settings changed",
    ),
    "template": Change(
        lambda store, folder: void(store.vocabulary_path.write_text(VOCABULARY + "templates: ['a {description}']\n"))
    ),
    "label": Change(lambda store, folder: set_vocabulary(store, "label: Cat", "label: Tomcat")),
    "threshold": Change(
        lambda store, folder: set_vocabulary(store, "prompts: [cat]", "prompts: [cat], thresholds: {accepted: 0.9}"),
        written=frozenset({"cat", "pets", "haunted"}),
        reason="thresholds changed",
        cheap=True,
    ),
    "people's labels": Change(lambda store, folder: put_labels(store, "cat", {i: i % 2 == 0 for i in range(20)})),
    "fixed": Change(
        lambda store, folder: void(
            store_fits(store, {"cat": Fit("fixed", 20.0, 2.0, chosen=True)}, active_model(store))
        ),
        written=frozenset({"cat", "pets", "haunted"}),
        reason="calibration changed",
        cheap=True,
    ),
    "forgotten fit": Change(
        lambda store, folder: void(store_fits(store, {"cat": None}, active_model(store))),
        fitted=frozenset({"cat"}),
        reason="not calibrated yet",
    ),
    "removed attribute": Change(
        lambda store, folder: remove_dog(store),
        written=frozenset({"pets", "haunted"}),
    ),
}  # fmt: skip


def remove_dog(store: Store) -> None:
    set_vocabulary(store, "  - {code: dog, label: Dog, description: a dog, prompts: [dog]}\n", "")
    set_vocabulary(store, "any_of: [cat, dog]", "any_of: [cat]")


def void(result: object) -> None:
    del result


def with_other_cat() -> np.ndarray:
    texts = directions()[: len(TEXTS)].copy()
    texts[0] = unit_length(texts[:1] + 0.1)[0]
    return texts


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_refits_exactly_what_it_must(store: Store, tmp_path: Path, name: str) -> None:
    change = CHANGES[name]
    scores, fits = data_files(store), data_files(store, "calibrations")
    change.apply(store, tmp_path)
    base = store.plan().base
    if change.reason is not None:
        assert {reason for work in base for reason in work.reasons} == {change.reason}
    if change.cheap:
        assert {cell.task for work in base for cell in work.cells} == {Task.CONFIDENCE}
    stored = data_files(store, "calibrations")
    outcome = store.sync()
    assert set(outcome.tag.fitted) == change.fitted
    after = data_files(store)
    assert {code for code in after if after[code] != scores.get(code)} == change.written
    now = data_files(store, "calibrations")
    assert {code for code in now if now[code] != stored.get(code)} == change.fitted
    if not change.fitted and name not in ("fixed",):
        assert now == fits
    assert store.plan().empty
    assert_sound(store.path)


def test_new_images_are_judged_by_the_stored_fit_alone_and_in_any_order(tmp_path: Path) -> None:
    block, _ = images(240)
    together, apart = planted_store(tmp_path / "a", 200), planted_store(tmp_path / "b", 200)
    for store in (together, apart):
        tag(store)
    put_images(together, tmp_path, block[200:], first=200)
    tag(together)
    for number in reversed(range(200, 240)):
        put_images(apart, tmp_path, block[number : number + 1], first=number)
        tag(apart)
    assert_sound(apart.path)
    for code in BASE:
        assert fit_of(together, code) == fit_of(apart, code)
        rows = []
        for store in (together, apart):
            snapshot = store.snapshot()
            paths = read_files(snapshot.files("images"), ["image_id", "path"])
            data = read_files(snapshot.files("scores", code), ["image_id", "logit", "log_odds", "confidence"])
            joined = paths.join(data, "image_id").sort_by("path").drop_columns(["image_id"])
            rows.append(joined.to_pydict())
        assert rows[0] == rows[1], code


def test_labels_survive_a_new_background_and_a_new_model(store: Store, tmp_path: Path) -> None:
    shows = images(300)[1]
    put_labels(store, "cat", {int(i): bool(shows[i, 0]) for i in range(0, 300, 5)})
    run = fit_attributes(store, ["cat"], "labels")
    assert run.changed == ("cat",)
    labelled = fit_of(store, "cat")
    assert labelled.method == "labels"
    assert labelled.labels is not None
    assert labelled.labels.present + labelled.labels.absent == 60
    before = data_files(store, "calibrations")
    tag(store, force=True)
    assert data_files(store, "calibrations") == before
    put_background(store, tmp_path, range(75))
    tag(store)
    again = fit_of(store, "cat")
    assert again.method == "labels"
    assert again.background != labelled.background
    assert fit_of(store, "dog").method == "auto"
    other = Model("other", "", 64, 100.0)
    file = image_file(tmp_path / "o.parquet", names(300), images(300)[0])
    text = prompt_file(tmp_path / "ot.parquet", directions()[: len(TEXTS)], TEXTS)
    phrases = prompt_file(tmp_path / "op.parquet", directions()[4:], [f"p{i}" for i in range(80)])
    import_embeddings(store, file, key="other", logit_scale=100.0, text=text, background=phrases)
    update_settings(store.path, lambda now: now.with_model(other, activate=True))
    assert {work.reasons for work in store.plan().base} == {("model changed",)}
    tag(store)
    assert fit_of(store, "cat").method == "labels"
    assert fit_of(store, "dog").method == "auto"
    assert_sound(store.path)


def test_what_somebody_chose_is_kept_or_told(store: Store, tmp_path: Path) -> None:
    shows = images(300)[1]
    put_labels(store, "cat", {int(i): bool(shows[i, 0]) for i in range(0, 300, 5)})
    put_labels(store, "dog", {int(i): bool(shows[i, 1]) for i in range(0, 300, 5)})
    fit_attributes(store, ["cat"], "auto")
    set_cut(store, "ghost", -7.0)
    put_background(store, tmp_path, range(75))
    told: list[str] = []
    tag(store, say=told.append)
    assert "calibrated anew, so cuts set by hand are gone: ghost" in told
    assert (fit_of(store, "cat").method, fit_of(store, "cat").chosen) == ("auto", True)
    assert (fit_of(store, "dog").method, fit_of(store, "dog").chosen) == ("labels", False)
    assert not fit_of(store, "ghost").moved


def put_row(store: Store, change: Callable[[dict[str, object]], None]) -> None:
    """Another row for cat's calibration, as a hostile or broken writer leaves it."""
    files = store.snapshot().cell("calibrations", "cat", 0)
    row = read_files(files).to_pylist()[0]
    change(row)
    with open_stage(store.path, command="test") as stage:
        stage.replace(
            "calibrations", "cat", 0, pa.Table.from_pylist([row], SCHEMAS["calibrations"]), read=files
        )
        stage.commit()


def negative_slope(row: dict[str, object]) -> None:
    row["fit"] = str(row["fit"]).replace('"slope": ', '"slope": -')


def other_method(row: dict[str, object]) -> None:
    row["method"] = "evil"


def with_axis(row: dict[str, object], **arrays: np.ndarray) -> None:
    document = json.loads(str(row["fit"]))
    for name, array in arrays.items():
        document["base"]["axis"][name] = base64.b64encode(array.tobytes()).decode()
    row["fit"] = json.dumps(document)


def distant_phrase(row: dict[str, object]) -> None:
    with_axis(row, near=np.array([65535], "<u2"))


def no_competitor(row: dict[str, object]) -> None:
    with_axis(row, far=np.arange(80, dtype="<u2"))


def seven_numbers(row: dict[str, object]) -> None:
    with_axis(row, directions=np.ones((8, 7), "<f4"))


@pytest.mark.parametrize(
    "damage", [negative_slope, other_method, distant_phrase, no_competitor, seven_numbers]
)
def test_a_damaged_fit_stops_nothing_else_and_is_made_anew(
    store: Store, damage: Callable[[dict[str, object]], None]
) -> None:
    put_row(store, damage)
    if damage in (negative_slope, other_method):
        assert sound_row(store.snapshot(), "cat", active_model(store)) == (None, True)
    plan = store.plan()
    assert [(work.code, work.reasons) for work in plan.base] == [("cat", ("stored calibration damaged",))]
    states = {item.code: item.state for item in read_status(store).attributes}
    assert "stored calibration damaged" in states["cat"]
    assert states["dog"] == "fresh"
    table = calibration_table(store, store.snapshot(), store.vocabulary())
    assert [row.to_make for row in table[:2]] == ["stored calibration damaged", None]
    assert len(list_fits(store, store.snapshot(), store.vocabulary())) == 3
    assert fit_attributes(store, ["cat"], dry_run=True).outcomes[0].fit.method == "auto"
    assert tag(store).fitted == ("cat",)
    assert fit_of(store, "cat").method == "auto"
    store.sync()
    assert store.plan().empty


def test_shipped_phrases_are_encoded_once_with_the_templates(tmp_path: Path) -> None:
    store = Store.create(
        tmp_path / "store", vocabulary=VOCABULARY.replace(", prompts: [cat]", "").encode(), model="hash"
    )
    block = unit_length(np.random.default_rng(0).standard_normal((220, 512)).astype(np.float32))
    import_vectors(store, Model("hash", "hash", 512, 100.0), [f"{i}.jpg" for i in range(220)], block)
    phrases = background_phrases()
    plan = store.plan()
    assert plan.phrases_to_encode == len(phrases) > 1000
    outcome = tag(store)
    assert outcome.encoded_phrases == len(phrases)
    assert outcome.encoded_prompts == 3
    cached = prompt_vectors(store.snapshot(), active_model(store), PHRASE)
    assert f"a photo of {phrases[0]}" in cached
    set_vocabulary(
        store, "derived_attributes", "  - {code: owl, label: O, description: an owl}\nderived_attributes"
    )
    assert store.plan().phrases_to_encode == 0
    assert tag(store).encoded_phrases == 0
    like = f"  - {{code: like, label: L, description: {phrases[0]}}}\nderived_attributes"
    set_vocabulary(store, "derived_attributes", like)
    assert store.plan().prompts_to_encode == (), "a phrase of the background is the very text"
    assert tag(store).encoded_prompts == 0
    assert f"a photo of {phrases[0]}" in prompt_vectors(store.snapshot(), active_model(store))
    set_vocabulary(store, like, "derived_attributes")
    text = store.vocabulary_path.read_text()
    store.vocabulary_path.write_text(text + "templates: ['one {description}', 'two {description}']\n")
    assert store.plan().phrases_to_encode == len(phrases)
    outcome = tag(store)
    assert outcome.encoded_phrases == len(phrases)
    assert set(outcome.fitted) == {*BASE, "owl"}
    assert not store.plan().base


def test_phrases_that_cannot_be_encoded_are_done_without(tmp_path: Path) -> None:
    store = planted_store(tmp_path, background=False)
    update_settings(store.path, lambda now: replace(now, models=(replace(now.models[0], spec="hash"),)))

    def load(spec: str) -> object:
        raise ModelError(f"{spec}: cannot be fetched")

    told: list[str] = []
    outcome = tag(store, load=load, say=told.append)  # type: ignore[arg-type]
    assert (outcome.attributes, outcome.fitted) == (BASE, ())
    assert len(told) == 2
    assert "background phrases cannot be encoded: hash: cannot be fetched" in told[0]
    assert "fixed calibration" in told[1]
    assert tag(store, load=load).attributes == ()  # type: ignore[arg-type]
    derive_attributes(store)
    assert store.plan().empty, "trying again would fail again"
    assert read_places(store, store.snapshot(), store.vocabulary(), "cat").fit == Fit("fixed", 25.5, 1.5)
    assert set_cut(store, "cat", 2.0).changed == ("cat",)
    store_fits(store, {"cat": None}, active_model(store))
    tag(store, load=load)  # type: ignore[arg-type]
    derive_attributes(store)
    # New images are a reason to try once more, and a background is one by itself.
    put_images(store, tmp_path, images(5, seed=3)[0], first=300)
    assert store.plan().to_calibrate == BASE
    assert tag(store, load=load).fitted == ()  # type: ignore[arg-type]
    derive_attributes(store)
    assert store.plan().empty
    put_background(store, tmp_path)
    assert store.plan().to_calibrate == BASE
    assert tag(store, load=load).fitted == BASE  # type: ignore[arg-type]


def test_a_refresh_waits_for_what_needs_the_model(tmp_path: Path) -> None:
    store = planted_store(tmp_path, background=False)
    tag(store)
    update_settings(store.path, lambda now: replace(now, models=(replace(now.models[0], spec="hash"),)))
    put_images(store, tmp_path, images(5, seed=3)[0], first=300)
    assert refresh(store, ["cat"]) == ((), ("cat",))


def test_scores_without_log_odds_are_told_and_can_be_made_anew(store: Store, tmp_path: Path) -> None:
    """As a file of an earlier state of the program has them: DuckDB reads it, we name what is missing."""
    files = store.snapshot().cell("scores", "cat", 0)
    data = read_files(files).drop_columns(["log_odds"])
    footer = pq.read_metadata(files[0].path).metadata[b"colonnade"]
    pq.write_table(data.replace_schema_metadata({b"colonnade": footer}), files[0].path)
    put_images(store, tmp_path, images(5, seed=2)[0], first=300)
    with pytest.raises(StoreError, match="the column log_odds is missing") as told:
        tag(store, codes=["cat"])
    assert "\n" not in str(told.value)
    tag(store, codes=["cat"], force=True)
    store.sync()
    assert store.plan().empty


def test_too_many_phrases_are_refused_at_their_import(tmp_path: Path) -> None:
    store = planted_store(tmp_path, 5, background=False)
    block = unit_length(np.random.default_rng(0).standard_normal((16_385, 64)).astype(np.float32))
    file = prompt_file(tmp_path / "many.parquet", block, [f"p{i}" for i in range(16_385)])
    with pytest.raises(InputError, match="16,385 phrases; at most 16,384"):
        import_embeddings(store, None, key="planted", logit_scale=100.0, background=file)
