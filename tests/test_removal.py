"""Taking scores and images out of a store that the commands themselves made."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from history_stores import (
    assert_sound,
    change_vocabulary,
    is_fresh,
    mark_missing,
    refresh,
    statuses,
    table_rows,
)
from sound_stores import VOCABULARY, add_images, rows

from colonnade.engine.derive_run import derive_attributes, plan_derive
from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.history import restore
from colonnade.engine.removal import drop, forget, missing_images
from colonnade.engine.snapshots import Snapshot, list_snapshots
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_footer
from colonnade.engine.tag import tag


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
