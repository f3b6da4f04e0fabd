"""`verify` notices data files that are gone by the rows that still speak of theirs, and tells once how to go on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from history_stores import change_vocabulary
from sound_stores import MODEL, VOCABULARY, add_images, embedding_rows, sound_store, unit_vectors

from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.errors import InputError
from colonnade.engine.findings import Fault
from colonnade.engine.garbage import collect
from colonnade.engine.history import restore
from colonnade.engine.import_embeddings import import_vectors
from colonnade.engine.prompts import store_prompts
from colonnade.engine.removal import drop
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.tag import tag
from colonnade.engine.verify import verify

OTHER = Model("other model", "", 8, 100.0)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files in each cell of images and embeddings: of 40 images and of 5."""
    store = sound_store(tmp_path_factory.mktemp("prepared") / "s")
    add_images(store, 5)
    tag(store)
    derive_attributes(store)
    return store.path


def faults(store: Store) -> tuple[Fault, ...]:
    return verify(store.path).faults


def only_fault(store: Store) -> Fault:
    (fault,) = faults(store)
    return fault


def the_other(store: Store, images: int) -> None:
    """Some images get a vector of another model, which becomes the active one."""
    vocabulary = store.vocabulary()
    prompts = [prompt for code in ("earth", "moon") for prompt in vocabulary.prompts(code)]
    with open_stage(store.path, command="import") as stage:
        rows = embedding_rows(np.arange(images), unit_vectors(images, seed=3))
        stage.append("embeddings", OTHER.key, 0, rows, read=())
        store_prompts(stage, OTHER, dict(zip(prompts, unit_vectors(2, seed=4), strict=True)))
        stage.commit()
    update_settings(store.path, lambda settings: settings.with_model(OTHER, activate=True))


@pytest.mark.parametrize(
    ("which", "words"),
    [
        (0, "40 images in shard 0 with scores by this model and without a vector of it (first: image 0)"),
        (1, "5 images in shard 0 with scores by this model and without a vector of it (first: image 40)"),
    ],
)
def test_one_of_several_files_of_embeddings(store: Store, which: int, words: str) -> None:
    files = sorted(store.snapshot().files("embeddings"), key=lambda f: -len(read_files([f], ["image_id"])))
    files[which].path.unlink()
    fault = only_fault(store)
    assert fault.where == f"embeddings/model={MODEL.key}"
    assert fault.what == f"vectors are lost: {words}"
    assert "colonnade snapshots" in fault.advice


def test_all_vectors_of_a_model(store: Store) -> None:
    """With their folder; those of another model stay what they are."""
    before = store.snapshot().number
    the_other(store, 20)
    tag(store, codes=["moon"])
    assert not faults(store)
    shutil.rmtree(store.snapshot().files("embeddings", OTHER.key)[0].path.parent)
    assert only_fault(store).where == "embeddings/model=other%20model"
    assert only_fault(store).what.startswith("vectors are lost: 20 images in shard 0 with ")
    restore(store.path, before)
    assert {fault.where for fault in faults(store)} == {f"embeddings/model={OTHER.key}"} or not faults(store)


def test_an_unreadable_file_of_embeddings_is_told_of_once(store: Store) -> None:
    path = store.snapshot().files("embeddings")[0].path
    path.write_bytes(path.read_bytes()[:200])
    assert {fault.where for fault in faults(store)} == {str(path.relative_to(store.path))}


def test_an_empty_partition_is_lost_data(store: Store) -> None:
    (file,) = store.snapshot().files("sets", "best of")
    file.path.unlink()
    fault = only_fault(store)
    assert fault.where == str(file.path.parent.relative_to(store.path))
    assert "what it held is lost" in fault.what
    assert "restore N" in fault.advice
    assert "given up, remove the empty folder" in fault.advice
    file.path.parent.rmdir()
    assert not faults(store)


def test_an_empty_partition_of_an_earlier_snapshot_can_be_let_go(store: Store) -> None:
    (file,) = store.snapshot().files("scores", "earth")
    file.path.unlink()
    assert "`colonnade sync` makes anew" in only_fault(store).advice
    tag(store)
    advice = only_fault(store).advice
    assert "the live snapshot does without it" in advice
    assert "gc --keep-snapshots 1 --keep-seconds 0" in advice
    collect(store.path, keep_snapshots=1, keep_seconds=0)
    assert not faults(store)


def test_all_images_gone(store: Store) -> None:
    for file in store.snapshot().files("images"):
        file.path.unlink()
    fault = only_fault(store)
    assert fault.where == "images"
    tables = "embeddings, labels, projections, scores, sets"
    assert fault.what == f"lost: it has no rows of any shard, where there are rows of {tables}"
    assert "colonnade snapshots" in fault.advice


def test_some_images_gone(store: Store) -> None:
    """One of two files of a shard."""
    files = sorted(store.snapshot().files("images"), key=lambda f: -len(read_files([f], ["image_id"])))
    files[1].path.unlink()
    fault = only_fault(store)
    assert fault.where == "images"
    assert "in shard 0 there are vectors of images that the images table lacks (5 in one file" in fault.what


def test_an_unreadable_images_table_is_told_of_once(store: Store) -> None:
    path = store.snapshot().files("images")[0].path
    path.write_bytes(path.read_bytes()[:200])
    assert {fault.where for fault in faults(store)} == {str(path.relative_to(store.path))}


def stray_row(store: Store, code: str) -> None:
    """A row of scores of an image that nothing else knows."""
    cell = store.snapshot().cell("scores", code, 0)
    data = read_files(cell)
    ids = pa.array([*data["image_id"].to_pylist()[:-1], 9_000])
    with open_stage(store.path, command="test") as stage:
        stage.replace("scores", code, 0, data.set_column(0, "image_id", ids), read=cell)
        stage.commit()


@pytest.mark.parametrize("code", ["moon", "both", "gone"])
def test_the_advice_for_stray_scores_helps(store: Store, code: str) -> None:
    """`tag` for a base attribute, `derive` for a derived one, `drop` for one that the vocabulary has no more."""
    if code == "gone":
        change_vocabulary(store, VOCABULARY.decode().splitlines()[3] + "\n", "")
        change_vocabulary(store, "[earth, moon]", "[earth]")
        derive_attributes(store)
    stray_row(store, "moon" if code == "gone" else code)
    found = [fault for fault in faults(store) if "of images that the images table lacks" in fault.what]
    (fault,) = found
    if code == "moon":
        assert "`colonnade tag moon --force`" in fault.advice
        tag(store, codes=["moon"], force=True)
        derive_attributes(store)
    elif code == "both":
        assert "`colonnade derive both --force`" in fault.advice
        derive_attributes(store, codes=["both"], force=True)
    else:
        assert "`colonnade drop moon`" in fault.advice
        with pytest.raises(InputError):
            tag(store, codes=["moon"], force=True)
        drop(store, ["moon"])
    assert not faults(store)


def test_what_commands_leave_is_in_order(store: Store) -> None:
    """Two models in turns, a part of the vectors, vectors that are imported again, and snapshots restored."""
    the_other(store, 20)
    assert not faults(store)
    tag(store, codes=["earth"])
    assert not faults(store)
    numbers = [store.snapshot().number]
    paths = read_files(store.snapshot().files("images"), ["path"])["path"].to_pylist()
    import_vectors(store, OTHER, paths[10:30], unit_vectors(20, seed=8))
    assert not faults(store)
    numbers.append(store.snapshot().number)
    tag(store)
    derive_attributes(store)
    assert not faults(store)
    update_settings(store.path, lambda settings: settings.with_model(MODEL, activate=True))
    import_vectors(store, MODEL, paths[:5], unit_vectors(5, seed=9))
    assert not faults(store)
    tag(store)
    assert not faults(store)
    for number in (*numbers, 1):
        restore(store.path, number)
        assert not faults(store)
        if number != 1:
            tag(store)
            assert not faults(store)
