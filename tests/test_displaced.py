"""A missing picture whose path another has by now: a path means the picture that is there."""

from __future__ import annotations

from pathlib import Path

from collections_on_disk import make_store, scan, write_image

from colonnade.engine.import_rows import match_paths
from colonnade.engine.label_files import Judgement
from colonnade.engine.label_images import LabelImages
from colonnade.engine.lookup import find_image
from colonnade.engine.verify import verify

UUID = "0b5e1c1e-7d0c-4c39-8a51-1f7f6b4f5d11"


def test_a_path_means_the_picture_that_is_there(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    photos = store.settings.roots[0].path
    name = f"{UUID}.jpg"
    write_image(photos / name, 50)
    scan(store)
    (photos / "001.jpg").replace(photos / name)
    scan(store)
    snapshot = store.snapshot()
    states = [find_image(store, snapshot, image).state for image in ("0", "1", "2")]
    assert states == ["ok", "ok", "missing"]
    for called in (name, UUID, str(photos / name), "1"):
        assert find_image(store, snapshot, called).image_id == 1
    images = LabelImages(store, snapshot, {name, UUID, str(photos / name), "2"})
    for column, value, image_id in (
        ("path", name, 1),
        ("path", str(photos / name), 1),
        ("uuid", UUID, 1),
        ("image_id", "2", 2),
    ):
        assert images.find(Judgement(1, (column, value), None, "earth", True, "", None, None)) == image_id
    matches = match_paths(snapshot, [name, "000.jpg"])
    assert (matches.rows.tolist(), matches.ids.tolist()) == ([0, 1], [1, 0])
    assert not verify(store.path).faults
