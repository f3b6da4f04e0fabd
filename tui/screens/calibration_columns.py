"""The columns of the calibration table, its rows, and how they are sorted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from colonnade.tui.amounts import count_of
from colonnade.tui.widgets.window_table import Cell, Column

__all__ = ["FULL", "NARROW", "WIDE", "columns_for", "left_out_words", "sorted_rows", "table_rows"]

_CELLS = (
    "attribute", "min", "mean", "max", "std", "histogram", "method", "cut", "accepted", "tentative", "labels",
    "precision", "recall", "drift", "state", "note", "center", "scale", "fitted", "on",
)  # fmt: skip
_KEYS = {"attribute": "code", "fitted": "fitted_at", "on": "fitted_on"}
_NUMBERS = {
    "min",
    "mean",
    "max",
    "std",
    "cut",
    "accepted",
    "tentative",
    "labels",
    "drift",
    "center",
    "scale",
    "on",
}


def _state(value: Any) -> Cell:
    text = str(value)
    return Cell(text, "dim" if text in ("fresh", "-") else "warn")


def _column(name: str, width: int, heading: str = "", **values: Any) -> Column:
    number = name in _NUMBERS
    return Column(
        name,
        heading or name,
        width,
        "right" if number else "left",
        index=_CELLS.index(name),
        sortable=name not in ("histogram", "note"),
        descends=number,
        **values,
    )


_ALL = {
    "attribute": _column("attribute", 17),
    "min": _column("min", 6),
    "mean": _column("mean", 6),
    "max": _column("max", 6),
    "std": _column("std", 5),
    "histogram": _column("histogram", 16),
    "center": _column("center", 6),
    "scale": _column("scale", 5),
    "method": _column("method", 17),
    "cut": _column("cut", 6),
    "accepted": _column("accepted", 9),
    "tentative": _column("tentative", 9),
    "labels": _column("labels", 6),
    "precision": _column("precision", 14),
    "recall": _column("recall", 14),
    "drift": _column("drift", 5),
    "state": _column("state", 22, render=_state),
    "note": _column("note", 30),
    "fitted": _column("fitted", 16),
    "on": _column("on", 9),
}
FULL = tuple(_ALL.values())
"""All of it, in the order in which numbers are read."""
_LAST = ("center", "scale")
WIDE = tuple(_ALL[name] for name in (*(name for name in _ALL if name not in _LAST), *_LAST))
"""The same, but for what only the model's own fits have."""
_FIRST = (
    "attribute",
    "histogram",
    "accepted",
    "tentative",
    "state",
    "cut",
    "labels",
    "method",
    "precision",
    "recall",
)
NARROW = tuple(_ALL[name] for name in (*_FIRST, *(name for name in _ALL if name not in _FIRST)))
"""What decides first; the others a few columns to the right."""


def table_rows(found: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The rows of the table, from `session.calibration_table`."""
    return [tuple(_text(row, name) for name in _CELLS) for row in found]


def _text(row: dict[str, Any], name: str) -> str:
    """A cell; center and scale are those of the logits, which an axis of its own does not have."""
    if name not in ("center", "scale"):
        return str(row["cells"][name])
    value = row.get(name)
    return "-" if value is None else f"{value:.1f}"


def columns_for(width: int) -> tuple[Column, ...]:
    """The columns in their order on a screen so wide."""
    return NARROW if width < 110 else WIDE if width < 160 else FULL


def left_out_words(derived: int, width: int) -> str:
    """What the table does not hold."""
    if not derived:
        return ""
    why = f": no cut of {'their' if derived > 1 else 'its'} own" if width >= 110 else ""
    return f"{count_of(derived, 'derived attribute')} left out{why}"


def sorted_rows(found: Sequence[dict[str, Any]], sort: tuple[str, bool] | None) -> list[dict[str, Any]]:
    """The rows by a column; what has no value comes last, either way."""
    if sort is None:
        return list(found)
    name, descending = sort

    def value(row: dict[str, Any]) -> Any:
        if name in ("precision", "recall"):
            return row[name]["value"] if row[name] else None
        return row["cells"][name] if name in ("state", "method") else row[_KEYS.get(name, name)]

    known = [row for row in found if value(row) is not None]
    rest = [row for row in found if value(row) is None]
    return [*sorted(known, key=value, reverse=descending), *rest]
