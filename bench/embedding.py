"""Embedding throughput, JPEG decoding included, against the bare open_clip model on tensors decoded before.

    python bench/embedding.py [--images 256] [--rounds 5] [--batch 64]

A ViT-B-32 with random weights embeds JPEGs of 12 megapixels and of 500 pixels, made from the photographs of
../shared/data. Both ways take turns in the same process, so that whatever else the machine does hits both; the ratio
is the median over the rounds. CPU time tells more than the clock on a machine that others use: it is that of this
process and its decoding workers together, for one image.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from colonnade.engine.decode import decode
from colonnade.engine.embedder import Embedder, load_embedder
from colonnade.engine.pipeline import embed_files

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "photos"
KINDS = {"12 MP": (4000, 3000), "500 px": (500, 375)}
DISTINCT = 16


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=256, help="in each round, each way")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--quality", type=int, default=90, help="of the JPEGs, with 4:2:0 chroma")
    arguments = parser.parse_args()
    if not PHOTOS.is_dir():
        parser.exit(0, f"skipped: {PHOTOS} is not there\n")
    print(f"load average before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as folder:
        model = save_model(Path(folder, "model"))
        embedder = load_embedder(f"local-dir:{folder}/model", device="cpu")
        for kind, size in KINDS.items():
            made = make_jpegs(Path(folder), size, arguments.quality)
            files = [made[number % len(made)] for number in range(arguments.images)]
            measure(kind, model, embedder, files, arguments.rounds, arguments.batch)


def save_model(folder: Path) -> Any:
    """A randomly initialised ViT-B-32 as a `local-dir:`; returns the bare model."""
    logging.disable(logging.CRITICAL)
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32").eval()
    folder.mkdir()
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return model


def make_jpegs(folder: Path, size: tuple[int, int], quality: int) -> list[Path]:
    """Crops of the photographs, scaled to `size`: of the 8-megapixel one if they must be large, else of all."""
    chance = random.Random(0)
    large = size[0] > 2000
    sources = sorted(PHOTOS.glob("*large.jpg" if large else "*.jpg"))
    paths = []
    for number in range(DISTINCT):
        with Image.open(sources[number % len(sources)]) as photo:
            width, height = photo.size
            part = chance.uniform(0.85, 1.0)
            wide = part * min(width, height * size[0] / size[1])
            high = wide * size[1] / size[0]
            left, top = chance.uniform(0, width - wide), chance.uniform(0, height - high)
            box = (left, top, left + wide, top + high)
            picture = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS, box=box)
        path = folder / f"{size[0]}-{number:02}.jpg"
        picture.save(path, "JPEG", quality=quality)
        paths.append(path)
    return paths


def measure(kind: str, model: Any, embedder: Embedder, files: list[Path], rounds: int, batch: int) -> None:
    import torch

    preprocessing = embedder.preprocessing
    pixels = np.stack([decode(path, preprocessing) for path in files])
    mean, std = (torch.tensor(part)[:, None, None] for part in (preprocessing.mean, preprocessing.std))
    tensors = ((torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std).contiguous()
    ours: dict[int, np.ndarray] = {}

    def bare() -> torch.Tensor:
        with torch.inference_mode():
            return torch.cat([model.encode_image(part, normalize=True) for part in tensors.split(batch)])

    def forward() -> np.ndarray:
        return embedder.encode_images(pixels)

    def whole() -> None:
        for done in embed_files(embedder, enumerate(files), batch_size=batch):
            ours.update(zip(done.ids.tolist(), done.vectors, strict=True))

    expected = bare().numpy()
    whole()
    cosine = min(float(expected[number] @ vector) for number, vector in ours.items())
    ways: dict[str, Callable[[], Any]] = {"bare": bare, "forward": forward, "pipeline": whole}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else list(reversed(ways)):
            began, used = time.perf_counter(), cpu_seconds()
            ways[name]()
            seconds[name].append(time.perf_counter() - began)
            cpu[name].append(cpu_seconds() - used)
    began = cpu_seconds()
    for path in files[:DISTINCT]:
        decode(path, preprocessing)
    decoding = (cpu_seconds() - began) / DISTINCT
    megabytes = statistics.mean(path.stat().st_size for path in files[:DISTINCT]) / 1e6
    print(
        f"\n{kind}: {len(files)} images, {megabytes:.2f} MB each, decoding {1e3 * decoding:.1f} CPU-ms an image"
    )
    for name in ways:
        rate = len(files) / statistics.median(seconds[name])
        ratios = [before / after for before, after in zip(seconds["bare"], seconds[name], strict=True)]
        per_image = 1e3 * statistics.median(cpu[name]) / len(files)
        less = statistics.median(cpu["bare"]) / statistics.median(cpu[name])
        print(
            f"  {name:<9}{rate:6.1f} images/s {per_image:6.1f} CPU-ms an image, "
            f"ratio to bare {statistics.median(ratios):.2f} by the clock, {less:.2f} by CPU time"
        )
    print(f"  cosine of the pipeline's vectors to the bare model's: at least {cosine:.6f}")


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


if __name__ == "__main__":
    main()
