"""Adding attributes and querying, as whole processes, against plain numpy + pyarrow + DuckDB in the same run.

    python bench/attributes.py [--images 12217] [--dimension 512] [--keep DIR]

A store of N unit vectors (real CLIP embeddings, repeated with a little noise, where ../shared/data is there; else
random ones) with 29 attributes gets 8 more whose prompts are cached. The floor reads the same embeddings, multiplies,
applies the sigmoid and writes 8 Parquet files, and nothing else: no snapshot, no provenance, no check.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import COLONNADE, pairs, row, run

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "clip_vit_b32"
BASE, ADDED = 29, 8

FLOOR_TAG = """
import sys, glob, numpy as np, pyarrow as pa, pyarrow.parquet as pq
store, out, prompts = sys.argv[1:4]
table = pq.read_table(prompts)
attributes = np.stack(table["embedding"].to_pylist()).astype(np.float32)[-8:]
for number, name in enumerate(sorted(glob.glob(store + "/live/embeddings/*/*.parquet"))):
    ids, logits = [], []
    for batch in pq.ParquetFile(name).iter_batches(batch_size=16384, columns=["image_id", "embedding"]):
        column = batch["embedding"]
        vectors = column.flatten().to_numpy().reshape(len(column), -1)
        ids.append(batch["image_id"].to_numpy())
        logits.append(vectors @ attributes.T * np.float32(100))
    ids, logits = np.concatenate(ids), np.concatenate(logits)
    for k in range(8):
        confidence = 1 / (1 + np.exp(-(logits[:, k] - 25.5) / 1.5))
        status = np.where(confidence >= 0.8, "accepted", np.where(confidence >= 0.5, "tentative", "rejected"))
        pq.write_table(pa.table({"image_id": ids, "logit": logits[:, k], "confidence": confidence.astype(np.float32),
                                 "status": pa.array(status).dictionary_encode()}), f"{out}/{k}-{number}.parquet")
"""

FLOOR_QUERY = """
import sys, duckdb
live = sys.argv[1] + "/live"
part = lambda code: f"read_parquet('{live}/scores/attribute_code={code}/*.parquet')"
print(duckdb.execute(f\"\"\"
    SELECT count(*) FROM read_parquet('{live}/images/*.parquet') i
    JOIN {part('c00')} a USING (image_id) JOIN {part('c01')} b USING (image_id) JOIN {part('c02')} c USING (image_id)
    WHERE i.state = 'ok' AND a.confidence >= 0.02::FLOAT AND b.confidence < 0.5::FLOAT AND c.status <> 'accepted'
\"\"\").fetchone()[0])
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=12_217)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--keep", type=Path, help="build the store here and leave it")
    parser.add_argument("--build", type=Path, help="only build the store here")
    options = parser.parse_args()
    if options.build:
        build(options.build, options.images, options.dimension)
        return
    folder = options.keep or Path(tempfile.mkdtemp(prefix="colonnade-bench-"))
    try:
        measure(folder, options.images, options.dimension)
    finally:
        if not options.keep:
            shutil.rmtree(folder)


def measure(folder: Path, images: int, dimension: int) -> None:
    store, prompts = str(folder / "store"), folder / "prompts.parquet"
    if not (folder / "store").exists():
        # In a process of its own: the peak memory of a child counts what its parent held when it started.
        size = ["--images", str(images), "--dimension", str(dimension)]
        print(run([sys.executable, __file__, "--build", str(folder), *size]).stdout, end="")
    print(f"{images:,} images x {BASE} attributes, {dimension} dimensions")

    write_vocabulary(folder / "store", BASE + ADDED)
    added = run([COLONNADE, "-s", store, "tag"])
    out = folder / "floor"
    out.mkdir(exist_ok=True)
    floor = run([sys.executable, "-c", FLOOR_TAG, store, str(out), str(prompts)])
    row(
        f"add {ADDED} attributes, prompts cached",
        added.seconds,
        floor.seconds,
        f"{added.peak_mb:,.0f} MB peak",
    )

    expression = "c00 >= 0.02 and c01 < 0.5 and not c02"
    query = [COLONNADE, "-s", store, "query", expression]
    mine, bare, ratio = pairs([*query, "--count"], [sys.executable, "-c", FLOOR_QUERY, store])
    row("query of three conditions, --count", mine, bare, f"paired ratio {ratio:.2f}")
    count = int(run([*query, "--count"]).stdout)
    plain = int(run([sys.executable, "-c", FLOOR_QUERY, store]).stdout)
    print(f"  both count {count:,}" if count == plain else f"  DIFFERENT: {count:,} and {plain:,}")
    top = [*query, "--sort", "c00", "--limit", "50"]
    mine, bare, ratio = pairs(top, [sys.executable, "-c", FLOOR_QUERY, store])
    row("the same, the best 50 with paths", mine, bare, f"paired ratio {ratio:.2f}")
    mine, bare, ratio = pairs([COLONNADE, "--help"], [sys.executable, "-c", "import typer"])
    row("--help (floor: python -c 'import typer')", mine, bare, f"paired ratio {ratio:.2f}")


def build(folder: Path, images: int, dimension: int) -> None:
    """A store with N embeddings and the first attributes scored, through the commands."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    vectors, texts = source(images, dimension, rng)
    write_vectors(folder / "images.parquet", "path", [f"image-{i:07d}.jpg" for i in range(images)], vectors)
    names = [f"prompt {k}" for k in range(len(texts))]
    write_vectors(folder / "prompts.parquet", "prompt", names, texts)
    (folder / "vocabulary.yaml").write_text(vocabulary(BASE))
    store = str(folder / "store")
    run([COLONNADE, "-q", "init", store, "--vocabulary", str(folder / "vocabulary.yaml"), "--model", "hash"])
    imported = [
        COLONNADE,
        "-q",
        "-s",
        store,
        "import",
        "embeddings",
        str(folder / "images.parquet"),
        "--path",
        "path",
    ]
    run([*imported, "--model", "bench", "--logit-scale", "100", "--text", str(folder / "prompts.parquet")])
    first = run([COLONNADE, "-q", "-s", store, "tag"])
    row(f"tag {BASE} attributes over {images:,} images", first.seconds, note=f"{first.peak_mb:,.0f} MB peak")


def source(images: int, dimension: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors float32 [N, D] of images and [37, D] of prompts."""
    if dimension == 512 and DATA.is_dir():
        real = np.stack(pq.read_table(DATA / "imagenet_images.parquet")["embedding"].to_numpy()).astype(
            np.float32
        )
        texts = np.stack(pq.read_table(DATA / "imagenet_text.parquet")["embedding"].to_numpy()).astype(
            np.float32
        )
        vectors = np.empty((images, dimension), dtype=np.float32)
        for start in range(0, images, 100_000):
            end = min(start + 100_000, images)
            block = real[np.arange(start, end) % len(real)]
            vectors[start:end] = block + rng.standard_normal(block.shape, dtype=np.float32) * np.float32(
                0.005
            )
        return vectors, texts[: BASE + ADDED]
    return (
        rng.standard_normal((images, dimension), dtype=np.float32),
        rng.standard_normal((BASE + ADDED, dimension), dtype=np.float32),
    )


def write_vectors(path: Path, column: str, names: list[str], vectors: np.ndarray) -> None:
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    embedding = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    pq.write_table(pa.table({column: names, "embedding": embedding}), path)


def vocabulary(attributes: int) -> str:
    lines = ["base_attributes:"]
    for k in range(attributes):
        text = json.dumps(f"prompt {k}")
        lines.append(f"  - {{code: c{k:02d}, label: C{k}, description: thing {k}, prompts: [{text}]}}")
    return "\n".join(lines) + "\n"


def write_vocabulary(store: Path, attributes: int) -> None:
    (store / "vocabulary.yaml").write_text(vocabulary(attributes))


if __name__ == "__main__":
    main()
