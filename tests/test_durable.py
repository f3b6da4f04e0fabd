"""Replacing files, locks, bounded reads and the operating system's refusals."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from colonnade.engine.durable import atomic_write, exclusive_lock, fsync_all, read_bounded, store_errors
from colonnade.engine.errors import ConflictError, StoreError

HOLD = """
import sys, time
from pathlib import Path
from colonnade.engine.durable import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def test_replaces_and_keeps_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic_write(path, b"one")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o644)
    path.chmod(0o600)
    atomic_write(path, b"two" * 100_000, expected=b"one")
    assert (path.stat().st_size, path.stat().st_mode & 0o777) == (300_000, 0o600)
    assert os.listdir(tmp_path) == ["file"]


def test_a_change_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"theirs")
    with pytest.raises(ConflictError, match="changed since it was read"):
        atomic_write(path, b"mine", expected=b"old")
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["file"]


def test_links(tmp_path: Path) -> None:
    """Who read through a link writes through it; who did not read replaces the link and spares what it leads to."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    atomic_write(link, b"new", expected=b"old")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    atomic_write(link, b"other")
    assert not link.is_symlink()
    assert (link.read_bytes(), target.read_bytes()) == (b"other", b"new")


def test_a_failed_write_leaves_the_old(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        atomic_write(folder, b"x")
    assert os.listdir(tmp_path) == ["folder"]


def test_bounded_reads(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert read_bounded(path, 10) == b"x" * 10
    with pytest.raises(StoreError, match="larger than 9 bytes"):
        read_bounded(path, 9)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert read_bounded(link, 10) == b"x" * 10
    with pytest.raises(OSError, match="symbolic links"):
        read_bounded(link, 10, follow=False)
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(StoreError, match="not a regular file"):
            read_bounded(other, 10)


def test_lock_waits_and_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), "1.5"], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(StoreError, match=f"locked by process {holder.pid} "),
            exclusive_lock(path, timeout_s=0.1),
        ):
            pass
        with exclusive_lock(path, timeout_s=60):
            pass
        holder.wait()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), "60"], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
        holder.wait()
    with exclusive_lock(path, timeout_s=0):
        pass


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with exclusive_lock(tmp_path / ".lock"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Its first bytes would be overwritten with the holder's number."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious content that is longer")
    (tmp_path / ".lock").symlink_to(outside)
    with pytest.raises(StoreError), store_errors(tmp_path), exclusive_lock(tmp_path / ".lock"):
        pass
    assert outside.read_bytes() == b"precious content that is longer"


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space left"), (errno.EROFS, "read-only"), (errno.EACCES, "permission")],
)
def test_refusals_in_words(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(StoreError, match=words) as caught, store_errors(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path / "x"))
    assert str(caught.value).startswith(str(tmp_path / "x"))
    with pytest.raises(StoreError, match=words) as caught, store_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert str(caught.value).startswith(str(tmp_path))


def test_fsync_of_many(tmp_path: Path) -> None:
    paths = [tmp_path / str(i) for i in range(20)]
    for path in paths:
        path.write_bytes(b"x")
    fsync_all([*paths, tmp_path])
    fsync_all([])
    with pytest.raises(FileNotFoundError):
        fsync_all([*paths, tmp_path / "gone"])
