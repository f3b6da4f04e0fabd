"""From logits to confidences: the stored fit of an attribute and its application.

A confidence is a pure function of the logit and the attribute's fit. `fixed` is a sigmoid with a given center
and scale, both in logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.settings import Model

__all__ = [
    "ACCEPTED",
    "REJECTED",
    "TENTATIVE",
    "UNKNOWN",
    "Fit",
    "apply_fit",
    "default_fit",
    "fit_from_json",
    "status_codes",
]

UNKNOWN, REJECTED, TENTATIVE, ACCEPTED = -1, 0, 1, 2

CLIP_CENTER, CLIP_SCALE = 25.5, 1.5


@dataclass(frozen=True, slots=True)
class Fit:
    """How one attribute's logits become confidences."""

    method: str
    center: float
    """The logit at which the confidence is one half."""
    scale: float
    """Logits from the center to a confidence of 1 / (1 + exp(-1)) = .73; positive."""
    chosen: bool = False
    """Whether a person or a command chose it; otherwise it is the model's default."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.center) and np.isfinite(self.scale) and self.scale > 0):
            raise InputError(
                f"center {self.center} and scale {self.scale}: both must be finite, the scale above 0"
            )

    def as_json(self) -> dict[str, Any]:
        """What a definition says of it: everything that its application depends on, and nothing else."""
        return {"method": self.method, "center": self.center, "scale": self.scale}


def fit_from_json(document: object) -> Fit:
    """The inverse of `Fit.as_json`, for a fit read from a store.

    Raises:
        StoreError: not a fit that this program knows.
    """
    if not isinstance(document, dict) or document.get("method") != "fixed":
        raise StoreError("a stored calibration is of an unknown method; use the version that made it")
    try:
        return Fit("fixed", float(document["center"]), float(document["scale"]), chosen=True)
    except (KeyError, TypeError, ValueError, InputError):
        raise StoreError(
            "a stored calibration is damaged; `colonnade calibration set` makes it anew"
        ) from None


def default_fit(model: Model, prompts: Sequence[str]) -> Fit:
    """The fit of an attribute that nobody calibrated.

    25.5 and 1.5 are for OpenAI's CLIP (logit scale 100); models with a logit bias (SigLIP) were trained as
    sigmoids: 0 and 1. The bundled demo model brings its own fits.
    """
    if model.spec == "demo":
        from colonnade.engine.demo.fits import demo_fit

        fits = [demo_fit(prompt) for prompt in prompts]
        centers, scales = zip(*fits, strict=True)
        return Fit("fixed", float(np.mean(centers)), float(np.mean(scales)))
    if model.logit_bias:
        return Fit("fixed", 0.0, 1.0)
    return Fit("fixed", CLIP_CENTER, CLIP_SCALE)


def apply_fit(fit: Fit, logits: np.ndarray) -> np.ndarray:
    """Confidences float32 [n] of logits float32 [n]."""
    x = (logits.astype(np.float64) - fit.center) / fit.scale
    with np.errstate(over="ignore"):
        return (1.0 / (1.0 + np.exp(-x))).astype(np.float32)


def status_codes(confidence: np.ndarray, accepted: float, tentative: float) -> np.ndarray:
    """int8 [n] of ACCEPTED, TENTATIVE, REJECTED, and UNKNOWN where the confidence is nan."""
    codes = np.full(len(confidence), REJECTED, dtype=np.int8)
    codes[confidence >= np.float32(tentative)] = TENTATIVE
    codes[confidence >= np.float32(accepted)] = ACCEPTED
    codes[np.isnan(confidence)] = UNKNOWN
    return codes
