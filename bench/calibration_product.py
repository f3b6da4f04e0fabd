"""Calibration without labels through the product: import, fit, tag, decisions by plain SQL over the Parquet.

    python bench/calibration_product.py [COLLECTION...] [--json]

Prints macro-F1 of the accepted images beside what the library alone makes of the same numbers, and the share of absent
attributes with anything accepted. Needs ../shared/data beside the repository; says so and stops where it is absent.
"""

from __future__ import annotations

import functools
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import COLONNADE, run

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FEWEST_POSITIVES = 3
_KEY, _SCALE = "vit-b-32", 100.0


@dataclass(frozen=True)
class Attribute:
    """An attribute of the benchmark, and which images show it."""

    code: str
    vector: np.ndarray
    """float32 [512], of about unit length: as the file has it."""
    present: np.ndarray
    """bool [n]."""
    counted: np.ndarray
    """bool [n]: images whose class the benchmark does not leave out for it."""
    absent: bool
    """Whether the benchmark has no image of it at all."""

    @property
    def scored(self) -> bool:
        return int((self.present & self.counted).sum()) >= FEWEST_POSITIVES


@dataclass(frozen=True)
class Collection:
    """Images and attributes of the benchmark."""

    name: str
    vectors: np.ndarray
    """float32 [n, 512], of about unit length: as the file has them."""
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True)
class Score:
    """What a set of decisions is worth."""

    macro_f1: float
    absent_any: float | None
    """Share of absent attributes with any image accepted; None where none is absent."""
    seconds: float = 0.0


def main(words: Sequence[str]) -> None:
    if not (DATA / "calibration").is_dir():
        sys.exit(f"{DATA}: not there; this benchmark needs real CLIP embeddings and their labels")
    document = json.loads((DATA / "calibration" / "collections.json").read_text())
    names = [word for word in words if not word.startswith("--")] or list(document["collections"])
    found = {}
    for name in names:
        collection = load(document, name)
        library, product = by_library(collection), by_product(collection)
        found[name] = {"library": asdict(library), "product": asdict(product)}
        if "--json" not in words:
            print(_line(name, library, product), flush=True)
    if "--json" in words:
        print(json.dumps(found))
    elif len(found) > 1:
        means = [
            np.mean([pair[who]["macro_f1"] for pair in found.values()]) for who in ("library", "product")
        ]
        print(f"{'mean':<22} library {means[0]:.4f}  product {means[1]:.4f}")


def _line(name: str, library: Score, product: Score) -> str:
    absent = (
        "" if product.absent_any is None else f"  absent {library.absent_any:.2f} {product.absent_any:.2f}"
    )
    return (
        f"{name:<22} library {library.macro_f1:.4f}  product {product.macro_f1:.4f}  "
        f"difference {product.macro_f1 - library.macro_f1:+.4f}{absent}  {product.seconds:.1f} s"
    )


def load(document: dict[str, Any], name: str) -> Collection:
    """A collection of the benchmark."""
    chosen = document["collections"][name]
    every, table = _vectors(chosen["images"])
    rows = np.arange(len(every)) if chosen["rows"] == "all" else np.array(chosen["rows"])
    classes = np.array([str(value) for value in table["label"].to_pylist()])[rows]
    attributes = []
    for code, item in document["attribute_sets"][chosen["attributes"]].items():
        source, row = item["text"]
        present = np.isin(classes, [str(value) for value in item["positives"]])
        counted = ~np.isin(classes, [str(value) for value in item["ignore"]])
        vector = _vectors(f"{source}_text")[0][row]
        attributes.append(Attribute(code, vector, present, counted, not item["positives"]))
    return Collection(name, every[rows], tuple(attributes))


@functools.cache
def _vectors(name: str) -> tuple[np.ndarray, pa.Table]:
    table = pq.read_table(DATA / "clip_vit_b32" / f"{name}.parquet")
    return np.stack(table["embedding"].to_numpy()).astype(np.float32), table


def _background() -> tuple[list[str], np.ndarray]:
    vectors, table = _vectors("lvis_text")
    return table["class"].to_pylist(), vectors


def score(collection: Collection, accepted: dict[str, np.ndarray]) -> Score:
    """Macro-F1 over the attributes that are there; code -> accepted bool [n]."""
    f1, absent = [], []
    for attribute in collection.attributes:
        said = accepted[attribute.code][attribute.counted]
        truth = attribute.present[attribute.counted]
        if attribute.absent:
            absent.append(bool(said.any()))
        elif attribute.scored:
            f1.append(2 * (said & truth).sum() / (said.sum() + truth.sum()))
    return Score(float(np.mean(f1)), float(np.mean(absent)) if absent else None)


def by_library(collection: Collection) -> Score:
    """The fits and their application as functions on arrays."""
    from colonnade.engine.auto_axis import log_odds
    from colonnade.engine.auto_fit import fit_auto, image_spread
    from colonnade.engine.background_stats import Background, background_stats
    from colonnade.engine.scoring import attribute_vector, logits, unit_length
    from colonnade.engine.settings import Model

    phrases, vectors = _background()
    background = Background(tuple(phrases), unit_length(vectors))
    model = Model(_KEY, "", vectors.shape[1], _SCALE)
    # To the last bit as an import stores them: which images share a fold, and so judge each other, depends on it.
    images = unit_length(collection.vectors)
    stats, spread = background_stats(images, background, model), image_spread(images)
    accepted = {}
    for attribute in collection.attributes:
        vector = attribute_vector(attribute.vector[None])
        own = logits(images, vector[None], model)[:, 0]
        fit = fit_auto(images, own, stats, vector, background, spread=spread)
        odds = log_odds(fit.axis, images, own, stats)
        accepted[attribute.code] = (odds >= fit.cut) & (not fit.no_signal)
    return score(collection, accepted)


def by_product(collection: Collection) -> Score:
    """The commands, as processes, and DuckDB over what they left."""
    folder = Path(tempfile.mkdtemp(prefix="colonnade-bench-"))
    try:
        write_inputs(collection, folder)
        seconds = run_commands(folder)
        return Score(
            **asdict(score(collection, decisions(collection, folder / "store"))) | {"seconds": seconds}
        )
    finally:
        shutil.rmtree(folder)


def write_inputs(collection: Collection, folder: Path) -> None:
    """Vocabulary, image vectors, prompts and background as files for the commands."""
    lines = ["base_attributes:"]
    for attribute in collection.attributes:
        code = json.dumps(attribute.code)
        lines.append(f"  - {{code: {code}, label: {code}, description: {code}, prompts: [{code}]}}")
    (folder / "vocabulary.yaml").write_text("\n".join(lines) + "\n")
    _write(
        folder / "images.parquet",
        "name",
        [f"{i:05d}" for i in range(len(collection.vectors))],
        collection.vectors,
    )
    codes = [attribute.code for attribute in collection.attributes]
    _write(folder / "text.parquet", "prompt", codes, np.stack([a.vector for a in collection.attributes]))
    _write(folder / "background.parquet", "prompt", *_background())


def _write(path: Path, column: str, names: list[str], vectors: np.ndarray) -> None:
    listed = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    pq.write_table(pa.table({column: names, "embedding": listed}), path)


def run_commands(folder: Path) -> float:
    """Import, fit, tag; returns the seconds of the fit."""
    store = str(folder / "store")
    command = [COLONNADE, "-q", "-s", store]
    run([COLONNADE, "-q", "init", store, "--vocabulary", str(folder / "vocabulary.yaml"), "--model", "hash"])
    files = [str(folder / "images.parquet"), "--path", "name", "--text", str(folder / "text.parquet")]
    files += ["--background", str(folder / "background.parquet")]
    run([*command, "import", "embeddings", *files, "--model", _KEY, "--logit-scale", f"{_SCALE:g}"])
    fitted = run([*command, "calibration", "fit"])
    run([*command, "tag"])
    return fitted.seconds


def decisions(collection: Collection, store: Path) -> dict[str, np.ndarray]:
    """Code -> accepted bool [n], by the statuses as any other tool would read them."""
    live = (store / "live").resolve()
    rows = duckdb.execute(
        f"""
        SELECT attribute_code, list(path::INTEGER)
        FROM read_parquet('{live}/scores/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)
        JOIN read_parquet('{live}/images/*.parquet') USING (image_id)
        WHERE status = 'accepted'
        GROUP BY attribute_code
        """
    ).fetchall()
    accepted = {a.code: np.zeros(len(collection.vectors), dtype=bool) for a in collection.attributes}
    for code, places in rows:
        accepted[code][places] = True
    return accepted


if __name__ == "__main__":
    main(sys.argv[1:])
