"""The fits that an attribute had, as far back as snapshots are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from colonnade.engine.calibration import Fit
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.fit_choice import sound_row
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import list_snapshots
from colonnade.engine.store import Store

__all__ = ["FitVersion", "fit_history"]


@dataclass(frozen=True, slots=True)
class FitVersion:
    """What was stored for an attribute from one snapshot on."""

    snapshot: int
    """The first of the kept snapshots that has it."""
    created: datetime
    """When that was committed (UTC)."""
    command: str
    fit: Fit | None
    """None where nothing was stored, or something that can no longer be read."""
    fitted_at: datetime | None


def fit_history(store: Store, code: str, model: Model, *, until: int | None = None) -> tuple[FitVersion, ...]:
    """The versions of an attribute's fit under a model, the latest first.

    Args:
        until: the last snapshot to look at; the live one by default.
    """
    versions: list[FitVersion] = []
    names: tuple[str, ...] | None = None
    for number in list_snapshots(store.path):
        if until is not None and number > until:
            break
        try:
            snapshot = store.snapshot(number)
            found = tuple(file.name for file in snapshot.files("calibrations", code))
            if found == names:
                continue
            version = FitVersion(number, snapshot.created, snapshot.command, None, None)
            try:
                row, _ = sound_row(snapshot, code, model)
            except StoreError:
                row = None
        except (InputError, StoreError):
            continue  # collected meanwhile
        names = found
        if row is not None:
            version = FitVersion(number, snapshot.created, snapshot.command, row.fit, row.fitted_at)
        before = versions[-1] if versions else None
        if (version.fit, version.fitted_at) != ((before.fit, before.fitted_at) if before else (None, None)):
            versions.append(version)
    return tuple(reversed(versions))
