"""Starting jobs that outlive the app."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.jobs import list_jobs, record_job
from colonnade.engine.store import Store
from colonnade.tui.job_start import Started, printed, start_job


@pytest.fixture
def store(tmp_path: Path) -> Store:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    return Store.create(tmp_path / "store", roots=[folder], model="hash")


def wait_for(store: Store, state: str = "done", seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        jobs = list_jobs(store.path)
        if jobs and jobs[0].state == state:
            return
        time.sleep(0.05)
    pytest.fail(f"no job is {state}: {list_jobs(store.path)}")


@pytest.mark.slow
def test_a_job_runs_and_leaves_its_record(store: Store) -> None:
    started = start_job(store.path, ["scan"], wait_s=60)
    assert started.job is not None
    wait_for(store)
    record = list_jobs(store.path)[0]
    assert (record.id, record.command, record.pid) == (started.job, ("scan",), started.pid)
    assert store.query("true").count == 3
    for _ in range(100):  # the process itself may take a moment to end
        try:
            again = start_job(store.path, ["scan"], wait_s=60)
            break
        except InputError:
            time.sleep(0.1)
    assert again.pid != started.pid
    wait_for(store)


@pytest.mark.slow
def test_what_a_job_printed_can_be_read_until_its_command_runs_anew(store: Store) -> None:
    start_job(store.path, ["scan"], wait_s=60)
    wait_for(store)
    (first,) = list_jobs(store.path)
    said = printed(store.path, first)
    assert "scan  new          3" in said
    assert not any(line.startswith("process ") for line in said)
    for _ in range(100):  # the process itself may take a moment to end
        try:
            start_job(store.path, ["scan"], wait_s=60)
            break
        except InputError:
            time.sleep(0.1)
    wait_for(store)
    assert printed(store.path, first) == []
    for _ in range(100):
        if said := printed(store.path, list_jobs(store.path)[0]):
            break
        time.sleep(0.1)
    assert said


def test_nothing_to_do_is_told(store: Store) -> None:
    started = start_job(store.path, ["tag"], wait_s=60)
    assert started == Started(
        started.pid, None, True, "there are no embeddings yet: colonnade sync, or colonnade import embeddings"
    )


def test_an_early_error_is_one_line(store: Store) -> None:
    store.vocabulary_path.write_text("base_attributes: 7\n")
    with pytest.raises(StoreError) as caught:
        start_job(store.path, ["sync"], wait_s=60)
    assert str(caught.value).startswith("sync: ")
    assert "\n" not in str(caught.value)


def test_only_jobs_can_be_started(store: Store) -> None:
    for words in ([], ["rm", "-rf"], ["init"], ["tag", "x\0y"], ["--help"], ["tag", "x" * 5000]):
        with pytest.raises(InputError):
            start_job(store.path, words)
    assert not list((store.path / "jobs").glob("*.out"))


def test_the_same_command_is_refused_with_who_holds_it(store: Store) -> None:
    with record_job(store.path, ["sync"]) as job, pytest.raises(InputError) as caught:
        start_job(store.path, ["sync"])
    who = f"sync: already running (job {job.record.id}, process {os.getpid()}, since "
    assert str(caught.value).startswith(who)
    with record_job(store.path, ["tag", "earth"]), pytest.raises(InputError, match="already running"):
        start_job(store.path, ["tag", "moon", "earth"])
    with record_job(store.path, ["tag", "earth"]):
        assert start_job(store.path, ["tag", "moon"], wait_s=60).ended


@pytest.mark.slow
def test_one_that_only_plans_so_far_holds_the_command(store: Store) -> None:
    path = store.path / "jobs" / "sync.out"
    path.write_bytes(b"process 4711\n")
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"sync: already running \(process 4711\)"):
            start_job(store.path, ["sync"])
    start_job(store.path, ["sync"], wait_s=60)
    wait_for(store)


@pytest.mark.slow
def test_of_two_starts_at_once_one_is_refused(store: Store) -> None:
    outcomes: list[object] = []

    def start() -> None:
        try:
            outcomes.append(start_job(store.path, ["sync"], wait_s=0))
        except InputError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["InputError"] * 3 + ["Started"]
    wait_for(store)


@pytest.mark.slow
def test_a_job_outlives_what_started_it(store: Store) -> None:
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from colonnade.tui.job_start import start_job\n"
        f"start_job(Path({str(store.path)!r}), ['sync'], wait_s=0)\n"
        "os.killpg(0, signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=60, check=False, start_new_session=True)
    wait_for(store)
    assert store.query("true").count == 3


def test_what_old_jobs_printed_is_tidied_away(store: Store) -> None:
    old = store.path / "jobs" / "tag-00000000.out"
    old.write_bytes(b"process 1\n")
    os.utime(old, (0, 0))
    start_job(store.path, ["scan"], wait_s=60)
    assert not old.exists()
    wait_for(store)
