"""Where the questions of a review come from: the policy or an audit, or images that somebody chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from colonnade.engine.errors import InputError

if TYPE_CHECKING:
    from colonnade.tui.session import Session

__all__ = ["Asked", "Asking", "ChosenAsking", "PolicyAsking"]

Question = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, or several, and what is known so far."""

    label: str
    standing: dict[str, Any]
    question: Question | None = None
    """None where nothing is left to ask."""
    page: tuple[Question, ...] = ()


class Asking(Protocol):
    """Questions on one attribute; every method blocks."""

    code: str
    why: str
    """How the images are chosen, in a few words."""
    audit: bool

    def first(self) -> Asked:
        """The next question."""

    def answer(self, question: Question, present: bool | None) -> Asked:
        """Save an answer, then the next question."""

    def back(self, steps: int) -> Asked:
        """The question answered some answers ago; none where there was none."""

    def page(self, count: int) -> Asked:
        """Several questions at once."""

    def save(self, answers: Sequence[tuple[Question, bool | None]]) -> None:
        """Save the answers of a page."""


class PolicyAsking:
    """Images where a label says most, or those of an audit."""

    def __init__(self, session: Session, code: str, *, audit: bool = False) -> None:
        self._session, self.code, self.audit = session, code, audit
        self.why = "audit" if audit else "where a label says most"

    def first(self) -> Asked:
        _refuse_derived(self._session, self.code)
        return _asked(self._session.review(self.code, audit=self.audit))

    def answer(self, question: Question, present: bool | None) -> Asked:
        return _asked(self._session.review_answer(self.code, question, present, audit=self.audit))

    def back(self, steps: int) -> Asked:
        return _asked(self._session.review_back(self.code, audit=self.audit, steps=steps))

    def page(self, count: int) -> Asked:
        _refuse_derived(self._session, self.code)
        return _asked(self._session.review_page(self.code, audit=self.audit, count=count))

    def save(self, answers: Sequence[tuple[Question, bool | None]]) -> None:
        for question, present in answers:
            self._session.review_answer(self.code, question, present, audit=self.audit, ask=False)


class ChosenAsking:
    """Images that somebody chose, such as those at a line, each once."""

    audit = False

    def __init__(self, session: Session, code: str, ids: Sequence[int], why: str) -> None:
        self._session, self.code, self.why = session, code, why
        self._ids = list(ids)
        self._given: list[tuple[int, bool | None]] = []

    def first(self) -> Asked:
        _refuse_derived(self._session, self.code)
        return self._with(next(iter(self._open(1)), None))

    def answer(self, question: Question, present: bool | None) -> Asked:
        self.save([(question, present)])
        return self.first()

    def back(self, steps: int) -> Asked:
        if not 0 < steps <= len(self._given):
            return self._with(None)
        image_id, present = self._given[-steps]
        question = self._question(image_id)
        return self._with(None if question is None else {**question, "said": {"present": present}})

    def page(self, count: int) -> Asked:
        found = self._with(None)
        return Asked(found.label, found.standing, page=tuple(self._open(count)))

    def save(self, answers: Sequence[tuple[Question, bool | None]]) -> None:
        for question, present in answers:
            image_id = int(question["image_id"])
            self._session.label(self.code, image_id, present, question["content_hash"])
            self._given = [given for given in self._given if given[0] != image_id] + [(image_id, present)]

    def _open(self, count: int) -> list[Question]:
        """The next images that were not answered and are still there."""
        said = {image_id for image_id, _ in self._given}
        found: list[Question] = []
        for image_id in self._ids:
            if len(found) == count:
                break
            if image_id not in said and (question := self._question(image_id)) is not None:
                found.append(question)
        return found

    def _question(self, image_id: int) -> Question | None:
        try:
            row = self._session.image_row(image_id)
        except InputError:
            return None
        if row.state != "ok":
            return None
        file = None if row.file is None else str(row.file)
        return {"image_id": image_id, "shown": row.shown, "file": file, "content_hash": row.content_hash}

    def _with(self, question: Question | None) -> Asked:
        known = self._session.review(
            self.code, restart=True
        )  # the helper's own review knows nothing of these
        return Asked(str(known["label"]), known["standing"], question)


def _asked(found: dict[str, Any]) -> Asked:
    page = tuple(found.get("questions", ()))
    return Asked(str(found["label"]), found["standing"], found.get("question"), page)


def _refuse_derived(session: Session, code: str) -> None:
    made_of = session.made_of(code)
    if made_of:
        raise InputError(f"{code}: follows from others by its rule; review {', '.join(made_of)}")
