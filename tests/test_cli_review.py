"""`review` on a real terminal: keys, what is saved, how it ends, and what becomes of the cut."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pexpect  # type: ignore[import-untyped]
import pytest
from cli_process import colonnade
from review_driving import (
    ASKED,
    LOOK,
    PICTURES,
    PROGRAM,
    answers,
    judge,
    make_review,
    new_question,
    press,
    reviewing,
    slipping,
    stand_by,
    unset,
)

from colonnade.engine.review import Review
from colonnade.engine.review_answers import read_judged
from colonnade.engine.store import Store
from colonnade.tui.picture_cells import mode_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_review(tmp_path_factory.mktemp("review"))


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of it; the pictures stay where they are."""
    return Path(shutil.copytree(made / "s", tmp_path / "s", symlinks=True))


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
        child.send("x\x1b[Bxy")  # neither a letter that means nothing nor an arrow (`B`) is an answer
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
    arguments = ["-c", PROGRAM, "-s", str(store), "review", "earth", "--no-fit", "--reviewer", "ann"]
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
    """Ctrl-Z in a shell with job control, and `fg`; bash would put the terminal right by itself."""
    shell = pexpect.spawn(
        shutil.which("dash") or "sh", ["-i"], dimensions=(24, 80), encoding="utf-8", timeout=60
    )
    words = [sys.executable, "-c", PROGRAM, "-s", str(store), "review", "earth", "--reviewer", "ann"]
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
            seen += child.before + child.after
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
        assert "of them at a second look" in stand_by(child)
    kept = read_judged(Store(store).snapshot(), "moon").answers[look.image_id]["ann"]
    assert (kept.present, kept.twice) == (not look.said.present, False)


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
