"""`review` on a real terminal and without one: keys, what is saved, how it ends, and answers from elsewhere."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pexpect  # type: ignore[import-untyped]
import pytest
from cli_process import colonnade, process
from PIL import Image

from colonnade.engine.label_fit import fit_labels
from colonnade.engine.review import Question, Review
from colonnade.engine.review_answers import read_judged
from colonnade.engine.review_choice import Doubt, choose_image, doubt
from colonnade.engine.review_worth import AttributeWorth
from colonnade.engine.store import Store
from colonnade.tui.picture_cells import mode_of

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
_PROGRAM = "from colonnade.tui import cli; cli.main()"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of real files, whose scores spread around the cut."""
    folder = tmp_path_factory.mktemp("review")
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


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of it; the pictures stay where they are."""
    return Path(shutil.copytree(made / "s", tmp_path / "s", symlinks=True))


@contextmanager
def reviewing(store: Path, *words: str, reviewer: str = "ann") -> Iterator[Any]:
    """`colonnade review WORDS...` on a terminal of 80 x 24; ends by checking that the terminal is as it was."""
    arguments = ["-c", _PROGRAM, "-s", str(store), "review", *words, "--reviewer", reviewer]
    child = pexpect.spawn(sys.executable, arguments, dimensions=(24, 80), encoding="utf-8", timeout=60)
    before = termios.tcgetattr(child.child_fd)
    try:
        yield child
        child.expect(pexpect.EOF)
        assert termios.tcgetattr(child.child_fd) == before
    finally:
        child.close()


LOOK = r"you said (yes|no), but your other answers"


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


def test_answers_are_saved_one_by_one_and_the_cut_moves(store: Path) -> None:
    unset(store)
    with reviewing(store, "earth", "--budget", "5") as child:
        child.expect(ASKED)
        assert "\x1b[?1049h" not in child.before, "what was on the screen before stays in its history"
        assert "y yes" in child.before
        assert "pics/" in child.before
        assert answers(store) == {}
        child.send("y")
        child.expect(ASKED)
        assert list(answers(store).values()) == [True], "saved before the next question"
        assert "1 image settled: 1 yes, 0 no" in child.before
        child.send("x\x1b[Bx\x1b[")  # neither a letter that means nothing nor an arrow (`B`) is an answer
        time.sleep(0.3)
        child.send("Ny")  # the rest of a sequence that the line cut in two, then the answer
        press(child, "nun")
        told = stand_by(child)
        assert "5 pictures judged by ann, all saved" in told
        assert "labels" in told
        assert "made anew: earth, both" in told
    child.close()
    assert child.exitstatus == 0
    said = answers(store)
    assert sorted(map(str, said.values())) == ["False", "False", "None", "True", "True"]
    (row,) = colonnade(store, "calibration", "show", "earth", "--json").json
    assert (row["method"], row["receipt"]["labels"]["present"], row["receipt"]["labels"]["absent"]) == (
        "labels",
        2,
        2,
    )


@pytest.mark.slow
def test_going_back_replaces_an_answer(store: Path) -> None:
    with reviewing(store, "earth", "--budget", "3", "--no-fit") as child:
        press(child, "yy")
        child.expect(ASKED)
        child.send("b")
        child.expect("you said yes")
        child.expect(ASKED)
        child.send("b")
        child.expect("you said yes")
        child.expect(ASKED)
        child.send("n")
        press(child, "q")
    assert list(answers(store).values()).count(True) == 1
    assert list(answers(store).values()).count(False) == 1
    with reviewing(store, "earth", "--no-fit") as child:
        child.expect("1 of 20")
        child.expect(ASKED)
        child.send("b")
        child.expect("you said no")  # the last one that was given, in the sitting before
        child.expect(ASKED)
        child.send("q")
    assert len(answers(store)) == 2


@pytest.mark.slow
def test_kill_9_loses_nothing_and_the_next_run_goes_on(store: Path) -> None:
    shown: list[str] = []
    arguments = ["-c", _PROGRAM, "-s", str(store), "review", "earth", "--no-fit", "--reviewer", "ann"]
    child = pexpect.spawn(sys.executable, arguments, dimensions=(24, 80), encoding="utf-8", timeout=60)
    for key in "ynu":
        shown.append(new_question(child))
        child.send(key)
    waiting = new_question(child)
    child.kill(signal.SIGKILL)
    child.close()
    saved = answers(store)
    assert sorted(map(str, saved.values())) == ["False", "None", "True"]
    with reviewing(store, "earth", "--no-fit", "--budget", "2") as second:
        assert new_question(second) == waiting, "the question that was open"
        second.send("n")
        assert new_question(second) not in (*shown, waiting), "no image is asked twice"
        second.send("y")
        stand_by(second)
    assert saved.items() < answers(store).items()
    assert len(answers(store)) == 5
    assert colonnade(store, "verify").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(("how", "status"), [("intr", 130), ("term", 143), ("eof", 0), ("q", 0)])
def test_every_end_keeps_the_answers_and_the_terminal(store: Path, how: str, status: int) -> None:
    with reviewing(store, "earth") as child:
        press(child, "yn")
        child.expect(ASKED)
        if how == "intr":
            child.sendintr()
        elif how == "term":
            child.kill(signal.SIGTERM)
        else:
            child.sendeof() if how == "eof" else child.send("q")
        child.expect(pexpect.EOF)
        assert "Traceback" not in child.before
        assert ("interrupted" in child.before) is (status > 0)
    assert child.exitstatus == status
    assert list(answers(store).values()) in ([True, False], [False, True])


@pytest.mark.slow
def test_stopped_and_continued(store: Path) -> None:
    """Ctrl-Z in a shell with job control, and `fg`."""
    shell = pexpect.spawn("bash", ["--norc", "-i"], dimensions=(24, 80), encoding="utf-8", timeout=60)
    words = [sys.executable, "-c", _PROGRAM, "-s", str(store), "review", "earth", "--reviewer", "ann"]
    try:
        shell.sendline(shlex.join(words))
        press(shell, "y")
        shell.expect(ASKED)
        shell.send("\x1a")
        shell.expect("Stopped")
        shell.sendline("stty -a")
        shell.expect(r"[^-]icanon")
        assert re.search(r"[^-]\becho\b", shell.before + shell.buffer) or shell.expect(r"[^-]echo ") == 0
        shell.sendline("fg")
        press(shell, "nq")
        shell.expect("2 pictures judged")
    finally:
        shell.close(force=True)
    assert len(answers(store)) == 2


@pytest.mark.slow
def test_names_and_labels_cannot_drive_the_terminal(store: Path) -> None:
    with reviewing(store, "earth", "--budget", str(PICTURES), "--no-fit") as child:
        seen = ""
        for _ in range(PICTURES):
            child.expect(ASKED)
            seen += child.before
            child.send("u")
        child.expect(pexpect.EOF)
        seen += child.before
    assert "owned" in seen
    assert "\x1b]0" not in seen
    assert "\x1b[31mred" not in seen
    assert "\x1b[31mEarth" not in seen
    assert child.exitstatus == 0
    with reviewing(store, "earth") as child:
        child.expect(pexpect.EOF)
        assert "0 pictures judged" in child.before


def test_pictures_are_drawn(store: Path) -> None:
    with reviewing(store, "earth") as child:
        child.expect(ASKED)
        assert any(block in child.before for block in "▀▄█")
        child.send("q")
    assert mode_of({"TERM": "xterm"}) == "16"


def test_an_audit_on_a_terminal(store: Path) -> None:
    with reviewing(store, "earth", "--audit", "--budget", "4", "--json", "--no-fit") as child:
        press(child, "yyyn")
        child.expect(pexpect.EOF)
        document = json.loads(child.before[child.before.index("{") :])
    audit = document["standing"]["audit"]
    assert (audit["audited"], document["answered"], document["fit"]) == (4, 4, None)
    assert 0 <= audit["precision"]["low"] <= audit["precision"]["high"] <= 1
    judged = read_judged(Store(store).snapshot(), "earth")
    assert all(0 < (judged.drawn(image) or 0) <= 1 for image in judged.answers)
    (row,) = colonnade(store, "calibration", "show", "earth", "--json").json
    assert row["precision"] == audit["precision"]


def test_derived_attributes_are_refused_in_words(store: Path) -> None:
    with reviewing(store, "both") as child:
        child.expect("a derived attribute")
    assert child.exitstatus == 3
    assert colonnade(store, "review", "both", "--list").code == 3


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
    assert given.twice
    assert len(answers(store, "moon")) == before, "the later answer replaces the earlier"
    assert answers(store, "moon")[look.image_id, "ann"] is given.present
    for one in (review, Review(Store(store), "moon", reviewer="ann")):
        rest = [question.image_id for question in one.listing(PICTURES)]
        assert look.image_id not in rest, "nobody is asked a third time"
    back = review.again(given)
    assert back is not None and not back.look
    assert review.answer(back, None).twice, "changed by hand, it stays one of two looks"


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


def test_a_second_look_on_a_terminal_and_in_a_list(store: Path) -> None:
    _, look = slipping(store)
    assert look.said is not None
    words = ("review", "moon", "--list", "--json", "--budget", "3")
    (first, *_) = colonnade(store, *words, "--reviewer", "ann").out.splitlines()
    listed = json.loads(first)
    assert (listed["image_id"], listed["policy"], listed["reviewer"]) == (look.image_id, "again", "ann")
    assert listed["said"] == ("yes" if look.said.present else "no")
    for line in colonnade(store, *words).out.splitlines():
        assert json.loads(line)["policy"] == "policy"
    with reviewing(store, "moon", "--budget", "1", "--no-fit") as child:
        child.expect(ASKED)
        assert re.search(LOOK, child.before) and "look again" in child.before
        child.send("n" if look.said.present else "y")
        press(child, "u")
        assert "1 of them at a second look" in stand_by(child) or "of them at a second look" in child.before
    kept = read_judged(Store(store).snapshot(), "moon").answers[look.image_id]["ann"]
    assert (kept.present, kept.twice) == (not look.said.present, True)


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


@pytest.mark.slow
def test_without_a_terminal(store: Path) -> None:
    for words in (("earth",), ("earth", "--audit"), ()):
        ran = process(store, "review", *words)
        assert (ran.code, ran.out) == (2, "")
    assert "labels import" in process(store, "review", "earth").err
    assert process(store, "review", "earth", "--next").code == 2
    assert colonnade(store, "review", "earth", "--list", "--reviewer", "a\nb").code == 2
    assert colonnade(store, "review", "eart", "--list").code == 3
    assert answers(store) == {}


@pytest.mark.parametrize("audit", [False, True])
def test_a_list_is_judged_elsewhere(store: Path, made: Path, tmp_path: Path, audit: bool) -> None:
    extra = ("--audit",) if audit else ()
    lines = colonnade(store, "review", "earth", "--list", "--budget", 6, "--json", *extra).out.splitlines()
    rows = [json.loads(line) for line in lines]
    paths = colonnade(store, "review", "earth", "--list", "--budget", 6, *extra).out
    assert paths == "".join(f"{row['file']}\n" for row in rows), "the same pictures in the same order"
    assert all(row["file"].startswith(str(made / "pics")) and 0 < row["probability"] <= 1 for row in rows)
    assert {row["policy"] for row in rows} == {"audit" if audit else "policy"}
    judged = tmp_path / "judged.jsonl"
    judged.write_text("".join(json.dumps(row | {"present": "yes", "reviewer": "eve"}) + "\n" for row in rows))
    done = colonnade(store, "labels", "import", judged, "--json")
    assert done.json["written"] == 6, done.err
    stored = read_judged(Store(store).snapshot(), "earth").answers
    kept = {(a.image_id, a.policy, a.probability) for by in stored.values() for a in by.values()}
    assert kept == {(row["image_id"], row["policy"], row["probability"]) for row in rows}
    again = colonnade(store, "review", "earth", "--list", "--budget", 6, "--json", *extra).out.splitlines()
    assert not {json.loads(line)["image_id"] for line in again} & {row["image_id"] for row in rows}
    audited = colonnade(store, "calibration", "earth", "--json").json[0]
    assert (audited["precision"] is not None) is audit


def test_whole_paths_come_back(store: Path, tmp_path: Path) -> None:
    paths = colonnade(store, "review", "moon", "--list", "--budget", PICTURES).out.splitlines()
    plain = [path for path in paths if path.endswith(".png") and "red" not in path][:3]
    with (tmp_path / "l.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "code", "present"])
        writer.writerows([path, "moon", "no"] for path in plain)
    ran = colonnade(store, "labels", "import", tmp_path / "l.csv")
    assert ran.code == 0, ran.err
    assert len(answers(store, "moon")) == 3
    (tmp_path / "l.csv").write_text("path,code,present,policy\n/elsewhere/a.png,moon,no,audit\n")
    refused = colonnade(store, "labels", "import", tmp_path / "l.csv")
    assert refused.code == 3
    assert "probability" in refused.err


def test_imported_labels_that_are_enough_say_so(store: Path, tmp_path: Path) -> None:
    paths = [
        path for path in colonnade(store, "review", "moon", "--list").out.splitlines() if "red" not in path
    ]
    file = tmp_path / "l.csv"
    for number, told in ((3, False), (4, True), (4, False)):
        rows = [f"{path},moon,{'yes' if place % 2 else 'no'}\n" for place, path in enumerate(paths[:number])]
        file.write_text("path,code,present\n" + "".join(rows))
        ran = colonnade(store, "labels", "import", file)
        assert ("enough to move the cut; colonnade calibration fit moon" in ran.err) is told, ran.err


def test_what_comes_next(store: Path) -> None:
    ran = process(store, "review", "--next")
    assert ran.code == 0
    assert ran.out.strip() in ("earth", "moon")
    ranked = colonnade(store, "review", "--next", "--json").json
    assert [row["worth"] for row in ranked] == sorted((row["worth"] for row in ranked), reverse=True)
    assert ranked[0]["code"] == ran.out.strip()
    best = ranked[0]["code"]
    review = Review(Store(store), best, reviewer="ann")
    for _ in range(8):
        question = review.next()
        assert question is not None
        review.answer(question, question.above > 0)
    assert colonnade(store, "review", "--next", "--json").json[0]["code"] != best, (
        "the other one is worth more now"
    )
    listed = colonnade(store, "review", "--next", "--list", "--budget", 2)
    assert len(listed.out.splitlines()) >= 2
    with reviewing(store, "--next") as child:
        child.expect("one more label is worth most")
        child.expect("1 of 20")
        child.send("q")


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


def test_unscored_and_stale_scores_are_refused_in_words(store: Path, tmp_path: Path) -> None:
    path = Store(store).vocabulary_path
    path.write_text(VOCABULARY.replace("description: Earth", "description: Terra"))
    ran = colonnade(store, "review", "earth", "--list")
    assert ran.code == 3
    assert "prompt changed" in ran.err
    assert "colonnade tag earth" in ran.err
    told = colonnade(store, "review", "--next")
    assert told.out == "moon\n"
    assert "left out: earth" in told.err


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


def test_labels_that_a_killed_review_left_move_the_cut_the_next_time(store: Path) -> None:
    unset(store)
    judge(Review(Store(store), "earth", reviewer="ann"), 4, lambda number: number % 2 == 0)
    with reviewing(store, "earth") as child:
        press(child, "q")
        child.expect("made anew: earth, both")
    assert colonnade(store, "calibration", "earth", "--json").json[0]["method"] == "labels"
    with reviewing(store, "earth") as child:
        press(child, "q")
        child.expect(pexpect.EOF)
        assert "made anew" not in child.before


@pytest.mark.parametrize("how", [("--center", 0, "--scale", 2), ("--cut", 1.25)])
def test_a_cut_set_by_hand_outlives_a_review(store: Path, how: tuple[object, ...]) -> None:
    unset(store)
    judge(Review(Store(store), "earth", reviewer="ann"), 4, lambda number: number % 2 == 0)
    if how[0] == "--cut":
        assert colonnade(store, "calibration", "fit", "earth").code == 0
    assert colonnade(store, "calibration", "set", "earth", *how).code == 0
    before = colonnade(store, "calibration", "earth", "--json").json[0]["cut"]
    with reviewing(store, "earth", "--budget", "1") as child:
        press(child, "y")
        assert "the cut stays where you set it; colonnade calibration fit earth" in stand_by(child)
    assert colonnade(store, "calibration", "earth", "--json").json[0]["cut"] == before


def test_an_audit_moves_no_cut(store: Path) -> None:
    unset(store)
    before = colonnade(store, "calibration", "earth", "--json").json[0]
    with reviewing(store, "earth", "--audit", "--budget", "4") as child:
        press(child, "ynyn")
        child.expect("an audit leaves the cut where it is; colonnade calibration fit earth")
    after = colonnade(store, "calibration", "earth", "--json").json[0]
    assert (after["method"], after["cut"]) == (before["method"], before["cut"])


def test_the_end_counts_what_others_answered_meanwhile(store: Path) -> None:
    with reviewing(store, "earth", "--no-fit") as child:
        child.expect(ASKED)
        assert "in doubt" in child.before
        other = Review(Store(store), "earth", reviewer="ben")
        for _ in range(3):
            question = other.next()
            assert question is not None
            other.answer(question, True)
        child.send("q")
        child.expect("3 images settled: 3 yes, 0 no")
