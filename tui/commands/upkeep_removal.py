"""Taking things out of the store: drop, forget."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from colonnade.tui.amounts import count_of
from colonnade.tui.console import JsonOption, StoreOption, emit_json, open_store, progress, say

__all__ = ["drop", "forget"]

_MOST_DAYS = 36_500
_UNTIL_GC = (
    "earlier snapshots keep them until `colonnade gc` takes those; `colonnade restore N` brings them back"
)


def drop(
    codes: Annotated[
        list[str], typer.Argument(metavar="CODE...", help="Attributes that the vocabulary no longer has.")
    ],
    store: StoreOption = None,
    calibrations: Annotated[
        bool, typer.Option("--calibrations", help="Remove their calibrations, too.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Remove the scores of attributes that are no longer in the vocabulary. Labels always stay.

    Example: colonnade vocab remove comet && colonnade drop comet
    """
    from colonnade.engine.removal import drop as remove

    opened = open_store(store)
    removed = remove(opened, codes, calibrations=calibrations, on_conflict=say)
    if json_:
        emit_json({"removed": removed})
    for code, rows in removed.items():
        say(f"{code}: {count_of(rows, 'score')} removed")
    say(_UNTIL_GC)


def _days(value: float | None) -> float | None:
    if value is not None and not value <= _MOST_DAYS:
        raise typer.BadParameter(f"{value} is not a number of days up to {_MOST_DAYS:,}.")
    return value


def forget(
    store: StoreOption = None,
    missing_for: Annotated[
        float | None,
        typer.Option(
            "--missing-for",
            min=0,
            callback=_days,
            metavar="DAYS",
            help="Only images that a snapshot of at least so many days ago shows missing already.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json_: JsonOption = False,
) -> None:
    """Remove the rows of images that are missing: their embeddings, scores, labels and places in sets with them.

    Asks first; without a terminal to ask on, it needs --yes.

    Example: colonnade scan && colonnade forget --yes
    """
    from dataclasses import asdict

    from colonnade.engine.removal import forget as remove
    from colonnade.engine.removal import missing_images

    opened = open_store(store)
    ids = missing_images(opened, missing_for=missing_for)
    if not len(ids):
        say(
            "no image is missing"
            if missing_for is None
            else f"no image is known to be missing for {missing_for:g} days"
        )
        if json_:
            emit_json({"images": 0, "rows": {}})
        return
    if not yes and not _agreed(
        f"forget {count_of(len(ids), 'missing image')} and all that is stored of them?"
    ):
        say("nothing was removed")
        raise typer.Exit(1)
    with progress("forget") as line:
        done = remove(opened, ids, progress=line.update, on_conflict=say)
    if json_:
        emit_json(asdict(done))
    rows = ", ".join(f"{count:,} of {table}" for table, count in done.rows.items())
    say(f"forgot {count_of(done.images, 'image')}; rows removed: {rows or 'none'}")
    say(_UNTIL_GC)


_UNTIL_GC = (
    "earlier snapshots keep them until `colonnade gc` takes those; `colonnade restore N` brings them back"
)


def _agreed(question: str) -> bool:
    """Ask on the terminal.

    Raises:
        BadParameter: there is none to ask on.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter(f"{question} there is no terminal to ask on; add --yes")
    return typer.confirm(question, err=True)
