"""A vocabulary with many faults as a person meets it: each on a line with file, line and what to do, all at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_process import colonnade
from collections_on_disk import make_store
from test_vocabulary import TABLE, faults_of

WRONG = """\
thresholds: {accepted: 2}
templates: [a photo]
base_attributes:
  - {code: earth, label: on, description: e, lable: x}
  - {code: Moon, label: M}
  - {code: earth, label: E, description: e, thresholds: {tentative: 0.9}}
derived_attributes:
  - {code: a, label: A, description: a, rule: {all_of: [b, erth]}}
  - {code: b, label: B, description: b, rule: {none_of: [a]}}
  - {code: c, label: C, description: c, rule: {}}
extra: 1
"""
EXPECTED = [
    (1, "outside 0..1", "decimal from 0 to 1"),
    (2, "lacks {description}", "put it where"),
    (4, "'on' is read as a boolean", 'quote it: "on"'),
    (4, "unknown key 'lable'", "did you mean label?"),
    (5, "no description", "add `description: ...`"),
    (5, "'Moon' is not a code", "use a-z"),
    (6, "duplicate code 'earth'", "rename or remove one"),
    (8, "unknown code 'erth'", "did you mean earth?"),
    (9, "cycle of rules: a -> b -> a", "take one of them out"),
    (10, "no conditions", "name a code"),
    (11, "unknown key 'extra'", "known keys are"),
]


def assert_told(text: str, path: Path) -> None:
    lines = text.splitlines()
    assert len(lines) == len(EXPECTED), text
    for line, (number, what, hint) in zip(lines, EXPECTED, strict=True):
        assert re.match(re.escape(f"{path}:{number}:") + r"\d+: ", line), line
        assert what in line and hint in line, line


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    return path


def test_check_tells_all_faults(wrong: Path) -> None:
    ran = colonnade(None, "vocab", "check", wrong)
    assert (ran.code, ran.err) == (3, "11 faults\n")
    assert_told(ran.out, wrong)


def test_init_tells_all_faults_and_makes_nothing(wrong: Path, tmp_path: Path) -> None:
    ran = colonnade(None, "init", tmp_path / "s", "--vocabulary", wrong, "--model", "hash")
    assert (ran.code, ran.out) == (3, "")
    assert_told(ran.err.removeprefix("colonnade: "), wrong)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("words", ["sync", "plan", "tag", "derive", "vocab list"])
def test_commands_tell_all_faults_of_the_store_s_own(wrong: Path, tmp_path: Path, words: str) -> None:
    store = make_store(tmp_path, images=1)
    store.sync()
    number = store.snapshot().number
    store.vocabulary_path.write_text(WRONG)
    ran = colonnade(store.path, *words.split())
    assert (ran.code, ran.out) == (3, "")
    assert_told(ran.err.removeprefix("colonnade: "), store.vocabulary_path)
    assert store.snapshot().number == number


@pytest.mark.parametrize("case", TABLE)
def test_every_fault_says_what_to_do(case: str) -> None:
    found = faults_of(TABLE[case][0])
    assert found and all(fault.hint for fault in found), [fault.render("v.yaml") for fault in found]
