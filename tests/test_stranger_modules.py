"""Whoever runs something in, or on, a stranger's store imports no module that lies there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from app_driving import Terminal
from sound_stores import sound_store

from colonnade.engine.jobs import list_jobs
from colonnade.tui.helper_client import HelperClient
from colonnade.tui.job_start import start_job
from colonnade.tui.own_process import own_command, own_environment
from colonnade.tui.screens.browse_actions import _export_hits
from colonnade.tui.session import Session
from colonnade.tui.sql_export import Export

ROOT = Path(__file__).parents[1]
COLONNADE = str(Path(sys.executable).with_name("colonnade"))
NAMES = (
    "yaml",
    "numpy",
    "duckdb",
    "typer",
    "textual",
    "pyarrow",
    "lark",
    "PIL",
    "signal",
    "json",
    "argparse",
)
"""What a stranger may call his files; the package and its libraries import all of these."""
HOSTILE = (
    "import os\nwith open({marker!r}, 'a') as marks: marks.write(f'{{__name__}} in {{os.getpid()}}\\n')\n"
)


class Planted:
    """A sound store that holds modules, too; `marks` is which of them were imported."""

    def __init__(self, folder: Path) -> None:
        self.path = sound_store(folder / "store").path
        self._marker = folder / "marker"
        self.path.joinpath("colonnade", "tui").mkdir(parents=True)
        for name in (*(f"{name}.py" for name in NAMES), "colonnade/tui/__init__.py"):
            self.path.joinpath(name).write_text(HOSTILE.format(marker=str(self._marker)))

    @property
    def marks(self) -> str:
        return self._marker.read_text() if self._marker.exists() else ""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return Planted(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def planted(kept: Planted, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """The store, which is also the current folder."""
    kept._marker.unlink(missing_ok=True)
    monkeypatch.chdir(kept.path)
    monkeypatch.setenv("XDG_STATE_HOME", str(kept.path.parent / "state"))
    return kept


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_these_modules_would_be_imported(planted: Planted) -> None:
    """What is planted acts, where Python looks for it."""
    run([sys.executable, "-c", "import yaml"], planted.path)
    assert planted.marks.startswith("yaml in ")


@pytest.mark.parametrize("words", [("plan",), ("query", "earth", "--count"), ("--help",)])
@pytest.mark.parametrize(
    ("command", "path"), [([COLONNADE], ""), ([sys.executable, "-m", "colonnade"], str(ROOT))]
)
def test_the_command_line(planted: Planted, command: list[str], path: str, words: tuple[str, ...]) -> None:
    done = run([*command, *words], planted.path, PYTHONPATH=path)
    assert planted.marks == ""
    assert (done.returncode, done.stderr) in ((0, ""), (1, "")), done.stderr
    assert done.stdout


def test_the_helper(planted: Planted) -> None:
    with closing(HelperClient(planted.path, "writer")) as client:
        assert client.call("ping", timeout=60) == "pong"
        assert client.call("plan", timeout=60)["lines"]
    assert planted.marks == ""


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", f"{os.pathsep}/nowhere", "."])
def test_a_job(planted: Planted, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Also where the app runs elsewhere: a job's own current folder is the store."""
    monkeypatch.chdir(planted.path.parent)
    monkeypatch.setenv("PYTHONPATH", path)
    started = start_job(planted.path, ("tag", "earth"), wait_s=60)
    assert started.ended or started.job is not None
    for _ in range(600):
        if not any(job.state == "running" for job in list_jobs(planted.path)):
            break
        time.sleep(0.1)
    assert {job.state for job in list_jobs(planted.path)} <= {"done"}
    assert planted.marks == ""


@pytest.mark.slow
@pytest.mark.parametrize("query", ["earth", "true"])
def test_exports(planted: Planted, tmp_path: Path, query: str) -> None:
    session = Session(planted.path)
    hits = session.find(query)
    _export_hits(planted.path, hits, tmp_path / "hits.csv")
    snapshot = hits.snapshot.number
    session.close()
    assert len((tmp_path / "hits.csv").read_text().splitlines()) == hits.count + 1
    assert Export(planted.path, snapshot, "SELECT 1 AS one", tmp_path / "sql.csv").run().startswith("wrote ")
    assert planted.marks == ""


def test_the_app_in_a_browser(planted: Planted) -> None:
    pytest.importorskip("textual_serve")
    from colonnade.tui.web import make_server

    command = make_server(planted.path, 1).command
    done = run(["/bin/sh", "-c", command], planted.path)  # as textual-serve does; without a terminal it ends
    assert (done.returncode, "needs a terminal" in done.stderr) == (3, True)
    assert planted.marks == ""


@pytest.mark.slow
def test_the_app(planted: Planted) -> None:
    with Terminal([COLONNADE, "ui"], cwd=planted.path) as terminal:
        terminal.wait_for("earth")
        terminal.press("7")
        terminal.settle(1.0, 5.0)
    assert planted.marks == ""


def test_relative_entries_of_the_module_path_are_what_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "mine", "/other", ""]))
    environment: Mapping[str, str] = own_environment(MORE="1")
    assert environment["PYTHONPATH"].split(os.pathsep)[:2] == [str(tmp_path / "mine"), "/other"]
    assert environment["MORE"] == "1"
    (tmp_path / "found.py").write_text("print('from the current folder')")
    done = subprocess.run(
        own_command("found"), env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "No module named found" in done.stderr


UNPACKED = """
import subprocess
from colonnade.tui.own_process import own_command, own_environment
def main() -> None:
    print(__file__, flush=True)
    subprocess.run(own_command("colonnade.tui.child"), env=own_environment(), cwd="/", check=True)
"""


def test_a_package_that_lies_in_the_current_folder_runs_whole(tmp_path: Path) -> None:
    """As where a wheel was unpacked: it, and the processes that it starts, are of that folder."""
    tui = tmp_path / "colonnade" / "tui"
    tui.mkdir(parents=True)
    shutil.copy(ROOT / "colonnade" / "__main__.py", tui.parent)
    shutil.copy(ROOT / "tui" / "own_process.py", tui)
    for name, text in (("__init__", ""), ("cli", UNPACKED), ("child", "print(__file__)")):
        (tui / f"{name}.py").write_text(text)
    done = run([sys.executable, "-m", "colonnade"], tmp_path)
    assert (done.stderr, done.stdout.split()) == ("", [str(tui / "cli.py"), str(tui / "child.py")])
