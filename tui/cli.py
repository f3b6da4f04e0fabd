"""The `colonnade` command: options before the command, the commands of each area, and exit codes."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from colonnade.tui.streams import guarded_streams
from colonnade.tui.without_pandas import hide_pandas

if TYPE_CHECKING:
    import typer

__all__ = ["AREAS", "Interrupted", "build_app", "main"]

AREAS: dict[str, tuple[str, ...]] = {
    "setup": ("init", "root", "model"),
    "run": ("sync", "plan", "scan", "embed", "tag", "derive"),
    "status": ("status", "explain"),
    "query": ("query", "sql", "export"),
    "search": ("search", "similar"),
    "map": ("map",),
    "vocab": ("vocab",),
    "calibration": ("calibration",),
    "review": ("review",),
    "labels": ("labels",),
    "imports": ("import",),
    "jobs": ("jobs",),
    "upkeep": ("verify", "gc", "compact", "snapshots", "restore", "diff", "drop", "forget"),
    "demo": ("demo",),
    "ui": ("ui",),
}
"""Module of colonnade.tui.commands -> its commands, in the order in which --help shows them."""

_EPILOG = "Exit codes: 0 done, 1 something to tell, 2 arguments, 3 input, 4 store, 5 model, 130 interrupted."


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived; `code` is the exit status. Not an Exception, so that nothing swallows it."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def areas_of(words: Sequence[str]) -> tuple[str, ...]:
    """The areas to load for a command line: that of its command alone, which is quicker; all if it names none.

    A value of an option before the command may read like a command, so only what stands first counts.
    """
    rest = iter(words)
    for word in rest:
        if word in ("--store", "-s"):
            next(rest, None)
        elif not word.startswith("-"):
            return tuple(area for area, commands in AREAS.items() if word in commands) or tuple(AREAS)
    return tuple(AREAS)


def build_app(areas: Sequence[str] = tuple(AREAS)) -> typer.Typer:
    """The application with the commands of some areas; by default of all."""
    import typer

    from colonnade.tui.root_options import root

    app = typer.Typer(
        name="colonnade",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog=_EPILOG,
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    )
    app.callback()(root)
    for area in areas:
        import_module(f"colonnade.tui.commands.{area}").register(app)
    return app


def _on_signal(number: int, frame: FrameType | None) -> None:
    raise Interrupted(128 + number)


def main() -> None:
    """Run the command line; engine errors become one line on stderr and an exit status."""
    signal.signal(signal.SIGINT, _on_signal)
    signal.signal(signal.SIGTERM, _on_signal)
    hide_pandas()
    with guarded_streams():
        sys.exit(_run())


def _run() -> int:
    """Run the command; returns the exit status, which no signal changes from then on."""
    try:
        code = _told_status()
        _settle(code)
    except Interrupted as error:
        code = error.code
        _settle(code)
        _tell("colonnade: interrupted; what was finished is kept")
    return code


def _settle(code: int) -> None:
    """Have the process end with `code`, also where a signal comes while the interpreter shuts down."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(code))  # a thread that does not end is waited for no longer
    # At its very end Python puts the system's handlers in the place of its own, but leaves what is ignored.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    atexit.register(signal.signal, signal.SIGTERM, signal.SIG_IGN)


def _told_status() -> int:
    """Run the command; what went wrong is told in one line, and is in the exit status returned."""
    from colonnade.engine.errors import ColonnadeError, InputError, ModelError, StoreError
    from colonnade.tui.launch import app_wanted, run_app

    try:
        if wanted := app_wanted(
            sys.argv[1:]
        ):  # without the command line's own modules: it should be there at once
            run_app(*wanted)
        code = _app_status(sys.argv[1:])
        sys.stdout.flush()
        return code
    except ColonnadeError as error:
        _tell(f"colonnade: {error}")
        codes = ((InputError, 3), (StoreError, 4), (ModelError, 5))
        return next((code for kind, code in codes if isinstance(error, kind)), 1)
    except FileNotFoundError:
        if not _folder_gone():
            raise
        _tell("colonnade: the working directory was deleted; go to another one and run it again")
        return 4
    except MemoryError:
        _tell("colonnade: out of memory; close other programs, or work on fewer images at once")
        return 1


def _tell(text: str) -> None:
    from colonnade.tui.console import error_line

    error_line(text)


def _app_status(words: Sequence[str]) -> int:
    """Run the application, which ends in any case by SystemExit; returns its status."""
    try:
        build_app(areas_of(words))()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _folder_gone() -> bool:
    try:
        Path.cwd()
    except OSError:
        return True
    return False


if __name__ == "__main__":
    main()
