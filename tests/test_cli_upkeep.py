"""The commands that look after a store: what they print where, and their exit codes."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from history_stores import change_vocabulary, mark_missing, refresh
from sound_stores import VOCABULARY, add_images

from colonnade.engine.store import Store
from colonnade.engine.verify import verify
from colonnade.tui import cli

MAIN = "from colonnade.tui import cli; cli.main()"


@dataclass(frozen=True)
class Said:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def run(store: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs the command line in this process, on the store."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setenv("COLONNADE_STORE", str(store.path))

    def call(*words: str | int) -> Said:
        monkeypatch.setattr(sys, "argv", ["colonnade", *(str(word) for word in words)])
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_verify(run: Run, store: Store) -> None:
    said = run("verify")
    assert (said.code, said.out) == (0, "")
    assert said.err.startswith("nothing wrong in 5 snapshots, ")
    assert run("verify", "--json").json["sound"] is True
    (store.path / "_tables" / "sets" / ".tmp-00000009").mkdir()
    said = run("verify")
    assert (said.code, said.out) == (0, ""), "a crash's leftovers are not wrong"
    assert "note: _tables/sets/.tmp-00000009: left by a crash" in said.err


def test_verify_finds(run: Run, store: Store) -> None:
    path = store.snapshot().files("sets", "best of")[0].path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    said = run("verify")
    assert said.code == 1
    assert said.out.splitlines()[0].startswith("_tables/sets/")
    assert "; restore it from a backup" in said.out
    assert "fault" in said.err
    document = run("verify", "--json").json
    assert document["sound"] is False
    assert set(document["faults"][0]) == {"where", "what", "advice"}


def test_verify_of_a_store_that_other_commands_refuse(run: Run, store: Store) -> None:
    (store.path / "colonnade.toml").write_text("format = 1\nmodel = 3")
    said = run("verify")
    assert said.code == 1
    assert said.out.startswith("colonnade.toml: damaged")
    assert run("snapshots").code == 4


def test_no_store(run: Run, tmp_path: Path) -> None:
    for command in ("verify", "gc", "compact", "snapshots", "forget"):
        said = run(command, "-s", tmp_path / "nothing")
        assert (said.code, said.out) == (4, "")
        assert said.err.count("\n") == 1


def test_snapshots_and_gc(run: Run, store: Store) -> None:
    lines = run("snapshots").out.splitlines()
    assert lines[0].split()[:2] == ["snapshot", "created"]
    assert len(lines) == 6
    assert lines[-1].startswith("5 live ")
    assert "derive" in lines[-1]
    document = run("snapshots", "--json").json
    assert [item["number"] for item in document] == [1, 2, 3, 4, 5]
    assert document[-1]["live"] is True
    assert "nothing to remove" in run("gc").err
    assert run("gc", "--keep-snapshots", 2, "--keep-seconds", 0, "--json").json["snapshots"] == 3
    assert [item["number"] for item in run("snapshots", "--json").json] == [4, 5]
    assert "removed 1 snapshot and" in run("gc", "--keep-snapshots", 1, "--keep-seconds", 0).err
    assert run("gc", "--keep-snapshots", 0).code == 2


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "-1"])
def test_gc_keeps_a_finite_time(run: Run, store: Store, seconds: str) -> None:
    before = store.snapshot().number
    said = run("gc", "--keep-snapshots", 1, "--keep-seconds", seconds)
    assert (said.code, said.out) == (2, "")
    assert "--keep-seconds" in said.err
    assert said.err.count("Error") == 1
    assert store.snapshot(before - 1).number == before - 1


def test_compact(run: Run, store: Store, tmp_path: Path) -> None:
    assert "nothing to merge" in run("compact").err
    for _ in range(2):
        add_images(store, 2)
    other = Store(shutil.copytree(store.path, tmp_path / "other", symlinks=True))
    said = run("-s", other.path, "compact").err
    assert said.startswith("6 files merged into 2; ")
    assert "no snapshot that is kept needs them" in said
    assert run("compact", "--json").json == {"cells": 2, "files_before": 6, "snapshots": 1}
    assert len(store.snapshot().files("images")) == 1
    assert verify(store.path).sound


def test_restore(run: Run, store: Store) -> None:
    said = run("restore", 4)
    assert (said.code, said.out) == (0, "")
    assert said.err == "snapshot 6 equals snapshot 4\n"
    store.vocabulary_path.write_bytes(VOCABULARY + b"# more\n")
    said = run("restore", 5)
    assert "vocabulary.yaml is not the one of snapshot 5" in said.err
    said = run("restore", 4, "--vocabulary", "--json")
    kept = "vocabulary.before-8.yaml"
    assert said.json == {
        "number": 8,
        "vocabulary_differs": False,
        "before": 7,
        "labels_left": 0,
        "vocabulary_kept": kept,
    }
    assert kept in said.err and (store.path / kept).read_bytes() == VOCABULARY + b"# more\n"
    assert store.vocabulary_path.read_bytes() == VOCABULARY
    assert run("restore", 99).code == 3
    assert run("restore").code == 2


def test_diff_of_images_that_went_missing(run: Run, store: Store) -> None:
    mark_missing(store, [3, 5])
    live = store.snapshot().number
    changed = [item for item in run("diff", 5, live, "--json").json if item["attribute"] == "earth"]
    assert sum(change["images"] for change in changed[0]["changes"]) == changed[0]["images"] == 2
    assert {(change["after"], change["why"]) for change in changed[0]["changes"]} == {
        ("absent", "image missing")
    }
    lines = run("diff", 5, live, "-a", "earth").out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["3", "0003.jpg"], ["5", "0005.jpg"]]
    assert all(line.endswith("absent  image missing") for line in lines[1:])
    assert {c["why"] for c in run("diff", live, 5, "-a", "earth", "--json").json["changes"]} == {
        "image came back"
    }


def test_diff(run: Run, store: Store) -> None:
    change_vocabulary(store, "description: the earth", "description: the earth, thresholds: {accepted: 0.6}")
    refresh(store)
    live = store.snapshot().number
    lines = run("diff", 5, live).out.splitlines()
    assert lines[0].split() == ["attribute", "images", "before", "after", "why"]
    assert any(
        line.startswith("earth ") and "thresholds changed (accepted 0.8 -> 0.6)" in line for line in lines
    )
    document = run("diff", 5, live, "--json").json
    assert {item["attribute"] for item in document} <= {"earth", "both"}
    earth = next(item for item in document if item["attribute"] == "earth")
    said = run("diff", 5, live, "--attribute", "earth", "--limit", 2)
    assert len(said.out.splitlines()) == 3
    assert "--limit 0 shows all" in said.err
    listed = run("diff", 5, live, "-a", "earth", "--limit", 0, "--json").json
    assert len(listed["changes"]) == earth["images"]
    assert listed["more"] is False
    assert set(listed["changes"][0]) == {"image_id", "path", "before", "after", "why"}
    assert "no image changed status" in run("diff", 5, 5).err
    assert run("diff", 5, live, "-a", "earth", "--limit", 10**20).code == 2
    assert run("diff", 5, live, "-a", "eart").code == 3
    assert run("diff", 5, 77).code == 3


def test_drop(run: Run, store: Store) -> None:
    said = run("drop", "moon")
    assert said.code == 3
    assert "still in the vocabulary" in said.err
    change_vocabulary(store, VOCABULARY.decode().splitlines()[3] + "\n", "")
    change_vocabulary(store, "[earth, moon]", "[earth]")
    said = run("drop", "moon", "--json")
    assert said.json == {"removed": {"moon": 40}}
    assert "moon: 40 scores removed" in said.err
    assert run("drop").code == 2


def test_forget(run: Run, store: Store) -> None:
    assert "no image is missing" in run("forget", "--yes").err
    mark_missing(store, [1, 2])
    said = run("forget")
    assert said.code == 2
    assert "forget 2 missing images and all that is stored of them? there is no terminal" in said.err
    assert "no image is known to be missing for 30 days" in run("forget", "--missing-for", 30, "--yes").err
    for days in ("nan", "inf", "1e300"):
        said = run("forget", "--missing-for", days, "--yes")
        assert said.code == 2 and "is not a number of days" in said.err, said.err
    document = run("forget", "--yes", "--json").json
    assert document["images"] == 2
    assert document["rows"]["scores"] == 6
    assert verify(store.path).sound


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, 40), ("y\n", 0, 39)])
def test_forget_asks(store: Store, answer: str, code: int, left: int) -> None:
    mark_missing(store, [1])
    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "-s", str(store.path), "forget"],
        stdin=child,
        stdout=subprocess.PIPE,
        stderr=child,
    ) as process:
        os.close(child)
        said = b""
        while b"?" not in said:
            said += os.read(parent, 1000)
        os.write(parent, answer.encode())
        process.communicate(timeout=60)
    os.close(parent)
    assert b"forget 1 missing image and all that is stored of them?" in said
    assert process.returncode == code
    assert len(store_ids(store)) == left


def store_ids(store: Store) -> list[int]:
    from colonnade.engine.tables import read_files

    return list(read_files(store.snapshot().files("images"))["image_id"].to_pylist())


def test_answers_that_a_restored_snapshot_lacks_are_told_and_can_be_brought_back(
    run: Run, store: Store, tmp_path: Path
) -> None:
    before = run("labels", "list", "--json").json
    said = run("restore", 2)
    assert "4 of people's answers are not in it" in said.err
    assert "labels export --at 5 --output FILE" in said.err
    assert run("labels", "list", "--json").json == []
    assert run("labels", "export", "--at", 5, "--output", tmp_path / "l.csv").code == 0
    assert run("labels", "import", tmp_path / "l.csv").code == 0
    assert run("labels", "list", "--json").json == before


def test_an_emptied_partition_of_answers_is_in_no_restores_way(run: Run, store: Store) -> None:
    files = [
        f for code in store.snapshot().partitions("labels") for f in store.snapshot().files("labels", code)
    ]
    assert files
    for file in files:
        file.path.unlink()
    assert run("restore", 2).code == 0


def test_hostile_words_reach_no_terminal(run: Run, store: Store) -> None:
    """Names in a stranger's store are shown without their control characters."""
    facts = store.snapshot().path / "snapshot.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"command": "\x1b[2Jx"}))
    assert "\x1b" not in run("snapshots").out
    (store.snapshot().path / "\x1b[31mx").mkdir()
    said = run("verify")
    assert said.code == 1


def test_every_command_has_an_example(run: Run) -> None:
    for command in ("verify", "gc", "compact", "snapshots", "restore", "diff", "drop", "forget"):
        said = run(command, "--help")
        assert said.code == 0
        assert "Example: colonnade " in said.out
        assert command in said.out.split("Example:")[1].split("\n\n")[0]


def test_help_imports_no_engine_room() -> None:
    """`--help` has to be quick: nothing of pyarrow, DuckDB or numpy."""
    code = (
        "import sys; from colonnade.tui import cli; sys.argv = ['colonnade', 'verify', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "sys.stderr.write(' '.join(m for m in ('pyarrow', 'duckdb', 'numpy', 'torch') if m in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
