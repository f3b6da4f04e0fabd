"""The app: its screens as modes, what they share, and how it starts and ends."""

from __future__ import annotations

import asyncio
import gc
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding
from textual.geometry import Size
from textual.screen import Screen

from colonnade.tui.app_store import StoreApp
from colonnade.tui.frames import FrameKeeper
from colonnade.tui.keys import Configuration, action
from colonnade.tui.screens.registry import FIRST_RUN, SCREENS, entry, make_screen
from colonnade.tui.theme import THEME_NAMES, chosen_theme, terminal_has_16_colours, themes
from colonnade.tui.typeahead import KeyDone, TypeAhead

if TYPE_CHECKING:
    from colonnade.tui.picture_protocol import PictureProtocol

__all__ = ["ColonnadeApp"]

_TOLD = 6
"""So many faults of the configuration are told at once."""


class ColonnadeApp(StoreApp):
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
        has_store = (store / "colonnade.toml").is_file()
        self.DEFAULT_MODE = "browse" if has_store else FIRST_RUN.name  # type: ignore[misc]
        super().__init__(store, ansi_color=True if terminal_has_16_colours() else None)
        self.animation_level = "none"
        self.frames = FrameKeeper()
        self.problems: tuple[str, ...] = ()
        """What is wrong with the configuration, a line each."""
        self.typeahead = TypeAhead(self, self._deliver)
        self.picture_protocol: PictureProtocol | None = None
        """How pictures reach the terminal; settled before the app runs."""
        self._is_composed = False
        self._is_painted = False
        self._before: list[str] = []
        for theme in themes():
            self.register_theme(theme)
        self.set_reactive(App.theme, chosen_theme(self.configuration.theme))
        self.set_keymap(dict(self.configuration.keys))

    # starting

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

    # going about

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

    def on_resize(self, event: events.Resize) -> None:
        """Resized and back, faster than it was noticed, a terminal has lost what it showed."""
        self._follow_terminal(event.size)
        if self._is_painted:
            self.action_redraw()

    def _follow_terminal(self, told: Size) -> None:
        """Ask the terminal for its size again, where Textual is told of it by signals.

        Textual reads the size in the handler and posts it after; a signal that comes between the two is handled
        first, so that the size of the signal before is the last to come, and would stay.
        """
        driver = self._driver
        if self.is_headless or getattr(driver, "_in_band_window_resize", False):
            return
        if read := getattr(driver, "_get_terminal_size", None):
            size = Size(*read())
            if size != told:
                self.post_message(events.Resize(size, size))

    def action_redraw(self) -> None:
        self.frames.forget()
        self.screen.refresh()

    # ending

    def action_interrupt(self) -> None:
        self.base_screen.say("{app.quit:q} quits (Esc first, out of a text field); jobs go on")

    def action_leave(self) -> None:
        self.leave()

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

    # keys

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
