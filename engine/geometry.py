"""Where a model's resizing, cropping and padding put a picture of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colonnade.engine.embedder import Preprocessing

__all__ = ["Geometry", "geometry"]


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a picture of one size becomes the model's input."""

    size: tuple[int, int]
    """(width, height) that the part inside `box` is resized to."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom of that part, in pixels of the full-size picture."""
    offset: tuple[int, int]
    """(left, top) of the resized part in the model's input; around it is fill."""
    ratio: float
    """Picture pixels per input pixel, along the axis where there are fewest."""


def geometry(width: int, height: int, preprocessing: Preprocessing) -> Geometry:
    """Where open_clip's resize, crop and pad put a picture of `width` x `height` pixels."""
    wide, high = preprocessing.width, preprocessing.height
    if preprocessing.resize == "squash":
        size = (wide, high)
    elif preprocessing.resize == "longest":
        ratio = max(height / high, width / wide)
        size = (max(1, round(width / ratio)), max(1, round(height / ratio)))
    elif wide == high:
        size = (wide, int(wide * height / width)) if width <= height else (int(wide * width / height), wide)
    else:
        ratio = min(height / high, width / wide)
        size = (max(wide, round(width / ratio)), max(high, round(height / ratio)))
    left, right, from_left = _crop(size[0], wide)
    top, bottom, from_top = _crop(size[1], high)
    step_x, step_y = width / size[0], height / size[1]
    return Geometry(
        size=(right - left, bottom - top),
        box=(left * step_x, top * step_y, right * step_x, bottom * step_y),
        offset=(from_left, from_top),
        ratio=min(step_x, step_y),
    )


def _crop(length: int, wanted: int) -> tuple[int, int, int]:
    """First and last pixel kept along one axis, and where they go."""
    if length <= wanted:
        return 0, length, (wanted - length) // 2
    start = round((length - wanted) / 2.0)
    return start, start + wanted, 0
