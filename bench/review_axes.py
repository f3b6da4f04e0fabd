"""Where the images of the benchmark's attributes stand, for bench/review.py: log odds above the cut without labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from colonnade.engine.auto_axis import log_odds
from colonnade.engine.auto_fit import fit_auto, image_spread
from colonnade.engine.background_stats import Background, background_stats
from colonnade.engine.settings import Model

__all__ = ["COLLECTIONS", "DATA", "Attribute", "Axes", "axes"]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
COLLECTIONS = ("all", "fine_dogs", "fine_birds_reptiles", "fine_mammals", "fine_all")
_MODEL = Model("vit-b-32", "", 512, 100.0)


@dataclass(frozen=True, eq=False)
class Attribute:
    """One attribute in one collection; images of ignored classes are left out."""

    code: str
    x: np.ndarray
    """float64 [n], log odds minus the cut of the fit without labels."""
    present: np.ndarray
    """bool [n]."""
    no_signal: bool = False


Axes = dict[str, list[Attribute]]
"""Collection -> its attributes with three positives or more."""


def vectors(name: str) -> tuple[np.ndarray, list[object]]:
    """(unit vectors float32 [n, D], labels or class names)."""
    table = pq.read_table(DATA / "clip_vit_b32" / f"{name}.parquet")
    found = np.stack(table["embedding"].to_numpy()).astype(np.float32)
    column = "label" if "label" in table.column_names else "class"
    return found / np.linalg.norm(found, axis=1, keepdims=True), table[column].to_pylist()


def axes() -> tuple[Axes, Axes]:
    """(the margin axis, the axis of `auto`) of every collection."""
    told = json.loads((DATA / "calibration" / "collections.json").read_text())
    images = {name: vectors(name) for name in ("imagenet_images", "cifar10_images")}
    lvis, phrases = vectors("lvis_text")
    texts = {"lvis": lvis, "imagenet": vectors("imagenet_text")[0]}
    background = Background(tuple(str(phrase) for phrase in phrases), lvis)
    margins: Axes = {}
    auto: Axes = {}
    for name, collection in told["collections"].items():
        embeddings, labels = images[collection["images"]]
        rows = slice(None) if collection["rows"] == "all" else np.array(collection["rows"])
        embeddings, shown = embeddings[rows], np.array(labels)[rows]
        stats, spread = background_stats(embeddings, background, _MODEL), image_spread(embeddings)
        competing = _MODEL.logit_scale * embeddings @ lvis.T
        strongest = np.argpartition(-competing, 100, axis=1)[:, :100]
        strongest = np.take_along_axis(
            strongest, np.argsort(-np.take_along_axis(competing, strongest, axis=1), axis=1), axis=1
        )
        margins[name], auto[name] = [], []
        for code, attribute in told["attribute_sets"][collection["attributes"]].items():
            present = np.isin(shown, attribute["positives"])
            kept = present | ~np.isin(shown, attribute["ignore"])
            if present.sum() < 3:
                continue
            source, place = attribute["text"]
            vector = texts[source][place]
            logits = np.asarray(_MODEL.logit_scale * embeddings @ vector, dtype=np.float32)
            near = lvis @ vector >= 0.85
            own = np.where(near[strongest], np.nan, np.take_along_axis(competing, strongest, axis=1))
            ordered = np.take_along_axis(own, np.argsort(np.isnan(own), axis=1, kind="stable")[:, :5], axis=1)
            margin = logits - ordered.mean(axis=1)
            margins[name].append(Attribute(code, margin[kept].astype(np.float64), present[kept]))
            fit = fit_auto(embeddings, logits, stats, vector, background, spread=spread)
            x = log_odds(fit.axis, embeddings, logits, stats).astype(np.float64) - fit.cut
            auto[name].append(Attribute(code, x[kept], present[kept], fit.no_signal))
    return scaled(margins), auto


def scaled(margins: Axes) -> Axes:
    """Margins as log odds above a cut: a logistic scale from the other half of the attributes, then the valley."""
    codes = sorted({attribute.code for attributes in margins.values() for attribute in attributes})
    half = {code: number % 2 for number, code in enumerate(codes)}
    lines = [
        _logistic([a for some in margins.values() for a in some if half[a.code] != side]) for side in (0, 1)
    ]

    def moved(attribute: Attribute) -> Attribute:
        intercept, slope = lines[half[attribute.code]]
        x = intercept + slope * attribute.x - np.log(0.15 / 0.85)
        return replace(attribute, x=x - valley(x))

    return {name: [moved(attribute) for attribute in attributes] for name, attributes in margins.items()}


def _logistic(attributes: Sequence[Attribute]) -> np.ndarray:
    """(intercept, slope) of log odds over the margin, by Newton's method."""
    margin = np.concatenate([a.x for a in attributes])
    present = np.concatenate([a.present for a in attributes])
    design = np.stack([np.ones(len(margin)), margin], axis=1)[margin > -5]
    wanted = present[margin > -5].astype(np.float64)
    line = np.zeros(2)
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(design @ line, -30, 30)))
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-3 * np.eye(2)
        line = line - np.linalg.solve(hessian, design.T @ (p - wanted) + 1e-3 * line)
    return line


def valley(x: np.ndarray) -> float:
    """The shift of the cut into a place with few images, as the rule does it."""
    shifts = np.linspace(-2.5, 2.5, 51)
    near = np.array([(np.abs(x - shift) <= 0.7).sum() for shift in shifts])
    above = np.array([(x > shift).sum() for shift in shifts])
    return float(shifts[np.argmin(0.5 * np.log((near + 1) / (above + 2)) + shifts**2 / 2)])
