"""The vocabularies that ship with Colonnade, as package data. Nothing here knows the engine."""

from __future__ import annotations

__all__ = ["background_phrases", "shipped", "shipped_source"]

_SUFFIX = ".yaml"
_BACKGROUND = "background.txt"


def shipped() -> tuple[str, ...]:
    """Names of the vocabularies that ship, in alphabetical order: what `shipped_source` takes."""
    from importlib.resources import files

    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def shipped_source(name: str) -> bytes:
    """The YAML source of a vocabulary that ships.

    Raises:
        KeyError: no vocabulary of that name ships; `shipped()` lists those that do.
    """
    from importlib.resources import files

    if name not in shipped():
        raise KeyError(name)
    return files(__name__).joinpath(name + _SUFFIX).read_bytes()


def background_phrases() -> tuple[str, ...]:
    """The everyday phrases that ship, each once: what calibration compares an attribute's logit with."""
    from importlib.resources import files

    lines = files(__name__).joinpath(_BACKGROUND).read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))
