"""Folders of images, before there is a store: which there are, and how many images are in one."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["begun_anew", "count_images", "folder_choices"]

_MOST_COUNTED = 200_000


def count_images(folder: Path, most: int = _MOST_COUNTED) -> tuple[int, bool]:
    """How many files under a folder have the name of an image, and whether there are more than `most`."""
    from colonnade.engine.images import EXTENSIONS

    endings = tuple(f".{extension}" for extension in EXTENSIONS)
    count = 0
    for _, _, names in os.walk(folder):
        count += sum(name.lower().endswith(endings) for name in names)
        if count > most:
            return most, True
    return count, False


def begun_anew(typed: str) -> str:
    """A path as it was meant: after `//` or `/~` another one begins, pasted behind what the field held."""
    anew = max(typed.rfind("//"), typed.rfind("/~"))
    return typed[anew + 1 :] if anew >= 0 else typed


def folder_choices(typed: str) -> list[tuple[str, ...]]:
    """The folders that a typed path may go on to; at most a hundred, hidden ones only when asked for."""
    typed = begun_anew(typed)
    path = Path(typed or "/").expanduser()
    parent, start = (path, "") if typed.endswith("/") else (path.parent, path.name)
    found: list[tuple[str, ...]] = []
    if typed.endswith("/") and path.is_dir():
        found.append((".", "this folder; tab goes into one of those below", f"{path}/"))
    try:
        with os.scandir(parent) as entries:
            for entry in entries:
                if entry.name.startswith(start) and (start.startswith(".") or not entry.name.startswith(".")):
                    try:
                        if entry.is_dir():
                            found.append((entry.name, "", f"{entry.path}/"))
                    except OSError:
                        continue
                if len(found) > 100:
                    break
    except (OSError, ValueError):
        return found
    return [*found[:1], *sorted(found[1:])] if found and found[0][0] == "." else sorted(found)
