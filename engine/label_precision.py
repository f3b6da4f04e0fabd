"""The cut that gives the precision somebody wants, as far as audited images can show it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from colonnade.engine.errors import InputError
from colonnade.engine.label_audit import Audit, Estimate, audit, precision_at

__all__ = ["PrecisionCut", "cut_for_precision"]


@dataclass(frozen=True, slots=True)
class PrecisionCut:
    """A cut, and what the audited images say of it."""

    shift: float
    """How far it lies above the cut in force, in log odds."""
    precision: Estimate
    recall: Estimate | None
    """None as long as no audited image shows the attribute."""
    before: Audit
    """At the cut in force."""
    accepted: int
    """Images that would be accepted."""
    audited: int
    """Audited images among those."""

    @property
    def recall_cost(self) -> float:
        """Recall that is lost (below 0: gained) by moving the cut; not a number where none was known before."""
        if self.before.recall is None or self.recall is None:
            return math.nan
        return self.before.recall.value - self.recall.value


def cut_for_precision(
    x: np.ndarray,
    at: np.ndarray,
    present: np.ndarray,
    probability: np.ndarray,
    target: float,
    *,
    code: str = "this attribute",
) -> PrecisionCut:
    """The lowest cut at which the estimated precision is at least `target`.

    Cuts are looked for between audited images, and at the cut in force.

    Args:
        x: float [n], log odds minus the cut in force, of all images.
        at, present, probability: the audited images, as for `label_audit.audit`.
        code: the attribute's name, for messages.

    Raises:
        InputError: the target is not between 0 and 1, nothing was audited, or too few images were audited, or too few
            of them right, to show it.
    """
    if not 0 < target < 1:
        raise InputError(f"precision {target:g}: it must lie between 0 and 1")
    at, present = np.asarray(at, dtype=np.float64), np.asarray(present, dtype=np.float64)
    x = np.asarray(x, dtype=np.float64)
    found = _lowest(x, at, present, probability, target) if len(at) else None
    if found is None:
        raise InputError(_refusal(code, int((x >= 0).sum()), at, present, target))
    shift, precision = found
    after = audit(x - shift, at - shift, present, probability)  # as the table will, once the cut is there
    return PrecisionCut(
        shift=shift,
        precision=precision,
        recall=after.recall,
        before=audit(x, at, present, probability),
        accepted=after.accepted,
        audited=after.audited_accepted,
    )


def _lowest(
    x: np.ndarray, at: np.ndarray, present: np.ndarray, probability: np.ndarray, target: float
) -> tuple[float, Estimate] | None:
    places = np.unique(at[np.isfinite(at)])
    candidates = np.unique(np.concatenate([[0.0], places[:1], (places[1:] + places[:-1]) / 2]))
    for cut in candidates:
        if not (at >= cut).any():
            break
        precision = precision_at(x - cut, at - cut, present, probability)
        if precision is not None and precision.value >= target:
            return float(cut), precision
    return None


def _needed(accepted: int, target: float) -> int:
    """The fewest of so many accepted images that, audited without a fault, show the precision.

    The audited ones are known, and only the others rest on Jeffreys' mean: of a few images fewer are needed.
    """
    seen = np.arange(1, accepted + 1)
    shown = (seen + (accepted - seen) * (seen + 0.5) / (seen + 1)) / max(accepted, 1)
    return int(np.argmax(shown >= target)) + 1


def _refusal(code: str, images: int, at: np.ndarray, present: np.ndarray, target: float) -> str:
    accepted = at >= 0
    right, seen = int((present[accepted] == 1).sum()), int(accepted.sum())
    advice = f"colonnade review {code} --audit"
    if images == 0:
        return f"{code}: there is no accepted picture, so that no precision can be shown; colonnade review {code}"
    if seen == 0:
        return f"{code}: no accepted picture has been audited, so that no precision can be shown; {advice}"
    needed = _needed(images, target)
    pictures = f"{seen} of {images:,} accepted picture{'s' if images > 1 else ''}"
    if seen < needed:
        return (
            f"{code}: {pictures} audited ({right} right) cannot show a precision of {target:g}, which takes {needed} "
            f"without a fault; {advice}"
        )
    return (
        f"{code}: {pictures} audited, {right} are right, and no cut among them shows a precision of {target:g}; "
        f"more labels may: {advice}"
    )
