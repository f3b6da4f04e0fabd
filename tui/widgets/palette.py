"""The palette: every action of the app, found by its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from colonnade.tui.widgets.actions import Action, actions_elsewhere, actions_of, node_with

if TYPE_CHECKING:
    from colonnade.tui.screens.base import BaseScreen

__all__ = ["found_actions", "open_palette"]

_LOOK_S = 0.02
_PATIENCE = 500
"""So many looks at a screen that was opened for an action."""
_OTHER_WORDS = {
    "app.theme": "dark light",
    "app.help": "help",
    "app.quit": "exit",
    "browse.words": "find text",
    "browse.query": "filter",
    "vocabulary.find": "search",
    "vocabulary.remove": "delete",
    "jobs.start": "sync tag scan",
    "sql.export": "save csv",
    "browse.export": "csv",
}
"""What people may call an action, besides its own words and its identity."""


def found_actions(actions: Sequence[Action], typed: str) -> list[Action]:
    """The actions that have all words that are typed.

    A screen's own come first, then the app's, those of other screens, and last what goes about in tables; within each,
    in order of where the words match.
    """
    words = typed.lower().replace("color", "colour").split()
    found = []
    for place, action in enumerate(actions):
        named = action.identity.replace(".", " ").replace("_", " ")
        text = f"{action.words} {named} {_OTHER_WORDS.get(action.identity, '')}".lower()
        if all(word in text for word in words):
            first = text.find(words[0]) if words else 0
            found.append((_tier(action), first, place, action))
    return [action for *_, action in sorted(found, key=lambda entry: entry[:3])]


def open_palette(screen: BaseScreen) -> None:
    """Ask which action, and do it; for one of another screen, there."""
    back = screen.focused
    actions = [one for one in actions_of(screen, back) if one.identity != "app.palette"]
    if screen.colonnade.session is not None:
        actions += actions_elsewhere(screen, actions)
    by_identity = {one.identity: one for one in actions}

    def run(chosen: str) -> None:
        one = by_identity.get(chosen)
        if one is None:
            screen.warn(f"no action is called {chosen!r}")
        elif one.node is not None:
            screen.call_after_refresh(screen.app.run_action, one.name, one.node)
        else:
            _run_elsewhere(screen, one)

    def choices(typed: str) -> list[tuple[str, ...]]:
        return [(one.keys, _shown(one, screen), one.identity) for one in found_actions(actions, typed)]

    screen.ask("Do what? Type some of its words.", run, choices=choices)


def _tier(action: Action) -> int:
    if action.is_movement:
        return 3
    if action.node is None:
        return 2
    return 0 if action.is_own else 1


def _shown(action: Action, screen: BaseScreen) -> str:
    if action.node is None and action.screen != screen.NAME:
        return f"on {action.screen.capitalize()}: {action.words}"
    return f"{action.words} ({action.group})"


def _run_elsewhere(screen: BaseScreen, action: Action) -> None:
    """Open the action's screen, and do it there once the screen takes keys."""
    app = screen.colonnade
    app.open_screen(action.screen)
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        there = app.base_screen
        if action.screen != there.NAME or not (there.is_ready and there.takes_keys):
            if looks < _PATIENCE:
                app.set_timer(_LOOK_S, look)
            return
        node = node_with(there, action.identity)
        if node is None:
            there.warn(f"{action.words}: {action.keys} does it, once the panel that it belongs to is open")
        else:
            await app.run_action(action.name, node)

    app.set_timer(_LOOK_S, look)
