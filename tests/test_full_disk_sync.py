"""A disk that fills up at every stage of `sync`: one line, exit status 4, nothing lost, and it goes on afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from collections_on_disk import make_store
from crash_helpers import assert_sound, fill_disk, small_disk

pytestmark = pytest.mark.slow

COLONNADE = Path(sys.executable).with_name("colonnade")


def sync(store: Path) -> subprocess.CompletedProcess[str]:
    command = [str(COLONNADE), "-q", "-s", str(store), "sync"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_full_disk_at_every_stage_of_sync(tmp_path: Path) -> None:
    seen: set[str] = set()
    with small_disk(tmp_path / "disk", "2m") as disk:
        for leave in (0, 16, 32, 64, 96, 128):
            folder = disk / f"{leave:03d}"
            store = make_store(folder)
            ballast = fill_disk(disk, leave * 1024)
            done = sync(store.path)
            assert done.returncode in (0, 4), done.stderr
            if done.returncode:
                assert done.stderr.count("\n") == 1
                assert "no space left" in done.stderr
            ballast.unlink()
            assert_sound(store.path)
            seen.add(store.snapshot().command)
            assert sync(store.path).returncode == 0
            assert store.plan().empty
            assert_sound(store.path)
            subprocess.run(["rm", "-rf", str(folder)], check=True)
    assert {"init", "scan"} <= seen
    assert seen & {"embed", "tag", "derive"}
