"""The app: its screens as modes, what they share, the session, and how it starts and ends."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

from colonnade.tui.frames import FrameKeeper
from colonnade.tui.keys import Configuration, action
from colonnade.tui.screens.base import BaseScreen, one_line
from colonnade.tui.screens.registry import FIRST_RUN, SCREENS, entry, make_screen
from colonnade.tui.theme import THEME_NAMES, chosen_theme, terminal_has_16_colours, themes
from colonnade.tui.typeahead import KeyDone, TypeAhead

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord
    from colonnade.tui.picture_protocol import PictureProtocol
    from colonnade.tui.session import Session
    from colonnade.tui.session_model import Overview
    from colonnade.tui.watcher import Watcher

__all__ = ["ColonnadeApp"]

_TOLD = 6
"""So many faults of the configuration are told at once."""


def _count_words(overview: Overview) -> str:
    """How many images there are; of how many, where some cannot be read or are gone, which queries do not find."""
    if overview.damage and not overview.images:
        return "images cannot be read"
    usable = "" if overview.ok == overview.images else f"{overview.ok:,} of "
    return f"{usable}{overview.images:,} images"


class ColonnadeApp(App[None]):
    """The terminal app on one store.

    Args:
        store: the store's folder, or where a new one may be made.
        configuration: what the user's file says.
    """

    CSS_PATH = Path(__file__).with_name("app.tcss")
    TITLE = "colonnade"
    ENABLE_COMMAND_PALETTE = False
    MODES: ClassVar = {screen.name: partial(make_screen, screen.name) for screen in (*SCREENS, FIRST_RUN)}
    BINDINGS: ClassVar = [
        *(
            action(
                f"app.{screen.name}",
                screen.key,
                f"app.open_screen('{screen.name}')",
                f"screen: {screen.name}",
            )
            for screen in SCREENS
        ),
        action("app.back", "escape", "app.back", "back"),
        action("app.help", "question_mark,f1", "app.help", "keys of this screen"),
        action("app.palette", "colon,ctrl+p", "app.palette", "find an action by its words"),
        action("app.theme", "ctrl+t", "app.next_theme", "theme: the next colours"),
        action("app.redraw", "ctrl+l", "app.redraw", "draw everything again"),
        action("app.suspend", "ctrl+z", "app.suspend_process", "suspend; fg comes back", priority=True),
        action("app.quit", "q,ctrl+q", "app.leave", "quit; jobs go on"),
        Binding(
            "ctrl+c",
            "app.interrupt",
            show=False,
            priority=True,
            id="app.interrupt",
            description="how to quit",
        ),
    ]

    def __init__(self, store: Path, configuration: Configuration | None = None) -> None:
        self.configuration = configuration or Configuration()
        self.store = store
        has_store = (store / "colonnade.toml").is_file()
        self.DEFAULT_MODE = "browse" if has_store else FIRST_RUN.name  # type: ignore[misc]
        super().__init__(ansi_color=True if terminal_has_16_colours() else None)
        self.animation_level = "none"
        self.session: Session | None = None
        """The session, from when the store is open."""
        self.overview: Overview | None = None
        """The store at a glance, as of the newest snapshot that was noticed."""
        self.trouble = ""
        """Why the store cannot be opened, and what to do."""
        self.frames = FrameKeeper()
        self.problems: tuple[str, ...] = ()
        """What is wrong with the configuration, a line each."""
        self.typeahead = TypeAhead(self, self._deliver)
        self.jobs: tuple[JobRecord, ...] = ()
        self.picture_protocol: PictureProtocol | None = None
        """How pictures reach the terminal; settled before the app runs."""
        self._watcher: Watcher | None = None
        self._is_composed = False
        self._is_painted = False
        self._before: list[str] = []
        for theme in themes():
            self.register_theme(theme)
        self.set_reactive(App.theme, chosen_theme(self.configuration.theme))
        self.set_keymap(dict(self.configuration.keys))

    # the session

    def on_ready(self) -> None:
        self._install_signals()
        self._is_composed = True
        self.app_resume_signal.subscribe(self, lambda _: self.action_redraw(), immediate=True)

    def _after_first_frame(self) -> None:
        gc.freeze()
        gc.enable()
        self._check_configuration()
        if self.current_mode != FIRST_RUN.name:
            self.open_session()

    def _check_configuration(self) -> None:
        """Tell all that is wrong with the user's file; which actions there are, the screens' modules know."""
        configuration = self.configuration
        self._tell_problems(())
        if configuration.keys:
            from colonnade.tui.key_problems import key_problems

            work = partial(key_problems, configuration.keys)
            self.base_screen.background("configuration", work, self._tell_problems)

    def _tell_problems(self, of_keys: tuple[str, ...]) -> None:
        problems = (*self.configuration.problems, *of_keys)
        if problems != self.problems:
            self.problems = problems
            more = (
                f"; and {len(problems) - _TOLD} more: at the end of {{app.help:?}}"
                if len(problems) > _TOLD
                else ""
            )
            self.base_screen.status.lead(f"{self.configuration.path}: {'; '.join(problems[:_TOLD])}{more}")

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

    # going about

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

    def action_open_screen(self, name: str) -> None:
        self.open_screen(name)

    def show_query(self, text: str) -> None:
        """Show in Browse what an expression finds, and nothing over it."""
        if self.session is not None:
            self.session.query = text
            for screen in self.open_screens():
                screen.query_given()
            self.open_screen("browse")

    def open_screen(self, name: str) -> None:
        """Go to a screen; Esc comes back."""
        if name == self.current_mode:
            return
        if self.current_mode == FIRST_RUN.name and self.session is None:
            self.base_screen.warn("there is no store yet: make it here first")
            return
        if self.session is None and self.trouble:
            self.base_screen.fail(self.trouble)
            return
        if not entry(name).present:
            self.base_screen.warn(f"{name}: not part of this installation")
            return
        self._before = [mode for mode in self._before if mode != name][-16:]
        if self.current_mode != FIRST_RUN.name:
            self._before.append(self.current_mode)
        self._switch(name)

    def _switch(self, name: str) -> None:
        self.switch_mode(name)
        self.typeahead.hold_until(lambda: self.current_mode == name and self.base_screen.takes_keys)

    async def action_back(self) -> None:
        if self.base_screen.go_back():
            return
        if self._before:
            self._switch(self._before.pop())

    def action_help(self) -> None:
        from colonnade.tui.widgets.help_panel import toggle_help

        toggle_help(self.base_screen)

    def action_palette(self) -> None:
        from colonnade.tui.widgets.palette import open_palette

        open_palette(self.base_screen)

    def action_next_theme(self) -> None:
        names = list(THEME_NAMES)
        shown = next((place for place, name in enumerate(names) if THEME_NAMES[name] == self.theme), -1)
        chosen = names[(shown + 1) % len(names)]
        self.theme = THEME_NAMES[chosen]
        self.base_screen.say(f"theme: {chosen}")

    def on_resize(self) -> None:
        """Resized and back, faster than it was noticed, a terminal has lost what it showed."""
        if self._is_painted:
            self.action_redraw()

    def action_redraw(self) -> None:
        self.frames.forget()
        self.screen.refresh()

    # ending

    def action_interrupt(self) -> None:
        self.base_screen.say("{app.quit:q} quits (Esc first, out of a text field); jobs go on")

    def action_leave(self) -> None:
        self.leave()

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

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, self._on_signal, number)
            except (RuntimeError, ValueError, NotImplementedError):  # not the main thread: a test
                return

    def _on_signal(self, number: int) -> None:
        from colonnade.tui.watcher import end_soon

        end_soon(128 + number)
        self.leave(128 + number)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, (events.Key, events.Paste)) and not event.is_forwarded and self._is_painted:
            await self.typeahead.take(event)
        else:
            await super().on_event(event)

    async def _deliver(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self.base_screen.status.clear()  # what was said holds until the next key
        await super().on_event(event)

    async def on_key_done(self, message: KeyDone) -> None:
        await self.typeahead.done(message.number)

    # drawing

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Send only the cells that changed."""
        super()._display(screen, self.frames.changes(renderable, self))
        if self._is_composed and not self._is_painted and renderable is not None and not self._batch_count:
            self._is_painted = True
            self.call_later(self._after_first_frame)
