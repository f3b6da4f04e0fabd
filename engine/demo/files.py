"""The demo's files that ship in the package."""

from __future__ import annotations

__all__ = ["demo_vocabulary"]


def demo_vocabulary() -> bytes:
    """The YAML source of the demo's vocabulary."""
    from importlib.resources import files

    return files("colonnade.engine.demo").joinpath("demo.yaml").read_bytes()
