"""Confidence without labels on the shared benchmark: every rule, every collection, in one run.

    python bench/calibration.py            the table
    python bench/calibration.py --checks   besides: a half judged by the fit of the other, scaled and shifted logits
    python bench/calibration.py --plots    besides: docs/calibration-reliability.svg and docs/calibration-f1.svg

Each attribute is judged by constants that were fitted on other attributes (bench/fit_calibration_constants.py). The
oracles choose the best cut of each attribute with all labels; no rule can have them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import calibration_plots
import numpy as np
from calibration_data import (
    Attribute,
    Collection,
    Score,
    best_f1,
    judge,
    read_collections,
    reliability,
    sigmoid,
)
from fit_calibration_constants import CROSSFIT
from threadpoolctl import threadpool_limits

from colonnade.engine.auto_axis import log_odds, margins
from colonnade.engine.auto_fit import AutoFit, fit_auto, load_constants, unitless_margins
from colonnade.engine.auto_numbers import kin_of

LOG_4 = np.log(4)
Rule = Callable[[Collection, Attribute], np.ndarray]


@dataclass(frozen=True, eq=False)
class Judged:
    """A rule's scores and seconds by collection."""

    scores: tuple[Score, ...]
    seconds: float


def main() -> None:
    with threadpool_limits(limits=1, user_api="blas"):
        collections = read_collections()
        for collection in collections:
            _ = collection.stats, collection.spread
        show(collections)
        if "--checks" in sys.argv[1:]:
            checks(collections)
        if "--plots" in sys.argv[1:]:
            plots(collections)


def show(collections: list[Collection]) -> None:
    print(f"{'macro-F1, cross-fitted by attribute':36}" + "".join(f"{c.name[:9]:>10}" for c in collections))
    row("one sigmoid, centre 25.5, scale 1.5", apply(collections, one_sigmoid))
    oracle("oracle, best cut on the logit", collections, Collection.logits)
    oracle("oracle, best cut on the margin", collections, near_margin)
    row("minimal: near margin and prompt null", apply(collections, minimal))
    fits = Fits(json.loads(CROSSFIT.read_text()))
    row("full, before the gate", apply(collections, fits.ungated))
    row("full, with the gate", apply(collections, fits.gated))
    oracle("oracle, best cut on its axis", collections, fits.axis)
    row("full with the gate, in-sample", apply(collections, Fits([dict(load_constants())] * 5).gated))


def row(title: str, judged: Judged) -> None:
    scores = judged.scores
    absent = np.mean([s.absent for s in scores if not np.isnan(s.absent)])
    print(
        f"{title:36}"
        + "".join(f"{s.f1:10.3f}" for s in scores)
        + f"   mean {np.mean([s.f1 for s in scores]):.3f}"
        f"  absent with anything accepted {absent:.2f}  ECE {np.mean([s.ece for s in scores]):.3f}"
        f"  {judged.seconds:.0f} s",
        flush=True,
    )


def apply(collections: list[Collection], rule: Rule) -> Judged:
    started = time.perf_counter()
    scores = tuple(judge(c, [rule(c, attribute) for attribute in c.attributes]) for c in collections)
    return Judged(scores, time.perf_counter() - started)


def oracle(title: str, collections: list[Collection], axis: Rule) -> None:
    means = [
        float(
            np.mean(
                [best_f1(axis(c, attribute), attribute) for attribute in c.attributes if attribute.scored]
            )
        )
        for c in collections
    ]
    print(
        f"{title:36}" + "".join(f"{mean:10.3f}" for mean in means) + f"   mean {np.mean(means):.3f}",
        flush=True,
    )


def one_sigmoid(collection: Collection, attribute: Attribute) -> np.ndarray:
    return sigmoid((collection.logits(attribute) - 25.5) / 1.5)


def near_margin(collection: Collection, attribute: Attribute) -> np.ndarray:
    kin = kin_of(attribute.vector, collection.background)
    own = collection.logits(attribute)
    return np.asarray(margins(own, collection.images, collection.stats, kin.near, kin.far)[0])


def minimal(collection: Collection, attribute: Attribute) -> np.ndarray:
    constants = json.loads(CROSSFIT.read_text())[attribute.fold]
    kin, own = kin_of(attribute.vector, collection.background), collection.logits(attribute)
    found = unitless_margins(collection.images, own, collection.stats, kin, constants["spread"])
    coef = constants["minimal"]["coef"]
    z = (found.values[2] - found.null) / found.width
    base = constants["base_probability"]
    x = constants["minimal"]["intercept"] + coef["near"] * found.values[0] + coef["z"] * z
    return sigmoid(x - np.log(base / (1 - base)) + LOG_4)


class Fits:
    """The rule that ships, with constants of each fold; a fit is made once."""

    def __init__(self, constants: list[dict[str, Any]]) -> None:
        self._constants = constants
        self._fits: dict[tuple[Collection, str], AutoFit] = {}

    def fit(self, collection: Collection, attribute: Attribute) -> AutoFit:
        key = (collection, attribute.code)
        if key not in self._fits:
            self._fits[key] = fit_auto(
                collection.images,
                collection.logits(attribute),
                collection.stats,
                attribute.vector,
                collection.background,
                spread=collection.spread,
                constants=self._constants[attribute.fold],
            )
        return self._fits[key]

    def axis(self, collection: Collection, attribute: Attribute) -> np.ndarray:
        axis, own = self.fit(collection, attribute).axis, collection.logits(attribute)
        return log_odds(axis, collection.images, own, collection.stats)

    def ungated(self, collection: Collection, attribute: Attribute) -> np.ndarray:
        return confidence(self.fit(collection, attribute), self.axis(collection, attribute), gate=False)

    def gated(self, collection: Collection, attribute: Attribute) -> np.ndarray:
        return confidence(self.fit(collection, attribute), self.axis(collection, attribute))


def confidence(fit: AutoFit, odds: np.ndarray, *, gate: bool = True) -> np.ndarray:
    found = sigmoid(fit.slope * (odds.astype(np.float64) - fit.cut) + LOG_4)
    return np.where(odds < fit.gate, np.minimum(found, 0.49), found) if gate and fit.no_signal else found


def checks(collections: list[Collection]) -> None:
    """What must hold whatever the constants."""
    fits = Fits(json.loads(CROSSFIT.read_text()))
    for collection in (c for c in collections if c.name in ("all", "cifar10")):
        other = read_collections([collection.name], scale=30.0, bias=-7.0)[0]
        decided, moved = [], 0.0
        for one, two in zip(collection.attributes, other.attributes, strict=True):
            before, after = fits.gated(collection, one), fits.gated(other, two)
            decided.append(bool(((before >= 0.8) == (after >= 0.8)).all()))
            moved = max(moved, float(np.abs(before - after).max()))
        print(
            f"{collection.name}: logits x 0.3 - 7: same decisions for {sum(decided)} of {len(decided)} attributes, "
            f"confidences within {moved:.1e}"
        )
    for title, gate in (("before the gate", False), ("with the gate", True)):
        pairs = [
            (in_halves(fits, c, gate=gate), judge(c, judged(fits, c, gate=gate)).f1) for c in collections
        ]
        halves, whole = np.mean(pairs, axis=0)
        each = " ".join(
            f"{c.name} {half:.3f}/{full:.3f}" for c, (half, full) in zip(collections, pairs, strict=True)
        )
        print(
            f"{title}: each half judged by the fit of the other {halves:.3f}, by that of all {whole:.3f} ({each})"
        )


def judged(fits: Fits, collection: Collection, *, gate: bool) -> list[np.ndarray]:
    return [
        (fits.gated if gate else fits.ungated)(collection, attribute) for attribute in collection.attributes
    ]


def in_halves(fits: Fits, collection: Collection, *, gate: bool, seed: int = 0) -> float:
    """Macro-F1 where each image is judged by a fit on the random half that it is not in."""
    order = np.random.default_rng(seed).permutation(len(collection.images))
    parts = [np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])]
    found = [np.empty(len(order), dtype=np.float32) for _ in collection.attributes]
    for seen, rest in (parts, parts[::-1]):
        fitted, new = collection.part(seen), collection.part(rest)
        for confidences, one, other in zip(found, fitted.attributes, new.attributes, strict=True):
            fit = fits.fit(fitted, one)
            odds = log_odds(fit.axis, new.images, new.logits(other), new.stats)
            confidences[rest] = confidence(fit, odds, gate=gate)
    return judge(collection, found).f1


def plots(collections: list[Collection]) -> None:
    fits = Fits(json.loads(CROSSFIT.read_text()))
    curves = {}
    for title, rule in (("one sigmoid", one_sigmoid), ("auto", fits.gated)):
        cells = [(rule(c, a)[a.counted], a.present[a.counted]) for c in collections for a in c.attributes]
        curves[title] = reliability(*(np.concatenate(part) for part in zip(*cells, strict=True)))
    calibration_plots.write_reliability(curves)
    c = next(c for c in collections if c.name == "all")
    scored = [a for a in c.attributes if a.scored]
    found = {
        title: dict(judge(c, [rule(c, a) for a in c.attributes]).each)
        for title, rule in (("one sigmoid", one_sigmoid), ("auto", fits.gated))
    }
    found["best cut on the margin"] = {a.code: best_f1(near_margin(c, a), a) for a in scored}
    calibration_plots.write_f1(found)


if __name__ == "__main__":
    main()
