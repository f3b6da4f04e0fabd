"""A rendered collection: photographs in a folder as people keep them, and the truth about each beside it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from colonnade.engine.demo.scenes import ATTRIBUTES, paint, plan_scene, scene_rng
from colonnade.engine.errors import InputError

__all__ = ["PHOTOS", "TRUTH_FILE", "Truth", "load_truth", "render_collection"]

PHOTOS = "photos"
"""Folder of the images, inside the collection's directory."""

TRUTH_FILE = "truth.json"
"""What each image shows, beside the folder and not in it."""

Truth = dict[str, tuple[str, ...]]
"""Path of an image relative to the photos folder (`/`-separated) -> codes of what it shows."""

SERIES = 7
"""Keeps the scenes of a collection apart from the scenes of training and tests."""

MAKE, MODEL, ORIENTATION, EXIF_IFD, TAKEN = 0x010F, 0x0110, 0x0112, 0x8769, 0x9003
STORED_AS = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright picture is turned before it is stored with that EXIF orientation."""

LARGEST_TRUTH = 64 * 2**20


def render_collection(
    directory: Path, count: int, seed: int, *, progress: Callable[[int], None] | None = None
) -> Truth:
    """Write `count` JPEG and PNG photographs to `directory`/photos and the truth to `directory`/truth.json.

    Names, folders, sizes (300 to 1,200 pixels), capture dates and orientations vary. The same seed gives the
    same pictures, and a smaller count the first of them.

    Args:
        progress: Called after each image with the number written so far.

    Returns:
        What each image shows, as `load_truth` reads it back.

    Raises:
        InputError: The photos folder is there already and not empty, or cannot be written.
    """
    photos = directory / PHOTOS
    if photos.is_dir() and any(photos.iterdir()):
        raise InputError(f"{photos}: not empty; give another directory or remove it first")
    truth: Truth = {}
    try:
        photos.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            name, shown = _write_photo(photos, np.random.default_rng([SERIES, seed, index]), seed, index)
            truth[name] = shown
            if progress is not None:
                progress(index + 1)
        document = {"seed": seed, "attributes": ATTRIBUTES, "images": truth}
        (directory / TRUTH_FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{directory}: cannot write the demo collection: {error.strerror or error}"
        ) from error
    return truth


def load_truth(directory: Path) -> Truth:
    """Read the truth of the collection in `directory`.

    Raises:
        InputError: There is no truth file, or it is not one.
    """
    path = directory / TRUTH_FILE
    try:
        if path.stat().st_size > LARGEST_TRUTH:
            raise InputError(f"{path}: larger than a truth file can be")
        images = json.loads(path.read_text(encoding="utf-8"))["images"]
        return {
            str(name): tuple(code for code in ATTRIBUTES if code in frozenset(shown))
            for name, shown in images.items()
        }
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; render the collection again") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not a truth file; render the collection again") from error


def _write_photo(
    photos: Path, rng: np.random.Generator, seed: int, index: int
) -> tuple[str, tuple[str, ...]]:
    scene = plan_scene(scene_rng(seed, index))
    short = int(rng.integers(300, 901))
    longer = min(1200, round(short * float(rng.choice([1.0, 1.25, 1.333, 1.5]))))
    size = (longer, short) if rng.random() < 0.7 else (short, longer)
    image = paint(scene, *size)
    orientation = int(rng.choice([1, 3, 6, 8], p=[0.76, 0.04, 0.12, 0.08]))
    quality = int(rng.integers(78, 95))
    year = int(rng.integers(1969, 2025))
    name = _name(rng, year, index)
    exif = _exif(rng, year, 1 if name.suffix == ".png" else orientation)
    path = photos.joinpath(*name.parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.suffix == ".png":
        image.save(path, exif=exif, compress_level=4)
    else:
        stored = image.transpose(STORED_AS[orientation]) if orientation in STORED_AS else image
        stored.save(path, "JPEG", quality=quality, exif=exif)
    return str(name), tuple(code for code in ATTRIBUTES if code in scene.shows)


def _name(rng: np.random.Generator, year: int, index: int) -> PurePosixPath:
    """A name as cameras, scanners and archives give them; it tells nothing about the scene."""
    identity = uuid.UUID(bytes=rng.bytes(16), version=4)
    styles = (
        f"{year}/IMG_{index:04}.jpg",
        f"{year}/{int(rng.integers(1, 13)):02}/DSC{index:05}.JPG",
        f"archive/as{int(rng.integers(8, 18)):02}-{int(rng.integers(30, 160))}-{20000 + index}.jpg",
        f"{identity}.jpg",
        f"scans/scan {index:04} (página {int(rng.integers(1, 9))}).png",
        f"p{index:06}.jpeg",
    )
    return PurePosixPath(styles[int(rng.choice(len(styles), p=[0.3, 0.2, 0.15, 0.15, 0.1, 0.1]))])


def _exif(rng: np.random.Generator, year: int, orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    month, day = int(rng.integers(1, 13)), int(rng.integers(1, 29))
    hour, minute, second = (int(rng.integers(limit)) for limit in (24, 60, 60))
    model = int(rng.integers(1, 6))
    # Scans and shared pictures often carry no date and no camera.
    if rng.random() < 0.85:
        exif[MAKE] = "Demonstration"
        exif[MODEL] = f"Renderer {model}"
        exif.get_ifd(EXIF_IFD)[TAKEN] = f"{year:04}:{month:02}:{day:02} {hour:02}:{minute:02}:{second:02}"
    return exif
