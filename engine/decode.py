"""One image file to the pixels a model wants: Pillow and numpy alone, no torch.

Resizing and cropping are those of open_clip's preprocessing, within a grey level. Two things are added. The EXIF
orientation is applied. And a JPEG that is much larger than the model's input is decoded at 1/2, 1/4 or 1/8
scale, which libjpeg does while it decodes, several times faster; the crop is still placed by the full size, and what
that takes from fine detail is given back (`shrink.py`).
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from colonnade.engine import shrink
from colonnade.engine.facts import (
    HEAD_BYTES,
    MAX_PIXELS,
    NEEDS_EXTRA,
    OTHER_BYTES,
    PILLOW_LOCK,
    content_digest,
    sniff_format,
)
from colonnade.engine.geometry import Geometry, geometry
from colonnade.engine.images import mtime_us_of, one_line, reason_of
from colonnade.engine.modes import in_bands, to_rgb

if TYPE_CHECKING:
    from PIL import Image

    from colonnade.engine.embedder import Preprocessing

__all__ = [
    "FORMATS",
    "Cause",
    "DecodeError",
    "Version",
    "decode",
    "version_of",
]

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
"""What Pillow may take a file for, and HEIF where pillow-heif is installed. Phones' MPO counts as JPEG."""

MAX_DECODED_BYTES = 2 << 30
"""Pictures that would take more memory while they are decoded are refused; conversions work in bands of rows."""

_BIG_PIXELS = (
    1 << 26
)  # from here on a picture is shrunk while it is converted, as a JPEG is while it is decoded
_MODE_BYTES = {"1": 1, "L": 1, "P": 1}  # of a pixel in Pillow's memory; 2 for 16-bit grey, 4 for all others
_CODEC_BYTES = {"WEBP": 8, "AVIF": 8, "HEIF": 8}  # their decoders give the whole picture, and copy it
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


def decode(
    source: Path | bytes,
    preprocessing: Preprocessing,
    *,
    max_pixels: int = MAX_PIXELS,
    draft: bool = True,
    version: Version | None = None,
    content: str | None = None,
) -> Pixels:
    """The picture in a file (or in its bytes) as uint8 [height, width, 3], as the model takes it.

    Of several frames the first. Transparent parts show the model's mean colour, which is neutral to it.
    `draft=False` decodes JPEGs at full size. Raises DecodeError with the reason; never returns a part of a
    picture, nor one of another version of the file than `version`, or of other bytes than `content` is the
    digest of. A file that Pillow cannot stop working on is the caller's to time out.
    """
    from PIL import Image

    try:
        with _quiet(), _opened(source, version, content) as file, _identified(file) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise DecodeError(f"{width} x {height} pixels is over the limit of {max_pixels} pixels")
            scale = 1
            if draft and image.format in ("JPEG", "MPO"):
                scale = shrink.draft(image, preprocessing)
            _require_memory(image)
            _load(image)
            if scale == 1:
                width, height = image.size  # Pillow turns a TIFF while it loads it
            turn = _turn(image)
            swapped = turn is not None and turn.name in _SWAPPING
            upright = (height, width) if swapped else (width, height)
            place = geometry(*upright, preprocessing)
            shrunk = (scale, scale)
            background = tuple(round(255 * mean) for mean in preprocessing.mean)
            if width * height >= _BIG_PIXELS and scale == 1:
                shrunk = shrink.steps(place)
                picture = in_bands(image, background, shrunk[::-1] if swapped else shrunk)
            else:
                picture = to_rgb(image, background)
            if turn is not None:
                picture = picture.transpose(turn)
            return _fit(picture, place, preprocessing, shrunk, shrink.lost_before(turn, upright, shrunk))
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


def _load(image: Image.Image) -> None:
    if image.format == "TIFF":  # Pillow looks at its own limit once more
        with _without_pillow_s_limit():
            image.load()
    else:
        image.load()


@contextmanager
def _without_pillow_s_limit() -> Iterator[None]:
    """Pillow's limit is of the whole process, and another than ours, which holds by now."""
    from PIL import Image

    with PILLOW_LOCK:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _fit(
    picture: Image.Image,
    place: Geometry,
    preprocessing: Preprocessing,
    shrunk: tuple[int, int],
    before: tuple[int, int],
) -> Pixels:
    from PIL import Image

    # A shrunk picture's pixels cover several each, also where the last ones are only partly covered.
    across, down = shrunk
    box = (
        (place.box[0] + before[0]) / across,
        (place.box[1] + before[1]) / down,
        min((place.box[2] + before[0]) / across, picture.width),
        min((place.box[3] + before[1]) / down, picture.height),
    )
    if box != (0, 0, *picture.size) or place.size != picture.size:
        bilinear = preprocessing.interpolation == "bilinear"
        resample = Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC
        picture = picture.resize(place.size, resample, box=box)
    pixels = np.array(picture, dtype=np.uint8)
    if shrunk != (1, 1):
        wide, high = box[2] - box[0], box[3] - box[1]
        pixels = shrink.sharpened(
            pixels,
            place.size[0] / wide if across > 1 else 0.0,
            place.size[1] / high if down > 1 else 0.0,
        )
    if pixels.shape == (preprocessing.height, preprocessing.width, 3):
        return pixels
    whole = np.full((preprocessing.height, preprocessing.width, 3), preprocessing.fill, np.uint8)
    left, top = place.offset
    whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return whole


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


def _require_memory(image: Image.Image) -> None:
    """Refuse a picture by the memory that it would take, before it takes it."""
    each = 2 if image.mode.startswith("I;16") else _MODE_BYTES.get(image.mode, 4)
    each += _CODEC_BYTES.get(image.format or "", 0)
    width, height = image.size
    if width * height * each > MAX_DECODED_BYTES:
        raise DecodeError(
            f"{width} x {height} pixels take {width * height * each} bytes to decode, over the limit of "
            f"{MAX_DECODED_BYTES}"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Metadata that Pillow grumbles about is no news, and its own pixel limit is replaced by ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _opened(source: Path | bytes, version: Version | None, content: str | None) -> Iterator[IO[bytes]]:
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
        if content is not None and content_digest(file) != content:
            _require(file, version)
            # A copy that keeps the time, onto a file of the same size: no scan can see that.
            raise DecodeError(OTHER_BYTES, "file")
        file.seek(0)
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

    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not head:
        raise DecodeError("the file is empty")
    formats: tuple[str, ...] = FORMATS
    if sniff_format(head) == "HEIF":
        try:
            import pillow_heif
        except ImportError as error:
            raise DecodeError(f"HEIC needs pillow-heif: {NEEDS_EXTRA}") from error
        pillow_heif.register_heif_opener()
        formats = (*FORMATS, "HEIF")
    try:
        with _without_pillow_s_limit():
            image = Image.open(file, formats=formats)
    except UnidentifiedImageError as error:
        raise DecodeError("not an image in a known format") from error
    with image:
        yield image
