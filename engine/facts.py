"""What one image file is, read without decoding it: content hash, size, format, EXIF.

Meant for worker processes (`isolate.py`): header parsers meet hostile bytes here. Pillow is imported when the
first header is parsed, and only the part of it for that format, so that a worker starts fast.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import stat
import threading
import warnings
from dataclasses import dataclass, replace
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from colonnade.engine.images import mtime_us_of, one_line, reason_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "HEAD_BYTES",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "NEEDS_EXTRA",
    "OTHER_BYTES",
    "ImageFacts",
    "can_open",
    "content_digest",
    "hash_file",
    "read_facts",
    "sniff_format",
]

MAX_PIXELS = 512_000_000
"""Images of more pixels are refused before decoding: 1.5 GB as RGB, 22,600 x 22,600."""
MAX_FILE_BYTES = 2 << 30
"""Larger files are refused unread: several decoders hold the whole file in memory."""
HEAD_BYTES = 64
"""What `sniff_format` wants to see of a file."""
NEEDS_EXTRA = "pip install 'colonnade[images]'"
"""In the error of a file that only lacks a decoder, so that it is tried again once that is there."""
OTHER_BYTES = "holds other bytes than were scanned, though its size and time are the same"
"""At the start of the error of such a file, so that the next scan reads it."""

_ORIENTATION, _DATE_TIME, _EXIF_FOLDER, _ORIGINAL, _DIGITIZED = 0x0112, 0x0132, 0x8769, 0x9003, 0x9004
_TAKEN = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
)
_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
_PLUGINS = {
    "JPEG": "Jpeg",
    "PNG": "Png",
    "GIF": "Gif",
    "TIFF": "Tiff",
    "BMP": "Bmp",
    "WEBP": "WebP",
    "AVIF": "Avif",
}
_PNG_CHUNKS = 1 << 18
_EXIF_BYTES = 1 << 20
# Pillow's pixel limit and Python's warning filters are of the whole process.
PILLOW_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One file as it was when it was read; what could not be told is None."""

    state: Literal["ok", "unreadable", "missing"]
    """`missing`: nothing was there by the time it was read."""
    error: str | None = None
    """Why the state is not `ok`: one line of printable characters, at most 300."""
    content_hash: str | None = None
    """BLAKE2b-128 of the bytes, 32 hexadecimal digits."""
    size: int | None = None
    """Bytes, and with `mtime_us` (microseconds since 1970) of the very file that was hashed."""
    mtime_us: int | None = None
    width: int | None = None
    """Pixels, as displayed: after EXIF orientation."""
    height: int | None = None
    format: str | None = None
    """JPEG, PNG, GIF, TIFF, BMP, WEBP, AVIF or HEIF, by the file's bytes and not by its name."""
    orientation: int | None = None
    """EXIF orientation, 1 to 8 (1 where there is none)."""
    taken: datetime | None = None
    """When the picture was taken by the camera's clock; no time zone."""


class _Refused(Exception):
    """The file is not an image that can be used; the text says why."""


def read_facts(path: str | Path, max_pixels: int = MAX_PIXELS) -> ImageFacts:
    """The facts of the file at `path`; what is wrong with it is in `state` and `error`, and never raised."""
    try:
        stream = _open_regular(path)
    except OSError as error:
        state: Literal["unreadable", "missing"] = "unreadable"
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            state = "missing"
        return ImageFacts(state, reason_of(error))
    except _Refused as refusal:
        return ImageFacts("unreadable", str(refusal))
    with stream:
        status = os.fstat(stream.fileno())
        facts = ImageFacts("unreadable", size=status.st_size, mtime_us=mtime_us_of(status))
        try:
            if status.st_size > MAX_FILE_BYTES:
                raise _Refused(f"{status.st_size:,} bytes, more than the limit of {MAX_FILE_BYTES:,}")
            facts = replace(facts, content_hash=content_digest(stream))
            stream.seek(0)
            return _with_header(facts, stream, max_pixels)
        except _Refused as refusal:
            return replace(facts, error=one_line(str(refusal)))
        except OSError as error:
            return replace(facts, error=reason_of(error))


def can_open(path: str | Path) -> bool:
    """Whether the system gives a file to be read."""
    try:
        _open_regular(path).close()
    except (OSError, _Refused):
        return False
    return True


def hash_file(path: str | Path) -> str | None:
    """The content hash alone; None where the file cannot be read."""
    try:
        with _open_regular(path) as stream:
            return content_digest(stream)
    except (OSError, _Refused):
        return None


def sniff_format(head: bytes) -> str | None:
    """The format that a file's first `HEAD_BYTES` announce, by the names of `ImageFacts.format`."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brands = {head[8:12]} | {head[at : at + 4] for at in range(16, min(len(head), head[3]), 4)}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & _HEIF_BRANDS:
            return "HEIF"
    return None


def _open_regular(path: str | Path) -> BufferedReader:
    if not stat.S_ISREG(Path(path).stat().st_mode):  # opening a device or a pipe may wait, or do something
        raise _Refused("not a regular file")
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), "rb")


def content_digest(stream: BufferedReader) -> str:
    """What identifies the content of a file: 32 hex digits of the bytes that are left in the stream."""
    return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _with_header(facts: ImageFacts, stream: IO[bytes], max_pixels: int) -> ImageFacts:
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    if not head:
        raise _Refused("empty file")
    name = sniff_format(head)
    if name is None:
        raise _Refused("not an image in a known format")
    with PILLOW_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _open_image(stream, name) as image:
                return _described(facts, image, stream, name, max_pixels)
        except _Refused:
            raise
        except MemoryError:
            raise _Refused(f"{name} header asks for more memory than there is") from None
        except Exception as error:  # parsers of hostile bytes raise anything
            told = "" if type(error).__name__ == "UnidentifiedImageError" else f": {error}"
            raise _Refused(f"{name} header is damaged or cut short{told}") from None


def _open_image(stream: IO[bytes], name: str) -> Image:
    from PIL import Image

    if name == "HEIF":
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            raise _Refused(f"HEIC needs pillow-heif: {NEEDS_EXTRA}") from None
        register_heif_opener()
    else:
        importlib.import_module(f"PIL.{_PLUGINS[name]}ImagePlugin")
    # Pillow's own limit is another, and its refusal would not tell the size.
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        return Image.open(stream, formats=[name])
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _described(facts: ImageFacts, image: Image, stream: IO[bytes], name: str, max_pixels: int) -> ImageFacts:
    width, height = image.size
    if width < 1 or height < 1:
        raise _Refused(f"{width} x {height} pixels")
    exif = _exif(image, stream, name)
    tag = exif.get(_ORIENTATION)
    orientation = tag if isinstance(tag, int) and 1 <= tag <= 8 else 1
    if orientation >= 5 and name != "TIFF":  # Pillow turns TIFF by itself
        width, height = height, width
    state: Literal["ok", "unreadable"] = "ok"
    error = None
    if width * height > max_pixels:
        state, error = "unreadable", f"{width} x {height} pixels, more than the limit of {max_pixels:,}"
    return replace(
        facts,
        state=state,
        error=error,
        width=min(width, 2**31 - 1),
        height=min(height, 2**31 - 1),
        format=name,
        orientation=orientation,
        taken=_taken(exif),
    )


def _exif(image: Image, stream: IO[bytes], name: str) -> dict[int, Any]:
    """The four tags that are asked for; none of a block that cannot be parsed."""
    from PIL import Image as pillow

    try:
        if name == "PNG" and "exif" not in image.info:
            block = _png_exif(stream)
            if block:
                image.info["exif"] = b"Exif\0\0" + block
        exif = pillow.Image.getexif(image)  # PngImageFile.getexif decodes the whole picture
        tags = {tag: exif.get(tag) for tag in (_ORIENTATION, _DATE_TIME)}
    except Exception:  # a hostile EXIF block is no reason to refuse the picture
        return {}
    try:
        folder = exif.get_ifd(_EXIF_FOLDER)
        tags.update((tag, folder.get(tag)) for tag in (_ORIGINAL, _DIGITIZED))
    except Exception:
        pass
    return tags


def _png_exif(stream: IO[bytes]) -> bytes | None:
    """The eXIf chunk of a PNG, which may come after the pixels."""
    stream.seek(8)
    for _ in range(_PNG_CHUNKS):
        head = stream.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return None
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf":
            return stream.read(min(length, _EXIF_BYTES))
        stream.seek(length + 4, os.SEEK_CUR)
    return None


def _taken(exif: dict[int, Any]) -> datetime | None:
    for tag in (_ORIGINAL, _DIGITIZED, _DATE_TIME):
        value = exif.get(tag)
        text = value[:64].decode("ascii", "replace") if isinstance(value, bytes) else value
        match = _TAKEN.match(text[:64].strip()) if isinstance(text, str) else None
        try:
            if match:
                year, month, day, hour, minute, second = map(int, match.groups())
                return datetime(year, month, day, hour, minute, second)
        except ValueError:  # the 31st of February, or year 0
            continue
    return None


def read_item(item: tuple[int, str, int], max_pixels: int) -> ImageFacts:
    """`read_facts` for a worker process; an item is (anything, path, expected bytes)."""
    return read_facts(item[1], max_pixels)
