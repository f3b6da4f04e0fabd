"""A review of one attribute by one person: what to ask next, saving the answer, and what the answers show so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from colonnade.engine.calibration_store import active_model
from colonnade.engine.columns import shard_of
from colonnade.engine.errors import InputError
from colonnade.engine.fits import without_labels
from colonnade.engine.label_audit import Audit, draw
from colonnade.engine.label_fit import fit_labels, ready
from colonnade.engine.lookup import shown_path
from colonnade.engine.pending import image_path
from colonnade.engine.places import read_places
from colonnade.engine.review_answers import AUDIT, POLICY, Answer, read_judged, save_answer
from colonnade.engine.review_audit import Audited, audited_images, estimate
from colonnade.engine.review_choice import Doubt, choose_image, doubt, is_second_look, second_look
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.store import Store
from colonnade.engine.tables import read_table
from colonnade.engine.tag import plan_tag
from colonnade.engine.vocabulary import Vocabulary

__all__ = [
    "AttributeWorth",
    "Audited",
    "Question",
    "Review",
    "Standing",
    "audited_images",
    "estimate",
    "worth_by_attribute",
]


_MOST_LOOKS = 3
"""Answers to an image from which on nobody else is asked: a majority of three stands."""


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


class Review:
    """What one reviewer is asked about an attribute. Whoever asks shows a question and gives the answer back.

    Every answer is committed before `answer` returns. Another review of the same attribute may go on at the same time;
    its answers show in the next one.

    One question in five is about an image that others have judged, the likeliest slip first, until three have.

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
            if known is None:
                return question
            # Chosen before for the cut, and now drawn by chance: the answer stands, and counts for the audit too.
            self.answer(question, known.present)
        return None

    def listing(self, count: int, *, again: bool = True) -> Iterator[Question]:
        """The next images in order, as if each were put aside without an answer.

        Args:
            again: whether images that others have judged are among them.
        """
        for _ in range(count):
            question = self._draw(again=again) if self._audit else self._choose(again=again)
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
        given = Answer(question.image_id, self.reviewer, present, None, question.policy, question.probability)
        try:
            saved = save_answer(self._store, self.code, given, question.content_hash)
        except InputError:
            self._skipped.add(question.image_id)
            raise
        self._judged = self._judged.with_answer(saved)
        return saved

    def standing(self) -> Standing:
        """What the answers show so far, at the cut in force."""
        ids, present = self._judged.settled
        below = without_labels(self.places.fit).cut
        rows = self.places.rows(ids)
        kept = np.isin(ids, self.places.ids)
        x = self.places.odds - below
        seen = audited_images(self.places, self._judged)
        return Standing(
            yes=int(present.sum()),
            no=int((~present).sum()),
            unsettled=len(self._judged.answers) - len(ids),
            disputed=len(self._judged.disputed),
            audit=seen.estimate(self.places),
            width=seen.expected_width(self.places),
            doubt=doubt(x, x[rows], present[kept]),
        )

    def _choose(self, *, again: bool = True) -> Question | None:
        """The open image that tells most about the cut, or one for a second look."""
        ids, present = self._judged.settled
        x = self.places.odds - without_labels(self.places.fit).cut
        rows = self.places.rows(ids)
        kept = np.isin(ids, self.places.ids)
        mine = [image for image, by in self._judged.answers.items() if self.reviewer in by]
        if again and is_second_look(len(mine) + len(self._skipped)):
            open_ = np.array([self._may_look(image) for image in ids[kept].tolist()], dtype=bool)
            if (found := second_look(x[rows], present[kept], open_)) is not None:
                return self._question(int(rows[found]), POLICY, 1.0)
        fit = fit_labels(x[rows], present[kept])
        closed = np.concatenate([ids, np.array([*mine, *self._skipped], dtype=np.int64)])
        seed = f"{self.code}\n{self.reviewer}\n{len(closed)}"
        chosen = choose_image(x, ~np.isin(self.places.ids, closed), fit, seed=seed)
        return self._question(chosen.index, POLICY, chosen.probability) if chosen else None

    def _may_look(self, image: int) -> bool:
        """Whether an image that others have judged can be asked about."""
        by = self._judged.answers[image]
        return self.reviewer not in by and len(by) < _MOST_LOOKS and image not in self._skipped

    def _draw(self, *, again: bool = True) -> Question | None:
        """The next image of the audit, or one that others were asked about."""
        drawn = [image for image in self._judged.answers if self._judged.drawn(image) is not None]
        mine = sum(answer.policy == AUDIT for answer in self.answers)
        if again and is_second_look(mine + len(self._skipped)):
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
        images = read_table(
            "images", files, ["image_id", "root", "path", "path_bytes", "content_hash", "source"]
        )
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


@dataclass(frozen=True, slots=True)
class AttributeWorth:
    """What one more label of an attribute is worth."""

    code: str
    labels: int
    doubt: Doubt | None
    """None where that cannot be told."""
    why: str = ""
    """Why not."""
    no_signal: bool = False
    """Whether its scores tell nothing, as far as is known: then labels are worth less than elsewhere."""

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Sorts the most worth first, those without a signal after the others, and the unknown last."""
        return self.doubt is None, self.no_signal, -(self.doubt.worth if self.doubt else 0.0)


def worth_by_attribute(
    store: Store, snapshot: Snapshot, vocabulary: Vocabulary, codes: Sequence[str] | None = None
) -> tuple[AttributeWorth, ...]:
    """What one more label is worth, the most worth first, those without a signal after the others.

    Raises:
        InputError: nothing is embedded yet, or a code is not a base attribute.
    """
    found = []
    for work in plan_tag(snapshot, vocabulary, active_model(store), codes=codes):
        judged = read_judged(snapshot, work.code)
        ids, present = judged.settled
        try:
            places = read_places(store, snapshot, vocabulary, work.code, work)
        except InputError as error:
            found.append(AttributeWorth(work.code, len(ids), None, str(error)))
            continue
        x = places.odds - without_labels(places.fit).cut
        open_ = doubt(x, x[places.rows(ids)], present[np.isin(ids, places.ids)])
        found.append(AttributeWorth(work.code, len(ids), open_, no_signal=places.fit.no_signal))
    return tuple(sorted(found, key=lambda item: item.rank))
