"""`calibration export`: the fits, for others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colonnade.tui.console import AtOption, StoreOption, emit, open_store, say
from colonnade.tui.results import pipe

if TYPE_CHECKING:
    from colonnade.engine.calibration_store import StoredFit

__all__ = ["export"]

_EXPORT_COLUMNS = (
    "code", "model", "method", "chosen", "center", "scale", "cut", "fitted_at", "axis", "slope", "moved", "no_signal",
    "gate", "fitted_on", "embedded", "snapshot", "seed", "background", "constants", "constants_fitted_on", "labels_yes",
    "labels_no", "labels_moved",
)  # fmt: skip


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
    from colonnade.engine.output_file import output_file

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


def _export_row(stored: StoredFit) -> dict[str, Any]:
    from colonnade.tui.calibration_text import fit_json

    fit = stored.fit
    base, labels = fit.base, fit.labels
    values = {
        "code": stored.code,
        "model": stored.model,
        **fit_json(fit),
        "cut": stored.cut,
        "fitted_at": stored.fitted_at.isoformat() if stored.fitted_at else None,
        "no_signal": fit.no_signal,
        "gate": fit.gate,
        "background": fit.background,
    }
    if base is not None:
        metrics = {name: base.metrics.get(name) for name in ("constants", "constants_fitted_on")}
        values |= metrics | {
            "fitted_on": base.count,
            **{n: getattr(base, n) for n in ("embedded", "snapshot", "seed")},
        }
    if labels is not None:
        values |= {"labels_yes": labels.present, "labels_no": labels.absent, "labels_moved": labels.delta}
    return {name: values.get(name) for name in _EXPORT_COLUMNS}


def _as_csv(rows: Sequence[dict[str, Any]]) -> str:
    import csv
    import io

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _EXPORT_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
