"""Write docs/configuration.md: every setting, and every key from the bindings themselves; `--check` only compares."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from textual.binding import Binding
from textual.dom import DOMNode

from colonnade.tui.app import ColonnadeApp
from colonnade.tui.keys import key_text

TARGET = Path(__file__).with_name("configuration.md")
SOURCES = Path(__file__).parents[1] / "tui"
HEAD = """# Configuration of the terminal app

One optional file, `$COLONNADE_CONFIG`, else `colonnade/config.toml` under `$XDG_CONFIG_HOME` (`~/.config`). Without it
everything below holds as it stands. All that is wrong in it, also an action that there is none of and a key that would
do two things, is told in the status line when the app starts, and at the end of `?`; the rest of it still holds.

```toml
theme = "auto"
pictures = "auto"
mouse = true

[keys]
"browse.mark" = "m,insert"
```

## theme

`auto`, `dark`, `light`, `16-dark`, `16-light`. The last two use the terminal's own palette of 16 colours. `auto` asks
the environment: `COLORTERM` or a `TERM` of 256 colours gives `dark` or, where `COLORFGBG` names a light background,
`light`; other terminals, and `NO_COLOR`, get 16 colours (with `NO_COLOR` none of them). Nothing is told by colour
alone. `^T` goes through the four and says the name of each.

## pictures

`auto`, `blocks`, `kitty`, `sixel`, `iterm2`, `off`. Half-blocks in 64 colours work everywhere; `auto` takes pixels
where the environment names a terminal that has them and `pip install 'colonnade[images]'` was done.

## mouse

`true` or `false`: whether the terminal reports the mouse to the app. Everything can be done by keys; `false` leaves the
mouse to the terminal, for selecting text.

## keys

A table from an action's identity to its keys, separated by commas: a character, or a name such as `f2`, `insert`,
`pageup`, `space`, `slash`, `question_mark`, with `ctrl+`, `alt+` or `shift+` before it. `?` shows the keys of the
screen in front, `:` finds an action by its words. All of them, with what holds without the file:
"""


def main() -> int:
    text = HEAD + "".join(_tables())
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text() != text:
            print("docs/configuration.md is not what the bindings say; run `make docs`", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text)
    return 0


def _tables() -> list[str]:
    groups: dict[str, list[str]] = {}
    for binding in sorted(_bindings(), key=lambda one: one.id or ""):
        group = (binding.id or "").partition(".")[0]
        keys = key_text(binding.key).replace("|", "\\|")
        groups.setdefault(group, []).append(f"| `{binding.id}` | {keys} | {binding.description} |\n")
    head = "\n### {}\n\n| identity | keys | what it does |\n|---|---|---|\n"
    return [head.format(group) + "".join(rows) for group, rows in sorted(groups.items())]


def _bindings() -> list[Binding]:
    for folder in ("screens", "widgets"):
        for path in sorted((SOURCES / folder).glob("*.py")):
            import_module(f"colonnade.tui.{folder}.{path.stem}")
    kinds, found = [DOMNode], []
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.__module__.startswith("colonnade.") or kind is ColonnadeApp:
            found += [one for one in kind.__dict__.get("BINDINGS", ()) if isinstance(one, Binding)]
    return list({one.id: one for one in found}.values())


if __name__ == "__main__":
    sys.exit(main())
