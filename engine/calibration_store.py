"""Choosing, resetting and listing the fits of attributes, and refreshing what follows from them.

A changed fit makes confidences and statuses anew from the stored logits: no image is decoded, no model loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from colonnade.engine.calibration import (
    ACCEPTED,
    REJECTED,
    TENTATIVE,
    Fit,
    cut_of,
    default_fit,
    judge,
)
from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.fit_choice import read_grounds, row_fit
from colonnade.engine.fit_rows import stage_fits
from colonnade.engine.freshness import read_fit
from colonnade.engine.scoring import codes_of_statuses
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_table
from colonnade.engine.tag import plan_tag, tag
from colonnade.engine.texts import missing_phrases, missing_prompts
from colonnade.engine.vocabulary import BaseAttribute, Thresholds, Vocabulary

__all__ = [
    "FitChange",
    "StatusCounts",
    "StoredFit",
    "active_model",
    "base_attribute",
    "cut_of",
    "derived_from",
    "list_fits",
    "preview_fit",
    "refresh",
    "store_fits",
]


@dataclass(frozen=True, slots=True)
class StatusCounts:
    """Scored images of one attribute, by status."""

    accepted: int = 0
    tentative: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class FitChange:
    """What another fit would do to the scored images of an attribute."""

    code: str
    before: StatusCounts
    after: StatusCounts
    entering: int
    """Images that would become accepted."""
    leaving: int
    """Images that would no longer be accepted."""


@dataclass(frozen=True, slots=True)
class StoredFit:
    """The fit of an attribute under a model, with what it amounts to."""

    code: str
    model: str
    fit: Fit
    cut: float | None
    """Where `accepted` begins, see `cut_of`; None where nothing is accepted, or everything."""
    fitted_at: datetime | None = None


def active_model(store: Store) -> Model:
    """The active model.

    Raises:
        InputError: the store has none yet.
    """
    model = store.settings.active
    if model is None:
        raise InputError(
            f"{store.path}: nothing is embedded yet, so there is nothing to calibrate; run colonnade sync"
        )
    return model


def base_attribute(vocabulary: Vocabulary, code: str) -> BaseAttribute:
    """The attribute of that code, which has logits.

    Raises:
        InputError: no such attribute, or a derived one.
    """
    attribute = vocabulary.attribute(code)
    if not isinstance(attribute, BaseAttribute):
        raise InputError(
            f"{code}: a derived attribute; its confidence follows from its rule, not from a calibration"
        )
    return attribute


def store_fits(store: Store, fits: Mapping[str, Fit | None], model: Model) -> tuple[str, ...]:
    """Store fits of attributes under a model (None: nothing stored, so `auto`); returns the codes that changed."""
    changed: list[str] = []

    def merge(live: Snapshot, stage: Stage) -> None:
        changed[:] = stage_fits(stage, live, fits, model)

    with open_stage(store.path, command="calibration") as stage:
        stage.late(merge)
        stage.commit()
    return tuple(changed)


def preview_fit(
    snapshot: Snapshot, attribute: BaseAttribute, fit: Fit | None, model: Model, prompts: Sequence[str]
) -> FitChange:
    """What a fit (None: the model's default) would do to the stored scores of an attribute; writes nothing.

    A fit on an axis of its own must be on the one of the stored log odds; `fit_attributes` previews others.
    """
    wanted = fit or default_fit(model, prompts)
    thresholds: Thresholds = attribute.thresholds
    before, after = np.zeros(3, np.int64), np.zeros(3, np.int64)
    entering = leaving = 0
    for file in snapshot.files("scores", attribute.code):
        data = read_files([file], ["logit", "log_odds", "status"])
        old = codes_of_statuses(data["status"])
        logits, odds = (
            data[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in ("logit", "log_odds")
        )
        _, new = judge(wanted, thresholds.accepted, thresholds.tentative, logits, odds)
        before += [(old == code).sum() for code in (ACCEPTED, TENTATIVE, REJECTED)]
        after += [(new == code).sum() for code in (ACCEPTED, TENTATIVE, REJECTED)]
        entering += int(((new == ACCEPTED) & (old != ACCEPTED)).sum())
        leaving += int(((new != ACCEPTED) & (old == ACCEPTED)).sum())
    return FitChange(
        attribute.code, StatusCounts(*before.tolist()), StatusCounts(*after.tolist()), entering, leaving
    )


def refresh(
    store: Store, codes: Sequence[str], *, on_conflict: Callable[[str], None] | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Make the scores of base attributes fresh, and of what is derived from them, without loading a model.

    Returns:
        The codes that were written, and those of `codes` that need the model first (a prompt has no vector): the next
        `sync` makes them.
    """
    snapshot, vocabulary = store.snapshot(), store.vocabulary()
    model = active_model(store)
    scored = set(snapshot.partitions("scores"))
    grounds = read_grounds(snapshot, vocabulary, model)
    some = [code for code in codes if code in scored]
    work = plan_tag(snapshot, vocabulary, model, codes=some, grounds=grounds)
    waiting = tuple(
        w.code
        for w in work
        if w.cells and (missing_prompts(vocabulary, grounds, [w]) or missing_phrases(grounds, [w]))
    )
    ready = [w.code for w in work if w.cells and w.code not in waiting]
    written: tuple[str, ...] = ()
    if ready:
        written = tag(store, codes=ready, on_conflict=on_conflict).attributes
    above = derived_from(vocabulary, [work.code for work in work if work.code not in waiting])
    if above:
        written += derive_attributes(store, codes=above, on_conflict=on_conflict)
    return written, waiting


def derived_from(vocabulary: Vocabulary, codes: Sequence[str]) -> list[str]:
    """The derived attributes that use one of the codes, directly or not."""
    rules = {attribute.code: attribute.rule for attribute in vocabulary.derived}
    reached = set(codes)
    found = []
    for code in vocabulary.derived_order:
        if not reached.isdisjoint(rules[code].codes):
            reached.add(code)
            found.append(code)
    return found


def list_fits(store: Store, snapshot: Snapshot, vocabulary: Vocabulary) -> tuple[StoredFit, ...]:
    """The fit of every base attribute under the active model, then what is stored for other models and codes.

    Damaged ones are left out, and the model's own takes the place of one under the active model.
    """
    fits: list[StoredFit] = []
    model = store.settings.active
    thresholds = {attribute.code: attribute.thresholds for attribute in vocabulary.base}
    stored = {
        code: read_table("calibrations", snapshot.files("calibrations", code)).to_pylist()
        for code in snapshot.partitions("calibrations")
    }
    if model is not None:
        for attribute in vocabulary.base:
            fit = read_fit(snapshot, attribute.code, model, vocabulary.prompts(attribute.code))
            mine = (row for row in stored.get(attribute.code, ()) if row["model"] == model.key)
            row: dict[str, Any] | None = next(mine, None)
            cut = cut_of(fit, attribute.thresholds.accepted)
            fits.append(StoredFit(attribute.code, model.key, fit, cut, row["fitted_at"] if row else None))
    listed = {(fit.code, fit.model) for fit in fits}
    for code, rows in sorted(stored.items()):
        for row in rows:
            if (code, row["model"]) in listed:
                continue
            try:
                fit = row_fit(row, code)
            except StoreError:
                continue
            cut = cut_of(fit, thresholds.get(code, Thresholds()).accepted)
            fits.append(StoredFit(code, row["model"], fit, cut, row["fitted_at"]))
    return tuple(fits)
