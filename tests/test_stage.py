"""Commits against a dict: what a sequence of changes leaves, conflicts, ids, and what a failure leaves behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_stores import image
from sound_stores import rows

from colonnade.engine.columns import SHARD_IMAGES
from colonnade.engine.errors import ConflictError, InputError, StoreError
from colonnade.engine.snapshots import DataFile, Snapshot, list_snapshots, open_snapshot
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_files

SETS = ("a", "b/ü", "ein ganz normaler name")
Cell = tuple[str, int]
State = dict[Cell, frozenset[int]]


def set_rows(ids: object) -> pa.Table:
    return rows("sets", [{"image_id": i} for i in ids])  # type: ignore[attr-defined]


def ids_of(files: tuple[DataFile, ...]) -> frozenset[int]:
    return frozenset(read_files(files)["image_id"].to_pylist()) if files else frozenset()


def state_of(snapshot: Snapshot) -> State:
    """(set, shard) -> ids, of the cells that have any."""
    return {
        (name, shard): ids_of(snapshot.cell("sets", name, shard))
        for name in snapshot.partitions("sets")
        for shard in snapshot.shards("sets", name)
    }


@dataclass(frozen=True)
class Change:
    """One change of one cell, as a test draws it."""

    kind: str
    cell: Cell
    ids: frozenset[int]


@dataclass(frozen=True)
class Commit:
    """Changes of different cells, read from the live snapshot or from an older one."""

    changes: tuple[Change, ...]
    age: int
    abandon: bool


cells = st.tuples(st.sampled_from(SETS), st.sampled_from((0, 1)))
changes = st.builds(
    Change,
    st.sampled_from(("append", "replace", "drop", "require")),
    cells,
    st.frozensets(st.integers(0, 30), min_size=1, max_size=5),
)
commits = st.builds(
    Commit,
    st.lists(changes, min_size=1, max_size=4, unique_by=lambda change: change.cell).map(tuple),
    st.integers(0, 2),
    st.integers(0, 9).map(lambda n: n == 0),
)


def expected_after(change: Change, before: frozenset[int]) -> frozenset[int]:
    ids = frozenset(i + change.cell[1] * SHARD_IMAGES for i in change.ids)
    return {"append": before | ids, "replace": ids, "drop": frozenset(), "require": before}[change.kind]


def is_change(change: Change, before: State) -> bool:
    """Whether it stages anything: not a requirement, a drop of nothing, or an append of what is there."""
    had = before.get(change.cell, frozenset())
    if change.kind == "append":
        return not expected_after(change, frozenset()) <= had
    return change.kind == "replace" or (change.kind == "drop" and bool(had))


def stage_change(stage: Stage, snapshot: Snapshot, change: Change) -> None:
    name, shard = change.cell
    read = snapshot.cell("sets", name, shard)
    ids = expected_after(Change("replace", change.cell, change.ids), frozenset())
    if change.kind == "append":
        stage.append("sets", name, shard, set_rows(ids - ids_of(read)), read=read)
    elif change.kind == "replace":
        stage.replace("sets", name, shard, set_rows(ids), read=read)
    elif change.kind == "drop":
        stage.drop("sets", name, read=read)
    else:
        stage.require("sets", name, shard, read=read)


@given(st.lists(commits, min_size=1, max_size=7))
@settings(max_examples=25, deadline=None)
def test_commits_against_a_dict(sequence: list[Commit]) -> None:
    """Every kept snapshot equals the oracle's state of its time; stale reads are refused and change nothing."""
    with TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "s", model="")
        history: dict[int, State] = {1: {}}
        names: dict[int, dict[Cell, list[str]]] = {1: {}}
        for commit in sequence:
            numbers = sorted(history)
            base = numbers[max(0, len(numbers) - 1 - commit.age)]
            snapshot, live = store.snapshot(base), numbers[-1]
            effective = [change for change in commit.changes if is_change(change, history[base])]
            relevant = [c for c in commit.changes if c.kind == "require" or c in effective]
            stale = any(names[base].get(c.cell, []) != names[live].get(c.cell, []) for c in relevant)
            with open_stage(store.path, command="test") as stage:
                for change in commit.changes:
                    stage_change(stage, snapshot, change)
                if commit.abandon:
                    continue
                if stale:
                    with pytest.raises(ConflictError):
                        stage.commit()
                    continue
                new = stage.commit()
            if not effective:
                assert new.number == live
                continue
            state = dict(history[live])
            for change in effective:
                state[change.cell] = expected_after(change, state.get(change.cell, frozenset()))
            history[new.number] = {cell: ids for cell, ids in state.items() if ids}
            names[new.number] = {
                cell: [file.name for file in new.cell("sets", *cell)] for cell in history[new.number]
            }
            assert new.number == live + 1
        assert list_snapshots(store.path) == sorted(history)
        for number, state in history.items():
            assert state_of(open_snapshot(store.path, number)) == state
        assert os.listdir(store.path / "_stage") == []


@dataclass
class Allocation:
    """Ids that commits were given."""

    given: list[int] = field(default_factory=list)

    def late(self, count: int) -> Callable[[Snapshot, Stage], None]:
        def insert(live: Snapshot, stage: Stage) -> None:
            ids = stage.allocate_ids(count)
            self.given += ids
            read = live.cell("images", None, 0)
            data = pa.Table.from_pylist([image(i) for i in ids], SCHEMAS["images"])
            stage.append("images", None, 0, data, read=read)

        return insert


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "s", model="")


def append(store: Store, name: str, ids: list[int], *, read: tuple[DataFile, ...] = ()) -> Snapshot:
    with open_stage(store.path, command="test") as stage:
        stage.append("sets", name, 0, set_rows(ids), read=read)
        return stage.commit()


def test_ids_are_given_out_once(store: Store) -> None:
    allocation = Allocation()
    for count in (3, 1, 5):
        with open_stage(store.path, command="scan") as stage:
            stage.late(allocation.late(count))
            stage.commit()
    with open_stage(store.path, command="test") as stage:
        stage.late(lambda live, stage: stage.drop("images", None, read=live.files("images")))
        stage.commit()
    with open_stage(store.path, command="scan") as stage:
        stage.late(allocation.late(2))
        snapshot = stage.commit()
    assert allocation.given == list(range(11))
    assert snapshot.next_image_id == 11
    assert ids_of(snapshot.files("images")) == {9, 10}


def test_ids_are_given_out_under_the_lock_only(store: Store) -> None:
    with open_stage(store.path, command="test") as stage, pytest.raises(RuntimeError, match="late"):
        stage.allocate_ids(1)


def test_one_commit_changes_several_tables(store: Store) -> None:
    allocation = Allocation()
    with open_stage(store.path, command="test") as stage:
        stage.late(allocation.late(2))
        stage.append("sets", "a", 0, set_rows([0, 1]), read=())
        stage.append(
            "definitions", None, 0, rows("definitions", [{"definition": "d", "json": "{}"}]), read=()
        )
        snapshot = stage.commit(vocabulary=b"base_attributes: []\n# two\n")
    assert snapshot.number == 2
    assert [len(snapshot.files(table)) for table in ("images", "sets", "definitions", "scores")] == [
        1,
        1,
        1,
        0,
    ]
    assert snapshot.vocabulary_bytes().endswith(b"# two\n")
    assert (snapshot.command, snapshot.facts["parent"]) == ("test", 1)


def test_unchanged_tables_keep_their_version(store: Store) -> None:
    """And files of a changed table that did not change are the same inode."""
    before = append(store, "a", [1])
    after = append(store, "b", [2])
    assert before.version("images") == after.version("images")
    assert before.version("sets") != after.version("sets")
    (old,), (new,) = before.files("sets", "a"), after.files("sets", "a")
    assert old.path != new.path
    assert old.path.stat().st_ino == new.path.stat().st_ino


def test_a_commit_of_nothing_makes_no_snapshot(store: Store) -> None:
    with open_stage(store.path, command="test") as stage:
        stage.append("sets", "a", 0, set_rows([]), read=())
        assert not stage.changed
        assert stage.commit().number == 1
    with open_stage(store.path, command="test") as stage:
        assert stage.commit(vocabulary=store.snapshot().vocabulary_bytes()).number == 1
    with open_stage(store.path, command="test") as stage:
        assert stage.commit(vocabulary=b"base_attributes: []\n# other").number == 2


def test_a_stale_requirement_is_refused(store: Store) -> None:
    snapshot = append(store, "a", [1])
    with open_stage(store.path, command="test") as stage:
        stage.require("sets", "a", 0, read=snapshot.cell("sets", "a", 0))
        stage.append("sets", "b", 0, set_rows([2]), read=())
        append(store, "a", [2], read=snapshot.cell("sets", "a", 0))
        with pytest.raises(ConflictError, match=r"sets a \(shard 0\) changed meanwhile; nothing was written"):
            stage.commit()
    assert store.snapshot().partitions("sets") == ("a",)


def test_a_requirement_older_than_the_change_is_refused(store: Store) -> None:
    """What was computed from an old cell may not slip in beside a change that read the new one."""
    old = append(store, "a", [1])
    new = append(store, "a", [2], read=old.cell("sets", "a", 0))
    with open_stage(store.path, command="test") as stage:
        stage.require("sets", "a", 0, read=old.cell("sets", "a", 0))
        stage.replace("sets", "a", 0, set_rows([3]), read=new.cell("sets", "a", 0))
        with pytest.raises(ConflictError):
            stage.commit()


def test_rewrite_keeps_some_files(store: Store) -> None:
    first = append(store, "a", [1])
    second = append(store, "a", [5], read=first.cell("sets", "a", 0))
    kept = first.cell("sets", "a", 0)
    with open_stage(store.path, command="test") as stage:
        stage.rewrite("sets", "a", 0, set_rows([7, 8]), keep=kept, read=second.cell("sets", "a", 0))
        snapshot = stage.commit()
    assert ids_of(snapshot.cell("sets", "a", 0)) == {1, 7, 8}
    assert kept[0].name in [file.name for file in snapshot.cell("sets", "a", 0)]


def test_replacing_by_nothing_removes_the_partition(store: Store) -> None:
    snapshot = append(store, "a", [1])
    with open_stage(store.path, command="test") as stage:
        stage.replace("sets", "a", 0, set_rows([]), read=snapshot.cell("sets", "a", 0))
        after = stage.commit()
    assert after.partitions("sets") == ()
    assert os.listdir(after.version("sets")) == []
    assert ids_of(snapshot.cell("sets", "a", 0)) == {1}


@pytest.mark.parametrize(
    ("shard", "ids", "message"),
    [
        (0, [SHARD_IMAGES], "do not belong to shard 0"),
        (1, [SHARD_IMAGES, 3], "do not belong to shard 1"),
        (0, [4, 4], "occurs twice"),
        (0, [None], "null"),
        (100_000, [1], "no shard 100000"),
    ],
)
def test_rows_that_do_not_belong(store: Store, shard: int, ids: list[int | None], message: str) -> None:
    with open_stage(store.path, command="test") as stage, pytest.raises(ValueError, match=message):
        stage.append("sets", "a", shard, set_rows(ids), read=())
    assert os.listdir(store.path / "_stage") == []


def test_partition_names_that_no_folder_can_have(store: Store) -> None:
    with open_stage(store.path, command="test") as stage:
        for name in ("x" * 300, "\udcff"):
            with pytest.raises(InputError):
                stage.append("sets", name, 0, set_rows([1]), read=())
        with pytest.raises(ValueError, match="needs a partition"):
            stage.append("sets", "", 0, set_rows([1]), read=())


def test_an_error_leaves_nothing(store: Store) -> None:
    def fail(live: Snapshot, stage: Stage) -> None:
        raise StoreError("no")

    with pytest.raises(KeyboardInterrupt), open_stage(store.path, command="test") as stage:
        stage.append("sets", "a", 0, set_rows([1]), read=())
        raise KeyboardInterrupt
    with open_stage(store.path, command="test") as stage:
        stage.append("sets", "a", 0, set_rows([1]), read=())
        stage.late(fail)
        with pytest.raises(StoreError, match="no"):
            stage.commit()
    assert store.snapshot().number == 1
    assert os.listdir(store.path / "_stage") == []
    assert append(store, "a", [1]).number == 2


def test_stage_without_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here"), open_stage(tmp_path, command="test"):
        pass


@pytest.mark.parametrize("folder", ["_stage", "_snap", "_tables", "_tables/sets"])
def test_nothing_is_written_or_swept_through_links(store: Store, tmp_path: Path, folder: str) -> None:
    """A stranger's store may have links where its folders belong; what they lead to is not ours."""
    outside = tmp_path / "outside"
    (store.path / folder).rename(outside)
    (outside / "2023" / "photos").mkdir(parents=True)
    (store.path / folder).symlink_to(outside)
    before = sorted(os.listdir(outside))
    with pytest.raises(StoreError):
        append(store, "a", [1])
    assert sorted(os.listdir(outside)) == before


def test_a_lost_commit_number_is_refused(store: Store) -> None:
    """Eight digits are all that readers accept; a snapshot numbered beyond would be unreadable."""
    last = store.path / "_snap" / "99999999"
    (store.path / "_snap" / "00000001").rename(last)
    (store.path / "live").unlink()
    (store.path / "live").symlink_to("_snap/99999999")
    with pytest.raises(StoreError, match="used up"):
        append(store, "a", [1])
    assert store.snapshot().number == 99_999_999
