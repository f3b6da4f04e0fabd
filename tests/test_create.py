"""Making a store: what it holds, what is in the way, and disks that cannot hold one."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from colonnade.engine.columns import TABLES
from colonnade.engine.errors import ColonnadeError, InputError, StoreError
from colonnade.engine.store import Store
from colonnade.engine.verify import verify


def test_a_new_store(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    store = Store.create(
        tmp_path / "deep" / "s", roots=[photos], vocabulary=b"base_attributes: []\n# mine\n", model="hash"
    )
    snapshot = store.snapshot()
    assert (snapshot.number, snapshot.command, snapshot.next_image_id) == (1, "init", 0)
    assert all(snapshot.files(table) == () for table in TABLES)
    assert (
        snapshot.vocabulary_bytes() == store.vocabulary_path.read_bytes() == b"base_attributes: []\n# mine\n"
    )
    assert [root.path for root in store.settings.roots] == [photos]
    assert store.settings.spec == "hash"
    report = verify(store.path)
    assert report.sound
    assert not report.notes
    assert not [name for name in os.listdir(store.path) if name.startswith((".probe", ".tmp"))]


def test_an_existing_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("mine")
    assert verify(Store.create(tmp_path, model="hash").path).sound
    assert (tmp_path / "readme.txt").read_text() == "mine"


def test_there_is_one_already(tmp_path: Path) -> None:
    Store.create(tmp_path / "s", model="hash")
    with pytest.raises(StoreError, match="a store already"):
        Store.create(tmp_path / "s", model="hash")
    assert verify(tmp_path / "s").sound


@pytest.mark.parametrize(
    "name", ["images", "scores", "live", "_snap", "_tables", "jobs", "vocabulary.yaml", "views.sql"]
)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_in_the_way(tmp_path: Path, name: str, kind: str) -> None:
    """Nothing of the user's is touched, however much its name looks like ours."""
    target = tmp_path / name
    if kind == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "photo.jpg").write_text("mine")
    with pytest.raises(StoreError, match="in the way"):
        Store.create(tmp_path, model="hash")
    assert os.listdir(tmp_path) == [name]
    assert (target if kind == "file" else target / "photo.jpg").read_text() == "mine"


def test_photographs_beside_an_interrupted_init(tmp_path: Path) -> None:
    (tmp_path / "_snap").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "photo.jpg").write_text("mine")
    with pytest.raises(StoreError, match="in the way"):
        Store.create(tmp_path, model="hash")
    assert (tmp_path / "images" / "photo.jpg").exists()


def test_an_interrupted_init_is_taken_up(tmp_path: Path) -> None:
    path = Store.create(tmp_path / "s", model="hash").path
    for name in ("colonnade.toml", "views.sql"):  # what init writes last
        (path / name).unlink(missing_ok=True)
    (path / ".vocabulary.yaml.0123abcd.tmp").write_text("half")
    with pytest.raises(StoreError, match="no store here"):
        Store(path)
    assert verify(Store.create(path, model="hash").path).sound
    assert not list(path.glob(".*.tmp"))


def test_a_store_that_lost_its_settings_is_not_overwritten(tmp_path: Path) -> None:
    """Without colonnade.toml it looks like an interrupted init, but for the data."""
    from sound_stores import rows

    from colonnade.engine.stage import open_stage

    store = Store.create(tmp_path / "s", model="hash")
    with open_stage(store.path, command="test") as stage:
        stage.append(
            "definitions", None, 0, rows("definitions", [{"definition": "d", "json": "{}"}]), read=()
        )
        stage.commit()
    (store.path / "colonnade.toml").unlink()
    with pytest.raises(StoreError, match="in the way"):
        Store.create(store.path, model="hash")
    assert len(list(store.path.glob("_tables/*/*/*.parquet"))) == 1


def test_wrong_input_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Store.create(tmp_path / "s", vocabulary=b"base_attributes: 3", model="hash")
    with pytest.raises(InputError):
        Store.create(tmp_path / "s", roots=[tmp_path / "nothing"], model="hash")
    assert os.listdir(tmp_path) == []


def _refuse(number: int) -> Callable[..., Any]:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [(os, "link", "hard links"), (os, "symlink", "symbolic links"), (fcntl, "flock", "flock")],
)
def test_disks_that_cannot_hold_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str, words: str
) -> None:
    """As on FAT, or on network drives: said in words, and nothing is left."""
    calls = []
    real = getattr(module, name)

    def refuse(*arguments: object, **options: object) -> object:
        if name == "flock" and not (tmp_path / "s" / ".lock").exists():
            return real(*arguments, **options)
        calls.append(arguments)
        if name == "flock" and len(calls) == 1:
            return real(*arguments, **options)  # the store's own lock, before the probe
        return _refuse(errno.EOPNOTSUPP)()

    monkeypatch.setattr(module, name, refuse)
    with pytest.raises(StoreError, match=f"does not support {words}"):
        Store.create(tmp_path / "s", model="hash")
    monkeypatch.undo()
    assert not (tmp_path / "s").exists()


def test_several_at_once(tmp_path: Path) -> None:
    """One makes it, the others are told that there is one."""

    def create(_: int) -> str:
        try:
            Store.create(tmp_path / "s", model="hash")
        except ColonnadeError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(4) as pool:
        said = sorted(pool.map(create, range(4)))
    assert said[0] == ""
    assert all("already" in line or "in the way" in line for line in said[1:])
    assert verify(tmp_path / "s").sound


def test_a_store_can_move(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s", model="hash")
    shutil.move(store.path, tmp_path / "moved")
    assert verify(tmp_path / "moved").sound
