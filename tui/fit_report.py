"""What a command did about fits: a table of what changes on stdout, the rest in words on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from colonnade.engine.listing import some
from colonnade.tui.console import emit_json, print_table, say

if TYPE_CHECKING:
    from colonnade.engine.fit_run import FitRun

__all__ = ["DryRunOption", "report"]

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show how many images would change, and write nothing.")
]


def report(run: FitRun, *, dry_run: bool, json_: bool) -> None:
    """Tell what became of each attribute, what could not be had, and what was written."""
    from colonnade.tui.calibration_text import CHANGE_COLUMNS, change_cells, run_json

    if json_:
        emit_json(run_json(run, dry_run=dry_run))
        return
    if run.outcomes:
        rows = [change_cells(outcome) for outcome in run.outcomes]
        print_table(CHANGE_COLUMNS, rows, right=set(CHANGE_COLUMNS) - {"attribute", "method"})
    for reason in dict.fromkeys(outcome.fallback for outcome in run.outcomes if outcome.fallback):
        codes = [outcome.change.code for outcome in run.outcomes if outcome.fallback == reason]
        noun = codes[0] if len(codes) == 1 else f"{len(codes):,} attributes"
        say(f"{noun}: the model's fixed calibration, because: {reason}")
    silent = [outcome.change.code for outcome in run.outcomes if outcome.fit.no_signal]
    if silent:
        say(f"no signal in this collection, so at most what stands out is accepted: {some(silent)}")
    if dry_run:
        say("nothing was written")
        return
    noun = "calibration" if len(run.changed) == 1 else "calibrations"
    anew = f"; made anew: {', '.join(run.written)}" if run.written else ""
    say(f"{len(run.changed):,} {noun} changed{anew}")
    if run.waiting:
        say(f"not scored yet: {', '.join(run.waiting)}; colonnade sync does it")
