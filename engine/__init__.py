"""The engine: everything but the terminal. `from colonnade.engine import Store` is where to begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colonnade.engine.errors import ColonnadeError, ConflictError, InputError, ModelError, StoreError
    from colonnade.engine.store import Store

__all__ = ["ColonnadeError", "ConflictError", "InputError", "ModelError", "Store", "StoreError"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = "store" if name == "Store" else "errors"
    return getattr(import_module(f"colonnade.engine.{home}"), name)
