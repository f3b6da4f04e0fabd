"""`verify` compares derived rows with their rule, where their inputs are those that they were made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sound_stores import VOCABULARY, add_images, sound_store

from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_footer
from colonnade.engine.tag import tag
from colonnade.engine.verify import verify

RULES = b"""\
  - {code: either, label: Either, description: one of them, rule: {any_of: [earth, moon]}}
  - {code: neither, label: Neither, description: none of them, rule: {none_of: [earth, moon]}}
  - {code: odd, label: Odd, description: of a rule, rule: {all_of: [either], none_of: [both, sun]}}
"""
SUN = b"  - {code: sun, label: Sun, description: the sun}\n"
"""An attribute that is never scored."""

Columns = dict[str, list[Any]]
Edit = Callable[[Columns], None]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = sound_store(tmp_path_factory.mktemp("prepared") / "s")
    base, derived = VOCABULARY.split(b"derived_attributes:\n")
    file = store.path / "vocabulary.yaml"
    file.write_bytes(base + SUN + b"derived_attributes:\n" + derived + RULES)
    derive_attributes(store)
    return store.path


def rewrite(store: Store, code: str, edit: Edit) -> None:
    """Commit other rows of an attribute, as made from the same inputs."""
    cell = store.snapshot().cell("scores", code, 0)
    columns = read_files(cell).to_pydict()
    edit(columns)
    schema = pa.schema([(f.name, f.type) for f in pq.read_schema(cell[0].path)])
    rows = pa.table(columns, schema=schema)
    with open_stage(store.path, command="test") as stage:
        stage.replace("scores", code, 0, rows, read=cell, inputs=read_footer(cell[0]).inputs)
        stage.commit()


def change(column: str, function: Callable[[Any], Any], row: int = 2) -> Edit:
    def edit(columns: Columns) -> None:
        columns[column][row] = function(columns[column][row])

    return edit


def without(row: int) -> Edit:
    def edit(columns: Columns) -> None:
        for values in columns.values():
            del values[row]

    return edit


def unknown(columns: Columns) -> None:
    columns["confidence"][2] = columns["status"][2] = None


def other_status(word: str) -> str:
    return "rejected" if word == "accepted" else "accepted"


CONFIDENCE = "whose confidence is not what their rule makes of the stored scores (first: image 2)"
STATUS = "whose status is not what their rule makes of the stored scores (first: image 2)"
WRONG: list[tuple[Edit, list[str]]] = [
    (change("confidence", lambda value: value / 2 + 0.2), [CONFIDENCE]),
    (change("status", other_status), [STATUS]),
    (unknown, [CONFIDENCE, STATUS]),
    (without(2), ["1 row missing, of images that its inputs have (first: image 2)"]),
]


@pytest.mark.parametrize("code", ["both", "either", "neither"])
@pytest.mark.parametrize(("edit", "words"), WRONG, ids=["confidence", "status", "unknown", "missing"])
def test_rows_that_their_rule_does_not_give(store: Store, code: str, edit: Edit, words: list[str]) -> None:
    assert verify(store.path).sound
    rewrite(store, code, edit)
    faults = [fault for fault in verify(store.path).faults if f"attribute_code={code}/" in fault.where]
    assert len(faults) == len(words)
    for fault, word in zip(faults, words, strict=True):
        assert word in fault.what
        assert fault.advice == f"`colonnade derive {code} --force` makes them anew"
    derive_attributes(store, codes=[code], force=True)
    assert verify(store.path).sound


def test_a_rule_with_an_input_that_was_never_scored(store: Store) -> None:
    statuses = read_files(store.snapshot().files("scores", "odd"), ["status"])["status"].to_pylist()
    assert set(statuses) == {None, "rejected"}
    rewrite(store, "odd", change("status", lambda _: "accepted", statuses.index(None)))
    (fault,) = verify(store.path).faults
    assert "attribute_code=odd/" in fault.where
    assert "whose status" in fault.what


def test_what_is_stale_is_not_wrong(store: Store) -> None:
    file = store.path / "vocabulary.yaml"
    file.write_bytes(file.read_bytes().replace(b"accepted: 0.8", b"accepted: 0.6"))
    before = read_files(store.snapshot().files("scores", "earth"), ["status"])
    tag(store, codes=["earth", "moon"])
    assert read_files(store.snapshot().files("scores", "earth"), ["status"]) != before
    assert verify(store.path).sound
    derive_attributes(store)
    assert verify(store.path).sound


def test_what_was_made_before_there_were_more_images_is_not_wrong(store: Store) -> None:
    add_images(store, 5)
    tag(store, codes=["earth", "moon"])
    report = verify(store.path)
    assert report.sound, report.faults
    derive_attributes(store)
    assert verify(store.path).sound


def test_another_rule_in_the_vocabulary_changes_nothing_that_is_stored(store: Store) -> None:
    """Rows are compared with the rule that they were made by."""
    file = store.path / "vocabulary.yaml"
    file.write_bytes(file.read_bytes().replace(b"{any_of: [earth, moon]}", b"{any_of: [earth]}"))
    assert verify(store.path).sound
    rewrite(store, "either", change("status", other_status))
    assert STATUS in str(verify(store.path).faults)


def test_what_the_vocabulary_has_no_more_is_to_be_dropped(store: Store) -> None:
    file = store.path / "vocabulary.yaml"
    file.write_bytes(file.read_bytes().replace(RULES.splitlines(keepends=True)[1], b""))
    rewrite(store, "neither", change("status", other_status))
    (fault,) = verify(store.path).faults
    assert "attribute_code=neither/" in fault.where and "`colonnade drop neither`" in fault.advice


def test_scores_that_are_wrong_are_told_of_once(store: Store) -> None:
    rewrite(store, "earth", lambda columns: columns.update(status=["accepted"] * 40))
    (fault,) = verify(store.path).faults
    assert "attribute_code=earth/" in fault.where


@pytest.mark.parametrize(
    "changes",
    [{"rule": {"at_least": [1, "earth"]}}, {"rule": 3}, {"inputs": {}}, {"inputs": {"x" * 9: None}}],
)
def test_rules_of_another_version_are_noted(store: Store, changes: dict[str, Any]) -> None:
    snapshot = store.snapshot()
    data = read_files(snapshot.files("definitions"))
    known = dict(zip(data["definition"].to_pylist(), data["json"].to_pylist(), strict=True))
    used = read_files(snapshot.files("scores", "both"))["definition"][0].as_py()
    text = json.dumps(json.loads(known[used]) | changes)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    cell = snapshot.cell("definitions", None, 0)
    rows = pa.table({"definition": [*known, name], "json": [*known.values(), text]}, schema=data.schema)
    with open_stage(store.path, command="test") as stage:
        stage.replace("definitions", None, 0, rows, read=cell)
        stage.commit()
    rewrite(store, "both", lambda columns: columns.update(definition=[name] * 40))
    report = verify(store.path)
    assert report.sound, report.faults
    assert f"definition {name}: a rule of another version" in report.notes[0]
