"""Write docs/cli.md from the commands themselves; `--check` only says whether it is up to date."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main

from colonnade.tui.cli import build_app

TARGET = Path(__file__).with_name("cli.md")
HEAD = """# The command line

Generated from the commands (`make docs`). The store is `--store/-s DIR` before or after the command, else
`$COLONNADE_STORE`, else the nearest folder upwards with `colonnade.toml`. Data goes to stdout, narration to stderr
(`--quiet` silences it); `--json` gives one JSON document where a command reports.

| exit | meaning |
|---|---|
| 0 | done; for `plan`, `vocab check`, `vocab lint`, `verify`: nothing to do, nothing wrong |
| 1 | finished, and there is something to tell |
| 2 | wrong arguments |
| 3 | the input is wrong: vocabulary, expression, image root, file to import |
| 4 | the store is missing, of another version, damaged, read-only or locked too long |
| 5 | the model cannot be loaded |
| 130, 143 | interrupted; what was finished is committed |

"""


def main() -> int:
    text = HEAD + "".join(_sections(typer.main.get_command(build_app()), "colonnade")).rstrip() + "\n"
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text() != text:
            print("docs/cli.md is not what the commands say; run `make docs`", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text)
    return 0


def _sections(command: Any, name: str) -> list[str]:
    children = getattr(command, "commands", {})
    sections = [_section(command, name)] if name != "colonnade" else []
    for child_name, child in children.items():
        sections += _sections(child, f"{name} {child_name}")
    return sections


def _section(command: Any, name: str) -> str:
    text = (command.help or "").strip()
    body, *examples = text.split("Example: ")
    lines = [f"## {name}\n", " ".join(body.split()) + "\n"]
    rows = [row for parameter in command.params if (row := _row(parameter))]
    if rows:
        lines.append("| argument or option | |\n|---|---|\n" + "\n".join(rows) + "\n")
    if examples:
        shown = "\n".join(" ".join(example.split()) for example in examples)
        lines.append(f"```sh\n{shown}\n```\n")
    return "\n".join(lines) + "\n"


def _row(parameter: Any) -> str | None:
    if parameter.name in ("help", "store"):
        return None
    if parameter.param_type_name == "argument":
        label = parameter.metavar or parameter.name.upper()
    else:
        label = ", ".join(parameter.opts)
        if not parameter.is_flag:
            label += f" {parameter.metavar or parameter.name.upper().rstrip('_')}"
    words = " ".join((parameter.help or "").split()).replace("|", "/")
    if choices := getattr(parameter.type, "choices", ()):
        names = (str(choice.value if isinstance(choice, Enum) else choice) for choice in choices)
        words = f"{words} One of: {', '.join(names)}.".strip()
    return f"| `{label}` | {words} |"


if __name__ == "__main__":
    sys.exit(main())
