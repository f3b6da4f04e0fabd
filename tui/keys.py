"""Actions, their keys, and the file in which people change them.

Every binding of the app has an identity, `SCREEN.ACTION` (`browse.mark`), a key and a description. The identity
is what the [keys] table of the configuration names; the description is what `?` and the palette show.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from textual.binding import Binding

from colonnade.tui.picture_protocol import SETTINGS, Setting

__all__ = [
    "Configuration",
    "action",
    "clashes",
    "configuration_path",
    "key_text",
    "read_configuration",
    "with_keys",
]

THEMES = ("auto", "dark", "light", "16-dark", "16-light")
_MAX_BYTES = 64 * 1024
_KEY = re.compile(r"((ctrl|alt|shift|super)\+)*([a-z0-9_]+|[^\s\w])", re.IGNORECASE)
_TOKEN = re.compile(r"\{([a-z_]+\.[a-z0-9_]+):([^{}]+)\}")
_PLAIN = {
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "escape": "Esc",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "slash": "/",
    "question_mark": "?",
    "colon": ":",
    "comma": ",",
    "full_stop": ".",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "plus": "+",
    "equals_sign": "=",
    "underscore": "_",
    "minus": "-",
}


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the user's file says; each field has what holds without one."""

    theme: str = "auto"
    """auto, dark, light, 16-dark, 16-light."""
    pictures: Setting = "auto"
    """auto, blocks, kitty, iterm2, sixel, off."""
    mouse: bool = True
    """Whether the terminal reports the mouse to the app."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Identity of a binding -> its keys, separated by commas."""
    problems: tuple[str, ...] = ()
    """What is wrong with the file, a line each; what is right of it still holds."""
    path: str = ""
    """The file that was read."""


def action(identity: str, keys: str, name: str, description: str, *, priority: bool = False) -> Binding:
    """A binding that can be overridden, is listed by `?` and found by the palette.

    Args:
        identity: `SCREEN.ACTION`, unique in the app.
        keys: Textual's key names, separated by commas.
        name: the action, as for `Binding`.
        description: what it does, a few words.
        priority: it also acts while a text field has the focus.
    """
    return Binding(keys, name, description, show=False, priority=priority, id=identity)


def configuration_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: $COLONNADE_CONFIG, else colonnade/config.toml under $XDG_CONFIG_HOME or ~/.config."""
    if named := environment.get("COLONNADE_CONFIG"):
        return Path(named)
    home = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "colonnade" / "config.toml"


def read_configuration(path: Path) -> Configuration:
    """The settings in a file; without one, or where it is wrong, what holds by default."""
    try:
        if not path.is_file():
            return Configuration()
        with path.open("rb") as file:
            source = file.read(_MAX_BYTES + 1)
    except OSError as error:
        return Configuration(problems=(str(error.strerror),), path=str(path))
    if len(source) > _MAX_BYTES:
        return Configuration(problems=(f"more than {_MAX_BYTES // 1024} KiB; ignored",), path=str(path))
    import tomllib

    try:
        document = tomllib.loads(source.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        return Configuration(problems=(f"{' '.join(str(error).split())}; ignored",), path=str(path))
    return _configuration(document, path)


def _configuration(document: Mapping[str, object], path: Path) -> Configuration:
    problems: list[str] = []
    known = {"theme": THEMES, "pictures": SETTINGS}
    chosen = {"theme": "auto", "pictures": "auto"}
    for name, choices in known.items():
        value = document.get(name, "auto")
        if value in choices:
            chosen[name] = str(value)
        else:
            problems.append(f"{name} is one of {', '.join(choices)}")
    mouse = document.get("mouse", True)
    if not isinstance(mouse, bool):
        problems.append("mouse is true or false")
        mouse = True
    keys = document.get("keys", {})
    if not isinstance(keys, dict):
        problems.append("[keys] is a table")
        keys = {}
    overridden: dict[str, str] = {}
    for identity, value in keys.items():
        if isinstance(value, str) and value and all(_KEY.fullmatch(key.strip()) for key in value.split(",")):
            overridden[identity] = value
        else:
            problems.append(f"keys.{identity} is not a key such as 'm' or 'ctrl+x,f2'")
    for name in sorted(document.keys() - {"theme", "pictures", "mouse", "keys"}):
        problems.append(f"no setting is called {name}")
    return Configuration(
        chosen["theme"], cast(Setting, chosen["pictures"]), mouse, overridden, tuple(problems), str(path)
    )


def clashes(bindings: Iterable[Binding], overridden: Mapping[str, str]) -> list[str]:
    """What is wrong with overridden keys on one screen: two of its actions on one key, one line each."""
    owners: dict[str, str] = {}
    found = []
    for binding in bindings:
        identity = binding.id or binding.action
        for key in overridden.get(identity, binding.key).split(","):
            key = key.strip()
            if key in owners and owners[key] != identity:
                found.append(f"{key_text(key)} is both {owners[key]} and {identity}")
            owners.setdefault(key, identity)
    return found


def with_keys(text: str, overridden: Mapping[str, str]) -> str:
    """A text in which each `{IDENTITY:KEY}` is the first key in force of an action; KEY is what holds by default."""

    def in_force(found: re.Match[str]) -> str:
        keys = overridden.get(found[1], "")
        return key_text(keys).partition(" ")[0] or found[2]

    return _TOKEN.sub(in_force, text) if "{" in text else text


def key_text(keys: str) -> str:
    """Keys as people write them: `ctrl+s` is ^S, `question_mark` is ?."""
    return " ".join(_one_key(key.strip()) for key in keys.split(",") if key.strip())


def _one_key(key: str) -> str:
    *modifiers, name = key.split("+") if key != "+" else ["+"]
    shown = _PLAIN.get(name, name if len(name) == 1 else name.capitalize())
    if modifiers == ["ctrl"] and len(shown) == 1:
        return f"^{shown.upper()}"
    return "".join(f"{modifier}-" for modifier in modifiers) + shown
