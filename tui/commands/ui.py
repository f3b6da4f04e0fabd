"""The command that opens the terminal app."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register", "run_app"]


def ui(
    store: Annotated[
        Path | None, typer.Argument(metavar="STORE", help="The store; else as for other commands.")
    ] = None,
) -> None:
    """Open the terminal app.

    Example: colonnade ui shots
    """
    run_app(store)


def run_app(store: Path | None) -> None:
    """Run the app on a store until it ends; raises typer.Exit where it ended otherwise than by `q`."""
    from colonnade.tui.app import ColonnadeApp
    from colonnade.tui.console import store_path
    from colonnade.tui.keys import configuration_path, read_configuration

    configuration = read_configuration(configuration_path())
    app = ColonnadeApp(store_path(store), configuration)
    app.run(mouse=configuration.mouse)
    app.close_session()
    if app.return_code:
        raise typer.Exit(app.return_code)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(ui)
