"""`calibration set`: a sigmoid, a cut or a precision of somebody's choice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from colonnade.tui.console import JsonOption, StoreOption, emit_json, open_store, say
from colonnade.tui.fit_report import DryRunOption, report

if TYPE_CHECKING:
    from colonnade.engine.fit_run import FitRun
    from colonnade.engine.store import Store

__all__ = ["set_"]


def set_(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A base attribute.")],
    store: StoreOption = None,
    center: Annotated[
        float | None, typer.Option(metavar="C", help="The logit at which the confidence is one half.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(metavar="S", help="Logits from there to a confidence of .73.")
    ] = None,
    cut: Annotated[
        float | None,
        typer.Option(metavar="X", help="Accept from here on, in what `calibration` shows as the cut."),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(
            metavar="P", help="The lowest cut whose estimated precision is at least P, such as .95."
        ),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Back to the fit it gets by itself; see `calibration fit`.")
    ] = False,
    dry_run: DryRunOption = False,
    json_: JsonOption = False,
) -> None:
    """Choose how an attribute's logits become confidences.

    --cut moves the cut of the fit there is. --precision does so for a precision, as far as people's answers on images
    drawn by chance show it (`colonnade review CODE --audit`), and says what that costs in recall. --center and --scale
    make it a plain sigmoid of the logit; what is not given of the two stays. Confidences of the attribute and of those
    derived from it are made anew from what is stored, without a model.

    Example: colonnade review earth --audit && colonnade calibration set earth --precision 0.95 --dry-run

    Example: colonnade calibration set earth --center 25.5 --scale 1.5 --dry-run
    """
    sigmoid = center is not None or scale is not None
    if sum((sigmoid, cut is not None, precision is not None, reset)) != 1:
        raise typer.BadParameter(
            "give --center and --scale (one or both), or --cut, or --precision, or --reset"
        )
    _check_numbers(center, scale, cut, precision)
    opened = open_store(store)
    run: FitRun | None
    if sigmoid:
        run = _set_sigmoid(opened, code, center, scale, dry_run=dry_run)
    elif precision is not None:
        run = _set_precision(opened, code, precision, dry_run=dry_run, json_=json_)
    elif cut is not None:
        run = _set_cut(opened, code, cut, dry_run=dry_run)
    else:
        from colonnade.engine.fit_run import fit_attributes

        run = fit_attributes(opened, [code], dry_run=dry_run, on_conflict=say)
    if run is not None:
        report(run, dry_run=dry_run, json_=json_)


def _check_numbers(
    center: float | None, scale: float | None, cut: float | None, precision: float | None
) -> None:
    from colonnade.engine.calibration import LARGEST, bounded

    for name, value in (("--center", center), ("--cut", cut)):
        if value is not None and not bounded(value):
            raise typer.BadParameter(
                f"{value} is not a finite number from {-LARGEST:g} to {LARGEST:g}", param_hint=name
            )
    if scale is not None and not bounded(scale, 1 / LARGEST):
        raise typer.BadParameter(
            f"{scale} is not a finite number above 0, from {1 / LARGEST:g} to {LARGEST:g}",
            param_hint="--scale",
        )
    if precision is not None and not 0 < precision < 1:
        raise typer.BadParameter(f"{precision} is not between 0 and 1", param_hint="--precision")


def _set_sigmoid(
    store: Store, code: str, center: float | None, scale: float | None, *, dry_run: bool
) -> FitRun:
    """A plain sigmoid of the logit; what is not given is as it was, or the model's own."""
    from colonnade.engine.calibration import Fit, default_fit
    from colonnade.engine.calibration_store import (
        active_model,
        base_attribute,
        preview_fit,
        refresh,
        store_fits,
    )
    from colonnade.engine.fit_choice import sound_row
    from colonnade.engine.fit_run import FitOutcome, FitRun

    vocabulary, model, snapshot = store.vocabulary(), active_model(store), store.snapshot()
    attribute = base_attribute(vocabulary, code)
    row, _ = sound_row(snapshot, code, model)
    own = default_fit(model, vocabulary.prompts(code))
    now = row.fit if row is not None and row.fit.method == "fixed" else own
    chosen = Fit(
        "fixed", now.center if center is None else center, now.scale if scale is None else scale, chosen=True
    )
    change = preview_fit(snapshot, attribute, chosen, model, vocabulary.prompts(code))
    previous = row.fit if row is not None else None
    outcome = FitOutcome(change, chosen, previous, accepted=attribute.thresholds.accepted)
    if dry_run:
        return FitRun((outcome,))
    changed = store_fits(store, {code: chosen}, model)
    written, waiting = refresh(store, [code], on_conflict=say)
    return FitRun((outcome,), changed, written, waiting)


def _set_cut(store: Store, code: str, cut: float, *, dry_run: bool) -> FitRun:
    """Accept from `cut` on: a logit where the fit's axis is the logit, else log odds."""
    from colonnade.engine.fit_run import set_cut

    return set_cut(store, code, cut, shown=True, dry_run=dry_run, on_conflict=say)


def _set_precision(store: Store, code: str, wanted: float, *, dry_run: bool, json_: bool) -> FitRun | None:
    """Accept from the lowest cut with that precision; None if the report is written already."""
    from colonnade.engine.errors import InputError
    from colonnade.engine.fit_run import set_cut
    from colonnade.engine.label_precision import cut_for_precision
    from colonnade.engine.places import eighty, read_places
    from colonnade.engine.review import audited_images
    from colonnade.engine.review_answers import read_judged
    from colonnade.tui.calibration_text import run_json
    from colonnade.tui.review_text import estimate_json, interval

    snapshot = store.snapshot()
    places = read_places(store, snapshot, store.vocabulary(), code)
    if not math.isfinite(places.cut):
        raise InputError(
            f"{code}: nothing is accepted, so no precision can be shown; --cut accepts from somewhere"
        )
    seen = audited_images(places, read_judged(snapshot, code))
    at = places.above[seen.rows]
    found = cut_for_precision(places.above, at, seen.present, seen.probability, wanted, code=code)
    run = set_cut(store, code, eighty(places, places.cut + found.shift), dry_run=dry_run, on_conflict=say)
    if json_:
        emit_json(
            run_json(run, dry_run=dry_run)
            | {
                "wanted": wanted,
                "precision": estimate_json(found.precision),
                "recall": estimate_json(found.recall),
                "recall_cost": None if math.isnan(found.recall_cost) else round(found.recall_cost, 6),
                "audited": found.audited,
                "before": {
                    "precision": estimate_json(found.before.precision),
                    "recall": estimate_json(found.before.recall),
                },
            }
        )
        return None
    say(
        f"precision {interval(found.precision)}, recall {interval(found.recall)}{_cost(found.recall_cost)}; "
        f"before: precision {interval(found.before.precision)}, recall {interval(found.before.recall)} "
        f"({found.audited:,} audited images above the cut, 90 % intervals)"
    )
    return run


def _cost(recall: float) -> str:
    """What a cut costs in recall, in words; nothing where that is not known."""
    if math.isnan(recall) or abs(recall) < 0.005:
        return ", no recall lost" if abs(recall) < 0.005 else ""
    return f", which {'costs' if recall > 0 else 'gains'} {abs(recall):.2f} of recall"
