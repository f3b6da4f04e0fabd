"""Colours: dark, light, and the 16 of the terminal itself; which of them a terminal gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.theme import Theme

__all__ = ["THEME_NAMES", "chosen_theme", "terminal_has_16_colours", "themes"]

THEME_NAMES = {
    "dark": "colonnade-dark",
    "light": "colonnade-light",
    "16-dark": "ansi-dark",
    "16-light": "ansi-light",
}
"""Name in the configuration -> name in Textual. The 16-colour ones use the terminal's own palette."""

_FEW_COLOURS = ("linux", "vt100", "vt220", "ansi", "cygwin", "dumb", "screen", "tmux")


def themes() -> tuple[Theme, ...]:
    """The themes that Textual does not bring."""
    from textual.theme import Theme

    dark = Theme(
        name="colonnade-dark",
        primary="#7aa2d8",
        secondary="#8fb3a5",
        accent="#e0b36a",
        warning="#e0b36a",
        error="#e5786d",
        success="#8fc08f",
        foreground="#d7d9dc",
        background="#14171b",
        surface="#14171b",
        panel="#20252c",
        dark=True,
        variables={"block-cursor-background": "#2f4a6d", "block-cursor-foreground": "#ffffff"},
    )
    light = Theme(
        name="colonnade-light",
        primary="#1f5aa6",
        secondary="#2f6f5b",
        accent="#8a5a00",
        warning="#8a5a00",
        error="#b3261e",
        success="#2a6b2a",
        foreground="#1c1f23",
        background="#fbfbfa",
        surface="#fbfbfa",
        panel="#e9ebee",
        dark=False,
        variables={"block-cursor-background": "#cfe0f5", "block-cursor-foreground": "#0b0d10"},
    )
    return dark, light


def terminal_has_16_colours(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal says, or does not deny, that it has no more than 16 colours; or NO_COLOR asks for none."""
    if "NO_COLOR" in environment:
        return True
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return False
    term = environment.get("TERM", "").lower()
    return "16color" in term or term in _FEW_COLOURS


def chosen_theme(setting: str, environment: Mapping[str, str] = os.environ) -> str:
    """Textual's name of the theme for a setting; `auto` asks the environment (COLORTERM, TERM, COLORFGBG)."""
    if setting in THEME_NAMES:
        name = setting
    else:
        background = environment.get("COLORFGBG", "").rsplit(";", 1)[-1]
        shade = "light" if background in ("7", "15") else "dark"
        name = f"16-{shade}" if terminal_has_16_colours(environment) else shade
    return THEME_NAMES[name]
