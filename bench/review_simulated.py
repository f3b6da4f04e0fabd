"""A simulated reviewer, for bench/review.py: follows the policy of questions, and may be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from review_axes import Attribute, Axes

from colonnade.engine.label_fit import fit_labels
from colonnade.engine.review_choice import choose_image, doubtful_answer

__all__ = ["Answers", "Looks", "best_f1", "cut_of", "f1", "labelled", "review"]


class Looks(Enum):
    """What second looks at doubtful answers are counted as."""

    NONE, BESIDES, WITHIN = range(3)


@dataclass
class Answers:
    """A reviewer's answers in the order in which images were first asked about."""

    asked: list[int] = field(default_factory=list)
    present: list[bool] = field(default_factory=list)
    twice: list[bool] = field(default_factory=list)
    """Whether a second look confirmed it."""
    looks: int = 0
    """Second looks so far."""
    last: int = 0
    """Which was given last."""

    def of(self, attribute: Attribute) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(x, present, sure), as for `fit_labels`."""
        return attribute.x[self.asked], np.array(self.present, dtype=bool), np.array(self.twice, dtype=bool)

    def doubtful(self, attribute: Attribute) -> int | None:
        """The answer that is asked for again, as `Review` does it."""
        x, present, sure = self.of(attribute)
        return doubtful_answer(x, present, sure, ~sure & (np.arange(len(x)) != self.last))


def review(
    attribute: Attribute, marks: Sequence[int], wrong: float, seed: int, *, looks: Looks = Looks.NONE
) -> Iterator[Answers]:
    """The answers at each mark, of a reviewer who follows the policy; where images are fewer, all of them."""
    generator = np.random.default_rng([seed, *attribute.code.encode()])
    open_ = np.ones(len(attribute.x), dtype=bool)
    given = Answers()
    waiting = list(marks)
    while waiting:
        look = given.doubtful(attribute) if looks != Looks.NONE and given.asked else None
        spent = len(given.asked) + (given.looks if looks == Looks.WITHIN else 0)
        if spent >= waiting[0] and (look is None or looks == Looks.WITHIN):
            yield given
            del waiting[0]
            continue
        first = given.present[look] if look is not None else None
        if look is None:
            x, present, sure = given.of(attribute)
            seed_of = f"{attribute.code} {seed} {len(given.asked)}"
            chosen = choose_image(attribute.x, open_, fit_labels(x, present, sure=sure), seed=seed_of)
            if chosen is None:
                yield from [given] * len(waiting)
                return
            open_[chosen.index] = False
            look = len(given.asked)
            given.asked.append(chosen.index)
            given.present.append(False)
            given.twice.append(False)
        else:
            given.looks += 1
        given.last = look
        given.present[look] = bool(attribute.present[given.asked[look]]) ^ bool(generator.random() < wrong)
        given.twice[look] = given.present[look] == first


def cut_of(attribute: Attribute, given: Answers) -> float:
    if not given.asked:
        return np.inf if attribute.no_signal else 0.0
    x, present, sure = given.of(attribute)
    return fit_labels(x, present, sure=sure, collection=attribute.x).delta


def f1(accepted: np.ndarray, present: np.ndarray) -> float:
    total = int(accepted.sum() + present.sum())
    return 2 * int((accepted & present).sum()) / total if total else 0.0


def best_f1(attribute: Attribute) -> float:
    return max(f1(attribute.x >= cut, attribute.present) for cut in attribute.x[attribute.present])


def labelled(axis: Axes, budget: int) -> Axes:
    """The axis with its cuts where so many labels put them."""
    return {
        name: [
            replace(attribute, x=attribute.x - cut_of(attribute, given), no_signal=False)
            for attribute in attributes
            for given in review(attribute, (budget,), 0.0, 0, looks=Looks.BESIDES)
        ]
        for name, attributes in axis.items()
    }
