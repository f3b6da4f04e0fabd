"""`review` without a terminal: lists to judge elsewhere, what comes back, and what is worth a label next."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from cli_process import colonnade, process
from review_driving import (
    PICTURES,
    VOCABULARY,
    answers,
    make_review,
    reviewing,
)

from colonnade.engine.review import Review
from colonnade.engine.review_answers import read_judged
from colonnade.engine.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_review(tmp_path_factory.mktemp("review"))


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of it; the pictures stay where they are."""
    return Path(shutil.copytree(made / "s", tmp_path / "s", symlinks=True))


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
