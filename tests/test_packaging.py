"""The wheel holds what the tree holds, imports stay light, and the layers stand."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "tui", "vocab")
FOLDERS = ("colonnade", *PACKAGES)
"""What the wheel is made of: `colonnade` itself holds what `python -m colonnade` runs, and no __init__.py."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from all that lies in the tree, as the user's `pip install .` finds it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=280)
    return next(folder.glob("*.whl"))


def shipped(wheel: Path) -> dict[str, bytes]:
    """Name -> content of what the wheel installs."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def installed(name: str) -> str:
    """Where a file of the tree is in the wheel."""
    return name if name.startswith("colonnade/") else f"colonnade/{name}"


@pytest.mark.slow
def test_the_wheel_is_the_tree(wheel: Path) -> None:
    tree = {
        installed(path.relative_to(ROOT).as_posix()): path.read_bytes()
        for package in FOLDERS
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    inside = shipped(wheel)
    assert inside.keys() == tree.keys()
    assert [name for name in tree if inside[name] != tree[name]] == []


@pytest.mark.slow
def test_the_wheel_is_what_git_knows(wheel: Path) -> None:
    """Nothing that git does not know is in it, and nothing that git knows is missing."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *FOLDERS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("the tree is no git repository")
    known = {installed(name) for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    assert known
    assert shipped(wheel).keys() == known


@pytest.mark.slow
def test_the_wheel_carries_a_small_model(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        size = archive.getinfo("colonnade/engine/demo/model.safetensors").file_size
    assert size <= 8_000_000


def module(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m colonnade WORDS...` in a folder that has the package."""
    return subprocess.run(
        [sys.executable, "-m", "colonnade", *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_package_runs_as_the_command_does(tmp_path: Path) -> None:
    said = module(ROOT, "status", "-s", str(tmp_path))
    assert (said.returncode, said.stdout) == (4, "")
    assert said.stderr.startswith(f"colonnade: {tmp_path}")
    assert module(ROOT, "no-such-command").returncode == 2


@pytest.mark.slow
def test_the_package_of_the_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    assert not (tmp_path / "colonnade" / "__init__.py").exists()
    said = module(tmp_path, "--version")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("colonnade ")


def _modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('\\n'.join(sys.modules))"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.splitlines())


HEAVY = {"torch", "open_clip", "torchvision", "umap", "textual"}


@pytest.mark.parametrize(
    ("code", "barred"),
    [
        (
            "from colonnade.tui.cli import build_app; build_app()",
            HEAVY | {"duckdb", "pyarrow", "numpy", "PIL", "yaml", "rich"},
        ),
        ("from colonnade.engine import Store", HEAVY | {"duckdb", "pyarrow", "PIL"}),
        ("import colonnade.engine.query, colonnade.engine.console", HEAVY | {"pyarrow", "PIL"}),
        ("import colonnade.engine.sync", HEAVY),
        ("import colonnade.engine.embedder, colonnade.engine.pipeline", HEAVY),
        ("import colonnade.engine.decode", HEAVY | {"duckdb", "pyarrow"}),
    ],
)
def test_imports_stay_light(code: str, barred: set[str]) -> None:
    assert not barred & _modules_after(code)


EVERY_HELP = """
import io, sys
before = set(sys.modules)
import typer
from colonnade.tui import cli

def walk(command, words):
    yield words
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, [*words, name])

def roots():
    return {name.partition(".")[0] for name in set(sys.modules) - before}

out, known = sys.stdout, set()
for words in walk(typer.main.get_command(cli.build_app()), []):
    sys.stdout, sys.argv = io.StringIO(), ["colonnade", *words, "--help"]
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code, words
    assert sys.stdout.getvalue().startswith("Usage: colonnade"), words
    print(*words, "--help:", *sorted(roots() - known), file=out)
    known |= roots()
print("engine:", *sorted(name for name in sys.modules if name.startswith("colonnade.engine.")), file=out)
"""


def test_the_help_of_every_command_imports_next_to_nothing() -> None:
    """It is to be there at once. What typer itself needs, and of the engine what errors are made of."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY_HELP], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told = dict(line.split(":", 1) for line in done.stdout.splitlines())
    assert len(told) > 60, "every command was asked"
    assert set(told.pop("engine").split()) <= {f"colonnade.engine.{name}" for name in ("errors", "listing")}
    allowed = {"colonnade", "typer", "click", "annotated_doc", "shellingham", "typing_extensions"}
    slow = {
        "asyncio",
        "concurrent",
        "ctypes",
        "email",
        "http",
        "multiprocessing",
        "sqlite3",
        "ssl",
        "unittest",
    }
    for command, modules in told.items():
        added = {name for name in modules.split() if not name.startswith("_")}
        assert added - sys.stdlib_module_names <= allowed, command
        assert not added & slow, command


def test_only_the_embedder_names_torch() -> None:
    for path in (ROOT / "engine").glob("*.py"):
        if path.name.startswith("embedder"):
            continue
        text = path.read_text()
        assert "import torch" not in text, path
        assert "import open_clip" not in text, path


def test_every_module_has_a_short_file_with_a_docstring() -> None:
    for package in FOLDERS:
        for path in (ROOT / package).rglob("*.py"):
            lines = path.read_text().splitlines()
            assert len(lines) <= 400, f"{path}: {len(lines)} lines; one job each"
            if path.name != "__init__.py":
                assert lines[0].startswith('"""'), f"{path}: say in the first line what it is"
