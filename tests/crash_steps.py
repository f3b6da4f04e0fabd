"""Kills an action before its first, second, third ... change of the file system, and checks the store each time.

    crash_steps.py ACTION STORE WORK FIRST STRIDE     prints before how many steps it was killed

Each try works on a fresh copy of STORE in WORK, in a forked child that an audit hook kills. This process itself
touches neither pyarrow nor DuckDB, so that its children are whole.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crash_writer import CODES, commit_mark, mark_of

from colonnade.engine.compact import compact
from colonnade.engine.garbage import collect
from colonnade.engine.history import restore
from colonnade.engine.store import Store
from colonnade.engine.verify import verify

CHANGES = {"os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.remove", "os.chmod"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
VOCABULARY = b"base_attributes: []\n"


def _commit(path: Path) -> None:
    commit_mark(Store(path))


def _init(path: Path) -> None:
    Store.create(path, vocabulary=VOCABULARY, model="")


def _gc(path: Path) -> None:
    collect(path, keep_snapshots=1, keep_seconds=0)


def _restore(path: Path) -> None:
    restore(path, Store(path).snapshot().number - 1, vocabulary=True)


def _compact(path: Path) -> None:
    compact(path)


ACTIONS: dict[str, Callable[[Path], None]] = {
    "commit": _commit,
    "init": _init,
    "gc": _gc,
    "restore": _restore,
    "compact": _compact,
}


def _kill_before(step: int) -> None:
    """Have this process killed before its `step`-th change of the file system, counted from 0."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    sys.addaudithook(hook)


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked child; returns what waitpid says."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def check(action: str, path: Path, before: int) -> None:
    """The store is sound, holds the old or the new state, and takes the next commit, which clears up."""
    if action == "init":
        if not (path / "colonnade.toml").exists():
            _init(path)
        assert not [name for name in os.listdir(path) if name.startswith((".probe", ".tmp"))], os.listdir(
            path
        )
        assert verify(path).sound, verify(path).faults
        return
    report = verify(path)
    assert report.sound, report.faults
    store = Store(path)
    mark = mark_of(store.snapshot())
    possible = {"commit": {before, before + 1}, "restore": {before, before - 1}}.get(action, {before})
    assert mark in possible, (mark, possible)
    commit_mark(store)
    after = verify(path)
    assert after.sound, after.faults
    stale = [note for note in after.notes if ".vocabulary.yaml" not in note]  # has a minute's grace
    assert not stale, stale
    assert set(store.snapshot().partitions("scores")) == set(CODES)


def main(action: str, source: Path, work: Path, first: int, stride: int) -> None:
    mark = -1
    if action != "init":
        code = in_child(lambda: (work / "mark").write_text(str(mark_of(Store(source).snapshot()))))
        assert code == 0
        mark = int((work / "mark").read_text())
    step = first
    while True:
        path = work / f"step-{step}"
        if action != "init":
            shutil.copytree(source, path, symlinks=True)

        def act(path: Path = path, step: int = step) -> None:
            _kill_before(step)
            ACTIONS[action](path)

        ended = in_child(act)
        if os.WIFEXITED(ended):
            assert os.WEXITSTATUS(ended) == 0, f"step {step}: {ended}"
            break
        ended = in_child(lambda path=path: check(action, path, mark))  # type: ignore[misc]
        assert ended == 0, f"{action} killed before step {step}: the store is not as it must be"
        shutil.rmtree(path)
        step += stride
    sys.stdout.write(f"{(step - first) // stride}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
