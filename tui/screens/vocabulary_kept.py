"""Edits of the vocabulary that were not saved when the app ended, kept in the user's state folder."""

from __future__ import annotations

import base64
import json
import os
from contextlib import suppress
from pathlib import Path

from colonnade.tui.screens.vocabulary_work import RESTORED, Step
from colonnade.tui.sql_history import history_path

__all__ = ["forget_edits", "keep_edits", "kept_edits"]

_MAX_BYTES = 32 << 20


def _path(store: Path) -> Path:
    return history_path(store).with_suffix(".vocabulary.json")


def keep_edits(store: Path, base: bytes, source: bytes) -> None:
    """Write down what a vocabulary's file says and what it was edited to; where that fails, it is lost."""
    path = _path(store)
    texts = {"base": base, "source": source}
    document = {name: base64.b64encode(text).decode() for name, text in texts.items()}
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(document))
        fresh.replace(path)


def kept_edits(store: Path) -> Step | None:
    """The edits that were kept, as one step; None without any."""
    try:
        with _path(store).open("rb") as file:
            document = json.loads(file.read(_MAX_BYTES))
        values = {name: base64.b64decode(document[name]) for name in ("base", "source")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Step(RESTORED, values, "edits of last time")


def forget_edits(store: Path) -> None:
    """There is nothing to keep any more."""
    with suppress(OSError):
        _path(store).unlink(missing_ok=True)
