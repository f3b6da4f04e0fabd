"""Advice on vocabularies: duplicates, lengths, negation, rules that never hold, loose ends."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.lint import Finding, lint
from colonnade.engine.satisfiability import impossible_rules
from colonnade.engine.vocabulary import (
    BaseAttribute,
    DerivedAttribute,
    Rule,
    Thresholds,
    Vocabulary,
    parse_vocabulary,
    vocabulary_source,
)


def vocabulary(
    base: dict[str, str], rules: dict[str, Rule] | None = None, **thresholds: Thresholds
) -> Vocabulary:
    return Vocabulary(
        Thresholds(),
        ("a photo of {description}",),
        tuple(
            BaseAttribute(c, c, text, thresholds=thresholds.get(c, Thresholds()), line=i)
            for i, (c, text) in enumerate(base.items(), 2)
        ),
        tuple(
            DerivedAttribute(c, c, c, rule=rule, line=50 + i)
            for i, (c, rule) in enumerate((rules or {}).items())
        ),
    )


def rules_of(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.rule, finding.code) for finding in findings]


class TestWords:
    @pytest.mark.parametrize(
        "text",
        [
            "a beach with no people",
            "a road without cars",
            "not a dog",
            "people who aren't posing",
            "it isn’t",
            "None",
        ],
    )
    def test_negations_are_found(self, text: str) -> None:
        assert rules_of(lint(vocabulary({"a": text}))) == [("negation", "a")]

    @pytest.mark.parametrize("text", ["a knot", "snow in november", "noon", "a notebook", "a piano"])
    def test_words_that_only_contain_one_are_not(self, text: str) -> None:
        assert lint(vocabulary({"a": text})) == []

    def test_prompts_count_instead_of_the_description_and_derived_descriptions_never(self) -> None:
        words = Vocabulary(
            Thresholds(),
            ("{description}, no text",),
            (BaseAttribute("a", "a", "no x", prompts=("fine", "without y")),),
            (DerivedAttribute("d", "d", "a without b", rule=Rule(all_of=("a",))),),
            templates_line=7,
        )
        findings = lint(words)
        assert rules_of(findings) == [("negation", "a"), ("negation", "")]
        assert findings[1].line == 7 and "'without'" in findings[0].message

    def test_control_characters_are_named_and_escaped(self) -> None:
        found = lint(vocabulary({"a": "x\x1b[31m\u202e\u200b", "b": "café 😀 plain"}))
        assert rules_of(found) == [("control-character", "a")]
        assert "U+001B U+202E U+200B" in found[0].message
        assert all(part.isprintable() for part in (found[0].message, found[0].hint))

    def test_too_long_needs_counts_and_a_length(self) -> None:
        words = vocabulary({"a": "short", "b": "long"})
        counts = {"a photo of short": 77, "a photo of long": 78}
        found = lint(words, None, counts, 77)
        assert rules_of(found) == [("too-long", "b")] and "78 tokens" in found[0].message
        assert lint(words, None, counts, None) == lint(words, None, None, 77) == []


class TestDuplicates:
    def test_without_vectors_the_same_words_count(self) -> None:
        found = lint(vocabulary({"a": "The red  Car!", "b": "the red car", "c": "a blue car"}))
        assert rules_of(found) == [("near-duplicate", "b")] and "prompt of a" in found[0].message

    def test_with_vectors_the_cosine_counts(self) -> None:
        words = vocabulary({"a": "one", "b": "two", "c": "three", "d": "four"})
        close = np.array([1.0, 0.2, 0.0])
        vectors = {
            "a photo of one": np.array([1.0, 0.0, 0.0]),
            "a photo of two": np.array([0.0, 3.0, 0.0]),
            "a photo of three": close * 5,
            "a photo of four": np.zeros(3),
        }
        found = lint(words, vectors)
        assert rules_of(found) == [("near-duplicate", "c")]
        assert f"{1 / np.linalg.norm(close):.3f}" in found[0].message
        assert lint(words, {"a photo of one": close}) == []

    def test_the_mean_of_several_prompts_is_what_is_compared(self) -> None:
        words = Vocabulary(
            Thresholds(),
            ("{description}",),
            (BaseAttribute("a", "a", "a", prompts=("p", "q")), BaseAttribute("b", "b", "b", prompts=("r",))),
            (),
        )
        vectors = {"p": np.array([2.0, 0]), "q": np.array([0, 0.5]), "r": np.array([7.0, 7.0])}
        assert rules_of(lint(words, vectors)) == [("near-duplicate", "b")]

    def test_across_blocks_and_each_attribute_once(self) -> None:
        count = 1500
        random = np.random.default_rng(5)
        rows = random.normal(size=(count, 64))
        rows[1400] = rows[3] * 2
        words = vocabulary({f"a{i}": f"thing {i}" for i in range(count)})
        vectors = {f"a photo of thing {i}": rows[i] for i in range(count)}
        assert rules_of(lint(words, vectors)) == [("near-duplicate", "a1400")]


class TestUnused:
    def test_rules_and_queries_use_attributes_and_strings_do_not(self) -> None:
        words = vocabulary({"a": "one", "b": "two", "c": "three", "d": "four"}, {"r": Rule(none_of=("a",))})
        assert rules_of(lint(words, queries=["b >= 0.5 and path like '%c%'"])) == [
            ("unused", "c"),
            ("unused", "d"),
        ]

    def test_nothing_is_unused_where_nothing_could_use_it(self) -> None:
        assert lint(vocabulary({"a": "one"})) == []


BASES = ("a", "b", "c")


def holds_somewhere(words: Vocabulary, code: str) -> bool:
    """The rule as design.md states it, over every combination of confidences worth telling apart."""
    statuses = []
    for attribute in words.base:
        t = attribute.thresholds
        confidences = {0.0, 1.0, (t.tentative + t.accepted) / 2}
        statuses.append({"a" if x >= t.accepted else "t" if x >= t.tentative else "r" for x in confidences})
    for combination in itertools.product(*statuses):
        status = dict(zip((a.code for a in words.base), combination, strict=True))
        for derived in words.derived_order:
            rule = words.attribute(derived).rule  # type: ignore[union-attr]
            met = (
                all(status[c] == "a" for c in rule.all_of)
                and (not rule.any_of or any(status[c] == "a" for c in rule.any_of))
                and all(status[c] == "r" for c in rule.none_of)
            )
            status[derived] = "a" if met else "r"
        if status[code] == "a":
            return True
    return False


@st.composite
def rule_sets(draw: st.DrawFn) -> Vocabulary:
    rules: dict[str, Rule] = {}
    for code in ("p", "q", "r", "s"):
        some = st.lists(st.sampled_from([*BASES, *rules]), max_size=2, unique=True).map(tuple)
        rule = Rule(draw(some), draw(some), draw(some))
        rules[code] = rule if rule.codes else Rule(all_of=("a",))
    thresholds = st.sampled_from(
        [Thresholds(), Thresholds(0.5, 0.5), Thresholds(0.5, 0.0), Thresholds(0.0, 0.0)]
    )
    return vocabulary(dict.fromkeys(BASES, "x"), rules, **{code: draw(thresholds) for code in BASES})


class TestImpossibleRules:
    @settings(max_examples=60, deadline=None)
    @given(rule_sets())
    def test_agrees_with_trying_everything(self, words: Vocabulary) -> None:
        found = impossible_rules(words)
        assert {c: c in found for c in words.derived_order} == {
            c: not holds_somewhere(words, c) for c in words.derived_order
        }

    @pytest.mark.parametrize(
        ("rules", "code", "reason"),
        [
            ({"r": Rule(all_of=("a",), none_of=("a",))}, "r", "a would have to be"),
            ({"q": Rule(all_of=("a",)), "r": Rule(all_of=("q",), none_of=("a",))}, "r", "all_of of q"),
            ({"q": Rule(any_of=("a", "b")), "r": Rule(all_of=("a",), none_of=("q",))}, "r", "no combination"),
            ({"r": Rule(any_of=("a", "b"), none_of=("a", "b"))}, "r", "no combination"),
            (
                {"q": Rule(none_of=("a",)), "r": Rule(all_of=("q",), none_of=("q",))},
                "r",
                "hold and not to hold",
            ),
        ],
    )
    def test_reasons(self, rules: dict[str, Rule], code: str, reason: str) -> None:
        words = vocabulary(dict.fromkeys(BASES, "x"), rules)
        found = [f for f in lint(words, queries=["a b c"]) if f.rule == "impossible-rule"]
        assert [f.code for f in found] == [code] and reason in found[0].message

    def test_a_threshold_of_zero_leaves_nothing_below(self) -> None:
        words = vocabulary({"a": "x"}, {"r": Rule(none_of=("a",))}, a=Thresholds(0.5, 0.0))
        assert "thresholds never leave it" in impossible_rules(words)["r"]

    def test_long_chains_and_wide_rules_are_decided_in_time(self) -> None:
        wide = tuple(f"a{i}" for i in range(800))
        rules = {"d0": Rule(any_of=wide), "no": Rule(any_of=wide, none_of=wide)}
        rules |= {f"d{i}": Rule(all_of=(f"d{i - 1}",)) for i in range(1, 800)}
        started = time.monotonic()
        found = impossible_rules(vocabulary(dict.fromkeys(wide, "x"), rules))
        assert set(found) <= {"no"}
        assert time.monotonic() - started < 20


@pytest.mark.parametrize("name", ["space", "photography"])
def test_what_ships_needs_no_advice(name: str) -> None:
    assert lint(parse_vocabulary(*vocabulary_source(name))) == []
