"""What a fit rests on: a fit without labels, whole, and what people's answers did to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colonnade.engine.auto_axis import AutoAxis

__all__ = ["AutoBase", "LabelPart"]


@dataclass(frozen=True)
class AutoBase:
    """A fit without labels, whole: what its application needs, and its receipt."""

    axis: AutoAxis = field(repr=False)
    cut: float
    """In log odds."""
    slope: float
    no_signal: bool
    gate: float | None
    """In log odds: without signal, what no image of the sample reached; None where a fit has none."""
    logit: str
    """The definition of the logits that it was fitted on: model and prompts."""
    vector: str
    """A digest of the prompts' vectors."""
    background: str
    """A digest of the background's phrases and vectors."""
    count: int
    """Images that it was fitted on."""
    embedded: int
    """Images that had a vector then."""
    snapshot: int
    """The number of the snapshot that they were read from."""
    seed: int
    metrics: Mapping[str, float | str]
    """What the fit says of itself, among it the name of its constants and the model that they were fitted on."""
    quantiles: tuple[float, ...]
    """A sketch of the log odds of those images."""
    competing: tuple[tuple[str, float], ...]
    """The phrases that mattered most near the cut, and their shares."""


@dataclass(frozen=True, slots=True)
class LabelPart:
    """What people's answers did to a fit."""

    delta: float
    """How far the cut moved from that of the base fit, in log odds."""
    center: float
    """Where, from that cut, four of ten images show the attribute."""
    slope: float
    delta_sd: float
    delta_low: float
    delta_high: float
    lapse: float
    present: int
    absent: int
