"""Commands on calibrations: the table, and the fits behind it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colonnade.tui.console import (
    AtOption,
    JsonOption,
    StoreOption,
    add_group,
    emit,
    emit_json,
    open_store,
    print_table,
    say,
)
from colonnade.tui.results import pipe

if TYPE_CHECKING:
    from colonnade.engine.calibration import Fit
    from colonnade.engine.calibration_store import FitChange, StoredFit
    from colonnade.engine.store import Store

__all__ = ["register"]

_HELP = """The calibration table, and the fits behind it. Alone: the table, as `calibration show`.

Example: colonnade calibration
"""
_EXPORT_COLUMNS = ("code", "model", "method", "chosen", "center", "scale", "cut", "fitted_at")
_CodesArgument = Annotated[list[str] | None, typer.Argument(metavar="[CODE]...", show_default=False)]
_DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show how many images would change, and write nothing.")
]


def register(app: typer.Typer) -> None:
    """Add `calibration` with show, set, fit and export."""
    commands = {"show": show, "set": set_, "fit": fit, "export": export}
    add_group(app, "calibration", _HELP, commands, alone=show)


def show(
    codes: _CodesArgument = None,
    store: StoreOption = None,
    at: AtOption = None,
    json_: JsonOption = False,
) -> None:
    """Distribution of the logits, where the fit cuts them, and what comes of it, per attribute.

    `cut` is the logit from which an image is accepted; the histogram goes from min to max. `unscored` counts images
    without a score, `state` says why scores are stale.

    Example: colonnade calibration show earth moon
    """
    _show(open_store(store), codes or None, at, json_=json_)


def _show(store: Store, codes: Sequence[str] | None, at: int | None, *, json_: bool) -> None:
    from colonnade.engine.calibration_table import calibration_table
    from colonnade.tui.calibration_text import as_cells, as_json

    snapshot = store.snapshot(at)
    vocabulary = store.vocabulary(snapshot if at is not None else None)
    table = calibration_table(store, snapshot, vocabulary, codes)
    if json_:
        emit_json([as_json(row) for row in table])
        return
    if not table:
        say("the vocabulary has no base attributes")
        return
    numbers = ["min", "mean", "max", "std"]
    counts = ["accepted", "tentative", "rejected", "unscored", "labels"]
    columns = ["attribute", *numbers, "histogram", "center", "scale", "method", "cut", *counts, "state"]
    rows = [as_cells(row) for row in table]
    print_table(columns, rows, right={*numbers, "center", "scale", "cut", *counts})


def set_(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A base attribute.")],
    store: StoreOption = None,
    center: Annotated[
        float | None, typer.Option(metavar="C", help="The logit at which the confidence is one half.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(metavar="S", help="Logits from there to a confidence of .73.")
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Back to the model's default.")] = False,
    dry_run: _DryRunOption = False,
    json_: JsonOption = False,
) -> None:
    """Choose how an attribute's logits become confidences.

    What is not given stays. Confidences of that attribute and of those derived from it are made anew from the stored
    logits, without a model.

    Example: colonnade calibration set earth --center 26.5 --scale 1.2 --dry-run
    """
    from colonnade.engine.calibration import Fit
    from colonnade.engine.calibration_store import active_model, base_attribute
    from colonnade.engine.freshness import read_fit

    if reset == (center is not None or scale is not None):
        raise typer.BadParameter("give --center, --scale or both, or else --reset")
    if center is not None and not math.isfinite(center):
        raise typer.BadParameter(f"{center} is not a finite number", param_hint="--center")
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise typer.BadParameter(f"{scale} is not a finite number above 0", param_hint="--scale")
    opened = open_store(store)
    vocabulary, model = opened.vocabulary(), active_model(opened)
    base_attribute(vocabulary, code)
    chosen = None
    if not reset:
        now = read_fit(opened.snapshot(), code, model, vocabulary.prompts(code))
        chosen = Fit(
            "fixed",
            now.center if center is None else center,
            now.scale if scale is None else scale,
            chosen=True,
        )
    _apply(opened, {code: chosen}, dry_run=dry_run, json_=json_)


def fit(
    codes: _CodesArgument = None,
    store: StoreOption = None,
    method: Annotated[
        str, typer.Option("--method", metavar="METHOD", help="fixed: the model's default center and scale.")
    ] = "fixed",
    dry_run: _DryRunOption = False,
    json_: JsonOption = False,
) -> None:
    """Fit attributes anew (all of them, if none is named), in the place of what was chosen for them.

    Example: colonnade calibration fit earth --method fixed
    """
    from colonnade.engine.calibration_store import base_attribute

    if method != "fixed":
        raise typer.BadParameter(
            f"{method!r} is not known; the method there is: fixed", param_hint="--method"
        )
    opened = open_store(store)
    vocabulary = opened.vocabulary()
    wanted = codes or [attribute.code for attribute in vocabulary.base]
    for code in wanted:
        base_attribute(vocabulary, code)
    _apply(opened, dict.fromkeys(wanted), dry_run=dry_run, json_=json_)


def _apply(store: Store, fits: dict[str, Fit | None], *, dry_run: bool, json_: bool) -> None:
    from colonnade.engine.calibration_store import active_model, preview_fit, refresh, store_fits

    model, snapshot, vocabulary = active_model(store), store.snapshot(), store.vocabulary()
    base = {attribute.code: attribute for attribute in vocabulary.base}
    changes = [
        preview_fit(snapshot, base[code], fit, model, vocabulary.prompts(code)) for code, fit in fits.items()
    ]
    changed: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    if not dry_run:
        changed = store_fits(store, fits, model)
        written, waiting = refresh(store, list(fits), on_conflict=say)
    if json_:
        emit_json(
            {
                "dry_run": dry_run,
                "changes": [asdict(change) for change in changes],
                "changed": list(changed),
                "written": list(written),
                "waiting": list(waiting),
            }
        )
        return
    _print_changes([change for change in changes if dry_run or change.code in changed or len(changes) == 1])
    if dry_run:
        say("nothing was written")
        return
    noun = "calibration" if len(changed) == 1 else "calibrations"
    say(f"{len(changed):,} {noun} changed" + (f"; made anew: {', '.join(written)}" if written else ""))
    if waiting:
        say(f"not scored yet: {', '.join(waiting)}; colonnade sync does it")


def _print_changes(changes: Sequence[FitChange]) -> None:
    def both(before: int, after: int) -> str:
        return f"{before:,} -> {after:,}" if before != after else f"{before:,}"

    rows = [
        [
            change.code,
            both(change.before.accepted, change.after.accepted),
            both(change.before.tentative, change.after.tentative),
            both(change.before.rejected, change.after.rejected),
            f"{change.entering:,}",
            f"{change.leaving:,}",
        ]
        for change in changes
    ]
    if rows:
        columns = ["attribute", "accepted", "tentative", "rejected", "entering", "leaving"]
        print_table(columns, rows, right=set(columns[1:]))


def export(
    store: StoreOption = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Instead of stdout.")] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="json or csv; by default that of --output.")
    ] = "",
    at: AtOption = None,
) -> None:
    """The fit of every base attribute under the active model, and what is stored for other models.

    Example: colonnade calibration export --output fits.csv
    """
    from colonnade.engine.calibration_store import list_fits
    from colonnade.engine.formats import output_file

    chosen = format_ or (output.suffix[1:].lower() if output else "json")
    if chosen not in ("json", "csv"):
        raise typer.BadParameter(f"{chosen!r} is none of json, csv", param_hint="--format")
    opened = open_store(store)
    snapshot = opened.snapshot(at)
    fits = list_fits(opened, snapshot, opened.vocabulary(snapshot if at is not None else None))
    rows = [_export_row(fit) for fit in fits]
    text = json.dumps(rows, indent=2) + "\n" if chosen == "json" else _as_csv(rows)
    if output is not None:
        with pipe():
            with output_file(output) as sink:
                sink.write(text.encode())
            say(f"{output}: {len(rows):,} fits written")
        return
    for line in text.removesuffix("\n").split("\n"):
        emit(line)


def _export_row(fit: StoredFit) -> dict[str, Any]:
    values = (
        fit.code,
        fit.model,
        fit.fit.method,
        fit.fit.chosen,
        fit.fit.center,
        fit.fit.scale,
        fit.cut,
        fit.fitted_at.isoformat() if fit.fitted_at else None,
    )
    return dict(zip(_EXPORT_COLUMNS, values, strict=True))


def _as_csv(rows: Sequence[dict[str, Any]]) -> str:
    import csv
    import io

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _EXPORT_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
