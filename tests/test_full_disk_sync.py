"""A disk that fills up at every write of `sync`: one line, exit status 4, nothing lost, and it goes on afterwards.

Each file, table version and snapshot that a step writes finds the disk full in turn: no page is free, or no name, as
folders and links take no pages. And a whole `sync` gets a page more at every try, so that files are cut anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
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
LEFTS = (pages_left, names_left)
MAX_TRIES = 100


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "8m") as folder:
        yield folder


class Writing:
    """What a commit writes, one after the other: a table's file, its version, the snapshot; and a disk full at one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, disk: Path, left: Left) -> None:
        self._disk, self._left = disk, left
        self._place = MAX_TRIES
        self._full = ExitStack()
        self.begun: list[str] = []
        for name, word in (
            ("write_parquet", ""),
            ("build_version", "version"),
            ("publish_snapshot", "snapshot"),
        ):
            monkeypatch.setattr(stage, name, self._noted(word, getattr(stage, name)))

    def _noted(self, word: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **options: Any) -> Any:
            if len(self.begun) == self._place:
                self._full.enter_context(self._left(self._disk, 0))
            self.begun.append(word or str(arguments[0]))
            return function(*arguments, **options)

        return noted

    @contextmanager
    def full_at(self, place: int) -> Iterator[None]:
        """Let the disk be full from the write of that number on, counted from 0."""
        self._place, self.begun = place, []
        with self._full:
            yield


def assert_one_line(ran: Ran) -> None:
    assert ran.code == 4, ran.err
    assert ran.err.startswith("colonnade: ") and ran.err.count("\n") == 1, ran.err
    assert "no space left" in ran.err


def fails_at_each_write(store: Store, writing: Writing, *words: object) -> set[str]:
    """Run a command that fails at its first write, its second ..., until it meets no full disk; what they wrote."""
    before = store.snapshot()
    kept = content(before)
    for place in range(MAX_TRIES):
        with writing.full_at(place):
            ran = colonnade(store.path, "-q", *words)
        if len(writing.begun) <= place:
            break
        assert_one_line(ran)
        assert store.snapshot().number == before.number and content(before) == kept
        assert_sound(store.path)
    assert ran.code == 0, ran.err
    assert store.snapshot().number > before.number
    assert writing.begun[-1] == "snapshot" and "version" in writing.begun
    return set(writing.begun) - {"snapshot", "version"}


def assert_done(store: Store) -> None:
    assert store.plan().empty
    report = verify(store.path)
    assert report.sound and not report.notes, "what failed tries left is cleared up"


@pytest.mark.parametrize("left", LEFTS)
def test_a_full_disk_at_every_write_of_every_step(
    disk: Path, monkeypatch: pytest.MonkeyPatch, left: Left
) -> None:
    store, writing = make_store(disk), Writing(monkeypatch, disk, left)
    assert fails_at_each_write(store, writing, "scan") == {"images"}
    assert fails_at_each_write(store, writing, "embed") == {"embeddings"}
    assert fails_at_each_write(store, writing, "tag") == {"scores", "definitions", "prompts"}
    assert fails_at_each_write(store, writing, "derive") == {"scores", "definitions"}
    assert_done(store)


@pytest.mark.parametrize("left", LEFTS)
def test_a_full_disk_where_vectors_are_imported_and_calibrated(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: Left
) -> None:
    store, writing = new_store(disk / "store"), Writing(monkeypatch, disk, left)
    names = [f"{number}.jpg" for number in range(MINIMUM_IMAGES)]
    images = image_file(tmp_path / "images.parquet", names, vectors(MINIMUM_IMAGES))
    text = prompt_file(tmp_path / "text.parquet", vectors(3, seed=1))
    phrases = [f"phrase {number}" for number in range(MINIMUM_PHRASES)]
    background = prompt_file(tmp_path / "background.parquet", vectors(len(phrases), seed=2), phrases)
    words = ("--model", "m", "--logit-scale", 100, "--text", text, "--background", background)
    written = fails_at_each_write(store, writing, "import", "embeddings", images, *words)
    assert written == {"images", "embeddings", "prompts"}
    assert fails_at_each_write(store, writing, "tag") == {"scores", "calibrations", "definitions"}
    assert fails_at_each_write(store, writing, "derive") == {"scores", "definitions"}
    assert_done(store)


def test_a_full_disk_in_the_middle_of_sync(disk: Path) -> None:
    """What the steps before committed stays, and the next sync goes on from there."""
    store = make_store(disk)
    seen, pages = set(), 0
    for _ in range(MAX_TRIES):
        before = store.snapshot()
        kept = content(before)
        with pages_left(disk, pages):
            ran = colonnade(store.path, "-q", "sync")
        if ran.code == 0:
            break
        assert_one_line(ran)
        assert_sound(store.path)
        assert content(before) == kept
        after = store.snapshot()
        seen.add(after.command)
        pages = pages + 1 if after.number == before.number else 0
    assert {"init", "scan"} <= seen
    assert_done(store)
