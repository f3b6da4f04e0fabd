"""The options before the command, and what `colonnade --help` says first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from colonnade.tui.console import RootState, folder_of, set_root_state

__all__ = ["root"]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"colonnade {metadata.version('colonnade')}")
        raise typer.Exit


def root(
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            "-s",
            parser=folder_of,
            metavar="DIR",
            help="The store; else $COLONNADE_STORE, else the nearest upwards.",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No narration on stderr; errors still show.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A folder of photographs as queryable columns. Alone, on a terminal in a store, it opens the app.

    Example: colonnade init shots --root ~/Pictures --vocabulary space && colonnade -s shots sync
    """
    set_root_state(RootState(store=store, quiet=quiet))
