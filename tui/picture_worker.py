"""Decodes a picture and reduces it to cells; runs in a worker process, where hostile files do no harm."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from colonnade.engine.decode import FORMATS, DecodeError, decode
from colonnade.engine.embedder import Preprocessing
from colonnade.engine.facts import MAX_FILE_BYTES, PILLOW_LOCK
from colonnade.engine.geometry import geometry
from colonnade.tui.picture_cells import NO_COLOUR, Cells, Pixels, Request

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MAX_SIDE", "render"]

MAX_SIDE = 4096
"""Pixels a side that a terminal may ask for."""

COLOURS = 64
_LEVELS = (0, 95, 135, 175, 215, 255)
_EYE = np.sqrt(np.array([2.0, 4.0, 3.0], np.float32))  # how much differences of red, green and blue are seen
_SIXTEEN = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255), (0, 255, 255),
    (255, 255, 255),
)  # fmt: skip
_DENSITY = " .:-=+*#%@"

_Bytes = NDArray[np.uint8]


def render(request: Request) -> Cells | Pixels | str:
    """The picture in a file as wanted, or the reason why there is none, on one line."""
    cells = request.mode != "pixels"
    width = min(max(1, request.width), MAX_SIDE)
    height = min(max(1, request.height * (2 if cells else 1)), MAX_SIDE)
    try:
        picture = _fitted(Path(request.path), width, height)
    except DecodeError as error:
        return str(error)
    if request.mode == "pixels":
        return _in_256(picture)
    columns, rows = picture.shape[1], (picture.shape[0] + 1) // 2
    if request.mode == "text":
        return Cells(columns, rows, text=_text(picture))
    colours = _in_sixteen(picture) if request.mode == "16" else _in_64(picture)
    whole = np.full((2 * rows, columns), NO_COLOUR, np.uint8)
    whole[: len(colours)] = colours
    return Cells(columns, rows, colours=whole.tobytes())


def _fitted(path: Path, width: int, height: int) -> _Bytes:
    """uint8 [height, width, 3] within the box, in the picture's own proportions, without padding.

    Raises:
        DecodeError: there is no picture.
    """
    box = Preprocessing(height, width, resize="longest", mean=(0.5, 0.5, 0.5))
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DecodeError("the file is too large to be decoded")
    except (OSError, ValueError):  # decoding says it better
        pass
    padded = decode(path, box)
    place = geometry(*_size(path), box)
    left, top = place.offset
    return padded[top : top + place.size[1], left : left + place.size[0]]


def _size(path: Path) -> tuple[int, int]:
    """Width and height as the picture is seen; only called of a file that has just been decoded."""
    from PIL import Image

    formats = (*FORMATS, "HEIF") if "HEIF" in Image.OPEN else FORMATS
    try:
        with warnings.catch_warnings(), PILLOW_LOCK:
            warnings.simplefilter("ignore")
            before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # decoding has its own limit
            try:
                image = Image.open(path, formats=formats)
            finally:
                Image.MAX_IMAGE_PIXELS = before
            with image:
                width, height = image.size
                return (height, width) if _is_turned(image) else (width, height)
    except Exception as error:
        raise DecodeError("changed while it was read", "changed") from error


def _is_turned(image: Image.Image) -> bool:
    if image.format == "TIFF":  # Pillow turns these itself
        return False
    try:
        return image.getexif().get(0x0112) in (5, 6, 7, 8)
    except Exception:  # damaged metadata does not spoil the picture
        return False


def _in_256(picture: _Bytes) -> Pixels:
    from PIL import Image

    few = _image(picture).quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    return Pixels(few.width, few.height, few.tobytes(), bytes(few.getpalette() or ()))


def _in_64(picture: _Bytes) -> _Bytes:
    """At most 64 of the 239 colours that are the same in every terminal of 256, those that suit the picture."""
    from PIL import Image

    few = _image(picture).quantize(
        COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE
    )
    palette = np.array(few.getpalette(), np.float32).reshape(-1, 3)
    distances = (((palette[:, None] - _palette()[None]) * _EYE) ** 2).sum(-1)
    numbers = (16 + distances.argmin(1)).astype(np.uint8)
    indices = np.asarray(few)
    return np.asarray(numbers[indices], np.uint8)


@lru_cache(maxsize=1)
def _palette() -> NDArray[np.float32]:
    """Colours 16 to 254: a cube of six levels, and greys."""
    cube = [(red, green, blue) for red in _LEVELS for green in _LEVELS for blue in _LEVELS]
    return np.array(cube + [(level,) * 3 for level in range(8, 238, 10)], np.float32)


def _in_sixteen(picture: _Bytes) -> _Bytes:
    """The sixteen colours, mixed by diffusing the error: so few make no picture otherwise."""
    from PIL import Image

    palette = Image.new("P", (1, 1))
    flat = [level for colour in _SIXTEEN for level in colour]
    palette.putpalette(flat + flat[:3] * (256 - len(_SIXTEEN)))
    few = _image(picture).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    return np.asarray(few) % np.uint8(len(_SIXTEEN))


def _text(picture: _Bytes) -> tuple[str, ...]:
    """One character a cell by the mean lightness of its two halves."""
    light = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    if len(light) % 2:
        light = np.concatenate([light, light[-1:]])
    cells = (light[::2] + light[1::2]) / 2
    steps = np.clip(cells * (len(_DENSITY) / 256), 0, len(_DENSITY) - 1).astype(int)
    return tuple("".join(_DENSITY[step] for step in row) for row in steps.tolist())


def _image(picture: _Bytes) -> Image.Image:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(picture))
