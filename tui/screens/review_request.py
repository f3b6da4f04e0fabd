"""What one screen asks the review screen to begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from colonnade.tui.session import Session

__all__ = ["ReviewRequest", "ask_review", "take_request"]

_asked: WeakKeyDictionary[Session, ReviewRequest] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """Review these images of an attribute, in this order."""

    code: str
    ids: tuple[int, ...]
    why: str
    """Which images they are, in words."""


def ask_review(session: Session, request: ReviewRequest) -> None:
    """Leave a request; the review screen takes it when it comes to the front."""
    _asked[session] = request


def take_request(session: Session) -> ReviewRequest | None:
    """The request that waits, once."""
    return _asked.pop(session, None)
