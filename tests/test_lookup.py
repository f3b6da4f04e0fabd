"""Finding one image by what a person calls it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from collections_on_disk import make_store, write_image

from colonnade.engine.errors import InputError
from colonnade.engine.import_embeddings import import_vectors
from colonnade.engine.label_files import Judgement
from colonnade.engine.label_images import LabelImages
from colonnade.engine.lookup import find_image
from colonnade.engine.scan import apply_scan, plan_scan
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.store import Store
from colonnade.engine.tables import read_table

UUID = "0b5e1c1e-7d0c-4c39-8a51-1f7f6b4f5d11"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("lookup")
    made = make_store(folder, images=2)
    write_image(folder / "photos" / "a" / "same.jpg", 10)
    write_image(folder / "photos" / "b" / "same.jpg", 11)
    write_image(folder / "photos" / "deep" / "alone.jpg", 12)
    write_image(folder / "photos" / f"{UUID}.jpg", 13)
    apply_scan(made, plan_scan(made))
    model = Model("other", "", 4, 100.0)
    update_settings(made.path, lambda now: now.with_model(model, activate=True))
    import_vectors(made, model, ["https://example.org/1", "77"], np.eye(4, dtype=np.float32)[:2])
    return made


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("000.jpg", "000.jpg"),
        ("a/same.jpg", "a/same.jpg"),
        ("alone.jpg", "deep/alone.jpg"),
        (UUID, f"{UUID}.jpg"),
        (UUID.upper(), f"{UUID}.jpg"),
        ("https://example.org/1", "https://example.org/1"),
        ("77", "77"),
        ("0", "000.jpg"),
        ("id:0", "000.jpg"),
        ("photos/a/same.jpg", "a/same.jpg"),
    ],
)
def test_an_image_has_many_names(store: Store, name: str, path: str) -> None:
    found = find_image(store, store.snapshot(), name)
    assert found.path == path
    assert (found.file is None) == (found.source == "import")
    if found.file is not None:
        assert found.file.is_file()


def test_a_file_is_found_by_where_it_is(store: Store) -> None:
    file = store.settings.roots[0].path / "deep" / "alone.jpg"
    assert find_image(store, store.snapshot(), str(file)).path == "deep/alone.jpg"
    assert find_image(store, store.snapshot(), str(file.parent / ".." / "000.jpg")).path == "000.jpg"


@pytest.mark.parametrize("name", ["~nobody-here/x.jpg", "~", "/", ""])
def test_what_is_no_image_is_one_line(store: Store, name: str) -> None:
    with pytest.raises(InputError, match="no such image"):
        find_image(store, store.snapshot(), name)


def test_labels_and_commands_find_a_whole_path_alike(tmp_path: Path) -> None:
    """Also names that are no text, and one that only reads like such a name as it is shown."""
    made = make_store(tmp_path, images=3)
    photos = made.settings.roots[0].path
    for old, new in (("000.jpg", b"odd\xff.jpg"), ("001.jpg", rb"two\xfe.jpg")):
        os.rename(os.fsencode(photos / old), os.fsencode(photos) + b"/" + new)  # noqa: PTH104
    apply_scan(made, plan_scan(made))
    snapshot = made.snapshot()
    shown = read_table("images", snapshot.files("images"), ["path"])["path"].to_pylist()
    assert shown == ["002.jpg", r"odd\xff.jpg", r"two\\xfe.jpg"]
    names = {f"{photos}/{path}": image_id for image_id, path in enumerate(shown)} | {
        rf"{photos}/two\xfe.jpg": 2
    }
    images = LabelImages(made, snapshot, set(names))
    for name, image_id in names.items():
        assert find_image(made, snapshot, name).image_id == image_id
        judged = Judgement(1, ("path", name), None, "earth", True, "", None, None)
        assert images.find(judged) == image_id, name
    assert find_image(made, snapshot, f"{photos}/odd\udcff.jpg").image_id == 1


def test_an_ambiguous_name_is_refused_with_the_choices(store: Store) -> None:
    with pytest.raises(InputError, match=r"2 images .*photos/a/same.jpg \(id \d+\)"):
        find_image(store, store.snapshot(), "same.jpg")


def test_an_unknown_name_gets_a_hint(store: Store) -> None:
    with pytest.raises(InputError, match=r"did you mean 'alone\.jpg'"):
        find_image(store, store.snapshot(), "alon.jpg")


def test_ids_tell_apart_what_is_called_by_numbers(tmp_path: Path) -> None:
    made = make_store(tmp_path, images=0)
    model = Model("other", "", 4, 100.0)
    update_settings(made.path, lambda now: now.with_model(model, activate=True))
    import_vectors(made, model, ["1", "2", "0"], np.eye(4, dtype=np.float32)[:3])
    with pytest.raises(InputError, match=r"2 images are called so: .*; write id:0"):
        find_image(made, made.snapshot(), "1")
    assert [find_image(made, made.snapshot(), f"id:{n}").path for n in range(3)] == ["1", "2", "0"]
    with pytest.raises(InputError, match="no such image"):
        find_image(made, made.snapshot(), "id:9")


def test_a_name_is_found_as_it_is_shown(tmp_path: Path) -> None:
    made = make_store(tmp_path, images=1)
    photo = tmp_path / "photos" / "000.jpg"
    os.rename(os.fsencode(photo), os.fsencode(photo.parent) + b"/odd\xff.jpg")  # noqa: PTH104
    apply_scan(made, plan_scan(made))
    shown = read_table("images", made.snapshot().files("images"), ["path"])["path"][0].as_py()
    assert find_image(made, made.snapshot(), shown).image_id == 0
