"""Reading snapshots, also of stores that a stranger made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from query_stores import Content, build_store, image

from colonnade.engine.columns import TABLES
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.snapshots import Snapshot, list_snapshots, open_snapshot
from colonnade.engine.store import Store
from colonnade.engine.store_names import data_file_name, partition_folder, partition_name

CONTENT = Content([image(0), image(200_000)], {"earth": {0: (1.0, 0.5, "tentative")}}, {"best": [0]})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return build_store(tmp_path / "s", CONTENT)


@given(st.text(min_size=1, max_size=60))
@example("a/b")
@example("..")
@example("a=b%2F?#")
@example("🌍 é")
@settings(max_examples=60, deadline=None)
def test_partition_names_survive_folders(name: str) -> None:
    try:
        folder = partition_folder("sets", name)
    except InputError:
        assert len(name.encode("utf-8", "surrogatepass")) > 50 or any("\ud800" <= c <= "\udfff" for c in name)
        return
    assert "/" not in folder
    assert folder.isascii()
    assert partition_name("sets", folder) == name


@pytest.mark.parametrize(
    "folder", ["set_name=", "set_name=%61", "other=a", "a", "set_name=é", "set_name=%FF"]
)
def test_folders_that_are_no_partition(folder: str) -> None:
    assert partition_name("sets", folder) is None


def test_files_and_cells(store: Store) -> None:
    snapshot = store.snapshot()
    assert snapshot.partitions("scores") == ("earth",)
    assert snapshot.partitions("images") == ()
    assert snapshot.shards("images") == (0, 1)
    (first, second) = snapshot.files("images")
    assert snapshot.cell("images", None, 1) == (second,)
    assert first.path.name == data_file_name(0, first.digest)
    assert first.path == first.path.resolve()
    assert snapshot.files("scores") == snapshot.files("scores", "earth")
    assert snapshot.files("scores", "nothing") == ()


def test_strange_names_are_not_data(store: Store) -> None:
    folder = store.snapshot().version("sets") / "set_name=best"
    for name in ("x.parquet", ".tmp-1.parquet", "part-0-0.parquet", "part-０００００-0123456789ab.parquet"):
        (folder / name).write_bytes(b"")
    (store.snapshot().version("sets") / "set_name=%62est").mkdir()
    (store.snapshot().version("sets") / "notes.txt").write_text("")
    assert store.snapshot().partitions("sets") == ("best",)
    assert len(store.snapshot().files("sets")) == 1


def test_facts(store: Store) -> None:
    snapshot = store.snapshot()
    assert (snapshot.number, snapshot.command, snapshot.next_image_id) == (2, "test", 0)
    assert abs((datetime.now(UTC) - snapshot.created).total_seconds()) < 600
    assert snapshot.vocabulary_bytes() == store.vocabulary_path.read_bytes()


def test_at(store: Store) -> None:
    assert list_snapshots(store.path) == [1, 2]
    assert open_snapshot(store.path, 1).files("images") == ()
    with pytest.raises(InputError, match="no snapshot 3, only 1 to 2"):
        open_snapshot(store.path, 3)


def test_snapshots_above_live_do_not_exist(store: Store) -> None:
    shutil.copytree(store.path / "_snap" / "00000002", store.path / "_snap" / "00000003", symlinks=True)
    assert list_snapshots(store.path) == [1, 2]
    with pytest.raises(InputError):
        open_snapshot(store.path, 3)


@pytest.mark.parametrize(
    "target",
    ["/etc", "_snap/../../x", "_snap/2", "_snap/00000002/", "../s/_snap/00000002", "_snap/００００００02"],
)
def test_live_leads_elsewhere(store: Store, target: str) -> None:
    (store.path / "live").unlink()
    (store.path / "live").symlink_to(target)
    with pytest.raises(StoreError, match="outside _snap/; refused"):
        store.snapshot()


@pytest.mark.parametrize(
    "target", ["/etc", "../../_tables/sets/00000001/..", "../../_tables/sets/1", "../../../x"]
)
def test_table_leads_elsewhere(store: Store, target: str) -> None:
    link = store.snapshot().path / "sets"
    link.unlink()
    link.symlink_to(target)
    with pytest.raises(StoreError, match="outside _tables/sets/; refused"):
        store.snapshot().partitions("sets")


@pytest.mark.parametrize("inside", ["_snap", "_tables", "_tables/sets", "version", "partition", "file"])
def test_links_inside_are_not_followed(store: Store, tmp_path: Path, inside: str) -> None:
    """Folders and data files must be themselves, wherever a link may lead."""
    snapshot = store.snapshot()
    version = snapshot.version("sets")
    (file,) = snapshot.files("sets")
    named = {"version": version, "partition": file.path.parent, "file": file.path}
    target = named.get(inside, store.path / inside)
    target.rename(tmp_path / "outside")
    target.symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match=r"refused|not a folder of the store"):
        store.snapshot().files("sets", "best")


def test_pipes_are_refused_and_not_waited_for(store: Store) -> None:
    snapshot = store.snapshot()
    (file,) = snapshot.files("sets")
    file.path.unlink()
    os.mkfifo(file.path)
    for name in ("snapshot.json", "vocabulary.yaml"):
        (snapshot.path / name).unlink()
        os.mkfifo(snapshot.path / name)
    fresh = store.snapshot()
    with pytest.raises(StoreError, match="not a regular file"):
        fresh.files("sets", "best")
    with pytest.raises(StoreError, match="not a regular file"):
        fresh.vocabulary_bytes()
    with pytest.raises(StoreError, match="not a regular file"):
        _ = fresh.facts
    (snapshot.path / "snapshot.json").unlink()
    (snapshot.path / "snapshot.json").symlink_to("/etc/hostname")
    with pytest.raises(StoreError):
        _ = store.snapshot().facts


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"next_image_id": true}', '{"next_image_id": -1}', '{"next_image_id": 1e400}',
     '{"next_image_id": 99999999999999999999}', "[" * 30_000, "9" * 10_000, '{"next_image_id": "' + "x" * 70_000],
)  # fmt: skip
def test_damaged_facts(store: Store, text: str) -> None:
    path = store.snapshot().path / "snapshot.json"
    path.write_text(text)
    with pytest.raises(StoreError) as caught:
        _ = store.snapshot().next_image_id
    assert "\n" not in str(caught.value)


def test_dates_without_a_zone_are_utc(store: Store) -> None:
    path = store.snapshot().path / "snapshot.json"
    for text, year in (("2024-05-01T10:00:00", 2024), ("yesterday", 1970), (None, 1970)):
        path.write_text(json.dumps({"next_image_id": 0, "created": text}))
        assert store.snapshot().created.tzinfo is not None
        assert store.snapshot().created.year == year


def test_collected_while_read(store: Store) -> None:
    """A reader that held a snapshot for longer than it is kept is told so, whatever it asks for."""
    questions: tuple[Callable[[Snapshot], object], ...] = (
        lambda s: s.files("sets"),
        lambda s: s.cell("images", None, 0),
        lambda s: s.version("sets"),
        lambda s: s.vocabulary_bytes(),
        lambda s: s.next_image_id,
    )
    held = [Snapshot(store.path, 1) for _ in questions]
    shutil.rmtree(store.path / "_snap" / "00000001")
    shutil.rmtree(store.path / "_tables" / "sets" / "00000001")
    for snapshot, question in zip(held, questions, strict=True):
        with pytest.raises(StoreError, match="collected while it was read"):
            question(snapshot)


def test_a_live_snapshot_that_was_deleted(store: Store) -> None:
    """Nobody collects that one: the store is damaged, and running it again is of no use."""
    questions: tuple[Callable[[Snapshot], object], ...] = (
        lambda s: s.files("sets"),
        lambda s: s.version("sets"),
        lambda s: s.vocabulary_bytes(),
        lambda s: s.next_image_id,
    )
    live = store.snapshot()
    shutil.rmtree(live.path)
    said = rf"live: leads to snapshot {live.number}, which is missing; make it anew: ln -sfn _snap/0*{live.number - 1} "
    for question in questions:
        with pytest.raises(StoreError, match=said):
            question(store.snapshot())
    for number in range(1, live.number):
        shutil.rmtree(store.path / "_snap" / f"{number:08d}")
    with pytest.raises(StoreError, match="which is missing; run `colonnade verify`"):
        store.snapshot().files("sets")


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="colonnade init"):
        open_snapshot(tmp_path)
    (tmp_path / "live").write_text("")
    with pytest.raises(StoreError, match="not a link"):
        open_snapshot(tmp_path)


def test_every_table_has_a_link(store: Store) -> None:
    for table in TABLES:
        assert os.readlink(store.path / table) == f"live/{table}"
        assert (store.path / table).resolve() == store.snapshot().version(table)
