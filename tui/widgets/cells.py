"""Text in cells of a terminal: made safe, cut and padded to a width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, set_cell_size

from colonnade.tui.safe import safe

__all__ = ["Cell", "Kind", "fit", "fit_name", "text_cells"]

Kind = Literal["", "dim", "good", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's text with what it means; the kind adds colour to what the text says already."""

    text: str
    kind: Kind = ""


def text_cells(text: str) -> int:
    """How many cells of a line a text takes."""
    return cell_len(text)


def fit(text: str, width: int, align: str = "left", cut: str = "right") -> str:
    """`text` made safe and exactly `width` cells wide, with … where something is cut off.

    Args:
        align: left or right.
        cut: the end that loses what is too long, left or right.
    """
    if width <= 0:
        return ""
    text = safe(text, limit=4000) if cut == "left" else safe(text, limit=8 * width + 8)
    size = cell_len(text)
    if len(text) - size > width:  # heaps of combining marks: no terminal draws them in one cell
        text = text[:width]
        size = cell_len(text)
    if size <= width:
        padding = " " * (width - size)
        return padding + text if align == "right" else text + padding
    if cut == "left":
        kept = text[-width:]
        while cell_len(kept) > width - 1 or (kept and not cell_len(kept[0])):
            kept = kept[1:]
        return set_cell_size("…" + kept, width)
    return set_cell_size(set_cell_size(text, width - 1).rstrip() + "…", width)


def fit_name(text: str, width: int) -> str:
    """A file's name made safe and exactly `width` cells wide; cut in the middle, for names differ at their ends."""
    text = safe(text, limit=4000)
    if text_cells(text) <= width or width < 8:
        return fit(text, width)
    head = (width - 1) // 3
    return set_cell_size(text[:head], head) + fit(text, width - head, cut="left")
