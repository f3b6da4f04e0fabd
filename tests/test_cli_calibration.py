"""`calibration` as a process: the table, receipts, choosing, fitting and resetting fits, export."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_process import colonnade, process
from planted_stores import planted_store
from vector_files import image_file, new_store, prompt_file, scored, vectors

from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.import_embeddings import import_embeddings
from colonnade.engine.label_audit import draw
from colonnade.engine.listing import some
from colonnade.engine.places import read_places
from colonnade.engine.review import estimate
from colonnade.engine.review_answers import AUDIT, Answer, read_judged, save_answer
from colonnade.engine.store import Store
from colonnade.engine.tag import tag
from colonnade.tui.calibration_text import COLUMNS, bars


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Few images: every attribute has the model's fixed fit."""
    made = new_store(tmp_path / "s")
    images = image_file(tmp_path / "i.parquet", [f"{i}.jpg" for i in range(40)], vectors(40))
    text = prompt_file(tmp_path / "t.parquet", vectors(3, seed=1))
    import_embeddings(made, images, key="m", logit_scale=30, text=text)
    tag(made)
    derive_attributes(made)
    return made.path


@pytest.fixture
def planted(tmp_path: Path) -> Store:
    """Cats, dogs and no ghost, each with an `auto` fit."""
    made = planted_store(tmp_path / "p")
    tag(made)
    derive_attributes(made)
    return made


def audited(store: Store, code: str, count: int, wrong: int = 0) -> None:
    """Answers on images drawn by chance: yes for accepted ones (but for the first `wrong`), no for the others."""
    places = read_places(store, store.snapshot(), store.vocabulary(), code)
    done = np.zeros(len(places.ids), dtype=bool)
    for number in range(count):
        found = draw(places.above, places.ids, done, seed=code)
        assert found is not None
        done[found.index] = True
        accepted = bool(places.above[found.index] >= 0) and number >= wrong
        given = Answer(int(places.ids[found.index]), "ann", accepted, None, AUDIT, found.probability)
        save_answer(store, code, given, None)


def test_bars() -> None:
    assert bars([0, 1, 50, 100]) == " ▁▄█"
    assert bars([7] * 3) == "███"
    assert bars([1, 1_000_000]) == "▁█"
    assert bars([]) == ""
    assert bars([0, 0]) == "  "


def test_the_table(store: Path) -> None:
    ran = colonnade(store, "calibration")
    assert ran.code == 0, ran.err
    head, *rows = ran.out.splitlines()
    assert head.split() == list(COLUMNS)
    assert [row.split()[0] for row in rows] == ["earth", "moon"]
    assert all(row.endswith("fresh  fixed: 40 embedded images; auto needs 200") for row in rows)
    assert any(block in rows[0] for block in "▁▂▃▄▅▆▇█")
    assert colonnade(store, "calibration", "show").out == ran.out
    assert colonnade(store, "calibration", "moon", "earth").out.splitlines()[1:] == rows
    document = colonnade(store, "calibration", "--json").json
    assert document == colonnade(store, "calibration", "show", "--json").json
    assert sum(document[0]["histogram"]) == document[0]["scored"] == 40
    assert (document[0]["center"], document[0]["scale"], document[0]["chosen"]) == (25.5, 1.5, False)
    assert (document[0]["axis"], document[0]["precision"], document[0]["fitted_on"]) == ("logit", None, None)
    assert document[0]["fallback"] == "40 embedded images; auto needs 200"


def test_the_table_of_fits_without_labels(planted: Store) -> None:
    rows = {row["code"]: row for row in colonnade(planted.path, "calibration", "--json").json}
    for row in rows.values():
        assert (row["method"], row["axis"], row["fitted_on"], row["fallback"]) == (
            "auto",
            "log_odds",
            300,
            None,
        )
        assert row["drift"] < 0.1
    assert [row["no_signal"] for row in rows.values()] == [False, False, True]
    assert rows["ghost"]["accepted"] == 0
    assert rows["ghost"]["cut"] == pytest.approx(0.35), "the gate"
    assert rows["cat"]["accepted"] > 5
    text = colonnade(planted.path, "calibration").out.splitlines()
    assert text[3].endswith("no signal")


def test_the_table_and_the_receipt_tell_one_cut(store: Path, planted: Store) -> None:
    opened = Store(store)
    places = read_places(opened, opened.snapshot(), opened.vocabulary(), "earth")
    for rank, index in enumerate(np.argsort(places.above)[::4]):
        save_answer(
            opened, "earth", Answer(int(places.ids[index]), "ann", rank > 5, None, "policy", 1.0), None
        )
    assert colonnade(store, "calibration", "fit", "earth", "--method", "labels").code == 0
    for path, code, unit in ((store, "earth", "logit"), (planted.path, "cat", "log odds")):
        table = colonnade(path, "calibration").out
        told = colonnade(path, "calibration", "show", code).out.split("accepted from ")[1].split("\n")[0]
        assert told.endswith(f" {unit}")
        assert told in next(line for line in table.splitlines() if line.startswith(code))


def test_a_receipt(planted: Store) -> None:
    ran = colonnade(planted.path, "calibration", "show", "cat")
    assert ran.code == 0, ran.err
    for words in ("method     auto", "300 of 300 images", "seed 0", "fitted on ViT-B", "phrase ", ".jpg", "log odds",
                  "competing", "background", "colonnade review cat"):  # fmt: skip
        assert words in ran.out, words
    assert colonnade(planted.path, "calibration", "cat").out == ran.out
    (document,) = colonnade(planted.path, "calibration", "show", "cat", "--json").json
    (row,) = (r for r in colonnade(planted.path, "calibration", "--json").json if r["code"] == "cat")
    receipt = document.pop("receipt")
    assert document == row
    assert receipt["base"]["images"] == 300
    assert len(receipt["base"]["competing"]) > 0
    assert receipt["above"][0]["confidence"] >= 0.8 > receipt["below"][0]["confidence"]
    assert receipt["above"][0]["path"].endswith(".jpg")
    colonnade(planted.path, "calibration", "set", "cat", "--cut", row["cut"] + 1)
    (since,) = colonnade(planted.path, "calibration", "show", "cat", "--json").json
    assert since["method"] == "auto"
    assert since["moved"] is True
    assert since["receipt"]["since"]["leaving"] == row["accepted"] - since["accepted"]
    assert any("cut" in change for change in since["receipt"]["since"]["difference"])
    assert "colonnade diff" in colonnade(planted.path, "calibration", "show", "cat").out
    colonnade(planted.path, "gc", "--keep-snapshots", 1, "--keep-seconds", 0)
    assert (
        "snapshots before it are no longer kept" in colonnade(planted.path, "calibration", "show", "cat").out
    )
    assert "no sign" in colonnade(planted.path, "calibration", "ghost").out.replace(
        "nothing in this", "no sign"
    )


def test_names_are_safe_on_a_terminal_and_exact_in_json(tmp_path: Path) -> None:
    made = new_store(tmp_path / "s")
    images = image_file(tmp_path / "i.parquet", ["\x1b[31mred.jpg"], vectors(1))
    text = prompt_file(tmp_path / "t.parquet", vectors(3, seed=1))
    import_embeddings(made, images, key="m", logit_scale=30, text=text)
    tag(made)
    (row,) = colonnade(made.path, "calibration", "show", "earth", "--json").json
    assert row["receipt"]["below"][0]["path"] == "\x1b[31mred.jpg"


def test_set_shows_then_does(store: Path) -> None:
    before = {code: scored(Store(store), code) for code in ("earth", "moon", "both")}
    words = ("calibration", "set", "earth", "--center", 3, "--scale", 2)
    tried = colonnade(store, *words, "--dry-run", "--json")
    assert tried.code == 0
    assert tried.json["written"] == []
    assert scored(Store(store), "earth") == before["earth"]
    assert Store(store).snapshot().partitions("calibrations") == ()
    done = process(store, *words, "--json")
    assert done.json["changes"] == tried.json["changes"]
    assert done.json["written"] == ["earth", "both", "neither"]
    assert "heavy: []" in done.err
    assert scored(Store(store), "earth") != before["earth"]
    assert scored(Store(store), "moon") == before["moon"]
    (row,) = colonnade(store, "calibration", "show", "earth", "--json").json
    assert (row["center"], row["scale"], row["method"], row["chosen"]) == (3, 2, "fixed", True)
    assert (row["stale"], row["fallback"]) == ([], None)
    assert row["accepted"] == done.json["changes"][0]["after"]["accepted"] > 0
    half = colonnade(store, "calibration", "set", "earth", "--center", "4")
    assert half.code == 0
    assert "->" in half.out
    (row,) = colonnade(store, "calibration", "show", "earth", "--json").json
    assert (row["center"], row["scale"]) == (4, 2), "what is not given stays"
    assert colonnade(store, "calibration", "set", "earth", "--reset").code == 0
    assert scored(Store(store), "earth") == before["earth"]
    assert scored(Store(store), "both") == before["both"]


@pytest.mark.parametrize("code", ["cat", "ghost"])
def test_a_cut_by_hand_and_back(planted: Store, code: str) -> None:
    """Of an attribute without signal, too: somebody may know better."""
    before = scored(planted, code)
    document = {row["code"]: row for row in colonnade(planted.path, "calibration", "--json").json}
    places = read_places(planted, planted.snapshot(), planted.vocabulary(), code)
    cut = float(np.sort(places.odds)[-30])
    done = colonnade(planted.path, "calibration", "set", code, "--cut", cut, "--json")
    assert done.code == 0, done.err
    (change,) = done.json["changes"]
    assert change["before"]["accepted"] == document[code]["accepted"]
    assert change["after"]["accepted"] in (29, 30)  # float32 at the cut itself
    assert change["fit"]["moved"] is True
    (row,) = colonnade(planted.path, "calibration", "show", code, "--json").json
    assert row["cut"] == pytest.approx(cut)
    assert row["no_signal"] is False
    assert colonnade(planted.path, "calibration", "set", code, "--reset").code == 0
    assert scored(planted, code) == before


def test_a_cut_of_a_fixed_fit_is_a_logit(store: Path) -> None:
    assert colonnade(store, "calibration", "set", "earth", "--cut", 10).code == 0
    (row,) = colonnade(store, "calibration", "show", "earth", "--json").json
    assert (row["method"], row["cut"]) == ("fixed", pytest.approx(10))


def test_a_precision_is_set_or_refused_in_words(planted: Store) -> None:
    ran = colonnade(planted.path, "calibration", "set", "cat", "--precision", "0.9")
    assert (ran.code, ran.out) == (3, "")
    assert "review cat --audit" in ran.err
    audited(planted, "cat", 12, wrong=1)
    ran = colonnade(planted.path, "calibration", "set", "cat", "--precision", "0.999")
    assert ran.code == 3
    assert "cannot show" in ran.err or "no cut" in ran.err
    tried = colonnade(
        planted.path, "calibration", "set", "cat", "--precision", "0.6", "--dry-run", "--json"
    ).json
    assert tried["dry_run"] is True
    assert tried["precision"]["value"] >= 0.6
    assert tried["precision"]["low"] <= tried["precision"]["high"]
    lost = tried["before"]["recall"]["value"] - tried["recall"]["value"]
    assert tried["recall_cost"] == pytest.approx(lost, abs=1e-4)
    assert set(tried["recall"]) == {"value", "low", "high"}
    done = colonnade(planted.path, "calibration", "set", "cat", "--precision", "0.6")
    assert done.code == 0, done.err
    assert "recall" in done.err
    assert "90 % intervals" in done.err
    (row,) = colonnade(planted.path, "calibration", "cat", "--json").json
    assert row["precision"]["value"] == pytest.approx(tried["precision"]["value"], abs=0.05)
    assert "precision ." in colonnade(planted.path, "calibration", "cat").out
    assert colonnade(planted.path, "calibration", "set", "ghost", "--precision", "0.6").code == 3


def test_time_travel(store: Path) -> None:
    number = Store(store).snapshot().number
    colonnade(store, "calibration", "set", "earth", "--center", 3)
    then = colonnade(store, "calibration", "show", "earth", "--at", number, "--json").json
    assert then[0]["center"] == 25.5


def test_fit_by_itself_forgets_what_was_chosen(store: Path) -> None:
    for code in ("earth", "moon"):
        colonnade(store, "calibration", "set", code, "--center", 3)
    ran = colonnade(store, "calibration", "fit", "earth", "--json")
    assert ran.json["changed"] == ["earth"]
    assert ran.json["changes"][0]["fallback"] == "40 embedded images; auto needs 200"
    assert [row["chosen"] for row in colonnade(store, "calibration", "--json").json] == [False, True]
    told = colonnade(store, "calibration", "fit").err
    assert "40 embedded images; auto needs 200" in told
    assert "1 calibration changed" in told
    assert "0 calibrations changed" in colonnade(store, "calibration", "fit").err
    refused = colonnade(store, "calibration", "fit", "--method", "auto")
    assert (refused.code, refused.out) == (3, "")
    assert "40 embedded images" in refused.err


def test_every_method(planted: Store) -> None:
    first = scored(planted, "cat")
    tried = colonnade(
        planted.path, "calibration", "fit", "cat", "--method", "fixed", "--dry-run", "--json"
    ).json
    assert scored(planted, "cat") == first
    done = colonnade(planted.path, "calibration", "fit", "cat", "--method", "fixed", "--json").json
    assert done["changes"] == tried["changes"]
    assert (done["changes"][0]["previous"]["method"], done["changes"][0]["fit"]["method"]) == (
        "auto",
        "fixed",
    )
    refused = colonnade(planted.path, "calibration", "fit", "cat", "--method", "labels")
    assert refused.code == 3
    assert "colonnade review cat" in refused.err
    again = colonnade(
        planted.path, "calibration", "fit", "cat", "--method", "auto", "--seed", 3, "--sample", 250
    )
    assert again.code == 0
    assert "fixed -> auto" in again.out
    (row,) = colonnade(planted.path, "calibration", "cat", "--json").json
    assert (row["fitted_on"], row["receipt"]["base"]["seed"]) == (250, 3)
    assert colonnade(planted.path, "calibration", "fit", "--method", "auto").code == 0
    assert scored(planted, "cat") == first
    audited(planted, "cat", 10)
    told = process(planted.path, "calibration", "fit")
    assert told.code == 0
    job = colonnade(planted.path, "jobs", "--json").json[0]
    assert (job["command"], job["state"]) == (["calibration", "fit"], "done")
    assert "cat" in told.out
    assert "no signal" in told.err
    methods = [row["method"] for row in colonnade(planted.path, "calibration", "--json").json]
    assert methods == ["labels", "auto", "auto"]
    (row,) = colonnade(planted.path, "calibration", "cat", "--json").json
    assert row["receipt"]["labels"]["present"] + row["receipt"]["labels"]["absent"] == 10
    assert "people's answers" in colonnade(planted.path, "calibration", "cat").out


def test_many_codes_in_a_line() -> None:
    codes = [f"c{number}" for number in range(12)]
    assert some(codes[:2]) == "c0, c1"
    assert some(codes) == "c0, c1, c2, c3, c4, c5, c6, c7, ... and 4 more"


def test_nothing_to_fit_is_told_with_the_reason(store: Path) -> None:
    ran = colonnade(store, "calibration", "fit", "--method", "labels")
    assert ran.code == 0
    assert "nothing to fit: no attribute has labels enough" in ran.err


@pytest.mark.parametrize(("word", "meant"), [("shwo", "show"), ("ft", "fit"), ("eart", "earth")])
def test_a_word_that_is_neither_command_nor_attribute(store: Path, word: str, meant: str) -> None:
    ran = colonnade(store, "calibration", word, "moon")
    assert ran.code == 3
    assert f"neither a command (show, set, fit, export) nor an attribute; did you mean {meant}?" in ran.err
    assert "command" not in colonnade(store, "calibration", "show", word).err
    assert "command" not in colonnade(store, "calibration", "both", "moon").err


def test_no_signal_and_proposals_show_elsewhere(planted: Store, tmp_path: Path) -> None:
    from planted_stores import images, put_images

    for words in (
        ("query", "ghost"),
        ("query", "haunted"),
        ("plan",),
        ("status",),
        ("calibration", "fit", "ghost"),
    ):
        ran = process(planted.path, *words)
        assert "no signal" in ran.err + ran.out, (words, ran)
    assert "no signal" not in process(planted.path, "query", "cat").err
    states = {
        row["code"]: row["state"] for row in colonnade(planted.path, "status", "--json").json["attributes"]
    }
    assert (states["ghost"], states["cat"]) == ("no signal", "fresh")
    put_images(planted, tmp_path, images(200, seed=5)[0], first=300)
    tag(planted)
    derive_attributes(planted)
    ran = process(planted.path, "plan")
    assert ran.code == 0, "a proposal is no work"
    assert "everything is fresh" not in ran.err + ran.out
    proposal = (
        "a new fit is proposed for cat, dog, ghost: 300 images at the fit, 500 now; colonnade calibration fit"
    )
    assert proposal in (ran.err + ran.out).splitlines()
    assert [row["proposal"] is not None for row in colonnade(planted.path, "calibration", "--json").json] == [
        True
    ] * 3
    assert "fit again: 300 images at the fit, 500 now" in colonnade(planted.path, "calibration").out


def test_audited_images_that_become_disputed_or_unsure_stay_in_the_audit(planted: Store) -> None:
    audited(planted, "cat", 30, wrong=4)
    (before,) = colonnade(planted.path, "calibration", "cat", "--json").json
    places = read_places(planted, planted.snapshot(), planted.vocabulary(), "cat")
    judged = read_judged(planted.snapshot(), "cat")
    wrong = [i for i in places.ids[places.above >= 0].tolist() if judged.balance(i) < 0]
    assert len(wrong) >= 2
    for image in wrong[:2]:
        save_answer(planted, "cat", Answer(image, "bob", True, None, "policy", None), None)
    for image in wrong[2:]:
        save_answer(planted, "cat", replace(judged.answers[image]["ann"], present=None), None)
    (after,) = colonnade(planted.path, "calibration", "cat", "--json").json
    shown = [row["precision"]["value"] for row in (before, after)]
    right = shown[0]
    assert right < shown[1] < right + 0.6 * (1 - right), "half of what they take away, not all"
    found = estimate(places, read_judged(planted.snapshot(), "cat"))
    assert (found.undecided, found.audited) == (len(wrong), 30)


def test_no_recall_where_nothing_right_was_seen(planted: Store) -> None:
    audited(planted, "cat", 30, wrong=1000)
    (row,) = colonnade(planted.path, "calibration", "cat", "--json").json
    assert row["precision"]["value"] < 0.1
    assert row["recall"] is None


def test_a_cut_is_the_same_number_wherever_it_is_told(planted: Store) -> None:
    source = (
        planted.vocabulary()
        .source.decode()
        .replace("prompts: [cat]", "prompts: [cat], thresholds: {accepted: 0.9, tentative: 0.5}")
    )
    (planted.path / "vocabulary.yaml").write_text(source)
    assert colonnade(planted.path, "tag").code == 0
    (before,) = colonnade(planted.path, "calibration", "cat", "--json").json
    moved = colonnade(planted.path, "calibration", "set", "cat", "--cut", "0.3", "--json").json["changes"][0]
    assert (moved["previous"]["cut"], moved["fit"]["cut"]) == (
        pytest.approx(before["cut"]),
        pytest.approx(0.3),
    )
    (after,) = colonnade(planted.path, "calibration", "cat", "--json").json
    assert after["cut"] == pytest.approx(0.3)
    assert after["fitted_at"] == before["fitted_at"], "a cut that is moved is no fit"


def test_the_receipt_names_other_prompts(planted: Store) -> None:
    (was,), (known,) = (planted.vocabulary().prompts(code) for code in ("cat", "dog"))
    assert colonnade(planted.path, "vocab", "edit", "cat", "--prompt", known).code == 0
    assert colonnade(planted.path, "tag", "cat").code == 0
    (told,) = colonnade(planted.path, "calibration", "show", "cat", "--json").json
    (now,) = planted.vocabulary().prompts("cat")
    assert told["receipt"]["since"]["difference"][0] == f'prompts "{was}" -> "{now}"'
    assert f'prompts "{was}" -> "{now}"' in colonnade(planted.path, "calibration", "show", "cat").out


def test_what_a_moved_cut_imports(planted: Store) -> None:
    """A quarter of a second for pandas, a tenth for pydantic, and half of that for all of pyarrow's functions."""
    code = (
        f"import sys; from colonnade.tui import cli; sys.argv = ['colonnade', '-s', {str(planted.path)!r},"
        "'calibration', 'set', 'cat', '--cut', '0.5']\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'pyarrow' in sys.modules\n"
        "unwanted = 'pandas', 'pydantic', 'duckdb', 'torch', 'pyarrow.compute'\n"
        "print(*(name for name in unwanted if name in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.split("\n")[-2]) == (0, ""), ended.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["set", "earth"], 2),
        (["set", "earth", "--reset", "--center", "1"], 2),
        (["set", "earth", "--cut", "1", "--center", "1"], 2),
        (["set", "earth", "--cut", "1", "--precision", "0.9"], 2),
        (["set", "earth", "--cut", "nan"], 2),
        (["set", "earth", "--cut", "1e20"], 2),
        (["set", "earth", "--center", "1e308", "--scale", "1e-308"], 2),
        (["set", "earth", "--precision", "1"], 2),
        (["set", "earth", "--precision", "nan"], 2),
        (["set", "earth", "--precision", "0.9"], 3),
        (["set", "both", "--cut", "1"], 3),
        (["set", "both", "--precision", "0.9"], 3),
        (["set", "earth", "--center", "x"], 2),
        (["set", "earth", "--center", "1", "--scale", "0"], 2),
        (["set", "earth", "--scale", "-1"], 2),
        (["set", "earth", "--scale", "inf"], 2),
        (["set", "earth", "--center", "nan"], 2),
        (["set", "both", "--center", "1"], 3),
        (["set", "eart", "--center", "1"], 3),
        (["fit", "both"], 3),
        (["fit", "--method", "magic"], 2),
        (["fit", "--sample", "10"], 2),
        (["fit", "--seed", "-1"], 2),
        (["fit", "earth", "--method", "labels"], 3),
        (["show", "eart"], 3),
        (["eart"], 3),
        (["show", "both"], 3),
        (["export", "--format", "xml"], 2),
    ],
)
def test_wrong_words(store: Path, words: list[str], code: int) -> None:
    number = Store(store).snapshot().number
    ran = colonnade(store, "calibration", *words)
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert Store(store).snapshot().number == number


def test_export(store: Path, planted: Store, tmp_path: Path) -> None:
    colonnade(store, "calibration", "set", "earth", "--center", 3, "--scale", 2)
    rows = colonnade(store, "calibration", "export").json
    assert [(row["code"], row["model"], row["center"], row["chosen"]) for row in rows] == [
        ("earth", "m", 3.0, True),
        ("moon", "m", 25.5, False),
    ]
    assert colonnade(store, "calibration", "export", "--output", tmp_path / "f.json").code == 0
    assert json.loads((tmp_path / "f.json").read_text()) == rows
    text = colonnade(store, "calibration", "export", "--format", "csv").out
    assert [row["code"] for row in csv.DictReader(io.StringIO(text))] == ["earth", "moon"]
    audited(planted, "cat", 10)
    colonnade(planted.path, "calibration", "fit", "cat")
    cat, dog, ghost = colonnade(planted.path, "calibration", "export").json
    assert (cat["method"], cat["labels_yes"] + cat["labels_no"], dog["labels_yes"]) == ("labels", 10, None)
    assert (dog["axis"], dog["fitted_on"], dog["seed"], ghost["no_signal"]) == ("log_odds", 300, 0, True)
    assert dog["constants_fitted_on"].startswith("ViT-B")


def test_a_store_without_vectors(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s").path
    ran = colonnade(store, "calibration")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 3
    assert colonnade(store, "calibration", "show", "earth").code == 0
    ran = colonnade(store, "calibration", "set", "earth", "--center", 3)
    assert ran.code == 3
    assert "nothing is embedded" in ran.err
    assert colonnade(store, "calibration", "fit").code == 3
    assert colonnade(store, "calibration", "export").json == []


def test_every_command_has_an_example() -> None:
    for words in ([], ["show"], ["set"], ["fit"], ["export"]):
        ran = colonnade(None, "calibration", *words, "--help")
        assert ran.code == 0
        assert "Example: colonnade" in ran.out, words
