"""Where an attribute's images stand: their stored log odds, on the axis of its fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from colonnade.engine.calibration import LOG_4, Fit, fixed_log_odds, odds_cut
from colonnade.engine.calibration_store import active_model, base_attribute
from colonnade.engine.errors import InputError
from colonnade.engine.freshness import AttributeWork
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_table
from colonnade.engine.tag import plan_tag
from colonnade.engine.vocabulary import Thresholds, Vocabulary

__all__ = ["Places", "eighty", "read_places"]


@dataclass(frozen=True, eq=False)
class Places:
    """The scored images of an attribute that are in state `ok`."""

    code: str
    ids: np.ndarray
    """int64 [n], ascending."""
    odds: np.ndarray
    """float64 [n], log odds on the fit's axis."""
    fit: Fit
    thresholds: Thresholds

    @property
    def cut(self) -> float:
        """The log odds from which images are accepted; infinite where none is, or all are."""
        return odds_cut(self.fit, self.thresholds.accepted)

    @property
    def above(self) -> np.ndarray:
        """float64 [n]: how far each image lies above the cut in force."""
        return self.odds - self.cut

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Places int64 [m] in these arrays of the ids int64 that are in there."""
        found = np.searchsorted(self.ids, ids)
        inside = found < len(self.ids)
        inside[inside] = self.ids[found[inside]] == ids[inside]
        return found[inside]


def eighty(places: Places, cut: float) -> float:
    """The log odds of confidence .80 if images are to be accepted from `cut`: what `set_cut` takes.

    Raises:
        InputError: the attribute's threshold is 0 or 1, so that no cut decides what is accepted.
    """
    accepted = places.thresholds.accepted
    if not 0 < accepted < 1:
        raise InputError(
            f"{places.code}: its threshold for accepted is {accepted:g}, so no cut decides anything"
        )
    slope = 1.0 if places.fit.method == "fixed" else places.fit.slope
    return cut - (math.log(accepted / (1 - accepted)) - LOG_4) / slope


def read_places(
    store: Store, snapshot: Snapshot, vocabulary: Vocabulary, code: str, work: AttributeWork | None = None
) -> Places:
    """Where the images of a base attribute stand.

    Args:
        work: what `plan_tag` says of the attribute, if that is known.

    Raises:
        InputError: not a base attribute, not scored yet, or scored on another axis than that of its fit.
    """
    attribute = base_attribute(vocabulary, code)
    model = active_model(store)
    if work is None:
        (work,) = plan_tag(snapshot, vocabulary, model, codes=[code])
    files = snapshot.files("scores", code)
    if not files:
        raise InputError(f"{code}: not scored yet; run colonnade tag {code}")
    # Rows that new images lack, and confidences that a moved cut made stale, change no image's place.
    stale = [c.reason for c in work.cells if c.reason != "new images" and c.task.name != "CONFIDENCE"]
    if stale or work.to_make or work.fit is None:
        why = work.to_make or ", ".join(dict.fromkeys(stale)) or "no fit"
        raise InputError(f"{code}: its scores are stale ({why}); run colonnade tag {code}")
    ids, odds = _read(snapshot, code, work.fit)
    return Places(code, ids, odds, work.fit, attribute.thresholds)


def _read(snapshot: Snapshot, code: str, fit: Fit) -> tuple[np.ndarray, np.ndarray]:
    names = ["image_id", "logit" if fit.axis is None else "log_odds"]
    data = read_files(snapshot.files("scores", code), names)
    ids = data["image_id"].to_numpy()
    values = data[names[1]].to_numpy(zero_copy_only=False).astype(np.float32)
    odds = fixed_log_odds(fit, values) if fit.axis is None else values
    images = read_table("images", snapshot.files("images"), ["image_id", "state"])
    ok = images.filter(pc.equal(images["state"], "ok"))["image_id"].to_numpy()
    keep = np.isfinite(odds) & np.isin(ids, ok)
    order = np.argsort(ids[keep], kind="stable")
    return ids[keep][order], odds[keep][order].astype(np.float64)
