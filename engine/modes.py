"""A picture of any mode as 8-bit RGB: transparency flattened, many grey levels spread, a band of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["in_bands", "to_rgb"]

_BAND_PIXELS = 1 << 22
_Pixels = NDArray[np.uint8]


def _is_grey_of_many_levels(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def to_rgb(image: Image.Image, background: tuple[int, ...]) -> Image.Image:
    if _is_grey_of_many_levels(image):
        return in_bands(image, background, (1, 1))
    return _converted(image, background)


def in_bands(image: Image.Image, background: tuple[int, ...], steps: tuple[int, int]) -> Image.Image:
    """The picture as RGB, shrunk by whole numbers each way; a band of rows at a time, as it may be large."""
    from PIL import Image

    across, down = steps
    levels = _levels(image) if _is_grey_of_many_levels(image) else None
    size = (-(-image.width // across), -(-image.height // down))
    picture = Image.new("L" if levels else "RGB", size)
    rows = max(1, _BAND_PIXELS // (image.width * down)) * down
    for top, band in _bands(image, rows):
        part = _converted(band, background) if levels is None else Image.fromarray(_to_bytes(band, levels))
        picture.paste(part.reduce(steps) if steps != (1, 1) else part, (0, top // down))
    return picture.convert("RGB") if levels else picture


def _bands(image: Image.Image, rows: int) -> Iterator[tuple[int, Image.Image]]:
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _converted(image: Image.Image, background: tuple[int, ...]) -> Image.Image:
    from PIL import Image

    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    picture = Image.new("RGB", layer.size, background)
    picture.paste(layer, mask=layer.getchannel("A"))
    return picture


def _levels(image: Image.Image) -> tuple[float, float]:
    """The values for black and white, of more than 8 bits: all of 16 bits, for others what they span."""
    low, high = np.inf, -np.inf
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    for _, band in _bands(image, max(1, _BAND_PIXELS // image.width)):
        values = _finite(band)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if image.mode == "I" and low >= 0 and high <= 65535:
        return 0.0, 65535.0
    if image.mode == "F" and low >= 0 and high <= 255:
        return 0.0, 1.0 if high <= 1 else 255.0
    return low, high


def _finite(image: Image.Image) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0.0, neginf=0.0)


def _to_bytes(image: Image.Image, levels: tuple[float, float]) -> _Pixels:
    low, high = levels
    span = high - low if high > low else 1.0
    return np.rint((_finite(image) - low) * (255.0 / span)).astype(np.uint8)
