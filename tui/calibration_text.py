"""The calibration table in words: rows for a terminal, objects for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colonnade.engine.calibration import Fit
    from colonnade.engine.calibration_table import AttributeCalibration

__all__ = ["as_cells", "as_json", "bars"]

_BLOCKS = "▁▂▃▄▅▆▇█"


def as_cells(row: AttributeCalibration) -> list[str]:
    """An attribute as a row of the table."""
    found, fit = row.distribution, row.fit
    counts = (found.accepted, found.tentative, found.rejected, row.unscored, row.labels)
    return [
        row.code,
        *(_number(value) for value in (found.low, found.mean, found.high, found.std)),
        bars(found.histogram),
        *((_number(fit.center), _number(fit.scale), _method(fit)) if fit else ("-", "-", "-")),
        _number(row.cut),
        *(f"{count:,}" for count in counts),
        ", ".join(row.stale) or ("fresh" if found.scored else "-"),
    ]


def _method(fit: Fit) -> str:
    return fit.method if fit.chosen else f"{fit.method} (default)"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def bars(histogram: Sequence[int]) -> str:
    """A histogram in block characters, a character a bin; a bin that holds anything shows at least the lowest."""
    top = max(histogram, default=0)
    return "".join(
        _BLOCKS[min(count * len(_BLOCKS) // (top + 1), len(_BLOCKS) - 1)] if count else " "
        for count in histogram
    )


def as_json(row: AttributeCalibration) -> dict[str, Any]:
    """An attribute as `--json` tells it: API for scripts."""
    found, fit = row.distribution, row.fit
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
        "method": fit.method if fit else None,
        "chosen": fit.chosen if fit else False,
        "center": fit.center if fit else None,
        "scale": fit.scale if fit else None,
        "cut": row.cut,
        "tentative_cut": row.tentative_cut,
        "accepted": found.accepted,
        "tentative": found.tentative,
        "rejected": found.rejected,
        "labels": row.labels,
        "stale": list(row.stale),
    }
