"""The `vocab` commands: output, exit codes, and what they do to the store's file."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from colonnade.engine.settings import Model, update_settings
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.vocabulary import parse_vocabulary
from colonnade.vocab import shipped_source

WORDS = b"""\
# Words of the archive.
base_attributes:
  - code: earth        # home
    label: Earth
    description: the Earth
    type: body
  - code: moon
    label: Moon
    description: the Moon
    type: body
derived_attributes:
  - code: both
    label: Both
    description: both
    rule: {all_of: [earth, moon]}
"""

MAIN = "import sys; from colonnade.tui import cli; sys.argv[0] = 'colonnade'; cli.main()"
"""The real entry point, loading these commands alone."""


@dataclass(frozen=True)
class Run:
    """What a command came to."""

    code: int
    out: str
    err: str


def colonnade(*arguments: str | Path, cwd: Path | None = None) -> Run:
    """Run a command in a process of its own, where no other store is near."""
    environment = {key: value for key, value in os.environ.items() if key != "COLONNADE_STORE"}
    environment["PYTHONWARNINGS"] = "error"
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        capture_output=True,
        env=environment,
        cwd=cwd,
        check=False,
    )
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", vocabulary=WORDS, model="hash")


class TestReading:
    def test_list_and_show(self, store: Store) -> None:
        listed = colonnade("vocab", "list", "-s", store.path)
        assert listed.code == 0 and listed.err == ""
        rows = listed.out.splitlines()
        assert rows[0].split() == ["code", "label", "type", "kind", "accepted", "tentative", "says"]
        assert "a photo of the Earth" in rows[1] and "all_of: earth, moon" in rows[3]
        documents = json.loads(colonnade("vocab", "list", "--type", "body", "--json", "-s", store.path).out)
        assert [d["code"] for d in documents] == ["earth", "moon"]
        assert documents[0]["thresholds"] == {"accepted": 0.8, "tentative": 0.5}
        shown = colonnade("vocab", "show", "earth", "-s", store.path)
        assert "prompt:      a photo of the Earth" in shown.out and "used by:     both" in shown.out
        rule = json.loads(colonnade("vocab", "show", "both", "--json", "-s", store.path).out)
        assert rule["rule"] == {"all_of": ["earth", "moon"], "any_of": [], "none_of": []}
        missing = colonnade("vocab", "show", "erath", "-s", store.path)
        assert missing.code == 3 and "did you mean earth?" in missing.err

    def test_outside_text_cannot_reach_the_terminal(self, store: Store) -> None:
        store.vocabulary_path.write_bytes(WORDS.replace(b"label: Earth", b'label: "\\e[31mEarth\\u202e"'))
        for command in (["list"], ["show", "earth"], ["lint"], ["check"]):
            done = colonnade("vocab", *command, "-s", store.path)
            assert "\x1b" not in done.out + done.err and "\u202e" not in done.out + done.err


class TestCheck:
    def test_every_fault_on_stdout_and_exit_3(self, tmp_path: Path) -> None:
        path = tmp_path / "words.yaml"
        path.write_bytes(WORDS.replace(b"code: moon", b"code: no").replace(b"label: Both", b"lable: Both"))
        done = colonnade("vocab", "check", path, cwd=tmp_path)
        assert done.code == 3
        lines = done.out.splitlines()
        assert [line.removeprefix(f"{path}:").split(":")[0] for line in lines] == ["7", "12", "13", "15"]
        assert "did you mean label?" in lines[2] and done.err == "4 faults\n"
        document = json.loads(colonnade("vocab", "check", path, "--json", cwd=tmp_path).out)
        assert document["ok"] is False
        assert document["faults"][0]["line"] == 7 and set(document["faults"][0]) == {
            "line",
            "column",
            "message",
            "hint",
        }

    def test_good_files_shipped_names_and_the_store_s_own(self, tmp_path: Path, store: Store) -> None:
        assert colonnade("vocab", "check", "space", cwd=tmp_path).code == 0
        done = colonnade("vocab", "check", "-s", store.path)
        assert (done.code, done.out) == (0, "") and "2 base and 1 derived" in done.err
        assert json.loads(colonnade("vocab", "check", "--json", cwd=store.path).out)["ok"] is True
        assert colonnade("vocab", "check", cwd=tmp_path).code == 4
        assert colonnade("vocab", "check", "spcae", cwd=tmp_path).code == 3
        store.vocabulary_path.write_bytes(b"\xff")
        assert colonnade("vocab", "check", cwd=store.path).code == 3


class TestLint:
    def test_clean_and_not(self, tmp_path: Path, store: Store) -> None:
        clean = colonnade("vocab", "lint", "space", cwd=tmp_path)
        assert (clean.code, clean.out) == (0, "") and "by words" in clean.err
        text = WORDS.replace(b"the Moon", b"the Moon without clouds").replace(
            b"[earth, moon]", b"[earth], none_of: [earth]"
        )
        store.vocabulary_path.write_bytes(text)
        done = colonnade("vocab", "lint", "-s", store.path)
        assert done.code == 1
        found = [line.split(": ")[1] for line in done.out.splitlines()]
        assert found == ["negation", "unused", "impossible-rule"]
        assert "no cached vector" in done.err and "run `colonnade sync` first" in done.err
        document = json.loads(colonnade("vocab", "lint", "--json", "-s", store.path).out)
        assert [f["rule"] for f in document["findings"]] == found and document["left_out"]

    def test_cached_vectors_of_the_active_model_are_used(self, store: Store) -> None:
        from colonnade.engine.prompts import store_prompts

        model = Model("hash", "hash", 4, 100.0)
        update_settings(store.path, lambda settings: settings.with_model(model, activate=True))
        near = np.array([1, 0.1, 0, 0], np.float32)
        vectors = {
            "a photo of the Earth": np.array([1, 0, 0, 0], np.float32),
            "a photo of the Moon": near / np.linalg.norm(near),
        }
        with open_stage(store.path, command="test") as stage:
            store_prompts(stage, model, vectors)
            stage.commit()
        done = colonnade("vocab", "lint", "-s", store.path)
        assert done.code == 1 and "reads almost like earth (cosine 0.995)" in done.out
        assert "no cached vector" not in done.err and "length" in done.err

    def test_the_model_counts_tokens_on_request(self, store: Store) -> None:
        text = WORDS.replace(b"the Moon\n", b"the Moon" + b" and more" * 200 + b"\n")
        store.vocabulary_path.write_bytes(text)
        done = colonnade("vocab", "lint", "--model-encode", "-s", store.path)
        assert done.code == 1 and "too-long" in done.out and done.err == ""

    def test_a_prompt_of_too_many_words_is_found_without_the_model(self, store: Store) -> None:
        model = Model("hash", "hash", 4, 100.0, context_length=16)
        update_settings(store.path, lambda settings: settings.with_model(model, activate=True))
        for words, found in ((11, False), (12, True)):
            text = WORDS.replace(b"the Moon\n", b"the Moon - " + b" more" * (words - 1) + b"\n")
            store.vocabulary_path.write_bytes(text)
            done = colonnade("vocab", "lint", "-s", store.path)
            assert ("has at least 17 tokens; the model reads the first 16" in done.out) is found, words
            assert "in words" in done.err

    def test_saved_queries_count_as_use(self, store: Store) -> None:
        store.vocabulary_path.write_bytes(WORDS.replace(b"[earth, moon]", b"[earth]"))
        assert "unused: moon" in colonnade("vocab", "lint", "-s", store.path).out
        (store.path / "queries.yaml").write_text("dark: moon >= 0.5 and path like '%x%'\n")
        assert colonnade("vocab", "lint", "-s", store.path).code == 0


class TestEdits:
    def test_add_base_and_derived(self, store: Store) -> None:
        added = colonnade(
            *["vocab", "add", "sun", "--label", "Sun", "--description", "the Sun", "--type", "body"],
            *["--prompt", "the Sun", "--prompt", "sunlight", "--accepted", "0.9"],
            *["-s", str(store.path)],
        )
        assert (added.code, added.out) == (0, "")
        ruled = colonnade(
            *["vocab", "add", "earth_only", "--description", "Earth alone", "--all-of", "earth"],
            *["--none-of", "moon,sun", "-s", str(store.path)],
        )
        assert ruled.code == 0
        text = store.vocabulary_path.read_text()
        assert "# Words of the archive." in text and "# home" in text
        vocabulary = store.vocabulary()
        assert vocabulary.prompts("sun") == ("the Sun", "sunlight")
        assert vocabulary.derived[-1].rule.none_of == ("moon", "sun")
        assert vocabulary.derived[-1].label == "Earth only"

    def test_edit_rename_remove(self, store: Store) -> None:
        def run(*arguments: str) -> Run:
            return colonnade("vocab", *arguments, "-s", store.path)

        assert run("edit", "earth", "--description", "our planet", "--tentative", "0.4").code == 0
        assert run("edit", "both", "--any-of", "earth", "--all-of", "moon").code == 0
        same = run("edit", "earth", "--description", "our planet")
        assert (same.code, same.err) == (0, "earth says so already; nothing changed\n")
        assert "is luna now\n" in run("rename", "moon", "luna").err
        vocabulary = store.vocabulary()
        assert vocabulary.prompts("earth") == ("a photo of our planet",)
        assert vocabulary.derived[0].rule.codes == ("luna", "earth")
        refused = run("remove", "luna")
        assert (
            refused.code == 3 and "used by the rule of both" in refused.err and "--from-rules" in refused.err
        )
        removed = run("remove", "luna", "--from-rules")
        assert (removed.code, removed.err) == (0, "luna removed\n"), "no scores, so nothing to drop"
        assert store.vocabulary().codes == ("earth", "both")

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("add earth --description x", 3),
            ("add width --description x", 3),
            ("add x", 2),
            ("add x --description x --all-of earth --prompt y", 2),
            ("add x --description x --all-of erath", 3),
            ("add x --description x --accepted 1.5", 2),
            ("add x --description x --accepted 0.1", 3),
            ("edit earth", 2),
            ("edit erath --label x", 3),
            ("edit earth --all-of moon", 3),
            ("edit both --all-of ''", 3),
            ("edit earth --prompt x --no-prompts", 2),
            ("rename earth moon", 3),
            ("rename earth earth", 3),
            ("rename earth earth --dry-run", 3),
            ("remove sun", 3),
            ("import no-such-file", 3),
        ],
    )
    def test_what_is_wrong_changes_nothing(self, store: Store, command: str, code: int) -> None:
        done = colonnade("vocab", *shlex.split(command), "-s", store.path)
        assert (done.code, done.out) == (code, "")
        assert store.vocabulary_path.read_bytes() == WORDS

    def test_dry_run_prints_the_diff_and_writes_nothing(self, store: Store) -> None:
        done = colonnade("vocab", "edit", "moon", "--label", "Luna", "--dry-run", "-s", store.path)
        assert [line for line in done.out.splitlines() if line[:1] in "+-" and line[1:2] == " "] == [
            "-    label: Moon",
            "+    label: Luna",
        ]
        assert store.vocabulary_path.read_bytes() == WORDS

    def test_import_of_a_file_that_ships_and_of_conflicts(self, store: Store, tmp_path: Path) -> None:
        done = colonnade("vocab", "import", "photography", "-s", store.path)
        assert done.code == 0 and "other templates" in done.err
        count = len(parse_vocabulary(shipped_source("photography"), "p").codes)
        assert len(store.vocabulary().codes) == count + 3
        other = tmp_path / "other.yaml"
        other.write_bytes(WORDS.replace(b"label: Moon", b"label: Luna"))
        done = colonnade("vocab", "import", other, "-s", store.path)
        assert done.code == 1 and "moon" in done.err.splitlines()[-1]
        assert store.vocabulary().attribute("moon").label == "Moon"

    def test_saved_queries_that_lose_their_code_are_named(self, store: Store) -> None:
        (store.path / "queries.yaml").write_text("dark: not moon?\nblue: earth\n")
        done = colonnade("vocab", "rename", "moon", "luna", "-s", store.path)
        assert "saved queries that still name moon: dark" in done.err


@pytest.mark.parametrize(
    "command", ["list", "show", "check", "lint", "add", "edit", "rename", "remove", "import"]
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = colonnade("vocab", command, "--help")
    assert done.code == 0 and f"Example: colonnade vocab {command}" in done.out
