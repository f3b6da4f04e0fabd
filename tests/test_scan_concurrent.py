from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_stores import describe_all, described, ids, picture, rows, scan, states

from colonnade.engine import scan_commit
from colonnade.engine.facts import hash_file
from colonnade.engine.scan import ScanOutcome, apply_scan, plan_scan
from colonnade.engine.scan_rows import drop_vectors
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.store import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def store(tmp_path: Path, root: Path) -> Store:
    return Store.create(tmp_path / "store", roots=[root], model="hash")


def test_an_interrupt_keeps_what_was_read(store: Store, root: Path) -> None:
    for number in range(40):
        picture(root / f"{number:02d}.png", number)

    def stop(done: int, total: int, failures: int) -> None:
        assert (total, failures) == (40, 0)
        if done == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_scan(store, plan_scan(store), stop, workers=2)
    kept = len(rows(store))
    assert kept == 25
    assert scan(store) == ScanOutcome(new=40 - kept, unchanged=kept, commits=1)


def test_two_plans_of_the_same_snapshot_give_each_file_one_row(store: Store, root: Path) -> None:
    for shade, name in enumerate(("changed.png", "moved.png", "gone.png")):
        picture(root / name, shade)
    scan(store)
    before = ids(store)
    (root / "moved.png").rename(root / "was moved.png")
    (root / "gone.png").unlink()
    picture(root / "changed.png", 1001)
    picture(root / "new.png", 1002)
    plans = [plan_scan(store), plan_scan(store)]
    assert apply_scan(store, plans[0]) == ScanOutcome(new=1, moved=1, changed=1, vanished=1, commits=1)
    number = store.snapshot().number
    assert apply_scan(store, plans[1]) == ScanOutcome()
    assert store.snapshot().number == number
    after = ids(store)
    assert after["was moved.png"] == before["moved.png"]
    assert states(store) == {
        "changed.png": "ok",
        "was moved.png": "ok",
        "gone.png": "missing",
        "new.png": "ok",
    }


def test_an_embedding_made_meanwhile_of_a_changed_picture_goes_too(store: Store, root: Path) -> None:
    picture(root / "a.png", 1)
    scan(store)
    picture(root / "a.png", 2)
    plan = plan_scan(store)
    describe_all(store)
    assert apply_scan(store, plan).changed == 1
    assert "embeddings/m1" not in described(store)


@pytest.mark.parametrize("meddling", [1, 6])
def test_what_others_commit_meanwhile_is_retried(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch, meddling: int
) -> None:
    picture(root / "a.png", 1)
    picture(root / "b.png", 2)
    scan(store)
    picture(root / "a.png", 3)
    (root / "b.png").rename(root / "c.png")
    picture(root / "d.png", 4)
    calls = 0

    def meddle(snapshot: Snapshot, stage: Stage, changed: list[int]) -> Any:
        nonlocal calls
        calls += 1
        looked = drop_vectors(snapshot, stage, changed)
        if calls <= min(meddling, scan_commit.UNLOCKED_ATTEMPTS):  # afterwards, the lock is held
            describe_all(store, calls)
        return looked

    monkeypatch.setattr(scan_commit, "drop_vectors", meddle)
    said: list[str] = []
    outcome = apply_scan(store, plan_scan(store), narrate=said.append)
    assert outcome == ScanOutcome(new=1, moved=1, changed=1, commits=1)
    assert said == ["the images changed meanwhile, retrying"] * min(meddling, scan_commit.UNLOCKED_ATTEMPTS)
    assert described(store)["embeddings/m1"] == [1]
    assert ids(store) == {"a.png": 0, "c.png": 1, "d.png": 2}


SCANNER = """
import sys
from colonnade.engine.scan import apply_scan, plan_scan
from colonnade.engine.store import Store
store = Store(sys.argv[1])
plan = plan_scan(store)
print("planned", flush=True)
sys.stdin.readline()
outcome = apply_scan(store, plan, batch_files=int(sys.argv[2]), workers=1, narrate=print)
print(outcome)
"""


@pytest.mark.slow
def test_scans_at_once_give_each_file_one_row(store: Store, root: Path) -> None:
    for number in range(60):
        picture(root / "old" / f"{number}.png", number)
    scan(store)
    describe_all(store)
    before = ids(store)
    (root / "old").rename(root / "new")
    for number in range(150):
        picture(root / f"{number}.png", 1000 + number)
    for number in range(20):
        picture(root / "new" / f"{number}.png", 2000 + number)
    scanners = [
        subprocess.Popen(
            [sys.executable, "-c", SCANNER, str(store.path), size],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for size in ("7", "11", "1000")
    ]
    for scanner in scanners:
        assert scanner.stdout is not None
        assert scanner.stdout.readline() == "planned\n"
    for scanner in scanners:
        assert scanner.stdin is not None
        scanner.stdin.write("go\n")
        scanner.stdin.flush()
    for scanner in scanners:
        said, complained = scanner.communicate(timeout=100)
        assert (scanner.returncode, complained) == (0, ""), said + complained
    scan(store)
    after = ids(store)
    assert len(set(after.values())) == len(after)
    assert {name for name, state in states(store).items() if state == "ok"} == {
        *(f"{number}.png" for number in range(150)),
        *(f"new/{number}.png" for number in range(60)),
    }
    for number in range(20, 60):
        assert after[f"new/{number}.png"] == before[f"old/{number}.png"]
    for number in range(20):  # what was moved and changed: the old row is missing, the new one new
        assert after[f"new/{number}.png"] != before[f"old/{number}.png"]
    for found in described(store).values():
        assert set(found) == set(before.values())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "move", "copy", "delete", "touch", "spoil", "scan"]),
        st.integers(0, 5),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=10,
)
PLACES = ("a.png", "b.png", "x/a.png", "x/b.png", "y/a.png", "y/é.png")


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_any_history_ends_with_rows_that_agree_with_the_files(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    root = tmp_path_factory.mktemp("photos")
    store = Store.create(tmp_path_factory.mktemp("store") / "s", roots=[root], model="hash")
    paths = [root / place for place in PLACES]
    for clock, (what, source, target) in enumerate((*steps, ("scan", 0, 0)), 1):
        here, there = paths[source], paths[target]
        there.parent.mkdir(exist_ok=True)
        actions: dict[str, Callable[[], object]] = {
            "write": partial(picture, here, 10 * target),
            "move": partial(here.replace, there),
            "copy": partial(shutil.copy, here, there) if here != there else int,
            "delete": here.unlink,
            "touch": partial(os.utime, here, ns=(0, clock * 1_000_000)),
            "spoil": partial(here.write_bytes, b"spoilt"),
        }
        if what == "scan":
            known = rows(store)
            scan(store)
            after = rows(store)
            assert {row["image_id"] for row in known.values()} <= {row["image_id"] for row in after.values()}
            there_now = {str(path.relative_to(root)): path for path in paths if path.exists()}
            live = {row["path"]: row for row in after.values() if row["state"] != "missing"}
            assert set(live) == set(there_now)
            for name, row in live.items():
                assert row["content_hash"] == hash_file(there_now[name])
                assert (row["state"] == "ok") == (there_now[name].read_bytes() != b"spoilt")
        elif what == "write" or here.exists():
            here.parent.mkdir(exist_ok=True)
            actions[what]()
            moved = there if what in ("move", "copy") else here
            if moved.exists() and what != "move":
                os.utime(moved, ns=(0, clock * 1_000_000))


@pytest.mark.slow
def test_nothing_warns_or_leaves_processes(store: Store, root: Path) -> None:
    picture(root / "a.png", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scan(store, workers=3)
    assert not list((store.path / "_stage").iterdir())
