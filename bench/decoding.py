"""What drafted JPEG decoding does to embeddings: the cosine to decoding at full size, and the time it saves.

    python bench/decoding.py

Every photograph of ../shared/data is scaled so that libjpeg's 1/2, 1/4 or 1/8 leaves a given number of pixels for one
pixel of the model's input (the margin), saved as JPEG, and decoded both ways. The models are a ViT-B-32 with random
weights and the demo model. `colonnade.engine.decode.DRAFT_MARGIN` is chosen from the table: the smallest margin with
room to spare above cosine 0.999.
"""

from __future__ import annotations

import io
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
from embedding import PHOTOS, save_model
from PIL import Image

from colonnade.engine import decode as decoding
from colonnade.engine.embedder import Embedder, load_embedder
from colonnade.engine.errors import ModelError

MARGINS = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5)


def main() -> None:
    if not PHOTOS.is_dir():
        print(f"skipped: {PHOTOS} is not there")
        return
    logging.disable(logging.CRITICAL)
    print(f"DRAFT_MARGIN is {decoding.DRAFT_MARGIN:.3f}\n")
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder, "model"))
        embedders = {"ViT-B-32, random": load_embedder(f"local-dir:{folder}/model", device="cpu")}
    try:
        embedders["demo"] = load_embedder("demo", device="cpu")
    except ModelError as error:
        print(f"without the demo model: {error}")
    for name, embedder in embedders.items():
        apart = separation(embedder)
        print(f"{name}: cosine between different photographs {apart:.3f} on average")
        print(
            "  scale  margin  cosine min    mean   share of that distance, at most   pixel rms   time, of full"
        )
        for scale in (2, 4, 8):
            for margin in MARGINS:
                if scale * margin * embedder.preprocessing.height > 4000:
                    continue  # hundreds of megapixels
                row(embedder, scale, margin, apart)
        print()


def separation(embedder: Embedder) -> float:
    """Mean cosine between the photographs."""
    paths = sorted(PHOTOS.glob("*.jpg"))
    vectors = embedder.encode_images(
        np.stack([decoding.decode(path, embedder.preprocessing) for path in paths])
    )
    return float((vectors @ vectors.T)[~np.eye(len(vectors), dtype=bool)].mean())


def row(embedder: Embedder, scale: int, margin: float, apart: float) -> None:
    preprocessing = embedder.preprocessing
    full, drafted, spent = [], [], [0.0, 0.0]
    before, decoding.DRAFT_MARGIN = decoding.DRAFT_MARGIN, 0.99 * margin
    try:
        for path in sorted(PHOTOS.glob("*.jpg")):
            data = scaled(path, round(preprocessing.height * margin * scale))
            for way, (found, draft) in enumerate(((full, False), (drafted, True))):
                began = time.process_time()
                found.append(decoding.decode(data, preprocessing, draft=draft))
                spent[way] += time.process_time() - began
    finally:
        decoding.DRAFT_MARGIN = before
    both = [embedder.encode_images(np.stack(found)) for found in (full, drafted)]
    cosines = (both[0].astype(np.float64) * both[1]).sum(axis=1)
    rms = np.sqrt(np.mean((np.stack(full).astype(float) - np.stack(drafted)) ** 2))
    print(
        f"  1/{scale}    {margin:5.2f}  {cosines.min():10.6f} {cosines.mean():9.6f} "
        f"{(1 - cosines).max() / (1 - apart):20.4f} {rms:21.2f} {spent[1] / spent[0]:13.2f}",
        flush=True,
    )


def scaled(path: Path, short: int) -> bytes:
    """A photograph as a JPEG with a short side of `short` pixels."""
    with Image.open(path) as photo:
        factor = short / min(photo.size)
        size = (round(photo.width * factor), round(photo.height * factor))
        buffer = io.BytesIO()
        photo.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
