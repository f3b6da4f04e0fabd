"""What is collected, when, and that nothing else is."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path

import pytest
from sound_stores import MODEL, rows

from colonnade.engine.errors import StoreError
from colonnade.engine.garbage import collect, leftovers, sweep
from colonnade.engine.provenance import Definition, logit_definition
from colonnade.engine.settings import update_settings
from colonnade.engine.snapshots import list_snapshots, open_snapshot
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.verify import verify


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "s", model="")


def definition(value: int) -> Definition:
    return logit_definition(MODEL, [str(value)])


def commit(store: Store, value: int, command: str = "test") -> None:
    with open_stage(store.path, command=command) as stage:
        read = store.snapshot().cell("definitions", None, 0)
        made = definition(value)
        data = rows("definitions", [{"definition": made.hash, "json": made.json}])
        stage.replace("definitions", None, 0, data, read=read)
        stage.commit()


def age(store: Store, seconds: float) -> None:
    """Make every snapshot that old."""
    for path in (store.path / "_snap").iterdir():
        os.utime(path, (time.time() - seconds,) * 2)


def test_young_snapshots_stay(store: Store) -> None:
    for value in range(25):
        commit(store, value)
    assert list_snapshots(store.path) == list(range(1, 27))
    assert collect(store.path).snapshots == 0


def test_old_snapshots_go_with_the_next_commit(store: Store) -> None:
    for value in range(25):
        commit(store, value)
    age(store, 700)
    commit(store, 99)
    kept = list_snapshots(store.path)
    assert kept == list(range(8, 28))
    assert len(os.listdir(store.path / "_tables" / "definitions")) == 20
    held = read_files(open_snapshot(store.path, 8).files("definitions"))["definition"].to_pylist()
    assert held == [definition(6).hash]
    assert os.listdir(store.path / "_stage") == []


def test_settings_say_how_long(store: Store) -> None:
    from dataclasses import replace

    update_settings(store.path, lambda s: replace(s, keep_snapshots=3, keep_seconds=0.0))
    for value in range(6):
        commit(store, value)
    assert list_snapshots(store.path) == [5, 6, 7]
    assert collect(store.path, keep_snapshots=1).snapshots == 2
    assert list_snapshots(store.path) == [7]
    assert store.snapshot().number == 7


def test_the_answers_of_one_review_count_as_one(store: Store) -> None:
    from dataclasses import replace

    update_settings(store.path, lambda s: replace(s, keep_snapshots=4, keep_seconds=0.0))
    commands = ["tag", "tag", "tag", *["review earth"] * 9, "tag", *["review moon"] * 3]
    for value, command in enumerate(commands):
        commit(store, value, command)
    kept = [(number, open_snapshot(store.path, number).command) for number in list_snapshots(store.path)]
    assert kept == [
        (4, "tag"),
        (13, "review earth"),
        (14, "tag"),
        (15, "review moon"),
        (16, "review moon"),
        (17, "review moon"),
    ]
    (store.path / "_snap" / "00000016" / "snapshot.json").write_text("{")
    commit(store, 99)
    assert list_snapshots(store.path) == [15, 16, 17, 18], "what cannot be read counts by itself"


def test_collect_frees_only_what_nobody_shares(store: Store) -> None:
    commit(store, 1)
    (old,) = store.snapshot().files("definitions")
    size = old.path.stat().st_size
    commit(store, 2)
    found = collect(store.path, keep_snapshots=1, keep_seconds=0)
    assert found.snapshots == 2
    assert size < found.bytes < size + 2_000, "the old rows, and two snapshots' few lines"
    assert collect(store.path, keep_snapshots=1, keep_seconds=0).leftovers == 0


def plant_garbage(store: Path) -> list[Path]:
    """One of everything that a crash may leave, old enough."""
    paths = [
        store / "_snap" / ".tmp-00000009",
        store / "_snap" / "00000009",
        store / "_tables" / "sets" / "00000009",
        store / "_tables" / "sets" / ".tmp-00000009",
        store / "_stage" / "0123abcd",
        store / "_stage" / ".trash-0123",
        store / "_stage" / ".0123",
        store / "_stage" / ".tmp-trash-01",
    ]
    for path in paths:
        path.mkdir()
        (path / "file").write_text("x")
    (store / "_stage" / "0123abcd" / ".alive").write_text("")
    (store / ".tmp-live-00000009").symlink_to("_snap/00000009")
    half = store / ".vocabulary.yaml.0a1b2c3d.tmp"
    half.write_text("half")
    paths += [store / ".tmp-live-00000009", half]
    for path in paths:
        os.utime(path, (time.time() - 100,) * 2, follow_symlinks=False)
    return paths


def test_what_crashes_leave(store: Store) -> None:
    commit(store, 1)
    planted = plant_garbage(store.path)
    assert sorted(leftovers(store.path, 2)) == sorted(planted)
    report = verify(store.path)
    assert report.sound
    assert len(report.notes) == len(planted)
    found = collect(store.path)
    assert (found.snapshots, found.leftovers) == (0, len(planted))
    assert not any(os.path.lexists(path) for path in planted)
    assert verify(store.path).notes == ()


def test_a_commit_clears_up(store: Store) -> None:
    planted = plant_garbage(store.path)
    commit(store, 1)
    assert not any(os.path.lexists(path) for path in planted if path.name != "00000009")
    assert store.snapshot().number == 2


def test_what_is_in_use_stays(store: Store) -> None:
    """A stage whose writer lives, and names so young that their writer may."""
    stage = store.path / "_stage" / "0123abcd"
    stage.mkdir()
    young = store.path / "_stage" / ".0123"
    young.mkdir()
    half = store.path / ".colonnade.toml.01234567.tmp"
    half.write_text("")
    with (stage / ".alive").open("w") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        collect(store.path)
        assert stage.exists()
    assert young.exists()
    assert half.exists()
    collect(store.path)
    assert not stage.exists()


def test_other_files_stay(store: Store) -> None:
    mine = [store.path / name for name in ("notes.txt", ".hidden", ".notes.txt.0123.tmp", "jobs/x")]
    for path in mine:
        path.write_text("mine")
        os.utime(path, (0, 0))
    collect(store.path, keep_snapshots=1, keep_seconds=0)
    assert all(path.exists() for path in mine)


def test_links_in_the_stage_are_removed_and_not_followed(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "photos"
    (outside / "deep").mkdir(parents=True)
    (store.path / "_stage" / "link").symlink_to(outside)
    (store.path / "_tables" / "sets" / "00000007").symlink_to(outside)
    collect(store.path)
    assert (outside / "deep").exists()
    assert not os.path.lexists(store.path / "_stage" / "link")
    assert not os.path.lexists(store.path / "_tables" / "sets" / "00000007")


def test_a_damaged_snapshot_protects_every_version(store: Store) -> None:
    """A link that cannot be read may have led to any version: none of that table is garbage then."""
    commit(store, 1)
    commit(store, 2)
    (store.path / "_snap" / "00000002" / "definitions").unlink()
    collect(store.path)
    assert len(os.listdir(store.path / "_tables" / "definitions")) == 3


def test_a_missing_live_snapshot_stops_everything(store: Store) -> None:
    commit(store, 1)
    shutil.rmtree(store.path / "_snap" / "00000002")
    with pytest.raises(StoreError, match="missing; run `colonnade verify`"):
        collect(store.path)
    assert (store.path / "_tables" / "definitions" / "00000002").exists()


def test_kept_on_request(store: Store) -> None:
    for value in range(4):
        commit(store, value)
    trash = sweep(store.path, 5, keep_snapshots=1, keep_seconds=0, keep=[2])
    assert list_snapshots(store.path) == [2, 5]
    assert [path.parent.name for path in trash] == ["_stage"]


def test_a_clock_that_went_back_keeps(store: Store) -> None:
    commit(store, 1)
    age(store, -10_000)
    assert collect(store.path, keep_snapshots=1, keep_seconds=0).snapshots == 0
