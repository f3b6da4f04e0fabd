"""ImageNet zero-shot through the product: import, tag 1,000 attributes, top-1 by plain SQL over the Parquet.

    python bench/zero_shot.py

Needs ../shared/data/clip_vit_b32 beside the repository; says so and stops where it is absent. The floor reads the same
vectors, multiplies, and takes the best of 1,000 logits in numpy, and writes nothing.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from measure import COLONNADE, row, run

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "clip_vit_b32"

FLOOR = """
import sys, numpy as np, pyarrow.parquet as pq
def read(name):
    table = pq.read_table(sys.argv[1] + "/" + name)
    return table, np.stack(table["embedding"].to_numpy()).astype(np.float32)
images, vectors = read("imagenet_images.parquet")
_, classes = read("imagenet_text.parquet")
logits = 100 * vectors @ classes.T
labels = images["label"].to_numpy()
own = logits[np.arange(len(labels)), labels][:, None]
shared = (logits == logits.max(axis=1, keepdims=True)).sum(axis=1)
print(((own[:, 0] == logits.max(axis=1)) / shared).mean(), ((logits > own).sum(axis=1) < 5).mean())
"""


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"{DATA}: not there; this benchmark needs real CLIP embeddings")
    folder = Path(tempfile.mkdtemp(prefix="colonnade-bench-"))
    try:
        measure(folder)
    finally:
        shutil.rmtree(folder)


def measure(folder: Path) -> None:
    prepare(folder)
    store = str(folder / "store")
    run([COLONNADE, "-q", "init", store, "--vocabulary", str(folder / "classes.yaml"), "--model", "hash"])
    source = [str(DATA / "imagenet_images.parquet"), "--path", "name", "--text", str(folder / "text.parquet")]
    imported = run(
        [
            COLONNADE,
            "-q",
            "-s",
            store,
            "import",
            "embeddings",
            *source,
            "--model",
            "vit-b-32",
            "--logit-scale",
            "100",
        ]
    )
    row("import 4,000 images and 1,000 prompts", imported.seconds, note=f"{imported.peak_mb:,.0f} MB peak")
    tagged = run([COLONNADE, "-q", "-s", store, "tag"])
    floor = run([sys.executable, "-c", FLOOR, str(DATA)])
    row("tag 1,000 attributes", tagged.seconds, floor.seconds, f"{tagged.peak_mb:,.0f} MB peak")
    top1, top5 = accuracy(folder / "store")
    bare1, bare5 = (float(value) for value in floor.stdout.split())
    print(f"top-1 {top1:.4f}, top-5 {top5:.4f} from the stored logits; {bare1:.4f}, {bare5:.4f} in numpy")


def prepare(folder: Path) -> None:
    """The class prompts as a file to import, and the vocabulary of 1,000 attributes that uses them."""
    table = pq.read_table(DATA / "imagenet_text.parquet")
    names = table["class"].to_pylist()
    prompts = [f"{name} ({number})" if names.count(name) > 1 else name for number, name in enumerate(names)]
    pq.write_table(pa.table({"prompt": prompts, "embedding": table["embedding"]}), folder / "text.parquet")
    lines = ["base_attributes:"]
    for number, (name, prompt) in enumerate(zip(names, prompts, strict=True)):
        label, text = json.dumps(name), json.dumps(prompt)
        lines.append(f"  - {{code: c{number:03d}, label: {label}, description: {label}, prompts: [{text}]}}")
    (folder / "classes.yaml").write_text("\n".join(lines) + "\n")


def accuracy(store: Path) -> tuple[float, float]:
    """Top-1 and top-5 through plain DuckDB over the Parquet, as any other tool would read it.

    Three pairs of classes have the same prompt vector: where the best logit is shared, a hit counts its share.
    """
    found = duckdb.execute(
        f"""
        WITH judged AS (
            SELECT image_id, logit, attribute_code = 'c' || lpad(label::VARCHAR, 3, '0') AS hit
            FROM read_parquet('{store}/scores/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)
            JOIN read_parquet('{store}/images/*.parquet') AS images USING (image_id)
            JOIN read_parquet('{DATA}/imagenet_images.parquet') AS truth ON truth.name = images.path
        ), ranked AS (
            SELECT *, rank() OVER (PARTITION BY image_id ORDER BY logit DESC) AS place FROM judged
        ), answered AS (
            SELECT image_id, count(*) FILTER (place = 1 AND hit) / count(*) FILTER (place = 1) AS first,
                   count(*) FILTER (place <= 5 AND hit) AS among
            FROM ranked GROUP BY image_id
        )
        SELECT avg(first), avg(among) FROM answered
        """
    ).fetchone()
    assert found is not None
    return float(found[0]), float(found[1])


if __name__ == "__main__":
    main()
