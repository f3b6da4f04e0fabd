"""Crowds on the map, and the attribute that sets each apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from colonnade.tui.map_view import Frame

__all__ = ["Cluster", "crowds", "label_crowds", "smoothed"]

MOST = 9
_LEAST_IMAGES = 5
_LEAST_SHARE = 0.1
_LEAST_LIFT = 1.5
_REACH = (3, 7)
"""Rows and columns from a crowd's heart that belong to it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A crowd and what sets it apart."""

    column: int
    row: int
    images: int
    code: str | None = None
    """The attribute that is accepted more often here than elsewhere; None where none is much more so."""
    share: float = 0.0
    """Of the crowd's images, those accepted."""
    lift: float = 0.0
    """That share against the share among all other images of the map."""

    @property
    def text(self) -> str:
        """What most sets it apart, and how many of its images show that."""
        return "" if self.code is None else f"{self.code} {self.share:.0%}"


def smoothed(counts: np.ndarray) -> np.ndarray:
    """float64 [height, width]: counts [height, width] blurred over the neighbouring cells."""
    values = counts.astype(np.float64)
    for axis in (0, 1, 1):
        padded = np.pad(values, [(1, 1) if a == axis else (0, 0) for a in (0, 1)])
        size = values.shape[axis]
        left, middle, right = (np.take(padded, np.arange(k, k + size), axis=axis) for k in range(3))
        values = (left + 2 * middle + right) / 4
    return values


def crowds(frame: Frame) -> tuple[list[Cluster], np.ndarray]:
    """(the crowds of a frame, largest first; int16 [height, width]: the number of each cell's crowd, -1 without)."""
    density = smoothed(frame.counts)
    height, width = density.shape
    owner = np.full((height, width), -1, np.int16)
    found: list[Cluster] = []
    floor = max(density.max(initial=0.0) * 0.05, 0.25)
    free = np.where(density >= floor, density, 0.0)
    reach_down, reach_across = _REACH
    while len(found) < MOST:
        row, column = np.unravel_index(int(free.argmax()), free.shape) if free.size else (0, 0)
        if not free.size or free[row, column] <= 0:
            break
        rows, columns = np.ogrid[0:height, 0:width]
        near = ((rows - row) / reach_down) ** 2 + ((columns - column) / reach_across) ** 2 <= 1
        mine = near & (owner < 0) & (density >= max(floor, free[row, column] * 0.2))
        images = int(frame.counts[mine].sum())
        free[((rows - row) / reach_down) ** 2 + ((columns - column) / reach_across) ** 2 <= 2.25] = 0.0
        if images >= _LEAST_IMAGES:
            owner[mine] = len(found)
            found.append(Cluster(int(column), int(row), images))
    return found, owner


def label_crowds(
    frame: Frame,
    found: list[Cluster],
    owner: np.ndarray,
    attributes: Iterable[tuple[str, Callable[[], np.ndarray]]],
    *,
    stride: int = 1,
) -> list[Cluster]:
    """The crowds with the attribute that sets each apart: by share x log(lift), so that it is common and special.

    Args:
        attributes: (code, what gives bool [n / stride] of the images where it is accepted).
        stride: every so manieth image is looked at.
    """
    if not found:
        return []
    flags = np.append(owner.ravel(), np.int16(-1))
    crowd = flags[frame.cell_of[::stride]].astype(np.int64) + 1
    inside = np.bincount(crowd, minlength=len(found) + 1).astype(np.float64)
    everywhere = inside.sum()
    best: list[tuple[float, str, float, float] | None] = [None] * len(found)
    for code, accepted in attributes:
        yes = np.bincount(crowd[accepted()], minlength=len(found) + 1).astype(np.float64)
        for number in range(len(found)):
            within, hits = inside[number + 1], yes[number + 1]
            outside = everywhere - within
            if within < 1 or outside < 1:
                continue
            share, elsewhere = hits / within, (yes.sum() - hits + 0.5) / (outside + 1)
            lift = share / elsewhere
            if share < _LEAST_SHARE or lift < _LEAST_LIFT or hits * stride < _LEAST_IMAGES / 2:
                continue
            worth = share * float(np.log(lift))
            known = best[number]
            if known is None or worth > known[0]:
                best[number] = (worth, code, float(share), float(lift))
    return [
        cluster
        if (one := best[number]) is None
        else Cluster(cluster.column, cluster.row, cluster.images, *one[1:])
        for number, cluster in enumerate(found)
    ]
