"""Turns: a writer that starved commits next, the others wait and say so, and nobody who died keeps them waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from colonnade.engine.create import create_store
from colonnade.engine.durable import exclusive_lock
from colonnade.engine.errors import ConflictError, InputError, StoreError
from colonnade.engine.garbage import collect
from colonnade.engine.settings import Settings
from colonnade.engine.snapshots import open_snapshot
from colonnade.engine.stage import open_stage
from colonnade.engine.tables import SCHEMAS
from colonnade.engine.turns import OPTIMISTIC_TRIES, TURN_S, conflict_retries, retrying
from colonnade.engine.verify import verify

HOLDER = """
import sys, time
from colonnade.engine.turns import OPTIMISTIC_TRIES, conflict_retries
for number in conflict_retries(sys.argv[1]):
    if number == OPTIMISTIC_TRIES:
        print("mine", flush=True)
        time.sleep(float(sys.argv[2]))
        break
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    create_store(tmp_path / "store", settings=Settings("demo"), vocabulary=b"base_attributes: []\n")
    return tmp_path / "store"


def add(store: Path, name: str, said: list[str] | None = None) -> None:
    """Commit a set of one image under a name that is not taken."""
    with open_stage(store, command="test", say=None if said is None else said.append) as stage:
        stage.append("sets", name, 0, pa.table({"image_id": [1]}, schema=SCHEMAS["sets"]), read=())
        stage.commit()


def take(store: Path) -> Iterator[int]:
    """A loop of tries that has the turn, as long as it is referred to."""
    tries = conflict_retries(store)
    assert [next(tries) for _ in range(OPTIMISTIC_TRIES + 1)][-1] == OPTIMISTIC_TRIES
    return tries


def is_free(store: Path) -> bool:
    try:
        with exclusive_lock(store / ".turn", timeout_s=0):
            return True
    except StoreError:
        return False


@contextmanager
def holder(store: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", HOLDER, str(store), str(seconds)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "mine\n"
        try:
            yield process
        finally:
            process.kill()


def test_tries_end(store: Path) -> None:
    tries = []
    with pytest.raises(StoreError, match="twenty tries"):
        for attempt in conflict_retries(store):
            tries.append(attempt)
    assert tries == list(range(20))
    assert is_free(store)


def test_who_has_the_turn_commits_and_the_loops_inside_it_too(store: Path) -> None:
    tries, inner = take(store), take(store)
    add(store, "a")
    del inner
    assert not is_free(store)
    add(store, "b")
    del tries
    assert is_free(store)
    assert open_snapshot(store).partitions("sets") == ("a", "b")


@pytest.mark.parametrize("how", ["return", "break", "error"])
def test_the_turn_ends_with_the_loop(store: Path, how: str) -> None:
    def operation() -> None:
        for number in conflict_retries(store):
            if number < OPTIMISTIC_TRIES:
                continue
            assert not is_free(store)
            if how == "return":
                return
            if how == "error":
                raise InputError("wrong")
            break
        assert is_free(store)

    if how == "error":
        with pytest.raises(InputError):
            operation()
    else:
        operation()
    assert is_free(store)


def test_another_thread_waits_for_the_turn_to_end(store: Path) -> None:
    tries = take(store)
    other = threading.Thread(target=add, args=(store, "other"))
    other.start()
    time.sleep(0.2)
    assert open_snapshot(store).number == 1, "reading does not wait"
    collect(store)
    assert verify(store).sound
    add(store, "mine")
    del tries
    other.join(10)
    assert open_snapshot(store).partitions("sets") == ("mine", "other")


def test_who_waits_long_is_told_and_goes_on_when_the_holder_is_killed(store: Path) -> None:
    said: list[str] = []
    with holder(store, 60) as process:
        other = threading.Thread(target=add, args=(store, "a", said))
        other.start()
        other.join(1.5)
        assert other.is_alive()
        assert said == [f"{store}: waiting for process {process.pid}, whose turn it is to commit"]
        process.kill()
        process.wait()
        other.join(10)
        assert not other.is_alive()
    assert open_snapshot(store).partitions("sets") == ("a",)


def test_two_who_starve_take_turns(store: Path) -> None:
    with holder(store, 0.3):
        started = time.monotonic()
        tries = take(store)
        assert time.monotonic() - started < 10
        del tries


def test_a_turn_counts_for_a_while_only(store: Path) -> None:
    """Who was stopped keeps nobody out for good."""
    with holder(store, 60):
        old = time.time() - TURN_S - 1
        os.utime(store / ".turn", (old, old))
        add(store, "a")
    assert open_snapshot(store).partitions("sets") == ("a",)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_turn_file_that_is_none(store: Path, tmp_path: Path, kind: str) -> None:
    """A stranger's store has nothing outside it opened or written, and nobody waits for ever."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    if kind == "link":
        (store / ".turn").symlink_to(outside)
        with pytest.raises(StoreError):
            add(store, "a")
    else:
        (os.mkfifo if kind == "pipe" else os.mkdir)(store / ".turn")
        add(store, "a")
    with pytest.raises(StoreError):
        take(store)
    assert outside.read_text() == "mine"


def test_init_does_not_take_a_turn_file_for_its_own(tmp_path: Path) -> None:
    (tmp_path / ".turn").write_text("mine")
    with pytest.raises(StoreError, match="in the way"):
        create_store(tmp_path, settings=Settings("demo"), vocabulary=b"base_attributes: []\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("S: scores a (shard 0) changed meanwhile; nothing was written", "S: scores a (shard 0) changed meanwhile"),
        ("S: images of the map changed meanwhile", "S: images of the map changed meanwhile"),
        ("S: the vector of 'x' (m) changed; nothing was written", "S: the vector of 'x' (m) changed meanwhile"),
        ("S: images were added meanwhile; nothing was written", "S: images were added; changed meanwhile"),
        ("S: made anew by another process", "S: made anew by another process; changed meanwhile"),
        ("S: a was read twice and differs; run it again", "S: a was read twice and differs; changed meanwhile"),
    ],
)  # fmt: skip
def test_words_of_a_conflict(text: str, line: str) -> None:
    assert retrying(ConflictError(text)) == f"{line}, retrying"
