"""Commands that write to a disk that fills up: one line, exit status 4, no half-written file, and then it works.

As in `test_full_disk_sync.py` there is room for a page more at every try.
"""

from __future__ import annotations

import csv
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import Ran, colonnade
from collections_on_disk import make_store, write_image
from crash_helpers import assert_sound, content, pages_left, small_disk
from review_driving import ASKED, answers, make_review, reviewing, stand_by
from vector_files import image_file, vectors

from colonnade.engine.store import Store

pytestmark = pytest.mark.slow

IMAGES = 60
MAX_PAGES = 100


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a synced store `store` that grew in drips, files to import, and a folder `more`."""
    folder = tmp_path_factory.mktemp("made")
    store = make_store(folder, images=IMAGES)
    store.sync()
    for number in range(2):
        write_image(folder / "photos" / f"new-{number}.jpg", 1000 + number)
        store.sync()
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "code", "present"])
        writer.writerows([f"{number:03d}.jpg", "earth", "yes"] for number in range(IMAGES))
    image_file(folder / "images.parquet", [f"{number}.png" for number in range(300)], vectors(300))
    (folder / "more").mkdir()
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "8m") as folder:
        yield folder


def files_in(folder: Path) -> dict[str, bytes]:
    """All but the lock and `views.sql`, which follows the snapshots."""
    left_out = (".lock", "views.sql")
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.name not in left_out}


def assert_one_line(ran: Ran) -> None:
    assert (ran.code, ran.out) == (4, ""), ran.err
    assert ran.err.startswith("colonnade: ") and ran.err.count("\n") == 1, ran.err
    assert "no space left" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        "calibration set earth --center 3 --scale 2",
        "labels import {made}/labels.csv",
        "import embeddings {made}/images.parquet --model other --logit-scale 100",
        "compact",
        "restore 2",
        "vocab add comet --description 'a comet'",
        "query earth --save mine --count",
        "model use demo",
        "root add {made}/more",
    ],
)
def test_a_command_that_changes_the_store(disk: Path, made: Path, words: str) -> None:
    shutil.copytree(made / "store", disk / "store", symlinks=True)
    store = Store(disk / "store")
    written = files_in(store.path)
    arguments = [word.format(made=made) for word in shlex.split(words)]
    for pages in range(MAX_PAGES):
        before = store.snapshot()
        kept = content(before)
        with pages_left(disk, pages):
            ran = colonnade(store.path, "-q", *arguments)
        if ran.code == 0:
            break
        assert_one_line(ran)
        assert_sound(store.path)
        assert content(before) == kept
        assert files_in(store.path) == written, "colonnade.toml, vocabulary.yaml and queries.yaml"
    assert ran.code == 0 and pages > 0
    assert_sound(store.path)
    assert (
        files_in(store.path) != written or store.snapshot().number > Store(made / "store").snapshot().number
    )


@pytest.mark.parametrize("old", [None, b"what was there before"])
@pytest.mark.parametrize(
    "words",
    [
        "query true --format csv -o",
        "query true --format json -o",
        "query true --format jsonl -o",
        "query true --format parquet -o",
        "query true --format paths -o",
        "sql 'FROM scores' --format csv -o",
        "search earth --format csv -o",
        "export",
        "labels export --output",
        "calibration export --output",
    ],
)
def test_a_file_is_written_whole_or_stays_as_it_was(
    disk: Path, made: Path, words: str, old: bytes | None
) -> None:
    target = disk / "rows.csv"
    if old is not None:
        target.write_bytes(old)
    before = files_in(disk)
    for pages in range(MAX_PAGES):
        with pages_left(disk, pages):
            ran = colonnade(made / "store", "-q", *shlex.split(words), target)
        if ran.code == 0:
            break
        assert_one_line(ran)
        assert files_in(disk) == before
    assert ran.code == 0 and pages > 0
    assert files_in(disk).keys() == {"rows.csv"} and target.read_bytes() not in (b"", old)


def test_an_answer_in_review_is_saved_or_told(disk: Path) -> None:
    """The command ends at the first answer that cannot be saved; those before are kept, and it goes on later."""
    store = make_review(disk) / "s"
    with reviewing(store, "earth", "--budget", "3") as child:
        child.expect(ASKED)
        child.send("y")
        child.expect(ASKED)
        assert list(answers(store).values()) == [True]
        with pages_left(disk, 0):
            child.send("n")
            child.expect(r"\r\ncolonnade: [^\n]*no space left[^\n]*\r\n")
            child.wait()
    assert child.exitstatus == 4
    assert list(answers(store).values()) == [True]
    assert_sound(store)
    with reviewing(store, "earth", "--budget", "1") as child:
        child.expect(ASKED)
        child.send("n")
        stand_by(child)
    assert sorted(map(bool, answers(store).values())) == [False, True]
