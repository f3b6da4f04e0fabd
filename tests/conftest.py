"""The store that tests of upkeep share: made once for each file of tests, and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sound_stores import sound_store

from colonnade.engine.store import Store


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_store(tmp_path_factory.mktemp("prepared") / "s").path


@pytest.fixture
def store(prepared: Path, tmp_path: Path) -> Store:
    return Store(shutil.copytree(prepared, tmp_path / "s", symlinks=True))
