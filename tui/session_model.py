"""What the session tells the screens: plain values, text from outside as it is (the widgets make it safe)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from colonnade.engine.errors import ColonnadeError

__all__ = [
    "AttributeRow", "Checked", "ImageRow", "Overview", "ScoreRow", "SupersededError", "TriedImage", "TryResult",
]  # fmt: skip


class SupersededError(ColonnadeError):
    """A newer search took this one's place; there is nothing to show or to tell."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A store at a glance."""

    images: int
    ok: int
    unreadable: int
    missing: int
    embedded: int
    """Images with a vector of the active model."""
    attributes: int
    derived: int
    """Of the attributes."""
    roots: int
    absent_roots: tuple[str, ...]
    """Folders of images that are not there now: a disk that is not mounted, a folder that moved."""
    model: str | None
    """The active model's key, or how it will be loaded; None where none is chosen."""
    snapshot: int
    damage: str = ""
    """Why images or vectors cannot be read, and what to do; the numbers that are not known are 0."""
    problems: tuple[str, ...] = ()
    """What stands in the way, a line each, which says what to do next."""


@dataclass(frozen=True, slots=True)
class AttributeRow:
    """One attribute, as the list of attributes shows it."""

    code: str
    label: str
    description: str
    type: str | None
    derived: bool
    accepted: int
    """Images; likewise the next three."""
    tentative: int
    scored: int
    unscored: int
    thresholds: tuple[float, float] | None
    """Accepted and tentative; None for a derived attribute or an orphan."""
    state: str
    """`fresh`, `stale: why`, `not scored`, `no signal`, `orphan`, `damaged`, or '' while it is not known."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether an expression can be searched for, and what is wrong with it where."""

    ok: bool
    message: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image: its row and where its file is."""

    image_id: int
    root: str | None
    path: str
    shown: str
    """Root and path for people."""
    file: Path | None
    """None for an imported row, or a root that is no more. The file itself may be gone all the same."""
    uuid: str | None
    content_hash: str | None
    bytes: int | None
    mtime: datetime | None
    """UTC."""
    width: int | None
    height: int | None
    format: str | None
    orientation: int | None
    taken: datetime | None
    source: str
    state: str
    error: str | None


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One attribute of one image."""

    code: str
    label: str
    derived: bool
    confidence: float | None
    status: str | None
    logit: float | None
    source: str | None


@dataclass(frozen=True, slots=True)
class TriedImage:
    """An image as a wording judges it."""

    image_id: int
    path: str
    confidence: float
    logit: float
    status: str
    before: float | None = None
    """The confidence as saved; None where it is not scored."""


@dataclass(frozen=True, slots=True)
class TryResult:
    """What a wording that is not saved would do."""

    prompts: tuple[str, ...]
    images: int
    """Images it was tried on: all that are embedded and readable, or of many a sample."""
    embedded: int
    """Images with a vector. Where it is more than the sample, the counts are of the sample."""
    method: str
    """`auto`, `labels`, `no signal`, or `fixed: why`: how confidences came of the logits."""
    best: tuple[TriedImage, ...]
    accepted: int
    tentative: int
    before: int | None
    """Images accepted as saved; None where the attribute is not scored, and nothing can enter or leave."""
    entering: int
    leaving: int
    entering_images: tuple[TriedImage, ...]
    leaving_images: tuple[TriedImage, ...]
    """Those furthest below first."""
    logits: tuple[int, ...]
    """Histogram from `low` to `high`; its bins begin at multiples of their width, which is a power of two."""
    low: float
    high: float
    cut: float | None
    """The logit from which images are accepted; None where other things than the logit count, too."""
    confidences: tuple[int, ...]
    """Histogram from 0 to 1."""
    nearest: tuple[tuple[str, float], ...]
    """Attributes whose prompts are nearest, with the cosine."""
    seconds: float
