"""Edits of vocabulary files: a diff shows the edit and nothing else; a save is atomic and never clobbers."""

from __future__ import annotations

import difflib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine import vocabulary_edit
from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.vocabulary import (
    BaseAttribute,
    DerivedAttribute,
    Rule,
    Thresholds,
    Vocabulary,
    VocabularyError,
    parse_vocabulary,
    vocabulary_source,
)
from colonnade.engine.vocabulary_edit import (
    Changes,
    add_attributes,
    edit_attribute,
    import_vocabulary,
    remove_attribute,
    rename_attribute,
    save_vocabulary,
)

COMMENTED = b"""\
# Our archive. Ask Ana before you change anything.
%s
thresholds:   { accepted: 0.80 ,  tentative: 0.50 }    # agreed in March

base_attributes:          # scored by the model

    # ---- bodies ----
    -   code:        earth        # the blue one
        label:       'Earth'
        description: "Earth, from afar"   # reads well
        # we tried "globe" here: worse
        type:        body

    # the Moon has its own prompts
    -   code:        moon
        label:       Moon
        description: >-
            the Moon
            in the sky
        prompts:     # three, in this order
        - the Moon        # plain
        # not "lunar"
        - 'a full moon'
        - a crescent
        thresholds:  {accepted: 0.9}   # strict
    # trailing thought about bodies

    -   code: sun
        label: Sun
        description: the Sun
# ---- rules ----
derived_attributes:
    -   code: earth_only
        label: Earth only
        description: no Moon, no Sun
        rule:
            all_of: [ earth ]       # must
            none_of:
                - moon    # never
                - "sun"

    # the end
""".replace(b"%s\n", b"")


def changed_lines(before: bytes, after: bytes) -> list[str]:
    """The diff's lines: what went, then what came."""
    old, new = before.decode().splitlines(), after.decode().splitlines()
    return sorted(
        (line for line in difflib.ndiff(old, new) if line[0] in "+-"), key=lambda line: line[0] == "+"
    )


@pytest.fixture(autouse=True)
def in_place_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits of ordinary files must not need the round trip through ruamel.yaml."""
    if "fallback" not in request.keywords and "fallback" not in request.node.name:
        monkeypatch.setattr("colonnade.engine.vocabulary_reconcile.reconcile", lambda *given: None)


PROMPTS = ("the Moon", "a full moon", "a crescent")


class TestOneEditInACommentedFile:
    def test_label(self) -> None:
        after = edit_attribute(COMMENTED, "earth", Changes(label="Blue marble"), "v")
        assert changed_lines(COMMENTED, after) == [
            "-         label:       'Earth'",
            "+         label:       'Blue marble'",
        ]

    def test_description_keeps_its_quotes_and_comment(self) -> None:
        after = edit_attribute(COMMENTED, "earth", Changes(description='Earth "near", # now'), "v")
        assert changed_lines(COMMENTED, after)[1:] == [
            '+         description: "Earth \\"near\\", # now"   # reads well',
        ]

    def test_a_folded_description_becomes_one_line(self) -> None:
        after = edit_attribute(COMMENTED, "moon", Changes(description="the Moon: grey"), "v")
        assert changed_lines(COMMENTED, after) == [
            "-         description: >-",
            "-             the Moon",
            "-             in the sky",
            '+         description: "the Moon: grey"',
        ]

    def test_a_prompt_more_one_changed_one_less(self) -> None:
        more = edit_attribute(
            COMMENTED, "moon", Changes(prompts=("the Moon", "a full moon", "a crescent", "x: y")), "v"
        )
        assert changed_lines(COMMENTED, more) == ['+         - "x: y"']
        other = edit_attribute(
            COMMENTED, "moon", Changes(prompts=("the Moon", "it's full", "a crescent")), "v"
        )
        assert changed_lines(COMMENTED, other) == ["-         - 'a full moon'", "+         - 'it''s full'"]
        less = edit_attribute(COMMENTED, "moon", Changes(prompts=("the Moon",)), "v")
        assert changed_lines(COMMENTED, less) == [
            '-         # not "lunar"',
            "-         - 'a full moon'",
            "-         - a crescent",
        ]

    def test_prompts_and_type_come_and_go(self) -> None:
        added = edit_attribute(COMMENTED, "sun", Changes(prompts=("sun", "a, b"), type="body"), "v")
        assert changed_lines(COMMENTED, added) == [
            "+         type: body",
            "+         prompts:",
            "+           - sun",
            "+           - a, b",
        ]
        assert edit_attribute(added, "sun", Changes(prompts=(), type=""), "v") == COMMENTED
        gone = edit_attribute(COMMENTED, "earth", Changes(type=""), "v")
        assert changed_lines(COMMENTED, gone) == ["-         type:        body"]

    def test_thresholds(self) -> None:
        after = edit_attribute(COMMENTED, "moon", Changes(accepted=0.95, tentative=0.6), "v")
        assert changed_lines(COMMENTED, after) == [
            "-         thresholds:  {accepted: 0.9}   # strict",
            "+         thresholds:  {accepted: 0.95, tentative: 0.6}   # strict",
        ]
        assert parse_vocabulary(after, "v").base[1].thresholds == Thresholds(0.95, 0.6)
        after = edit_attribute(COMMENTED, "moon", Changes(default_thresholds=True), "v")
        assert changed_lines(COMMENTED, after) == ["-         thresholds:  {accepted: 0.9}   # strict"]

    def test_rule(self) -> None:
        rule = Rule(all_of=("earth",), any_of=("sun", "moon"), none_of=("moon", "sun"))
        after = edit_attribute(COMMENTED, "earth_only", Changes(rule=rule), "v")
        assert changed_lines(COMMENTED, after) == ["+             any_of: [sun, moon]"]
        after = edit_attribute(COMMENTED, "earth_only", Changes(rule=Rule(all_of=("earth", "sun"))), "v")
        assert changed_lines(COMMENTED, after) == [
            "-             all_of: [ earth ]       # must",
            "-             none_of:",
            "-                 - moon    # never",
            '-                 - "sun"',
            "+             all_of: [ earth, sun ]       # must",
        ]

    def test_rename_reaches_the_rules(self) -> None:
        after = rename_attribute(COMMENTED, "sun", "star", "v")
        assert changed_lines(COMMENTED, after) == [
            "-     -   code: sun",
            '-                 - "sun"',
            "+     -   code: star",
            '+                 - "star"',
        ]
        assert rename_attribute(after, "star", "sun", "v") == COMMENTED
        quoted = rename_attribute(COMMENTED, "earth", "no", "v")
        assert '+     -   code:        "no"        # the blue one' in changed_lines(COMMENTED, quoted)

    def test_remove_keeps_the_comments_around(self) -> None:
        with pytest.raises(InputError, match="used by the rule of earth_only"):
            remove_attribute(COMMENTED, "moon", "v")
        after = remove_attribute(COMMENTED, "moon", "v", from_rules=True)
        lines = changed_lines(COMMENTED, after)
        assert all(line.startswith("-") for line in lines) and len(lines) == 12
        for comment in (b"its own prompts", b"trailing thought", b"# ---- rules", b"# must"):
            assert comment in after
        with pytest.raises(InputError, match="no condition but earth"):
            remove_attribute(
                remove_attribute(after, "sun", "v", from_rules=True), "earth", "v", from_rules=True
            )

    def test_add_goes_to_the_end_of_its_list_in_the_list_s_indentation(self) -> None:
        fresh = BaseAttribute(
            "mars", "Mars: red", "Mars, the planet", "body", thresholds=Thresholds(0.9, 0.5)
        )
        after = add_attributes(COMMENTED, [fresh], "v")
        assert changed_lines(COMMENTED, after) == [
            "+ ",
            "+     -   code: mars",
            '+         label: "Mars: red"',
            "+         description: Mars, the planet",
            "+         type: body",
            "+         thresholds: {accepted: 0.9}",
        ]
        rule = DerivedAttribute("lit", "Lit", "lit", rule=Rule(any_of=("sun", "earth_only")))
        after = add_attributes(COMMENTED, [rule], "v")
        assert changed_lines(COMMENTED, after) == [
            "+     -   code: lit",
            "+         label: Lit",
            "+         description: lit",
            "+         rule: {any_of: [sun, earth_only]}",
        ]


class TestLayouts:
    def test_flow_items_and_flow_lists(self) -> None:
        source = (
            b"base_attributes: [{code: a, label: A, description: x}, {label: B, code: b, description: y}]\n"
        )
        after = add_attributes(source, [BaseAttribute("c", "C", "p, q", prompts=("r",))], "v")
        assert after == source.replace(b"y}]", b'y}, {code: c, label: C, description: "p, q", prompts: [r]}]')
        assert remove_attribute(after, "c", "v") == source
        assert (
            remove_attribute(source, "a", "v") == b"base_attributes: [{label: B, code: b, description: y}]\n"
        )
        typed = edit_attribute(source, "a", Changes(type="t, u", accepted=0.7), "v")
        assert b'{code: a, label: A, description: x, type: "t, u", thresholds: {accepted: 0.7}}' in typed
        assert edit_attribute(typed, "a", Changes(type="", default_thresholds=True), "v") == source

    @pytest.mark.parametrize(
        "head", ["base_attributes: []\n", "base_attributes:\n", "base_attributes: ~ # none\n"]
    )
    def test_the_first_attribute_of_an_empty_list(self, head: str) -> None:
        for tail in ("", "derived_attributes: []\n", "# end\n"):
            after = add_attributes((head + tail).encode(), [BaseAttribute("a", "A", "x")], "v")
            assert parse_vocabulary(after, "v").codes == ("a",)
            assert b"\n  - code: a\n    label: A\n    description: x" in after
            assert tail.encode() in after and (b"# none" in after) == ("# none" in head)

    def test_the_last_attribute_can_go_and_come_back(self) -> None:
        source = b"base_attributes:\n- code: a\n  label: A\n  description: x\n"
        after = remove_attribute(source, "a", "v")
        assert after == b"base_attributes:\n"
        assert parse_vocabulary(add_attributes(after, [BaseAttribute("b", "B", "y")], "v"), "v").codes == (
            "b",
        )
        assert add_attributes(source, [BaseAttribute("b", "B", "y")], "v").endswith(
            b"x\n- code: b\n  label: B\n  description: y\n"
        )

    def test_a_first_rule_starts_its_list(self) -> None:
        source, _ = vocabulary_source("space")
        bare = source[: source.index(b"# A rule holds")]
        after = add_attributes(bare, [DerivedAttribute("d", "D", "d", rule=Rule(all_of=("earth",)))], "v")
        assert after.startswith(bare.rstrip()) and parse_vocabulary(after, "v").derived[0].code == "d"

    def test_line_ends_byte_order_mark_and_a_missing_last_newline_stay(self) -> None:
        source = b"\xef\xbb\xbf" + COMMENTED.rstrip().replace(b"\n", b"\r\n")
        after = add_attributes(source, [BaseAttribute("mars", "Mars", "Mars")], "v")
        after = edit_attribute(after, "sun", Changes(label="S", type="t"), "v")
        assert after.startswith(b"\xef\xbb\xbf# Our") and after.count(b"\n") == after.count(b"\r\n")
        after = remove_attribute(
            edit_attribute(after, "sun", Changes(label="Sun", type=""), "v"), "mars", "v"
        )
        assert after == source

    def test_aliases_elsewhere_are_no_obstacle(self) -> None:
        source = (
            b"base_attributes:\n- code: a\n  label: &l A\n  description: x\n  thresholds: &t {accepted: 0.9}\n"
            b"- code: b\n  label: *l\n  description: y\n  thresholds: *t\n"
        )
        after = edit_attribute(source, "b", Changes(label="B"), "v")
        assert changed_lines(source, after) == ["-   label: *l", "+   label: B"]
        assert rename_attribute(source, "a", "c", "v") == source.replace(b"code: a", b"code: c")

    def test_fallback_where_an_anchor_would_go(self) -> None:
        source = (
            b"# head\nbase_attributes:\n  - code: a   # first\n    label: &l A\n    description: x\n"
            b"  # between\n  - code: b\n    label: *l\n    description: y\n"
        )
        after = remove_attribute(source, "a", "v")
        assert parse_vocabulary(after, "v").base[0].label == "A"
        assert b"# head" in after
        after = edit_attribute(source, "a", Changes(label="New"), "v")
        assert [a.label for a in parse_vocabulary(after, "v").base] == ["New", "A"]
        assert b"# first" in after and b"# between" in after

    def test_fallback_for_a_document_in_braces(self) -> None:
        source = b"{base_attributes: [{code: a, label: A, description: x}], templates: ['{description}']}\n"
        rule = DerivedAttribute("d", "D", "d", rule=Rule(all_of=("a",)))
        after = add_attributes(source, [BaseAttribute("b", "B", "y", "t", ("p",)), rule], "v")
        assert parse_vocabulary(after, "v").codes == ("a", "b", "d")
        after = rename_attribute(remove_attribute(after, "b", "v"), "a", "c", "v")
        assert parse_vocabulary(after, "v").derived[0].rule == Rule(all_of=("c",))


class TestRefusals:
    @pytest.mark.parametrize(
        ("attribute", "message"),
        [
            (BaseAttribute("earth", "E", "e"), "there already"),
            (BaseAttribute("Mars", "E", "e"), "not a code"),
            (BaseAttribute("width", "E", "e"), "image column"),
            (BaseAttribute("a", " ", "e"), "label is empty"),
            (BaseAttribute("a", "A", "e", prompts=("",)), "is empty"),
            (BaseAttribute("a", "A", "e", thresholds=Thresholds(0.1, 0.9)), "is over accepted"),
            (BaseAttribute("a", "A", "e", thresholds=Thresholds(float("nan"), 0.1)), "must be a number"),
            (BaseAttribute("a", "A", "caf\udce9"), "UTF-8"),
            (DerivedAttribute("a", "A", "e", rule=Rule()), "no conditions"),
            (DerivedAttribute("a", "A", "e", rule=Rule(all_of=("erth",))), "did you mean earth?"),
            (DerivedAttribute("a", "A", "e", rule=Rule(all_of=("a",))), "cycle"),
        ],
    )
    def test_what_would_not_load_is_not_added(
        self, attribute: BaseAttribute | DerivedAttribute, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            add_attributes(COMMENTED, [attribute], "v.yaml")

    def test_wrong_kind_unknown_code_taken_code(self) -> None:
        with pytest.raises(InputError, match="no rule"):
            edit_attribute(COMMENTED, "earth", Changes(rule=Rule(all_of=("sun",))), "v")
        with pytest.raises(InputError, match="no prompts and no thresholds"):
            edit_attribute(COMMENTED, "earth_only", Changes(prompts=("x",)), "v")
        with pytest.raises(InputError, match=r"did you mean earth\?"):
            rename_attribute(COMMENTED, "erth", "x", "v")
        with pytest.raises(InputError, match="moon is there already"):
            rename_attribute(COMMENTED, "sun", "moon", "v")
        with pytest.raises(InputError, match=r"v:\d+: sun is its code already"):
            rename_attribute(COMMENTED, "sun", "sun", "v")
        with pytest.raises(VocabularyError):
            add_attributes(b"base_attributes: [", [], "v")


class TestImport:
    def test_new_ones_are_added_same_ones_skipped_others_reported(self) -> None:
        other = parse_vocabulary(
            b"thresholds: {accepted: 0.7}\n"
            b"base_attributes:\n- {code: sun, label: Sun, description: the Sun}\n"
            b"- {code: moon, label: Luna, description: m}\n"
            b"- {code: mars, label: Mars, description: Mars, thresholds: {tentative: 0.2}}\n"
            b"derived_attributes:\n- {code: red, label: R, description: r, rule: {all_of: [mars], none_of: [moon]}}\n",
            "other",
        )
        merged = import_vocabulary(COMMENTED, other, "v")
        assert (merged.added, merged.identical, merged.conflicts) == (("mars", "red"), ("sun",), ("moon",))
        vocabulary = parse_vocabulary(merged.source, "v")
        assert vocabulary.attribute("mars").thresholds == Thresholds(0.8, 0.2)  # type: ignore[union-attr]
        assert vocabulary.base[1].label == "Moon"
        assert all(line.startswith("+") for line in changed_lines(COMMENTED, merged.source))
        again = import_vocabulary(merged.source, other, "v")
        assert again.source == merged.source and not again.added

    def test_a_cycle_through_both_files_is_refused(self) -> None:
        other = parse_vocabulary(
            b"base_attributes: [{code: m, label: m, description: m}]\nderived_attributes:\n"
            b"- {code: earth_only, label: e, description: e, rule: {all_of: [m]}}\n"
            b"- {code: loop, label: l, description: l, rule: {all_of: [earth_only]}}\n",
            "other",
        )
        mine = edit_attribute(COMMENTED, "earth_only", Changes(rule=Rule(all_of=("earth",))), "v")
        merged = import_vocabulary(mine, other, "v")
        assert merged.conflicts == ("earth_only",) and "loop" in merged.added

    def test_everything_that_ships_can_be_imported(self) -> None:
        space, _ = vocabulary_source("space")
        merged = import_vocabulary(space, parse_vocabulary(*vocabulary_source("photography")), "v")
        assert len(merged.added) > 80
        assert set(space.decode().splitlines()) <= set(merged.source.decode().splitlines())


TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.sampled_from(
        [
            "no",
            "1",
            "a: b",
            "# x",
            "- y",
            "[z",
            "*s",
            "it's",
            '"',
            "\\",
            "~",
            "{a}",
            "%",
            "a, b",
            "x #y",
            "=",
            "\x85",
        ]
    ),
).filter(lambda text: text.strip(" \t\r\n"))
SOURCES = [COMMENTED, vocabulary_source("space")[0], vocabulary_source("photography")[0]]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SOURCES), TEXTS, TEXTS, st.lists(TEXTS, max_size=3), st.data())
def test_fallback_or_not_any_text_survives_edits(
    source: bytes, label: str, description: str, prompts: list[str], data: st.DataObject
) -> None:
    before = parse_vocabulary(source, "v")
    code = data.draw(st.sampled_from([attribute.code for attribute in before.base]))
    changes = Changes(label=label, description=description, type=data.draw(TEXTS), prompts=tuple(prompts))
    edited = edit_attribute(source, code, changes, "v")
    fresh = BaseAttribute("fresh", label, description, None, tuple(prompts) or None)
    after = parse_vocabulary(add_attributes(edited, [fresh], "v"), "v")
    for attribute in (after.attribute(code), after.attribute("fresh")):
        assert isinstance(attribute, BaseAttribute)
        assert attribute.label == label.strip(" \t\r\n")
        assert attribute.prompts == (tuple(p.strip(" \t\r\n") for p in prompts) or None)
    untouched = [a for a in meaning(before) if a.code != code]
    assert [a for a in meaning(after) if a.code not in (code, "fresh")] == untouched


def meaning(vocabulary: Vocabulary) -> list[BaseAttribute | DerivedAttribute]:
    from dataclasses import replace

    return [replace(attribute, line=0) for attribute in vocabulary.attributes]


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(SOURCES), st.data())
def test_fallback_or_not_removing_and_renaming_touch_one_attribute(
    source: bytes, data: st.DataObject
) -> None:
    before = parse_vocabulary(source, "v")
    code = data.draw(st.sampled_from(before.codes))
    renamed = rename_attribute(source, code, "brand_new", "v")
    assert rename_attribute(renamed, "brand_new", code, "v") == source
    try:
        after = parse_vocabulary(remove_attribute(source, code, "v", from_rules=True), "v")
    except InputError as error:
        assert "has no condition but" in str(error)
        return
    assert after.codes == tuple(c for c in before.codes if c != code)
    assert not any(code in attribute.rule.codes for attribute in after.derived)


ADD = """
import sys
from pathlib import Path
from colonnade.engine.errors import ConflictError
from colonnade.engine.vocabulary import BaseAttribute
from colonnade.engine.vocabulary_edit import add_attributes, save_vocabulary
path, code = Path(sys.argv[1]), sys.argv[2]
for turn in range(8):
    while True:
        source = path.read_bytes()
        try:
            save_vocabulary(path, source, add_attributes(source, [BaseAttribute(f"{code}{turn}", "L", "d")], "v"))
            break
        except ConflictError:
            continue
"""


class TestSaving:
    def test_mode_and_links_are_kept_and_nothing_is_left_behind(self, tmp_path: Path) -> None:
        real = tmp_path / "real.yaml"
        real.write_bytes(COMMENTED)
        real.chmod(0o640)
        link = tmp_path / "link.yaml"
        link.symlink_to(real)
        save_vocabulary(link, COMMENTED, COMMENTED + b"# more\n")
        assert link.is_symlink() and real.read_bytes().endswith(b"# more\n")
        assert stat.S_IMODE(real.stat().st_mode) == 0o640
        assert sorted(os.listdir(tmp_path)) == ["link.yaml", "real.yaml"]

    def test_a_file_that_changed_meanwhile_is_not_overwritten(self, tmp_path: Path) -> None:
        path = tmp_path / "v.yaml"
        path.write_bytes(COMMENTED + b"# theirs\n")
        with pytest.raises(ConflictError, match="changed since it was read"):
            save_vocabulary(path, COMMENTED, COMMENTED + b"# mine\n")
        assert path.read_bytes() == COMMENTED + b"# theirs\n"
        assert os.listdir(tmp_path) == ["v.yaml"]

    def test_two_processes_lose_no_edit(self, tmp_path: Path) -> None:
        path = tmp_path / "v.yaml"
        path.write_bytes(b"base_attributes: []\n")
        workers = [subprocess.Popen([sys.executable, "-c", ADD, str(path), code]) for code in ("a", "b")]
        assert [worker.wait(60) for worker in workers] == [0, 0]
        assert len(parse_vocabulary(path.read_bytes(), "v").codes) == 16

    def test_saving_what_is_there_writes_nothing(self, tmp_path: Path) -> None:
        vocabulary_edit.save_vocabulary(tmp_path / "none.yaml", b"x", b"x")
