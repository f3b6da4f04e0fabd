"""A statement's whole result into a file, by `colonnade sql` in a process of its own: this one holds no Arrow."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

from colonnade.engine.errors import ColonnadeError, InputError
from colonnade.tui.amounts import bytes_of
from colonnade.tui.own_process import own_command, own_environment

__all__ = ["FORMATS", "Export"]

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet"}
"""What a file's name ends in -> how it is written."""


class Export:
    """One export; `run` blocks, `cancel` ends it from another thread."""

    def __init__(self, store: Path, snapshot: int, text: str, target: Path) -> None:
        self._words = own_command(
            "colonnade.tui.cli", "sql", "-", "--store", str(store), "--at", str(snapshot)
        )
        self._text, self._target = text, target
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._cancelled = False

    def run(self) -> str:
        """Write the file; returns a line that says what was written.

        Raises:
            InputError: a name that says no format, a file that is there already, or a wrong statement.
            ColonnadeError: it did not work; nothing is left behind.
        """
        target = self._target.expanduser()
        format_ = FORMATS.get(target.suffix.lower())
        if format_ is None:
            raise InputError(f"{target.name}: end the name in .csv, .jsonl, .json or .parquet")
        if os.path.lexists(target):
            raise InputError(f"{target}: is there already; choose another name")
        with self._lock:
            if self._cancelled:
                raise ColonnadeError("export stopped")
            self._process = subprocess.Popen(
                [*self._words, "--format", format_, "--output", str(target.absolute())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in the terminal is not meant for it
                env=own_environment(),
            )
        with self._process as process:
            _, errors = process.communicate(self._text.encode("utf-8", "replace"))
        if self._cancelled:
            raise ColonnadeError("export stopped")
        if process.returncode:
            lines = errors.decode("utf-8", "replace").strip().splitlines() or [f"exit {process.returncode}"]
            told = [line.removeprefix("colonnade: ") for line in lines if line.startswith("colonnade: ")]
            raise ColonnadeError((told or lines)[-1][:500])
        return f"wrote {target} ({bytes_of(target.stat().st_size)})"

    def cancel(self) -> None:
        """End it; the file does not appear."""
        with self._lock:
            self._cancelled = True
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
