"""The jobs screen in a running app: what runs, ran and failed; starting and stopping; the plan."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from app_driving import falls_silent, lines_of, until
from query_stores import Content, build_store, image
from textual.pilot import Pilot
from textual.widgets import Input

from colonnade.engine.jobs import JobRecord, list_jobs, record_job
from colonnade.tui.app import ColonnadeApp
from colonnade.tui.job_rows import HEADINGS, Paces, bar, duration, headline, job_row, outcome_rows
from colonnade.tui.keys import with_keys
from colonnade.tui.screens.jobs import JobsScreen
from colonnade.tui.screens.sql import SqlScreen
from colonnade.tui.widgets.window_table import WindowTable

HOSTILE = "\x1b]0;x\x07[@click=app.quit]\u202e[/].jpg"
RECORD = JobRecord("20260101-101500-42", ("tag", "earth"), 42, "2026-01-01T10:15:00Z", "2026-01-01T10:16:00Z")
SLEEPER = """
import sys, time
from pathlib import Path
from colonnade.engine.jobs import record_job
with record_job(Path(sys.argv[1]), ["embed"]) as job:
    for done in range(1000):
        job.update("embed", done, 1000)
        print(done, flush=True)
        time.sleep(0.05)
"""


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    scores = dict.fromkeys(range(4), (25.0, 0.5, "accepted"))
    return build_store(tmp_path / "s", Content([image(n) for n in range(4)], {"moon": scores})).path


@pytest.fixture
def sleeper(store: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A job in a process of its own, for a minute."""
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(store)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()
        process.stdout.close()


@asynccontextmanager
async def opened(
    store: Path, size: tuple[int, int] = (120, 30)
) -> AsyncIterator[tuple[Pilot[None], JobsScreen]]:
    app = ColonnadeApp(store)
    async with app.run_test(size=size) as pilot:
        await until(lambda: app.session is not None, "a session")
        app.open_screen("jobs")
        await until(lambda: isinstance(app.screen, JobsScreen) and app.screen.is_ready, "the screen")
        screen = app.screen
        assert isinstance(screen, JobsScreen)
        yield pilot, screen
        await pilot.press("escape", "q")
        app.close_session()


def test_rows_say_all_in_words() -> None:
    running = replace(RECORD, phase="embed", done=300, total=1000, failures=2, seconds=30.0)
    row = dict(zip(HEADINGS, job_row(running, None), strict=True))
    assert row["state"] == "running"
    assert (row["progress"], row["count"], row["rate"], row["left"]) == (
        "███░░░░░░░ 30%",
        "300/1,000 !2",
        "",
        "",
    )
    done = job_row(replace(running, state="done", embedded_per_second=12.3), None)
    assert done[4:8] == ("", "300/1,000 !2", "12/s", "30 s")
    loading = headline(replace(RECORD, phase="loading the model"))  # its record was last written at 0.0 s
    assert re.search(r"process 42, since 01-01 \d\d:\d\d$", loading), loading
    killed = headline(replace(running, state="killed"))
    assert "killed, u runs it again" in with_keys(killed, {})[:60]
    assert "killed, F6 runs it again" in with_keys(killed, {"jobs.resume": "f6"})
    assert outcome_rows(replace(running, outcomes=(("a.jpg", "cut"),)))[-1][0] == "... and 1 more"
    assert outcome_rows(running) == []


def test_the_pace_is_that_of_the_present_phase() -> None:
    paces = Paces()
    first = replace(RECORD, phase="scan", done=10, total=100, seconds=5.0)
    paces.note([first])
    assert paces.of(first) is None
    for done, seconds in ((20, 6.0), (50, 9.0)):
        paces.note([replace(first, done=done, seconds=seconds)])
    pace = paces.of(first)
    assert pace is not None
    assert (pace.per_second, pace.seconds_left) == (10.0, 5.0)
    paces.note([replace(first, phase="embed", done=0, seconds=10.0)])
    assert paces.of(first) is None
    paces.note([replace(first, state="done")])
    assert paces.of(first) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.2 s"), (4, "4 s"), (119, "119 s"), (600, "10 min"), (7500, "2 h 05")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_bars() -> None:
    texts = [bar(done, 8) for done in (0, 4, 8, 99)]
    assert texts == ["░" * 10 + "  0%", "█" * 5 + "░" * 5 + " 50%", *["█" * 10 + " 100%"] * 2]
    assert bar(1, 0) == "░" * 10 + "  0%"


def test_no_key_of_the_screens_is_one_of_the_table_that_has_the_focus() -> None:
    def keys(kind: type[JobsScreen] | type[SqlScreen] | type[WindowTable]) -> set[str]:
        return {key for binding in kind.__dict__["BINDINGS"] for key in binding.key.split(",")}

    assert not keys(JobsScreen) & keys(WindowTable)
    assert not keys(SqlScreen) & keys(WindowTable)


@pytest.mark.asyncio
async def test_without_jobs_it_says_what_to_do_and_shows_the_plan(store: Path) -> None:
    async with opened(store) as (pilot, screen):
        assert "r does what is stale" in lines_of(screen.table)[1]
        await until(lambda: screen._plan is not None, "the plan")
        await pilot.pause()
        text = "\n".join(lines_of(screen.below))
        assert "attribute" in text or "nothing to do" in text
        assert "p looks" in lines_of(screen.query_one("#about"))[0]
        await pilot.press("p")
        await until(lambda: screen._plan is not None and screen._plan.looked, "a look at the folders")
        await pilot.press("x")
        assert "no running job" in screen.status.message
        await pilot.press("u")
        assert "no job is chosen" in screen.status.message
        await pilot.press("tab", "tab", "s", "escape", "v", "f")


@pytest.mark.asyncio
async def test_outcomes_and_logs_of_what_ran(store: Path) -> None:
    with pytest.raises(RuntimeError), record_job(store, ["scan"]) as job:
        job.log(f"cannot read {HOSTILE}")
        job.note(outcomes=((HOSTILE, "cut \x1b[31m"), ("b.jpg", "empty")), failures=2)
        raise RuntimeError("disk gone")
    async with opened(store) as (pilot, screen):
        await until(lambda: bool(screen._records) and screen.record is not None, "the job")
        await pilot.press("f")
        await pilot.pause()
        assert "! failed" in lines_of(screen.table)[1]
        about = lines_of(screen.query_one("#about"))[0]
        assert "scan: failed" in about
        assert "2 files could not be read, disk gone" in about
        text = "\n".join(lines_of(screen.below))
        assert "b.jpg" in text
        await pilot.press("v")
        await until(lambda: "disk gone" in "\n".join(lines_of(screen.below)), "the log")
        text += "\n".join(lines_of(screen.below))
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
        assert "[@click=app.quit]" in text


@pytest.mark.asyncio
async def test_a_running_job_is_followed_stopped_and_told(
    store: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    async with opened(store) as (pilot, screen):
        await until(lambda: screen.record is not None and screen.record.done > 5, "progress")
        await pilot.pause()
        row = lines_of(screen.table)[1]
        assert "running embed" in " ".join(row.split())
        assert "░" in row
        await pilot.press("u")
        assert "it is running" in screen.status.message
        await pilot.press("x")
        await until(lambda: "asked to stop" in screen.status.message, "the word")
        await until(lambda: screen.record is not None and screen.record.state != "running", "the end")
        record = screen.record
        assert record is not None
        await until(lambda: record.state in lines_of(screen.table)[1], "the end in its row")


@pytest.mark.asyncio
async def test_a_killed_job_is_told(store: Path, sleeper: subprocess.Popen[bytes]) -> None:
    async with opened(store, (80, 24)) as (pilot, screen):
        await until(lambda: screen.record is not None and screen.record.state == "running", "the job")
        sleeper.send_signal(signal.SIGSTOP)
        await pilot.pause(1.0)  # nothing changes in its folder any more: its lock alone tells
        sleeper.kill()
        await until(lambda: "killed" in screen.status.message, "the news")
        assert screen.status.kind == "warn"
        await until(lambda: "! killed" in lines_of(screen.table)[1], "its row")


@pytest.mark.asyncio
async def test_nothing_is_drawn_while_nothing_changes(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with record_job(store, ["tag", "moon"]):
        pass
    async with opened(store) as (_, screen):
        await until(lambda: screen._plan is not None and bool(screen._records), "all")
        await falls_silent(screen.app, monkeypatch)


@pytest.mark.asyncio
async def test_starting_a_job(store: Path) -> None:
    async with opened(store) as (pilot, screen):
        await until(lambda: screen._plan is not None, "the plan")
        await pilot.press("s")
        await until(lambda: isinstance(screen.focused, Input), "the question")
        await pilot.press(*"der", "enter")
        await until(
            lambda: "derive" in screen.status.message and "starting" not in screen.status.message, "an answer"
        )
        await until(lambda: bool(list_jobs(store)) or "derive:" in screen.status.message, "a record")
        await pilot.press("s")
        await until(lambda: isinstance(screen.focused, Input), "the question")
        await pilot.press(*"rm -rf", "enter")
        await until(lambda: screen.status.kind == "bad", "a refusal")


@pytest.mark.asyncio
async def test_jobs_take_the_rows_that_they_need(store: Path) -> None:
    records = [replace(RECORD, id=str(n), command=("tag", f"a{n}"), state="done") for n in range(9)]
    async with opened(store, (80, 24)) as (pilot, screen):
        await until(lambda: screen._plan is not None, "the plan")
        screen.jobs_changed(records)
        await until(lambda: screen.table.count == 9, "the jobs")
        await pilot.press("f")
        await until(lambda: screen.below.count == 1 and screen.table.size.height == 10, "all of the jobs")
        shown = lines_of(screen.table)
        assert all(f"tag a{number}" in "\n".join(shown) for number in range(9))
        assert "began" in shown[0] and "01-01 10:15" in shown[1]
        await pilot.resize_terminal(80, 11)
        await until(lambda: 2 < screen.table.size.height < 9, "less room")
        await pilot.resize_terminal(80, 40)
        await until(lambda: screen.table.size.height == 10, "room again")
