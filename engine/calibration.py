"""From logits to confidences: the fit of an attribute and its application.

A fit judges an image by its log odds: confidence = sigmoid(slope (log_odds - cut) + log 4), so .80 at the cut. Where
the log odds come from is the fit's axis: `fixed` takes (logit - center) / scale; `auto` compares with competing
phrases on the same image and with a direction among the images; `labels` is either of them with the cut and slope
that people's answers gave. Confidence is a pure function of an image's embedding and the attribute's fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.settings import Model

if TYPE_CHECKING:
    from colonnade.engine.fit_parts import AutoBase, LabelPart

__all__ = [
    "ACCEPTED",
    "LARGEST",
    "LOG_4",
    "METHODS",
    "NO_SIGNAL_CAP",
    "REJECTED",
    "TENTATIVE",
    "UNKNOWN",
    "Fit",
    "apply_fit",
    "bounded",
    "cut_of",
    "default_fit",
    "fit_from_json",
    "fit_statuses",
    "fixed_log_odds",
    "judge",
    "line_of",
    "odds_cut",
    "silenced",
    "status_codes",
]

UNKNOWN, REJECTED, TENTATIVE, ACCEPTED = -1, 0, 1, 2

METHODS = ("fixed", "auto", "labels")
CLIP_CENTER, CLIP_SCALE = 25.5, 1.5
LOG_4 = math.log(4)
LARGEST = 1e12
"""No number of a fit is larger, nor a scale, slope or width smaller than its inverse: far beyond any use, and what is
made of such numbers stays finite."""
NO_SIGNAL_CAP = 0.49
"""No confidence of an attribute without signal is higher, but for images above its gate."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How one attribute's images become confidences.

    Two fits are equal if they give the same confidences and were chosen alike; receipts do not count.
    """

    method: str
    """fixed, auto or labels."""
    center: float | None = None
    """Where the axis is the logit: the logit of log odds 0. None for an axis of `auto`."""
    scale: float | None = None
    """Logits from the center to log odds 1, a confidence of .73 for `fixed`; positive."""
    chosen: bool = False
    """Whether a person or a command chose it; otherwise it is what the attribute gets by itself."""
    cut: float = LOG_4
    """The log odds of confidence .80."""
    slope: float = 1.0
    no_signal: bool = False
    """What it was fitted on shows no sign of the attribute: nothing below the gate is accepted."""
    gate: float | None = None
    """In log odds: from here on an image counts even so; none does where there is no gate. Used without signal only."""
    axis: str | None = None
    """A digest of the axis of `auto`; None where the axis is the logit."""
    background: str | None = None
    logit: str | None = field(default=None, compare=False)
    """For `labels` on the logit: the definition of the logits that were labelled."""
    base: AutoBase | None = field(default=None, compare=False, repr=False)
    """The whole fit without labels; None where the axis is the logit, and in a fit read from a definition."""
    labels: LabelPart | None = field(default=None, compare=False, repr=False)
    moved: bool = field(default=False, compare=False)
    """Whether somebody set the cut by hand."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"method {self.method!r}: there are {', '.join(METHODS)}")
        if not (bounded(self.cut) and bounded(self.slope, 1 / LARGEST)):
            raise InputError(
                f"cut {self.cut} and slope {self.slope}: both must be finite, the slope above 0, none beyond "
                f"{LARGEST:g}"
            )
        if self.gate is not None and not bounded(self.gate):
            raise InputError(f"gate {self.gate}: it must be finite and not beyond {LARGEST:g}")
        if self.axis is not None:
            return
        if self.method == "auto" or not (bounded(self.center) and bounded(self.scale, 1 / LARGEST)):
            raise InputError(
                f"center {self.center} and scale {self.scale}: both must be finite, the scale above 0, none beyond "
                f"{LARGEST:g}"
            )

    def as_json(self) -> dict[str, Any]:
        """What a definition says of it: everything that its application depends on, and nothing else."""
        if self.axis is None:
            document: dict[str, Any] = {"method": self.method, "center": self.center, "scale": self.scale}
            if self.method == "fixed":
                return document
        else:
            document = {"method": self.method, "axis": self.axis, "background": self.background}
        document |= {"cut": self.cut, "slope": self.slope, "no_signal": self.no_signal}
        return document | ({"gate": self.gate} if self.no_signal and self.gate is not None else {})


def bounded(value: object, least: float = -LARGEST) -> TypeGuard[float]:
    """Whether a value is a number that a fit can have: finite, from `least` to `LARGEST`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating)):
        return False
    return bool(least <= value <= LARGEST)


def fit_from_json(document: object) -> Fit:
    """The inverse of `Fit.as_json`, for a fit that a definition names: enough to make confidences of log odds.

    Raises:
        StoreError: not a fit that this program knows.
    """
    if not isinstance(document, dict) or document.get("method") not in METHODS:
        raise StoreError("a stored calibration is of an unknown method; use the version that made it")
    try:
        method = document["method"]
        place: dict[str, Any] = (
            {"axis": _text(document["axis"]), "background": _text(document["background"])}
            if "axis" in document
            else {"center": float(document["center"]), "scale": float(document["scale"])}
        )
        if method != "fixed":
            place |= {"cut": float(document["cut"]), "slope": float(document["slope"])}
            place |= {"no_signal": document["no_signal"] is True}
            place |= {"gate": float(document["gate"])} if "gate" in document else {}
        return Fit(method, chosen=True, **place)
    except (KeyError, TypeError, ValueError, InputError):
        raise StoreError(
            "a stored calibration is damaged; `colonnade calibration fit` makes it anew"
        ) from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        raise ValueError("not a digest")
    return value


def default_fit(model: Model, prompts: Sequence[str]) -> Fit:
    """The `fixed` fit of a model.

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


def line_of(fit: Fit) -> tuple[float, float]:
    """Center and scale of a fit whose axis is the logit."""
    assert fit.center is not None
    assert fit.scale is not None
    return fit.center, fit.scale


def fixed_log_odds(fit: Fit, logits: np.ndarray) -> np.ndarray:
    """Log odds float32 [n] of logits float32 [n], where the axis is the logit."""
    center, scale = line_of(fit)
    return ((logits.astype(np.float64) - center) / scale).astype(np.float32)


def apply_fit(fit: Fit, logits: np.ndarray, log_odds: np.ndarray | None = None) -> np.ndarray:
    """Confidences float32 [n].

    Args:
        logits: float32 [n].
        log_odds: float32 [n] on the fit's axis; needed where that is not the logit.
    """
    if fit.method == "fixed":
        center, scale = line_of(fit)
        x = (logits.astype(np.float64) - center) / scale
    else:
        if fit.axis is None:
            log_odds = fixed_log_odds(fit, logits)
        if log_odds is None:
            raise ValueError("log odds are needed: the fit's axis is not the logit")
        x = fit.slope * (log_odds.astype(np.float64) - fit.cut) + LOG_4
    with np.errstate(over="ignore"):
        found = 1.0 / (1.0 + np.exp(-x))
    if fit.no_signal:
        found = np.where(silenced(fit, log_odds), np.minimum(found, NO_SIGNAL_CAP), found)
    return np.asarray(found, dtype=np.float32)


def silenced(fit: Fit, log_odds: np.ndarray | None) -> np.ndarray:
    """Whether an image counts for nothing, bool [n], under a fit without signal: it is not above the gate.

    Args:
        log_odds: float32 [n]; None where the axis is the logit, which knows no gate.
    """
    if log_odds is None or fit.gate is None:
        return np.asarray(True)
    return np.asarray(log_odds < fit.gate)


def judge(
    fit: Fit, accepted: float, tentative: float, logits: np.ndarray, log_odds: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(confidence float32 [n], status int8 [n]); arguments as for `apply_fit` and `status_codes`.

    Without signal every status of what is below the gate is rejected, however low `tentative` is.
    """
    confidence = apply_fit(fit, logits, log_odds)
    return confidence, fit_statuses(fit, confidence, accepted, tentative, log_odds)


def fit_statuses(
    fit: Fit, confidence: np.ndarray, accepted: float, tentative: float, log_odds: np.ndarray | None
) -> np.ndarray:
    """The status int8 [n] of confidences that a fit gave; see `judge`."""
    status = status_codes(confidence, accepted, tentative)
    if fit.no_signal:
        status = np.where(silenced(fit, log_odds), np.minimum(status, np.int8(REJECTED)), status)
    return status


def status_codes(confidence: np.ndarray, accepted: float, tentative: float) -> np.ndarray:
    """int8 [n] of ACCEPTED, TENTATIVE, REJECTED, and UNKNOWN where the confidence is nan."""
    codes = np.full(len(confidence), REJECTED, dtype=np.int8)
    codes[confidence >= np.float32(tentative)] = TENTATIVE
    codes[confidence >= np.float32(accepted)] = ACCEPTED
    codes[np.isnan(confidence)] = UNKNOWN
    return codes


def odds_cut(fit: Fit, threshold: float) -> float:
    """The log odds from which images have the status of a threshold on the confidence; inf where none has it, -inf
    where all have."""
    if 0 < threshold < 1:
        wanted = math.log(threshold / (1 - threshold))
        odds = wanted if fit.method == "fixed" else fit.cut + (wanted - LOG_4) / fit.slope
    else:
        odds = math.inf if threshold >= 1 else -math.inf
    if fit.no_signal:
        return math.inf if fit.gate is None else max(odds, fit.gate)
    return odds


def cut_of(fit: Fit, threshold: float) -> float | None:
    """Where the status of a threshold begins: the logit if the axis is the logit, else the log odds; None where no
    image has it, or all have."""
    odds = odds_cut(fit, threshold)
    if math.isinf(odds):
        return None
    odds = round(odds, 12)
    if fit.axis is not None:
        return odds
    center, scale = line_of(fit)
    return center + scale * odds
