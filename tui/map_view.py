"""The globe on a flat screen: where each image falls, and what a cell shows. Numbers only, no widget.

The projection is Hammer's: an ellipse twice as wide as high, in which equal areas of the globe take equal areas of
the screen, so that dense on the screen is dense on the map. It needs square roots alone, which makes a million points
quick. The globe is turned until the view's centre is in front, so that panning is turning and every part can be seen
with little distortion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["DOTS", "Frame", "Points", "View", "draw", "hammer", "outline", "unhammer"]

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)
"""uint8 [4, 2]: the bit of each dot of a braille character, U+2800 plus the bits."""

_DITHER = np.array([[0.06, 0.56], [0.81, 0.31], [0.19, 0.69], [0.94, 0.44]])
"""How dense a dot's place must be (0 to 1) for the dot to be set, where there are more images than dots."""
_CHUNK = 1 << 16
_HALF_WIDTH = 2 * np.sqrt(2.0)
_HALF_HEIGHT = np.sqrt(2.0)
_MARGIN = 0.98
MAX_ZOOM = 256.0


@dataclass(frozen=True, slots=True)
class View:
    """What part of the globe is seen, on how many cells."""

    width: int
    height: int
    latitude: float = 0.0
    """Of the centre, degrees."""
    longitude: float = 0.0
    zoom: float = 1.0
    """1: the whole globe fits."""

    @property
    def scale(self) -> float:
        """Dots for a unit of the plane; the globe's radius is 1."""
        fit = min(2 * self.width / (2 * _HALF_WIDTH), 4 * self.height / (2 * _HALF_HEIGHT))
        return float(_MARGIN * fit * self.zoom)

    @property
    def rotation(self) -> np.ndarray:
        """float64 [3, 3]: unit vectors times it are (towards the viewer, right, up)."""
        north, east = np.radians(self.latitude), np.radians(self.longitude)
        front = np.array([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])
        right = np.array([-np.sin(east), np.cos(east), 0.0])
        return np.stack([front, right, np.cross(front, right)], axis=1)

    def dots(self, vectors: np.ndarray) -> np.ndarray:
        """Places [n, 3] -> dots float64 [n, 2] from the left and from the top; they may lie outside the screen."""
        plane = hammer(np.asarray(vectors, dtype=np.float64) @ self.rotation)
        return np.stack(
            [self.width + plane[:, 0] * self.scale, 2 * self.height - plane[:, 1] * self.scale], axis=1
        )

    def place(self, dots: np.ndarray) -> np.ndarray:
        """The inverse of `dots`: unit vectors [n, 3], nan beside the globe."""
        dots = np.asarray(dots, dtype=np.float64)
        plane = np.stack([dots[:, 0] - self.width, 2 * self.height - dots[:, 1]], axis=1) / self.scale
        return np.asarray(unhammer(plane) @ self.rotation.T)

    def cell_in(self, other: View, cell: tuple[int, int]) -> tuple[int, int]:
        """Where a cell (column, row) is in a view of another size, inside the screen."""
        grown = other.scale / self.scale
        column = other.width + (2 * cell[0] + 1 - self.width) * grown
        row = 2 * other.height + (4 * cell[1] + 2 - 2 * self.height) * grown
        return (
            min(max(0, int(column // 2)), other.width - 1),
            min(max(0, int(row // 4)), other.height - 1),
        )

    def centred(self, vector: np.ndarray) -> View:
        """The view with another place in front; nan leaves it where it is."""
        if not np.isfinite(vector).all():
            return self
        x, y, z = (float(value) for value in vector)
        latitude = float(np.degrees(np.arctan2(z, np.hypot(x, y))))
        longitude = float(np.degrees(np.arctan2(y, x))) if np.hypot(x, y) > 1e-9 else self.longitude
        return replace(self, latitude=latitude, longitude=longitude)

    def turned(self, right: float, up: float) -> View:
        """The view turned by a number of dots: east by the left and right, north as far as the poles."""
        degrees = np.degrees(1 / self.scale)
        slimmer = max(0.1, float(np.cos(np.radians(self.latitude))))
        latitude = min(90.0, max(-90.0, self.latitude + up * degrees))
        longitude = (self.longitude + right * degrees / slimmer + 180.0) % 360.0 - 180.0
        return replace(self, latitude=float(latitude), longitude=float(longitude))

    def zoomed(self, factor: float, at: tuple[float, float] | None = None) -> View:
        """Nearer by a factor; the place under the dot `at` stays there as far as the globe allows."""
        zoom = min(MAX_ZOOM, max(1.0, self.zoom * factor))
        if zoom == 1.0:
            return replace(self, zoom=1.0)
        nearer = replace(self, zoom=zoom)
        if at is None:
            return nearer
        before = self.place(np.array([at]))[0]
        if not np.isfinite(before).all():
            return nearer
        for _ in range(3):  # the plane is curved, so a turn by the difference is right after a few steps only
            there = nearer.dots(before[None])[0]
            nearer = nearer.turned(float(there[0] - at[0]), float(at[1] - there[1]))
        return nearer


@dataclass(frozen=True, eq=False)
class Points:
    """The images of a map."""

    ids: np.ndarray
    """int64 [n]"""
    vectors: np.ndarray
    """float32 [3, n], unit length: a row for each coordinate, which is how they are used."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Frame:
    """What the cells of a view show."""

    view: View
    cell_of: np.ndarray
    """int32 [n]: row x width + column of each image's cell; -1 outside the screen."""
    counts: np.ndarray
    """int32 [height, width]: the images of each cell."""
    marked: np.ndarray
    """int32 [height, width]: those of them that are marked."""
    half: np.ndarray
    """int32 [height, width]: those that are half marked."""
    dots: np.ndarray
    """uint8 [height, width]: braille bits"""

    @property
    def shown(self) -> int:
        """Images on the screen."""
        return int(self.counts.sum())


def hammer(turned: np.ndarray) -> np.ndarray:
    """Unit vectors [n, 3] (towards the viewer, right, up) -> Hammer's plane [n, 2], within 2.83 and 1.42."""
    x, y, z = turned.T
    radius = np.hypot(x, y)
    side = np.copysign(np.sqrt(np.maximum(radius * (radius - x), 0) / 2), y)
    depth = np.sqrt(1 + np.sqrt(np.maximum(radius * (radius + x), 0) / 2))
    return np.stack([_HALF_WIDTH * side / depth, _HALF_HEIGHT * z / depth], axis=1)


def unhammer(plane: np.ndarray) -> np.ndarray:
    """The inverse of `hammer`: unit vectors float64 [n, 3]; nan for places outside the ellipse."""
    x, y = np.asarray(plane, dtype=np.float64).T
    inside = (x / _HALF_WIDTH) ** 2 + (y / _HALF_HEIGHT) ** 2 <= 1 + 1e-9
    depth = np.sqrt(np.maximum(1 - (x / 4) ** 2 - (y / 2) ** 2, 0))
    east = 2 * np.arctan2(depth * x, 2 * (2 * depth**2 - 1))
    up = np.clip(depth * y, -1, 1)
    level = np.sqrt(1 - up**2)
    vectors = np.stack([level * np.cos(east), level * np.sin(east), up], axis=1)
    vectors[~inside] = np.nan
    return vectors


def outline(view: View) -> np.ndarray:
    """uint8 [height, width]: braille bits of the edge of the globe."""
    angle = np.linspace(0, 2 * np.pi, 1440, endpoint=False)
    x = view.width + _HALF_WIDTH * view.scale * np.cos(angle)
    y = 2 * view.height - _HALF_HEIGHT * view.scale * np.sin(angle)
    bits = np.zeros((4 * view.height, 2 * view.width), bool)
    inside = (x >= 0) & (x < bits.shape[1]) & (y >= 0) & (y < bits.shape[0])
    bits[y[inside].astype(int), x[inside].astype(int)] = True
    return _braille(bits)


def draw(
    points: Points,
    view: View,
    *,
    marked: np.ndarray | None = None,
    half: np.ndarray | None = None,
    only: np.ndarray | None = None,
) -> Frame:
    """The frame of a view.

    Args:
        marked: bool [n], what is counted as marked: images where an attribute is accepted, or that a query matches.
        half: bool [n], what is counted as half marked: images where it is tentative.
        only: bool [n], the images whose dots are drawn; all are counted. All by default.
    """
    width, height = view.width, view.height
    cells = width * height
    cell_of = np.empty(len(points), np.int32)
    dots = np.zeros(8 * cells, np.int32)
    counts, ones, halves = np.zeros((3, cells), np.int32)
    for first in range(0, len(points), _CHUNK):  # in blocks that stay in the cache, and take no memory
        some = slice(first, first + _CHUNK)
        cell, dot = _places(points.vectors[:, some], view)
        cell_of[some] = cell
        counts += _count(cell, cells)
        dots += _count(dot if only is None else dot[only[some]], 8 * cells)
        if marked is not None:
            ones += _count(cell[marked[some]], cells)
        if half is not None:
            halves += _count(cell[half[some]], cells)
    shape = height, width
    bits = _braille(_dithered(dots.reshape(4 * height, 2 * width)))
    return Frame(view, cell_of, counts.reshape(shape), ones.reshape(shape), halves.reshape(shape), bits)


def _places(vectors: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
    """(the cell, the dot) of each image, int32 [n], of float32 [3, n]; -1 outside the screen."""
    scale = np.float32(view.scale)
    across, down = 2 * view.width, 4 * view.height
    x, y, z = view.rotation.T.astype(np.float32) @ vectors
    radius = np.sqrt(x * x + y * y)
    depth = np.sqrt(np.float32(1) + np.sqrt(np.maximum(radius * (radius + x), 0) * np.float32(0.5)))
    side = np.copysign(np.sqrt(np.maximum(radius * (radius - x), 0) * np.float32(0.5)), y)
    right = side * (np.float32(_HALF_WIDTH) * scale) / depth + np.float32(view.width)
    low = np.float32(2 * view.height) - z * (np.float32(_HALF_HEIGHT) * scale) / depth
    seen = (right >= 0) & (right < across) & (low >= 0) & (low < down)
    column, row = right.astype(np.int32), low.astype(np.int32)
    dots = np.where(seen, row * across + column, -1)
    return np.where(seen, (row >> 2) * view.width + (column >> 1), -1).astype(np.int32), dots


def _count(places: np.ndarray, size: int) -> np.ndarray:
    """int32 [size]: how often each number from 0 occurs; -1 is left out."""
    return np.bincount(places + 1, minlength=size + 1)[1:].astype(np.int32)


def _dithered(dots: np.ndarray) -> np.ndarray:
    """Which dots are set: every one with an image, or where these crowd, more of them the denser it is."""
    busy = dots[dots > 0]
    if not len(busy) or len(busy) * 3 < dots.size or np.median(busy) < 2:
        return dots > 0
    level = np.log1p(dots) / np.log1p(np.quantile(busy, 0.99))
    height, width = dots.shape
    found = (level > np.tile(_DITHER, (height // 4, width // 2))) & (dots > 0)
    # A cell that has images shows one dot at least: that of most of them.
    of_cells = dots.reshape(height // 4, 4, width // 2, 2).transpose(0, 2, 1, 3).reshape(-1, 8)
    set_of_cells = found.reshape(height // 4, 4, width // 2, 2).transpose(0, 2, 1, 3).reshape(-1, 8)
    bare = np.flatnonzero((of_cells.max(axis=1) > 0) & ~set_of_cells.any(axis=1))
    set_of_cells[bare, of_cells[bare].argmax(axis=1)] = True
    return np.asarray(
        set_of_cells.reshape(height // 4, width // 2, 4, 2).transpose(0, 2, 1, 3).reshape(height, width)
    )


def _braille(bits: np.ndarray) -> np.ndarray:
    """bool [4 h, 2 w] -> uint8 [h, w]"""
    height, width = bits.shape
    blocks = bits.reshape(height // 4, 4, width // 2, 2).transpose(0, 2, 1, 3)
    return np.asarray((blocks * DOTS).sum(axis=(2, 3)).astype(np.uint8))
