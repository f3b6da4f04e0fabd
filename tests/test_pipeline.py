"""The pipeline from files to embeddings, with real worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from colonnade.engine.decode import decode
from colonnade.engine.embedder import load_embedder
from colonnade.engine.embedder_hash import HashEmbedder
from colonnade.engine.pipeline import EmbeddedBatch, embed_files


def paint(
    folder: Path, count: int, *, kind: str = "png", size: tuple[int, int] = (50, 40)
) -> list[tuple[int, Path]]:
    """Image files that all differ, with ids that are not their places."""
    items = []
    for number in range(count):
        path = folder / f"{number:04}.{kind}"
        Image.new("RGB", size, (number % 256, number // 256, 77)).save(path)
        items.append((1000 - number, path))
    return items


def collect(batches: Iterator[EmbeddedBatch]) -> tuple[dict[int, np.ndarray], dict[int, str]]:
    vectors: dict[int, np.ndarray] = {}
    failures: dict[int, str] = {}
    for batch in batches:
        assert batch.ids.dtype == np.int64 and batch.vectors.dtype == np.float32
        assert batch.vectors.shape == (len(batch.ids), 512)
        assert not set(batch.ids.tolist()) & vectors.keys()
        vectors.update(zip(batch.ids.tolist(), batch.vectors, strict=True))
        failures.update(batch.failures)
    return vectors, failures


Workers = Callable[[], set[int]]


def children(pid: int) -> list[int]:
    """Process ids of a process's children."""
    with subprocess.Popen(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True) as ps:
        listed = ps.communicate()[0].split()
    return [int(one) for one in listed if int(one) != ps.pid]


@pytest.fixture
def workers() -> Workers:
    """The child processes that came since the test began: those of tests before it may linger."""
    before = set(children(os.getpid()))
    return lambda: set(children(os.getpid())) - before


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 40])
def test_every_file_gets_its_own_vector(tmp_path: Path, count: int) -> None:
    embedder = HashEmbedder()
    items = paint(tmp_path, count)
    batches = list(embed_files(embedder, iter(items), batch_size=8))
    assert [len(batch.ids) for batch in batches] == [8] * (count // 8) + [count % 8] * (count % 8 > 0)
    vectors, failures = collect(iter(batches))
    assert not failures and vectors.keys() == {image_id for image_id, _ in items}
    for image_id, path in items:
        expected = embedder.encode_images(decode(path, embedder.preprocessing)[None])[0]
        assert (vectors[image_id] == expected).all()


def test_bad_files_cost_themselves_alone(tmp_path: Path) -> None:
    items = paint(tmp_path, 20)
    whole = items[3][1].read_bytes()
    items[3][1].write_bytes(whole[: len(whole) // 2])
    items[7][1].write_text("not an image")
    items[11][1].unlink()
    os.mkfifo(tmp_path / "pipe.png")
    items[15] = (items[15][0], tmp_path / "pipe.png")
    Image.new("RGB", (200, 100)).save(items[19][1])
    vectors, failures = collect(embed_files(HashEmbedder(), items, batch_size=6, max_pixels=10_000))
    assert failures.keys() == {items[place][0] for place in (3, 7, 11, 15, 19)}
    assert len(vectors) == 15
    reasons = [failures[items[place][0]] for place in (3, 7, 11, 15, 19)]
    assert "truncated" in reasons[0] and reasons[1:4] == [
        "not an image in a known format",
        "not there (a link to nothing, or a disk that is not mounted)",
        "not a regular file",
    ]
    assert reasons[4] == "200 x 100 pixels is over the limit of 10000 pixels"
    only_bad = list(embed_files(HashEmbedder(), [items[3], items[7]], batch_size=6))
    assert [len(batch.failures) for batch in only_bad] == [2] and only_bad[0].vectors.shape == (0, 512)


# What the workers run instead, to crash or hang on cue.
TRAP = """
import os, time
from colonnade.engine.pipeline import _decode_item as honest

def trapped(item, **options):
    name = item[1][1].name
    if "crash" in name:
        os.abort()
    if "hang" in name:
        time.sleep(600)
    return honest(item, **options)
"""


def test_a_decoder_that_hangs_or_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(str(tmp_path))
    import trap  # type: ignore[import-not-found]

    from colonnade.engine import pipeline

    items = paint(tmp_path, 12)
    for place, name in ((2, "crash.png"), (5, "hang.png")):
        items[place] = (items[place][0], items[place][1].rename(tmp_path / name))
    monkeypatch.setattr(pipeline, "_decode_item", trap.trapped)
    vectors, failures = collect(embed_files(HashEmbedder(), items, batch_size=4, timeout_s=1.0))
    assert failures.keys() == {items[2][0], items[5][0]}
    assert "crashed" in failures[items[2][0]] and "longer than 1 s" in failures[items[5][0]]
    assert len(vectors) == 10


def test_memory_is_bounded_by_look_ahead(tmp_path: Path) -> None:
    """Items are read no further than four batches ahead of what was taken."""
    taken = 0
    path = paint(tmp_path, 1)[0][1]

    def items() -> Iterator[tuple[int, Path]]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield number, path

    stream = embed_files(HashEmbedder(), items(), batch_size=8)
    for given in range(1, 4):
        next(stream)
        time.sleep(0.5)
        assert taken <= (given + 4) * 8
    stream.close()


def test_what_the_items_raise_arrives(tmp_path: Path, workers: Workers) -> None:
    def items() -> Iterator[tuple[int, Path]]:
        yield from paint(tmp_path, 3)
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        collect(embed_files(HashEmbedder(), items(), batch_size=2))
    assert not workers()


def test_closing_early_leaves_no_process(tmp_path: Path, workers: Workers) -> None:
    items = paint(tmp_path, 60)
    stream = embed_files(HashEmbedder(), items, batch_size=8, workers=2)
    next(stream)
    assert workers()
    stream.close()
    assert not workers()


def test_an_embedder_that_fails_leaves_no_process(tmp_path: Path, workers: Workers) -> None:
    class Broken(HashEmbedder):
        def encode_images(self, pixels: Any) -> Any:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        collect(embed_files(Broken(), paint(tmp_path, 20), batch_size=8))
    assert not workers()


SCRIPT = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from colonnade.engine.embedder_hash import HashEmbedder
    from colonnade.engine.pipeline import embed_files
    files = sorted(Path(sys.argv[1]).glob("*.png"))
    endless = ((number, files[number % len(files)]) for number in range(10**9))
    try:
        for number, batch in enumerate(embed_files(HashEmbedder(), endless, batch_size=8, workers=2)):
            if number == 2:
                print("running", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    """
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_leave_no_process(tmp_path: Path, number: signal.Signals) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc")
    paint(tmp_path, 10)
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        workers = children(process.pid)
        assert workers
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert err == "" and out == ("interrupted\n" if number == signal.SIGINT else "")
    deadline = time.monotonic() + 10
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


def test_few_files_start_fast(tmp_path: Path) -> None:
    items = paint(tmp_path, 3)
    collect(embed_files(HashEmbedder(), items))  # the file system's cache is warm now
    began = time.monotonic()
    collect(embed_files(HashEmbedder(), items))
    assert time.monotonic() - began < 3


@pytest.mark.slow
def test_with_a_model_vectors_do_not_depend_on_batches(tmp_path: Path) -> None:
    import clip_models

    clip_models.save(tmp_path / "model")
    embedder = load_embedder(f"local-dir:{tmp_path / 'model'}", device="cpu")
    items = paint(tmp_path, 30, kind="jpg", size=(700, 500))
    runs = []
    for batch_size in (30, 7, 1):
        found: dict[int, bytes] = {}
        for batch in embed_files(embedder, items, batch_size=batch_size):
            found.update(zip(batch.ids.tolist(), map(bytes, batch.vectors), strict=True))
        runs.append(found)
    assert runs[0] == runs[1] == runs[2] and len(runs[0]) == 30
