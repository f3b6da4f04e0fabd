"""All that can be done on a screen now, from the bindings in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from colonnade.tui.keys import key_text

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.widget import Widget

    from colonnade.tui.screens.base import BaseScreen

__all__ = ["Action", "actions_of"]


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done."""

    identity: str
    group: str
    """The first part of the identity: the screen or the widget it belongs to."""
    keys: str
    words: str
    name: str
    node: DOMNode


def actions_of(screen: BaseScreen, focused: Widget | None) -> list[Action]:
    """The actions of the focused widget and its ancestors, of the screen and the app; nearest first."""
    nodes: list[DOMNode] = [*(focused.ancestors_with_self if focused is not None else [screen, screen.app])]
    nodes += [widget for widget in screen.query("*") if widget not in nodes and widget.can_focus]
    found: dict[str, Action] = {}
    overridden = dict(screen.app._keymap)
    for node in nodes:
        for binding in type(node).__dict__.get("BINDINGS", ()):
            _add(found, binding, node, overridden)
        for base in type(node).__mro__[1:]:
            if base.__module__.startswith("colonnade."):
                for binding in base.__dict__.get("BINDINGS", ()):
                    _add(found, binding, node, overridden)
    return list(found.values())


def _add(found: dict[str, Action], binding: object, node: DOMNode, overridden: dict[str, str]) -> None:
    from textual.binding import Binding

    if not isinstance(binding, Binding) or not binding.id or binding.id in found:
        return
    keys = key_text(overridden.get(binding.id, binding.key))
    group = binding.id.split(".", 1)[0]
    found[binding.id] = Action(binding.id, group, keys, binding.description, binding.action, node)
