"""Driving the app by keys alone in tests: one key after the other, and what each of them changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from app_driving import until
from test_keys import app_classes, own_bindings
from textual.dom import DOMNode
from textual.events import Paste
from textual.message_pump import MessagePump
from textual.pilot import Pilot
from textual.timer import Timer

from colonnade.engine.errors import ColonnadeError
from colonnade.tui.app import ColonnadeApp
from colonnade.tui.helper_client import HelperError
from colonnade.tui.job_start import Started
from colonnade.tui.keys import Configuration
from colonnade.tui.screens.base import BaseScreen
from colonnade.tui.session import Session
from colonnade.tui.widgets.actions import bindings_of

__all__ = ["Driver", "Jobs", "Press", "Step", "Type", "Warned", "declared", "driving", "keys_of"]

_PATIENCE_S, _EFFECT_S = 30.0, 4.0
_BESIDE_JOB_S = 0.5
_LOOK_S = 0.03
_SLEEPER = """
import sys, time
from pathlib import Path
from colonnade.engine.jobs import record_job
with record_job(Path(sys.argv[1]), ["embed"]) as job:
    job.update("embed", 1, 1000)
    time.sleep(60)
"""


@dataclass(frozen=True)
class Press:
    """Keys on the way to a situation."""

    keys: str
    begins: bool = False
    """Whether they begin what goes on until a key ends it."""


@dataclass(frozen=True)
class Type:
    """A text for the field that has the focus; PHOTOS in it is the folder of the pictures."""

    text: str


@dataclass(frozen=True)
class Warned:
    """A binding that is driven where all it can do is to say why it does nothing."""

    step: str
    why: str


@dataclass(frozen=True)
class Jobs:
    """Something about jobs: `begin` starts one of a minute, `end` ends all that run."""

    what: str


Step = str | Press | Type | Jobs | Warned
"""A text is a binding: `IDENTITY`, all its keys one after the other, or `IDENTITY KEY`."""


def declared() -> dict[str, tuple[str, ...]]:
    """Every binding of every screen, widget and of the app: identity -> its keys."""
    every = [binding for kind in app_classes() for binding in own_bindings(kind)]
    return {str(one.id): tuple(key.strip() for key in one.key.split(",")) for one in every}


def keys_of(step: Step) -> list[tuple[str, str]]:
    """The (identity, key) that a step drives."""
    text = step.step if isinstance(step, Warned) else step
    if not isinstance(text, str):
        return []
    identity, _, key = text.partition(" ")
    return [(identity, each) for each in ((key,) if key else declared()[identity])]


class Recorder(ColonnadeApp):
    """The app, which remembers what its keys did and what went wrong."""

    def __init__(self, store: Path) -> None:
        super().__init__(store, Configuration())
        self.done: list[str] = []
        self.left = 0
        """How often a key ended the app; it goes on, for the next key."""

    async def run_action(
        self, action: Any, default_namespace: DOMNode | None = None, namespaces: Any = None
    ) -> bool:
        was_done = await super().run_action(action, default_namespace, namespaces)
        if was_done:
            kind = type(default_namespace or self)
            self.done += [str(one.id) for one in bindings_of(kind) if one.action == action]
        return was_done

    def action_leave(self) -> None:
        self.left += 1


@dataclass
class Driver:
    """The keyboard of a running app."""

    app: Recorder
    pilot: Pilot[None]
    photos: Path
    faults: list[str] = field(default_factory=list)
    """Exceptions that no person may see, and keys that did nothing."""
    said: list[str] = field(default_factory=list)
    """What each key made the status line say."""
    started: list[int] = field(default_factory=list)
    """The processes of the jobs that were started."""
    _own: list[subprocess.Popen[bytes]] = field(default_factory=list)
    goes_on: bool = False
    """Whether something is at work that only a key ends."""

    async def walk(self, steps: Sequence[Step]) -> None:
        """Do one step after the other."""
        await self.settle()
        for step in steps:
            if isinstance(step, Press):
                self.goes_on = step.begins
                for key in step.keys.split():
                    await self._press(key)
            elif isinstance(step, Type):
                self.app.post_message(Paste(step.text.replace("PHOTOS", str(self.photos))))
                await self.settle()
            elif isinstance(step, Jobs):
                await self._jobs(step.what)
            else:
                for identity, key in keys_of(step):
                    await self._drive(identity, key, may_warn=isinstance(step, Warned))

    async def _press(self, key: str) -> None:
        await self.pilot.press(key)
        await self.settle()

    async def _drive(self, identity: str, key: str, *, may_warn: bool) -> None:
        """Press a key; it does what it is bound to, and something is other than before."""
        app, name = self.app, f"{identity} {key} in {self.app.current_mode}"
        if app.base_screen.status.message:
            app.base_screen.status.clear()  # else that what was said goes away would be a change
            await self.pilot.pause(_LOOK_S)
        app.done.clear()
        before = self.seen()
        await self.pilot.press(key)
        with suppress(AssertionError):
            await until(lambda: self.seen() != before, name, _EFFECT_S)
        has_changed, self.goes_on = self.seen() != before, False
        await self.settle()
        status = app.base_screen.status
        self.said.append(f"{name}: {status.kind} {status.message}")
        if identity not in app.done:
            self.faults.append(f"{name}: not done, but {app.done}")
        elif not has_changed:
            self.faults.append(f"{name}: nothing changed")
        elif status.kind and not may_warn:
            self.faults.append(f"{name}: had nothing to do: {status.message}")

    def seen(self) -> Hashable:
        """What a person sees of the app, and what it keeps."""
        app, session = self.app, self.app.session
        kept: tuple[Hashable, ...] = ()
        if session is not None:
            kept = (session.query, session.sort, session.attribute, session.image, frozenset(session.marks))
        drawn = tuple(
            tuple((part.text, str(part.style)) for part in strip)
            for strip in app.screen._compositor.render_strips()
        )
        return app.current_mode, app.left, app.theme, id(app.focused), kept, drawn, _files(app.store)

    async def settle(self) -> None:
        """Wait until nothing is at work and nothing changes by itself; beside a job that runs, not for long."""
        patience = _BESIDE_JOB_S if self.started or self.goes_on else _PATIENCE_S
        before, end = None, time.monotonic() + patience
        while True:
            await self.pilot.pause(_LOOK_S)
            now = None if _at_work(self.app) else self.seen()
            if now is not None and now == before:
                return
            before = now
            if time.monotonic() > end:
                assert patience == _BESIDE_JOB_S, f"never still: {_at_work(self.app)}"
                return

    async def _jobs(self, what: str) -> None:
        """Begin a job of a minute, or end all that run; until the app knows it."""
        app = self.app
        if what == "begin":
            command = [sys.executable, "-c", _SLEEPER, str(app.store)]
            self._own.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            self.started.append(self._own[-1].pid)
            await until(lambda: any(job.state == "running" for job in app.jobs), "a job")
        else:
            self.end_jobs()
            await until(lambda: all(job.state != "running" for job in app.jobs), "no job")
        await self.settle()

    def end_jobs(self) -> None:
        """End what was started."""
        for process in self.started:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for own in self._own:
            own.wait()
        self.started.clear()
        self._own.clear()


@asynccontextmanager
async def driving(
    store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int] = (120, 36)
) -> AsyncIterator[Driver]:
    """A running app on a store, or where there is none yet; it has ended, and its jobs with it, afterwards."""
    app = Recorder(store)
    async with app.run_test(size=size) as pilot:
        driver = Driver(app, pilot, photos)
        _watch(driver, monkeypatch)
        if (store / "colonnade.toml").is_file():
            await until(
                lambda: (app.session is not None and app.base_screen.is_ready) or app.trouble, "a session"
            )
            assert not app.trouble, app.trouble
        try:
            yield driver
        finally:
            driver.end_jobs()
            app.leave()
    app.close_session()


def _watch(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Note the jobs that are started, and exceptions that a thread told instead of ending the app."""
    background, start_job = BaseScreen.background, Session.start_job

    def watched(self: BaseScreen, group: str, work: Callable[[], Any], *rest: Any, **options: Any) -> None:
        def noted() -> Any:
            try:
                return work()
            except (ColonnadeError, HelperError):
                raise
            except Exception as error:
                driver.faults.append(f"{group} in {self.NAME}: {error!r}")
                raise

        background(self, group, noted, *rest, **options)

    def started(self: Session, words: Sequence[str], **options: Any) -> Started:
        found = start_job(self, words, **options)
        driver.started.append(found.pid)
        return found

    monkeypatch.setattr(BaseScreen, "background", watched)
    monkeypatch.setattr(Session, "start_job", started)


def _files(store: Path) -> Hashable:
    """The store's snapshots and jobs, and its files that people may change, with their contents."""
    folders = [store / name for name in ("_snap", "jobs")]
    names = [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]
    texts = [path.read_bytes() for path in sorted(store.glob("*.*")) if path.is_file()]
    return frozenset(names), tuple(texts)


def _at_work(app: ColonnadeApp) -> list[str]:
    """What is still to come by itself: work in threads, timers that ring once, and a snapshot of which it will hear."""
    screens = app.open_screens()
    nodes: list[MessagePump] = [
        app,
        *screens,
        *(widget for screen in screens for widget in screen.query("*")),
    ]
    rings = [str(timer) for node in nodes for timer in node._timers if _is_to_ring(timer)]
    groups = [f"{screen.NAME} {group}" for screen in screens for group in screen._at_work]
    if app.overview is not None and app.overview.snapshot < max(
        int(p.name) for p in app.store.glob("_snap/[0-9]*")
    ):
        rings.append("the news of a snapshot")
    return [*rings, *groups, *(str(worker) for worker in app.workers if not worker.is_finished)]


def _is_to_ring(timer: Timer) -> bool:
    return timer._repeat == 0 and timer._task is not None and not timer._task.done()
