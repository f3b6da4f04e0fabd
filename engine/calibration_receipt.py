"""The receipt of one attribute's calibration: what the fit rests on, the images at its cut, and its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.calibration import ACCEPTED, Fit
from colonnade.engine.calibration_store import active_model, base_attribute
from colonnade.engine.calibration_table import AttributeCalibration, calibration_table
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.fit_history import FitVersion, fit_history
from colonnade.engine.provenance import read_definitions
from colonnade.engine.scoring import codes_of_statuses
from colonnade.engine.snapshots import Snapshot, list_snapshots
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_table

__all__ = ["ImageAtCut", "Receipt", "Since", "receipt"]


@dataclass(frozen=True, slots=True)
class ImageAtCut:
    """An image near the cut."""

    image_id: int
    root: str | None
    path: str
    logit: float
    log_odds: float | None
    """None for the method `fixed`."""
    confidence: float


@dataclass(frozen=True, slots=True)
class Since:
    """What the last fit changed against the one before it."""

    before: FitVersion
    difference: tuple[str, ...]
    """Each number that is another now: `cut -1.73 -> -2.1`."""
    entering: int
    """Images accepted now, and not just before the last fit."""
    leaving: int


@dataclass(frozen=True)
class Receipt:
    """All that is to be said of an attribute's calibration."""

    row: AttributeCalibration
    fit: Fit | None
    """With its base: competing phrases, metrics, what it was fitted on. None without an active model."""
    above: tuple[ImageAtCut, ...]
    """The images just above the cut, the nearest first."""
    below: tuple[ImageAtCut, ...]
    history: tuple[FitVersion, ...]
    """What was stored, as far back as snapshots are kept, the latest first."""
    since: Since | None
    """None where nothing was stored before the last fit, or that is no longer known."""
    is_known_since: bool
    """Whether snapshots from before the first fit of `history` are kept, or there were none."""


def receipt(store: Store, code: str, *, at: int | None = None, images: int = 5) -> Receipt:
    """The receipt of a base attribute.

    Args:
        at: the snapshot to look at; the live one by default.
        images: how many on each side of the cut.

    Raises:
        InputError: not a base attribute, or nothing is embedded yet.
        StoreError: a file or the stored fit is damaged.
    """
    snapshot = store.snapshot(at)
    vocabulary = store.vocabulary(snapshot if at is not None else None)
    base_attribute(vocabulary, code)
    model = active_model(store)
    (row,) = calibration_table(store, snapshot, vocabulary, [code])
    above, below = _at_cut(snapshot, code, images)
    history = fit_history(store, code, model, until=snapshot.number)
    oldest = next(iter(list_snapshots(store.path)), 1)
    known = not history or oldest == 1 or history[-1].snapshot > oldest
    return Receipt(row, row.fit, above, below, history, _since(store, snapshot, code, history), known)


def _at_cut(
    snapshot: Snapshot, code: str, count: int
) -> tuple[tuple[ImageAtCut, ...], tuple[ImageAtCut, ...]]:
    """Images just above and just below where `accepted` begins."""
    files = snapshot.files("scores", code)
    if not files:
        return (), ()
    data = read_files(files, ["image_id", "logit", "log_odds", "confidence", "status"])
    status = codes_of_statuses(data["status"])
    order = np.asarray(data["confidence"].to_numpy(zero_copy_only=False), dtype=np.float64)
    odds = np.asarray(data["log_odds"].to_numpy(zero_copy_only=False), dtype=np.float64)
    rank = np.where(
        np.isnan(odds), np.asarray(data["logit"].to_numpy(zero_copy_only=False), np.float64), odds
    )
    known = ~np.isnan(order)
    accepted = np.flatnonzero(known & (status == ACCEPTED))
    others = np.flatnonzero(known & (status != ACCEPTED))
    nearest_above = accepted[np.argsort(rank[accepted], kind="stable")[:count]]
    nearest_below = others[np.argsort(-rank[others], kind="stable")[:count]]
    chosen = data.take(np.concatenate([nearest_above, nearest_below]))
    names = _names(snapshot, chosen["image_id"].to_pylist())
    found = [
        ImageAtCut(
            each["image_id"],
            *names.get(each["image_id"], (None, "")),
            each["logit"],
            each["log_odds"],
            each["confidence"],
        )
        for each in chosen.select(["image_id", "logit", "log_odds", "confidence"]).to_pylist()
    ]
    return tuple(found[: len(nearest_above)]), tuple(found[len(nearest_above) :])


def _names(snapshot: Snapshot, ids: Sequence[int]) -> dict[int, tuple[str | None, str]]:
    """Image -> its root and path."""
    rows = read_table("images", snapshot.files("images"), ["image_id", "root", "path"])
    rows = rows.filter(pc.is_in(rows["image_id"], value_set=pa.array(ids, pa.int64())))
    return {row["image_id"]: (row["root"], row["path"]) for row in rows.to_pylist()}


def _since(store: Store, snapshot: Snapshot, code: str, history: Sequence[FitVersion]) -> Since | None:
    if len(history) < 2:
        return None
    last, before = history[:2]
    try:
        just_before = store.snapshot(last.snapshot - 1)
    except (InputError, StoreError):
        just_before = store.snapshot(before.snapshot)
    was, now = _accepted(just_before, code), _accepted(snapshot, code)
    old, new = (version.fit.as_json() if version.fit is not None else {} for version in (before, last))
    definitions = read_definitions(just_before) | read_definitions(snapshot)
    return Since(
        before,
        _other_prompts(definitions, before.fit, last.fit) + _difference(old, new),
        len(np.setdiff1d(now, was, assume_unique=True)),
        len(np.setdiff1d(was, now, assume_unique=True)),
    )


def _accepted(snapshot: Snapshot, code: str) -> np.ndarray:
    files = snapshot.files("scores", code)
    if not files:
        return np.empty(0, np.int64)
    data = read_files(files, ["image_id", "status"])
    return np.asarray(data["image_id"].to_numpy()[codes_of_statuses(data["status"]) == ACCEPTED])


def _other_prompts(
    definitions: Mapping[str, Mapping[str, Any]], old: Fit | None, new: Fit | None
) -> tuple[str, ...]:
    """That the fits are of other logits, in words; nothing where that is not known."""
    one, other = (fit.base.logit if fit is not None and fit.base is not None else None for fit in (old, new))
    if one is None or other is None or one == other:
        return ()
    was, now = (definitions.get(logit, {}).get("prompts") for logit in (one, other))
    if not isinstance(was, list) or not isinstance(now, list) or was == now:
        return ("other logits",)
    return (f"prompts {_quoted(was)} -> {_quoted(now)}",)


def _quoted(prompts: Sequence[object]) -> str:
    shown = ", ".join(f'"{str(prompt)[:60]}"' for prompt in prompts[:3])
    return shown + (f" and {len(prompts) - 3} more" if len(prompts) > 3 else "")


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """The values that differ, in the new fit's order; an axis or background only as such."""
    told = []
    for name in dict.fromkeys((*new, *old)):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if name in ("axis", "background"):
            told.append(f"another {name}")
        else:
            what = "cut of .80 (log odds)" if name == "cut" else name
            told.append(f"{what} {_short(before)} -> {_short(after)}")
    return tuple(told)


def _short(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value).lower()
