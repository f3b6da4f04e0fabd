"""Going back, and comparing: on stores that the commands themselves made."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from history_stores import (
    assert_sound,
    change_vocabulary,
    is_fresh,
    refresh,
    set_states,
    statuses,
    table_rows,
)
from sound_stores import MODEL, VOCABULARY, add_images, rows, unit_vectors

from colonnade.engine.columns import TABLES
from colonnade.engine.diff import StatusChange, diff_attribute, diff_summary
from colonnade.engine.diff_inputs import DiffContext
from colonnade.engine.diff_reasons import definition_change
from colonnade.engine.embedding_rows import add_vectors
from colonnade.engine.errors import InputError
from colonnade.engine.garbage import collect
from colonnade.engine.history import restore, snapshot_facts
from colonnade.engine.prompts import store_prompts
from colonnade.engine.removal import forget, missing_images
from colonnade.engine.snapshots import Snapshot, list_snapshots
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_table
from colonnade.engine.verify import verify

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
