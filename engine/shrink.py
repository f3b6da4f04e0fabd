"""Pictures much larger than the model's input, shrunk by a whole number before they are resized.

libjpeg decodes at 1/2, 1/4 or 1/8 several times faster than at full size, and a huge picture is averaged while it is
converted. A pixel is then the mean of a box of the picture, which takes some contrast from fine detail; `sharpened`
gives that back after the resize, so that a shrunk picture has the embedding of the whole one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from colonnade.engine.geometry import Geometry, geometry

if TYPE_CHECKING:
    from PIL import Image

    from colonnade.engine.embedder import Preprocessing

__all__ = ["MARGINS", "draft", "lost_before", "sharpened", "steps"]

MARGINS = {8: 2.2, 4: 2.2, 2: 3.0}
"""By the denominator of libjpeg's scale: how many pixels it has to leave for one of the model's, each way.

`bench/decoding.py` measures what that does to the embedding: docs/performance.md. At 1/2 libjpeg cuts high frequencies
off more sharply than a mean does, and fine detail shows that at smaller margins.
"""

_BOX_MARGIN = MARGINS[8]
_SHARPENING = 1 / 20
"""Of the box's width squared, in the model's pixels: 1/24 would be right for coarse detail, this is for all of it."""


def draft(image: Image.Image, preprocessing: Preprocessing) -> int:
    """Ask libjpeg for a reduced picture; returns the denominator of its scale."""
    width, height = image.size
    # Whether the picture will be turned is known only later: take the worse of both ways.
    ratio = min(geometry(width, height, preprocessing).ratio, geometry(height, width, preprocessing).ratio)
    for scale, margin in MARGINS.items():
        if ratio / scale >= margin:
            reduced = image.draft(None, (width // scale, height // scale))
            return 1 if reduced is None else scale
    return 1


def steps(place: Geometry) -> tuple[int, int]:
    """By how much, each way, a picture may be averaged before it is resized."""
    left, top, right, bottom = place.box
    across, down = (right - left) / place.size[0], (bottom - top) / place.size[1]
    return max(1, int(across / _BOX_MARGIN)), max(1, int(down / _BOX_MARGIN))


def lost_before(
    turn: Image.Transpose | None, size: tuple[int, int], shrunk: tuple[int, int]
) -> tuple[int, int]:
    """What a shrunk picture's first pixels lack, left and top: turning may bring its partly covered ones there."""
    across, down = (-length % step for length, step in zip(size, shrunk, strict=True))
    name = "" if turn is None else turn.name
    left = name in ("FLIP_LEFT_RIGHT", "ROTATE_180", "ROTATE_270", "TRANSVERSE")
    top = name in ("FLIP_TOP_BOTTOM", "ROTATE_180", "ROTATE_90", "TRANSVERSE")
    return across if left else 0, down if top else 0


def sharpened(pixels: NDArray[np.uint8], across: float, down: float) -> NDArray[np.uint8]:
    """uint8 [height, width, 3] -> the same, with the contrast that averaging took.

    `across` and `down` are the size, in these pixels, of the boxes whose means the picture was resized from. A mean
    over a width w damps a frequency f by sinc(w f), about 1 - (pi w f)^2 / 6; taking c times the second difference
    away raises it by c (2 pi f)^2 at low frequencies.
    """
    values = pixels.astype(np.float32)
    for axis, width in ((0, down), (1, across)):
        along = values if axis == 0 else values.swapaxes(0, 1)
        rise = np.diff(along, axis=0)
        rise *= _SHARPENING * width * width
        along[:-1] -= rise
        along[1:] += rise
    np.rint(values, out=values)
    return np.clip(values, 0, 255, out=values).astype(np.uint8)
