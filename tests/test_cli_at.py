"""What commands advise where they look at an older snapshot: nothing that cannot change it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_process import colonnade
from collections_on_disk import make_store

from colonnade.engine.store import Store


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Snapshot 1 is empty, 2 has images without embeddings; the live one has everything."""
    store = make_store(tmp_path_factory.mktemp("synced"))
    store.sync()
    return store


def test_no_scores(synced: Store) -> None:
    ran = colonnade(synced.path, "query", "earth", "--at", 1)
    assert (ran.code, ran.err) == (0, "warning: earth has no scores at snapshot 1\n")
    exported = colonnade(synced.path, "query", "earth", "--at", synced.snapshot().number)
    assert (exported.code, exported.err) == (0, "")


def test_no_embeddings(synced: Store) -> None:
    assert not synced.snapshot(2).files("embeddings")
    key = synced.settings.model_key
    ran = colonnade(synced.path, "similar", "id:1", "--at", 2)
    assert ran.code == 3
    assert ran.err.endswith(f": has no embedding of {key} at snapshot 2\n")
    ran = colonnade(synced.path, "search", "Earth visible", "--at", 2, "-f", "json")
    assert (ran.code, ran.json) == (0, [])
    assert ran.err == f"no image has an embedding of {key} at snapshot 2\n"
    assert colonnade(synced.path, "search", "Earth visible").err == ""


def test_no_attribute(synced: Store) -> None:
    ran = colonnade(synced.path, "explain", "id:1", "comet", "--at", 2)
    assert ran.code == 3
    assert "'comet': no such attribute at snapshot 2" in ran.err
    ran = colonnade(synced.path, "explain", "id:1", "comet")
    assert "'comet': no such attribute\n" in ran.err


def test_what_a_code_leaves_behind(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    assert "drop" not in colonnade(store.path, "vocab", "rename", "moon", "luna").err
    store.sync()
    assert "until `colonnade drop luna`" in colonnade(store.path, "vocab", "rename", "luna", "moon").err
    assert colonnade(store.path, "drop", "luna").code == 0
