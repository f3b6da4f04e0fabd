"""Every key of every screen does something, and none ends the app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from app_driving import moon_store, until
from textual.dom import DOMNode
from textual.pilot import Pilot
from textual.widget import Widget

from colonnade.tui.app import ColonnadeApp
from colonnade.tui.screens.base import BaseScreen
from colonnade.tui.screens.registry import SCREENS
from colonnade.tui.widgets.actions import Action, actions_of
from colonnade.tui.widgets.help_panel import HelpPanel
from colonnade.tui.widgets.prompt import Prompt

PRESENT = [screen.name for screen in SCREENS if screen.present]
ENDING = ("app.quit", "app.suspend")


class Recorder(ColonnadeApp):
    """The app, which remembers the actions that were done."""

    done: list[str]

    async def run_action(
        self,
        action: Any,
        default_namespace: DOMNode | None = None,
        namespaces: Any = None,
    ) -> bool:
        was_done = await super().run_action(action, default_namespace, namespaces)
        if was_done:
            self.done.append(action if isinstance(action, str) else str(action))
        return was_done


async def cleared(pilot: Pilot[None], screen: BaseScreen, name: str) -> None:
    """The screen without panels, its own focus as at first."""
    app = pilot.app
    assert isinstance(app, ColonnadeApp)
    for panel in (*screen.query(Prompt), *screen.query(HelpPanel)):
        await panel.remove()
    if app.current_mode != name:
        app.switch_mode(name)
    await until(lambda: app.base_screen is screen, name)
    for _ in range(5):
        await pilot.pause()
        if not screen.go_back():
            break
    await pilot.pause()


def in_view(widget: Widget) -> bool:
    """Whether a widget can be gone to now."""
    shown = all(node.display for node in widget.ancestors_with_self if isinstance(node, Widget))
    return widget.is_attached and widget.focusable and shown


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("name", PRESENT)
async def test_every_key_does_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    app = Recorder(moon_store(tmp_path / "s", images=60))
    app.done = []
    dead: list[str] = []
    async with app.run_test(size=(120, 36)) as pilot:
        await until(lambda: app.session is not None and app.base_screen.is_ready, "a session")
        app.open_screen(name)
        await until(lambda: name == app.base_screen.NAME and app.base_screen.is_ready, name)
        screen = app.base_screen
        await pilot.pause(1.0)
        found: list[tuple[Widget | None, Action]] = []
        for node in [
            screen.focused,
            *(widget for widget in screen.query("*") if in_view(widget)),
        ]:
            found += [(node, one) for one in actions_of(screen, node) if one.node is node]
        focused = screen.focused
        reached = [screen, app] if focused is None else focused.ancestors_with_self
        found += [(focused, one) for one in actions_of(screen, focused) if one.node in reached]
        seen: set[str] = set()
        for node, one in found:
            if one.identity in seen or one.identity in ENDING:
                continue
            if node is not None and not in_view(node):
                continue  # an earlier key put it away; its own tests open it
            seen.add(one.identity)
            if node is not None:
                node.focus()
                await pilot.pause()
            binding = next(
                binding
                for kind in type(one.node).__mro__
                for binding in kind.__dict__.get("BINDINGS", ())
                if getattr(binding, "id", None) == one.identity
            )
            for key in binding.key.split(","):
                app.done.clear()
                await pilot.press(key.strip())
                await pilot.pause()
                if not app.done:
                    dead.append(f"{one.identity} {key}")
                await cleared(pilot, screen, name)
                if node is not None and in_view(node):
                    node.focus()
        app.leave()
    app.close_session()
    assert not dead, "; ".join(dead)
    assert len(seen) > 20
