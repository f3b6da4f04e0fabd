"""Drawing in unit coordinates: noise, colours, shaded spheres and antialiased sprites.

Every function draws its random numbers independently of the size in pixels, so that one seed shows the same
picture at 96 and at 1,200 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = [
    "Color",
    "Floats",
    "Sprite",
    "cloudy",
    "disc",
    "from_rgba",
    "gradient",
    "jitter",
    "mix",
    "noise",
    "shade",
]

Color = tuple[int, int, int]
Floats = npt.NDArray[np.float32]
Point = tuple[float, float]

OVERSAMPLING = 2


class Sprite:
    """A square transparent picture drawn in unit coordinates, (0, 0) top left and (1, 1) bottom right."""

    def __init__(self, pixels: int) -> None:
        self._side = max(2, pixels) * OVERSAMPLING
        self._image = Image.new("RGBA", (self._side, self._side), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Sequence[Point], fill: Color) -> None:
        self._draw.polygon([self._at(point) for point in points], fill=(*fill, 255))

    def box(self, left: float, top: float, right: float, bottom: float, fill: Color) -> None:
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def pill(self, start: Point, end: Point, width: float, fill: Color) -> None:
        """A thick line with round ends."""
        self.line([start, end], width, fill)
        for x, y in (start, end):
            self.ellipse(x, y, width / 2, width / 2, fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        self._draw.ellipse([self._at((x - rx, y - ry)), self._at((x + rx, y + ry))], fill=(*fill, 255))

    def line(self, points: Sequence[Point], width: float, color: Color) -> None:
        path = [self._at(point) for point in points]
        self._draw.line(path, fill=(*color, 255), width=self._thickness(width), joint="curve")

    def image(self) -> Image.Image:
        """The antialiased RGBA picture."""
        return self._image.reduce(OVERSAMPLING)

    def _at(self, point: Point) -> Point:
        return point[0] * self._side, point[1] * self._side

    def _thickness(self, width: float) -> int:
        return max(1, round(width * self._side))


def noise(rng: np.random.Generator, width: int, height: int, cells: int, octaves: int = 3) -> Floats:
    """Smooth noise, float32 [height, width] in 0..1, with about `cells` bumps along a side."""
    total = np.zeros((height, width), dtype=np.float32)
    weight_sum = 0.0
    for octave in range(octaves):
        side = cells * 2**octave + 1
        grid = Image.fromarray(rng.random((side, side), dtype=np.float32))
        weight = 0.55**octave
        total += weight * np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))
        weight_sum += weight
    return np.asarray(np.clip(total / weight_sum, 0.0, 1.0))


def cloudy(field: Floats, threshold: float, softness: float) -> Floats:
    """A mask in 0..1: how far `field` lies above `threshold`."""
    return np.asarray(np.clip((field - threshold) / softness, 0.0, 1.0))


def mix(base: Floats, color: Sequence[float] | Floats, alpha: Floats) -> Floats:
    """`color` over `base` [h, w, 3] by `alpha` [h, w]."""
    over = np.asarray(color, dtype=np.float32)
    mask = alpha[..., None]
    return base * (1 - mask) + over * mask


def gradient(width: int, height: int, top: Color, bottom: Color) -> Floats:
    """A vertical gradient, float32 [height, width, 3] in 0..255."""
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    rows = np.asarray(top, np.float32) * (1 - ramp) + np.asarray(bottom, np.float32) * ramp
    return np.broadcast_to(rows, (height, width, 3)).astype(np.float32)


def jitter(rng: np.random.Generator, color: Color, amount: int = 18) -> Color:
    """`color` with each channel moved by up to `amount`."""
    red, green, blue = np.clip(np.asarray(color) + rng.integers(-amount, amount + 1, 3), 0, 255).tolist()
    return red, green, blue


def disc(pixels: int, radius: float = 1.0) -> tuple[Floats, Floats, Floats]:
    """Coordinates x and y in -1..1 over a square and the antialiased mask of a disc of `radius`."""
    axis = (np.arange(pixels, dtype=np.float32) + 0.5) * (2 / pixels) - 1
    x, y = np.meshgrid(axis, axis)
    inside = np.clip((radius - np.hypot(x, y)) * pixels / 2 + 0.5, 0, 1)
    return x, y, inside.astype(np.float32)


def shade(x: Floats, y: Floats, angle: float, frontal: float, ambient: float) -> Floats:
    """Lambert's light on a unit sphere, float32 in `ambient`..1.

    Args:
        angle: Direction of the light in the picture plane, in radians.
        frontal: 0 lights half of the disc, 1 all of it.
        ambient: Brightness of the dark side.
    """
    z = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    side = math.sqrt(max(0.0, 1 - frontal * frontal))
    light = x * (math.cos(angle) * side) + y * (math.sin(angle) * side) + z * frontal
    return np.asarray(np.clip(light * 1.6, ambient, 1), dtype=np.float32)


def from_rgba(rgb: Floats, alpha: Floats) -> Image.Image:
    """RGB [n, n, 3] in 0..255 and alpha [n, n] in 0..1 as an RGBA image."""
    pixels = np.dstack([np.clip(rgb, 0, 255), np.clip(alpha, 0, 1) * 255])
    return Image.fromarray(np.round(pixels).astype(np.uint8), "RGBA")
