"""What drafted JPEG decoding does to embeddings: the cosine to decoding at full size, and the time it saves.

    python bench/decoding.py

Crops of the photographs of ../shared/data are scaled so that libjpeg's 1/2, 1/4 or 1/8 leaves a given number of pixels
for one pixel of the model's input (the margin), saved as JPEG, and decoded at full size and at the smaller one, with
and without the sharpening that follows. The models are a ViT-B-32 with random weights and the demo model, which was
trained on rendered scenes and takes small differences of photographs hardest. `colonnade.engine.shrink.MARGINS` is
chosen from the table.
"""

from __future__ import annotations

import io
import logging
import random
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
from embedding import PHOTOS, save_model
from PIL import Image

from colonnade.engine import shrink
from colonnade.engine.decode import Pixels, decode
from colonnade.engine.embedder import Embedder, load_embedder
from colonnade.engine.errors import ModelError

TRIED = (1.5, 2.0, 2.2, 2.5, 3.0, 3.5)
CROPS = 48


def main() -> None:
    if not PHOTOS.is_dir():
        print(f"skipped: {PHOTOS} is not there")
        return
    logging.disable(logging.CRITICAL)
    print(f"MARGINS are {shrink.MARGINS}\n")
    pictures = crops()
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder, "model"))
        embedders = {"ViT-B-32, random": load_embedder(f"local-dir:{folder}/model", device="cpu")}
    try:
        embedders["demo"] = load_embedder("demo", device="cpu")
    except ModelError as error:
        print(f"without the demo model: {error}")
    for name, embedder in embedders.items():
        apart = separation(embedder, pictures)
        print(f"{name}: cosine between different crops {apart:.3f} on average")
        print(
            "  scale  margin  cosine min    mean   share of that distance, at most   pixel rms   "
            "not sharpened: min    mean   time, of full"
        )
        for scale in (2, 4, 8):
            for margin in TRIED:
                if scale * margin * embedder.preprocessing.height > 4000:
                    continue  # hundreds of megapixels
                row(embedder, pictures, scale, margin, apart)
        print()


def crops() -> list[Image.Image]:
    """The photographs, and random crops of the largest three: fine detail is what shrinking may lose."""
    chance = random.Random(1)
    found = []
    for path in sorted(PHOTOS.glob("*.jpg")):
        with Image.open(path) as photo:
            found.append(photo.convert("RGB"))
    largest = sorted(found, key=lambda photo: -min(photo.size))[:3]
    for number in range(CROPS - len(found)):
        photo = largest[number % 3]
        side = chance.uniform(0.5, 1.0) * min(photo.size)
        left, top = chance.uniform(0, photo.width - side), chance.uniform(0, photo.height - side)
        found.append(photo.crop((int(left), int(top), int(left + side), int(top + side))))
    return found


def separation(embedder: Embedder, pictures: list[Image.Image]) -> float:
    """Mean cosine between the pictures."""
    preprocessing = embedder.preprocessing
    pixels = [decode(scaled(picture, 2 * preprocessing.height), preprocessing) for picture in pictures]
    vectors = embedder.encode_images(np.stack(pixels))
    return float((vectors @ vectors.T)[~np.eye(len(vectors), dtype=bool)].mean())


def row(embedder: Embedder, pictures: list[Image.Image], scale: int, margin: float, apart: float) -> None:
    preprocessing = embedder.preprocessing
    plain = mock.patch.object(shrink, "sharpened", lambda pixels, across, down: pixels)
    found: dict[str, list[Pixels]] = {"full": [], "drafted": [], "plain": []}
    spent = dict.fromkeys(found, 0.0)
    with mock.patch.object(shrink, "MARGINS", {scale: 0.99 * margin}):
        for picture in pictures:
            data = scaled(picture, round(preprocessing.height * margin * scale))
            for way, pictured in found.items():
                began = time.process_time()
                if way == "plain":
                    with plain:
                        pictured.append(decode(data, preprocessing))
                else:
                    pictured.append(decode(data, preprocessing, draft=way == "drafted"))
                spent[way] += time.process_time() - began
    vectors = {way: embedder.encode_images(np.stack(some)).astype(np.float64) for way, some in found.items()}
    cosines, before = ((vectors["full"] * vectors[way]).sum(axis=1) for way in ("drafted", "plain"))
    rms = np.sqrt(np.mean((np.stack(found["full"]).astype(float) - np.stack(found["drafted"])) ** 2))
    print(
        f"  1/{scale}    {margin:5.2f}  {cosines.min():10.6f} {cosines.mean():9.6f} "
        f"{(1 - cosines).max() / (1 - apart):20.4f} {rms:21.2f} {before.min():20.6f} {before.mean():9.6f} "
        f"{spent['drafted'] / spent['full']:9.2f}",
        flush=True,
    )


def scaled(picture: Image.Image, short: int) -> bytes:
    """A picture as a JPEG with a short side of `short` pixels."""
    factor = short / min(picture.size)
    size = (round(picture.width * factor), round(picture.height * factor))
    buffer = io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
