"""A review of one attribute by one person: what to ask next, saving the answer, and what the answers show so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.compute as pc

from colonnade.engine.columns import shard_of
from colonnade.engine.errors import InputError
from colonnade.engine.fits import without_labels
from colonnade.engine.label_audit import draw
from colonnade.engine.label_fit import fit_labels
from colonnade.engine.pending import image_path
from colonnade.engine.places import read_places
from colonnade.engine.review_answers import AUDIT, POLICY, Answer, read_judged, save_answer
from colonnade.engine.review_audit import Audited, audited_images, estimate
from colonnade.engine.review_choice import (
    choose_image,
    doubt,
    doubtful_answer,
    is_second_look,
    second_look,
)
from colonnade.engine.review_question import Question, Standing
from colonnade.engine.store import Store
from colonnade.engine.tables import read_table

__all__ = ["Audited", "Question", "Review", "Standing", "audited_images", "estimate"]

_MOST_LOOKS = 3
"""Answers to an image from which on nobody else is asked: a majority of three stands."""
_LOOKED_BACK = 100
"""Of how many of the latest answers a doubtful one is asked for again."""


@dataclass(frozen=True, eq=False)
class _Known:
    """The settled images that are scored: arrays [n]."""

    ids: np.ndarray
    rows: np.ndarray
    """Their places in the arrays of `Places`."""
    x: np.ndarray
    present: np.ndarray
    sure: np.ndarray


class Review:
    """What one reviewer is asked about an attribute. Whoever asks shows a question and gives the answer back.

    Every answer is committed before `answer` returns. Another review of the same attribute may go on at the same time;
    its answers show when the next question about an image of others' is due.

    One question in five is about an image that others have judged, the likeliest slip first, until three have. An
    answer that all others speak against is asked for again, though not at once, until two looks in a row agree; the
    later one stands.

    Args:
        reviewer: who answers; each has one answer an image.
        audit: draw the images of the audit, for precision and recall, instead of those that move the cut best.

    Raises:
        InputError: not a base attribute, or its scores are missing or stale.
    """

    def __init__(self, store: Store, code: str, *, reviewer: str = "", audit: bool = False) -> None:
        self._store, self._audit = store, audit
        self.code, self.reviewer = code, reviewer
        self._snapshot = store.snapshot()
        vocabulary = store.vocabulary()
        self.attribute = vocabulary.attribute(code)
        self.places = read_places(store, self._snapshot, vocabulary, code)
        self._judged = read_judged(self._snapshot, code)
        self._skipped: set[int] = set()

    @property
    def answers(self) -> list[Answer]:
        """This reviewer's answers, the oldest first."""
        return self._judged.of(self.reviewer)

    def next(self) -> Question | None:
        """The next image to judge; None when there is nothing left to ask this reviewer."""
        while (question := self._draw() if self._audit else self._choose()) is not None:
            known = self._judged.answers.get(question.image_id, {}).get(self.reviewer)
            if known is None or question.look:
                return question
            # Chosen before for the cut, and now drawn by chance: the answer stands, and counts for the audit too.
            self.answer(question, known.present)
        return None

    def listing(self, count: int, *, again: bool = True, own: bool = True) -> Iterator[Question]:
        """The next images in order, as if each were put aside without an answer.

        Args:
            again: whether images that others have judged are among them.
            own: whether images that this reviewer has judged are, for a second look.
        """
        for _ in range(count):
            question = self._draw(again=again) if self._audit else self._choose(again=again, own=own)
            if question is None:
                return
            self._skipped.add(question.image_id)
            yield question

    def again(self, answer: Answer) -> Question | None:
        """The question that an earlier answer was given to; None if its image is gone."""
        rows = self.places.rows(np.array([answer.image_id], dtype=np.int64))
        if not rows.size:
            return None
        return self._question(int(rows[0]), answer.policy, answer.probability, answer)

    def answer(self, question: Question, present: bool | None) -> Answer:
        """Commit an answer; None: unsure.

        Raises:
            InputError: the picture has changed since it was chosen. It is not asked about again in this review.
            StoreError: the store cannot be written.
        """
        known = self._judged.answers.get(question.image_id, {}).get(self.reviewer)
        same = known is not None and known.present == present
        twice = same and (question.look or (known is not None and known.twice))
        given = Answer(
            question.image_id, self.reviewer, present, None, question.policy, question.probability, twice
        )
        try:
            saved = save_answer(self._store, self.code, given, question.content_hash)
        except InputError:
            self._skipped.add(question.image_id)
            raise
        self._judged = self._judged.with_answer(saved)
        return saved

    def standing(self) -> Standing:
        """What the answers show so far, at the cut in force."""
        _, present = self._judged.settled
        known = self._known()
        seen = audited_images(self.places, self._judged)
        return Standing(
            yes=int(present.sum()),
            no=int((~present).sum()),
            unsettled=len(self._judged.answers) - len(present),
            disputed=len(self._judged.disputed),
            audit=seen.estimate(self.places),
            width=seen.expected_width(self.places),
            doubt=doubt(self._x(), known.x, known.present, known.sure),
        )

    def _read_again(self) -> None:
        """Take in what others have answered since."""
        self._judged = read_judged(self._store.snapshot(), self.code)

    def _x(self) -> np.ndarray:
        """Log odds of all images minus the cut of the fit without labels."""
        return np.asarray(self.places.odds - without_labels(self.places.fit).cut)

    def _known(self) -> _Known:
        ids, present = self._judged.settled
        kept = np.isin(ids, self.places.ids)
        rows = self.places.rows(ids)
        return _Known(ids[kept], rows, self._x()[rows], present[kept], self._judged.sure[kept])

    def _choose(self, *, again: bool = True, own: bool = True) -> Question | None:
        """A doubtful answer, the open image that tells most about the cut, or one that others have judged."""
        known = self._known()
        if own and (look := self._own_look(known)) is not None:
            return look
        mine = [image for image, by in self._judged.answers.items() if self.reviewer in by]
        if again and is_second_look(len(mine) + len(self._skipped)):
            self._read_again()
            known = self._known()
            open_ = np.array([self._may_look(image) for image in known.ids.tolist()], dtype=bool)
            if (found := second_look(known.x, known.present, known.sure, open_)) is not None:
                return self._question(int(known.rows[found]), POLICY, 1.0)
        fit = fit_labels(known.x, known.present, sure=known.sure)
        settled = self._judged.settled[0]
        closed = np.concatenate([settled, np.array([*mine, *self._skipped], dtype=np.int64)])
        seed = f"{self.code}\n{self.reviewer}\n{len(closed)}"
        x = self._x()
        chosen = choose_image(x, ~np.isin(self.places.ids, closed), fit, seed=seed)
        return self._question(chosen.index, POLICY, chosen.probability) if chosen else None

    def _own_look(self, known: _Known) -> Question | None:
        """An answer of this reviewer to be asked for again; not the last one, which was given a moment ago."""
        mine = self.answers
        open_ = [
            answer.image_id
            for answer in mine[-_LOOKED_BACK - 1 : -1]
            if not answer.twice
            and len(self._judged.answers[answer.image_id]) == 1
            and answer.image_id not in self._skipped
        ]
        eligible = np.isin(known.ids, np.array(open_, dtype=np.int64))
        found = doubtful_answer(known.x, known.present, known.sure, eligible)
        if found is None:
            return None
        said = self._judged.answers[int(known.ids[found])][self.reviewer]
        question = self._question(int(known.rows[found]), said.policy, said.probability, said)
        return replace(question, look=True)

    def _may_look(self, image: int) -> bool:
        """Whether an image that others have judged can be asked about."""
        by = self._judged.answers[image]
        return self.reviewer not in by and len(by) < _MOST_LOOKS and image not in self._skipped

    def _draw(self, *, again: bool = True) -> Question | None:
        """The next image of the audit, or one that others were asked about."""
        drawn = [image for image in self._judged.answers if self._judged.drawn(image) is not None]
        mine = sum(answer.policy == AUDIT for answer in self.answers)
        if again and is_second_look(mine + len(self._skipped)):
            self._read_again()
            drawn = [image for image in self._judged.answers if self._judged.drawn(image) is not None]
            open_ = np.array(sorted(image for image in drawn if self._may_look(image)), dtype=np.int64)
            # By id, whatever was said: whom chance drew must not depend on the answers.
            if (rows := self.places.rows(open_)).size:
                chance = self._judged.drawn(int(self.places.ids[rows[0]]))
                return self._question(int(rows[0]), AUDIT, chance)
        closed = np.isin(self.places.ids, np.array([*drawn, *self._skipped], dtype=np.int64))
        found = draw(self.places.above, self.places.ids, closed, seed=self.code)
        return self._question(found.index, AUDIT, found.probability) if found else None

    def _question(
        self, row: int, policy: str, probability: float | None, said: Answer | None = None
    ) -> Question:
        image_id = int(self.places.ids[row])
        files = self._snapshot.cell("images", None, shard_of(image_id))
        names = ["image_id", "root", "path", "path_bytes", "content_hash", "source"]
        images = read_table("images", files, names)
        (image,) = images.filter(pc.equal(images["image_id"], image_id)).to_pylist()
        settings = self._store.settings
        is_file = image["source"] == "file"
        return Question(
            code=self.code,
            image_id=image_id,
            root=image["root"],
            path=image["path"],
            file=image_path(settings, image["root"], image["path"], image["path_bytes"]) if is_file else None,
            content_hash=image["content_hash"],
            above=float(self.places.above[row]),
            policy=policy,
            probability=probability,
            said=said,
        )
