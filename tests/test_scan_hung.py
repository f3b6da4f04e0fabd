"""Files that hang or crash a worker: hashed in another worker, and tried again in the next scan if that hangs too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from isolated_functions import read_item_or_misbehave
from scan_stores import picture, rows
from scan_workers import PARENT, hash_elsewhere

from colonnade.engine import scan_run
from colonnade.engine.facts import hash_file
from colonnade.engine.scan import apply_scan, plan_scan
from colonnade.engine.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv(PARENT, str(os.getpid()))
    monkeypatch.setattr(scan_run, "read_item", read_item_or_misbehave)
    monkeypatch.setattr(scan_run, "hash_file", hash_elsewhere)
    names = ("a", "hang_1", "hang_stuck", "segfault_1", "z")
    for shade, name in enumerate(names):
        picture(tmp_path / "photos" / f"{name}.png", shade)
    return Store.create(tmp_path / "store", roots=[tmp_path / "photos"], model="hash")


def test_what_hung_is_hashed_in_a_worker_and_in_time(store: Store, tmp_path: Path) -> None:
    outcome = apply_scan(store, plan_scan(store), timeout_s=0.5, workers=2)
    assert (outcome.new, outcome.unreadable) == (5, 3)
    found = rows(store)
    for name in ("hang_1", "segfault_1"):
        row = found[f"photos/{name}.png"]
        assert row["content_hash"] == hash_file(tmp_path / "photos" / f"{name}.png")
    row = found["photos/hang_stuck.png"]
    assert (row["state"], row["content_hash"]) == ("unreadable", None)
    assert row["error"].startswith("reading it took longer than 0.5")
    plan = plan_scan(store)
    assert (plan.is_empty, plan.count("retried"), plan.reads) == (True, 1, 1)


def test_an_interrupt_while_it_is_hashed_keeps_the_others(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(scan_run.ScanRun, "_hashed", stop)
    with pytest.raises(KeyboardInterrupt):
        apply_scan(store, plan_scan(store), timeout_s=0.5, workers=2)
    assert sorted(rows(store)) == ["photos/a.png", "photos/z.png"]
    plan = plan_scan(store)
    assert (plan.count("new"), plan.count("unchanged")) == (3, 2)
