"""The `colonnade` command: options before the command, the commands of each area, and exit codes."""

from __future__ import annotations

import signal
import sys
from importlib import import_module, metadata
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from colonnade.tui.console import RootState, error_line, set_root_state

__all__ = ["AREAS", "Interrupted", "build_app", "main"]

AREAS = (
    "setup",
    "run",
    "status",
    "query",
    "search",
    "vocab",
    "calibration",
    "labels",
    "imports",
    "jobs",
    "upkeep",
    "demo",
)
"""Modules of colonnade.tui.commands, in the order in which --help shows their commands."""

_EPILOG = "Exit codes: 0 done, 1 something to tell, 2 arguments, 3 input, 4 store, 5 model, 130 interrupted."


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived; `code` is the exit status. Not an Exception, so that nothing swallows it."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"colonnade {metadata.version('colonnade')}")
        raise typer.Exit


def _root(
    store: Annotated[
        Path | None,
        typer.Option(
            "--store", "-s", metavar="DIR", help="The store; else $COLONNADE_STORE, else the nearest upwards."
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No narration on stderr; errors still show.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A folder of photographs as queryable columns.

    Example: colonnade init shots --root ~/Pictures --vocabulary space && colonnade -s shots sync
    """
    set_root_state(RootState(store=store, quiet=quiet))


def build_app() -> typer.Typer:
    """The application with the commands of every area."""
    app = typer.Typer(
        name="colonnade",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog=_EPILOG,
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    )
    app.callback()(_root)
    for area in AREAS:
        import_module(f"colonnade.tui.commands.{area}").register(app)
    return app


def _on_signal(number: int, frame: FrameType | None) -> None:
    raise Interrupted(128 + number)


def main() -> None:
    """Run the command line; engine errors become one line on stderr and an exit status."""
    from colonnade.engine.errors import ColonnadeError, InputError, ModelError, StoreError

    signal.signal(signal.SIGINT, _on_signal)
    signal.signal(signal.SIGTERM, _on_signal)
    try:
        build_app()()
    except ColonnadeError as error:
        error_line(f"colonnade: {error}")
        codes = ((InputError, 3), (StoreError, 4), (ModelError, 5))
        sys.exit(next((code for kind, code in codes if isinstance(error, kind)), 1))
    except Interrupted as error:
        error_line("colonnade: interrupted; what was finished is kept")
        sys.exit(error.code)
    except MemoryError:
        error_line("colonnade: out of memory; close other programs, or work on fewer images at once")
        sys.exit(1)


if __name__ == "__main__":
    main()
