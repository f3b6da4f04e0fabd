"""What the documentation shows is what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from collections_on_disk import make_store

from colonnade.tui.cli import build_app

ROOT = Path(__file__).parents[1]


def commands(command: Any = None, name: str = "colonnade") -> list[tuple[str, Any]]:
    command = command or typer.main.get_command(build_app())
    children = getattr(command, "commands", {})
    return [(name, command)] + [
        c for child, sub in children.items() for c in commands(sub, f"{name} {child}")
    ]


@pytest.mark.parametrize(("name", "command"), [pytest.param(n, c, id=n) for n, c in commands()])
def test_every_command_teaches(name: str, command: Any) -> None:
    text = command.help or ""
    if getattr(command, "commands", None) and not getattr(command, "invoke_without_command", False):
        assert text
        return
    assert "Example: " in text, f"{name} has no example"
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            assert parameter.help, f"{name} {parameter.name} has no help"


def test_the_commands_are_those_of_the_contract() -> None:
    promised = [
        "init",
        "root",
        "sync",
        "scan",
        "embed",
        "tag",
        "derive",
        "plan",
        "status",
        "query",
        "sql",
        "search",
        "similar",
        "explain",
        "vocab",
        "calibration",
        "labels",
        "import",
        "jobs",
        "export",
        "verify",
        "gc",
        "compact",
        "snapshots",
        "restore",
        "diff",
        "drop",
        "forget",
        "demo",
        "model",
    ]
    names = {name.split()[1] for name, _ in commands() if " " in name}
    assert set(promised) <= names
    subcommands = {name for name, _ in commands()}
    for name in [
        "root add",
        "root list",
        "root move",
        "root remove",
        "model list",
        "model use",
        "vocab list",
        "vocab show",
        "vocab check",
        "vocab lint",
        "vocab add",
        "vocab edit",
        "vocab rename",
        "vocab remove",
        "vocab import",
        "calibration show",
        "calibration set",
        "calibration fit",
        "calibration export",
        "labels import",
        "labels export",
        "labels list",
        "import embeddings",
        "import crossfilter",
        "jobs list",
        "jobs stop",
        "jobs log",
    ]:
        assert f"colonnade {name}" in subcommands


def test_the_command_reference_is_up_to_date() -> None:
    subprocess.run([sys.executable, str(ROOT / "docs" / "generate_cli.py"), "--check"], check=True)


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("name", ["store.md", "library.md"])
def test_the_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_store(tmp_path).sync()
    (tmp_path / "store").rename(tmp_path / "STORE")
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(ROOT / "docs" / name)
    assert blocks
    scope: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, f"{name}", "exec"), scope)


def test_the_readme_names_files_that_exist() -> None:
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
