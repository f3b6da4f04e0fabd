"""All that can be done on a screen now, and on the others, from the bindings in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from colonnade.tui.keys import key_text

if TYPE_CHECKING:
    from textual.binding import Binding
    from textual.dom import DOMNode
    from textual.widget import Widget

    from colonnade.tui.screens.base import BaseScreen

__all__ = [
    "Action",
    "actions_elsewhere",
    "actions_of",
    "all_bindings",
    "bindings_of",
    "node_classes",
    "node_with",
    "own_first",
]

_MOVEMENT = ("table", "grid")
_EVERYWHERE = (*_MOVEMENT, "app")
"""Groups that many screens have: a screen's own keys come before them."""

_PARTS = {
    "attributes": "browse",
    "explain": "browse",
    "picture": "browse",
    "query": "browse",
    "form": "vocabulary",
    "rule": "vocabulary",
    "line": "calibration",
    "sql_editor": "sql",
    "which": "vocabulary",
}
"""Groups of panels -> the screen they belong to."""

_LATE = (
    "screens.browse_preview",
    "screens.vocabulary_form",
    "widgets.prompt",
    "widgets.help_panel",
    "widgets.grid",
)
"""Modules with bindings that no screen imports before it needs them."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done."""

    identity: str
    group: str
    """The first part of the identity: the screen or the widget it belongs to."""
    keys: str
    words: str
    name: str
    node: DOMNode | None
    """What does it; None: a screen that has to be opened first."""

    @property
    def is_own(self) -> bool:
        """Whether it is of a screen or a panel of it, not one of those that are the same everywhere."""
        return self.group not in _EVERYWHERE

    @property
    def is_movement(self) -> bool:
        """Whether it goes about in a table or a page."""
        return self.group in _MOVEMENT

    @property
    def screen(self) -> str:
        """The name of the screen that it is of; empty for what is the same everywhere."""
        return _PARTS.get(self.group, self.group) if self.is_own else ""


def own_first(actions: Iterable[Action]) -> list[Action]:
    """A screen's own actions, then going about in tables, then the app's."""
    return sorted(actions, key=lambda one: 0 if one.is_own else 1 if one.is_movement else 2)


def actions_of(screen: BaseScreen, focused: Widget | None) -> list[Action]:
    """The actions of the focused widget and its ancestors, of the screen and the app; nearest first."""
    nodes: list[DOMNode] = [*(focused.ancestors_with_self if focused is not None else [screen, screen.app])]
    nodes += [widget for widget in screen.query("*") if widget not in nodes and widget.can_focus]
    found: dict[str, Action] = {}
    overridden = dict(screen.app._keymap)
    for node in nodes:
        for binding in bindings_of(type(node)):
            identity = binding.id or ""
            if identity not in found:
                found[identity] = _action(binding, node, overridden)
    return list(found.values())


def actions_elsewhere(screen: BaseScreen, here: Iterable[Action]) -> list[Action]:
    """The actions of panels that are not open, and those of the other screens in the order of their keys."""
    from colonnade.tui.screens.registry import SCREENS

    known = {one.identity for one in here}
    overridden = dict(screen.app._keymap)
    found = [_action(one, None, overridden) for one in all_bindings() if one.id not in known]
    others = (entry.name for entry in SCREENS if entry.present and entry.name != screen.NAME)
    order = [screen.NAME, *others]
    elsewhere = [one for one in found if one.screen in order]
    return sorted(elsewhere, key=lambda one: (order.index(one.screen), one.group != one.screen))


def all_bindings() -> list[Binding]:
    """Every binding of the app; imports its screens."""
    from colonnade.tui.screens.registry import FIRST_RUN, SCREENS, screen_class

    for entry in (*SCREENS, FIRST_RUN):
        if entry.present:
            screen_class(entry.name)
    for module in _LATE:
        import_module(f"colonnade.tui.{module}")
    found: dict[str, Binding] = {}
    for kind in node_classes():
        for binding in bindings_of(kind):
            found.setdefault(binding.id or "", binding)
    return list(found.values())


def node_classes() -> list[type[DOMNode]]:
    """The app's own classes of widgets and screens that are imported, and the app's."""
    from textual.dom import DOMNode

    found: list[type[DOMNode]] = []
    kinds = [DOMNode]
    while kinds:
        kind = kinds.pop()
        kinds += [one for one in kind.__subclasses__() if one not in found]
        if kind.__module__.startswith("colonnade."):
            found.append(kind)
    return found


def node_with(screen: BaseScreen, identity: str) -> DOMNode | None:
    """What of a screen does an action now: the screen itself, or a widget that is in view."""
    nodes: list[DOMNode] = [screen, *screen.query("*").results()]
    for node in nodes:
        if any(binding.id == identity for binding in bindings_of(type(node))) and _in_view(node):
            return node
    return None


def _in_view(node: DOMNode) -> bool:
    from textual.screen import Screen
    from textual.widget import Widget

    shown = all(one.display for one in node.ancestors_with_self if isinstance(one, Widget))
    return isinstance(node, Screen) or (isinstance(node, Widget) and node.focusable and shown)


def bindings_of(kind: type[DOMNode]) -> Iterator[Binding]:
    """A class's bindings that have an identity, then those of its bases."""
    from textual.binding import Binding

    for base in kind.__mro__:
        if base is kind or base.__module__.startswith("colonnade."):
            for binding in base.__dict__.get("BINDINGS", ()):
                if isinstance(binding, Binding) and binding.id:
                    yield binding


def _action(binding: Binding, node: DOMNode | None, overridden: dict[str, str]) -> Action:
    identity = binding.id or ""
    keys = key_text(overridden.get(identity, binding.key))
    group = identity.split(".", 1)[0]
    return Action(identity, group, keys, binding.description, binding.action, node)
