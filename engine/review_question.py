"""What a reviewer is asked, and what the answers of all of them show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from colonnade.engine.label_audit import Audit
from colonnade.engine.label_fit import ready
from colonnade.engine.lookup import shown_path
from colonnade.engine.review_answers import Answer
from colonnade.engine.review_choice import Doubt

__all__ = ["Question", "Standing"]


@dataclass(frozen=True, slots=True)
class Question:
    """An image to judge."""

    code: str
    image_id: int
    root: str | None
    path: str
    """In its root; of an imported row, its name."""
    file: Path | None
    """None for an imported row, or a root that is no more."""
    content_hash: str | None
    above: float
    """How far its log odds lie above the cut in force."""
    policy: str
    probability: float | None
    """The chance with which it was chosen."""
    said: Answer | None = None
    """What this reviewer said of it before."""
    look: bool = False
    """Whether it is asked again, because other answers speak against what was said."""

    @property
    def shown(self) -> str:
        """Root and path for people."""
        return shown_path(self.root, self.path)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the answers of all reviewers show."""

    yes: int
    """Images on which most say yes."""
    no: int
    unsettled: int
    """Images on which nobody is sure, or as many say yes as no."""
    disputed: int
    """Images of which some say yes and some no."""
    audit: Audit
    width: float | None
    """What the width of the precision's interval is expected to be after one more label of an audit; None where nothing
    is accepted."""
    doubt: Doubt

    @property
    def labels(self) -> int:
        return self.yes + self.no

    @property
    def ready(self) -> bool:
        """Whether they are enough to move the cut."""
        return ready(self.yes, self.no)
