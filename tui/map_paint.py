"""How a frame of the map looks: a character and a level for each cell, and the names of crowds written over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from colonnade.tui.map_clusters import Cluster, smoothed
from colonnade.tui.map_view import Frame, outline

__all__ = ["EDGE", "HALF", "LEVELS", "NAME", "Colouring", "Paint", "paint", "with_names"]

Colouring = Literal["density", "attribute", "query"]

EDGE, LEVELS, HALF, NAME = 0, 5, 6, 7
"""The edge of the globe; 1 to LEVELS: how dense, or how many marked; some half marked, none marked; a crowd's name."""


@dataclass(frozen=True, eq=False)
class Paint:
    """What the globe draws."""

    rows: tuple[str, ...]
    levels: np.ndarray
    """uint8 [height, width]"""
    chosen: np.ndarray
    """bool [height, width]: cells with images of the selection."""
    images: np.ndarray
    """int32 [height, width]: the images of each cell."""


def paint(frame: Frame, colouring: Colouring, chosen: np.ndarray | None = None) -> Paint:
    """The look of a frame.

    Args:
        chosen: bool [n], the selection.
    """
    height, width = frame.counts.shape
    bits = frame.dots
    edge = np.where(frame.counts > 0, 0, outline(frame.view)).astype(np.uint8)
    levels = _dense(frame) if colouring == "density" else _shares(frame)
    levels[bits == 0] = EDGE
    characters = (bits | np.where(bits == 0, edge, 0)).astype(np.int32) + 0x2800
    rows = tuple("".join(map(chr, row)).replace("\u2800", " ") for row in characters.tolist())
    cells = np.zeros((height, width), bool)
    if chosen is not None:
        inside = frame.cell_of[chosen]
        cells.reshape(-1)[inside[inside >= 0]] = True
    return Paint(rows, levels, cells, frame.counts)


def with_names(painted: Paint, clusters: Iterable[Cluster]) -> tuple[Paint, tuple[Cluster, ...]]:
    """(the look with the names of crowds beside their hearts, the largest first; the crowds that are named).

    A name that would overlap another is left out.
    """
    height, width = painted.levels.shape
    taken = np.zeros((height, width + 2), bool)
    rows, levels = list(painted.rows), painted.levels.copy()
    named: list[Cluster] = []
    for cluster in clusters:
        text = cluster.text[:width]
        if not text:
            continue
        left = min(max(0, cluster.column - len(text) // 2), width - len(text))
        span = slice(left, left + len(text))
        near = [row for row in range(cluster.row - 2, cluster.row + 3) if 0 <= row < height]
        free = [row for row in near if not taken[row, left : left + len(text) + 2].any()]
        if free:  # where it hides the fewest images; of those, the nearest above
            row = min(free, key=lambda r: (int(painted.images[r, span].sum()), abs(r - cluster.row), r))
            taken[row, left : left + len(text) + 2] = True
            rows[row] = rows[row][:left] + text + rows[row][left + len(text) :]
            levels[row, span] = NAME
            named.append(cluster)
    return Paint(tuple(rows), levels, painted.chosen, painted.images), tuple(named)


def _dense(frame: Frame) -> np.ndarray:
    """uint8 [height, width]: 1 to LEVELS by the number of images about a cell, in equal steps of its logarithm."""
    density = np.log1p(smoothed(frame.counts))
    top = density.max(initial=0.0)
    if top <= 0:
        return np.ones(frame.counts.shape, np.uint8)
    return np.asarray(np.clip(1 + (density / top * LEVELS).astype(np.uint8), 1, LEVELS))


def _shares(frame: Frame) -> np.ndarray:
    """uint8 [height, width]: 1 where none is marked, then in quarters; HALF where some are half marked alone."""
    share = frame.marked / np.maximum(frame.counts, 1)
    levels = np.where(frame.marked > 0, np.clip(2 + np.floor(share * 4), 2, LEVELS), 1)
    return np.where((frame.marked == 0) & (frame.half > 0), HALF, levels).astype(np.uint8)
