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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
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


@pytest.mark.slow
def test_the_wheel_is_the_tree(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    inside = {name.removeprefix("colonnade/") for name in names}
    tree = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == tree
    assert all(name.startswith("colonnade/") for name in names)


@pytest.mark.slow
def test_the_wheel_carries_a_small_model(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        size = archive.getinfo("colonnade/engine/demo/model.safetensors").file_size
    assert size <= 8_000_000


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


def test_only_the_embedder_names_torch() -> None:
    for path in (ROOT / "engine").glob("*.py"):
        if path.name.startswith("embedder"):
            continue
        text = path.read_text()
        assert "import torch" not in text, path
        assert "import open_clip" not in text, path


def test_every_module_has_a_short_file_with_a_docstring() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            lines = path.read_text().splitlines()
            assert len(lines) <= 400, f"{path}: {len(lines)} lines; one job each"
            if path.name != "__init__.py":
                assert lines[0].startswith('"""'), f"{path}: say in the first line what it is"
