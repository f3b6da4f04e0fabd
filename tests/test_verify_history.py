"""`verify` notices labels and vectors that an earlier snapshot has and that no command took away."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from history_stores import mark_missing
from sound_stores import MODEL, add_images, label, rows, sound_store

from colonnade.engine.compact import compact
from colonnade.engine.findings import Fault
from colonnade.engine.garbage import collect
from colonnade.engine.history import restore
from colonnade.engine.removal import forget, missing_images
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.verify import verify


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = sound_store(tmp_path_factory.mktemp("prepared") / "s")
    judge(store, "moon", 7)
    return store.path


def faults(store: Store) -> tuple[Fault, ...]:
    return verify(store.path).faults


def judge(store: Store, code: str, image_id: int) -> Snapshot:
    read = store.snapshot().cell("labels", code, 0)
    with open_stage(store.path, command=f"review {code}") as stage:
        stage.append("labels", code, 0, rows("labels", [label(image_id, present=True)]), read=read)
        return stage.commit()


def test_labels_that_are_gone_with_their_folder(store: Store) -> None:
    """Told until they are back, whatever is committed meanwhile."""
    before = store.snapshot().number - 1
    shutil.rmtree(store.snapshot().files("labels", "earth")[0].path.parent)
    (fault,) = faults(store)
    assert fault.where == "labels/attribute_code=earth"
    assert (
        f"snapshot {before} has it, and `review moon`, which made snapshot {before + 1} of that" in fault.what
    )
    judge(store, "moon", 9)
    assert faults(store) == (fault,)
    assert f"`colonnade restore {before}`" in fault.advice
    restore(store.path, before)
    assert not faults(store)


def test_labels_that_are_given_up(store: Store) -> None:
    shutil.rmtree(store.snapshot().files("labels", "earth")[0].path.parent)
    (fault,) = faults(store)
    assert "gc --keep-snapshots 1 --keep-seconds 0" in fault.advice
    collect(store.path, keep_snapshots=1, keep_seconds=0)
    assert not faults(store)


def test_nothing_is_told_without_the_snapshot_before(store: Store) -> None:
    for image_id in (10, 11):
        judge(store, "moon", image_id)
    between = store.snapshot().number - 1
    shutil.rmtree(store.path / f"_snap/{between:08d}")
    shutil.rmtree(store.snapshot().files("labels", "earth")[0].path.parent)
    assert not [fault for fault in faults(store) if fault.where.startswith("labels/")]


def test_vectors_of_a_model_without_scores(store: Store) -> None:
    with open_stage(store.path, command="import") as stage:
        for table, partition in (("scores", "earth"), ("scores", "moon"), ("scores", "both")):
            stage.drop(table, partition, read=store.snapshot().files(table, partition))
        stage.commit()
    add_images(store, 5)
    compact(store.path)
    assert not faults(store)
    shutil.rmtree(store.snapshot().files("embeddings", MODEL.key)[0].path.parent)
    (fault,) = faults(store)
    assert fault.where == f"embeddings/model={MODEL.key}"
    assert "`compact`" in fault.what


def test_what_forget_and_restore_take_is_not_lost(store: Store) -> None:
    """All labels and vectors there were, and labels that an old snapshot did not have yet."""
    number = store.snapshot().number
    judge(store, "sun", 3)
    restore(store.path, number)
    judge(store, "moon", 12)
    assert not faults(store)
    mark_missing(store, list(range(40)))
    forget(store, missing_images(store))
    assert not store.snapshot().files("labels")
    assert not store.snapshot().files("embeddings")
    assert not faults(store)
    assert np.array_equal(missing_images(store), [])
    judged = add_images(store, 3)
    judge(store, "moon", judged[0])
    assert not faults(store)


def test_a_fit_by_labels_that_are_not_there_is_noted(store: Store) -> None:
    """`forget` leaves this as well, therefore it is no fault."""
    cell = store.snapshot().cell("calibrations", "moon", 0)
    (row,) = read_files(cell).to_pylist()
    with open_stage(store.path, command="calibration") as stage:
        stage.replace(
            "calibrations", "moon", 0, rows("calibrations", [row | {"method": "labels"}]), read=cell
        )
        stage.commit()
    assert not verify(store.path).notes
    shutil.rmtree(store.snapshot().files("labels", "moon")[0].path.parent)
    notes = verify(store.path).notes
    assert len(notes) == 1
    assert notes[0].startswith(
        "labels: there are none of moon, while its calibration rests on some; unless `forget`"
    )
