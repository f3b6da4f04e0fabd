from __future__ import annotations

import hashlib
import io
import os
import struct
import warnings
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from colonnade.engine.facts import ImageFacts, hash_file, read_facts, sniff_format

PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "photos"
FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF")
WITH_EXIF = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")


def encoded(name: str, size: tuple[int, int] = (8, 5), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 40)).save(buffer, name, **options)
    return buffer.getvalue()


def exif(orientation: object = None, **dates: str) -> Image.Exif:
    block = Image.Exif()
    if orientation is not None:
        block[0x0112] = orientation
    if "changed" in dates:
        block[0x0132] = dates["changed"]
    if "original" in dates:
        block.get_ifd(0x8769)[0x9003] = dates["original"]
    return block


def facts_of(tmp_path: Path, data: bytes, name: str = "image.jpg", **options: int) -> ImageFacts:
    path = tmp_path / name
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_facts(path, **options)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_whatever_the_name(tmp_path: Path, name: str) -> None:
    data = encoded(name)
    facts = facts_of(tmp_path, data, "wrong.jpg")
    status = (tmp_path / "wrong.jpg").stat()
    assert (facts.state, facts.error) == ("ok", None)
    assert (facts.format, facts.width, facts.height, facts.orientation) == (name, 8, 5, 1)
    assert facts.content_hash == hashlib.blake2b(data, digest_size=16).hexdigest()
    assert (facts.size, facts.mtime_us) == (len(data), status.st_mtime_ns // 1000)
    assert facts.taken is None
    assert hash_file(tmp_path / "wrong.jpg") == facts.content_hash


@pytest.mark.parametrize("name", WITH_EXIF)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_as_displayed(tmp_path: Path, name: str, orientation: int) -> None:
    facts = facts_of(tmp_path, encoded(name, exif=exif(orientation)))
    with Image.open(tmp_path / "image.jpg") as image:
        shown = ImageOps.exif_transpose(image)
        assert (facts.width, facts.height) == shown.size
    assert (facts.width, facts.height) == ((8, 5) if orientation < 5 else (5, 8))
    assert facts.orientation == orientation


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic(tmp_path: Path, orientation: int) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif (the images extra) is not installed")
    heif.register_heif_opener()
    data = encoded("HEIF", (80, 50), exif=exif(orientation, original="2020:02:03 04:05:06"))
    facts = facts_of(tmp_path, data, "a.heic")
    with Image.open(tmp_path / "a.heic") as image:
        assert (facts.width, facts.height) == image.size
    assert (facts.state, facts.format, facts.orientation) == (
        "ok",
        "HEIF",
        1,
    )  # turned by the decoder, if at all
    assert facts.taken == datetime(2020, 2, 3, 4, 5, 6)


def test_heic_without_its_decoder_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    facts = facts_of(tmp_path, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "a.heic")
    assert facts.state == "unreadable"
    assert facts.error == "HEIC needs pillow-heif: pip install 'colonnade[images]'"
    assert facts.content_hash is not None


def test_png_exif_behind_the_pixels(tmp_path: Path) -> None:
    data = encoded("PNG")
    block = exif(6, changed="2001:02:03 04:05:06").tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    end = data.index(b"IEND") - 4
    facts = facts_of(tmp_path, data[:end] + chunk + data[end:])
    assert (facts.width, facts.height, facts.orientation) == (5, 8, 6)
    assert facts.taken == datetime(2001, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("orientation", [0, 9, 255, "6", (6, 6), -1])
def test_senseless_orientations_are_1(tmp_path: Path, orientation: object) -> None:
    block = Image.Exif()
    if isinstance(orientation, int) and orientation >= 0:
        block[0x0112] = orientation
        raw = block.tobytes()
    else:
        raw = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\x006\0\0\0\0\0\0\0"
    facts = facts_of(tmp_path, encoded("JPEG", exif=raw))
    assert (facts.state, facts.orientation, facts.width) == ("ok", 1, 8)


@pytest.mark.parametrize(
    ("dates", "taken"),
    [
        ({"original": "2014:07:08 09:10:11"}, datetime(2014, 7, 8, 9, 10, 11)),
        (
            {"original": "2014:07:08 09:10:11", "changed": "2020:01:01 00:00:00"},
            datetime(2014, 7, 8, 9, 10, 11),
        ),
        ({"original": "0000:00:00 00:00:00", "changed": "2020:01:01 00:00:00"}, datetime(2020, 1, 1)),
        ({"changed": "2014-07-08T09:10:11Z"}, datetime(2014, 7, 8, 9, 10, 11)),
        ({"original": "2014:02:31 09:10:11"}, None),
        ({"original": "2014:02:03 24:00:61"}, None),
        ({"original": "    :  :     :  :  "}, None),
        ({"original": "\x1b[31m2014:07:08 09:10:11"}, None),
        ({"original": "2" * 100_0}, None),
        ({"original": ""}, None),
    ],
)
def test_capture_time(tmp_path: Path, dates: dict[str, str], taken: datetime | None) -> None:
    assert facts_of(tmp_path, encoded("JPEG", exif=exif(None, **dates))).taken == taken


def png_header(width: int, height: int) -> bytes:
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", body), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def test_decompression_bombs_are_refused_by_their_size(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    facts = facts_of(tmp_path, png_header(90_000, 12_000))
    assert facts.state == "unreadable"
    assert facts.error == "90000 x 12000 pixels, more than the limit of 512,000,000"
    assert (facts.width, facts.height, facts.format) == (90_000, 12_000, "PNG")
    assert facts_of(tmp_path, png_header(20_000, 20_000)).state == "ok"  # more than Pillow's own limit
    assert facts_of(tmp_path, png_header(100, 100), max_pixels=9_999).state == "unreadable"
    assert facts_of(tmp_path, png_header(2**31 - 1, 2**31 - 1)).state == "unreadable"
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "empty file"),
        (b"hello, I am a text", "not an image in a known format"),
        (b"\xff\xd8\xff", "JPEG header is damaged or cut short"),
        (encoded("JPEG")[:100], "JPEG header is damaged or cut short"),
        (encoded("PNG")[:20], "PNG header is damaged or cut short"),
        (encoded("WEBP")[:25], "WEBP header is damaged or cut short"),
        (encoded("TIFF")[:12], "TIFF header is damaged or cut short"),
        (encoded("AVIF")[:60], "AVIF header is damaged or cut short"),
        (b"GIF89a\x01", "GIF header is damaged or cut short"),
        (b"BM" + bytes(60), "BMP header is damaged or cut short"),
    ],
)
def test_files_that_are_no_images(tmp_path: Path, data: bytes, error: str) -> None:
    facts = facts_of(tmp_path, data)
    assert facts.state == "unreadable"
    assert facts.error is not None
    assert facts.error.startswith(error)
    assert facts.content_hash == hashlib.blake2b(data, digest_size=16).hexdigest()
    assert (facts.width, facts.format, facts.taken) == (None, None, None)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_bytes_never_raise_and_never_warn(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(FORMATS))
    options: dict[str, Any] = {"exif": exif(6, original="2014:07:08 09:10:11")} if name in WITH_EXIF else {}
    raw = bytearray(encoded(name, **options))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    facts = facts_of(tmp_path_factory.getbasetemp(), bytes(raw[: data.draw(st.integers(1, len(raw)))]))
    assert (facts.state == "ok") == (facts.error is None)
    if facts.error is not None:
        assert facts.error.isprintable()
        assert 0 < len(facts.error) <= 300
    if facts.state == "ok":
        assert facts.width is not None
        assert facts.orientation in range(1, 9)


def test_large_files_are_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.tif").open("wb") as file:
        file.write(encoded("TIFF"))
        file.truncate((2 << 30) + 1)
    facts = read_facts(tmp_path / "a.tif")
    assert facts.error == "2,147,483,649 bytes, more than the limit of 2,147,483,648"
    assert facts.content_hash is None
    assert facts.size == (2 << 30) + 1


def test_what_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_facts(tmp_path / "gone.jpg").state == "missing"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert read_facts(tmp_path / "pipe.jpg").error == "not a regular file"
    assert read_facts(tmp_path).error == "not a regular file"
    assert hash_file(tmp_path / "pipe.jpg") is None

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.jpg").write_bytes(encoded("JPEG"))
    monkeypatch.setattr(os, "open", refuse)
    assert read_facts(tmp_path / "a.jpg") == ImageFacts("unreadable", "permission denied")


@given(st.binary(max_size=64))
def test_sniffing_any_bytes(head: bytes) -> None:
    assert sniff_format(head) in {None, *FORMATS, "HEIF"}
    assert sniff_format(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif" + head) == "AVIF"


@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"needs the photographs in {PHOTOS}")
def test_photographs() -> None:
    for path in sorted(PHOTOS.glob("*.jpg")):
        facts = read_facts(path)
        with Image.open(path) as image:
            assert (facts.width, facts.height) == ImageOps.exif_transpose(image).size
        assert (facts.state, facts.format) == ("ok", "JPEG")
