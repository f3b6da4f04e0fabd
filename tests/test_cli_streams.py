"""Streams as shells hand them over: full disks, readers that leave, closed descriptors, pipes as files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from collections_on_disk import make_store

from colonnade.engine.store import Store

COLONNADE = Path(sys.executable).with_name("colonnade")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A synced store that tests only read."""
    made = make_store(tmp_path_factory.mktemp("synced"))
    made.sync()
    return made


def shell(store: Store, line: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `C` is the command; its status is that of the first process of a pipe."""
    script = f'C="{COLONNADE}"\n{line}\nexit ${{PIPESTATUS[0]}}'
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    env["COLONNADE_STORE"] = str(store.path)
    command = ["bash", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env, timeout=60)


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@needs_full
@pytest.mark.parametrize(
    "words",
    [
        "query true",
        "query true --format csv",
        "query true --format paths",
        "query true --count",
        "status",
        "status --json",
        "sql 'SELECT 1'",
        "--help",
        "query --help",
        "labels export",
        "vocab list --json",
    ],
)
def test_a_full_disk_is_one_line(store: Store, words: str) -> None:
    done = shell(store, f"$C {words} >/dev/full")
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert done.stderr.startswith("colonnade: stdout: no space left")
    assert done.stderr.count("\n") == 1


@needs_full
def test_a_full_stderr_changes_nothing(store: Store) -> None:
    done = shell(store, "$C query true --count 2>/dev/full")
    assert done.returncode == 0
    assert shell(store, "$C query nonsense 2>/dev/full").returncode == 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("status", 0),
        ("plan", 0),
        ("vocab list", 0),
        ("snapshots", 0),
        ("jobs", 0),
        ("jobs --json list", 0),
        ("-q verify --json", 0),
        ("query true --format csv", 0),
        ("sql 'SELECT * FROM range(300000)' --format jsonl", 0),
        ("--help", 0),
        ("query nonsense", 3),
    ],
)
def test_a_reader_may_leave_early(store: Store, words: str, code: int) -> None:
    done = shell(store, f"(sleep 0.1; $C {words}) | true")
    assert done.returncode == code
    assert code or done.stderr == ""


def test_a_finding_is_told_by_the_status_without_a_reader(tmp_path: Path) -> None:
    fresh = make_store(tmp_path)
    assert shell(fresh, "(sleep 0.1; $C plan) | true").returncode == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("words", "code"),
    [("query true", 0), ("status --json", 0), ("--help", 0), ("query", 2), ("query nonsense", 3)],
)
def test_closed_streams_do_not_matter(store: Store, closed: str, words: str, code: int) -> None:
    assert shell(store, f"$C {words} {closed}").returncode == code


def test_wrong_arguments_are_told_on_stderr(store: Store) -> None:
    done = shell(store, "$C query --nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option: --nonsense" in done.stderr


def test_a_deleted_folder_is_one_line(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    done = shell(store, "rmdir ../gone; unset COLONNADE_STORE; $C status", cwd=folder)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("colonnade: the working directory was deleted")
    assert done.stderr.count("\n") == 1
    done = shell(store, "rmdir ../gone; $C -s relative status", cwd=_made(folder))
    assert done.returncode == 4, done.stderr
    assert done.stderr.count("\n") == 1


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
