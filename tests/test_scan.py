from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from isolated_functions import read_item_or_misbehave
from scan_stores import commit, describe_all, described, ids, picture, rows, scan, states

from colonnade.engine import scan_run
from colonnade.engine.errors import InputError
from colonnade.engine.facts import NEEDS_EXTRA, hash_file
from colonnade.engine.scan import ScanOutcome, apply_scan, plan_scan
from colonnade.engine.settings import update_settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def store(tmp_path: Path, root: Path) -> Store:
    return Store.create(tmp_path / "store", roots=[root], model="hash")


def test_first_scan_then_nothing_to_do(store: Store, root: Path) -> None:
    picture(root / "a.png", 1, (7, 2))
    picture(root / "sub" / "0B5E7C2A-90f1-4c1e-8a55-3d2f1b6c7d8e.png", 2)
    plan = plan_scan(store)
    assert (plan.reads, plan.is_empty, plan.count("new")) == (2, False, 2)
    assert scan(store) == ScanOutcome(new=2, commits=1)
    found = rows(store)
    row = found["photos/a.png"]
    status = (root / "a.png").stat()
    assert (row["width"], row["height"], row["format"], row["state"]) == (7, 2, "PNG", "ok")
    assert (row["bytes"], row["source"], row["error"]) == (status.st_size, "file", None)
    assert int(row["mtime"].timestamp() * 1e6 + 0.5) == status.st_mtime_ns // 1000
    assert row["content_hash"] == hash_file(root / "a.png")
    named = next(row for row in found.values() if row["uuid"])
    assert named["uuid"] == "0b5e7c2a-90f1-4c1e-8a55-3d2f1b6c7d8e"
    before = store.snapshot().number
    again = plan_scan(store)
    assert (again.reads, again.is_empty, again.count("unchanged")) == (0, True, 2)
    assert scan(store) == ScanOutcome(unchanged=2)
    assert store.snapshot().number == before


def test_ids_follow_the_paths_and_batches_are_commits(store: Store, root: Path) -> None:
    names = [f"{number:03d}.png" for number in range(50)]
    for number, name in enumerate(names):
        picture(root / name, number)
    assert scan(store, workers=2, batch_files=20).commits == 3
    assert ids(store) == {name: number for number, name in enumerate(names)}


def test_moved_files_keep_their_row_and_all_that_belongs_to_it(store: Store, root: Path) -> None:
    for shade, name in enumerate(("a.png", "b.png", "c.png")):
        picture(root / name, shade)
    scan(store)
    describe_all(store)
    before, kept = ids(store), described(store)
    (root / "new").mkdir()
    (root / "a.png").rename(root / "new" / "a.png")
    (root / "b.png").rename(root / "other name.png")
    assert plan_scan(store).count("looks_moved") == 2
    assert scan(store) == ScanOutcome(moved=2, unchanged=1, commits=1)
    assert ids(store) == {
        "new/a.png": before["a.png"],
        "other name.png": before["b.png"],
        "c.png": before["c.png"],
    }
    assert set(states(store).values()) == {"ok"}
    assert described(store) == kept


def test_a_file_that_moved_long_after_it_vanished(store: Store, root: Path, tmp_path: Path) -> None:
    picture(root / "a.png", 1)
    scan(store)
    before = ids(store)["a.png"]
    (root / "a.png").rename(tmp_path / "away.png")
    assert scan(store) == ScanOutcome(vanished=1, commits=1)
    assert states(store) == {"a.png": "missing"}
    assert scan(store) == ScanOutcome()
    (tmp_path / "away.png").rename(root / "b.png")
    assert scan(store) == ScanOutcome(moved=1, commits=1)
    assert ids(store) == {"b.png": before}
    assert states(store) == {"b.png": "ok"}


def test_moves_go_to_the_same_name_and_are_one_to_one(store: Store, root: Path) -> None:
    for name in ("one/x.png", "one/y.png"):
        picture(root / name, 5)
    scan(store)
    before = ids(store)
    (root / "one").rename(root / "two")
    shutil.copy(root / "two" / "x.png", root / "a first copy.png")
    shutil.copy(root / "two" / "x.png", root / "z last copy.png")
    assert scan(store) == ScanOutcome(moved=2, new=2, commits=1)
    after = ids(store)
    assert after["two/x.png"] == before["one/x.png"]
    assert after["two/y.png"] == before["one/y.png"]
    assert len(set(after.values())) == 4


def test_a_copy_is_a_row_of_its_own(store: Store, root: Path) -> None:
    picture(root / "a.png", 1)
    scan(store)
    shutil.copy2(root / "a.png", root / "b.png")
    assert scan(store) == ScanOutcome(new=1, unchanged=1, commits=1)
    assert sorted(ids(store).values()) == [0, 1]


def test_other_content_removes_what_described_the_old_in_the_same_commit(store: Store, root: Path) -> None:
    for shade, name in enumerate(("a.png", "b.png")):
        picture(root / name, shade)
    scan(store)
    describe_all(store)
    before, image = store.snapshot().number, ids(store)
    picture(root / "a.png", 99, (9, 9))
    assert scan(store) == ScanOutcome(changed=1, unchanged=1, commits=1)
    assert store.snapshot().number == before + 1
    assert ids(store) == image
    assert rows(store)["photos/a.png"]["width"] == 9
    left = [image["b.png"]]
    assert described(store) == {
        "embeddings/m1": left,
        "embeddings/m2": left,
        "scores/earth": left,
        "scores/moon": left,
        "labels/earth": [0, 1],
        "sets/s": [0, 1],
    }
    picture(root / "b.png", 98)
    scan(store)
    assert described(store) == {"labels/earth": [0, 1], "sets/s": [0, 1]}


def test_touched_files_keep_everything_else(store: Store, root: Path) -> None:
    picture(root / "a.png", 1)
    scan(store)
    describe_all(store)
    row, kept = rows(store)["photos/a.png"], described(store)
    os.utime(root / "a.png", ns=(0, 1_000_000_000))
    assert plan_scan(store).count("changed") == 1
    assert scan(store) == ScanOutcome(touched=1, commits=1)
    after = rows(store)["photos/a.png"]
    assert after.pop("mtime") != row.pop("mtime")
    assert after == row
    assert described(store) == kept


def test_vanished_and_returned(store: Store, root: Path, tmp_path: Path) -> None:
    picture(root / "a.png", 1)
    (root / "bad.jpg").write_bytes(b"no image")
    scan(store)
    describe_all(store)
    kept, before = described(store), rows(store)
    for name in ("a.png", "bad.jpg"):
        (root / name).rename(tmp_path / name)
    assert scan(store) == ScanOutcome(vanished=2, commits=1)
    assert states(store) == {"a.png": "missing", "bad.jpg": "missing"}
    assert described(store) == kept
    for name in ("a.png", "bad.jpg"):
        (tmp_path / name).rename(root / name)
    plan = plan_scan(store)
    assert (plan.count("returned"), plan.reads) == (2, 0)
    assert scan(store) == ScanOutcome(returned=2, commits=1)
    assert rows(store) == before
    assert described(store) == kept


def test_a_file_that_returns_as_another_picture(store: Store, root: Path) -> None:
    picture(root / "a.png", 1)
    scan(store)
    describe_all(store)
    (root / "a.png").unlink()
    scan(store)
    picture(root / "a.png", 2)
    assert scan(store) == ScanOutcome(changed=1, commits=1)
    assert states(store) == {"a.png": "ok"}
    assert "embeddings/m1" not in described(store)


def test_files_that_are_no_images_are_rows_with_a_reason(store: Store, root: Path) -> None:
    (root / "empty.jpg").touch()
    (root / "text.jpg").write_text("hello")
    (root / "cut.png").write_bytes(picture(root / "whole.png").read_bytes()[:30])
    picture(root / "large.png", 1, (400, 300))
    outcome = scan(store, max_pixels=100_000)
    assert (outcome.new, outcome.unreadable) == (5, 4)
    assert dict(outcome.failures) == {
        "photos/empty.jpg": "empty file",
        "photos/text.jpg": "not an image in a known format",
        "photos/cut.png": "PNG header is damaged or cut short",
        "photos/large.png": "400 x 300 pixels, more than the limit of 100,000",
    }
    found = rows(store)
    assert {name: row["error"] for name, row in found.items() if row["state"] == "unreadable"} == dict(
        outcome.failures
    )
    assert scan(store) == ScanOutcome(unchanged=5)


def test_hangs_and_crashes_cost_one_file_each(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_run, "read_item", read_item_or_misbehave)
    for shade, name in enumerate(("a", "b", "hang_1", "segfault_1", "z")):
        picture(root / f"{name}.png", shade)
    outcome = scan(store, timeout_s=0.5, workers=2)
    assert (outcome.new, outcome.unreadable) == (5, 2)
    found = rows(store)
    assert found["photos/hang_1.png"]["error"].startswith("reading it took longer than 0.5")
    assert found["photos/segfault_1.png"]["error"] == "reading it crashed (SIGSEGV)"
    assert found["photos/hang_1.png"]["content_hash"] == hash_file(root / "hang_1.png")
    assert plan_scan(store).reads == 0


def test_files_that_lacked_a_decoder_are_tried_again(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pillow_heif", reason="pillow-heif (the images extra) is not installed")
    picture(root / "a.heic", 1)
    scan(store)

    def lacked(live: Snapshot, stage: Stage) -> None:
        data = read_files(live.files("images")).to_pylist()
        data[0] |= {"state": "unreadable", "error": f"HEIC needs pillow-heif: {NEEDS_EXTRA}"}
        table = pa.Table.from_pylist(data, schema=SCHEMAS["images"])
        stage.replace("images", None, 0, table, read=live.files("images"))

    commit(store, lacked)
    plan = plan_scan(store)
    assert (plan.count("changed"), plan.count("same_size"), plan.is_empty) == (1, 0, False)
    assert scan(store) == ScanOutcome(touched=1, commits=1)
    assert states(store) == {"a.heic": "ok"}


def test_imported_rows_are_left_alone(store: Store, root: Path) -> None:
    picture(root / "a.png", 1)
    content = hash_file(root / "a.png")

    def add(_: Snapshot, stage: Stage) -> None:
        image = stage.allocate_ids(1)[0]
        row = {"image_id": image, "root": "photos", "path": "x", "source": "import", "state": "ok"}
        row |= {"content_hash": content}
        stage.append("images", None, 0, pa.Table.from_pylist([row], schema=SCHEMAS["images"]), read=())

    commit(store, add)
    assert scan(store) == ScanOutcome(new=1, commits=1)
    assert states(store) == {"x": "ok", "a.png": "ok"}


def test_a_root_that_is_not_there_keeps_its_images(store: Store, root: Path) -> None:
    picture(root / "a.png", 1)
    scan(store)
    root.rename(root.with_name("unmounted"))
    outcome = scan(store)
    assert (outcome.vanished, outcome.unseen) == (0, 1)
    assert outcome.failures[0][0] == "photos"
    assert states(store) == {"a.png": "ok"}
    with pytest.raises(InputError, match="is not there; mount its disk"):
        plan_scan(store, ["photos"])
    with pytest.raises(InputError, match="the roots are: photos"):
        plan_scan(store, ["fotos"])


def test_a_root_that_was_moved_is_not_read_again(store: Store, root: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    picture(root / "a.png", 1)
    scan(store)
    root.rename(tmp_path / "elsewhere")
    update_settings(
        store.path,
        lambda found: replace(found, roots=(replace(found.roots[0], path=tmp_path / "elsewhere"),)),
    )
    plan = plan_scan(store, ["photos"])
    assert (plan.is_empty, plan.reads, plan.count("unchanged")) == (True, 0, 1)


def test_folders_that_cannot_be_listed_keep_their_images(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(root / "closed" / "a.png", 1)
    picture(root / "open" / "b.png", 2)
    scan(store)
    (root / "open" / "b.png").unlink()
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if isinstance(path, bytes) and path.endswith(b"closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    outcome = apply_scan(store, plan_scan(store))
    assert (outcome.vanished, outcome.unseen) == (1, 1)
    assert outcome.failures == (("photos/closed", "permission denied"),)
    assert states(store) == {"closed/a.png": "ok", "open/b.png": "missing"}


def test_names_that_are_not_utf8(store: Store, root: Path) -> None:
    raw = os.fsencode(root) + b"/caf\xe9.png"
    picture(root / "a.png", 1).rename(os.fsdecode(raw))
    assert scan(store).new == 1
    row = rows(store)["photos/caf\\xe9.png"]
    assert (row["path_bytes"], row["state"], row["width"]) == (b"caf\xe9.png", "ok", 4)
    Path(os.fsdecode(raw)).rename(root / "café.png")
    assert scan(store) == ScanOutcome(moved=1, commits=1)
    assert rows(store)["photos/café.png"]["path_bytes"] is None
