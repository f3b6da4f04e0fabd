"""Commands run as a user does: in this process, which is quick, or in one of their own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from colonnade.tui import cli

_PROGRAM = """
import sys
from colonnade.tui import cli
try:
    cli.main()
finally:
    heavy = [name for name in ("torch", "open_clip") if name in sys.modules]
    sys.stderr.write(f"heavy: {heavy}")
"""


@dataclass(frozen=True)
class Ran:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def _arguments(store: Path | None, words: tuple[object, ...]) -> list[str]:
    return [*(["-s", str(store)] if store else []), *map(str, words)]


def colonnade(store: Path | None, *words: object) -> Ran:
    """Run `colonnade [-s STORE] WORDS...` in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    code = 0
    try:
        with (
            mock.patch.object(sys, "argv", ["colonnade", *_arguments(store, words)]),
            mock.patch.dict(os.environ, COLUMNS="80"),  # the width of help
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    texts = []
    for stream in (out, err):
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        texts.append(stream.buffer.getvalue().decode())
    return Ran(code, *texts)


def process(store: Path | None, *words: object) -> Ran:
    """The same in a process of its own, which ends by saying what heavy modules it imported."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *_arguments(store, words)],
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
