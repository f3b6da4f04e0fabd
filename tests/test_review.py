"""What reviewers are asked: the next image, second looks, and what one more label is worth."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_process import colonnade
from review_driving import (
    PICTURES,
    answers,
    judge,
    make_review,
    slipping,
)

from colonnade.engine.label_fit import fit_labels
from colonnade.engine.review import Review
from colonnade.engine.review_answers import read_judged
from colonnade.engine.review_choice import Doubt, choose_image, doubt
from colonnade.engine.review_worth import AttributeWorth
from colonnade.engine.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_review(tmp_path_factory.mktemp("review"))


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of it; the pictures stay where they are."""
    return Path(shutil.copytree(made / "s", tmp_path / "s", symlinks=True))


@pytest.mark.parametrize("audit", [False, True])
def test_reviewers_at_the_same_time_are_asked_about_the_same_images(store: Path, audit: bool) -> None:
    both = [Review(Store(store), "earth", reviewer=name, audit=audit) for name in ("ann", "ben")]
    for _ in range(10):
        for review, present in zip(both, (True, False), strict=True):
            question = review.next()
            assert question is not None
            review.answer(question, present)
    assert len(read_judged(Store(store).snapshot(), "earth").disputed) >= 2


def test_several_reviewers(store: Path) -> None:
    """Whoever comes second is asked about what is not settled; who disagrees is shown, and most decide."""
    questions = Review(Store(store), "earth", reviewer="ann")
    first = questions.next()
    assert first is not None
    questions.answer(first, True)
    for name, present in (("ben", False), ("cem", False)):
        other = Review(Store(store), "earth", reviewer=name)
        again = other.next()
        assert again is not None
        if name == "ben":
            assert again.image_id != first.image_id, "settled: not asked again"
            again = other.again(Review(Store(store), "earth", reviewer="ann").answers[0])
            assert again is not None
        else:
            assert Review(Store(store), "earth", reviewer="cem").standing().disputed == 1
        other.answer(again if again.image_id == first.image_id else first, present)
    judged = read_judged(Store(store).snapshot(), "earth")
    assert judged.balance(first.image_id) == -1
    (row,) = colonnade(store, "labels", "list", "--json").json
    (dispute,) = row["disputed"]
    assert (dispute["yes"], dispute["no"], dispute["counts_as"]) == (["ann"], ["ben", "cem"], False)
    told = colonnade(store, "labels", "list")
    assert "disputed" in told.out
    assert "yes: ann, no: ben cem; counts as no" in told.err


@pytest.mark.parametrize("audit", [False, True])
def test_one_question_in_five_is_a_second_look_at_what_others_said(store: Path, audit: bool) -> None:
    asked = {}
    for name, says in (("ann", lambda _: True), ("ben", lambda _: False)):
        asked[name] = judge(Review(Store(store), "earth", reviewer=name, audit=audit), 10, says)
    both = [place for place, image in enumerate(asked["ben"]) if image in asked["ann"]]
    assert both == [4, 9]
    judged = read_judged(Store(store).snapshot(), "earth")
    assert len(judged.disputed) == 2
    assert all((judged.drawn(image) is not None) is audit for image in judged.disputed)
    page = Review(Store(store), "earth", reviewer="cem", audit=audit)
    seen = [question.image_id for question in page.listing(10)]
    assert seen[4] in judged.answers
    fresh = Review(Store(store), "earth", reviewer="dot", audit=audit)
    known = {image for image in judged.answers if audit or judged.balance(image)}
    assert not known & {question.image_id for question in fresh.listing(PICTURES, again=False)}


@pytest.mark.parametrize("same", [True, False])
def test_a_doubtful_answer_is_asked_for_once_more(store: Path, same: bool) -> None:
    review, look = slipping(store)
    assert look.said is not None
    before = len(answers(store, "moon"))
    again = Review(Store(store), "moon", reviewer="ann").next()
    assert again is not None and again.look and again.image_id == look.image_id, "after an interruption too"
    away = Review(Store(store), "moon", reviewer="ben").next()
    assert away is not None and not away.look, "only who said it is told"
    page = Review(Store(store), "moon", reviewer="ann").listing(PICTURES, own=False)
    assert look.image_id not in {question.image_id for question in page}

    given = review.answer(look, look.said.present is same)
    assert given.twice is same, "confirmed or not"
    assert len(answers(store, "moon")) == before, "the later answer replaces the earlier"
    assert answers(store, "moon")[look.image_id, "ann"] is given.present
    for one in (review, Review(Store(store), "moon", reviewer="ann")):
        rest = [question.image_id for question in one.listing(PICTURES)]
        assert look.image_id not in rest, "confirmed, or what the others say too"
    back = review.again(given)
    assert back is not None and not back.look
    assert review.answer(back, given.present).twice is same
    assert not review.answer(back, None).twice, "changed by hand, no two looks agree"


def test_a_second_look_that_is_itself_doubtful_is_asked_for_again(store: Path) -> None:
    review, look = slipping(store)
    assert look.said is not None
    right = review.answer(look, not look.said.present)
    back = review.again(right)
    assert back is not None
    wrong = review.answer(replace(back, look=True), look.said.present)
    assert not wrong.twice
    other = review.next()
    assert other is not None and other.image_id != look.image_id, "not at once"
    review.answer(other, other.above > 0)
    third = review.next()
    assert third is not None and third.look and third.image_id == look.image_id
    assert review.answer(third, not look.said.present).twice is False
    assert look.image_id not in {question.image_id for question in review.listing(PICTURES)}


def test_what_was_said_a_moment_ago_is_not_asked_for_at_once(store: Path) -> None:
    review = Review(Store(store), "moon", reviewer="ann")
    last = None
    for number in range(PICTURES):
        question = review.next()
        if question is None:
            break
        assert question.image_id != last
        review.answer(question, number % 2 == 0)
        last = question.image_id


def test_an_image_that_nobody_is_sure_of_is_asked_again_of_another(store: Path) -> None:
    one = Review(Store(store), "earth", reviewer="ann")
    question = one.next()
    assert question is not None
    one.answer(question, None)
    following = one.next()
    assert following is not None
    assert following.image_id != question.image_id
    asked = {q.image_id for q in Review(Store(store), "earth", reviewer="ben").listing(PICTURES)}
    assert question.image_id in asked
    assert len(asked) == PICTURES


def test_a_picture_that_changed_meanwhile_is_not_labelled(store: Path) -> None:
    review = Review(Store(store), "earth", reviewer="ann")
    question = review.next()
    assert question is not None
    stale = type(question)(
        **{n: getattr(question, n) for n in question.__slots__} | {"content_hash": "other"}
    )
    with pytest.raises(Exception, match="changed or gone"):
        review.answer(stale, True)
    assert answers(store) == {}
    following = review.next()
    assert following is not None
    assert following.image_id != question.image_id


def test_the_next_image_is_near_the_cut_with_a_true_probability() -> None:
    x = np.sort(np.random.default_rng(1).normal(0, 3, 400))
    labelled, present = np.array([-1.0, -0.5, 0.5, 1.0]), np.array([False, False, True, True])
    fit = fit_labels(labelled, present)
    eligible = np.ones(len(x), dtype=bool)
    drawn = [choose_image(x, eligible, fit, seed=str(number)) for number in range(3000)]
    counts = np.bincount([chosen.index for chosen in drawn if chosen], minlength=len(x))
    told = {chosen.index: chosen.probability for chosen in drawn if chosen}
    often = int(np.argmax(counts))
    assert abs(counts[often] / 3000 - told[often]) < 0.02
    assert 0.9 < sum(told.values()) <= 1 + 1e-9
    assert abs(np.mean(x[[c.index for c in drawn if c]]) - fit.center) < 0.1
    assert choose_image(x, ~eligible, fit, seed="") is None
    assert choose_image(x, eligible, fit, seed="a") == choose_image(x, eligible, fit, seed="a")


def test_a_label_is_worth_less_the_more_there_are() -> None:
    x = np.linspace(-6, 6, 600)
    few = doubt(x, np.array([-1.0, 1.0]), np.array([False, True]))
    at = np.linspace(-2, 2, 20)
    many = doubt(x, at, at > 0)
    assert few.now > few.expected
    assert few.worth > many.worth >= 0
    assert doubt(np.empty(0), np.empty(0), np.empty(0, bool)).worth == 0


def test_a_label_is_worth_the_more_the_more_images_it_settles() -> None:
    none = np.empty(0), np.empty(0, bool)
    one, many = (doubt(np.concatenate([np.full(500, -9.0), np.zeros(count)]), *none) for count in (1, 52))
    assert many.worth > 10 * one.worth > 0


def test_attributes_without_a_signal_come_last() -> None:
    items = [
        AttributeWorth("unknown", 0, None),
        AttributeWorth("silent", 0, Doubt(900, 100.0, 900), no_signal=True),
        AttributeWorth("little", 0, Doubt(1, 0.5, 1)),
        AttributeWorth("much", 0, Doubt(52, 43.0, 52)),
    ]
    ranked = [item.code for item in sorted(items, key=lambda item: item.rank)]
    assert ranked == ["much", "little", "silent", "unknown"]
