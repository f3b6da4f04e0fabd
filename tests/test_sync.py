"""The plan and its run: exactly the stale cells, and afterwards nothing is stale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from collections_on_disk import VOCABULARY, data_files, make_store, write_image
from crash_helpers import assert_sound
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colonnade.engine.calibration import Fit
from colonnade.engine.calibration_store import active_model, store_fits
from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.embed import embed
from colonnade.engine.errors import InputError, ModelError, StoreError
from colonnade.engine.import_embeddings import import_vectors
from colonnade.engine.prompts import store_prompts
from colonnade.engine.registry import move_root, use_model
from colonnade.engine.scan import apply_scan, plan_scan
from colonnade.engine.scoring import unit_length
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.stage import open_stage
from colonnade.engine.status import read_status
from colonnade.engine.store import Store
from colonnade.engine.sync import Narrator, Plan, SyncOutcome, make_plan, run_plan
from colonnade.engine.tables import read_files
from colonnade.engine.tag import tag


def set_vocabulary(store: Store, change: Callable[[str], str]) -> None:
    text = store.vocabulary_path.read_text()
    changed = change(text)
    assert changed != text
    store.vocabulary_path.write_text(changed)


def set_calibration(store: Store, code: str, center: float) -> None:
    store_fits(store, {code: Fit("fixed", center, 1.5, chosen=True)}, active_model(store))


@dataclass(frozen=True)
class Change:
    """A change of the user's, and what exactly it must cause."""

    apply: Callable[[Store, Path], None]
    decoded: int
    encoded: int
    written: frozenset[str]
    """Codes whose partition gets other files."""


BASE = frozenset({"earth", "moon", "sun"})
DERIVED = frozenset({"earth_only", "bodies", "lonely"})

CHANGES = {
    "nothing": Change(lambda store, photos: None, 0, 0, frozenset()),
    "new image": Change(
        lambda store, photos: void(write_image(photos / "new.jpg", 99)), 1, 0, BASE | DERIVED
    ),
    "changed image": Change(lambda store, photos: rewrite(photos / "001.jpg", 77), 1, 0, BASE | DERIVED),
    "touched image": Change(lambda store, photos: os.utime(photos / "001.jpg", (1, 1)), 0, 0, frozenset()),
    "moved image": Change(
        lambda store, photos: void((photos / "001.jpg").rename(photos / "renamed.jpg")), 0, 0, frozenset()
    ),
    "vanished image": Change(lambda store, photos: (photos / "001.jpg").unlink(), 0, 0, frozenset()),
    "copied image": Change(
        lambda store, photos: void(shutil.copy(photos / "001.jpg", photos / "copy.jpg")), 0, 0, BASE | DERIVED
    ),
    "new attribute": Change(
        lambda store, photos: set_vocabulary(
            store,
            lambda t: t.replace(
                "derived_attr", "  - {code: star, label: S, description: a star}\nderived_attr"
            ),
        ),
        0,
        1,
        frozenset({"star"}),
    ),
    "changed description": Change(
        lambda store, photos: set_vocabulary(store, lambda t: t.replace("the Sun visible", "our Sun")),
        0,
        1,
        frozenset({"sun", "earth_only", "bodies", "lonely"}),
    ),
    "changed template": Change(
        lambda store, photos: set_vocabulary(store, lambda t: "templates: ['a {description}']\n" + t),
        0,
        3,
        BASE | DERIVED,
    ),
    "changed label": Change(
        lambda store, photos: set_vocabulary(store, lambda t: t.replace("label: Sun", "label: Sol")),
        0,
        0,
        frozenset(),
    ),
    "threshold of one attribute": Change(
        lambda store, photos: set_vocabulary(
            store, lambda t: t.replace("the Moon visible}", "the Moon visible, thresholds: {accepted: 0.9}}")
        ),
        0,
        0,
        frozenset({"moon", "earth_only", "bodies", "lonely"}),
    ),
    "calibration": Change(
        lambda store, photos: set_calibration(store, "sun", 1.0),
        0,
        0,
        frozenset({"sun", "earth_only", "bodies", "lonely"}),
    ),
    "derived rule": Change(
        lambda store, photos: set_vocabulary(
            store, lambda t: t.replace("any_of: [moon, sun]", "any_of: [moon]")
        ),
        0,
        0,
        frozenset({"bodies", "lonely"}),
    ),
}


def void(result: object) -> None:
    del result


def rewrite(path: Path, seed: int) -> None:
    write_image(path, seed)
    os.utime(path, (2, 2))


def import_other_model(store: Store) -> None:
    """Vectors of another model for the same images, and their prompts; scores follow."""
    model = Model("other", "", 8, 100.0)
    rng = np.random.default_rng(3)
    names = [f"{number:03d}.jpg" for number in range(6)]
    update_settings(store.path, lambda now: now.with_model(model, activate=True))
    import_vectors(store, model, names, unit_length(rng.standard_normal((6, 8), dtype=np.float32)))
    prompts = [
        prompt
        for attribute in store.vocabulary().base
        for prompt in store.vocabulary().prompts(attribute.code)
    ]
    with open_stage(store.path, command="test") as stage:
        vectors = unit_length(rng.standard_normal((len(prompts), 8), dtype=np.float32))
        store_prompts(stage, model, dict(zip(prompts, vectors, strict=True)))
        stage.commit()


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_makes_exactly_the_right_cells_stale(tmp_path: Path, name: str) -> None:
    change = CHANGES[name]
    store = make_store(tmp_path)
    store.sync()
    before = data_files(store)
    change.apply(store, tmp_path / "photos")
    started = data_files(store)
    outcome = store.sync()
    after = data_files(store)
    assert outcome.embed.embedded == change.decoded
    assert outcome.tag.encoded_prompts == change.encoded
    assert {code for code in after if after[code] != before.get(code)} == change.written
    assert started.keys() <= after.keys()
    assert store.plan().empty


def test_adding_an_attribute_leaves_every_other_file_byte_for_byte(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.sync()
    before = {file.path.stat().st_ino: file.path.read_bytes() for file in store.snapshot().files("scores")}
    CHANGES["new attribute"].apply(store, tmp_path)
    store.sync()
    after = {file.path.stat().st_ino: file.path.read_bytes() for file in store.snapshot().files("scores")}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1


def test_tag_of_some_codes_leaves_the_others(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.sync()
    before = data_files(store)
    set_vocabulary(
        store, lambda t: t.replace("the Sun visible", "our Sun").replace("Earth visible}", "our Earth}")
    )
    assert tag(store, codes=["sun"]).attributes == ("sun",)
    after = data_files(store)
    assert {code for code in after if after[code] != before[code]} == {"sun"}
    assert {work.code for work in store.plan().base} == {"earth"}


def test_forced_work_gives_the_same_files(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.sync()
    before = data_files(store)
    assert tag(store, force=True).rows == 18
    assert set(derive_attributes(store, force=True)) == DERIVED
    assert data_files(store) == before


@pytest.mark.parametrize(
    ("codes", "words"), [(["erth"], "did you mean 'earth'"), (["lonely"], "colonnade derive lonely")]
)
def test_tag_names_what_is_wrong_with_a_code(tmp_path: Path, codes: list[str], words: str) -> None:
    store = make_store(tmp_path)
    store.sync()
    with pytest.raises(InputError, match=words):
        tag(store, codes=codes)


def test_an_unreadable_image_is_a_row_and_never_a_score(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    broken = tmp_path / "photos" / "broken.jpg"
    broken.write_bytes((tmp_path / "photos" / "000.jpg").read_bytes()[:400])
    (tmp_path / "photos" / "text.png").write_text("not a picture")
    outcome = store.sync()
    rows = read_files(store.snapshot().files("images")).to_pylist()
    unreadable = {row["path"]: row["error"] for row in rows if row["state"] == "unreadable"}
    assert unreadable.keys() == {"broken.jpg", "text.png"}
    assert all(unreadable.values())
    assert outcome.failures == 2
    bad = {row["image_id"] for row in rows if row["state"] == "unreadable"}
    scored = read_files(store.snapshot().files("scores", "earth"))["image_id"].to_pylist()
    assert not bad & set(scored)
    assert store.plan().empty


def test_an_image_folder_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.sync()
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    store.sync()
    states = read_files(store.snapshot().files("images"))["state"].to_pylist()
    assert states == ["ok"] * 6
    move_root(store, "photos", tmp_path / "elsewhere")
    outcome = store.sync()
    assert outcome.embed.embedded == 0
    assert store.plan().empty


def test_a_folder_that_goes_before_it_is_embedded_is_no_work(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    apply_scan(store, plan_scan(store))
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    assert store.plan().empty
    assert store.sync().embed.left == 0
    (tmp_path / "elsewhere").rename(tmp_path / "photos")
    assert store.plan().images_to_embed == 6


def test_a_root_moves_only_to_where_its_images_are(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.sync()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="none of 6 known images"):
        move_root(store, "photos", tmp_path / "empty")
    with pytest.raises(InputError, match="not a folder"):
        move_root(store, "photos", tmp_path / "nowhere")


def test_a_removed_attribute_is_an_orphan_and_keeps_its_scores(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.sync()
    before = data_files(store)
    set_vocabulary(store, lambda t: t[: t.index("derived_attributes")])
    plan = store.plan()
    assert plan.empty
    assert set(plan.orphans) == DERIVED
    store.sync()
    assert data_files(store) == before


def test_imported_vectors_cannot_embed_files(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.sync()
    active = store.settings.active
    assert active is not None
    update_settings(store.path, lambda now: replace(now, spec="", models=(replace(active, spec=""),)))
    write_image(tmp_path / "photos" / "new.jpg", 50)
    plan = make_plan(store)
    assert plan.scan is not None
    assert plan.scan.count("new") == 1
    assert plan.images_to_embed == 0
    apply_scan(store, plan_scan(store))
    assert store.plan().images_without_encoder == 1
    set_vocabulary(store, lambda t: t.replace("the Sun visible", "our Sun"))
    with pytest.raises(ModelError, match=r"a photo of our Sun.*--text"):
        tag(store)


def test_switching_back_to_a_known_model_embeds_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.sync()
    key = store.settings.model_key
    assert key is not None
    import_other_model(store)
    plan = store.plan()
    assert not plan.images_to_embed
    assert {work.reasons for work in plan.base} == {("model changed",)}
    use_model(store, key)
    assert store.plan().empty


def test_another_model_redoes_everything_beside_the_old_embeddings(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    apply_scan(store, plan_scan(store))
    import_other_model(store)
    assert store.sync().tag.rows == 18
    before = data_files(store)
    use_model(store, "hash")
    plan = store.plan()
    assert plan.images_to_embed == 6
    outcome = store.sync()
    assert (outcome.embed.embedded, outcome.tag.encoded_prompts) == (6, 3)
    after = data_files(store)
    assert {code for code in after if after[code] != before[code]} == BASE | DERIVED
    assert len(store.snapshot().partitions("embeddings")) == 2


def test_a_derived_attribute_waits_for_all_of_its_inputs(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.sync()
    write_image(tmp_path / "photos" / "new.jpg", 60)
    apply_scan(store, plan_scan(store))
    embed(store)
    tag(store, codes=["earth"])
    derive_attributes(store)
    assert_sound(store.path)
    planned = {work.code for work in store.plan().derived}
    assert planned == DERIVED
    assert set(store.sync().derived) == planned
    before = data_files(store)
    derive_attributes(store, force=True)
    assert data_files(store) == before
    rows = read_files(store.snapshot().files("scores", "earth_only")).to_pylist()
    assert all(row["status"] is not None and row["model"] == "hash" for row in rows)


def test_a_model_that_was_never_loaded_makes_everything_stale(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    plan = store.plan()
    assert {work.reasons for work in plan.base} == {("new",)}
    assert len(plan.prompts_to_encode) == 3
    store.sync()
    use_model(store, "demo")
    plan = store.plan()
    assert {work.reasons for work in plan.base} == {("model changed",)}
    assert {work.code for work in plan.derived} == DERIVED
    assert len(plan.prompts_to_encode) == 3
    assert {item.state for item in read_status(store).attributes if item.kind == "base"} == {"model changed"}


def test_a_missing_vocabulary_says_where_a_copy_is(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.vocabulary_path.unlink()
    with pytest.raises(StoreError, match="copy it from"):
        store.plan()


def test_tagging_with_cached_prompts_imports_no_torch(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.sync()
    set_vocabulary(store, lambda t: t.replace("accepted: 0.80", "accepted: 0.70"))
    code = (
        "import sys; from colonnade.engine.store import Store; from colonnade.engine.tag import tag\n"
        f"assert tag(Store({str(store.path)!r}), force=True).rows == 18\n"
        "heavy = {'torch', 'open_clip', 'umap', 'textual', 'PIL'} & sys.modules.keys(); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_confidence_does_not_depend_on_the_batch(tmp_path: Path) -> None:
    together = make_store(tmp_path / "a", images=9)
    together.sync()
    one_by_one = make_store(tmp_path / "b", images=0)
    for number in range(9):
        write_image(tmp_path / "b" / "photos" / f"{number:03d}.jpg", number)
        one_by_one.sync()
    for code in BASE:
        first = read_files(together.snapshot().files("scores", code))
        second = read_files(one_by_one.snapshot().files("scores", code))
        assert first["image_id"].to_pylist() == second["image_id"].to_pylist()
        np.testing.assert_allclose(first["logit"].to_numpy(), second["logit"].to_numpy(), atol=1e-4)


OPERATIONS = st.sampled_from(
    [
        "add",
        "delete",
        "rewrite",
        "move",
        "copy",
        "touch",
        "break",
        "describe",
        "thresholds",
        "template",
        "rule",
        "new attribute",
        "remove attribute",
        "calibrate",
        "tag one",
        "derive",
        "scan only",
        "embed only",
    ]
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(OPERATIONS, min_size=1, max_size=4), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
)
def test_after_a_sync_the_plan_is_empty(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[str]], random: Random
) -> None:
    folder = tmp_path_factory.mktemp("property")
    store = make_store(folder, images=3)
    counter = iter(range(100, 10_000))
    for operations in rounds:
        for operation in operations:
            _apply(operation, store, folder / "photos", next(counter), random)
        plan = store.plan()
        outcome = store.sync()
        _as_planned(plan, outcome)
        assert store.plan().empty, operations
        assert_sound(store.path)
        files_of = data_files(store)
        derive_attributes(store, force=True)
        assert data_files(store) == files_of, operations
        embedded = (
            read_files(store.snapshot().files("embeddings")).num_rows
            if data_files(store, "embeddings")
            else 0
        )
        for code in store.vocabulary().codes:
            files = store.snapshot().files("scores", code)
            assert (read_files(files).num_rows if files else 0) == embedded, (operations, code)


def _as_planned(plan: Plan, outcome: SyncOutcome) -> None:
    """What was done is what was planned; less where files turned out to be the same, or no pictures."""
    embedded = outcome.embed.embedded + outcome.embed.shared
    scored = {work.code for work in plan.base}, {work.code for work in plan.derived}
    done = set(outcome.tag.attributes), set(outcome.derived)
    assert embedded <= plan.images_to_embed
    assert done[0] <= scored[0] and done[1] <= scored[1]
    if not outcome.failures:
        assert embedded >= plan.images_to_embed - plan.images_perhaps
        if not plan.images_perhaps:
            assert done == scored


def _apply(operation: str, store: Store, photos: Path, number: int, random: Random) -> None:
    files = sorted(photos.glob("*.jpg"))
    some = random.choice(files) if files else None
    text = store.vocabulary_path.read_text()
    match operation:
        case "add":
            write_image(photos / f"{number}.jpg", number)
        case "delete" if some:
            some.unlink()
        case "rewrite" if some:
            write_image(some, number)
            os.utime(some, (number, number))
        case "break" if some:
            some.write_bytes(some.read_bytes()[:300] + bytes([number % 256]))
        case "move" if some:
            some.rename(photos / f"moved-{number}.jpg")
        case "copy" if some:
            shutil.copy(some, photos / f"copy-{number}.jpg")
        case "touch" if some:
            os.utime(some, (number, number))
        case "describe":
            store.vocabulary_path.write_text(text.replace("Earth visible", f"Earth {number} visible", 1))
        case "thresholds":
            accepted = 0.5 + (number % 50) / 100
            store.vocabulary_path.write_text(
                f"thresholds: {{accepted: {accepted}}}\n" + text.split("\n", 1)[1]
            )
        case "template" if "templates" not in text:
            store.vocabulary_path.write_text(text + f"templates: ['{number} {{description}}']\n")
        case "rule":
            rules = ("any_of: [moon, sun]", "any_of: [earth, sun]", "none_of: [sun]")
            old = next((rule for rule in rules if rule in text), None)
            if old:
                store.vocabulary_path.write_text(text.replace(old, rules[number % 3], 1))
        case "new attribute":
            line = f"  - {{code: a{number}, label: A, description: thing {number}}}\nderived_attributes"
            store.vocabulary_path.write_text(text.replace("derived_attributes", line, 1))
        case "remove attribute":
            lines = [line for line in text.splitlines(keepends=True) if "code: a" not in line]
            store.vocabulary_path.write_text("".join(lines))
        case "calibrate" if store.settings.active:
            set_calibration(store, "sun", float(number % 7))
        case "tag one" if store.settings.active:
            tag(store, codes=["moon"])
        case "derive":
            derive_attributes(store)
        case "scan only":
            apply_scan(store, plan_scan(store))
        case "embed only":
            embed(store)
        case _:
            pass


def test_sync_says_what_it_did(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    shutil.copy(tmp_path / "photos" / "000.jpg", tmp_path / "photos" / "copy.jpg")
    plan = make_plan(store)
    assert plan.images_to_embed == 7
    phases: list[str] = []
    outcome = run_plan(store, plan, narrator=Narrator(lambda phase, *_: phases.append(phase)))
    assert outcome.scan is not None
    assert (outcome.scan.new, outcome.embed.embedded, outcome.embed.shared) == (7, 6, 1)
    assert outcome.tag.rows == 21
    assert list(dict.fromkeys(phases)) == ["scan", "embed", "tag"]
    assert VOCABULARY.encode() == store.snapshot().vocabulary_bytes()
