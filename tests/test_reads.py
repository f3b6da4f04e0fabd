"""Which image files a command opens, as the kernel tells: only those whose pixels or bytes it has to look at."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_process import colonnade
from collections_on_disk import make_store, vectors_by_path, write_image

from colonnade.engine.store import Store
from colonnade.engine.tables import read_table

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")

OPENED, CLOSED = 0x20, 0x18
FOLDER = 0x40000000
HEADER = struct.Struct("iIII")


class Watch:
    """The files that were opened in a folder, by any process."""

    def __init__(self, folder: Path) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            pytest.skip(f"no inotify: {os.strerror(ctypes.get_errno())}")
        mask = OPENED | CLOSED  # with openings alone, two in a row would be told as one
        if library.inotify_add_watch(self._descriptor, os.fsencode(folder), mask) < 0:
            pytest.skip(f"{folder} cannot be watched: {os.strerror(ctypes.get_errno())}")

    def opened(self) -> Counter[str]:
        """Name -> how often it was opened since the last call."""
        found: Counter[str] = Counter()
        while True:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                _, mask, _, length = HEADER.unpack_from(data)
                name, data = data[HEADER.size :][:length], data[HEADER.size + length :]
                if mask & OPENED and not mask & FOLDER:
                    found[os.fsdecode(name.rstrip(b"\0"))] += 1

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path)


@pytest.fixture
def photos(store: Store) -> Path:
    return store.settings.roots[0].path


@pytest.fixture
def watch(photos: Path) -> Iterator[Watch]:
    watching = Watch(photos)
    yield watching
    watching.close()


def run(store: Store, *words: object, code: int = 0) -> str:
    ran = colonnade(store.path, *words)
    assert ran.code == code, ran.err
    return ran.out


def ids(store: Store) -> dict[str, int]:
    rows = read_table("images", store.snapshot().files("images"), ["path", "image_id"])
    return {row["path"]: row["image_id"] for row in rows.to_pylist()}


def test_a_file_is_read_once_by_the_scan_and_once_by_the_decoder(store: Store, watch: Watch) -> None:
    names = {f"{number:03d}.jpg" for number in range(6)}
    run(store, "plan", code=1)
    assert not watch.opened()
    run(store, "scan")
    assert watch.opened() == Counter(names)
    run(store, "embed")
    assert watch.opened() == Counter(names)
    for words in (["tag"], ["derive"], ["plan"], ["sync"], ["scan"], ["embed"], ["status"], ["verify"]):
        run(store, *words)
        assert not watch.opened(), words
    for words in (["query", "true"], ["tag", "--force"], ["derive", "--force"], ["search", "earth"]):
        run(store, *words)
        assert not watch.opened(), words
    run(store, "embed", "--force")
    assert watch.opened() == Counter(names)


def add(photos: Path) -> None:
    write_image(photos / "new.jpg", 99)


def change(photos: Path) -> None:
    write_image(photos / "001.jpg", 77)
    os.utime(photos / "001.jpg", (77, 77))


def touch(photos: Path) -> None:
    os.utime(photos / "001.jpg", (1, 1))


def copy(photos: Path) -> None:
    shutil.copy(photos / "001.jpg", photos / "copy.jpg")


def move(photos: Path) -> None:
    (photos / "001.jpg").rename(photos / "renamed.jpg")


def remove(photos: Path) -> None:
    (photos / "001.jpg").unlink()


CHANGES: dict[Callable[[Path], None], Counter[str]] = {
    add: Counter({"new.jpg": 2}),
    change: Counter({"001.jpg": 2}),
    touch: Counter({"001.jpg": 1}),
    copy: Counter({"copy.jpg": 1}),
    move: Counter({"renamed.jpg": 1}),
    remove: Counter(),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_a_second_sync_reads_what_changed(
    store: Store, photos: Path, watch: Watch, changed: Callable[[Path], None]
) -> None:
    """Twice: to learn what is in it, and for its pixels, unless its embedding is known by then."""
    run(store, "sync")
    before, vectors = ids(store), vectors_by_path(store)
    changed(photos)
    watch.opened()
    assert "1 " in run(store, "plan", code=1)
    assert not watch.opened(), "a plan opens no file"
    run(store, "sync")
    assert watch.opened() == CHANGES[changed]
    run(store, "sync")
    assert not watch.opened()
    after = ids(store)
    if changed is move:
        assert after == {name.replace("001", "renamed"): i for name, i in before.items()}
        assert (vectors_by_path(store)["renamed.jpg"] == vectors["001.jpg"]).all()
    else:
        assert before.items() <= after.items()
    if changed is change:
        assert (vectors_by_path(store)["001.jpg"] != vectors["001.jpg"]).any()


def test_a_new_attribute_costs_its_prompts_and_no_image(store: Store, watch: Watch) -> None:
    run(store, "sync")
    watch.opened()
    prompts = [word for number in range(8) for word in ("--prompt", f"a comet, seen {number} times")]
    run(store, "vocab", "add", "comet", "--description", "a comet", *prompts)
    assert "1 new attribute: 8 prompts to encode, 0 images to decode" in run(store, "plan", code=1)
    run(store, "sync")
    assert not watch.opened()
    assert len(store.snapshot().files("scores", "comet")) == 1
