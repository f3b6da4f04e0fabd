"""Driving `review` in tests: a store to judge, the command on a terminal, and answers given in this process."""

from __future__ import annotations

import re
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pexpect  # type: ignore[import-untyped]
from cli_process import colonnade
from PIL import Image

from colonnade.engine.review import Question, Review
from colonnade.engine.review_answers import read_judged
from colonnade.engine.store import Store

__all__ = [
    "ASKED",
    "LOOK",
    "PICTURES",
    "PROGRAM",
    "VOCABULARY",
    "answers",
    "judge",
    "make_review",
    "new_question",
    "press",
    "reviewing",
    "slipping",
    "stand_by",
    "unset",
]

VOCABULARY = """\
base_attributes:
  - {code: earth, label: "The \\e[31mEarth", description: Earth}
  - {code: moon, label: Moon, description: Moon}
derived_attributes:
  - {code: both, label: Both, description: both, rule: {all_of: [earth, moon]}}
"""
PICTURES = 24
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\n.png"
ASKED = r"(?:Earth|Moon)\? "
PROGRAM = "from colonnade.tui import cli; cli.main()"
LOOK = r"you said (yes|no), but your other answers"


def make_review(folder: Path) -> Path:
    """The folder, with a store `s` of the real files in `pics`, whose scores spread around the cut."""
    pictures = folder / "pics"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        noise = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        name = HOSTILE if number == 0 else f"{number:02d}.png"
        Image.fromarray(noise).resize((64, 48)).save(pictures / name)
    (folder / "v.yaml").write_text(VOCABULARY)
    colonnade(
        None, "init", folder / "s", "--vocabulary", folder / "v.yaml", "--model", "hash", "--root", pictures
    )
    assert colonnade(folder / "s", "sync").code == 0
    for code in ("earth", "moon"):
        assert colonnade(folder / "s", "calibration", "set", code, "--center", 0, "--scale", 3).code == 0
    return folder


@contextmanager
def reviewing(store: Path, *words: str, reviewer: str = "ann") -> Iterator[Any]:
    """`colonnade review WORDS...` on a terminal of 80 x 24; ends by checking that the terminal is as it was."""
    arguments = ["-c", PROGRAM, "-s", str(store), "review", *words, "--reviewer", reviewer]
    child = pexpect.spawn(sys.executable, arguments, dimensions=(24, 80), encoding="utf-8", timeout=60)
    before = termios.tcgetattr(child.child_fd)
    try:
        yield child
        child.expect(pexpect.EOF)
        assert termios.tcgetattr(child.child_fd) == before
    finally:
        child.close()


def press(child: Any, keys: str) -> None:
    """Answer new questions; what was said is said again at second looks."""
    for key in keys:
        new_question(child)
        child.send(key)


def new_question(child: Any) -> str:
    """The picture of the next new question; what was said is said again at second looks."""
    child.expect(ASKED)
    while said := re.findall(LOOK, child.before):
        child.send(said[0][0])
        child.expect(ASKED)
    (shown,) = re.findall(r"pics/\S+", child.before)
    return str(shown)


def stand_by(child: Any) -> str:
    """Say the same again at every second look that is left, until the program ends; what it shows then."""
    while child.expect([ASKED, pexpect.EOF]) == 0:
        (said,) = re.findall(LOOK, child.before)
        child.send(said[0])
    return str(child.before)


def judge(review: Review, count: int, say: Callable[[int], bool]) -> list[int]:
    """Answer so many new questions of a review, and say the same at second looks; the images."""
    asked: list[int] = []
    while len(asked) < count:
        question = review.next()
        assert question is not None
        if question.look:
            assert question.said is not None
            review.answer(question, question.said.present)
        else:
            review.answer(question, say(len(asked)))
            asked.append(question.image_id)
    return asked


def answers(store: Path, code: str = "earth") -> dict[tuple[int, str], bool | None]:
    judged = read_judged(Store(store).snapshot(), code).answers
    return {(image, who): a.present for image, by in judged.items() for who, a in by.items()}


def unset(store: Path, code: str = "earth") -> None:
    """Take back what somebody chose for the attribute."""
    assert colonnade(store, "calibration", "set", code, "--reset").code == 0


def slipping(store: Path) -> tuple[Review, Question]:
    """A review of which one answer is a slip, when it is asked for again."""
    review = Review(Store(store), "moon", reviewer="ann")
    slip = None
    for _ in range(PICTURES):
        question = review.next()
        assert question is not None
        if question.look:
            assert question.image_id == slip
            return review, question
        present = question.above > 0
        if slip is None and abs(question.above) > 0.8:
            slip, present = question.image_id, not present
        review.answer(question, present)
    raise AssertionError("the slip was not asked about")
