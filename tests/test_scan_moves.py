"""Pictures that are found again under a path that another row has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_stores import commit, describe_all, described, picture, scan

from colonnade.engine.facts import hash_file
from colonnade.engine.scan import ScanOutcome, apply_scan, plan_scan
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_table

Where = dict[int, tuple[str, str]]
"""image id -> (path, state)"""
RENUMBERED: Where = {0: ("1.png", "missing"), 1: ("1.png", "ok"), 2: ("2.png", "ok"), 3: ("3.png", "ok")}
"""Where `numbered` pictures are once the first is gone and each of the others has the name of the one before."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def store(tmp_path: Path, root: Path) -> Store:
    return Store.create(tmp_path / "store", roots=[root], model="hash")


def where(store: Store) -> Where:
    found = read_table("images", store.snapshot().files("images")).to_pylist()
    return {row["image_id"]: (row["path"], row["state"]) for row in found}


def numbered(store: Store, root: Path, count: int = 4, *, size: bool = True) -> None:
    """Pictures 1.png, ... with ids from 0 that all have everything; `size`: each of another size."""
    for number in range(count):
        picture(root / f"{number + 1}.png", number, (20 + 9 * number * size, 9))
    scan(store)
    describe_all(store)


def move(root: Path, *steps: str) -> None:
    for step in steps:
        here, there = step.split(">")
        (root / here).replace(root / there)


def test_a_file_moved_to_the_path_of_a_missing_one(store: Store, root: Path) -> None:
    numbered(store, root)
    kept = described(store)
    (root / "1.png").unlink()
    scan(store)
    move(root, "2.png>1.png")
    assert scan(store) == ScanOutcome(moved=1, unchanged=2, commits=1)
    assert where(store) == {
        0: ("1.png", "missing"),
        1: ("1.png", "ok"),
        2: ("3.png", "ok"),
        3: ("4.png", "ok"),
    }
    assert described(store) == kept
    assert scan(store) == ScanOutcome(unchanged=3)


@pytest.mark.parametrize("size", [True, False])
@pytest.mark.parametrize("batch_files", [1, 1000])
def test_renumbering_at_once(store: Store, root: Path, size: bool, batch_files: int) -> None:
    numbered(store, root, size=size)
    kept = described(store)
    (root / "1.png").unlink()
    for number in (1, 2, 3):
        os.utime(root / f"{number + 1}.png", ns=(0, number * 10**9))
    move(root, "2.png>1.png", "3.png>2.png", "4.png>3.png")
    assert scan(store, batch_files=batch_files).moved == 3
    assert where(store) == RENUMBERED
    assert described(store) == kept


@pytest.mark.parametrize(
    ("steps", "after"),
    [
        (["1.png>t", "2.png>1.png", "t>2.png"], [2, 1, 3, 4]),
        (["4.png>t", "3.png>4.png", "2.png>3.png", "1.png>2.png", "t>1.png"], [2, 3, 4, 1]),
        (["1.png>5.png", "2.png>1.png"], [5, 1, 3, 4]),
    ],
)
@pytest.mark.parametrize("batch_files", [1, 1000])
def test_swaps_rotations_and_chains(
    store: Store, root: Path, steps: Sequence[str], after: Sequence[int], batch_files: int
) -> None:
    numbered(store, root)
    kept = described(store)
    move(root, *steps)
    assert scan(store, batch_files=batch_files).moved == sum(n != i + 1 for i, n in enumerate(after))
    assert where(store) == {image: (f"{number}.png", "ok") for image, number in enumerate(after)}
    assert described(store) == kept


def test_a_new_picture_at_the_old_path_of_one_that_moved(store: Store, root: Path) -> None:
    numbered(store, root, 2)
    move(root, "1.png>2.png")
    picture(root / "1.png", 77, (9, 9))
    assert scan(store) == ScanOutcome(new=1, moved=1, vanished=1, commits=1)
    assert where(store) == {0: ("2.png", "ok"), 1: ("2.png", "missing"), 2: ("1.png", "ok")}


def test_a_copy_over_another_is_a_changed_file(store: Store, root: Path) -> None:
    numbered(store, root)
    shutil.copy(root / "2.png", root / "1.png")
    shutil.copy(root / "4.png", root / "3.png")
    os.utime(root / "4.png", ns=(0, 10**9))
    assert scan(store) == ScanOutcome(changed=2, touched=1, unchanged=1, commits=1)
    assert where(store) == {number: (f"{number + 1}.png", "ok") for number in range(4)}


def test_the_picture_that_gave_way_comes_back(store: Store, root: Path, tmp_path: Path) -> None:
    numbered(store, root, 2)
    kept = described(store)
    move(root, "1.png>../away.png", "2.png>1.png")
    scan(store)
    assert where(store) == {0: ("1.png", "missing"), 1: ("1.png", "ok")}
    move(root, "1.png>2.png", "../away.png>1.png")
    assert scan(store).moved + plan_scan(store).count("returned") == 2
    assert where(store) == {0: ("1.png", "ok"), 1: ("2.png", "ok")}
    (root / "1.png").unlink()
    scan(store)
    move(root, "2.png>1.png")
    scan(store)
    (root / "1.png").unlink()
    scan(store)
    assert where(store) == {0: ("1.png", "missing"), 1: ("1.png", "missing")}
    assert scan(store) == ScanOutcome()
    assert described(store) == kept


@pytest.mark.parametrize("batch_files", [1, 1000])
def test_two_scans_at_once_move_each_picture_once(store: Store, root: Path, batch_files: int) -> None:
    numbered(store, root)
    kept = described(store)
    move(root, "1.png>../away.png", "2.png>1.png", "3.png>2.png", "4.png>3.png")
    plans = [plan_scan(store), plan_scan(store)]
    picture(root / "5.png", 99)
    scan(store)
    after = where(store)
    for plan in plans:
        apply_scan(store, plan, batch_files=batch_files, workers=1)
        assert where(store) == after
    assert described(store) == kept


@pytest.mark.parametrize("batch_files", [1, 1000])
def test_rows_that_others_rewrote_meanwhile_move_in_the_next_scan(
    store: Store, root: Path, batch_files: int
) -> None:
    numbered(store, root)
    kept = described(store)
    move(root, "1.png>../away.png", "2.png>1.png", "3.png>2.png", "4.png>3.png")
    plan = plan_scan(store)
    commit(store, rewrite)
    apply_scan(store, plan, batch_files=batch_files, workers=1)
    live = [path for path, state in where(store).values() if state == "ok"]
    assert len(set(live)) == len(live)
    scan(store)
    assert where(store) == RENUMBERED
    assert described(store) == kept


def rewrite(live: Snapshot, stage: Stage) -> None:
    """Another writer notes something of a row, as of one that could not be decoded."""
    files = live.cell("images", None, 0)
    table = read_table("images", files).to_pylist()
    table[0]["error"] = "as if"
    stage.replace("images", None, 0, pa.Table.from_pylist(table, schema=SCHEMAS["images"]), read=files)


PLACES = ("1.png", "2.png", "3.png", "4.png", "5.png")


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(st.sampled_from([*PLACES, "edited", "none"]), min_size=5, max_size=5), max_size=3),
    st.booleans(),
)
def test_each_picture_keeps_its_id_wherever_it_goes(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[str]], size: bool
) -> None:
    """Each round says for each path whose picture lies there now: of a path, a new one, or none."""
    root = tmp_path_factory.mktemp("photos")
    store = Store.create(tmp_path_factory.mktemp("store") / "s", roots=[root], model="hash")
    for number, name in enumerate(PLACES):
        picture(root / name, number, (20 + 9 * number * size, 9))
    scan(store)
    for clock, sources in enumerate(rounds, 1):
        before = {path.name: path.read_bytes() for path in root.iterdir()}
        for number, (name, source) in enumerate(zip(PLACES, sources, strict=True)):
            if source == "edited":
                picture(root / name, 1000 * clock + number, (20, 9))
            elif source in before:
                (root / name).write_bytes(before[source])
            else:
                (root / name).unlink(missing_ok=True)
            if source != name and (root / name).exists():
                os.utime(root / name, ns=(0, (10 * clock + number) * 10**9))
        known = {row["image_id"]: row for row in rows_of(store)}
        scan(store)
        after = {row["image_id"]: row for row in rows_of(store)}
        there = {path.name: hash_file(path) for path in root.iterdir()}
        live = {row["path"]: row for row in after.values() if row["state"] == "ok"}
        assert {name: row["content_hash"] for name, row in live.items()} == there
        assert len(live) == sum(row["state"] == "ok" for row in after.values())
        for image_id, row in known.items():
            now = after[image_id]
            copies = sum(other["content_hash"] == row["content_hash"] for other in known.values())
            if row["content_hash"] in there.values() and copies == 1:
                assert (now["content_hash"], now["state"]) == (row["content_hash"], "ok")
                if there.get(row["path"]) == row["content_hash"]:
                    assert now["path"] == row["path"]
            elif row["content_hash"] not in there.values() and now["state"] == "ok":
                assert now["path"] == row["path"]  # edited in place


def rows_of(store: Store) -> list[dict[str, Any]]:
    return list(read_table("images", store.snapshot().files("images")).to_pylist())
