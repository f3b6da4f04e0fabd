"""The command that opens the terminal app."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def ui(
    store: Annotated[
        Path | None,
        typer.Argument(
            metavar="STORE",
            show_default=False,
            help="The store; else $COLONNADE_STORE, else the nearest upwards. Where there is none, the app makes one.",
        ),
    ] = None,
    web: Annotated[
        bool,
        typer.Option("--web", help="Serve it to browsers of this machine instead, behind a secret address."),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="N", help="The port of --web; by default any that is free."),
    ] = None,
) -> None:
    """Open the terminal app.

    `?` shows the keys of a screen, `:` finds an action by its words, `q` quits; jobs go on. Over a slow line, use
    `ssh -C`.

    Example: colonnade ui shots

    Example: colonnade ui shots --web --port 8700
    """
    from colonnade.engine.errors import StoreError
    from colonnade.tui.console import store_path
    from colonnade.tui.launch import run_app

    if port is not None and not web:
        raise typer.BadParameter("--port goes with --web")
    try:
        path = store_path(store)
    except StoreError:
        path = Path.cwd()
    if web:
        from colonnade.tui.web import serve

        serve(path, port)
        return
    run_app(path)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(ui)
