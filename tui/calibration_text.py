"""The calibration table in words: rows for a terminal, objects for scripts; and what a new fit changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from colonnade.tui.review_text import estimate_json, interval

if TYPE_CHECKING:
    from colonnade.engine.calibration import Fit
    from colonnade.engine.calibration_table import AttributeCalibration
    from colonnade.engine.fit_run import FitOutcome, FitRun

__all__ = [
    "CHANGE_COLUMNS",
    "COLUMNS",
    "as_cells",
    "as_json",
    "bars",
    "change_cells",
    "cut_words",
    "fit_json",
    "less",
    "method_words",
    "moment",
    "number",
    "outcome_json",
    "run_json",
]

COLUMNS = (
    "attribute", "min", "mean", "max", "std", "histogram", "method", "cut", "accepted", "tentative", "labels",
    "precision", "recall", "fitted", "on", "drift", "state", "note",
)  # fmt: skip
CHANGE_COLUMNS = ("attribute", "method", "cut", "accepted", "tentative", "rejected", "entering", "leaving")
_BLOCKS = "▁▂▃▄▅▆▇█"


def as_cells(row: AttributeCalibration, *, units: bool = False) -> list[str]:
    """An attribute as a row of the table, with the columns COLUMNS.

    Args:
        units: say of the cut what it counts in.
    """
    found, fit = row.distribution, row.fit
    return [
        row.code,
        *(number(value) for value in (found.low, found.mean, found.high, found.std)),
        bars(found.histogram),
        _method(row),
        cut_words(fit, row.cut) if units else _cut(fit, row.cut),
        *(f"{count:,}" for count in (found.accepted, found.tentative, row.labels)),
        interval(row.precision),
        interval(row.recall),
        moment(row.fitted_at),
        "-" if row.fitted_on is None else f"{row.fitted_on:,}",
        number(row.drift, 2),
        ", ".join(row.stale) or ("no signal" if row.no_signal else "fresh" if found.scored else "-"),
        _note(row),
    ]


def _method(row: AttributeCalibration) -> str:
    if row.fit is None:
        return "-"
    if row.to_make:
        waits = row.distribution.scored and row.fit.method == "fixed"
        return "fixed, then auto" if waits else "auto (to be made)"
    return method_words(row.fit)


def method_words(fit: Fit) -> str:
    """The method of a fit, and what somebody did to it."""
    if fit.method == "fixed":
        return "fixed" if fit.chosen else "fixed (default)"
    moved, none = ", cut moved" if fit.moved else "", ", no signal" if fit.no_signal else ""
    return f"{fit.method}{moved}{none}"


def _cut(fit: Fit | None, cut: float | None) -> str:
    return number(cut, 1 if fit is None or fit.axis is None else 2)


def cut_words(fit: Fit | None, cut: float | None) -> str:
    """A cut with what it counts in: `2.4 logit`, `0.35 log odds`; `-` for none."""
    if fit is None or cut is None:
        return _cut(fit, cut)
    return f"{_cut(fit, cut)} {'logit' if fit.axis is None else 'log odds'}"


def _note(row: AttributeCalibration) -> str:
    notes = [f"fixed: {row.fallback}"] if row.fallback else []
    if row.to_make and row.distribution.scored:
        notes.append(row.to_make)
    if row.proposal:
        notes.append(f"fit again: {row.proposal}")
    if row.no_signal and row.stale:
        notes.append("no signal")
    return "; ".join(notes)


def number(value: float | None, digits: int = 1) -> str:
    """A number of a table; `-` for none."""
    return "-" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def less(what: str, number: float | None) -> str:
    """`logit - 25.5`, `log odds + 1.25`."""
    if number is None:
        return what
    return f"{what} {'+' if number < 0 else '-'} {abs(number):g}"


def moment(value: datetime | None) -> str:
    """A day and hour of a table; `-` for none."""
    return "-" if value is None else f"{value:%Y-%m-%d %H:%M}"


def bars(histogram: Sequence[int]) -> str:
    """A histogram in block characters, a character a bin; a bin that holds anything shows at least the lowest."""
    top = max(histogram, default=0)
    return "".join(
        _BLOCKS[min(count * len(_BLOCKS) // (top + 1), len(_BLOCKS) - 1)] if count else " "
        for count in histogram
    )


def as_json(row: AttributeCalibration) -> dict[str, Any]:
    """An attribute as `--json` tells it: API for scripts."""
    found = row.distribution
    return {
        "code": row.code,
        "label": row.label,
        "scored": found.scored,
        "unscored": row.unscored,
        "min": found.low,
        "mean": found.mean,
        "max": found.high,
        "std": found.std,
        "histogram": list(found.histogram),
        **fit_json(row.fit),
        "cut": row.cut,
        "tentative_cut": row.tentative_cut,
        "accepted": found.accepted,
        "tentative": found.tentative,
        "rejected": found.rejected,
        "labels": row.labels,
        "precision": estimate_json(row.precision),
        "recall": estimate_json(row.recall),
        "fitted_at": row.fitted_at.isoformat() if row.fitted_at else None,
        "fitted_on": row.fitted_on,
        "drift": row.drift,
        "no_signal": row.no_signal,
        "to_make": row.to_make,
        "fallback": row.fallback,
        "proposal": row.proposal,
        "stale": list(row.stale),
    }


def fit_json(fit: Fit | None) -> dict[str, Any]:
    """How a fit makes confidences. `axis`: what the cut counts in, logits or log odds."""
    if fit is None:
        empty: dict[str, Any] = dict.fromkeys(
            ("method", "chosen", "center", "scale", "axis", "slope", "moved")
        )
        return empty | {"chosen": False}
    return {
        "method": fit.method,
        "chosen": fit.chosen,
        "center": fit.center,
        "scale": fit.scale,
        "axis": "logit" if fit.axis is None else "log_odds",
        "slope": None if fit.method == "fixed" else fit.slope,
        "moved": fit.moved,
    }


def change_cells(outcome: FitOutcome) -> list[str]:
    """What a fit changes, with the columns CHANGE_COLUMNS."""
    change = outcome.change
    before, after = change.before, change.after
    return [
        change.code,
        *_method_and_cut(outcome),
        *(
            _both(f"{getattr(before, name):,}", f"{getattr(after, name):,}")
            for name in ("accepted", "tentative", "rejected")
        ),
        f"{change.entering:,}",
        f"{change.leaving:,}",
    ]


def _method_and_cut(outcome: FitOutcome) -> tuple[str, str]:
    fit, previous = outcome.fit, outcome.previous
    method = method_words(fit)
    if previous is None:
        return method, _accepts_from(fit, outcome.accepted)
    return _both(method_words(previous), method), _both(
        _accepts_from(previous, outcome.accepted), _accepts_from(fit, outcome.accepted)
    )


def _accepts_from(fit: Fit, accepted: float) -> str:
    from colonnade.engine.calibration import cut_of

    return cut_words(fit, cut_of(fit, accepted))


def _both(before: str, after: str) -> str:
    return f"{before} -> {after}" if before != after else after


def outcome_json(outcome: FitOutcome) -> dict[str, Any]:
    """What became of one attribute's fit, for `--json`."""
    from dataclasses import asdict

    from colonnade.engine.calibration import cut_of

    fit, previous, accepted = outcome.fit, outcome.previous, outcome.accepted
    return asdict(outcome.change) | {
        "fit": fit_json(fit) | {"cut": cut_of(fit, accepted), "no_signal": fit.no_signal},
        "previous": None if previous is None else fit_json(previous) | {"cut": cut_of(previous, accepted)},
        "fallback": outcome.fallback,
    }


def run_json(run: FitRun, *, dry_run: bool) -> dict[str, Any]:
    """What a command did about fits, for `--json`."""
    return {
        "dry_run": dry_run,
        "changes": [outcome_json(outcome) for outcome in run.outcomes],
        "changed": list(run.changed),
        "written": list(run.written),
        "waiting": list(run.waiting),
    }
