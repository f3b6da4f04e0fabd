"""Cuts set by hand: from what the calibration table shows to log odds, and a fit with its cut elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace

from colonnade.engine.calibration import LARGEST, LOG_4, Fit, bounded, line_of
from colonnade.engine.errors import InputError

__all__ = ["moved", "odds_of_cut"]


def odds_of_cut(fit: Fit, cut: float, confidence: float) -> float:
    """The log odds of confidence .80 with which `cut_of(fit, confidence)` would be `cut`.

    Raises:
        InputError: the confidence is 0 or 1, which no cut gives.
    """
    if not 0 < confidence < 1:
        raise InputError(f"images are accepted from a confidence of {confidence:g}, which no cut gives")
    if fit.axis is None:
        center, scale = line_of(fit)
        cut = (cut - center) / scale
    return cut - (math.log(confidence / (1 - confidence)) - LOG_4) / fit.slope


def moved(fit: Fit, cut: float) -> Fit:
    """The fit with its cut (the log odds of confidence .80) where somebody wants it.

    Raises:
        InputError: the cut is not finite, or absurdly large.
    """
    if not bounded(float(cut)):
        raise InputError(f"cut {cut}: it must be a finite number of log odds, not beyond {LARGEST:g}")
    if fit.method == "fixed":
        center, scale = line_of(fit)
        return replace(fit, center=center + scale * (cut - LOG_4), chosen=True)
    return replace(fit, cut=float(cut), chosen=True, moved=True, no_signal=False, gate=None)
