"""The shared calibration benchmark: collections, attributes, and how a rule is judged on them."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from colonnade.engine.auto_numbers import ImageSpread, image_spread
from colonnade.engine.background_stats import Background, BackgroundStats, background_stats
from colonnade.engine.scoring import attribute_vector, logits, unit_length
from colonnade.engine.settings import Model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SCALE = 100.0
ACCEPT = 0.80
FOLDS = 5
WITH_ABSENT = ("all", "animals", "objects", "random500", "concentrated", "cifar10")


@dataclass(frozen=True, eq=False)
class Attribute:
    """An attribute of a collection, and which of its images show it."""

    code: str
    vector: np.ndarray
    present: np.ndarray
    """bool [n]."""
    counted: np.ndarray
    """bool [n]: images that are neither right nor wrong are left out."""
    absent: bool
    fold: int
    """Its cross-fitting fold, the same in every collection: constants are never fitted on the attribute they judge."""

    @property
    def scored(self) -> bool:
        return not self.absent and int((self.present & self.counted).sum()) >= 3


@dataclass(frozen=True, eq=False)
class Collection:
    """Images, attributes, and how the images answer to the background."""

    name: str
    images: np.ndarray
    attributes: tuple[Attribute, ...]
    background: Background
    model: Model

    @cached_property
    def stats(self) -> BackgroundStats:
        return background_stats(self.images, self.background, self.model)

    @cached_property
    def spread(self) -> ImageSpread:
        return image_spread(self.images)

    def logits(self, attribute: Attribute) -> np.ndarray:
        return logits(self.images, attribute.vector[None], self.model)[:, 0]

    def part(self, rows: np.ndarray) -> Collection:
        """The same attributes on some of the images."""
        attributes = tuple(
            Attribute(a.code, a.vector, a.present[rows], a.counted[rows], a.absent, a.fold)
            for a in self.attributes
        )
        return Collection(self.name, self.images[rows], attributes, self.background, self.model)


def read_collections(
    names: Sequence[str] | None = None, *, scale: float = SCALE, bias: float = 0.0
) -> list[Collection]:
    """The benchmark's collections, or those of some names, under a model with this scale and bias."""
    source = DATA / "calibration" / "collections.json"
    if not source.is_file():
        sys.exit(f"{source}: not there; this benchmark needs real CLIP embeddings")
    document: dict[str, Any] = json.loads(source.read_text())
    texts = {name: _vectors(f"{name}_text")[0] for name in ("lvis", "imagenet")}
    images = {name: _vectors(name) for name in ("imagenet_images", "cifar10_images")}
    phrases = tuple(pq.read_table(DATA / "clip_vit_b32" / "lvis_text.parquet")["class"].to_pylist())
    background = Background(phrases, texts["lvis"])
    model = Model("benchmark", "", texts["lvis"].shape[1], scale, bias)
    found = []
    for name, item in document["collections"].items():
        if names is not None and name not in names:
            continue
        vectors, labels = images[item["images"]]
        rows = np.arange(len(vectors)) if item["rows"] == "all" else np.array(item["rows"])
        attributes = tuple(
            _attribute(code, entry, labels[rows], texts)
            for code, entry in document["attribute_sets"][item["attributes"]].items()
        )
        found.append(Collection(name, vectors[rows], attributes, background, model))
    return found


def _vectors(name: str) -> tuple[np.ndarray, np.ndarray]:
    table = pq.read_table(DATA / "clip_vit_b32" / f"{name}.parquet")
    vectors = np.stack(table["embedding"].to_numpy(zero_copy_only=False)).astype(np.float32)
    labels = table["label"].to_pylist() if "label" in table.column_names else []
    return unit_length(vectors), np.array([str(label) for label in labels])


def _attribute(
    code: str, entry: dict[str, Any], labels: np.ndarray, texts: dict[str, np.ndarray]
) -> Attribute:
    source, row = entry["text"]
    return Attribute(
        code,
        attribute_vector(texts[source][row][None]),
        np.isin(labels, [str(label) for label in entry["positives"]]),
        ~np.isin(labels, [str(label) for label in entry["ignore"]]),
        not entry["positives"],
        hashlib.sha256(f"{source} {row}".encode()).digest()[0] % FOLDS,
    )


@dataclass(frozen=True)
class Score:
    """How a rule does on one collection."""

    f1: float
    """Macro-F1 over the attributes with at least 3 images that show them."""
    absent: float
    """Share of absent attributes of which anything is accepted; nan where there are none."""
    ece: float
    """Expected calibration error of the confidences from .05 up, in ten bins."""
    each: tuple[tuple[str, float], ...] = ()
    """F1 of each attribute."""


def judge(collection: Collection, confidences: Sequence[np.ndarray]) -> Score:
    """Confidences [n] of each attribute in turn."""
    each, absent, cells = [], [], []
    for attribute, confidence in zip(collection.attributes, confidences, strict=True):
        kept, truth = confidence[attribute.counted], attribute.present[attribute.counted]
        accepted = kept >= np.float32(ACCEPT)
        cells.append((kept, truth))
        if attribute.absent:
            absent.append(accepted.any())
        elif attribute.scored:
            each.append((attribute.code, f1(accepted, truth)))
    bins = reliability(np.concatenate([c for c, _ in cells]), np.concatenate([t for _, t in cells]))
    ece = sum(n * abs(c - t) for c, t, n in bins) / max(sum(n for _, _, n in bins), 1)
    return Score(
        float(np.mean([value for _, value in each])),
        float(np.mean(absent)) if absent else float("nan"),
        float(ece),
        tuple(each),
    )


def f1(accepted: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (accepted & truth).sum() / max(accepted.sum() + truth.sum(), 1))


def best_f1(axis: np.ndarray, attribute: Attribute) -> float:
    """Of the best cut on an axis, found with all labels."""
    truth = attribute.present[attribute.counted][np.argsort(-axis[attribute.counted], kind="stable")]
    right = np.cumsum(truth)
    return float((2 * right / (np.arange(1, len(truth) + 1) + truth.sum())).max())


def reliability(confidence: np.ndarray, truth: np.ndarray) -> list[tuple[float, float, int]]:
    """(mean confidence, share that is true, count) of ten bins, of the cells with a confidence of .05 or more."""
    some = confidence >= 0.05
    confidence, truth = confidence[some].astype(np.float64), truth[some]
    place = np.minimum((confidence * 10).astype(int), 9)
    return [
        (float(confidence[place == k].mean()), float(truth[place == k].mean()), int((place == k).sum()))
        for k in range(10)
        if (place == k).any()
    ]


def sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-np.asarray(x, dtype=np.float64))), dtype=np.float32)
