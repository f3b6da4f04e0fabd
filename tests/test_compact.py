"""Merging small files: on stores that the commands themselves made."""

from __future__ import annotations

import pyarrow as pa
import pytest
from history_stores import (
    assert_sound,
    is_fresh,
    refresh,
    table_rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_stores import add_images, rows, sound_store

from colonnade.engine.columns import TABLES
from colonnade.engine.compact import compact
from colonnade.engine.diff import diff_summary
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_footer


def drip(store: Store, times: int = 4) -> None:
    """Images that arrive in drips: several files in the cells of images and embeddings."""
    for _ in range(times):
        add_images(store, 3)
    snapshot = store.snapshot()
    refresh(store)
    ids = read_files(snapshot.files("sets", "best of"))["image_id"].to_pylist()
    for new in (50, 51):
        cell = store.snapshot().cell("sets", "best of", 0)
        with open_stage(store.path, command="mark") as stage:
            stage.append("sets", "best of", 0, rows("sets", [{"image_id": new}]), read=cell)
            stage.commit()
    assert len(store.snapshot().cell("images", None, 0)) == times + 1
    assert len(store.snapshot().cell("sets", "best of", 0)) == 3
    assert ids


def test_compact(store: Store) -> None:
    drip(store)
    before = table_rows(store.snapshot())
    seen: list[tuple[int, int]] = []
    done = compact(store.path, progress=lambda *numbers: seen.append(numbers))
    assert (done.cells, done.files_before, done.snapshots) == (3, 5 + 5 + 3, 1)
    assert seen[-1] == (3, 3)
    after = store.snapshot()
    assert table_rows(after) == before
    assert all(len(after.cell(t, f.partition, f.shard)) == 1 for t in TABLES for f in after.files(t))
    assert is_fresh(store)
    assert diff_summary(store.snapshot(after.number - 1), after) == []
    assert_sound(store)
    assert compact(store.path).cells == 0
    assert store.snapshot().number == after.number


def test_compact_keeps_files_of_one_definition_apart_from_none(store: Store) -> None:
    """A cell of two definitions is stale before and after: merging says nothing that is not true."""
    cell = store.snapshot().cell("scores", "earth", 0)
    data = read_files(cell)
    other = data.slice(20).set_column(
        data.column_names.index("definition"), "definition", pa.array(["f" * 16] * 20)
    )
    with open_stage(store.path, command="test") as stage:
        stage.replace("scores", "earth", 0, data.slice(0, 20), read=cell)
        stage.append("scores", "earth", 0, other, read=cell)
        stage.commit()
    assert not is_fresh(store)
    compact(store.path)
    (file,) = store.snapshot().cell("scores", "earth", 0)
    assert read_footer(file).definition is None
    assert not is_fresh(store)


def test_compact_beside_a_writer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that changes between reading and committing is read again."""
    drip(store)
    real = Stage.commit
    interfered: list[range] = []

    def commit(stage: Stage, **options: bytes | None) -> Snapshot:
        if stage.command == "compact" and not interfered:
            interfered.append(add_images(store, 2))
        return real(stage, **options)

    monkeypatch.setattr(Stage, "commit", commit)
    told: list[str] = []
    compact(store.path, on_conflict=told.append)
    assert "changed meanwhile, retrying" in told[0]
    assert len(store.snapshot().cell("images", None, 0)) == 1
    ids = read_files(store.snapshot().files("images"))["image_id"].to_pylist()
    assert set(interfered[0]) <= set(ids)
    assert_sound(store)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
@settings(max_examples=4, deadline=None)
def test_compact_any_drips(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    store = sound_store(tmp_path_factory.mktemp("drips") / "s", images=6)
    for size in sizes:
        add_images(store, size)
    before = table_rows(store.snapshot())
    compact(store.path)
    assert table_rows(store.snapshot()) == before
    assert_sound(store)
