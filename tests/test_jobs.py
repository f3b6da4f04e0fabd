"""Records of jobs: progress, the end, and what is said of a process that died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from collections_on_disk import make_store

from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.jobs import KEEP_JOBS, embedding_rate, list_jobs, read_log, record_job, stop_job
from colonnade.engine.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path, images=0)


def test_a_job_is_recorded_from_start_to_end(store: Store) -> None:
    with record_job(store.path, ["sync"]) as job:
        job.failed("a.jpg", "broken")
        job.update("embed", 3, 10, 1)
        assert list_jobs(store.path)[0].outcomes == (("a.jpg", "broken"),), "before it ends"
        job.log("a line\nwith a break and \x1b[31m")
        running = list_jobs(store.path)[0]
        assert (running.state, running.phase, running.done, running.total, running.failures) == (
            "running",
            "embed",
            3,
            10,
            1,
        )
        job.note(embedded_per_second=12.5, outcomes=(("a.jpg", "broken"),))
    done = list_jobs(store.path)[0]
    assert (done.state, done.outcomes) == ("done", (("a.jpg", "broken"),))
    assert len(read_log(store.path, done.id).splitlines()) == 1
    assert embedding_rate(store.path) == 12.5
    assert not stop_job(store.path, done.id)


def test_a_failure_and_an_interruption_are_told_apart(store: Store) -> None:
    with pytest.raises(InputError), record_job(store.path, ["tag"]):
        raise InputError("no such thing")
    assert (list_jobs(store.path)[0].state, list_jobs(store.path)[0].message) == ("failed", "no such thing")
    with pytest.raises(KeyboardInterrupt), record_job(store.path, ["embed"]):
        raise KeyboardInterrupt
    assert {job.state for job in list_jobs(store.path)} >= {"interrupted"}


CHILD = """
import sys, time
from colonnade.engine.jobs import record_job
from pathlib import Path
with record_job(Path(sys.argv[1]), ["sync"]) as job:
    print(job.record.id, flush=True)
    time.sleep(60)
"""


def test_a_killed_process_leaves_no_doubt(store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, store.path], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    assert {job.id: job.state for job in list_jobs(store.path)}[name] == "running"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert {job.id: job.state for job in list_jobs(store.path)}[name] == "killed"
    assert not stop_job(store.path, name)


def test_a_record_that_cannot_be_written_fails_nothing(store: Store) -> None:
    with record_job(store.path, ["sync"]) as job:
        (store.path / "jobs").rename(store.path / "gone")
        job.update("embed", 1, 2)
        job.log("still here")
    (store.path / "gone").rename(store.path / "jobs")


def test_old_records_are_forgotten_and_damaged_ones_left_out(store: Store) -> None:
    for number in range(KEEP_JOBS + 5):
        (store.path / "jobs" / f"20200101-000000-{number}.json").write_text("{}")
    (store.path / "jobs" / "../x.json").write_text("{}")
    with record_job(store.path, ["scan"]):
        pass
    assert len(list((store.path / "jobs").glob("*.json"))) == KEEP_JOBS + 1
    assert [job.command for job in list_jobs(store.path)] == [("scan",)]


@pytest.mark.parametrize("name", ["../x", "20200101-000000-1", "", "/etc/passwd"])
def test_an_unknown_job_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InputError, match="no such job"):
        read_log(store.path, name)


def test_a_folder_that_leads_elsewhere_is_refused(store: Store, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    for number in range(KEEP_JOBS + 5):
        (victim / f"{number}.json").write_text("{}")
    (store.path / "jobs").rmdir()
    (store.path / "jobs").symlink_to(victim)
    with pytest.raises(StoreError, match="refused"), record_job(store.path, ["scan"]):
        pass
    assert len(list(victim.iterdir())) == KEEP_JOBS + 5


@pytest.mark.parametrize(
    "change", [{"done": "x"}, {"embedded_per_second": "fast"}, {"pid": None}, {"outcomes": [1]}]
)
def test_a_damaged_record_is_left_out(store: Store, change: dict[str, object]) -> None:
    with record_job(store.path, ["scan"]) as job:
        pass
    path = store.path / "jobs" / f"{job.record.id}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert list_jobs(store.path) == []
    assert embedding_rate(store.path) is None


def test_a_pipe_among_the_records_is_not_waited_for(store: Store) -> None:
    os.mkfifo(store.path / "jobs" / "29990101-000000-1.json")
    assert list_jobs(store.path) == []
