"""Keep pyarrow from importing pandas: a quarter of a second of every command, and nothing here needs it.

Where pandas is installed, pyarrow imports it when it makes its first array, to recognise pandas' objects.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

__all__ = ["hide_pandas"]


def hide_pandas() -> None:
    """Let imports of pandas fail in this process, as if it were not installed."""
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _Hidden())


class _Hidden:
    """Finds pandas before its own finder does, and fails to load it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, cast("Loader", self)) if name == "pandas" else None

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        raise ModuleNotFoundError("pandas is not needed here", name="pandas")
