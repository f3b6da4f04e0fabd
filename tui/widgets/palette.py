"""The palette: every action, found by its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colonnade.tui.widgets.actions import Action, actions_of

if TYPE_CHECKING:
    from colonnade.tui.screens.base import BaseScreen

__all__ = ["found_actions", "open_palette"]


def found_actions(actions: list[Action], typed: str) -> list[Action]:
    """The actions whose words, group and keys have all that is typed, in order of where the words match."""
    words = typed.lower().split()
    found = []
    for place, action in enumerate(actions):
        text = f"{action.words} {action.group}".lower()
        if all(word in text for word in words):
            first = text.find(words[0]) if words else 0
            found.append((first, place, action))
    return [action for _, _, action in sorted(found, key=lambda entry: entry[:2])]


def open_palette(screen: BaseScreen) -> None:
    """Ask which action, and do it."""
    back = screen.focused
    actions = [one for one in actions_of(screen, back) if one.identity != "app.palette"]
    by_identity = {one.identity: one for one in actions}

    def run(chosen: str) -> None:
        if (one := by_identity.get(chosen)) is not None:
            screen.call_after_refresh(screen.app.run_action, one.name, one.node)
        else:
            screen.warn(f"no action is called {chosen!r}")

    def choices(typed: str) -> list[tuple[str, ...]]:
        return [
            (one.keys, f"{one.words} ({one.group})", one.identity) for one in found_actions(actions, typed)
        ]

    screen.ask("Do what? Type some of its words.", run, choices=choices)
