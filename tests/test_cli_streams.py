"""Streams as shells hand them over: full disks, readers that leave, closed descriptors, pipes as files."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_process import colonnade
from collections_on_disk import make_store

from colonnade.engine.demo import collection
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


def test_pipes_are_written_as_files(store: Store) -> None:
    rows = shell(store, "$C query true --format csv").stdout
    assert rows.count("\n") > 1
    assert shell(store, "$C query true -o /dev/stdout --format csv | cat").stdout == rows
    assert shell(store, "$C query true -o >(cat) --format csv | cat").stdout == rows
    assert shell(store, "$C -q export /dev/stdout --format csv | wc -l").stdout.strip() != "0"
    for command in ("labels export", "calibration export"):
        printed = shell(store, f"$C {command} --format csv").stdout
        piped = shell(store, f"$C -q {command} --format csv --output >(cat) | cat")
        assert (piped.returncode, piped.stdout) == (0, printed), piped.stderr
    done = shell(store, "$C sql 'SELECT * FROM range(300000)' --format csv -o >(true)")
    assert (done.returncode, done.stderr) == (0, "")


GROUPS = ["root list", "vocab list", "labels list", "model list", "jobs list", "calibration show"]


@pytest.mark.parametrize("words", GROUPS)
def test_options_of_a_group_reach_its_commands(store: Store, tmp_path: Path, words: str) -> None:
    group, command = words.split()
    (tmp_path / "other").mkdir()
    elsewhere = f"export COLONNADE_STORE={tmp_path}/other"
    right = shell(store, f"$C -s $COLONNADE_STORE {words} --json")
    assert right.returncode == 0, right.stderr
    assert isinstance(json.loads(right.stdout), list)
    for line in (
        f"S=$COLONNADE_STORE; {elsewhere}; $C {group} -s $S {command} --json",
        f"S=$COLONNADE_STORE; {elsewhere}; $C -s nowhere {group} --json -s nowhere {command} -s $S",
        f"$C {group} --json {command}",
    ):
        done = shell(store, line)
        assert (done.returncode, done.stdout) == (0, right.stdout), done.stderr
    assert shell(store, f"{elsewhere}; $C {words}").returncode == 4


def test_a_command_without_json_refuses_that_of_its_group(store: Store) -> None:
    done = shell(store, "$C jobs --json stop x")
    assert done.returncode == 2
    assert "`jobs stop` has no --json" in done.stderr


def test_paths_of_a_removed_root_are_counted(tmp_path: Path) -> None:
    made = make_store(tmp_path)
    made.sync()
    assert shell(made, "$C root remove photos").returncode == 0
    done = shell(made, "$C query \"state = 'missing' or earth is null\" --format paths")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "root is no longer one of the store's" in done.stderr


def test_init_names_the_vocabulary_that_is_wrong(store: Store, tmp_path: Path) -> None:
    (tmp_path / "v1.yaml").write_text("base_attributes: 3\n")
    done = shell(store, "$C init new --vocabulary v1.yaml --model hash", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "v1.yaml:1" in done.stderr and "vocabulary.yaml" not in done.stderr
    assert not (tmp_path / "new").exists()


def test_the_demo_vocabulary_is_known_by_name(store: Store) -> None:
    assert "demo: " in shell(store, "$C vocab check demo").stderr
    assert shell(store, "$C vocab lint demo").returncode in (0, 1)


@pytest.mark.parametrize(
    "words",
    [
        "search ''",
        "search earth --format parquet",
        "export all.json",
        "export all.txt",
        "similar x -f parquet",
    ],
)
def test_wrong_arguments_are_exit_2(store: Store, tmp_path: Path, words: str) -> None:
    done = shell(store, f"$C {words}", cwd=tmp_path)
    assert (done.returncode, done.stdout, os.listdir(tmp_path)) == (2, "", []), done.stderr


def test_a_collection_that_is_there_keeps_its_scenes(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text("none")
    ran = colonnade(None, "demo", tmp_path, "--seed", 7)
    assert ran.code == 3
    assert "there already, and used as it is" in ran.err


def test_a_demo_on_a_full_disk_is_a_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(collection, "_write_photo", full)
    assert colonnade(None, "demo", tmp_path / "demo").code == 4
