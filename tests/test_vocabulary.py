"""Loading vocabularies: the documented format, every fault with its place, hostile files, what ships."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine import vocabulary_yaml
from colonnade.engine.errors import InputError
from colonnade.engine.vocabulary import (
    Fault,
    Rule,
    Thresholds,
    Vocabulary,
    VocabularyError,
    load_vocabulary,
    nearest,
    parse_vocabulary,
    read_source,
    vocabulary_source,
)
from colonnade.vocab import shipped, shipped_source

DESIGN = """\
thresholds: {accepted: 0.80, tentative: 0.50}
templates: ["a photo of {description}"]          # optional; several = averaged (prompt ensemble)
base_attributes:
  - code: earth                                  # [a-z][a-z0-9_]*, unique
    label: Earth
    description: Earth visible in the image
    type: celestial_body                         # optional; free grouping, never interpreted
    prompts: [a blue planet, the Earth]          # optional: used instead of template x description
    thresholds: {accepted: 0.9}                  # optional override
  - {code: moon, label: Moon, description: the Moon}
  - {code: sun, label: Sun, description: the Sun}
derived_attributes:
  - code: earth_only
    label: Earth only
    description: Earth visible without Moon or Sun
    rule: {all_of: [earth], any_of: [lit], none_of: [moon, sun]}
  - code: lit
    label: Lit
    description: Something shines
    rule: {any_of: [earth, moon]}
"""

ONE = "base_attributes:\n  - code: earth\n    label: Earth\n    description: the Earth\n"


def faults_of(text: str | bytes) -> tuple[Fault, ...]:
    source = text.encode() if isinstance(text, str) else text
    with pytest.raises(VocabularyError) as caught:
        parse_vocabulary(source, "v.yaml")
    lines = str(caught.value).split("\n")
    assert len(lines) == len(caught.value.faults)
    assert all(line.startswith("v.yaml:") and line.isprintable() for line in lines)
    return caught.value.faults


def only_fault(text: str | bytes) -> Fault:
    (fault,) = faults_of(text)
    return fault


def with_field(line: str) -> str:
    return ONE + f"    {line}\n"


def with_rule(rule: str) -> str:
    return ONE + f"derived_attributes:\n  - {{code: d, label: D, description: d, rule: {rule}}}\n"


class TestFormat:
    def test_the_documented_format_loads_as_it_stands(self) -> None:
        vocabulary = parse_vocabulary(DESIGN.encode(), "v.yaml")
        assert vocabulary.codes == ("earth", "moon", "sun", "earth_only", "lit")
        assert [a.thresholds for a in vocabulary.base] == [Thresholds(0.9, 0.5), Thresholds(), Thresholds()]
        assert vocabulary.base[0].line == 4
        assert vocabulary.base[0].type == "celestial_body"
        assert vocabulary.derived[0].rule == Rule(("earth",), ("lit",), ("moon", "sun"))
        assert vocabulary.derived_order == ("lit", "earth_only")
        assert vocabulary.source == DESIGN.encode()
        assert vocabulary.users("earth") == ("earth_only", "lit")

    def test_defaults(self) -> None:
        vocabulary = parse_vocabulary(ONE.encode(), "v.yaml")
        assert vocabulary.thresholds == Thresholds(accepted=0.8, tentative=0.5)
        assert vocabulary.prompts("earth") == ("a photo of the Earth",)
        assert vocabulary.derived == ()

    def test_prompts_replace_templates_and_nothing_is_formatted(self) -> None:
        text = (
            'templates: ["a photo of {description}", "{description}!"]\n'
            + ONE
            + (
                '  - {code: b, label: B, description: "{description} {0} %s"}\n'
                "  - {code: c, label: C, description: c, prompts: [x]}\n"
            )
        )
        vocabulary = parse_vocabulary(text.encode(), "v.yaml")
        assert vocabulary.prompts("b") == ("a photo of {description} {0} %s", "{description} {0} %s!")
        assert vocabulary.prompts("c") == ("x",)

    def test_aliases_tags_of_plain_types_byte_order_mark_and_crlf_load(self) -> None:
        text = (
            "\ufeffthresholds: &t {accepted: !!float 1, tentative: 0}\r\nbase_attributes:\r\n"
            "  - {code: a, label: !!str 12, description: é 😀, thresholds: *t}\r\n"
        )
        vocabulary = parse_vocabulary(text.encode(), "v.yaml")
        assert vocabulary.base[0].label == "12"
        assert vocabulary.base[0].thresholds == Thresholds(1.0, 0.0)

    def test_an_empty_list_and_a_key_without_value_are_an_empty_list(self) -> None:
        for text in ("base_attributes: []\n", "base_attributes:\nderived_attributes:  # none yet\n"):
            assert parse_vocabulary(text.encode(), "v.yaml").codes == ()

    def test_white_space_at_the_ends_of_text_does_not_count(self) -> None:
        text = (
            "base_attributes:\n  - code: a\n    label: ' A '\n    description: >\n      folded\n      text\n"
        )
        attribute = parse_vocabulary(text.encode(), "v.yaml").base[0]
        assert (attribute.label, attribute.description) == ("A", "folded text")

    def test_control_characters_load(self) -> None:
        text = 'base_attributes:\n  - {code: a, label: "\\e[31m", description: "a\\u202eb\u200bc"}\n'
        assert parse_vocabulary(text.encode(), "v.yaml").base[0].label == "\x1b[31m"

    def test_unknown_code_names_the_nearest(self) -> None:
        vocabulary = parse_vocabulary(DESIGN.encode(), "v.yaml")
        with pytest.raises(InputError, match="did you mean earth_only"):
            vocabulary.attribute("earth_onyl")
        with pytest.raises(InputError, match="has no prompts"):
            vocabulary.prompts("lit")


TABLE: dict[str, tuple[str | bytes, int, int, str, str]] = {
    "duplicate code": (
        ONE + "  - {code: earth, label: E, description: e}\n",
        5,
        12,
        "duplicate code",
        "line 2",
    ),
    "duplicate code across kinds": (
        with_rule("{all_of: [earth]}").replace("code: d,", "code: earth,"),
        6,
        12,
        "duplicate code 'earth'",
        "line 2",
    ),
    "duplicate key": (with_field("label: Again"), 5, 5, "duplicate key 'label'", "line 3"),
    "duplicate top key": (ONE + "base_attributes: []\n", 5, 1, "duplicate key 'base_attributes'", "line 1"),
    "unknown key": (with_field("promts: [x]"), 5, 5, "unknown key 'promts'", "did you mean prompts?"),
    "unknown top key": (ONE + "treshold: 1\n", 5, 1, "unknown key 'treshold'", "did you mean thresholds?"),
    "rule on a base attribute": (with_field("rule: {}"), 5, 5, "unknown key 'rule'", "derived_attributes"),
    "merge key": (with_field("<<: {type: x}"), 5, 5, "unknown key '<<'", "write the keys out"),
    "unknown reference": (
        with_rule("{all_of: [erath]}"),
        6,
        57,
        "unknown code 'erath'",
        "did you mean earth?",
    ),
    "image column in a rule": (with_rule("{any_of: [width]}"), 6, 57, "unknown code 'width'", "image column"),
    "code is an image column": (ONE.replace("code: earth", "code: width"), 2, 11, "image column", "another"),
    "code in capitals": (ONE.replace("code: earth", "code: Earth"), 2, 11, "'Earth' is not a code", "a-z"),
    "code too long": (ONE.replace("code: earth", "code: " + "a" * 65), 2, 11, "is not a code", "64"),
    "code with a newline": (
        ONE.replace("code: earth", 'code: "a\\nb"'),
        2,
        11,
        r"'a\nb' is not a code",
        "a-z",
    ),
    "code no": (ONE.replace("code: earth", "code: no"), 2, 11, "read as a boolean", 'quote it: "no"'),
    "label on": (ONE.replace("label: Earth", "label: on"), 3, 12, "read as a boolean", 'quote it: "on"'),
    "label yes": (ONE.replace("label: Earth", "label: Yes"), 3, 12, "read as a boolean", 'quote it: "Yes"'),
    "label is a number": (ONE.replace("label: Earth", "label: 1969"), 3, 12, "read as a number", '"1969"'),
    "label is a date": (
        ONE.replace("label: Earth", "label: 1969-07-20"),
        3,
        12,
        "read as a date",
        "quote it",
    ),
    "off in a rule": (with_rule("{none_of: [off]}"), 6, 58, "read as a boolean", 'quote it: "off"'),
    "label is a list": (
        ONE.replace("label: Earth", "label: [a]"),
        3,
        12,
        "must be text, not a list",
        "quote",
    ),
    "label missing": (ONE.replace("    label: Earth\n", ""), 2, 5, "earth has no label", "add `label"),
    "description empty": (ONE.replace("the Earth", '" "'), 4, 18, "description is empty", "write some text"),
    "description without value": (ONE.replace(" the Earth", ""), 4, 17, "description is empty", "write"),
    "prompts empty": (with_field("prompts: []"), 5, 14, "prompts is an empty list", "remove the key"),
    "prompts are text": (with_field("prompts: x"), 5, 14, "prompts must be a list", "[...]"),
    "a prompt is empty": (with_field('prompts: [x, ""]'), 5, 18, "prompts[1] is empty", "write some"),
    "threshold over 1": (with_field("thresholds: {accepted: 1.5}"), 5, 28, "outside 0..1", "from 0 to 1"),
    "threshold negative": (with_field("thresholds: {tentative: -1}"), 5, 29, "outside 0..1", "from 0 to 1"),
    "threshold nan": (with_field("thresholds: {accepted: .nan}"), 5, 28, "not finite", "decimal"),
    "threshold inf": (with_field("thresholds: {accepted: -.INF}"), 5, 28, "not finite", "decimal"),
    "threshold huge": (with_field(f"thresholds: {{accepted: {'9' * 9999}}}"), 5, 28, "not finite", "decimal"),
    "threshold quoted": (with_field('thresholds: {accepted: "0.8"}'), 5, 28, "must be a number", "unquoted"),
    "threshold hex": (with_field("thresholds: {accepted: 0x1}"), 5, 28, "not a decimal", "0.8"),
    "threshold true": (with_field("thresholds: {accepted: yes}"), 5, 28, "must be a number", "0.8"),
    "threshold a list": (with_field("thresholds: [0.8]"), 5, 17, "must be a mapping", "list"),
    "threshold unknown": (with_field("thresholds: {acepted: 0.8}"), 5, 18, "'acepted'", "accepted?"),
    "tentative over accepted": (
        with_field("thresholds: {accepted: 0.4}"),
        5,
        17,
        "tentative 0.5 is over accepted 0.4 (tentative by default)",
        "lower tentative",
    ),
    "global tentative over accepted": ("thresholds: {tentative: 0.9}\n" + ONE, 1, 13, "0.9 is over", "raise"),
    "template without field": ('templates: ["a photo"]\n' + ONE, 1, 13, "lacks {description}", "put it"),
    "template with a typo": (
        'templates: ["a {descripton}"]\n' + ONE,
        1,
        13,
        "'{descripton}'",
        "{description}?",
    ),
    "template with a format": ('templates: ["{description!r}"]\n' + ONE, 1, 13, "{description!r}", "{desc"),
    "template with a field": ('templates: ["{description} {0}"]\n' + ONE, 1, 13, "field '{0}'", "only"),
    "template with a brace": ('templates: ["{{description}}"]\n' + ONE, 1, 13, "field '{}'", "only"),
    "template list empty": ("templates: []\n" + ONE, 1, 12, "empty list", "remove"),
    "template is text": ('templates: "{description}"\n' + ONE, 1, 12, "must be a list", "[...]"),
    "rule empty": (with_rule("{}"), 6, 47, "no conditions", "all_of"),
    "rule with empty lists": (with_rule("{any_of: [], all_of: []}"), 6, 47, "no conditions", "all_of"),
    "rule is a list": (with_rule("[earth]"), 6, 47, "must be a mapping", "list"),
    "rule list is text": (with_rule("{all_of: earth}"), 6, 56, "must be a list", "all_of: [...]"),
    "rule with a typo": (with_rule("{al_of: [earth]}"), 6, 48, "'al_of'", "all_of?"),
    "rule missing": (
        with_rule("{all_of: [earth]}").replace(", rule: {all_of: [earth]}", ""),
        6,
        5,
        "no rule",
        "",
    ),
    "self reference": (with_rule("{all_of: [d]}"), 6, 5, "cycle of rules: d -> d", "itself"),
    "prompts on a derived one": (
        with_rule("{all_of: [earth]}, prompts: [x]"),
        6,
        66,
        "unknown key 'prompts'",
        "its rule decides",
    ),
    "attribute is text": ("base_attributes: [earth]\n", 1, 19, "must be a mapping", "single value"),
    "list is text": ("base_attributes: earth\n", 1, 18, "must be a list", "[...]"),
    "top is a list": ("- a\n", 1, 1, "must be a mapping", "list"),
    "base_attributes missing": ("thresholds: {accepted: 0.8}\n", 1, 1, "no base_attributes", "add"),
    "empty file": ("", 1, 1, "empty", "base_attributes"),
    "only comments": ("# soon\n", 1, 1, "empty", "base_attributes"),
    "two documents": (ONE + "---\na: 1\n", 5, 1, "second document", "keep one"),
    "python tag": (
        ONE.replace("Earth\n", "!!python/object/apply:os.system [x]\n", 1),
        3,
        12,
        "tag ",
        "remove",
    ),
    "local tag": (ONE.replace("label: Earth", "label: !x Earth"), 3, 12, "tag '!x'", "remove"),
    "tab": ("base_attributes:\n\t- code: a\n", 2, 1, "not YAML", "spaces, not tabs"),
    "colon in text": (ONE.replace("the Earth", "a: b: c"), 4, 19, "not YAML", "quote text"),
    "open quote": (ONE + '    type: "x\n', 6, 1, "not YAML", "close the quote"),
    "unknown alias": (ONE.replace("label: Earth", "label: *earth"), 3, 12, "alias '*earth'", "quote it"),
    "alias in itself": (
        ONE + "derived_attributes: &a [*a]\n",
        5,
        25,
        "inside its own anchor",
        "write it out",
    ),
    "raw escape": (ONE.replace("the Earth", "the \x1b Earth"), 4, 22, r"'\x1b' is not allowed", "remove it"),
    "not UTF-8": (ONE.encode() + b"    type: caf\xe9\n", 5, 14, "not UTF-8 (byte 0xe9)", "UTF-8"),
    "UTF-16": (ONE.encode("utf-16"), 1, 1, "not UTF-8", "UTF-8"),
    "too long": (b"#" * (1 << 20) + b"\n", 1, 1, "over 1,048,576 bytes", "split"),
    "deep flow": ("base_attributes: " + "[" * 100_000, 1, 33, "nested deeper", ""),
    "deep block": ("base_attributes:\n" + "- " * 100_000, 2, 31, "nested deeper", ""),
}


@pytest.mark.parametrize("case", TABLE)
def test_fault(case: str) -> None:
    text, line, column, message, hint = TABLE[case]
    found = faults_of(text)
    wanted = [
        f for f in found if (f.line, f.column) == (line, column) and message in f.message and hint in f.hint
    ]
    assert len(wanted) == 1, [f.render("v.yaml") for f in found]
    if case not in ("python tag", "alias in itself", "deep flow"):
        assert len(found) == 1, [f.render("v.yaml") for f in found]


def test_every_fault_is_reported_in_one_run() -> None:
    text = (
        "thresholds: {accepted: 2}\n"
        "templates: [a photo]\n"
        "base_attributes:\n"
        "  - {code: earth, label: on, description: e, lable: x}\n"
        "  - {code: Moon, label: M}\n"
        "  - {code: earth, label: E, description: e, thresholds: {tentative: 0.9}}\n"
        "derived_attributes:\n"
        "  - {code: a, label: A, description: a, rule: {all_of: [b, erth]}}\n"
        "  - {code: b, label: B, description: b, rule: {none_of: [a]}}\n"
        "  - {code: c, label: C, description: c, rule: {}}\n"
        "extra: 1\n"
    )
    lines = [fault.line for fault in faults_of(text)]
    assert lines == [1, 2, 4, 4, 5, 5, 6, 8, 9, 10, 11]


def test_cycles_are_reported_with_their_path_one_for_each_closing_reference() -> None:
    rules = {"a": "b", "b": "c", "c": "a", "x": "y", "y": "x", "z": "a"}
    text = ONE + "derived_attributes:\n"
    for code, target in rules.items():
        text += f"  - {{code: {code}, label: L, description: d, rule: {{any_of: [{target}, earth]}}}}\n"
    messages = [fault.message for fault in faults_of(text)]
    assert messages == ["cycle of rules: a -> b -> c -> a", "cycle of rules: x -> y -> x"]


def test_a_chain_of_thousands_of_rules_neither_recurses_nor_crawls() -> None:
    count = 5000
    rows = [
        f" - {{code: d{i}, label: l, description: x, rule: {{all_of: [d{i + 1}]}}}}\n" for i in range(count)
    ]
    good = (
        ONE
        + "derived_attributes:\n"
        + "".join(rows)
        + f" - {{code: d{count}, label: l, description: x, rule: "
    )
    vocabulary = parse_vocabulary((good + "{all_of: [earth]}}\n").encode(), "v.yaml")
    assert vocabulary.derived_order[0] == f"d{count}"
    fault = only_fault(good + "{all_of: [d0]}}\n")
    assert fault.message.startswith("cycle of rules: d0 -> d1") and len(fault.message) < 120


def test_alias_bombs_are_refused_quickly() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    started = time.monotonic()
    found = faults_of("\n".join(rows) + "\n")
    assert time.monotonic() - started < 3
    assert "aliases stand for more than" in found[0].message


def test_prompts_cannot_be_multiplied_out_of_bounds() -> None:
    templates = ", ".join(['"{description}"'] * 20_000)
    rows = "".join(f"  - {{code: a{i}, label: a, description: {'x' * 200}}}\n" for i in range(500))
    fault = only_fault(f"templates: [{templates}]\nbase_attributes:\n{rows}")
    assert "the prompts come to over" in fault.message


def test_hints_stay_affordable_in_a_hostile_file() -> None:
    rows = "".join(f" - {{code: attribute_{i}, label: a, description: b}}\n" for i in range(4000))
    wrong = ", ".join(f"atribute_{i}x" for i in range(20_000))
    text = f"base_attributes:\n{rows}derived_attributes:\n - {{code: d, label: d, description: d, rule: "
    text += f"{{any_of: [{wrong}]}}}}\n"
    started = time.monotonic()
    assert len(faults_of(text)) == 20_000
    assert time.monotonic() - started < 20


def test_a_file_name_cannot_smuggle_control_characters() -> None:
    with pytest.raises(VocabularyError) as caught:
        parse_vocabulary(b"", "a\x1b[31m\nb.yaml")
    assert str(caught.value).isprintable()
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.faults == caught.value.faults


def test_loading_reads_a_bounded_part_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_vocabulary(tmp_path / "missing.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in (tmp_path, tmp_path / "pipe.yaml", "/dev/zero"):
        with pytest.raises(InputError, match=r"not a regular file|Is a directory"):
            load_vocabulary(name)
    (tmp_path / "long.yaml").write_bytes(b"#" * (3 << 20))
    assert len(read_source(tmp_path / "long.yaml")) == (1 << 20) + 1
    with pytest.raises(VocabularyError, match="over 1,048,576 bytes"):
        load_vocabulary(tmp_path / "long.yaml")


@pytest.mark.parametrize("name", ["CSafeLoader", "SafeLoader"])
def test_both_parsers_of_pyyaml_say_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(yaml, name):
        pytest.skip(f"PyYAML was built without {name}")
    monkeypatch.setattr(vocabulary_yaml, "_loader", lambda: getattr(yaml, name))
    assert parse_vocabulary(DESIGN.encode(), "v.yaml").codes[0] == "earth"
    for case in ("duplicate key", "code no", "unknown reference", "two documents", "deep block", "local tag"):
        text, line, column, message, _ = TABLE[case]
        found = faults_of(text)
        assert [(f.line, f.column) for f in found] == [(line, column)] and message in found[0].message


WORDS = [
    "base_attributes:",
    "derived_attributes:",
    "code:",
    "rule:",
    "all_of:",
    "thresholds:",
    "templates:",
    "{description}",
    "earth",
    "no",
    "0.5",
    "-",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&a",
    "*a",
    "!!x",
    "?",
    "<<:",
    "|",
    ">",
    '"',
    "'",
    "#",
    "---",
    "...",
    "\\",
    "é",
    "😀",
]
PIECES = st.sampled_from(
    [*WORDS, "\n", "  ", " ", "\t", "\r", "%YAML 1.1\n", "\x00", "\x85", "\ufeff", "\u2028"]
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.lists(PIECES, max_size=40).map(lambda p: "".join(p).encode())))
def test_any_bytes_are_a_vocabulary_or_a_vocabulary_error(source: bytes) -> None:
    try:
        assert isinstance(parse_vocabulary(source, "v.yaml"), Vocabulary)
    except VocabularyError as error:
        assert error.faults
        assert all(line.isprintable() for line in str(error).split("\n"))


class TestNearest:
    @pytest.mark.parametrize(
        ("word", "expected"),
        [
            ("earht", "earth"),
            ("Earth", "earth"),
            ("earth-only", "earth_only"),
            ("mon", "moon"),
            ("xyz", None),
            ("", None),
        ],
    )
    def test_typos(self, word: str, expected: str | None) -> None:
        assert nearest(word, ("earth", "moon", "earth_only", "q")) == expected

    def test_the_first_of_equally_near_ones_wins_and_exact_beats_near(self) -> None:
        assert nearest("cat", ("bat", "rat")) == "bat"
        assert nearest("cat", ("bat", "cat")) == "cat"

    @settings(max_examples=40, deadline=None)
    @given(st.text("abc", min_size=4, max_size=8), st.integers(0, 3), st.sampled_from("abcd"))
    def test_one_edit_is_always_near(self, word: str, at: int, letter: str) -> None:
        assert nearest(word[:at] + letter + word[at + 1 :], (word,)) == word
        assert nearest(word[:at] + letter + word[at:], (word,)) == word


class TestShipped:
    def test_both_load_and_are_large_enough(self) -> None:
        assert {"space", "photography"} <= set(shipped())
        space = parse_vocabulary(shipped_source("space"), "space")
        photography = parse_vocabulary(shipped_source("photography"), "photography")
        assert len(space.base) >= 29 and len(space.derived) >= 8
        assert len(photography.base) >= 60 and photography.derived
        assert {a.type for a in photography.base} >= {
            "scene", "people", "animals", "objects", "weather", "light", "medium", "quality"
        }  # fmt: skip
        for vocabulary in (space, photography):
            assert all(attribute.type for attribute in vocabulary.attributes)

    def test_names_resolve_and_typos_are_named(self, tmp_path: Path) -> None:
        assert vocabulary_source("space") == (shipped_source("space"), "space")
        with pytest.raises(InputError, match="did you mean space"):
            vocabulary_source("spcae")
        with pytest.raises(KeyError):
            shipped_source("../space")
        path = tmp_path / "v.yaml"
        path.write_text(ONE)
        assert vocabulary_source(str(path)) == (ONE.encode(), str(path))

    def test_loading_needs_neither_ruamel_nor_arrays(self) -> None:
        code = (
            "import sys; from colonnade.engine.vocabulary import *; parse_vocabulary(*vocabulary_source('space'));"
            "print([m for m in ('ruamel', 'numpy', 'pyarrow', 'torch', 'duckdb') if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"
