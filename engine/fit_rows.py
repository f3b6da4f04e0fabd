"""Rows of the `calibrations` table: one a model in each attribute's partition."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from colonnade.engine.calibration import Fit
from colonnade.engine.fit_document import fit_text
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.tables import SCHEMAS, read_table

__all__ = ["stage_fits"]


def stage_fits(stage: Stage, live: Snapshot, fits: Mapping[str, Fit | None], model: Model) -> tuple[str, ...]:
    """Stage fits of attributes under a model (None: nothing stored); returns the codes that change.

    The commit is refused if one of these attributes has another row by then than in `live`.
    """
    changed = []
    for code, fit in fits.items():
        files = live.cell("calibrations", code, 0)
        rows = read_table("calibrations", files).to_pylist()
        kept = [row for row in rows if row["model"] != model.key]
        before = next((row for row in rows if row["model"] == model.key), None)
        new = [_row(model, fit, before)] if fit is not None else []
        if [_essence(row) for row in new] == [_essence(row) for row in rows if row["model"] == model.key]:
            stage.require("calibrations", code, 0, read=files)
            continue
        changed.append(code)
        ordered = sorted(kept + new, key=lambda row: str(row["model"]))
        data = pa.Table.from_pylist(ordered, schema=SCHEMAS["calibrations"])
        stage.replace("calibrations", code, 0, data, read=files)
    return tuple(changed)


def _row(model: Model, fit: Fit, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The row of a fit. One of which somebody moved the cut was fitted when it was."""
    when = before["fitted_at"] if fit.moved and before is not None else None
    return {
        "model": model.key,
        "method": fit.method,
        "center": fit.center,
        "scale": fit.scale,
        "fitted_at": when or datetime.now(UTC),
        "fit": fit_text(fit),
    }


def _essence(row: Mapping[str, Any]) -> tuple[object, ...]:
    """What makes a row another: for `fixed` its two numbers, for the others the document but for the snapshot read."""
    if row["method"] == "fixed":
        return row["method"], row["center"], row["scale"]
    try:
        document = json.loads(row["fit"])
        del document["base"]["snapshot"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return row["method"], row["fit"]
    return row["method"], json.dumps(document, sort_keys=True)
