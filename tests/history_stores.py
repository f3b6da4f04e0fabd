"""Helpers for tests of what becomes of a store: its rows, whether it is fresh and sound, and changes to it."""

from __future__ import annotations

from sound_stores import rows

from colonnade.engine.columns import TABLES
from colonnade.engine.derive_run import derive_attributes, plan_derive
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.tag import plan_tag, tag
from colonnade.engine.verify import verify

__all__ = [
    "assert_sound",
    "change_vocabulary",
    "is_fresh",
    "mark_missing",
    "refresh",
    "set_states",
    "statuses",
    "table_rows",
]


def table_rows(snapshot: Snapshot) -> dict[str, list[str]]:
    """Every row of every table, sorted."""
    found: dict[str, list[str]] = {}
    for table in TABLES:
        found[table] = sorted(
            repr((file.partition, row))
            for file in snapshot.files(table)
            for row in read_files([file]).to_pylist()
        )
    return found


def refresh(store: Store) -> None:
    tag(store)
    derive_attributes(store)


def is_fresh(store: Store) -> bool:
    snapshot, vocabulary = store.snapshot(), store.vocabulary()
    work = plan_tag(snapshot, vocabulary, store.settings.active)
    return not any(w.cells for w in (*work, *plan_derive(snapshot, vocabulary, pending=work)))


def change_vocabulary(store: Store, old: str, new: str) -> None:
    text = store.vocabulary_path.read_text()
    assert old in text
    store.vocabulary_path.write_text(text.replace(old, new))


def assert_sound(store: Store) -> None:
    report = verify(store.path)
    assert report.sound, report.faults


def statuses(snapshot: Snapshot, code: str) -> dict[int, str | None]:
    files = snapshot.files("scores", code)
    if not files:
        return {}
    data = read_files(files, ["image_id", "status"])
    return dict(zip(data["image_id"].to_pylist(), data["status"].to_pylist(), strict=True))


def mark_missing(store: Store, ids: list[int]) -> None:
    set_states(store, dict.fromkeys(ids, "missing"))


def set_states(store: Store, states: dict[int, str]) -> None:
    """As a scan does; only the images table is written."""
    cells = store.snapshot().cell("images", None, 0)
    data = read_files(cells).to_pylist()
    for row in data:
        row["state"] = states.get(row["image_id"], row["state"])
    with open_stage(store.path, command="scan") as stage:
        stage.replace("images", None, 0, rows("images", data), read=cells)
        stage.commit()
