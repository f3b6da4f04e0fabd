"""The screens of the app. A screen's module is imported when the screen is first opened."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colonnade.tui.screens.base import BaseScreen

__all__ = ["SCREENS", "ScreenEntry", "entry", "make_screen", "screen_class"]


@dataclass(frozen=True, slots=True)
class ScreenEntry:
    """One screen: the key that opens it, its name, and where its class is."""

    key: str
    name: str
    module: str
    class_name: str

    @property
    def present(self) -> bool:
        """Whether its module is installed."""
        return find_spec(self.module) is not None


SCREENS = (
    ScreenEntry("1", "browse", "colonnade.tui.screens.browse", "BrowseScreen"),
    ScreenEntry("2", "vocabulary", "colonnade.tui.screens.vocabulary", "VocabularyScreen"),
    ScreenEntry("3", "calibration", "colonnade.tui.screens.calibration", "CalibrationScreen"),
    ScreenEntry("4", "review", "colonnade.tui.screens.review", "ReviewScreen"),
    ScreenEntry("5", "map", "colonnade.tui.screens.map", "MapScreen"),
    ScreenEntry("6", "sql", "colonnade.tui.screens.sql", "SqlScreen"),
    ScreenEntry("7", "jobs", "colonnade.tui.screens.jobs", "JobsScreen"),
)
"""The seven screens, in the order of their keys. The first-run screen has no key: the app opens it itself."""

FIRST_RUN = ScreenEntry("", "first_run", "colonnade.tui.screens.first_run", "FirstRunScreen")


def entry(name: str) -> ScreenEntry:
    """The entry of a screen's name."""
    return next(screen for screen in (*SCREENS, FIRST_RUN) if screen.name == name)


def screen_class(name: str) -> type[BaseScreen]:
    """A screen's class; imports its module."""
    found = entry(name)
    kind: type[BaseScreen] = getattr(import_module(found.module), found.class_name)
    return kind


def make_screen(name: str) -> BaseScreen:
    """Import a screen's module and make the screen."""
    return screen_class(name)()
