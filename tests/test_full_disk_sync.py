"""A disk that fills up at every write of `sync`: one line, exit status 4, nothing lost, and it goes on afterwards.

At every try the disk has room for one page more, or for one name more: folders and links take no pages. So each write
of each stage in turn is the one that finds the disk full, whatever they are and how much they take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from cli_process import Ran, colonnade
from collections_on_disk import make_store
from crash_helpers import assert_sound, content, names_left, pages_left, small_disk
from vector_files import image_file, new_store, prompt_file, vectors

from colonnade.engine import stage
from colonnade.engine.auto_fit import MINIMUM_IMAGES
from colonnade.engine.background import MINIMUM_PHRASES
from colonnade.engine.store import Store
from colonnade.engine.verify import verify

pytestmark = pytest.mark.slow

Left = Callable[[Path, int], AbstractContextManager[None]]
MAX_TRIES = 300
STRIDES: dict[Left, int] = {pages_left: 1, names_left: 4}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "8m") as folder:
        yield folder


class Writing:
    """What a commit is writing at the moment: a table's file, its version, or the snapshot."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = ""
        for name in ("write_parquet", "build_version", "publish_snapshot"):
            monkeypatch.setattr(stage, name, self._noted(name, getattr(stage, name)))

    def _noted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **options: Any) -> Any:
            self.now = {
                "write_parquet": str(arguments[0]),
                "build_version": "version",
                "publish_snapshot": "snapshot",
            }[name]
            return function(*arguments, **options)

        return noted


def assert_one_line(ran: Ran) -> None:
    assert ran.code == 4, ran.err
    assert ran.err.startswith("colonnade: ") and ran.err.count("\n") == 1, ran.err
    assert "no space left" in ran.err


def with_little_room(
    store: Store,
    words: tuple[object, ...],
    disk: Path,
    left: Left,
    writing: Writing,
    stride: int | None = None,
) -> Counter[tuple[str, str]]:
    """Run a command until it succeeds, with a little more room at every try; what it was writing when it failed.

    Returns:
        (command of the last commit, what was being written) -> number of failures.
    """
    failures: Counter[tuple[str, str]] = Counter()
    room = 0
    for _ in range(MAX_TRIES):
        before, writing.now = store.snapshot(), ""
        kept = content(before)
        with left(disk, room):
            ran = colonnade(store.path, "-q", *words)
        if ran.code == 0:
            return failures
        after = store.snapshot()
        assert_one_line(ran)
        assert_sound(store.path)
        assert content(before) == kept
        failures[after.command, writing.now] += 1
        room = room + (stride or STRIDES[left]) if after.number == before.number else 0
    raise AssertionError(f"{words}: no success in {MAX_TRIES} tries: {failures}")


def assert_failed(failures: Counter[tuple[str, str]], before: str, left: Left, *tables: str) -> None:
    """Every kind of write of a step failed at least once, and until it succeeded nothing of it was committed."""
    assert {command for command, _ in failures} == {before}, failures
    names = {"snapshot", "version"} if len(tables) > 1 else {"snapshot"}
    assert (names if left is names_left else {*tables, "snapshot"}) <= {what for _, what in failures}, (
        failures
    )


def assert_done(store: Store) -> None:
    assert store.plan().empty
    report = verify(store.path)
    assert report.sound and not report.notes, "what failed tries left is cleared up"


@pytest.mark.parametrize("left", STRIDES)
def test_a_full_disk_at_every_write_of_every_step(
    disk: Path, monkeypatch: pytest.MonkeyPatch, left: Left
) -> None:
    store, writing = make_store(disk), Writing(monkeypatch)

    def step(name: str) -> Counter[tuple[str, str]]:
        return with_little_room(store, (name,), disk, left, writing)

    assert_failed(step("scan"), "init", left, "images")
    assert_failed(step("embed"), "scan", left, "embeddings")
    assert_failed(step("tag"), "embed", left, "scores", "definitions", "prompts")
    assert_failed(step("derive"), "tag", left, "scores", "definitions")
    assert_done(store)


def test_a_full_disk_in_the_middle_of_sync(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the steps before committed stays, and the next sync goes on from there."""
    store = make_store(disk)
    failures = with_little_room(store, ("sync",), disk, pages_left, Writing(monkeypatch), stride=3)
    assert {command for command, _ in failures} >= {"init", "scan", "embed"}
    assert_done(store)


@pytest.mark.parametrize("left", STRIDES)
def test_a_full_disk_where_vectors_are_imported_and_calibrated(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: Left
) -> None:
    store, writing = new_store(disk / "store"), Writing(monkeypatch)
    names = [f"{number}.jpg" for number in range(MINIMUM_IMAGES)]
    images = image_file(tmp_path / "images.parquet", names, vectors(MINIMUM_IMAGES))
    text = prompt_file(tmp_path / "text.parquet", vectors(3, seed=1))
    phrases = [f"phrase {number}" for number in range(MINIMUM_PHRASES)]
    background = prompt_file(tmp_path / "background.parquet", vectors(len(phrases), seed=2), phrases)
    words = ("--model", "m", "--logit-scale", 100, "--text", text, "--background", background)
    failures = with_little_room(store, ("import", "embeddings", images, *words), disk, left, writing)
    assert_failed(failures, "init", left, "images", "embeddings", "prompts")
    failures = with_little_room(store, ("tag",), disk, left, writing)
    assert_failed(failures, "import", left, "scores", "calibrations", "definitions")
    failures = with_little_room(store, ("derive",), disk, left, writing)
    assert_failed(failures, "tag", left, "scores")
    assert_done(store)
