"""Recall intervals of audits on simulated collections, where the model misses hits anywhere close below the cut.

    python bench/audit_simulation.py [--audits N] [--jobs N]

That is harder than photographs are (see bench/review.py for those). 3 to 12 % of the images show the attribute; up to
40 % of these lie below the cut, evenly down to 6 below it, and up to 40 % as many others lie above it. Prints how often
the 90 % interval holds the truth, how wide it is, and how far the estimate is off, in the mean.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from review import audited
from review_axes import Attribute
from threadpoolctl import threadpool_limits

from colonnade.engine.label_audit import audit

IMAGES = (240, 3000)
AUDITED = (10, 20, 50)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--audits", type=int, default=600, help="of each kind (600)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (one a core)")
    options = parser.parse_args()
    print(f"{'images':>8}{'audited':>9}{'audits':>8}{'held':>8}{'width':>8}{'off by':>8}")
    with ProcessPoolExecutor(options.jobs, initializer=threadpool_limits, initargs=(1,)) as pool:
        for images in IMAGES:
            for count in AUDITED:
                found = pool.map(partial(one, images, count), range(options.audits), chunksize=10)
                told = [result for result in found if result is not None]
                held, width, bias = np.mean(told, axis=0)
                print(
                    f"{images:>8}{count:>9}{len(told):>8}{held:>8.3f}{width:>8.3f}{bias:>+8.3f}", flush=True
                )


def one(images: int, count: int, seed: int) -> tuple[bool, float, float] | None:
    """(whether the interval holds the truth, its width, estimate less truth); None if no recall is told."""
    simulated = collection(images, np.random.default_rng(seed))
    x, present = simulated.x, simulated.present
    places, chances = audited(simulated, count, str(seed))
    recall = audit(x, x[places], present[places], chances).recall
    if recall is None:
        return None
    truth = present[x >= 0].sum() / present.sum()
    return recall.low - 1e-9 <= truth <= recall.high + 1e-9, recall.width, recall.value - truth


def collection(images: int, generator: np.random.Generator) -> Attribute:
    """An attribute in so many images."""
    hits = max(8, int(images * generator.uniform(0.03, 0.12)))
    missed = generator.random(hits) < generator.uniform(0, 0.4)
    shown = np.where(missed, generator.uniform(-6, 0, hits), np.abs(generator.normal(1.5, 1.5, hits)))
    wrong = int(hits * generator.uniform(0, 0.4))
    rest = images - hits - wrong
    below = -2.5 * np.abs(generator.normal(0, 1, rest)) - np.abs(generator.normal(3, 2, rest))
    x = np.concatenate([shown, below, np.abs(generator.normal(0.7, 0.7, wrong))])
    return Attribute("simulated", x, np.arange(images) < hits)


if __name__ == "__main__":
    main()
