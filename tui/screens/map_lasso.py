"""Choosing on the map: what the lasso is, between its first key or drag and the selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from colonnade.tui.map_view import Frame, Points, View

__all__ = ["Lasso"]

Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Lasso:
    """A rectangle from its first corner, or a polygon through its corners; the cursor is the last."""

    rectangle: bool
    corners: tuple[Cell, ...]

    def through(self, cell: Cell) -> Lasso:
        """With one corner more."""
        return self if self.corners[-1] == cell else Lasso(self.rectangle, (*self.corners, cell))

    def moved(self, old: View, new: View) -> Lasso:
        """The same after the screen got another size."""
        return Lasso(self.rectangle, tuple(old.cell_in(new, cell) for cell in self.corners))

    def cells(self, width: int, height: int, cursor: Cell) -> np.ndarray:
        """bool [height, width]: what it holds with the cursor as its last corner."""
        import numpy as np

        from colonnade.tui.map_lasso import cells_in_polygon

        if not self.rectangle:
            return cells_in_polygon(width, height, (*self.corners, cursor))
        cells = np.zeros((height, width), bool)
        (left, right), (top, bottom) = (sorted(pair) for pair in zip(self.corners[0], cursor, strict=True))
        cells[top : bottom + 1, left : right + 1] = True
        return cells

    def chosen(self, points: Points, frame: Frame, cursor: Cell) -> np.ndarray:
        """bool [n]: the images that it holds."""
        from colonnade.tui.map_lasso import in_polygon, in_rectangle

        if self.rectangle:
            return in_rectangle(frame, self.corners[0], cursor)
        return in_polygon(points, frame, _distinct((*self.corners, cursor)))


def _distinct(corners: Sequence[Cell]) -> list[Cell]:
    """The corners without repetitions one after another."""
    return [cell for number, cell in enumerate(corners) if number == 0 or corners[number - 1] != cell]
