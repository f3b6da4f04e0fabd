"""Which expressions the benchmark of the app asks for, and how many images they find, by plain DuckDB and numpy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

__all__ = ["Conditions", "attribute_codes", "choose_conditions"]

_STARTS = (0.2, 0.4, 0.05)


@dataclass(frozen=True)
class Conditions:
    """Three conditions, of which the first one's threshold is moved."""

    codes: tuple[str, str, str]
    start: float
    counts: tuple[int, ...]
    """How many images match with the threshold at start, start + 0.01, ...: counted here, not by the app."""
    without_last: int
    """How many match the first two conditions alone, at the start."""
    place: int
    """Of the first code among all."""
    images: int

    @property
    def text(self) -> str:
        """The expression with the first threshold."""
        first, second, third = self.codes
        return f"{first} >= {self.start:.2f} and {second} < 0.95 and not {third}"

    @property
    def every(self) -> str:
        """Three conditions that every image meets: the results then have three columns of numbers."""
        return " and ".join(f"{code} >= 0" for code in self.codes)


def attribute_codes(store: Path) -> list[str]:
    """The scored attributes, in the order of their codes."""
    folders = (store / "live" / "scores").glob("attribute_code=*")
    return sorted(folder.name.partition("=")[2] for folder in folders)


def choose_conditions(store: Path, steps: int) -> Conditions:
    """Three attributes, the threshold of the first such that most of its steps change the count."""
    codes = attribute_codes(store)
    found = [one for place in range(min(6, len(codes) - 2)) for one in _at(store, codes, place, steps)]
    if not found:
        sys.exit(f"{store}: three scored attributes are needed")
    return max(found, key=lambda one: (one.without_last != one.counts[0], len(set(one.counts))))


def _at(store: Path, codes: Sequence[str], place: int, steps: int) -> list[Conditions]:
    live = store.resolve() / "live"
    three = (codes[place], codes[place + 1], codes[place + 2])
    a, b, c = (f"read_parquet('{live}/scores/attribute_code={code}/*.parquet')" for code in three)
    images = f"read_parquet('{live}/images/*.parquet')"
    values = duckdb.execute(
        "SELECT a.confidence, b.confidence < 0.95::FLOAT AS second, c.status <> 'accepted' AS third "
        f"FROM {a} a JOIN {b} b USING (image_id) JOIN {c} c USING (image_id) JOIN {images} i USING (image_id) "
        "WHERE i.state = 'ok'"
    ).fetchnumpy()
    tested = values["confidence"][values["second"]]
    others = values["third"][values["second"]]
    found = []
    for start in _STARTS:
        bounds = [np.float32(round(start + 0.01 * n, 2)) for n in range(steps + 1)]
        counts = tuple(int((others & (tested >= bound)).sum()) for bound in bounds)
        two = int((tested >= bounds[0]).sum())
        found.append(Conditions(three, start, counts, two, place, len(values["third"])))
    return found
