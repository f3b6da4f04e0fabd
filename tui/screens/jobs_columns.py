"""The columns of the jobs screen, and the jobs that can be started there."""

from __future__ import annotations

from typing import Any

from colonnade.tui.widgets.window_table import Cell, Column

__all__ = ["FILES", "JOBS", "LINES", "STARTABLE"]

STARTABLE = (
    ("sync", "scan, embed, tag and derive: all that is stale"),
    ("scan", "compare the folders with the store: new, changed, moved and vanished files"),
    ("embed", "embed the images that have no vector"),
    ("tag", "score the attributes that are stale, or those named: tag earth moon"),
    ("derive", "evaluate the derived attributes that are stale"),
    ("map", "place the images on the map"),
)
_KINDS = {"running": "good", "failed": "bad", "killed": "bad", "interrupted": "warn"}
_MARKS = {"running": "» ", "failed": "! ", "killed": "! ", "interrupted": "- ", "done": "  "}


def _state(value: Any) -> Cell:
    kind = _KINDS.get(str(value), "dim")
    return Cell(f"{_MARKS.get(str(value), '  ')}{value}", kind)  # type: ignore[arg-type]


JOBS = (
    Column("state", "state", 13, render=_state, index=1, sortable=False),
    Column("command", "command", index=2, sortable=False),
    Column("count", "done", 13, "right", index=5, sortable=False),
    Column("left", "left/took", 9, "right", index=7, sortable=False),
    Column("began", "began", 11, "right", index=8, sortable=False),
    Column("progress", "progress", 14, index=4, sortable=False),
    Column("rate", "rate", 9, "right", index=6, sortable=False),
    Column("phase", "phase", 10, index=3, sortable=False),
)
LINES = (Column("line", "", index=0, sortable=False),)
FILES = (
    Column("path", "file", 40, cut="left", index=0, sortable=False),
    Column("reason", "reason", index=1, sortable=False),
)
