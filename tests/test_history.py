"""Going back, comparing, compacting and taking things out: on stores that the commands themselves made."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_stores import MODEL, VOCABULARY, add_images, rows, sound_store, unit_vectors

from colonnade.engine.columns import TABLES
from colonnade.engine.compact import compact
from colonnade.engine.derive_run import derive_attributes, plan_derive
from colonnade.engine.diff import StatusChange, diff_attribute, diff_summary
from colonnade.engine.diff_inputs import DiffContext
from colonnade.engine.diff_reasons import definition_change
from colonnade.engine.embedding_rows import add_vectors
from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.garbage import collect
from colonnade.engine.history import restore, snapshot_facts
from colonnade.engine.prompts import store_prompts
from colonnade.engine.removal import drop, forget, missing_images
from colonnade.engine.snapshots import Snapshot, list_snapshots
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_footer, read_table
from colonnade.engine.tag import plan_tag, tag
from colonnade.engine.verify import verify


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_store(tmp_path_factory.mktemp("prepared") / "s").path


@pytest.fixture
def store(prepared: Path, tmp_path: Path) -> Store:
    return Store(shutil.copytree(prepared, tmp_path / "s", symlinks=True))


def table_rows(snapshot: Snapshot) -> dict[str, list[str]]:
    """Every row of every table, sorted."""
    found: dict[str, list[str]] = {}
    for table in TABLES:
        found[table] = sorted(
            repr((file.partition, row))
            for file in snapshot.files(table)
            for row in read_files([file]).to_pylist()
        )
    return found


def refresh(store: Store) -> None:
    tag(store)
    derive_attributes(store)


def is_fresh(store: Store) -> bool:
    snapshot, vocabulary = store.snapshot(), store.vocabulary()
    work = plan_tag(snapshot, vocabulary, store.settings.active)
    return not any(w.cells for w in (*work, *plan_derive(snapshot, vocabulary, pending=work)))


def change_vocabulary(store: Store, old: str, new: str) -> None:
    text = store.vocabulary_path.read_text()
    assert old in text
    store.vocabulary_path.write_text(text.replace(old, new))


def assert_sound(store: Store) -> None:
    report = verify(store.path)
    assert report.sound, report.faults


# restore


def test_restore(store: Store) -> None:
    """Equal tables, a new number, ids that go on, and the way back open."""
    then = table_rows(store.snapshot(4))
    now = table_rows(store.snapshot())
    ids = add_images(store, 3)
    done = restore(store.path, 4)
    assert (done.number, done.vocabulary_differs) == (7, False)
    live = store.snapshot()
    assert table_rows(live) == then
    assert live.command == "restore 4"
    assert live.next_image_id == ids.stop
    assert_sound(store)
    assert add_images(store, 1).start == ids.stop
    restore(store.path, 5)
    assert table_rows(store.snapshot()) == now
    assert is_fresh(store)


@pytest.mark.parametrize("text", [None, "{broken", '{"created": "2024-05-01T10:00:00"}'])
@pytest.mark.parametrize("broken", [6, 4])
def test_restore_mends_a_broken_snapshot_json(store: Store, broken: int, text: str | None) -> None:
    """`verify` advises it: an id that was given out is still not given out again."""
    then = table_rows(store.snapshot(4))
    ids = add_images(store, 3)
    path = store.snapshot(broken).path / "snapshot.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    assert not verify(store.path).sound
    assert [facts.number for facts in snapshot_facts(store.path)] == [1, 2, 3, 4, 5, 6]
    restore(store.path, 4)
    assert table_rows(store.snapshot()) == then
    assert store.snapshot().next_image_id >= ids.stop
    collect(store.path, keep_snapshots=1, keep_seconds=0)
    assert_sound(store)


def test_restore_tells_of_the_vocabulary(store: Store) -> None:
    change_vocabulary(store, "code: moon", "code: luna")
    change_vocabulary(store, "[earth, moon]", "[earth, luna]")
    done = restore(store.path, 4)
    assert done.vocabulary_differs
    assert store.snapshot().vocabulary_bytes() == VOCABULARY
    assert b"luna" in store.vocabulary_path.read_bytes()
    assert not restore(store.path, 5, vocabulary=True).vocabulary_differs
    assert store.vocabulary_path.read_bytes() == VOCABULARY


def test_restore_keeps_a_vocabulary_that_no_snapshot_has(store: Store) -> None:
    path = store.vocabulary_path
    path.write_bytes(path.read_bytes() + b"# written by hand\n")
    mine = path.read_bytes()
    done = restore(store.path, 4, vocabulary=True)
    assert done.vocabulary_kept == f"vocabulary.before-{done.number}.yaml"
    assert (store.path / done.vocabulary_kept).read_bytes() == mine
    assert path.read_bytes() == Snapshot(store.path, 4).vocabulary_bytes()
    assert restore(store.path, 5, vocabulary=True).vocabulary_kept is None
    assert_sound(store)


def test_restore_does_not_write_through_links(store: Store, tmp_path: Path) -> None:
    """In a stranger's store vocabulary.yaml may lead to any file of the user's."""
    mine = tmp_path / "mine"
    mine.write_text("mine")
    store.vocabulary_path.unlink()
    store.vocabulary_path.symlink_to(mine)
    with pytest.raises(InputError, match="a link to"):
        restore(store.path, 4, vocabulary=True)
    assert mine.read_text() == "mine"
    assert store.snapshot().number == 5
    assert restore(store.path, 4).vocabulary_differs


def test_restore_of_what_is_not_there(store: Store) -> None:
    with pytest.raises(InputError, match="is the live one"):
        restore(store.path, 5)
    with pytest.raises(InputError, match="no snapshot 9"):
        restore(store.path, 9)


def test_what_was_restored_outlives_its_snapshot(store: Store) -> None:
    then = table_rows(store.snapshot(3))
    restore(store.path, 3)
    collect(store.path, keep_snapshots=1, keep_seconds=0)
    assert list_snapshots(store.path) == [6]
    assert table_rows(store.snapshot()) == then
    assert_sound(store)
    refresh(store)
    assert is_fresh(store)
    assert_sound(store)


def test_snapshot_facts(store: Store) -> None:
    facts = snapshot_facts(store.path)
    assert [f.number for f in facts] == [1, 2, 3, 4, 5]
    assert [f.live for f in facts] == [False] * 4 + [True]
    assert [f.command for f in facts] == ["init", "scan", "import", "tag", "derive"]
    assert [f.images for f in facts] == [0, 40, 40, 40, 40]
    assert [f.attributes for f in facts] == [0, 0, 0, 2, 3]
    assert facts[-1].labels == 4
    assert facts[0].bytes == 0
    assert facts[-1].bytes == sum(
        file.path.stat().st_size for table in TABLES for file in store.snapshot().files(table)
    )
    freed = collect(store.path, keep_snapshots=1, keep_seconds=0).bytes
    assert 0 < facts[3].own_bytes <= freed


# diff


def changes(store: Store, old: int, new: int, code: str) -> list[StatusChange]:
    return list(diff_attribute(store.snapshot(old), store.snapshot(new), code))


def reasons(store: Store, old: int, code: str) -> Counter[str]:
    return Counter(change.why for change in changes(store, old, store.snapshot().number, code))


def statuses(snapshot: Snapshot, code: str) -> dict[int, str | None]:
    files = snapshot.files("scores", code)
    if not files:
        return {}
    data = read_files(files, ["image_id", "status"])
    return dict(zip(data["image_id"].to_pylist(), data["status"].to_pylist(), strict=True))


def shown_statuses(snapshot: Snapshot, code: str) -> dict[int, str | None]:
    """Those of the images that queries see."""
    data = read_table("images", snapshot.files("images"), ["image_id", "state"])
    ok = {
        i for i, state in zip(*(data[c].to_pylist() for c in data.column_names), strict=True) if state == "ok"
    }
    return {image_id: status for image_id, status in statuses(snapshot, code).items() if image_id in ok}


def assert_diff_is_true(store: Store, old: int, new: int) -> None:
    """Against a comparison of two dicts; the summary adds up to the list."""
    summary = {item.code: item for item in diff_summary(store.snapshot(old), store.snapshot(new))}
    for code in ("earth", "moon", "both"):
        before, after = (shown_statuses(store.snapshot(number), code) for number in (old, new))
        if not before and not after:
            continue
        expected = {
            i: (
                before[i] or "unknown" if i in before else "absent",
                after[i] or "unknown" if i in after else "absent",
            )
            for i in sorted(before.keys() | after.keys())
            if before.get(i, "none") != after.get(i, "none")
        }
        found = changes(store, old, new, code)
        assert {c.image_id: (c.before, c.after) for c in found} == expected
        assert [c.image_id for c in found] == sorted(expected)
        counted = Counter((c.before, c.after, c.why) for c in found)
        listed = summary[code].counts if code in summary else ()
        assert {tuple(words): count for *words, count in listed} == counted


def test_diff_of_the_same(store: Store) -> None:
    assert diff_summary(store.snapshot(), store.snapshot()) == []
    assert changes(store, 5, 5, "earth") == []
    with pytest.raises(InputError, match="did you mean 'earth'"):
        changes(store, 4, 5, "eart")


def test_diff_new_and_dropped_attributes(store: Store) -> None:
    assert reasons(store, 3, "both") == {"attribute new": 40}
    assert_diff_is_true(store, 3, 5)
    assert_diff_is_true(store, 5, 3)
    assert {c.why for c in changes(store, 5, 3, "both")} == {"attribute dropped"}


def test_diff_thresholds(store: Store) -> None:
    change_vocabulary(
        store, "description: the earth", "description: the earth, thresholds: {accepted: 0.6, tentative: 0.3}"
    )
    refresh(store)
    assert_diff_is_true(store, 5, store.snapshot().number)
    why = "thresholds changed (accepted 0.8 -> 0.6, tentative 0.5 -> 0.3)"
    assert set(reasons(store, 5, "earth")) == {why}
    assert set(reasons(store, 5, "both")) <= {f"inputs changed (earth: {why})"}
    assert reasons(store, 5, "moon") == {}


def test_diff_calibration(store: Store) -> None:
    read = store.snapshot().cell("calibrations", "earth", 0)
    data = read_files(read).to_pylist()[0] | {"center": -10.0}
    with open_stage(store.path, command="calibration") as stage:
        stage.replace("calibrations", "earth", 0, rows("calibrations", [data]), read=read)
        stage.commit()
    refresh(store)
    assert set(reasons(store, 5, "earth")) == {"calibration changed (center 10 -> -10)"}
    assert_diff_is_true(store, 5, store.snapshot().number)


def test_diff_prompts_and_rules(store: Store) -> None:
    change_vocabulary(store, "description: the moon", "description: a full moon")
    change_vocabulary(store, "all_of: [earth, moon]", "any_of: [earth, moon]")
    vocabulary = store.vocabulary()
    with open_stage(store.path, command="test") as stage:
        prompts = vocabulary.prompts("moon")
        store_prompts(stage, MODEL, dict(zip(prompts, unit_vectors(len(prompts), seed=99), strict=True)))
        stage.commit()
    refresh(store)
    (why,) = reasons(store, 5, "moon")
    assert why.startswith("prompt changed (")
    assert "the moon" in why
    assert "a full moon" in why
    assert set(reasons(store, 5, "both")) == {"rule changed (all_of -earth -moon, any_of +earth +moon)"}
    assert_diff_is_true(store, 5, store.snapshot().number)


def test_diff_images(store: Store) -> None:
    """New ones, one whose picture is another, and one that is gone."""
    before = store.snapshot()
    new = add_images(store, 4)
    snapshot = store.snapshot()
    cells = snapshot.cell("images", None, 0)
    data = read_files(cells).to_pylist()
    for row in data[:20]:
        row["content_hash"] = "f" * 64
    data[30]["state"] = "missing"
    with open_stage(store.path, command="scan") as stage:
        stage.replace("images", None, 0, rows("images", data), read=cells)
        add_vectors(stage, snapshot, MODEL, 0, np.arange(20), unit_vectors(20, seed=5))
        stage.commit()
    forget(store, missing_images(store))
    refresh(store)
    found = {
        change.image_id: change for change in changes(store, before.number, store.snapshot().number, "earth")
    }
    assert found[30].why == "image gone"
    assert found[30].path == "0030.jpg"
    assert [found[i].why for i in new] == ["image new"] * 4
    assert {change.why for i, change in found.items() if i < 20} == {"picture changed"}
    assert_diff_is_true(store, before.number, store.snapshot().number)


def test_diff_images_that_come_and_go(store: Store) -> None:
    """They leave and enter every query, though not one score is written."""
    set_states(store, {3: "missing", 5: "unreadable", 39: "missing"})
    gone = store.snapshot().number
    found = {change.image_id: change for change in changes(store, 5, gone, "earth")}
    assert {i: c.why for i, c in found.items()} == {
        3: "image missing",
        5: "image unreadable",
        39: "image missing",
    }
    scored = statuses(store.snapshot(), "earth")
    assert {(c.image_id, c.before, c.after, c.path) for c in found.values()} == {
        (i, scored[i], "absent", f"{i:04d}.jpg") for i in (3, 5, 39)
    }
    assert_diff_is_true(store, 5, gone)
    assert [item.images for item in diff_summary(store.snapshot(5), store.snapshot())] == [3, 3, 3]
    assert changes(store, gone, gone, "earth") == []

    set_states(store, {5: "ok", 39: "ok"})
    back = store.snapshot().number
    found = {change.image_id: change for change in changes(store, gone, back, "earth")}
    assert {i: (c.before, c.after, c.why) for i, c in found.items()} == {
        5: ("absent", scored[5], "image readable now"),
        39: ("absent", scored[39], "image came back"),
    }
    assert_diff_is_true(store, gone, back)
    assert_diff_is_true(store, 5, back)
    assert {c.image_id for c in changes(store, 5, back, "both")} == {3}


def test_diff_leaves_out_what_no_query_sees(store: Store) -> None:
    """Other thresholds for an image that is missing before and after, or that is new and missing."""
    set_states(store, {3: "missing", 5: "unreadable"})
    before = store.snapshot().number
    new = add_images(store, 2)
    change_vocabulary(
        store, "description: the earth", "description: the earth, thresholds: {accepted: 0, tentative: 0}"
    )
    refresh(store)
    set_states(store, {5: "missing", new[0]: "missing", 7: "missing"})
    after = store.snapshot().number
    found = {change.image_id: change.why for change in changes(store, before, after, "earth")}
    assert not found.keys() & {3, 5, new[0]}
    assert found[new[1]] == "image new"
    assert found[7] == "image missing"
    assert_diff_is_true(store, before, after)
    assert_diff_is_true(store, after, before)
    assert changes(store, after, before, "earth")[-1].why == "image gone"


def test_diff_reads_no_scores_where_images_only_came(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_images(store, 2)
    new = store.snapshot()
    monkeypatch.setattr(DiffContext, "read", lambda *_: pytest.fail("scores were read"))
    assert diff_summary(store.snapshot(5), new) == []


def test_diff_new_embeddings(store: Store) -> None:
    with open_stage(store.path, command="embed") as stage:
        add_vectors(stage, store.snapshot(), MODEL, 0, np.arange(40), unit_vectors(40, seed=77))
        stage.commit()
    between = store.snapshot().number
    assert set(reasons(store, 5, "earth")) == {"attribute dropped"}
    refresh(store)
    assert set(reasons(store, 5, "earth")) == {"embedding changed"}
    assert {c.why for c in changes(store, between, store.snapshot().number, "earth")} == {"attribute new"}


def test_circles_of_definitions_end() -> None:
    known = {
        "a": {"kind": "derived", "rule": {}, "inputs": {"x": "b"}},
        "b": {"kind": "derived", "rule": {}, "inputs": {"x": "a"}},
    }
    assert definition_change("a", "b", known).startswith("inputs changed (x: inputs changed")
    assert definition_change("a", "c", known) == "definition unknown"
    assert definition_change(None, "b", known) == "new"
    damaged = {"c": {"kind": "confidence", "logit": "l"}, "d": {"kind": "confidence", "logit": "m"}}
    assert definition_change("c", "d", damaged) == "model settings changed"


# compact


def drip(store: Store, times: int = 4) -> None:
    """Images that arrive in drips: several files in the cells of images and embeddings."""
    for _ in range(times):
        add_images(store, 3)
    snapshot = store.snapshot()
    refresh(store)
    ids = read_files(snapshot.files("sets", "best of"))["image_id"].to_pylist()
    for new in (50, 51):
        cell = store.snapshot().cell("sets", "best of", 0)
        with open_stage(store.path, command="mark") as stage:
            stage.append("sets", "best of", 0, rows("sets", [{"image_id": new}]), read=cell)
            stage.commit()
    assert len(store.snapshot().cell("images", None, 0)) == times + 1
    assert len(store.snapshot().cell("sets", "best of", 0)) == 3
    assert ids


def test_compact(store: Store) -> None:
    drip(store)
    before = table_rows(store.snapshot())
    seen: list[tuple[int, int]] = []
    done = compact(store.path, progress=lambda *numbers: seen.append(numbers))
    assert (done.cells, done.files_before, done.snapshots) == (3, 5 + 5 + 3, 1)
    assert seen[-1] == (3, 3)
    after = store.snapshot()
    assert table_rows(after) == before
    assert all(len(after.cell(t, f.partition, f.shard)) == 1 for t in TABLES for f in after.files(t))
    assert is_fresh(store)
    assert diff_summary(store.snapshot(after.number - 1), after) == []
    assert_sound(store)
    assert compact(store.path).cells == 0
    assert store.snapshot().number == after.number


def test_compact_keeps_files_of_one_definition_apart_from_none(store: Store) -> None:
    """A cell of two definitions is stale before and after: merging says nothing that is not true."""
    cell = store.snapshot().cell("scores", "earth", 0)
    data = read_files(cell)
    other = data.slice(20).set_column(
        data.column_names.index("definition"), "definition", pa.array(["f" * 16] * 20)
    )
    with open_stage(store.path, command="test") as stage:
        stage.replace("scores", "earth", 0, data.slice(0, 20), read=cell)
        stage.append("scores", "earth", 0, other, read=cell)
        stage.commit()
    assert not is_fresh(store)
    compact(store.path)
    (file,) = store.snapshot().cell("scores", "earth", 0)
    assert read_footer(file).definition is None
    assert not is_fresh(store)


def test_compact_beside_a_writer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that changes between reading and committing is read again."""
    drip(store)
    real = Stage.commit
    interfered: list[range] = []

    def commit(stage: Stage, **options: bytes | None) -> Snapshot:
        if stage.command == "compact" and not interfered:
            interfered.append(add_images(store, 2))
        return real(stage, **options)

    monkeypatch.setattr(Stage, "commit", commit)
    told: list[str] = []
    compact(store.path, on_conflict=told.append)
    assert "changed meanwhile, retrying" in told[0]
    assert len(store.snapshot().cell("images", None, 0)) == 1
    ids = read_files(store.snapshot().files("images"))["image_id"].to_pylist()
    assert set(interfered[0]) <= set(ids)
    assert_sound(store)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
@settings(max_examples=4, deadline=None)
def test_compact_any_drips(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    store = sound_store(tmp_path_factory.mktemp("drips") / "s", images=6)
    for size in sizes:
        add_images(store, size)
    before = table_rows(store.snapshot())
    compact(store.path)
    assert table_rows(store.snapshot()) == before
    assert_sound(store)


# drop and forget


def test_drop(store: Store) -> None:
    change_vocabulary(store, VOCABULARY.decode().splitlines()[3] + "\n", "")
    change_vocabulary(store, "[earth, moon]", "[earth]")
    assert drop(store, ["moon"]) == {"moon": 40}
    snapshot = store.snapshot()
    assert snapshot.partitions("scores") == ("both", "earth")
    assert snapshot.partitions("calibrations") == ("earth", "moon")
    assert snapshot.partitions("labels") == ("earth",)
    assert_sound(store)
    assert drop(store, ["moon"], calibrations=True) == {"moon": 0}
    assert store.snapshot().partitions("calibrations") == ("earth",)
    with pytest.raises(InputError, match="no scores of it"):
        drop(store, ["moon"], calibrations=True)


def test_drop_refuses(store: Store) -> None:
    """What is in the vocabulary stays, and with it everything else that was asked for."""
    with pytest.raises(InputError, match="colonnade vocab remove earth"):
        drop(store, ["earth"])
    change_vocabulary(store, VOCABULARY.decode().splitlines()[3] + "\n", "")
    change_vocabulary(store, "[earth, moon]", "[earth]")
    with pytest.raises(InputError, match="did you mean 'moon'"):
        drop(store, ["mon"])
    with pytest.raises(InputError, match="both: still in"):
        drop(store, ["moon", "both"])
    assert "moon" in store.snapshot().partitions("scores")


def test_drop_keeps_labels_of_what_is_gone(store: Store) -> None:
    change_vocabulary(store, VOCABULARY.decode().splitlines()[2] + "\n", "")
    change_vocabulary(store, "[earth, moon]", "[moon]")
    drop(store, ["earth"], calibrations=True)
    assert store.snapshot().partitions("labels") == ("earth",)


def mark_missing(store: Store, ids: list[int]) -> None:
    set_states(store, dict.fromkeys(ids, "missing"))


def set_states(store: Store, states: dict[int, str]) -> None:
    """As a scan does; only the images table is written."""
    cells = store.snapshot().cell("images", None, 0)
    data = read_files(cells).to_pylist()
    for row in data:
        row["state"] = states.get(row["image_id"], row["state"])
    with open_stage(store.path, command="scan") as stage:
        stage.replace("images", None, 0, rows("images", data), read=cells)
        stage.commit()


def test_forget(store: Store) -> None:
    mark_missing(store, [1, 3, 39])
    assert missing_images(store).tolist() == [1, 3, 39]
    done = forget(store, missing_images(store))
    assert done.images == 3
    assert done.rows == {"images": 3, "embeddings": 3, "scores": 9, "labels": 2, "sets": 2, "projections": 3}
    for table, found in table_rows(store.snapshot()).items():
        if table not in ("prompts", "definitions", "calibrations"):
            assert not [
                row for row in found if "'image_id': 39," in str(row) or "'image_id': 3," in str(row)
            ], table
    forgotten = store.snapshot().number
    assert is_fresh(store)
    assert_sound(store)
    assert store.snapshot().next_image_id == 40
    assert forget(store, np.array([1, 3, 39])).images == 0
    restore(store.path, forgotten - 1)
    assert missing_images(store).tolist() == [1, 3, 39]


RULES = """\
derived_attributes:
  - {code: only, label: Only, description: earth alone, rule: {all_of: [earth], none_of: [moon]}}
  - {code: nested, label: Nested, description: of a derived one, rule: {any_of: [only, both], none_of: [moon]}}
"""


def derived_stale(store: Store) -> set[str]:
    return {work.code for work in plan_derive(store.snapshot(), store.vocabulary()) if work.cells}


def score_files(store: Store) -> dict[str | None, list[str]]:
    snapshot = store.snapshot()
    return {code: [f.name for f in snapshot.files("scores", code)] for code in snapshot.partitions("scores")}


def test_forget_leaves_derived_scores_fresh(store: Store) -> None:
    """Those of derived ones as well; what would be made now is, byte for byte, what is there."""
    change_vocabulary(store, "derived_attributes:\n", RULES)
    refresh(store)
    mark_missing(store, [1, 3, 39])
    assert derived_stale(store) == set()
    forget(store, missing_images(store))
    assert derived_stale(store) == set()
    before = score_files(store)
    assert set(derive_attributes(store, force=True)) == {"both", "only", "nested"}
    assert score_files(store) == before
    assert_sound(store)


def test_forget_leaves_stale_what_was(store: Store) -> None:
    """An input of `both` has images that it lacks, and another has been given a new rule."""
    change_vocabulary(store, "derived_attributes:\n", RULES)
    refresh(store)
    add_images(store, 3)
    tag(store, codes=["earth"])
    derive_attributes(store, codes=["both"])
    tag(store, codes=["moon"])
    change_vocabulary(store, "{all_of: [earth], none_of: [moon]}", "{any_of: [earth]}")
    assert derived_stale(store) == {"both", "only", "nested"}
    mark_missing(store, [1, 41])
    forget(store, missing_images(store))
    assert derived_stale(store) == {"both", "only", "nested"}
    derive_attributes(store)
    assert is_fresh(store)
    assert {40, 42} <= set(statuses(store.snapshot(), "both"))
    assert_sound(store)


def test_forget_where_a_changed_rule_is_taken_back(store: Store) -> None:
    """The inputs are those of the rule that the scores were made by, not of the vocabulary's."""
    change_vocabulary(store, "[earth, moon]", "[earth]")
    mark_missing(store, [1])
    forget(store, missing_images(store))
    assert derived_stale(store) == {"both"}
    change_vocabulary(store, "[earth]", "[earth, moon]")
    assert is_fresh(store)


def test_forget_what_derived_scores_never_had(store: Store) -> None:
    """Only its inputs lose rows: what was made before they came is right again once they are gone."""
    ids = add_images(store, 2)
    tag(store)
    before = score_files(store)["both"]
    assert derived_stale(store) == {"both"}
    mark_missing(store, list(ids))
    forget(store, missing_images(store))
    assert score_files(store)["both"] == before
    assert is_fresh(store)
    assert_sound(store)


def test_forget_of_inputs_that_alone_have_the_rows(store: Store) -> None:
    """Derived scores that say they were made of their inputs as they are, but lack a row of them."""
    cell = store.snapshot().cell("scores", "both", 0)
    data = read_files(cell)
    with open_stage(store.path, command="derive") as stage:
        kept = data.filter(pa.array(data["image_id"].to_numpy() != 5))
        stage.replace("scores", "both", 0, kept, read=cell, inputs=read_footer(cell[0]).inputs)
        stage.commit()
    mark_missing(store, [5])
    assert is_fresh(store)
    assert forget(store, missing_images(store)).rows["scores"] == 2
    assert is_fresh(store)
    assert_sound(store)


@pytest.mark.parametrize(
    "text", ['{"kind": "derived", "inputs": {"\\ud800": "a"}}', '{"inputs": [1]}', "{", "[]"]
)
def test_forget_where_a_definition_is_damaged(store: Store, text: str) -> None:
    files = store.snapshot().files("definitions")
    data = [row | {"json": text} for row in read_files(files).to_pylist()]
    with open_stage(store.path, command="derive") as stage:
        stage.replace("definitions", None, 0, rows("definitions", data), read=files)
        stage.commit()
    mark_missing(store, [5])
    assert forget(store, missing_images(store)).rows["scores"] == 3
    assert derived_stale(store) == {"both"}


def test_forget_beside_a_change_of_an_input(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that gains rows meanwhile makes the derived scores stale, and they are not called fresh."""
    mark_missing(store, [2])
    ids = add_images(store, 1)
    real = Stage.commit
    interfered: list[int] = []

    def commit(stage: Stage, **options: bytes | None) -> Snapshot:
        if stage.command == "forget" and not interfered:
            interfered.append(1)
            tag(store, codes=["earth"])
        return real(stage, **options)

    monkeypatch.setattr(Stage, "commit", commit)
    told: list[str] = []
    assert forget(store, np.array([2]), on_conflict=told.append).images == 1
    assert len(told) == 1
    assert ids[0] in statuses(store.snapshot(), "earth")
    assert derived_stale(store) == {"both"}


def test_forget_spares_what_came_back(store: Store) -> None:
    mark_missing(store, [1, 3])
    ids = missing_images(store)
    restore(store.path, 5)
    mark_missing(store, [3])
    assert forget(store, ids).images == 1
    assert len(read_files(store.snapshot().files("images"))) == 39


def test_forget_everything(store: Store) -> None:
    mark_missing(store, list(range(40)))
    forget(store, missing_images(store))
    assert all(store.snapshot().files(table) == () for table in ("images", "embeddings", "scores", "labels"))
    assert_sound(store)


def test_missing_for(store: Store) -> None:
    """Only snapshots old enough can tell how long; without one, none is known to be missing for so long."""
    mark_missing(store, [1, 3])
    old = store.snapshot().number
    mark_missing(store, [7])
    assert missing_images(store, missing_for=30).tolist() == []
    for number in (1, old):
        path = store.path / "_snap" / f"{number:08d}" / "snapshot.json"
        path.write_text(
            path.read_text().replace(
                store.snapshot(number).created.isoformat(timespec="microseconds"),
                (datetime.now(UTC) - timedelta(days=40)).isoformat(),
            )
        )
    assert missing_images(store, missing_for=30).tolist() == [1, 3]
    assert missing_images(store, missing_for=50).tolist() == []
    assert missing_images(store).tolist() == [1, 3, 7]
    for number in list_snapshots(store.path):
        path = store.path / "_snap" / f"{number:08d}" / "snapshot.json"
        path.write_text(json.dumps({"next_image_id": 40, "created": None}))
    assert missing_images(store, missing_for=30).tolist() == [], "nothing tells for how long"


def test_forget_beside_a_new_attribute(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that comes while rows are removed would keep theirs; the commit is tried again."""
    mark_missing(store, [2])
    snapshot = store.snapshot()
    data = read_files(snapshot.files("scores", "earth"))
    real = Stage.commit
    interfered: list[int] = []

    def commit(stage: Stage, **options: bytes | None) -> Snapshot:
        if stage.command == "forget" and not interfered:
            interfered.append(1)
            with open_stage(store.path, command="tag") as other:
                other.append("scores", "late", 0, data, read=())
                real(other)
        return real(stage, **options)

    monkeypatch.setattr(Stage, "commit", commit)
    told: list[str] = []
    assert forget(store, np.array([2]), on_conflict=told.append).rows["scores"] == 4
    assert len(told) == 1
    assert 2 not in statuses(store.snapshot(), "late")
    assert_sound(store)


def test_conflicts_do_not_pass(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty conflicts are an error, and nothing of the removal is left."""
    mark_missing(store, [2])

    def commit(stage: Stage, **options: bytes | None) -> Snapshot:
        raise ConflictError("changed")

    monkeypatch.setattr(Stage, "commit", commit)
    with pytest.raises(Exception, match="twenty tries"):
        forget(store, np.array([2]))
    monkeypatch.undo()
    assert os.listdir(store.path / "_stage") == []
    assert missing_images(store).tolist() == [2]
