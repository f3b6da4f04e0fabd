"""Simulated reviewers on real CLIP embeddings: what 5, 10, 20, 50 labels an attribute are worth, and what audits say.

    python bench/review.py [--seeds N] [--every N]

Macro-F1 of the accepted images over the attributes with three positives or more, accepted by the cut alone: an answer
moves the cut and decides no image by itself. Two axes: the contrast margin E85 by itself, with a logistic scale fitted
on other attributes and the valley's cut; and the shipped `auto` fit. Needs ../shared/data beside the repository.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from colonnade.engine.auto_axis import log_odds
from colonnade.engine.auto_fit import fit_auto, image_spread
from colonnade.engine.background_stats import Background, background_stats
from colonnade.engine.errors import InputError
from colonnade.engine.label_audit import audit, draw
from colonnade.engine.label_fit import fit_labels, slip_probabilities
from colonnade.engine.label_precision import cut_for_precision
from colonnade.engine.review_choice import choose_image
from colonnade.engine.settings import Model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
COLLECTIONS = ("all", "fine_dogs", "fine_birds_reptiles", "fine_mammals", "fine_all")
BUDGETS = (5, 10, 20, 50)
AUDITS = (10, 20, 50)
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1, help="reviewers of each kind (1)")
    parser.add_argument("--every", type=int, default=1, help="take every so-many-th attribute only")
    options = parser.parse_args()
    if not (DATA / "calibration").is_dir():
        sys.exit(f"{DATA}: not there; this benchmark needs real CLIP embeddings")
    started = time.perf_counter()
    margin, auto = axes()
    margin, auto = ({name: some[:: options.every] for name, some in axis.items()} for axis in (margin, auto))
    print(f"axes made in {time.perf_counter() - started:.0f} s", flush=True)
    for title, axis in (("margin axis E85", margin), ("axis of `auto`, as shipped", auto)):
        print(f"\n{title}: macro-F1, {', '.join(COLLECTIONS)}")
        review_table(axis, options.seeds)
    after = labelled(auto, 20)
    for title, axis in (("`auto` without labels", auto), ("`auto` and 20 labels", after)):
        print(f"\naudits, {title}: coverage and mean width of 90 % intervals")
        audit_table(axis)
    print("\nthe cut for a wanted precision, `auto` and 20 labels, 80 audited")
    precision_table(after)
    print(f"\n{time.perf_counter() - started:.0f} s")


def review_table(axis: Axes, seeds: int) -> None:
    marks = (0, *BUDGETS)
    print(f"{'reviewer':<44}" + "".join(f"{mark:>8}" for mark in marks))
    honest, apart, apart_before = tables(axis, marks, seeds, wrong=0.0)
    mean = honest.mean(axis=0)
    row("never wrong", mean)
    for name, values in zip(COLLECTIONS, honest, strict=True):
        row(f"  {name}", values)
    row("  gain over no labels", mean - mean[0])
    for title, again in (("10 % wrong answers", False), ("10 % wrong, a fifth looked at again", True)):
        slipping = tables(axis, marks, seeds, wrong=0.1, again=again)[0].mean(axis=0)
        row(title, slipping)
        row("  lost to wrong answers", mean - slipping)
    row("never wrong, labelled images left out", np.nanmean(apart, axis=0))
    row("  the same images without labels", np.nanmean(apart_before, axis=0))
    best = [np.mean([best_f1(attribute) for attribute in axis[name]]) for name in COLLECTIONS]
    print(f"{'best cut of each attribute (oracle)':<44}{np.mean(best):8.3f}", flush=True)


def tables(
    axis: Axes, marks: Sequence[int], seeds: int, *, wrong: float, again: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Macro-F1 [collection, mark]: of all images; of those that are not labelled; and of these without labels."""
    runs = [[scores(axis[name], marks, wrong, again, seed) for name in COLLECTIONS] for seed in range(seeds)]
    everything, apart, before = np.moveaxis(np.mean(runs, axis=0), 1, 0)
    return everything, apart, before


def row(title: str, values: Sequence[float] | np.ndarray) -> None:
    print(f"{title:<44}" + "".join(f"{value:8.3f}" for value in values), flush=True)


def scores(
    attributes: Sequence[Attribute], marks: Sequence[int], wrong: float, again: bool, seed: int
) -> np.ndarray:
    """Macro-F1 [3, mark] as in `tables`; where labels are left out, of attributes that keep three positives."""
    found: list[list[list[float]]] = [[[] for _ in marks] for _ in range(3)]
    for attribute in attributes:
        for mark, cut, asked in review(attribute, marks, wrong, seed, again=again):
            at = marks.index(mark)
            found[0][at].append(f1(attribute.x >= cut, attribute.present))
            kept = np.ones(len(attribute.x), dtype=bool)
            kept[asked] = False
            x, present = attribute.x[kept], attribute.present[kept]
            if present.sum() >= 3:
                found[1][at].append(f1(x >= cut, present))
                found[2][at].append(f1(x >= cut_of(attribute, [], []), present))
    return np.array([[np.mean(values) if values else np.nan for values in one] for one in found])


def review(
    attribute: Attribute, marks: Sequence[int], wrong: float, seed: int, *, again: bool = False
) -> Iterator[tuple[int, float, list[int]]]:
    """(labels, the cut they give, the labelled images) at each mark, of a reviewer who follows the policy."""
    generator = np.random.default_rng([seed, *attribute.code.encode()])
    open_ = np.ones(len(attribute.x), dtype=bool)
    asked: list[int] = []
    answers: list[bool] = []
    for count in range(max(marks) + 1):
        if count in marks:
            if again:
                answers = second_looks(attribute, asked, answers, wrong, generator)
            yield count, cut_of(attribute, asked, answers), asked
        fit = fit_labels(attribute.x[asked], np.array(answers, dtype=bool))
        chosen = choose_image(attribute.x, open_, fit, seed=f"{attribute.code} {seed} {count}")
        if chosen is None:
            return
        open_[chosen.index] = False
        asked.append(chosen.index)
        answers.append(bool(attribute.present[chosen.index]) ^ bool(generator.random() < wrong))


def second_looks(
    attribute: Attribute, asked: list[int], answers: list[bool], wrong: float, generator: np.random.Generator
) -> list[bool]:
    """The answers, with the most doubtful fifth of them given anew."""
    doubts = slip_probabilities(attribute.x[asked], np.array(answers, dtype=bool))
    given = list(answers)
    for row in np.argsort(-doubts, kind="stable")[: len(asked) // 5]:
        given[row] = bool(attribute.present[asked[row]]) ^ bool(generator.random() < wrong)
    return given


def cut_of(attribute: Attribute, asked: Sequence[int], answers: Sequence[bool]) -> float:
    said = np.array(answers, dtype=bool)
    if not asked:
        return np.inf if attribute.no_signal else 0.0
    return fit_labels(attribute.x[list(asked)], said, collection=attribute.x).delta


def f1(accepted: np.ndarray, present: np.ndarray) -> float:
    total = int(accepted.sum() + present.sum())
    return 2 * int((accepted & present).sum()) / total if total else 0.0


def best_f1(attribute: Attribute) -> float:
    return max(f1(attribute.x >= cut, attribute.present) for cut in attribute.x[attribute.present])


def labelled(axis: Axes, budget: int) -> Axes:
    """The axis with its cuts where so many labels put them."""
    return {
        name: [
            replace(attribute, x=attribute.x - cut, no_signal=False)
            for attribute in attributes
            for _, cut, _ in review(attribute, (budget,), 0.0, 0)
        ]
        for name, attributes in axis.items()
    }


def audited(attribute: Attribute, count: int, seed: str) -> tuple[np.ndarray, np.ndarray]:
    """(places, probabilities) of the images that an audit draws."""
    ids, done = np.arange(len(attribute.x)), np.zeros(len(attribute.x), dtype=bool)
    places, chances = [], []
    for _ in range(count):
        found = draw(attribute.x, ids, done, seed=seed)
        if found is None:
            break
        done[found.index] = True
        places.append(found.index)
        chances.append(found.probability)
    return np.array(places, dtype=np.int64), np.array(chances)


def audit_table(axis: Axes) -> None:
    print(
        f"{'audited':<10}{'of':>14}{'audits':>8}{'coverage':>10}{'width':>8}   (precision: not all accepted audited)"
    )
    pooled: dict[str, list[tuple[bool, float]]] = {"precision": [], "recall": []}
    for count in AUDITS:
        results: dict[str, list[tuple[bool, float]]] = {"precision": [], "recall": []}
        for name in (*COLLECTIONS, "cifar10", "concentrated"):
            for number, attribute in enumerate(axis[name]):
                # Few have more accepted images than are audited; those are audited more often.
                many = (attribute.x >= 0).sum() > count
                for repeat in range(6 if many else int(number % 2 == 0)):
                    places, chances = audited(attribute, count, f"{name} {attribute.code} {repeat}")
                    at, present = attribute.x[places], attribute.present[places]
                    found = audit(attribute.x, at, present, chances)
                    hits = attribute.present[attribute.x >= 0]
                    truth = {
                        "precision": hits.mean() if len(hits) else 0.0,
                        "recall": hits.sum() / attribute.present.sum(),
                    }
                    for what, estimate in (("precision", found.precision), ("recall", found.recall)):
                        if estimate is None or (
                            what == "precision" and found.audited_accepted == found.accepted
                        ):
                            continue
                        inside = estimate.low - 1e-9 <= truth[what] <= estimate.high + 1e-9
                        results[what].append((inside, estimate.width))
        for what, pairs in results.items():
            audit_row(str(count), what, pairs)
            pooled[what] += pairs
    for what, pairs in pooled.items():
        audit_row("all", what, pairs)


def audit_row(count: str, what: str, pairs: Sequence[tuple[bool, float]]) -> None:
    covered, width = np.mean(pairs, axis=0)
    print(f"{count:<10}{what:>14}{len(pairs):>8}{covered:>10.3f}{width:>8.3f}", flush=True)


def precision_table(axis: Axes) -> None:
    print(
        f"{'target':<10}{'cuts':>8}{'refused':>9}{'true':>8}{'reached':>9}{'coverage':>10}{'recall coverage':>17}"
    )
    for target in (0.8, 0.9, 0.95):
        refused, rows = 0, []
        for name in ("all", "animals", "cifar10"):
            for attribute in axis[name]:
                if attribute.present.sum() < 10:
                    continue
                places, chances = audited(attribute, 80, f"{name} {attribute.code}")
                at, present = attribute.x[places], attribute.present[places]
                try:
                    found = cut_for_precision(attribute.x, at, present, chances, target)
                except InputError:
                    refused += 1
                    continue
                hits = attribute.present[attribute.x >= found.shift]
                precision, recall = hits.mean(), hits.sum() / attribute.present.sum()
                rows.append(
                    (
                        precision,
                        precision >= target,
                        found.precision.low - 1e-9 <= precision <= found.precision.high + 1e-9,
                        found.recall.low - 1e-9 <= recall <= found.recall.high + 1e-9,
                    )
                )
        true, reached, covered, recalled = np.mean(rows, axis=0)
        print(
            f"{target:<10}{len(rows):>8}{refused:>9}{true:>8.3f}{reached:>9.2f}{covered:>10.3f}{recalled:>17.3f}",
            flush=True,
        )


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


if __name__ == "__main__":
    main()
