"""The statements that were run on a store, and the one that is being written, in the user's state folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["History", "history_path", "read_history", "write_history"]

MAX_STATEMENTS = 300
MAX_CHARACTERS = 20_000
"""Of one statement; longer ones are not remembered."""
_MAX_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class History:
    """What was run, oldest first, and the draft."""

    statements: tuple[str, ...] = ()
    draft: str = ""

    def with_statement(self, text: str) -> History:
        """With one more at the end; the same text is kept once."""
        text = text.strip()
        if not text or len(text) > MAX_CHARACTERS:
            return self
        kept = [statement for statement in self.statements if statement != text]
        return replace(self, statements=(*kept[-(MAX_STATEMENTS - 1) :], text))


def history_path(store: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """The file of a store's history: under $XDG_STATE_HOME or ~/.local/state, named by the store's path."""
    home = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    name = hashlib.sha256(os.fsencode(os.path.realpath(store))).hexdigest()[:24]
    return Path(home) / "colonnade" / "sql" / f"{name}.json"


def read_history(path: Path) -> History:
    """What is remembered; nothing where the file is not there or is not one of ours."""
    try:
        with path.open("rb") as file:
            source = file.read(_MAX_BYTES + 1)
        document = json.loads(source) if len(source) <= _MAX_BYTES else {}
        statements = [str(text) for text in document["statements"] if len(str(text)) <= MAX_CHARACTERS]
        return History(tuple(statements[-MAX_STATEMENTS:]), str(document["draft"])[:MAX_CHARACTERS])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return History()


def write_history(path: Path, history: History) -> None:
    """Replace the file at once, readable by its owner alone.

    Raises:
        OSError: the state folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    document = {"statements": list(history.statements), "draft": history.draft[:MAX_CHARACTERS]}
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(document).encode())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
