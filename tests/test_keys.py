"""Actions and their keys: complete, without clashes, documented, and changed by a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from app_driving import browsing, moon_store, until
from textual.binding import Binding
from textual.dom import DOMNode

from colonnade.tui.app import ColonnadeApp
from colonnade.tui.keys import Configuration, clashes, configuration_path, key_text, read_configuration
from colonnade.tui.screens.base import BaseScreen
from colonnade.tui.screens.registry import SCREENS
from colonnade.tui.widgets.help_panel import HelpPanel
from colonnade.tui.widgets.window_table import WindowTable

ROOT = Path(__file__).parents[1]


def app_classes() -> set[type[DOMNode]]:
    """Every screen and widget of the app."""
    for folder in ("screens", "widgets"):
        for path in (ROOT / "tui" / folder).glob("*.py"):
            import_module(f"colonnade.tui.{folder}.{path.stem}")

    def below(kind: type[DOMNode]) -> Iterator[type[DOMNode]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    return {kind for kind in below(DOMNode) if kind.__module__.startswith("colonnade.")} | {ColonnadeApp}


def own_bindings(kind: type[DOMNode]) -> list[Binding]:
    return [binding for binding in kind.__dict__.get("BINDINGS", ()) if isinstance(binding, Binding)]


def test_every_binding_has_an_identity_words_and_a_method() -> None:
    seen: dict[str, type[DOMNode]] = {}
    for kind in app_classes():
        for binding in kind.__dict__.get("BINDINGS", ()):
            assert isinstance(binding, Binding), f"{kind.__name__}: {binding}"
            assert binding.id and re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", binding.id), (
                f"{kind.__name__}: {binding}"
            )
            assert binding.description, binding.id
            name = binding.action.partition("(")[0]
            owner = ColonnadeApp if name.startswith("app.") else kind
            assert hasattr(owner, f"action_{name.removeprefix('app.')}"), f"{kind.__name__}: {binding.action}"
            assert seen.setdefault(binding.id, kind) is kind, f"{binding.id} twice"


def test_no_two_actions_of_a_screen_have_one_key() -> None:
    for kind in app_classes():
        bases = [base for base in kind.__mro__ if base.__module__.startswith("colonnade.")]
        bindings = [binding for base in bases for binding in own_bindings(base)]
        if issubclass(kind, BaseScreen):
            bindings += own_bindings(ColonnadeApp)
        elif issubclass(kind, WindowTable) and kind is not WindowTable:
            bindings = own_bindings(kind)  # they take the place of the table's
        assert clashes(bindings, {}) == [], kind.__name__


def test_every_binding_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for kind in app_classes():
        for binding in own_bindings(kind):
            assert f"`{binding.id}`" in text, f"{binding.id}: run `python docs/generate_keys.py`"


def test_screens_have_the_keys_1_to_7() -> None:
    assert [screen.key for screen in SCREENS] == list("1234567")


def test_a_file_changes_keys_and_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert read_configuration(path) == Configuration()
    path.write_text('theme = "light"\nmouse = false\npictures = "off"\n[keys]\n"browse.mark" = "f2,ctrl+x"\n')
    found = read_configuration(path)
    assert (found.theme, found.mouse, found.pictures) == ("light", False, "off")
    assert found.keys == {"browse.mark": "f2,ctrl+x"} and not found.problems
    path.write_text('theme = "pink"\nnonsense = 1\nmouse = 3\n[keys]\n"a.b" = 7\n"a.c" = "two words"\n')
    found = read_configuration(path)
    assert len(found.problems) == 5 and not found.keys and found.theme == "auto" and found.mouse
    for broken in (b"\xff", b"[[[", b"x" * 70_000):
        path.write_bytes(broken)
        assert len(read_configuration(path).problems) == 1


def test_where_the_file_is() -> None:
    assert configuration_path({"COLONNADE_CONFIG": "/a/b.toml"}) == Path("/a/b.toml")
    assert configuration_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/colonnade/config.toml")


def test_keys_as_people_write_them() -> None:
    assert key_text("ctrl+s") == "^S"
    assert key_text("question_mark,f1") == "? F1"
    assert key_text("shift+left") == "shift-←"
    assert key_text("+") == "+"


@pytest.mark.asyncio
async def test_a_changed_key_acts_and_the_old_one_does_not(tmp_path: Path) -> None:
    store = moon_store(tmp_path / "s", images=30)
    async with browsing(store, configuration=Configuration(keys={"browse.mark": "f6"})) as (pilot, screen):
        session = screen.session
        await pilot.press("m")
        assert not session.marks
        await pilot.press("f6")
        assert len(session.marks) == 1
        await pilot.press("question_mark")
        await until(lambda: screen.query(HelpPanel), "the help")
        rows = screen.query_one(HelpPanel)._rows
        assert ("F6", "mark the image, or take its mark away", "browse") in rows
