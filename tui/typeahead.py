"""Type-ahead: over a slow line keys come in bundles, and each is for what the one before it has opened.

Textual hands a key to the widget that has the focus when the key arrives. So of a bundle `e`, `x`, `y` the last two
would be commands of the table, and not the text of the field that `e` opens. Here a key waits until the one before it
was dealt with, and what that one opens has the focus.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from textual import events
from textual.message import Message

if TYPE_CHECKING:
    from textual.app import App
    from textual.timer import Timer
    from textual.widget import Widget

__all__ = ["KeyDone", "TypeAhead"]

_ROUNDS = 2
"""The first sign comes right after the key, the second after the messages that the widget posted because of it."""
_LOST_S = 0.5
"""A widget that a key closes may take the sign that the key was dealt with along."""
_OPENING_S = 3.0
_LOOK_S = 0.01
_MOST = 10_000


class KeyDone(Message):
    """Follows a key from widget to widget up to the app: there the key was dealt with."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class TypeAhead:
    """Keys and pasted texts on their way to the widgets, one after the other.

    Args:
        send: hands an event on as Textual would.
    """

    def __init__(self, app: App[None], send: Callable[[events.Event], Awaitable[None]]) -> None:
        self._app, self._send = app, send
        self._waiting: deque[events.Event] = deque()
        self._number = self._rounds = 0
        self._target: Widget | None = None
        self._sent: float | None = None
        self._opens: Callable[[], bool] | None = None
        self._opening_since = 0.0
        self._timer: Timer | None = None

    async def take(self, event: events.Event) -> None:
        """Hand on a key or a pasted text, now or when those before it were dealt with."""
        if len(self._waiting) < _MOST:
            self._waiting.append(event)
        await self._go_on()

    async def done(self, number: int) -> None:
        """The sign that follows the key with this number has come; the last of them: the key was dealt with."""
        if number == self._number:
            self._rounds -= 1
            self._follow()
            await self._go_on()

    def hold_until(self, is_open: Callable[[], bool]) -> None:
        """Something opens: keys that come now are for it."""
        self._opens, self._opening_since = is_open, time.monotonic()
        self._look()

    async def _go_on(self) -> None:
        while self._waiting and not self._must_wait():
            event = self._waiting.popleft()
            self._number += 1
            self._sent, self._rounds = time.monotonic(), _ROUNDS
            await self._send(event)
            self._target = self._app.focused or self._app.screen
            self._follow()
        if self._waiting:
            self._look()

    def _follow(self) -> None:
        """Send the sign after the key, as often as is needed."""
        if not self._rounds or self._target is None or not self._target.post_message(KeyDone(self._number)):
            self._sent = self._target = None

    def _must_wait(self) -> bool:
        now = time.monotonic()
        if self._opens is not None:
            if not self._opens() and now - self._opening_since < _OPENING_S:
                return True
            self._opens = None
        return self._sent is not None and now - self._sent < _LOST_S

    def _look(self) -> None:
        """Look again soon: nobody tells when something has opened, or that a sign was lost."""
        if self._timer is None:
            self._timer = self._app.set_interval(_LOOK_S, self._looked)

    async def _looked(self) -> None:
        await self._go_on()
        if not self._waiting and self._opens is None and self._timer is not None:
            self._timer.stop()
            self._timer = None
        elif not self._waiting:
            self._must_wait()
