"""Asking one question after the other on a terminal: pictures, keys, and every answer saved before the next one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from colonnade.engine.errors import InputError
from colonnade.tui.pictures import PictureSource
from colonnade.tui.review_terminal import Terminal
from colonnade.tui.review_text import screen, standing_lines

if TYPE_CHECKING:
    from colonnade.engine.review import Question, Review
    from colonnade.engine.review_answers import Answer

__all__ = ["Sitting", "ask"]

_ANSWERS: dict[str, bool | None] = {"y": True, "n": False, "u": None}
_LINES_BELOW = 6
_WIDEST = 160


@dataclass
class Sitting:
    """What came of one sitting."""

    given: list[Answer] = field(default_factory=list)
    """In their order; an answer that was given anew stands last."""
    complete: bool = False
    """Whether the budget was used up or there was nothing left to ask, rather than the reviewer stopped."""
    looks: int = 0
    """Second looks at doubtful answers among them; these are not of the budget."""
    refused: list[str] = field(default_factory=list)
    """Answers that could not be saved, because the picture changed meanwhile."""

    @property
    def images(self) -> int:
        return len({answer.image_id for answer in self.given})


def ask(review: Review, *, budget: int, audit: bool) -> Sitting:
    """Ask until `budget` new images are answered and no answer is doubtful, nothing is left, or the reviewer stops.

    What was answered is saved, however this ends.
    """
    sitting = Sitting()
    asked = 0
    back: list[Answer] = []
    """Answers behind the one that is looked at again, the nearest last; empty while the question is a new one."""
    with PictureSource(workers=1) as pictures, Terminal() as terminal:
        question = review.next()
        while question is not None and (asked < budget or question.said):
            place = _place(question, asked, budget)
            key = _key(review, question, terminal, pictures, place, audit=audit)
            if key in ("q", "\x04"):
                return sitting
            if key == "b":
                back = back if question.said and not question.look else review.answers
                question = _previous(review, back) or question
                continue
            try:
                sitting.given.append(review.answer(question, _ANSWERS[key]))
                asked += question.said is None
                sitting.looks += question.look
            except InputError as error:
                sitting.refused.append(str(error))
            question = review.next()
    sitting.complete = True
    return sitting


def _place(question: Question, asked: int, budget: int) -> str:
    if question.look:
        return "look again"
    return f"{asked + 1} of {budget}" if question.said is None else "again"


def _previous(review: Review, back: list[Answer]) -> Question | None:
    while back:
        if (question := review.again(back.pop())) is not None:
            return question
    return None


def _key(
    review: Review,
    question: Question,
    terminal: Terminal,
    pictures: PictureSource,
    place: str,
    *,
    audit: bool,
) -> str:
    """Show a question and wait for a key; the screen is drawn anew when the window changes."""
    status = standing_lines(review.standing(), audit=audit)
    while True:
        terminal.resized = False
        width, height = terminal.size
        if question.file is None:
            picture = ["[imported: the picture's file is not known here]"]
        else:
            picture = pictures.ansi_lines(question.file, min(width, _WIDEST), max(height - _LINES_BELOW, 4))
        terminal.draw(screen(question, review.attribute.label, picture, status, place, width))
        if (key := terminal.key("ynubq")) is not None:
            return key
