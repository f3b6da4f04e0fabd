"""The review screen: one question a key, pages of thumbnails, and what is said where nothing can be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from app_driving import lines_of, moon_store, opened, until
from PIL import Image
from sound_stores import sound_store
from textual.pilot import Pilot

from colonnade.engine.settings import Root, update_settings
from colonnade.tui.keys import with_keys
from colonnade.tui.review_asking import ChosenAsking
from colonnade.tui.review_words import done_words, place_words, standing_words
from colonnade.tui.screens.review import ReviewScreen
from colonnade.tui.screens.review_request import ReviewRequest, ask_review, take_request
from colonnade.tui.session import Session
from colonnade.tui.widgets.line import TextLine, TextLines

STANDING: dict[str, Any] = {
    "labels": 12,
    "yes": 5,
    "no": 7,
    "unsettled": 1,
    "disputed": 0,
    "ready": True,
    "audit": {"audited": 0, "precision": None, "recall": None},
    "width_after_one_more": 0.25,
    "in_doubt": {"now": 40, "after_one_more": 33.2, "at_stake": 600},
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """40 images, of which those with an odd number have a file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(1, 40, 2):
        Image.new("RGB", (40, 30), (number * 6, 80, 200)).save(folder / f"{number:04d}.jpg")
    made = sound_store(tmp_path / "s")
    update_settings(made.path, lambda settings: replace(settings, roots=(Root("photos", folder),)))
    return made.path


@asynccontextmanager
async def reviewing(
    store: Path, size: tuple[int, int] = (80, 24), attribute: str | None = "moon"
) -> AsyncIterator[tuple[Pilot[None], ReviewScreen]]:
    async with opened(store, size) as (pilot, app):
        assert app.session is not None
        session = app.session
        await until(lambda: session.attribute, "Browse has shown its attributes")
        session.attribute = attribute
        app.open_screen("review")
        await until(lambda: isinstance(app.screen, ReviewScreen) and app.screen.is_ready, "the screen")
        screen = app.screen
        assert isinstance(screen, ReviewScreen)
        yield pilot, screen


def text(screen: ReviewScreen, name: str) -> str:
    return lines_of(screen.query_one(f"#{name}", TextLine))[0]


def labels(screen: ReviewScreen, code: str = "moon") -> tuple[int, int, int]:
    (row,) = screen.session.labels([code])
    return row["yes"], row["no"], row["unsure"]


async def asked(screen: ReviewScreen) -> dict[str, Any]:
    """The question, once it can be answered."""

    def is_there() -> bool:
        question = screen.question
        return (
            question is not None
            and not screen._busy
            and (not question["file"] or screen._seen == Path(question["file"]))
        )

    await until(is_there, "a question")
    assert screen.question is not None
    return screen.question


async def answered(pilot: Pilot[None], screen: ReviewScreen, key: str) -> dict[str, Any]:
    """Answer what is asked; a picture that is gone can only be left out."""
    question = await asked(screen)
    await pilot.press("u" if screen.picture.reason else key)
    await until(lambda: screen.question != question or screen._asked is None, "the next question")
    return question


def test_what_is_known_in_words() -> None:
    known, worth = standing_words(STANDING, audit=False)
    assert known.startswith("12 settled: 5 yes, 7 no   1 unsettled") and "audit ({review.audit:a})" in known
    assert worth == "in doubt (the cut may lie on either side): 40 images; after one more label 33"
    shares = {"value": 0.941, "low": 0.87, "high": 1.0}
    seen = {**STANDING, "audit": {"audited": 9, "precision": shares, "recall": None}}
    known, worth = standing_words(seen, audit=True)
    assert "precision .94 (.87-1.00)  recall not known yet" in known
    assert worth == "one more label: precision's 90 % interval from 0.13 to about 0.25 wide"
    done = done_words(STANDING, 20, exhausted=False)
    keys = {"review.fit": "f6", "review.more": "f7", "review.next_attribute": "f8"}
    assert all(f" {key} " in with_keys(done, keys) for key in ("F6", "F7", "F8"))
    assert "two labels of each kind" in done_words({**STANDING, "ready": False}, 1, exhausted=True)
    assert place_words({}, 2, 20) == "3 of 20"
    assert "unsure" in place_words({"said": {"present": None}}, 2, 20)
    assert place_words({"said": {"present": True}, "look": True}, 2, 20) == "look again: you said yes"


@pytest.mark.slow
def test_images_at_a_line_are_each_asked_once(store: Path) -> None:
    session = Session(store)
    try:
        asking = ChosenAsking(session, "moon", (5, 6, 9999), "at the line")
        first = asking.first()
        assert first.question is not None and first.question["image_id"] == 5
        second = asking.answer(first.question, True)
        assert second.question is not None and second.question["image_id"] == 6
        assert second.standing["labels"] == 1
        before = asking.back(1).question
        assert before is not None and before["said"] == {"present": True}
        assert asking.back(2).question is None
        assert [question["image_id"] for question in asking.page(9).page] == [6]
        assert asking.answer(second.question, None).question is None
        ask_review(session, ReviewRequest("moon", (1,), "x"))
        assert take_request(session) is not None and take_request(session) is None
    finally:
        session.close()


@pytest.mark.slow
@pytest.mark.asyncio
async def test_answers_are_saved_one_by_one_and_can_be_changed(store: Path) -> None:
    async with reviewing(store) as (pilot, screen):
        first = await asked(screen)
        assert text(screen, "question").startswith(" Moon?   moon   1 of 20")
        before = labels(screen)
        ids = [(await answered(pilot, screen, key))["image_id"] for key in "yny"]
        assert ids[0] == first["image_id"] and len(set(ids)) == 3
        after = labels(screen)
        assert sum(after) == sum(before) + 3
        assert "3 images settled" in lines_of(screen.query_one(TextLines))[0] or after[2] > 0
        await asked(screen)
        await pilot.press("b")
        await until(lambda: screen._steps == 1 and not screen._busy, "the one before")
        assert "you said" in text(screen, "question")
        again = await asked(screen)
        assert again["image_id"] == ids[-1]
        await pilot.press("u")
        await until(lambda: screen._steps == 0 and not screen._busy, "the next one")
        assert labels(screen)[2] >= 1 and sum(labels(screen)) == sum(after)
        assert text(screen, "question").count("4 of 20") == 1


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_doubtful_answer_is_shown_again_besides_the_budget(store: Path) -> None:
    async with reviewing(store) as (pilot, screen):
        screen._budget = 40
        for _ in range(40):
            question = await asked(screen)
            if question["look"]:
                break
            # The other way round than the scores have it: some answers will stand against the others.
            await answered(pilot, screen, "y" if question["image_id"] % 4 == 1 else "n")
        else:
            pytest.fail("no answer was asked for again")
        assert "look again: you said" in text(screen, "question")
        assert "other answers speak against it" in text(screen, "note")
        before, count = labels(screen), screen._answered
        page = screen.session.review_page("moon", count=40)["questions"]
        assert not any(one["look"] for one in page), "a page of thumbnails has none"
        screen._budget = count
        assert screen.question == question, "it is not of the budget"
        await pilot.press("n" if question["said"]["present"] else "y")
        await until(lambda: screen._asked is not None and screen._asked.question != question, "the next one")
        await until(lambda: not screen._busy, "the next one")
        assert screen._answered == count
        assert sum(labels(screen)) == sum(before)
        assert labels(screen)[0] - before[0] == (-1 if question["said"]["present"] else 1)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_picture_that_is_gone_is_not_judged(store: Path) -> None:
    async with reviewing(store) as (pilot, screen):
        for _ in range(30):
            question = await asked(screen)
            if not Path(question["file"]).exists() and screen.picture.reason:
                break
            await answered(pilot, screen, "n")
        else:
            pytest.fail("no question on a picture that is gone")
        screen.action_say(True)
        assert "no picture to judge" in screen.status.message
        assert screen.question == question


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_page_is_toggled_and_saved_together(store: Path) -> None:
    async with reviewing(store, (120, 36)) as (pilot, screen):
        await asked(screen)
        await pilot.press("g")
        await until(lambda: screen.page.item is not None and not screen._busy, "a page")
        page = screen._asked.page if screen._asked else ()
        await until(lambda: len(screen.page.seen) == len(page), "all thumbnails")
        gone = {q["image_id"] for q in page if not Path(q["file"]).exists()}
        assert gone and screen.page.unsure == gone
        there = next(n for n, q in enumerate(page) if q["image_id"] not in gone)
        for _ in range(there):
            await pilot.press("right")
        await pilot.press("space")
        assert screen.page.on == {page[there]["image_id"]}
        await pilot.press("enter")
        assert screen.has_class("-large")
        await pilot.press("escape")
        assert not screen.has_class("-large") and screen.has_class("-page")
        before = labels(screen)
        await pilot.press("ctrl+s")
        await until(lambda: "saved:" in screen.status.message, "saved")
        assert screen._answered == len(page), "all of them are of the budget"
        yes, no, unsure = labels(screen)
        assert (yes - before[0], unsure - before[2]) == (1, len(gone))
        assert no - before[1] == len(page) - 1 - len(gone)
        await pilot.press("escape")
        assert not screen.has_class("-page")


@pytest.mark.slow
@pytest.mark.asyncio
async def test_it_goes_where_a_label_is_worth_most_and_ends_with_a_fit(store: Path) -> None:
    async with reviewing(store, attribute=None) as (pilot, screen):
        await until(lambda: "no attribute is chosen" in screen.status.message, "what to do")
        await pilot.press("y", "f", "a")
        await pilot.press("N")
        question = await asked(screen)
        assert question and screen.code == screen.session.attribute
        await pilot.press("a")
        await until(lambda: "audit" in text(screen, "question"), "an audit")
        assert (await asked(screen))["policy"] == "audit"
        screen._budget = 1
        await answered(pilot, screen, "y")
        await until(lambda: "1 answer given" in text(screen, "note"), "the end")
        await pilot.press("plus")
        await asked(screen)
        await pilot.press("f")
        await until(lambda: "two of each kind" in screen.status.message, "what it takes")
        session, code = screen.session, screen.code
        assert code is not None
        for image in range(8):
            session.label(code, image, image % 2 == 0, session.image_row(image).content_hash)
        await pilot.press("f")
        await until(lambda: screen._tried, "what it would change")
        assert "^S saves" in text(screen, "note")
        await pilot.press("escape")
        assert "not saved" in text(screen, "note")


@pytest.mark.slow
@pytest.mark.asyncio
async def test_it_says_what_stands_in_the_way_at_any_size(store: Path, tmp_path: Path) -> None:
    async with reviewing(store, attribute="both") as (pilot, screen):
        await until(lambda: "by its rule; review earth, moon" in screen.status.message, "what it is made of")
        assert "earth, moon" in str(screen.picture.reason)
        await pilot.press("c")
        await pilot.pause()
        await pilot.press("m", "o", "o", "enter")
        await asked(screen)
        for size in ((20, 5), (200, 50), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.press("g", "g", "b", "u")
            await pilot.pause()
    bare = moon_store(tmp_path / "bare", images=20, hostile=True)
    async with reviewing(bare, attribute="empty") as (pilot, screen):
        await until(lambda: "nothing can be asked" in text(screen, "question"), "why not")
        await pilot.press("y", "n", "u", "b", "g", "f", "plus", "enter", "escape")
        assert screen.status.display


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_store_that_cannot_be_written_is_shown_not_labelled(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "writable", False)
    async with reviewing(store) as (pilot, screen):
        await asked(screen)
        assert "read-only" in text(screen, "question")
        before = labels(screen)
        await pilot.press("u")
        assert "copy it to a place of your own" in screen.status.message
        assert labels(screen) == before


@pytest.mark.asyncio
async def test_at_80_columns_nothing_of_what_is_known_is_lost(store: Path) -> None:
    shares = {"value": 0.941, "low": 0.87, "high": 0.99}
    many = {"labels": 12_345, "yes": 5_000, "no": 7_345, "unsettled": 1_234, "disputed": 345}
    audit = {"audited": 9, "precision": shares, "recall": shares}
    standing = {**STANDING, **many, "audit": audit, "in_doubt": {"now": 123_456, "after_one_more": 123_400.0}}
    async with reviewing(store) as (pilot, screen):
        await asked(screen)
        found = screen._asked
        assert found is not None
        screen._show(replace(found, standing=standing))
        for size in ((80, 24), (60, 20), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            shown = " ".join(" ".join(lines_of(screen.query_one("#standing", TextLines))).split())
            known = [with_keys(" ".join(line.split()), {}) for line in standing_words(standing, audit=False)]
            assert all(line in shown for line in known)
