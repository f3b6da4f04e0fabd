"""`calibration` as a process: the table, choosing and resetting fits, export."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from cli_process import colonnade, process
from vector_files import image_file, new_store, prompt_file, scored, vectors

from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.import_embeddings import import_embeddings
from colonnade.engine.store import Store
from colonnade.engine.tag import tag
from colonnade.tui.calibration_text import bars


@pytest.fixture
def store(tmp_path: Path) -> Path:
    made = new_store(tmp_path / "s")
    images = image_file(tmp_path / "i.parquet", [f"{i}.jpg" for i in range(40)], vectors(40))
    text = prompt_file(tmp_path / "t.parquet", vectors(3, seed=1))
    import_embeddings(made, images, key="m", logit_scale=30, text=text)
    tag(made)
    derive_attributes(made)
    return made.path


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
    assert head.split() == ["attribute", "min", "mean", "max", "std", "histogram", "center", "scale", "method", "cut",
                            "accepted", "tentative", "rejected", "unscored", "labels", "state"]  # fmt: skip
    assert [row.split()[0] for row in rows] == ["earth", "moon"]
    assert all(row.endswith("fresh") for row in rows)
    assert any(block in rows[0] for block in "▁▂▃▄▅▆▇█")
    assert colonnade(store, "calibration", "show").out == ran.out
    assert colonnade(store, "calibration", "show", "moon").out.splitlines()[1:] == [rows[1]]
    document = colonnade(store, "calibration", "--json").json
    assert document == colonnade(store, "calibration", "show", "--json").json
    assert sum(document[0]["histogram"]) == document[0]["scored"] == 40
    assert (document[0]["center"], document[0]["scale"], document[0]["chosen"]) == (25.5, 1.5, False)


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
    assert (row["center"], row["scale"], row["method"], row["chosen"], row["stale"]) == (
        3,
        2,
        "fixed",
        True,
        [],
    )
    assert row["accepted"] == done.json["changes"][0]["after"]["accepted"] > 0
    half = colonnade(store, "calibration", "set", "earth", "--center", "4")
    assert half.code == 0
    assert "->" in half.out
    (row,) = colonnade(store, "calibration", "show", "earth", "--json").json
    assert (row["center"], row["scale"]) == (4, 2), "what is not given stays"
    assert colonnade(store, "calibration", "set", "earth", "--reset").code == 0
    assert scored(Store(store), "earth") == before["earth"]
    assert scored(Store(store), "both") == before["both"]


def test_time_travel(store: Path) -> None:
    number = Store(store).snapshot().number
    colonnade(store, "calibration", "set", "earth", "--center", 3)
    then = colonnade(store, "calibration", "show", "earth", "--at", number, "--json").json
    assert then[0]["center"] == 25.5


def test_fit_fixed_forgets_what_was_chosen(store: Path) -> None:
    for code in ("earth", "moon"):
        colonnade(store, "calibration", "set", code, "--center", 3)
    ran = colonnade(store, "calibration", "fit", "earth", "--method", "fixed", "--json")
    assert ran.json["changed"] == ["earth"]
    assert [row["chosen"] for row in colonnade(store, "calibration", "--json").json] == [False, True]
    assert colonnade(store, "calibration", "fit", "--json").json["changed"] == ["moon"]
    assert "0 calibrations changed" in colonnade(store, "calibration", "fit").err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["set", "earth"], 2),
        (["set", "earth", "--reset", "--center", "1"], 2),
        (["set", "earth", "--center", "x"], 2),
        (["set", "earth", "--center", "1", "--scale", "0"], 2),
        (["set", "earth", "--scale", "-1"], 2),
        (["set", "earth", "--scale", "inf"], 2),
        (["set", "earth", "--center", "nan"], 2),
        (["set", "both", "--center", "1"], 3),
        (["set", "eart", "--center", "1"], 3),
        (["fit", "both"], 3),
        (["fit", "--method", "magic"], 2),
        (["show", "eart"], 3),
        (["export", "--format", "xml"], 2),
    ],
)
def test_wrong_words(store: Path, words: list[str], code: int) -> None:
    number = Store(store).snapshot().number
    ran = colonnade(store, "calibration", *words)
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert Store(store).snapshot().number == number


def test_export(store: Path, tmp_path: Path) -> None:
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


def test_a_store_without_vectors(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s").path
    ran = colonnade(store, "calibration")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 3
    ran = colonnade(store, "calibration", "set", "earth", "--center", 3)
    assert ran.code == 3
    assert "nothing is embedded" in ran.err
    assert colonnade(store, "calibration", "export").json == []


def test_every_command_has_an_example() -> None:
    for words in ([], ["show"], ["set"], ["fit"], ["export"]):
        ran = colonnade(None, "calibration", *words, "--help")
        assert ran.code == 0
        assert "Example: colonnade" in ran.out, words
