"""Calibration at scale, as whole processes: the first fit of every attribute, and a cut that moves.

    python bench/calibration_scale.py [--images 1000000] [--attributes 40] [--dimension 512] [--keep DIR]

A store of N unit vectors (real CLIP embeddings, repeated with a little noise, where ../shared/data is there; else
random ones), its attributes' prompts and 1,203 background phrases, all imported. Then `calibration fit` of all
attributes (the fits on a sample, and the confidences of every image), `calibration set CODE --cut` of one (its
confidences anew from the stored log odds), 8 more attributes, and `plan`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from attributes import DATA, source, vocabulary, write_vectors, write_vocabulary
from measure import COLONNADE, row, run

ADDED = 8
PHRASES = 1203

IMPORTS = """
import sys
from colonnade.tui.cli import main
sys.argv = ["colonnade", "-q", "-s", sys.argv[1], "tag"]
try:
    main()
except SystemExit as error:
    assert not error.code, error.code
print(*sorted({"torch", "open_clip", "umap", "textual", "PIL"} & sys.modules.keys()))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--attributes", type=int, default=40)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--keep", type=Path, help="build the store here and leave it")
    parser.add_argument("--build", type=Path, help="only build the store here")
    options = parser.parse_args()
    if options.build:
        build(options.build, options.images, options.attributes, options.dimension)
        return
    folder = options.keep or Path(tempfile.mkdtemp(prefix="colonnade-bench-"))
    try:
        measure(folder, options.images, options.attributes, options.dimension)
    finally:
        if not options.keep:
            shutil.rmtree(folder)


def measure(folder: Path, images: int, attributes: int, dimension: int) -> None:
    store = str(folder / "store")
    if not (folder / "store").exists():
        # In a process of its own: the peak memory of a child counts what its parent held when it started.
        size = ["--images", str(images), "--attributes", str(attributes), "--dimension", str(dimension)]
        run([sys.executable, __file__, "--build", str(folder), *size])
    print(f"{images:,} images x {attributes} attributes, {PHRASES:,} phrases, {dimension} dimensions")

    fitted = run([COLONNADE, "-q", "-s", store, "calibration", "fit"])
    row(f"calibration fit of {attributes} attributes", fitted.seconds, note=f"{fitted.peak_mb:,.0f} MB peak")
    cut = json.loads(run([COLONNADE, "-s", store, "calibration", "show", "c00", "c01", "--json"]).stdout)[0][
        "cut"
    ]
    moves = [
        run([COLONNADE, "-q", "-s", store, "calibration", "set", "c00", "--cut", str(cut + step)])
        for step in (-0.5, 0.0, -0.25, 0.0, -0.5)
    ]
    seconds = sorted(moved.seconds for moved in moves)
    row(
        "a moved cut of one attribute, median of 5",
        seconds[2],
        note=f"{moves[0].peak_mb:,.0f} MB peak, best {seconds[0]:.2f} s",
    )
    write_vocabulary(folder / "store", attributes + ADDED)
    planned = run([COLONNADE, "-s", store, "plan"], ok=(1,))
    row("plan", planned.seconds)
    print("  " + planned.stdout.splitlines()[0])
    added = run([sys.executable, "-c", IMPORTS, store])
    heavy = added.stdout.split("\n")[-2].strip() or "none"
    row(
        f"add {ADDED} attributes, texts cached",
        added.seconds,
        note=f"{added.peak_mb:,.0f} MB peak, heavy modules imported: {heavy}",
    )


def build(folder: Path, images: int, attributes: int, dimension: int) -> None:
    """A store with vectors of images, prompts and phrases; nothing is scored."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors, _ = source(images, dimension, np.random.default_rng(1))
    write_vectors(folder / "images.parquet", "path", [f"image-{i:07d}.jpg" for i in range(images)], vectors)
    del vectors
    texts = prompts(attributes + ADDED, dimension)
    write_vectors(folder / "prompts.parquet", "prompt", [f"prompt {k}" for k in range(len(texts))], texts)
    write_vectors(
        folder / "phrases.parquet", "prompt", [f"phrase {k}" for k in range(PHRASES)], phrases(dimension)
    )
    (folder / "vocabulary.yaml").write_text(vocabulary(attributes))
    store = str(folder / "store")
    run([COLONNADE, "-q", "init", store, "--vocabulary", str(folder / "vocabulary.yaml"), "--model", "hash"])
    imported = [COLONNADE, "-q", "-s", store, "import", "embeddings", str(folder / "images.parquet")]
    texts_of = ["--text", str(folder / "prompts.parquet"), "--background", str(folder / "phrases.parquet")]
    run([*imported, "--path", "path", "--model", "bench", "--logit-scale", "100", *texts_of])
    (folder / "images.parquet").unlink()


def prompts(count: int, dimension: int) -> np.ndarray:
    """Unit vectors float32 [n, D] of attributes' prompts."""
    if dimension == 512 and DATA.is_dir():
        column = pq.read_table(DATA / "imagenet_text.parquet")["embedding"][:count]
        return np.stack(column.to_numpy()).astype(np.float32)
    return np.random.default_rng(2).standard_normal((count, dimension), dtype=np.float32)


def phrases(dimension: int) -> np.ndarray:
    """Unit vectors float32 [1203, D] of everyday phrases."""
    if dimension == 512 and DATA.is_dir():
        column = pq.read_table(DATA / "lvis_text.parquet")["embedding"]
        return np.stack(column.to_numpy()).astype(np.float32)
    return np.random.default_rng(3).standard_normal((PHRASES, dimension), dtype=np.float32)


if __name__ == "__main__":
    main()
