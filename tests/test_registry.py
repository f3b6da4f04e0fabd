"""Adding, moving and removing image roots: no file gets two rows, or the row of another root's file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from scan_stores import describe_all, described, picture, rows, scan, states

from colonnade.engine import registry
from colonnade.engine.errors import InputError
from colonnade.engine.facts import hash_file
from colonnade.engine.history import restore
from colonnade.engine.registry import add_root, move_root, remove_root
from colonnade.engine.scan import ScanOutcome, apply_scan, plan_scan
from colonnade.engine.settings import Settings, new_root
from colonnade.engine.store import Store


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    picture(tmp_path / "photos" / "a.png", 1)
    picture(tmp_path / "photos" / "sub" / "b.png", 2)
    return tmp_path / "photos"


@pytest.fixture
def store(tmp_path: Path, photos: Path) -> Store:
    store = Store.create(tmp_path / "store", roots=[photos], model="hash")
    scan(store)
    return store


def names(store: Store) -> list[str]:
    return [root.name for root in store.settings.roots]


def test_removing_a_root_makes_its_images_missing(store: Store) -> None:
    removed, count = remove_root(store, "photos")
    assert (removed.name, count, names(store)) == ("photos", 2, [])
    assert set(states(store).values()) == {"missing"}
    assert plan_scan(store).is_empty


def test_a_removal_that_was_killed_can_be_run_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in ("open_stage", "update_settings"):
        with monkeypatch.context() as patch:

            def killed(*_: object, **__: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(registry, step, killed)
            with pytest.raises(KeyboardInterrupt):
                remove_root(store, "photos")
        assert names(store) == ["photos"]
    remove_root(store, "photos")
    assert names(store) == []
    assert set(states(store).values()) == {"missing"}


def test_a_scan_that_was_planned_before_the_removal_adds_nothing(tmp_path: Path, photos: Path) -> None:
    store = Store.create(tmp_path / "store", roots=[photos], model="hash")
    plan = plan_scan(store)
    remove_root(store, "photos")
    assert apply_scan(store, plan, workers=1) == ScanOutcome()
    assert rows(store) == {}


def test_a_scan_does_not_move_images_to_a_root_that_was_removed_meanwhile(
    store: Store, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    add_root(store, tmp_path / "other")
    (photos / "a.png").rename(tmp_path / "other" / "a.png")
    plan = plan_scan(store)
    remove_root(store, "other")
    assert apply_scan(store, plan, workers=1).moved == 0
    assert scan(store).moved == 0
    assert states(store) == {"a.png": "missing", "sub/b.png": "ok"}


def test_restored_rows_of_a_removed_root_vanish_with_the_next_scan(store: Store) -> None:
    number = store.snapshot().number
    remove_root(store, "photos")
    restore(store.path, number)
    plan = plan_scan(store)
    assert (plan.is_empty, plan.reads, plan.count("vanished")) == (False, 0, 2)
    assert [each.root.name for each in plan.roots] == ["photos"]
    assert scan(store) == ScanOutcome(vanished=2, commits=1)
    assert set(states(store).values()) == {"missing"}


def test_restored_rows_are_found_again_under_the_new_name_of_their_folder(store: Store, photos: Path) -> None:
    describe_all(store)
    number, before, kept = store.snapshot().number, rows(store), described(store)
    remove_root(store, "photos")
    restore(store.path, number)
    assert add_root(store, photos).name == "photos-2"
    assert scan(store) == ScanOutcome(moved=2, commits=1)
    assert described(store) == kept
    after = rows(store)
    for path in ("a.png", "sub/b.png"):
        assert after[f"photos-2/{path}"] == before[f"photos/{path}"] | {"root": "photos-2"}


def test_another_folder_does_not_get_the_rows_of_a_removed_root(
    store: Store, photos: Path, tmp_path: Path
) -> None:
    other = picture(tmp_path / "elsewhere" / "photos" / "a.png", 3)
    assert other.stat().st_size == (photos / "a.png").stat().st_size
    for path in (other, photos / "a.png"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    scan(store)
    remove_root(store, "photos")
    assert add_root(store, other.parent).name == "photos-2"
    scan(store)
    found = rows(store)
    assert found["photos/a.png"]["state"] == "missing"
    assert found["photos-2/a.png"]["content_hash"] == hash_file(other)


def test_a_name_that_a_snapshot_knows_is_not_given_again(store: Store, tmp_path: Path) -> None:
    """`restore` would bring the rows of the first folder back."""
    number = store.snapshot().number
    restore(store.path, 1)  # before the first scan
    remove_root(store, "photos")
    assert rows(store) == {}
    (tmp_path / "elsewhere" / "photos").mkdir(parents=True)
    assert add_root(store, tmp_path / "elsewhere" / "photos").name == "photos-2"
    restore(store.path, number)
    assert scan(store).vanished == 2


def test_roots_do_not_overlap(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "photos more").mkdir()
    known = Settings("hash", roots=(new_root(Settings("hash"), photos),))
    with pytest.raises(InputError, match=r"sub: inside the root 'photos'"):
        new_root(known, photos / "sub")
    with pytest.raises(InputError, match=r"the root 'photos' .* is inside it"):
        new_root(known, tmp_path)
    assert new_root(known, tmp_path / "photos more").name == "photos-more"
    assert new_root(known, tmp_path / "photos more", {"photos-more"}).name == "photos-more-2"
    (tmp_path / "link").symlink_to(photos / "sub")
    with pytest.raises(InputError, match="link: inside the root 'photos'"):
        new_root(known, tmp_path / "link")


def test_a_store_is_not_made_or_extended_with_overlapping_roots(
    store: Store, photos: Path, tmp_path: Path
) -> None:
    for roots in ([photos, photos / "sub"], [photos / "sub", photos]):
        with pytest.raises(InputError, match="inside"):
            Store.create(tmp_path / "second", roots=roots, model="hash")
        assert not (tmp_path / "second").exists()
    for folder in (photos / "sub", tmp_path):
        with pytest.raises(InputError, match="inside"):
            add_root(store, folder)
    (tmp_path / "other").mkdir()
    add_root(store, tmp_path / "other")
    for folder in (photos / "sub", tmp_path):
        with pytest.raises(InputError, match="inside"):
            move_root(store, "other", folder, force=True)
    assert names(store) == ["photos", "other"]


def test_a_root_may_move_into_its_own_folder(store: Store, photos: Path) -> None:
    (photos / "inner").mkdir()
    for name in ("a.png", "sub"):
        shutil.move(photos / name, photos / "inner" / name)
    assert move_root(store, "photos", photos / "inner").path == photos / "inner"
    assert scan(store) == ScanOutcome(unchanged=2)
