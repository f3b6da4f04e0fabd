"""What `decode` makes of pictures of every kind, and of files that are none."""

from __future__ import annotations

import io
import math
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from colonnade.engine import decode as module
from colonnade.engine import modes, shrink
from colonnade.engine.decode import DecodeError, decode
from colonnade.engine.demo.collection import STORED_AS
from colonnade.engine.demo.scenes import paint, plan_scene, scene_rng
from colonnade.engine.embedder import Preprocessing, load_embedder
from colonnade.engine.facts import read_facts
from colonnade.engine.geometry import geometry

PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "photos"
SQUARE = Preprocessing(height=64, width=64)
RESIZES = ("shortest", "longest", "squash")


def scene(width: int = 200, height: int = 150) -> Image.Image:
    """Smooth, and different in each corner, so that turning or shifting it shows."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = 0.5 + 0.5 * np.sin(9 * across + 4 * down)
    return Image.fromarray((255 * np.stack([across, down, waves], axis=2)).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(image: Image.Image, preprocessing: Preprocessing = SQUARE) -> np.ndarray:
    return decode(saved(image, "PNG"), preprocessing).astype(int)


def near(found: np.ndarray, expected: np.ndarray, rms: float = 2.0) -> bool:
    return bool(np.sqrt(((found.astype(float) - expected) ** 2).mean()) < rms)


@pytest.mark.slow
@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(224, 224), (96, 96), (192, 256), (256, 192)])
def test_the_pixels_are_those_of_open_clip(resize: Any, interpolation: Any, size: tuple[int, int]) -> None:
    if not PHOTOS.is_dir():
        pytest.skip("the photographs of ../shared/data/photos are not here")
    from open_clip.transform import PreprocessCfg, image_transform_v2

    ignored = resize == "shortest" and size[0] != size[1]  # open_clip then resizes bicubically anyway
    preprocessing = Preprocessing(*size, resize, "bicubic" if ignored else interpolation, fill=7)
    config = PreprocessCfg(
        size=size,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        interpolation=interpolation,
        resize_mode=resize,
        fill_color=7,
    )
    transform = image_transform_v2(config, is_train=False)
    for path in sorted(PHOTOS.glob("*.jpg")):
        with Image.open(path) as image:
            expected = np.rint(transform(image).numpy() * 255).transpose(1, 2, 0)
        difference = np.abs(decode(path, preprocessing, draft=False) - expected)
        assert difference.max() <= 2 and (difference > 0).mean() < 0.01, path.name


@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from(RESIZES),
    st.integers(8, 96),
    st.integers(8, 96),
)
@settings(max_examples=60, deadline=None)
def test_geometry_fills_the_input_from_inside_the_picture(
    width: int, height: int, resize: Any, wide: int, high: int
) -> None:
    place = geometry(width, height, Preprocessing(high, wide, resize))
    left, top, right, bottom = place.box
    assert 0 <= left < right <= width + 1e-6 and 0 <= top < bottom <= height + 1e-6
    assert place.offset[0] + place.size[0] <= wide and place.offset[1] + place.size[1] <= high
    if resize != "longest":
        assert place.size == (wide, high) and place.offset == (0, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    back = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    for size in ((200, 150), (1600, 1200)):
        upright = scene(*size)
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright if back is None else upright.transpose(back)
        options = {"lossless": True} if kind == "WEBP" else {}
        found = decode(saved(stored, kind, exif=exif, **options), SQUARE)
        assert near(found, plain(upright)), size


@pytest.mark.parametrize("size", [(4000, 3000), (3001, 4003), (1000, 700), (520, 513), (2047, 131)])
@pytest.mark.parametrize("resize", RESIZES)
def test_a_drafted_jpeg_is_the_same_picture(size: tuple[int, int], resize: Any) -> None:
    preprocessing = Preprocessing(64, 64, resize)
    data = saved(scene(*size), "JPEG", quality=92)
    assert near(decode(data, preprocessing), decode(data, preprocessing, draft=False).astype(int), 1.5)


def test_drafting_keeps_the_margin() -> None:
    sizes = []
    original = Image.Image.resize

    def spy(self: Image.Image, *args: Any, **kwargs: Any) -> Image.Image:
        sizes.append(min(self.size))
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "resize", spy)
        for short in (64, 100, 383, 384, 563, 564, 1126, 1127, 3000):
            decode(saved(scene(short + 40, short), "JPEG"), SQUARE)
    assert shrink.MARGINS == {8: 2.2, 4: 2.2, 2: 3.0}
    assert sizes == [64, 100, 383, 192, 282, 141, 282, 141, 375]


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_sharpening_brings_a_drafted_jpeg_nearer_to_the_whole(
    scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = math.ceil(64 * shrink.MARGINS[scale] * scale)
    data = saved(detailed(short), "JPEG", quality=95)
    whole = decode(data, SQUARE, draft=False).astype(float)

    def away() -> float:
        return float(np.sqrt(np.mean((decode(data, SQUARE) - whole) ** 2)))

    sharpened = away()
    monkeypatch.setattr(shrink, "_SHARPENING", 0.0)
    assert sharpened < (away() if scale == 2 else 0.92 * away())


def detailed(side: int) -> Image.Image:
    """Detail of all sizes, with as much contrast in each octave: as photographs have it."""
    across, down = np.fft.rfftfreq(side)[None, :], np.fft.fftfreq(side)[:, None]
    spectrum = np.fft.rfft2(np.random.default_rng(3).standard_normal((side, side)))
    spectrum /= np.maximum(np.hypot(across, down), 1 / side)
    values = np.fft.irfft2(spectrum, s=(side, side))
    grey = np.clip(128 + 50 * values / values.std(), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def test_sharpening_leaves_even_areas_and_stays_within_a_byte() -> None:
    pixels = np.full((9, 7, 3), 200, np.uint8)
    assert (shrink.sharpened(pixels, 0.4, 0.4) == 200).all()
    pixels[:, 3:] = 255
    pixels[:, :3] = 0
    assert (shrink.sharpened(pixels, 0.4, 0.4) == pixels).all()
    pixels[:, :3] = 100
    found = shrink.sharpened(pixels, 0.4, 0.0)
    assert (found[:, 2] == 99).all() and (found[:, [0, 1, 3, 4, 5, 6]] == pixels[:, [0, 1, 3, 4, 5, 6]]).all()


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_a_drafted_jpeg_has_the_embedding_of_the_whole(scale: int) -> None:
    """Cosine >= 0.999 with the bundled model, of pictures no larger than a scale needs: its worst case.

    The scenes are those on which too small a margin shows most.
    """
    pytest.importorskip("torch", reason="the model needs torch")
    model = load_embedder("demo", device="cpu")
    preprocessing = model.preprocessing
    short = math.ceil(preprocessing.height * shrink.MARGINS[scale] * scale)
    pairs = []
    for index, size in (
        (5, (short * 5 // 4, short)),
        (5, (short, short * 5 // 4)),
        (3, (short * 3 // 2, short)),
    ):
        upright = paint(plan_scene(scene_rng(11, index)), *size)
        for orientation, back in ((1, None), *STORED_AS.items()):
            exif = Image.Exif()
            exif[0x0112] = orientation
            stored = upright if back is None else upright.transpose(back)
            data = saved(stored, "JPEG", quality=92, exif=exif)
            pairs.append([decode(data, preprocessing, draft=draft) for draft in (True, False)])
    assert all((drafted != full).any() for drafted, full in pairs), "each was decoded at a smaller scale"
    drafted, full = (model.encode_images(np.stack(side)) for side in zip(*pairs, strict=True))
    cosines = (drafted.astype(np.float64) * full).sum(axis=1)
    assert cosines.min() >= 0.999, cosines


def test_transparent_parts_show_the_mean_colour() -> None:
    clear = Image.new("RGBA", (100, 100), (255, 0, 0, 0))
    mean = [round(255 * value) for value in SQUARE.mean]
    for kind in ("PNG", "WEBP", "TIFF", "AVIF"):
        assert near(decode(saved(clear, kind), SQUARE), np.array(mean)), kind
    palette = Image.new("P", (100, 100), 0)
    palette.putpalette([0, 255, 0, 9, 9, 9])
    for kind in ("GIF", "PNG"):
        assert near(decode(saved(palette, kind, transparency=0), SQUARE), np.array(mean)), kind
        assert near(decode(saved(palette, kind), SQUARE), np.array([0, 255, 0])), kind
    grey = Image.new("LA", (100, 100), (200, 128))
    assert near(decode(saved(grey, "PNG"), SQUARE), 0.5 * np.array(mean) + 100)
    keyed = Image.new("RGB", (100, 100), (1, 2, 3))
    assert near(decode(saved(keyed, "PNG", transparency=(1, 2, 3)), SQUARE), np.array(mean))


def test_pictures_of_other_depths() -> None:
    levels = np.linspace(0, 1, 200)[None, :].repeat(150, axis=0)
    expected = plain(Image.fromarray((255 * levels).astype(np.uint8)))
    sixteen = Image.fromarray((65535 * levels).astype(np.uint16))
    assert near(decode(saved(sixteen, "PNG"), SQUARE), expected)
    assert near(decode(saved(sixteen, "TIFF"), SQUARE), expected)
    for real in (levels, 255 * levels, 4000 * levels - 700):
        assert near(decode(saved(Image.fromarray(real.astype(np.float32)), "TIFF"), SQUARE), expected)
    whole = Image.fromarray((70000 * levels).astype(np.int32))
    assert near(decode(saved(whole, "TIFF"), SQUARE), expected)
    holes = levels.astype(np.float32)
    holes[0, 0] = np.nan
    assert near(decode(saved(Image.fromarray(holes), "TIFF"), SQUARE), expected)
    flat = Image.fromarray(np.full((20, 20), 1e9, np.float32))
    assert decode(saved(flat, "TIFF"), SQUARE).shape == (64, 64, 3)
    bits = Image.new("1", (100, 100), 1)
    assert decode(saved(bits, "TIFF"), SQUARE).min() == 255
    assert decode(saved(bits, "PNG"), SQUARE).min() == 255


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    picture = scene().convert("CMYK")
    assert near(decode(saved(picture, kind), SQUARE), plain(picture.convert("RGB")), 6)


def test_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (80, 80), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    for kind in ("GIF", "TIFF", "WEBP", "PNG", "AVIF", "MPO"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert near(decode(data, SQUARE), np.array([250, 0, 0]), 6), kind


def test_heic() -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    buffer = io.BytesIO()
    heif.from_pillow(scene()).save(buffer, quality=95)
    assert near(decode(buffer.getvalue(), SQUARE), plain(scene()), 6)


def branded(data: bytes, brand: bytes) -> bytes:
    """An AVIF or HEIC file that names another major brand; the compatible ones stay."""
    assert data[4:8] == b"ftyp" and data[8:12] != brand
    return data[:8] + brand + data[12:]


@pytest.mark.parametrize("brand", [b"mif1", b"msf1"])
def test_avif_of_a_general_brand_needs_pillow_alone(brand: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = branded(saved(scene(), "AVIF", quality=95), brand)
    assert near(decode(data, SQUARE), plain(scene()), 6)


@pytest.mark.parametrize("brand", [b"hevx", b"mif1"])
def test_heic_of_any_brand_that_a_scan_takes(brand: bytes, tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    buffer = io.BytesIO()
    heif.from_pillow(scene()).save(buffer, quality=95)
    file = tmp_path / "a.heic"
    file.write_bytes(branded(buffer.getvalue(), brand))
    assert read_facts(file).state == "ok"
    assert near(decode(file, SQUARE), plain(scene()), 6)


def png_of(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))


@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 1), (25_000, 25_000)])
def test_bombs_are_refused_before_decoding(size: tuple[int, int]) -> None:
    with pytest.raises(DecodeError, match="pixels"):
        decode(png_of(*size), SQUARE)
    with pytest.raises(DecodeError, match=r"200 x 150 pixels is over the limit of 29999 pixels"):
        decode(saved(scene(), "PNG"), SQUARE, max_pixels=29_999)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "BMP"])
def test_the_number_of_pixels_is_looked_at_before_them(kind: str) -> None:
    """Of a file whose pixels are cut short the number is what is refused: none was decoded to find out."""
    noise = np.random.default_rng(1).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    whole = saved(Image.fromarray(noise), kind)
    cut = whole[: len(whole) // 2]
    with pytest.raises(DecodeError) as caught:
        decode(cut, SQUARE)
    assert "pixels" not in str(caught.value)
    with pytest.raises(DecodeError, match=r"200 x 150 pixels is over the limit of 29999 pixels"):
        decode(cut, SQUARE, max_pixels=29_999)


def test_the_limit_of_pixels_is_ours_and_not_that_of_pillow() -> None:
    large = saved(Image.new("1", (15_000, 13_000), 1), "PNG")
    limit = Image.MAX_IMAGE_PIXELS
    assert limit is not None and 2 * limit < 15_000 * 13_000
    assert decode(large, SQUARE).min() == 255
    assert limit == Image.MAX_IMAGE_PIXELS


def test_pictures_that_take_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DECODED_BYTES", 2 * 200 * 150)
    for picture, kind in ((scene(), "PNG"), (scene().convert("L"), "WEBP"), (scene().convert("F"), "TIFF")):
        with pytest.raises(DecodeError, match=r"200 x 150 pixels take \d+ bytes to decode, over the limit"):
            decode(saved(picture, kind), SQUARE)
    for mode in ("L", "P", "1", "I;16"):
        assert decode(saved(scene().convert("L").convert(mode), "PNG"), SQUARE).shape == (64, 64, 3), mode


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize(
    ("mode", "orientation"),
    [
        *((mode, 1) for mode in ("RGBA", "P", "L", "LA", "I;16", "F")),
        *(("RGB", orientation) for orientation in range(1, 9)),
    ],
)
def test_large_pictures_are_shrunk_a_band_at_a_time(
    monkeypatch: pytest.MonkeyPatch, mode: str, resize: Any, orientation: int
) -> None:
    picture = scene(701, 1003)
    if mode == "RGBA":
        picture.putalpha(picture.getchannel("R"))
    else:
        picture = picture.convert("L" if mode in ("I;16", "F") else mode)
    if mode in ("I;16", "F"):
        levels = np.asarray(picture).astype(np.float32) * 257
        picture = Image.fromarray(levels.astype(np.uint16) if mode == "I;16" else levels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(picture, "TIFF" if mode == "F" else "PNG", exif=exif)
    preprocessing = Preprocessing(40, 64, resize)
    expected = decode(data, preprocessing)
    monkeypatch.setattr(module, "_BIG_PIXELS", 1)
    monkeypatch.setattr(modes, "_BAND_PIXELS", 20_000)
    assert near(decode(data, preprocessing), expected.astype(float), 1.5)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_a_truncated_file_is_never_a_part_of_a_picture(kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), kind)
    for part in (0.1, 0.5, 0.9):
        with pytest.raises(DecodeError) as caught:
            decode(data[: int(part * len(data))], SQUARE)
        assert "\n" not in str(caught.value) and str(caught.value)


BIG_JPEG = saved(scene(1200, 900), "JPEG", quality=60)


@given(st.integers(0, len(BIG_JPEG)))
@settings(max_examples=60, deadline=None)
@example(len(BIG_JPEG) - 2)
def test_a_jpeg_cut_anywhere_is_whole_or_refused(length: int) -> None:
    try:
        found = decode(BIG_JPEG[:length], SQUARE)
    except DecodeError:
        return
    assert (found == decode(BIG_JPEG, SQUARE)).all()


SMALL = {kind: saved(scene(40, 30), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")}


@given(
    st.sampled_from(sorted(SMALL)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_damaged_files_give_pixels_or_a_reason(kind: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL[kind])
    for place, value in changes:
        data[place % len(data)] = value
    try:
        pixels = decode(bytes(data), SQUARE, max_pixels=10**6)
    except DecodeError as error:
        assert str(error).isprintable()
    else:
        assert pixels.shape == (64, 64, 3) and pixels.dtype == np.uint8


def test_what_is_no_image(tmp_path: Path) -> None:
    pipe, text, empty = tmp_path / "pipe.jpg", tmp_path / "text.jpg", tmp_path / "empty.jpg"
    os.mkfifo(pipe)
    text.write_text("no image at all")
    empty.touch()
    for path, reason in (
        (pipe, "not a regular file"),
        (tmp_path, "not a regular file"),
        (text, "not an image in a known format"),
        (empty, "the file is empty"),
        (tmp_path / "gone.jpg", "not there"),
    ):
        with pytest.raises(DecodeError, match=reason):
            decode(path, SQUARE)
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"  # would start Ghostscript
    with pytest.raises(DecodeError, match="not an image in a known format"):
        decode(script, SQUARE)


def test_file_names_of_any_bytes(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9 \n.png"
    try:
        with open(path, "wb") as file:  # noqa: PTH123 (bytes)
            file.write(saved(scene(), "PNG"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert (decode(Path(os.fsdecode(path)), SQUARE) == plain(scene())).all()


def test_tall_and_tiny_pictures() -> None:
    for size in ((1, 1), (1, 5000), (5000, 1), (3, 2)):
        image = Image.new("RGB", size, (10, 200, 30))
        ImageDraw.Draw(image).point((0, 0), (10, 200, 30))
        for resize in RESIZES:
            found = decode(saved(image, "PNG"), Preprocessing(64, 64, resize))  # type: ignore[arg-type]
            assert found.shape == (64, 64, 3)
            if resize != "longest":
                assert (found == (10, 200, 30)).all()
