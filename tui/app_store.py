"""The part of the app that has the store open: its session, what is noticed of the store, and who is told."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App

from colonnade.tui.screens.base import BaseScreen, one_line
from colonnade.tui.screens.registry import entry

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord
    from colonnade.tui.session import Session
    from colonnade.tui.session_model import Overview
    from colonnade.tui.watcher import Watcher

__all__ = ["StoreApp"]


def _count_words(overview: Overview) -> str:
    """How many images there are; of how many, where some cannot be read or are gone, which queries do not find."""
    if overview.damage and not overview.images:
        return "images cannot be read"
    usable = "" if overview.ok == overview.images else f"{overview.ok:,} of "
    return f"{usable}{overview.images:,} images"


class StoreApp(App[None]):
    """An app on one store, whose screens hear what becomes of it.

    Args:
        store: the store's folder, or where a new one may be made.
    """

    def __init__(self, store: Path, *, ansi_color: bool | None = None) -> None:
        super().__init__(ansi_color=ansi_color)
        self.store = store
        self.session: Session | None = None
        """The session, from when the store is open."""
        self.overview: Overview | None = None
        """The store at a glance, as of the newest snapshot that was noticed."""
        self.trouble = ""
        """Why the store cannot be opened, and what to do."""
        self.jobs: tuple[JobRecord, ...] = ()
        self._watcher: Watcher | None = None

    @property
    def base_screen(self) -> BaseScreen:
        """The screen in front, or that under a panel."""
        return next(screen for screen in reversed(self.screen_stack) if isinstance(screen, BaseScreen))

    def open_screens(self) -> list[BaseScreen]:
        """The screens that were opened so far."""
        return [
            screen
            for stack in self._screen_stacks.values()
            for screen in stack
            if isinstance(screen, BaseScreen)
        ]

    def open_session(self) -> None:
        """Open the store in a thread and tell the screens; comes after the first frame."""
        store = self.store

        def work() -> tuple[Session, Overview]:
            from colonnade.tui.session import Session as RealSession

            session = RealSession(store)
            return session, session.overview()

        self.base_screen.background("session", work, self._opened, failed=self._not_opened)

    def _opened(self, opened: tuple[Session, Overview]) -> None:
        from colonnade.tui.watcher import Watcher

        self.session, self.overview = opened
        session = self.session
        self._watcher = Watcher(session, self.call_later, self._snapshot_moved, self._jobs_moved)
        self._watcher.start()
        for screen in self.open_screens():
            screen.get_ready()

    def _not_opened(self, error: Exception) -> None:
        words = one_line(error)
        more = "" if "colonnade verify" in words else "; `colonnade verify` tells what is wrong with a store"
        self.trouble = f"{words}{more} - {{app.quit:q}} quits"
        self.base_screen.fail(self.trouble)
        for screen in self.open_screens():
            screen.not_opened(self.trouble)

    def _snapshot_moved(self, overview: Overview) -> None:
        self.overview = overview
        for screen in self.open_screens():
            if screen.is_ready:
                screen.update_facts()
                screen.snapshot_changed()

    def _jobs_moved(self, records: Sequence[JobRecord]) -> None:
        self.jobs = tuple(records)
        for screen in self.open_screens():
            if screen.is_ready:
                screen.jobs_changed(self.jobs)

    def facts(self, name: str) -> tuple[tuple[str, ...], str]:
        """What a header line shows: at the left, most important first, and at the right."""
        title = f"{entry(name).key} {name}".strip().replace("_", " ")
        session, overview = self.session, self.overview
        if session is None or overview is None:
            return (title, self.store.name or str(self.store)), ""
        facts = (
            title,
            session.name,
            _count_words(overview),
            f"{overview.attributes:,} attributes",
            f"snapshot {overview.snapshot}",
            *(() if session.writable else ("read-only",)),
        )
        return facts, overview.model or "no model"

    def leave(self, code: int = 0) -> None:
        """End the app: every screen saves what it has, jobs go on."""
        for screen in self.open_screens():
            if screen.is_ready:
                screen.closing()
        if self._watcher is not None:
            self._watcher.stop()
        self.exit(return_code=code)

    def close_session(self) -> None:
        """Let go of the store; after the terminal is given back."""
        if self._watcher is not None:
            self._watcher.join(1.0)
        if self.session is not None:
            with suppress(Exception):  # a search that will not be interrupted ends with the process
                self.session.close()
