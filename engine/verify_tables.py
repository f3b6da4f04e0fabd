"""What must hold of images, vectors, labels, calibrations, sets and projections."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.columns import IMAGE_VALUES
from colonnade.engine.errors import StoreError
from colonnade.engine.findings import Findings, Tally
from colonnade.engine.fit_choice import row_fit
from colonnade.engine.label_files import POLICIES
from colonnade.engine.prompts import ATTRIBUTE, BACKGROUND, PHRASE
from colonnade.engine.settings import Model
from colonnade.engine.vector_columns import vectors_of

__all__ = ["CHECKS", "ImageRows", "VectorRows"]

_KINDS = (ATTRIBUTE, BACKGROUND, PHRASE)
_UNIT = 1e-3
"""How far from 1 the length of a stored vector may be (float32, or float16 at its import)."""


@dataclass(slots=True)
class ImageRows:
    """Checks rows of the images table; whether paths are unique is known after the last (`finish`)."""

    findings: Findings
    _keys: list[np.ndarray] = field(default_factory=list)
    _ids: list[np.ndarray] = field(default_factory=list)

    def check(self, batch: pa.RecordBatch, ids: np.ndarray, tally: Tally) -> None:
        for name, values in IMAGE_VALUES.items():
            other = _not_in(batch, name, values)
            if name == "format":  # what cannot be read has none
                other &= ~_null(batch, name)
            tally.rows(other, f"with a {name} other than {', '.join(values)}", ids)
        for name in ("bytes", "width", "height"):
            tally.rows(_true(pc.less(batch.column(name), 0)), f"with {name} below 0", ids)
        unreadable = _true(pc.equal(batch.column("state"), "unreadable"))
        tally.rows(unreadable & _null(batch, "error"), "unreadable without a reason", ids)
        tally.rows(_null(batch, "path"), "without a path", ids)
        # A missing image may have the path of one that was moved onto it.
        there = np.flatnonzero(~_true(pc.equal(batch.column("state"), "missing")))
        named = batch.select(["root", "path"]).take(pa.array(there))
        # Python's hash of text is keyed anew in each process, so that nobody can prepare collisions.
        pairs = zip(named.column("root").to_pylist(), named.column("path").to_pylist(), strict=True)
        self._keys.append(np.fromiter((hash(pair) for pair in pairs), np.int64, named.num_rows))
        self._ids.append(ids[there])

    def finish(self) -> None:
        """Tell of images with the same root and path that are both there."""
        if not self._keys:
            return
        keys, ids = np.concatenate(self._keys), np.concatenate(self._ids)
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(np.diff(keys[order]) == 0)
        if len(same):
            first, second = ids[order[same[0]]], ids[order[same[0] + 1]]
            what = f"{len(same):,} images have the root and path of another (first: {first} and {second})"
            self.findings.fault(
                "images", what, "`colonnade restore N` to a snapshot without, then `colonnade scan`"
            )


@dataclass(slots=True)
class VectorRows:
    """Checks rows of embeddings or prompts of one model."""

    table: str
    model: Model | None
    _dimension: int | None = None
    _prompts: set[tuple[str, str]] = field(default_factory=set)

    def check(self, batch: pa.RecordBatch, ids: np.ndarray, tally: Tally) -> None:
        column = batch.column("embedding")
        names = ids if self.table == "embeddings" else None
        if self._dimension is None:
            self._dimension = self.model.dimension if self.model else column.type.list_size
        nothing = np.zeros(batch.num_rows, dtype=bool)
        if column.type.list_size != self._dimension:
            tally.rows(~nothing, f"of {column.type.list_size} numbers instead of {self._dimension}", names)
        elif column.null_count or column.flatten().null_count:
            tally.rows(_null(batch, "embedding") | ~nothing, "in a batch with missing vectors", names)
        else:
            vectors = vectors_of(column)
            with np.errstate(over="ignore", invalid="ignore"):
                lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
            tally.rows(~np.isfinite(lengths), "whose vector is not finite", names)
            off = np.isfinite(lengths) & (np.abs(lengths - 1) > _UNIT)
            tally.rows(off, "whose vector is not of unit length", names)
        if self.table == "prompts":
            self._check_prompts(batch, tally)

    def _check_prompts(self, batch: pa.RecordBatch, tally: Tally) -> None:
        tally.rows(_not_in(batch, "kind", _KINDS), f"of a kind other than {', '.join(_KINDS)}")
        tally.rows(_null(batch, "prompt"), "without a prompt")
        pairs = list(zip(batch.column("kind").to_pylist(), batch.column("prompt").to_pylist(), strict=True))
        again = len(pairs) - len(set(pairs) - self._prompts)
        tally.rows(np.arange(len(pairs)) < again, "of a prompt that another row has")
        self._prompts.update(pairs)


def _check_definition(batch: pa.RecordBatch, ids: np.ndarray, tally: Tally) -> None:
    tally.rows(_null(batch, "definition") | _null(batch, "json"), "without a text")


def _check_label(batch: pa.RecordBatch, ids: np.ndarray, tally: Tally) -> None:
    tally.rows(_not_in(batch, "policy", POLICIES), f"drawn otherwise than by {', '.join(POLICIES)}", ids)
    probability = batch.column("probability")
    known = ~_null(batch, "probability")
    values = np.asarray(probability.to_numpy(zero_copy_only=False), dtype=np.float64)
    tally.rows(known & ~((values > 0) & (values <= 1)), "with a probability outside 0 to 1", ids)
    tally.rows(_null(batch, "reviewed_at"), "without the time of the judgement", ids)
    reviewers = batch.column("reviewer").to_pylist()
    same = [False] * len(ids)
    for row in range(1, len(ids)):
        same[row] = ids[row] == ids[row - 1] and reviewers[row] == reviewers[row - 1]
    tally.rows(np.array(same, bool), "of an image and reviewer that the row before has", ids)


def _check_calibration(batch: pa.RecordBatch, ids: np.ndarray, tally: Tally) -> None:
    models = batch.column("model").to_pylist()
    tally.rows(np.array([models.count(m) > 1 or not m for m in models], bool), "of a model that another has")
    tally.rows(_null(batch, "method"), "without a method")
    wrong = [_fit_fault(row) for row in batch.to_pylist()]
    for fault in dict.fromkeys(filter(None, wrong)):
        tally.rows(np.array([one == fault for one in wrong], bool), fault)


def _fit_fault(row: Mapping[str, Any]) -> str | None:
    try:
        row_fit(row, "it")
    except StoreError:
        return "whose center or scale is no number" if row["method"] == "fixed" else "whose fit is damaged"
    if row["fit"] is not None and not _is_json(row["fit"]):
        return "whose fit is not JSON"
    return None


def _check_set(batch: pa.RecordBatch, ids: np.ndarray, tally: Tally) -> None:
    """A set has nothing but ids, which are checked for every table."""


def _check_projection(batch: pa.RecordBatch, ids: np.ndarray, tally: Tally) -> None:
    for name, limit in (("latitude", 90.0), ("longitude", 180.0)):
        values = np.asarray(batch.column(name).to_numpy(zero_copy_only=False), dtype=np.float64)
        tally.rows(~(np.abs(values) <= limit + 1e-3), f"with a {name} beyond {limit:.0f}", ids)


CHECKS: dict[str, Callable[[pa.RecordBatch, np.ndarray, Tally], None]] = {
    "definitions": _check_definition,
    "labels": _check_label,
    "calibrations": _check_calibration,
    "sets": _check_set,
    "projections": _check_projection,
}
"""Table -> check of a batch of its rows: (batch, image ids int64 [n] where the table has them, tally)."""


def _null(batch: pa.RecordBatch, name: str) -> np.ndarray:
    return np.asarray(batch.column(name).is_null())


def _true(mask: pa.Array) -> np.ndarray:
    return np.asarray(mask.fill_null(False))


def _not_in(batch: pa.RecordBatch, name: str, words: Sequence[str]) -> np.ndarray:
    return ~np.asarray(pc.is_in(batch.column(name), value_set=pa.array(words)))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
