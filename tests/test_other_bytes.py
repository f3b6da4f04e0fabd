"""A file whose bytes were replaced where no scan can see it, and what models and decoders refuse."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from collections_on_disk import image_states, make_store
from PIL import Image

from colonnade.engine.decode import decode
from colonnade.engine.embed import embed
from colonnade.engine.embedder import Preprocessing
from colonnade.engine.embedder_hash import HashEmbedder
from colonnade.engine.embedding_rows import vectors_of_content
from colonnade.engine.lookup import find_image
from colonnade.engine.settings import update_settings
from colonnade.engine.store import Store
from colonnade.engine.verify import verify


def bitmap(path: Path, level: int) -> None:
    Image.new("RGB", (32, 24), (level, 0, 255 - level)).save(path)


def replace_unseen(path: Path, other: Path) -> None:
    """Other bytes under the same size and modification time."""
    before = path.stat()
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def copies(tmp_path: Path) -> tuple[Store, Path]:
    """A synced store of a.bmp and b.bmp, which have the same bytes, and its folder; new.bmp beside it has others."""
    store, photos = make_store(tmp_path, images=0), tmp_path / "photos"
    for path, level in ((photos / "a.bmp", 10), (photos / "b.bmp", 10), (tmp_path / "new.bmp", 200)):
        bitmap(path, level)
    store.sync()
    return store, photos


def vector(store: Store, name: str) -> np.ndarray:
    model = store.settings.active
    assert model is not None
    content = find_image(store, store.snapshot(), name).content_hash
    assert content is not None
    return vectors_of_content(store.snapshot(), model, {content})[content]


def test_a_picture_that_was_replaced_unseen_gives_no_other_its_vector(tmp_path: Path) -> None:
    store, photos = copies(tmp_path)
    before = vector(store, "b.bmp")
    replace_unseen(photos / "a.bmp", tmp_path / "new.bmp")
    embed(store, force=True)
    assert np.array_equal(vector(store, "b.bmp"), before)
    state, error = image_states(store)["a.bmp"]
    assert state == "unreadable" and error is not None and "other bytes than were scanned" in error
    plan = store.plan()
    assert plan.scan is not None and (plan.empty, plan.scan.count("changed"), plan.retries) == (False, 1, 0)
    store.sync()
    assert image_states(store)["a.bmp"] == ("ok", None)
    assert store.plan().empty
    assert not np.array_equal(vector(store, "a.bmp"), before)
    assert np.array_equal(vector(store, "b.bmp"), before)


class _NotFinite(HashEmbedder):
    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        found = super().encode_images(pixels)
        found[0] = np.nan
        return found


def test_a_vector_that_is_not_finite_is_the_failure_of_its_image(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=3)
    from colonnade.engine.scan import apply_scan, plan_scan

    apply_scan(store, plan_scan(store))
    outcome = embed(store, load=lambda spec: _NotFinite())
    assert (outcome.embedded, outcome.failed) == (2, 1)
    assert [error for state, error in image_states(store).values() if state == "unreadable"] == [
        "the model gives no finite vector for it"
    ]
    assert not verify(store.path).faults


@pytest.mark.slow
def test_a_tiff_over_the_limit_of_pillow_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (13_500, 13_500), 1).save(tmp_path / "large.tif", compression="group4")
    assert (decode(tmp_path / "large.tif", Preprocessing(32, 32)) == 255).all()


def test_a_change_of_model_notices_it_too(tmp_path: Path) -> None:
    store, photos = copies(tmp_path)
    replace_unseen(photos / "a.bmp", tmp_path / "new.bmp")
    update_settings(store.path, lambda now: replace(now, spec="other", model_key=None))
    other = _Other()
    embed(store, load=lambda spec: other)
    content = find_image(store, store.snapshot(), "b.bmp").content_hash
    model = store.settings.active
    assert model is not None and model.key == "other" and content is not None
    stored = vectors_of_content(store.snapshot(), model, {content})[content]
    pixels = decode(photos / "b.bmp", other.preprocessing)
    assert np.array_equal(stored, other.encode_images(pixels[None])[0])


class _Other(HashEmbedder):
    key = "other"
