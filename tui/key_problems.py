"""What is wrong with the keys of a configuration: actions that there are none of, and two actions on one key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from colonnade.engine.nearest import nearest
from colonnade.tui.keys import clashes

__all__ = ["key_problems"]


def key_problems(overridden: Mapping[str, str]) -> tuple[str, ...]:
    """What is wrong with keys that were changed, a line each; imports every screen.

    Args:
        overridden: identity of a binding -> its keys.
    """
    from colonnade.tui.app import ColonnadeApp
    from colonnade.tui.widgets.actions import all_bindings, bindings_of, node_classes
    from colonnade.tui.widgets.window_table import WindowTable

    known = [binding.id or "" for binding in all_bindings()]
    found = [_unknown(identity, known) for identity in overridden if identity not in known]
    for kind in node_classes():
        bindings = list(bindings_of(kind))
        if kind.__module__.startswith("colonnade.tui.screens") and hasattr(kind, "NAME"):
            bindings += bindings_of(ColonnadeApp)
        elif issubclass(kind, WindowTable) and kind is not WindowTable:
            bindings = [one for one in bindings if not (one.id or "").startswith("table.")]
        for clash in clashes(bindings, overridden):
            if any(f" {identity}" in f" {clash}" for identity in overridden) and clash not in found:
                found.append(clash)
    return tuple(found)


def _unknown(identity: str, known: Iterable[str]) -> str:
    near = nearest(identity, known)
    return f"keys: no action is called {identity}" + (f" ({near}?)" if near else "")
