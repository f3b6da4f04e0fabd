"""`import` and `labels` as processes: exit codes, stdout, stderr."""

from __future__ import annotations

import os
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_process import colonnade
from collections_on_disk import make_store, scan, write_image
from test_import_crossfilter import UUIDS, database, pack
from vector_files import PROMPTS, image_file, new_store, prompt_file, vectors

from colonnade.engine.store import Store

NAMES = ["a.jpg", "b.jpg"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return new_store(tmp_path / "s").path


def test_import_embeddings(store: Path, tmp_path: Path) -> None:
    images = image_file(tmp_path / "i.parquet", NAMES, vectors(2), "name")
    text = prompt_file(tmp_path / "t.parquet", vectors(3, seed=1))
    ran = colonnade(
        store, "import", "embeddings", images, "--model", "m", "--logit-scale", 100, "--id", "name", "--text", text,
        "--background", text, "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["new"] == 2
    assert (ran.json["prompts"], ran.json["background"]) == (3, 3)
    assert ran.json["activated"] is True
    assert ran.err == ""
    again = colonnade(store, "import", "embeddings", images, "--model", "m")
    assert (again.code, again.out) == (0, "")
    assert "2 unchanged" in again.err
    assert Store(store).snapshot().number == ran.json["snapshot"]
    text_alone = colonnade(store, "import", "embeddings", "--model", "m", "--text", text)
    assert text_alone.code == 0
    assert colonnade(store, "-q", "import", "embeddings", "--model", "m", "--text", text).err == ""


def test_the_next_command_finds_its_store(tmp_path: Path) -> None:
    made = new_store(tmp_path / "my store's")
    images = image_file(tmp_path / "i.parquet", NAMES, vectors(2))
    words = ["import", "embeddings", str(images), "--model", "m", "--logit-scale", "100"]
    for folder, named, option in (
        (tmp_path, None, f"-s {shlex.quote(str(made.path))} "),
        (made.path / "images", None, ""),
        (tmp_path, made.path, ""),
    ):
        environment = {key: value for key, value in os.environ.items() if key != "COLONNADE_STORE"}
        environment |= {"COLONNADE_STORE": str(named)} if named else {}
        ran = subprocess.run(
            [sys.executable, "-m", "colonnade.tui.cli", "-s", str(made.path), *words],
            cwd=folder, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert ran.stderr.splitlines()[-1] == f"next: colonnade {option}sync"


def test_what_is_next_after_an_import(store: Path, tmp_path: Path) -> None:
    images = image_file(tmp_path / "i.parquet", NAMES, vectors(2))
    text = prompt_file(tmp_path / "t.parquet", vectors(3, seed=1))
    words = ("import", "embeddings", images, "--model", "m", "--logit-scale", 100, "--text", text)

    following = f"next: colonnade -s {shlex.quote(str(store))} sync"

    def told() -> list[str]:
        ran = colonnade(store, *words)
        assert ran.code == 0, ran.err
        return ran.err.splitlines()[2:]

    assert told() == ["m is the active model now", following]
    assert told() == ["nothing changed in the store", following]
    assert colonnade(store, "sync").code == 0
    assert told() == ["nothing changed in the store"]
    scaled = colonnade(store, "import", "embeddings", images, "--model", "m", "--logit-scale", 50).err
    assert "nothing changed" not in scaled
    assert scaled.endswith(f"{following}\n")
    (store / "vocabulary.yaml").write_text("{")
    assert told()[-1] == following


def test_another_logit_scale_is_told(store: Path, tmp_path: Path) -> None:
    images = image_file(tmp_path / "i.parquet", NAMES, vectors(2))
    words = ("import", "embeddings", images, "--model", "m", "--logit-scale")
    assert "stale" not in colonnade(store, *words, 100).err
    assert "stale" not in colonnade(store, *words, 100).err
    assert "m has logit scale 50 now, not 100: all its scores are stale" in colonnade(store, *words, 50).err


def test_wrong_input_is_exit_3_and_wrong_arguments_exit_2(store: Path, tmp_path: Path) -> None:
    bad = vectors(2)
    bad[1] = np.nan
    images = image_file(tmp_path / "i.parquet", NAMES, bad)
    for words, code in (
        ([images, "--model", "m", "--logit-scale", 100], 3),
        ([tmp_path / "none.parquet", "--model", "m", "--logit-scale", 100], 3),
        (["--model", "m", "--logit-scale", 100], 3),
        ([images, "--logit-scale", 100], 2),
        ([images, "--model", "m", "--logit-scale", "much"], 2),
        ([images, "--model", "m", "--logit-scale", "0"], 2),
        ([images, "--model", "m", "--logit-scale", "nan"], 2),
        ([images, "--model", "m", "--logit-scale", "100", "--logit-bias", "inf"], 2),
        ([images, "--model", "m", "--logit-scale", "100", "--id", "a", "--path", "b"], 2),
    ):
        ran = colonnade(store, "import", "embeddings", *words)
        assert (ran.code, ran.out) == (code, ""), ran.err
        if code == 3:
            assert ran.err.startswith("colonnade: ")
            assert ran.err.count("\n") == 1
    assert colonnade(tmp_path / "nowhere", "import", "embeddings", images, "--model", "m").code == 4
    assert Store(store).snapshot().number == 1


def test_prompts_without_a_vector_are_exit_5(store: Path, tmp_path: Path) -> None:
    images = image_file(tmp_path / "i.parquet", NAMES, vectors(2))
    assert colonnade(store, "import", "embeddings", images, "--model", "m", "--logit-scale", 100).code == 0
    ran = colonnade(store, "tag")
    assert (ran.code, ran.out) == (5, "")
    assert all(repr(prompt) in ran.err for prompt in PROMPTS)
    text = prompt_file(tmp_path / "t.parquet", vectors(3, seed=1))
    assert colonnade(store, "import", "embeddings", "--model", "m", "--text", text).code == 0
    assert colonnade(store, "tag").code == 0


def test_import_crossfilter(store: Path, tmp_path: Path) -> None:
    path = database(tmp_path / "c.db", dict(zip(UUIDS, map(pack, vectors(4)), strict=True)))
    ran = colonnade(store, "import", "crossfilter", path, "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["model"], ran.json["new"]) == ("crossfilter-siglip2", 4)
    assert "--logit-bias" in ran.err, "SigLIP's own scale is asked for"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE SIGLIP2_EMBEDDINGS SET EMBEDDING = x'00'")
    connection.close()
    ran = colonnade(store, "import", "crossfilter", path)
    assert (ran.code, ran.err.count("\n")) == (3, 1)


def test_a_uuid_of_two_pictures_is_told(store: Path, tmp_path: Path) -> None:
    for number, folder in enumerate(("x", "y")):
        write_image(tmp_path / "photos" / folder / f"{UUIDS[0]}.jpg", number)
    write_image(tmp_path / "photos" / f"{UUIDS[1]}.jpg", 9)
    path = database(tmp_path / "c.db", dict(zip(UUIDS, map(pack, vectors(4)), strict=True)))
    for options in ((), ("--json",)):
        ran = colonnade(
            store, "import", "crossfilter", path, "--root", tmp_path / "photos", "--type", "SIGLIP2", *options
        )
        assert ran.code == 0, ran.err
        assert f"warning: 1 UUID ({UUIDS[0]}): several different pictures have this name" in ran.err
    assert ran.json["unclear"] == [UUIDS[0]]


def test_what_has_no_vector_of_an_imported_model_is_not_for_sync(tmp_path: Path) -> None:
    made = make_store(tmp_path, images=2)
    scan(made)
    images = image_file(tmp_path / "i.parquet", ["000.jpg"], vectors(1))
    words = ("--model", "m", "--logit-scale", 100)
    assert colonnade(made.path, "import", "embeddings", images, *words).code == 0
    outside = write_image(tmp_path / "outside.jpg", 5)
    for image, code in (("001.jpg", 3), (tmp_path / "photos" / "001.jpg", 3), (outside, 5)):
        ran = colonnade(made.path, "similar", image)
        assert (ran.code, ran.out, "sync" in ran.err) == (code, "", False)
        assert "imported" in ran.err and "cannot embed" in ran.err
    (tmp_path / "photos" / "001.jpg").unlink()
    scan(made)
    assert "its file is missing" in colonnade(made.path, "similar", "001.jpg").err


def test_a_hostile_name_does_not_reach_the_terminal(store: Path, tmp_path: Path) -> None:
    images = image_file(tmp_path / "i.parquet", ["\x1b]0;x\x07", "\x1b]0;x\x07"], vectors(2))
    ran = colonnade(store, "import", "embeddings", images, "--model", "m", "--logit-scale", 1)
    assert ran.code == 3
    assert "\x1b" not in ran.err
    ran = colonnade(store, "import", "embeddings", "\x1b[31mx", "--model", "m", "--logit-scale", 1)
    assert "\x1b" not in ran.err


def test_labels(store: Path, tmp_path: Path) -> None:
    images = image_file(tmp_path / "i.parquet", NAMES, vectors(2))
    colonnade(store, "import", "embeddings", images, "--model", "m", "--logit-scale", 100)
    assert colonnade(store, "labels", "list").out == ""
    file = tmp_path / "l.csv"
    file.write_text(
        "path,code,present,reviewer\na.jpg,earth,yes,ann\nb.jpg,earth,no,ann\nz.jpg,earth,no,ann\n"
    )
    ran = colonnade(store, "labels", "import", file)
    assert (ran.code, ran.out) == (3, "")
    assert f"{file}:4: no image of path 'z.jpg'" in ran.err
    ran = colonnade(store, "labels", "import", file, "--skip-unknown", "--json")
    assert ran.code == 0
    assert (ran.json["read"], ran.json["written"], ran.json["skipped"][0]["line"]) == (2, 2, 4)
    listed = colonnade(store, "labels", "list", "--json").json
    assert listed == [{"code": "earth", "yes": 1, "no": 1, "unsure": 0, "images": 2, "settled": 2, "set_aside": 0,
                       "reviewers": ["ann"], "orphan": False, "disputed": []}]  # fmt: skip
    words = colonnade(store, "labels", "list").out.splitlines()[1].split()
    assert words == ["earth", "1", "1", "0", "2", "2", "0", "0", "ann"]
    out = colonnade(store, "labels", "export", "--format", "csv").out
    assert out.splitlines()[1].startswith("earth,0,,a.jpg,,yes,ann,")
    for kind in ("csv", "jsonl", "parquet"):
        target = tmp_path / f"out.{kind}"
        assert colonnade(store, "labels", "export", "--output", target).code == 0
        assert colonnade(store, "labels", "import", target, "--json").json["written"] == 0
    assert colonnade(store, "labels", "export", "--format", "parquet").code == 2
    assert colonnade(store, "labels", "export", "--format", "xml").code == 2
    assert colonnade(store, "labels", "export", "erth").code == 3
    assert colonnade(store, "labels", "export", "--output", tmp_path / "no" / "x.csv").code == 3


def test_every_command_has_an_example() -> None:
    for words in (
        ["import"], ["import", "embeddings"], ["import", "crossfilter"],
        ["labels"], ["labels", "import"], ["labels", "list"], ["labels", "export"],
    ):  # fmt: skip
        ran = colonnade(None, *words, "--help")
        assert ran.code == 0
        assert "Example: colonnade" in ran.out, words
