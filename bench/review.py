"""Simulated reviewers on real CLIP embeddings: what 5, 10, 20, 50 labels an attribute are worth, and what audits say.

    python bench/review.py [--seeds N] [--every N] [--jobs N]

Macro-F1 of the accepted images over the attributes with three positives or more, accepted by the cut alone: an answer
moves the cut and decides no image by itself. A slipping reviewer is wrong at a second look as often as at the first.
Two axes: the contrast margin E85 by itself, with a logistic scale fitted on other attributes and the valley's cut; and
the shipped `auto` fit. Needs ../shared/data beside the repository.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial

import numpy as np
from review_axes import COLLECTIONS, DATA, Attribute, Axes, axes
from review_simulated import Answers, Looks, best_f1, cut_of, f1, labelled, review
from threadpoolctl import threadpool_limits

from colonnade.engine.errors import InputError
from colonnade.engine.label_audit import audit, draw
from colonnade.engine.label_precision import cut_for_precision

BUDGETS = (5, 10, 20, 50)
AUDITS = (10, 20, 50)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1, help="reviewers of each kind (1)")
    parser.add_argument("--every", type=int, default=1, help="take every so-many-th attribute only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (one a core)")
    options = parser.parse_args()
    if not (DATA / "calibration").is_dir():
        sys.exit(f"{DATA}: not there; this benchmark needs real CLIP embeddings")
    started = time.perf_counter()
    margin, auto = axes()
    margin, auto = ({name: some[:: options.every] for name, some in axis.items()} for axis in (margin, auto))
    print(f"axes made in {time.perf_counter() - started:.0f} s", flush=True)
    with ProcessPoolExecutor(options.jobs, initializer=threadpool_limits, initargs=(1,)) as pool:
        for title, axis in (("margin axis E85", margin), ("axis of `auto`, as shipped", auto)):
            print(f"\n{title}: macro-F1, {', '.join(COLLECTIONS)}")
            review_table(axis, options.seeds, pool)
    after = labelled(auto, 20)
    for title, axis in (("`auto` without labels", auto), ("`auto` and 20 labels", after)):
        print(f"\naudits, {title}: coverage and mean width of 90 % intervals")
        audit_table(axis)
    print("\nthe cut for a wanted precision, `auto` and 20 labels, 80 audited")
    precision_table(after)
    print(f"\n{time.perf_counter() - started:.0f} s")


def review_table(axis: Axes, seeds: int, pool: Executor) -> None:
    print(f"{'reviewer':<50}" + "".join(f"{mark:>8}" for mark in (0, *BUDGETS)))
    plain, apart, before, _ = tables(axis, seeds, pool, wrong=0.0)
    row("never wrong", plain.mean(axis=0))
    for name, values in zip(COLLECTIONS, plain, strict=True):
        row(f"  {name}", values)
    row("never wrong, labelled images left out", np.nanmean(apart, axis=0))
    row("  the same images without labels", np.nanmean(before, axis=0))
    for title, looks in (
        ("no second looks", Looks.NONE),
        ("second looks besides the budget (the product)", Looks.BESIDES),
        ("second looks within the budget", Looks.WITHIN),
    ):
        print(title)
        found = [tables(axis, seeds, pool, wrong=wrong, looks=looks) for wrong in (0.0, 0.1)]
        right, slipping = (everything.mean(axis=0) for everything, *_ in found)
        row("  never wrong", right)
        row("  10 % wrong answers", slipping)
        row("    lost to wrong answers", right - slipping)
        row("    lost against never wrong and no second looks", plain.mean(axis=0) - slipping)
        row("  gain over no labels, never wrong", right - right[0])
        if looks != Looks.NONE:
            row("  second looks, never wrong", found[0][3].mean(axis=0))
            row("  second looks, 10 % wrong", found[1][3].mean(axis=0))
    best = [np.mean([best_f1(attribute) for attribute in axis[name]]) for name in COLLECTIONS]
    print(f"{'best cut of each attribute (oracle)':<50}{np.mean(best):8.3f}", flush=True)


def tables(
    axis: Axes, seeds: int, pool: Executor, *, wrong: float, looks: Looks = Looks.NONE
) -> tuple[np.ndarray, ...]:
    """[collection, mark] each: macro-F1 of all images; of those that are not labelled; of these without labels; how
    many second looks there were."""
    work = partial(scores, wrong=wrong, looks=looks, seeds=seeds)
    runs = [np.stack(list(pool.map(work, axis[name], chunksize=4))) for name in COLLECTIONS]
    return tuple(np.moveaxis(np.array([_means(run) for run in runs]), 1, 0))


def _means(run: np.ndarray) -> np.ndarray:
    """Means [4, mark] over attributes, of those that have a number."""
    count = (~np.isnan(run)).sum(axis=0)
    return np.asarray(np.where(count, np.nansum(run, axis=0) / np.maximum(count, 1), np.nan))


def row(title: str, values: Sequence[float] | np.ndarray) -> None:
    print(f"{title:<50}" + "".join(f"{value:8.3f}" for value in values), flush=True)


def scores(attribute: Attribute, *, wrong: float, looks: Looks, seeds: int) -> np.ndarray:
    """[4, mark] as in `tables`; where labels are left out, NaN for fewer than three positives."""
    found = np.full((seeds, 4, 1 + len(BUDGETS)), np.nan)
    for seed in range(seeds):
        for at, given in enumerate(review(attribute, (0, *BUDGETS), wrong, seed, looks=looks)):
            kept = np.ones(len(attribute.x), dtype=bool)
            kept[given.asked] = False
            x, present = attribute.x[kept], attribute.present[kept]
            without, cut = cut_of(attribute, Answers()), cut_of(attribute, given)
            found[seed, 0, at] = f1(attribute.x >= cut, attribute.present)
            found[seed, 3, at] = given.looks
            if present.sum() >= 3:
                found[seed, 1, at] = f1(x >= cut, present)
                found[seed, 2, at] = f1(x >= without, present)
    return np.asarray(found.mean(axis=0))


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


if __name__ == "__main__":
    main()
