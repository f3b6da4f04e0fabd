"""One image file to the pixels a model wants: Pillow and numpy alone, no torch.

Resizing and cropping are those of open_clip's preprocessing, within a grey level. Two things are added. The EXIF
orientation is applied. And a JPEG that is much larger than the model's input is decoded at 1/2, 1/4 or 1/8
scale, which libjpeg does while it decodes, several times faster; the crop is still placed by the full size.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from colonnade.engine.facts import MAX_PIXELS, NEEDS_EXTRA
from colonnade.engine.images import mtime_us_of, one_line, reason_of

if TYPE_CHECKING:
    from PIL import Image

    from colonnade.engine.embedder import Preprocessing

__all__ = [
    "DRAFT_MARGIN",
    "FORMATS",
    "Cause",
    "DecodeError",
    "Geometry",
    "Version",
    "decode",
    "geometry",
    "version_of",
]

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
"""What Pillow may take a file for, and HEIF where pillow-heif is installed. Phones' MPO counts as JPEG."""

DRAFT_MARGIN = 3.0
"""A JPEG is decoded at the smallest scale that leaves this many pixels for one of the model's, each way.

`bench/decoding.py` measures what that does to the embedding: cosine >= 0.9994 to decoding at full size for the
trained demo model, >= 0.9999 for a ViT-B-32 with random weights. With 2 the demo model's falls to 0.996.
"""

_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
_ORIENTATION_TAG = 0x0112
_SWAPPING = frozenset(("TRANSPOSE", "TRANSVERSE", "ROTATE_90", "ROTATE_270"))

Pixels = NDArray[np.uint8]


Version = tuple[int, int]
"""Bytes and modification time (microseconds since 1970) of a file, as a scan found them."""

Cause = Literal["changed", "file", "worker"]
"""Why a failure says nothing certain about a file's bytes: they are others by now; they cannot be read; or
the decoder was out of memory, out of time or crashed, which another attempt may not be."""


class DecodeError(Exception):
    """The file gives no picture; `str(error)` is the reason, one line, without the file's name."""

    def __init__(self, reason: str, cause: Cause | None = None) -> None:
        super().__init__(reason)
        self.cause = cause


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


def decode(
    source: Path | bytes,
    preprocessing: Preprocessing,
    *,
    max_pixels: int = MAX_PIXELS,
    draft: bool = True,
    version: Version | None = None,
) -> Pixels:
    """The picture in a file (or in its bytes) as uint8 [height, width, 3], as the model takes it.

    Of several frames the first. Transparent parts show the model's mean colour, which is neutral to it.
    `draft=False` decodes JPEGs at full size. Raises DecodeError with the reason; never returns a part of a
    picture, nor one of another version of the file than `version`. A file that Pillow cannot stop working on
    is the caller's to time out.
    """
    from PIL import Image

    try:
        with _quiet(), _opened(source, version) as file, _identified(file) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise DecodeError(f"{width} x {height} pixels is over the limit of {max_pixels} pixels")
            scale = 1
            if draft and image.format in ("JPEG", "MPO"):
                scale = _draft(image, preprocessing)
            image.load()
            if scale == 1:
                width, height = image.size  # Pillow turns a TIFF while it loads it
            picture = _to_rgb(image, tuple(round(255 * mean) for mean in preprocessing.mean))
            turn = _turn(image)
            if turn is not None:
                picture = picture.transpose(turn)
                if turn.name in _SWAPPING:
                    width, height = height, width
            return _fit(picture, geometry(width, height, preprocessing), preprocessing, scale)
    except DecodeError:
        raise
    except Image.DecompressionBombError as error:
        raise DecodeError("too many pixels") from error
    except MemoryError as error:
        raise DecodeError("not enough memory to decode it", "worker") from error
    except OSError as error:
        if error.errno is not None:  # the system's, not Pillow's own
            raise DecodeError(reason_of(error), "file") from error
        raise DecodeError(one_line(str(error)) or type(error).__name__) from error
    except Exception as error:  # a hostile file makes Pillow's plugins raise almost anything
        raise DecodeError(one_line(str(error)) or type(error).__name__) from error


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


def _fit(picture: Image.Image, place: Geometry, preprocessing: Preprocessing, scale: int) -> Pixels:
    from PIL import Image

    # A reduced picture's pixels cover `scale` pixels each, also where the last ones are only partly covered.
    box = (
        place.box[0] / scale,
        place.box[1] / scale,
        min(place.box[2] / scale, picture.width),
        min(place.box[3] / scale, picture.height),
    )
    if box != (0, 0, *picture.size) or place.size != picture.size:
        bilinear = preprocessing.interpolation == "bilinear"
        resample = Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC
        picture = picture.resize(place.size, resample, box=box)
    pixels = np.array(picture, dtype=np.uint8)
    if pixels.shape == (preprocessing.height, preprocessing.width, 3):
        return pixels
    whole = np.full((preprocessing.height, preprocessing.width, 3), preprocessing.fill, np.uint8)
    left, top = place.offset
    whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return whole


def _draft(image: Image.Image, preprocessing: Preprocessing) -> int:
    """Ask libjpeg for a reduced picture; returns the denominator of its scale."""
    width, height = image.size
    # Whether the picture will be turned is known only later: take the worse of both ways.
    ratio = min(geometry(width, height, preprocessing).ratio, geometry(height, width, preprocessing).ratio)
    for scale in (8, 4, 2):
        if ratio / scale >= DRAFT_MARGIN:
            reduced = image.draft(None, (width // scale, height // scale))
            return 1 if reduced is None else scale
    return 1


def _turn(image: Image.Image) -> Image.Transpose | None:
    from PIL import Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # damaged metadata does not spoil the picture
        return None
    return turns.get(orientation) if isinstance(orientation, int) else None


def _to_rgb(image: Image.Image, background: tuple[int, ...]) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_bytes(np.asarray(image), image.mode)).convert("RGB")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    picture = Image.new("RGB", layer.size, background)
    picture.paste(layer, mask=layer.getchannel("A"))
    return picture


def _to_bytes(values: NDArray[Any], mode: str) -> Pixels:
    """Grey values of more than 8 bits as bytes: 16-bit ones over their range, others over what they span."""
    levels = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(levels.min()), float(levels.max())
    if mode.startswith("I;16") or (mode == "I" and low >= 0 and high <= 65535):
        low, high = 0.0, 65535.0
    elif mode == "F" and low >= 0 and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    span = high - low if high > low else 1.0
    return np.rint((levels - low) * (255.0 / span)).astype(np.uint8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Metadata that Pillow grumbles about is no news, and its own pixel limit is replaced by ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _opened(source: Path | bytes, version: Version | None) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes):
        yield BytesIO(source)
        return
    try:
        # Not blocking: opening a pipe that nobody writes to would never return.
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise DecodeError(reason_of(error), "file") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DecodeError("not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        _require(file, version)
        try:
            yield file
        finally:  # what was being written to while it was read may have failed for that
            _require(file, version)


def version_of(status: os.stat_result) -> Version:
    """The version of a file by its `stat`."""
    return status.st_size, mtime_us_of(status)


def _require(file: IO[bytes], version: Version | None) -> None:
    if version is not None and version_of(os.fstat(file.fileno())) != version:
        raise DecodeError("changed since it was scanned", "changed")


@contextmanager
def _identified(file: IO[bytes]) -> Iterator[Image.Image]:
    from PIL import Image, UnidentifiedImageError

    head = file.read(12)
    file.seek(0)
    if not head:
        raise DecodeError("the file is empty")
    formats: tuple[str, ...] = FORMATS
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        try:
            import pillow_heif
        except ImportError as error:
            raise DecodeError(f"HEIC needs pillow-heif: {NEEDS_EXTRA}") from error
        pillow_heif.register_heif_opener()
        formats = (*FORMATS, "HEIF")
    try:
        image = Image.open(file, formats=formats)
    except UnidentifiedImageError as error:
        raise DecodeError("not an image in a known format") from error
    with image:
        yield image
