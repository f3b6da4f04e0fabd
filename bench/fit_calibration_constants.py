"""Fits the constants of the rule without labels to the shared benchmark.

    python bench/fit_calibration_constants.py           print what would be written
    python bench/fit_calibration_constants.py --write   write engine/auto_constants.json and the second file below

bench/crossfit_constants.json has, for each of five folds, constants fitted on the other four: bench/calibration.py
judges each attribute by those that have never seen it. The same data give the same bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from calibration_data import FOLDS, Attribute, Collection, read_collections
from threadpoolctl import threadpool_limits

from colonnade.engine.auto_axis import folded
from colonnade.engine.auto_fit import FLOOR, Margins, directions, unitless_margins
from colonnade.engine.auto_numbers import Kin, collection_numbers, kin_of
from colonnade.engine.background_stats import project

ROOT = Path(__file__).resolve().parents[1]
SHIPPED, CROSSFIT = ROOT / "engine" / "auto_constants.json", ROOT / "bench" / "crossfit_constants.json"
NAME, MODEL = "auto-2", "ViT-B-32/openai"
CHOSEN = {"base_probability": 0.2, "gate": 0.7, "drop": 1.0, "width": 0.5, "rise": 0.5}
"""Chosen by hand from the tables of docs/calibration.md; everything else is fitted."""
FIRST = ("near", "far", "all", "z", "crowd")
SECOND = (*FIRST, "share", "reach", "apart", "first")
MINIMAL = ("near", "z")
"""The rule to compare with: one model, two numbers, no direction."""
_RARE = 5
"""An attribute's images weigh as much as 1 / (how many show it + 5): macro-F1 counts attributes, not images."""

Columns = dict[str, np.ndarray]


@dataclass
class Case:
    """An attribute on a collection, on its way through the three models."""

    collection: Collection
    attribute: Attribute
    kin: Kin
    found: Margins
    columns: Columns

    @property
    def weight(self) -> np.ndarray:
        shown = int((self.attribute.present & self.attribute.counted).sum())
        return self.attribute.counted / (len(self.collection.attributes) * (shown + _RARE))


def main() -> None:
    with threadpool_limits(limits=1, user_api="blas"):
        collections = read_collections()
        spread = float(np.median([np.median(collection.stats.std) for collection in collections]))
        whole, folds = fitted([case(c, a, spread) for c in collections for a in c.attributes], spread)
    if "--write" in sys.argv[1:]:
        SHIPPED.write_text(json.dumps(whole, indent=1) + "\n")
        CROSSFIT.write_text(json.dumps(folds, indent=1) + "\n")
    print(json.dumps(whole, indent=1))


def case(collection: Collection, attribute: Attribute, spread: float) -> Case:
    kin = kin_of(attribute.vector, collection.background)
    found = unitless_margins(collection.images, collection.logits(attribute), collection.stats, kin, spread)
    near, far, over_all = found.values.astype(np.float64)
    z = (over_all - found.null) / found.width
    crowd = np.full(len(near), kin.crowd)
    return Case(
        collection, attribute, kin, found, {"near": near, "far": far, "all": over_all, "z": z, "crowd": crowd}
    )


def fitted(cases: Sequence[Case], spread: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The constants from all attributes, and those from all but each fold's."""
    every = [{"name": NAME, "model": MODEL, "spread": spread} for _ in range(FOLDS + 1)]
    for stage, names, following in (("first", FIRST, second_columns), ("second", SECOND, third_columns)):
        models = crossfit(cases, names)
        _keep(every, stage, models)
        for one in cases:
            following(one, predict(models[one.attribute.fold], one.columns))
    models = crossfit(cases, tuple(cases[0].columns)[-_third_count(cases[0]) :])
    _keep(every, "third", models)
    _keep(every, "minimal", crossfit(cases, MINIMAL))
    done = [constants | CHOSEN for constants in every]
    del done[-1]["minimal"]
    done[-1]["name"], done[-1]["fitted_on"] = NAME, f"{len(cases)} attributes in ten collections"
    return done[-1], done[:-1]


def _keep(every: list[dict[str, Any]], stage: str, models: Sequence[Mapping[str, Any]]) -> None:
    for constants, model in zip(every, models, strict=True):
        constants[stage] = model


def second_columns(one: Case, odds: np.ndarray) -> None:
    """The direction that the likeliest images share; `odds` from a model that has not seen the attribute."""
    collection = one.collection
    odds = np.clip(np.where(one.columns["near"] < FLOOR, -7.0, odds), -7, 7).astype(np.float32)
    raw, shifts, apart, deviation = directions(
        collection.images, odds, collection.stats.fold, collection.spread
    )
    fold = collection.stats.fold
    along = folded(project(collection.images, raw), fold) - shifts[fold]
    one.columns |= {
        "share": along / apart,
        "reach": along / deviation,
        "apart": np.full(len(odds), np.log(apart)),
        "first": odds.astype(np.float64),
    }


def third_columns(one: Case, x: np.ndarray) -> None:
    """What the attribute looks like over the whole collection."""
    collection = one.collection
    numbers = collection_numbers(x, collection.images, collection.stats, one.kin, collection.spread)
    one.columns |= {"second": x} | {f"{name} ": np.full(len(x), value) for name, value in numbers.items()}


def _third_count(one: Case) -> int:
    return 1 + sum(name.endswith(" ") for name in one.columns)


def crossfit(cases: Sequence[Case], names: Sequence[str]) -> list[dict[str, Any]]:
    """One model for each fold, from the others, and one from all."""

    def usable(one: Case) -> np.ndarray:
        return one.attribute.counted & (one.columns["near"] > FLOOR)

    rows = [usable(one) for one in cases]
    x = np.concatenate(
        [
            np.stack([one.columns[name][r] for name in names], axis=1)
            for one, r in zip(cases, rows, strict=True)
        ]
    )
    y = np.concatenate([one.attribute.present[r] for one, r in zip(cases, rows, strict=True)]).astype(float)
    weight = np.concatenate([one.weight[r] for one, r in zip(cases, rows, strict=True)])
    fold = np.concatenate([np.full(r.sum(), one.attribute.fold) for one, r in zip(cases, rows, strict=True)])
    return [logistic(x[kept], y[kept], weight[kept], names) for kept in (fold != k for k in range(FOLDS + 1))]


def logistic(x: np.ndarray, y: np.ndarray, weight: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Weighted logistic regression by Newton's method on standardised columns, with a ridge of one image."""
    weight = weight * 1000 / weight.sum() * 20
    mean = np.average(x, axis=0, weights=weight)
    deviation = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight)) + 1e-9
    z = np.column_stack([np.ones(len(x)), (x - mean) / deviation])
    ridge = np.diag([1e-8] + [1.0] * x.shape[1])
    beta = np.zeros(z.shape[1])
    for _ in range(30):
        p = 1.0 / (1.0 + np.exp(-np.clip(z @ beta, -40, 40)))
        hessian = (z * (weight * p * (1 - p) + 1e-12)[:, None]).T @ z + ridge
        step = np.linalg.solve(hessian, z.T @ (weight * (p - y)) + ridge @ beta)
        beta -= step
        if np.abs(step).max() < 1e-7:
            break
    slopes = beta[1:] / deviation
    coef = {name.strip(): round(float(slope), 6) for name, slope in zip(names, slopes, strict=True)}
    return {"intercept": round(float(beta[0] - slopes @ mean), 6), "coef": coef}


def predict(model: Mapping[str, Any], columns: Columns) -> np.ndarray:
    """Log-odds float64 [n]."""
    return np.asarray(model["intercept"] + sum(c * columns[name] for name, c in model["coef"].items()))


if __name__ == "__main__":
    main()
