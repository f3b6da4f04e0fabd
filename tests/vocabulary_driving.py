"""Driving the vocabulary screen in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app_driving import lines_of, moon_store, opened, until
from textual.pilot import Pilot
from textual.widgets import Input

from colonnade.tui.keys import Configuration
from colonnade.tui.screens.vocabulary import VocabularyScreen
from colonnade.tui.screens.vocabulary_form import Field, Form

__all__ = [
    "FILE",
    "fill",
    "folded",
    "form_of",
    "plan",
    "said",
    "shown",
    "source",
    "store_of",
    "told",
    "typed",
    "vocabulary",
]

FILE = """\
# what the mission saw
thresholds: {accepted: 0.8, tentative: 0.5}
base_attributes:
  # the blue one
  - {code: earth, label: Earth, description: the earth}
  - {code: moon, label: Moon, description: not the moon}
  - {code: empty, label: Empty, description: never scored}  # nothing yet
derived_attributes:
  - {code: both, label: Both, description: earth and moon, rule: {all_of: [earth, moon]}}
"""


def store_of(path: Path) -> Path:
    """A store of 60 images with `FILE` as its vocabulary."""
    store = moon_store(path, images=60)
    (store / "vocabulary.yaml").write_text(FILE)
    return store


@asynccontextmanager
async def vocabulary(
    store: Path,
    size: tuple[int, int] = (80, 24),
    *,
    loaded: bool = True,
    configuration: Configuration | None = None,
) -> AsyncIterator[tuple[Pilot[None], VocabularyScreen]]:
    async with opened(store, size, configuration) as (pilot, app):
        app.open_screen("vocabulary")
        await until(lambda: isinstance(app.screen, VocabularyScreen) and app.screen.is_ready, "the screen")
        screen = app.screen
        assert isinstance(screen, VocabularyScreen)
        if loaded:
            await until(lambda: screen.work is not None and screen.table.values is not None, "the list")
            await until(lambda: bool(screen.rows), "counts")
        await pilot.pause()
        yield pilot, screen


def shown(screen: VocabularyScreen) -> str:
    return "\n".join(lines_of(screen.table))


def told(screen: VocabularyScreen) -> str:
    return "\n".join(lines_of(screen.query_one("#about")) + lines_of(screen.below))


def plan(screen: VocabularyScreen) -> str:
    return lines_of(screen.query_one("#plan"))[0].strip()


def source(store: Path) -> str:
    return (store / "vocabulary.yaml").read_text()


async def folded(screen: VocabularyScreen, count: int) -> None:
    await until(lambda: screen.work is not None and len(screen.work.steps) == count, f"{count} edits")


async def typed(pilot: Pilot[None], text: str) -> None:
    """Type into the field that has the focus."""
    await pilot.pause()  # the focus may be about to move
    await until(lambda: isinstance(pilot.app.focused, Input), "a field")
    field = pilot.app.focused
    assert isinstance(field, Input)
    field.value = ""
    field.insert_text_at_cursor(text)
    await pilot.pause()


async def form_of(pilot: Pilot[None], screen: VocabularyScreen) -> Form:
    """The form, once it is open and a field has the focus."""
    await until(lambda: screen.form is not None and screen.form.has_focus_within, "the form")
    await pilot.pause()
    assert screen.form is not None
    return screen.form


async def fill(pilot: Pilot[None], form: Form, **values: str) -> None:
    """Write into fields, by name."""
    for name, value in values.items():
        form.query_one(f"#{name}", Field).value = value
    await pilot.pause()


def said(screen: VocabularyScreen) -> str:
    """The status line."""
    return "\n".join(lines_of(screen.status))
