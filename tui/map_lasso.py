"""Choosing images on the map by a rectangle of cells or a free polygon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from colonnade.tui.map_view import Frame, Points

__all__ = ["cells_in_polygon", "in_polygon", "in_rectangle", "inside"]

Cell = tuple[int, int]
"""Column and row."""


def in_rectangle(frame: Frame, one: Cell, other: Cell) -> np.ndarray:
    """bool [n]: the images in the cells from one corner to the other, both included."""
    left, right = sorted((one[0], other[0]))
    top, bottom = sorted((one[1], other[1]))
    width, height = frame.view.width, frame.view.height
    wanted = np.zeros((height, width), bool)
    wanted[max(0, top) : bottom + 1, max(0, left) : right + 1] = True
    return _of_cells(frame, wanted)


def in_polygon(points: Points, frame: Frame, corners: Sequence[Cell]) -> np.ndarray:
    """bool [n]: the images inside the polygon through the centres of these cells (even-odd rule).

    Fewer than three corners hold nothing.
    """
    found = np.zeros(len(points), bool)
    if len(corners) < 3:
        return found
    polygon = np.array([(2 * column + 1, 4 * row + 2) for column, row in corners], dtype=np.float64)
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    wanted = np.zeros((frame.view.height, frame.view.width), bool)
    wanted[
        max(0, int(low[1]) // 4) : int(high[1]) // 4 + 1, max(0, int(low[0]) // 2) : int(high[0]) // 2 + 1
    ] = True
    near = np.flatnonzero(_of_cells(frame, wanted))
    dots = frame.view.dots(points.vectors[:, near].T)
    found[near[inside(dots, polygon)]] = True
    return found


def cells_in_polygon(width: int, height: int, corners: Sequence[Cell]) -> np.ndarray:
    """bool [height, width]: the cells whose centre is inside the polygon, and its corners."""
    cells = np.zeros((height, width), bool)
    if len(corners) >= 3:
        rows, columns = np.mgrid[0:height, 0:width]
        centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
        polygon = np.array(corners, dtype=np.float64) + 0.5
        cells = inside(centres, polygon).reshape(height, width)
    for column, row in corners:
        if 0 <= row < height and 0 <= column < width:
            cells[row, column] = True
    return cells


def inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """bool [n]: which of the points [n, 2] are inside a polygon [k, 2], by the even-odd rule."""
    odd = np.zeros(len(points), bool)
    x, y = points.T
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y >= min(y0, y1)) & (y < max(y0, y1))
        odd ^= crosses & (x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
    return odd


def _of_cells(frame: Frame, wanted: np.ndarray) -> np.ndarray:
    """bool [n]: the images in the wanted cells, bool [height, width]."""
    flags = np.append(wanted.ravel(), False)  # -1, outside the screen, is the last
    return np.asarray(flags[frame.cell_of])
