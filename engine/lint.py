"""Advice on a valid vocabulary: wording that a text encoder misreads, rules that never hold, loose ends.

Pure functions. What needs a model (vectors of prompts, counts of tokens) is handed in, or left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from colonnade.engine.satisfiability import impossible_rules
from colonnade.engine.vocabulary_faults import shown
from colonnade.engine.vocabulary_model import BaseAttribute, Vocabulary

__all__ = ["NEAR_DUPLICATE_COSINE", "Finding", "lint"]

NEAR_DUPLICATE_COSINE = 0.97
_BLOCK_ROWS = 1024

_NEGATION = re.compile(
    r"\b(?:no|not|non|none|never|neither|nor|nobody|nothing|nowhere|without|cannot|except|excluding|lacking)\b"
    r"|\b\w+n['’]t\b",
    re.IGNORECASE,
)
_STRING = re.compile(r"'(?:[^']|'')*'")
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, order=True)
class Finding:
    """One piece of advice."""

    line: int
    """Where the attribute (or the list of templates) starts in the file, from 1."""
    code: str
    """The attribute; "" where it is about the templates."""
    rule: str
    """Which check: near-duplicate, too-long, negation, impossible-rule, unused, control-character."""
    message: str
    hint: str


def lint(
    vocabulary: Vocabulary,
    vectors: Mapping[str, NDArray[np.floating]] | None = None,
    token_counts: Mapping[str, int] | None = None,
    context_length: int | None = None,
    queries: Sequence[str] = (),
    *,
    counted: bool = True,
) -> list[Finding]:
    """Everything worth saying about a vocabulary, in the order of the file.

    Args:
        vectors: prompt -> its text embedding [D], of any length. Attributes with a prompt that is not in it
            are compared by words alone.
        token_counts: prompt -> tokens, start and end marks included.
        counted: whether these are the tokenizer's, not the least that it can give.
        context_length: how many tokens the model reads. Either missing: lengths are not checked.
        queries: expressions whose codes count as used. Without any, and without rules, nothing is unused.
    """
    checks = chain(
        _control_characters(vocabulary),
        _negations(vocabulary),
        _too_long(vocabulary, token_counts, context_length, "" if counted else "at least "),
        _duplicates(vocabulary, vectors or {}),
        _impossible(vocabulary),
        _unused(vocabulary, queries),
    )
    return sorted(checks)


def _control_characters(vocabulary: Vocabulary) -> Iterator[Finding]:
    hint = "retype the text; screens show such characters escaped"
    for attribute in vocabulary.attributes:
        prompts = attribute.prompts or () if isinstance(attribute, BaseAttribute) else ()
        texts = {"label": attribute.label, "description": attribute.description}
        texts |= {"type": attribute.type or "", "prompts": "".join(prompts)}
        for field, text in texts.items():
            if strange := _invisible(text):
                message = f"{field} holds characters that cannot be seen: {strange}"
                yield Finding(attribute.line, attribute.code, "control-character", message, hint)
    if strange := _invisible("".join(vocabulary.templates)):
        message = f"templates hold characters that cannot be seen: {strange}"
        yield Finding(vocabulary.templates_line, "", "control-character", message, hint)


def _invisible(text: str) -> str:
    """Control, bidi, zero-width and unassigned characters of a text as U+XXXX, each once, at most eight."""
    found = dict.fromkeys(c for c in text if not c.isascii() or not c.isprintable())
    strange = [c for c in found if unicodedata.category(c) in _INVISIBLE]
    return " ".join(f"U+{ord(c):04X}" for c in strange[:8]) + (" ..." if len(strange) > 8 else "")


def _negations(vocabulary: Vocabulary) -> Iterator[Finding]:
    hint = "text encoders ignore negation: say what is there, and leave the rest to a rule's none_of"
    for attribute in vocabulary.base:
        texts = attribute.prompts if attribute.prompts is not None else (attribute.description,)
        for text in texts:
            if found := _NEGATION.search(text):
                message = f"{shown(found.group())} in {shown(text)} has no effect, or the opposite"
                yield Finding(attribute.line, attribute.code, "negation", message, hint)
    for template in vocabulary.templates:
        if found := _NEGATION.search(template):
            message = f"{shown(found.group())} in template {shown(template)} has no effect, or the opposite"
            yield Finding(vocabulary.templates_line, "", "negation", message, "say what is there")


def _too_long(
    vocabulary: Vocabulary, counts: Mapping[str, int] | None, context_length: int | None, least: str
) -> Iterator[Finding]:
    if counts is None or context_length is None:
        return
    for attribute in vocabulary.base:
        for prompt in vocabulary.prompts(attribute.code):
            tokens = counts.get(prompt, 0)
            if tokens > context_length:
                message = (
                    f"{shown(prompt)} has {least}{tokens} tokens; the model reads the first {context_length}"
                )
                hint = "shorten it, or split it into several prompts"
                yield Finding(attribute.line, attribute.code, "too-long", message, hint)


def _duplicates(vocabulary: Vocabulary, vectors: Mapping[str, NDArray[np.floating]]) -> Iterator[Finding]:
    """Each attribute against those before it: by words prompt by prompt, by meaning all prompts together."""
    hint = "one of the two is enough, unless the wording is made more distinct"
    said: set[str] = set()
    first: dict[str, str] = {}
    for attribute in vocabulary.base:
        for prompt in vocabulary.prompts(attribute.code):
            other = first.setdefault(_normal(prompt), attribute.code)
            if other != attribute.code and attribute.code not in said:
                said.add(attribute.code)
                message = f"{shown(prompt)} is a prompt of {other} as well"
                yield Finding(attribute.line, attribute.code, "near-duplicate", message, hint)
    known = [a for a in vocabulary.base if all(p in vectors for p in vocabulary.prompts(a.code))]
    rows = _directions([[vectors[p] for p in vocabulary.prompts(a.code)] for a in known])
    for start in range(0, len(known), _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, len(known))
        cosines = rows[start:stop] @ rows[:stop].T
        for index in range(max(start, 1), stop):
            attribute, earlier = known[index], cosines[index - start, :index]
            nearest = int(earlier.argmax())
            if earlier[nearest] >= NEAR_DUPLICATE_COSINE and attribute.code not in said:
                message = f"reads almost like {known[nearest].code} (cosine {earlier[nearest]:.3f})"
                yield Finding(attribute.line, attribute.code, "near-duplicate", message, hint)


def _directions(prompts: Sequence[Sequence[NDArray[np.floating]]]) -> NDArray[np.float32]:
    """float32 [attributes, D], unit length: the mean of each attribute's unit prompts, as in scoring."""
    if not prompts:
        return np.zeros((0, 1), np.float32)
    means = np.stack([_units(np.stack(vectors)).mean(axis=0) for vectors in prompts])
    return _units(means).astype(np.float32)


def _units(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = np.nan_to_num(rows.astype(np.float64), posinf=0.0, neginf=0.0)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(length > 0, length, 1.0)


def _normal(prompt: str) -> str:
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", prompt).casefold())
    return " ".join(words) or prompt


def _impossible(vocabulary: Vocabulary) -> Iterator[Finding]:
    lines = {attribute.code: attribute.line for attribute in vocabulary.derived}
    for code, reason in impossible_rules(vocabulary).items():
        message = f"the rule can never hold: {reason}"
        yield Finding(
            lines[code], code, "impossible-rule", message, "change the rule, or remove the attribute"
        )


def _unused(vocabulary: Vocabulary, queries: Sequence[str]) -> Iterator[Finding]:
    if not vocabulary.derived and not queries:
        return
    used = {code for attribute in vocabulary.derived for code in attribute.rule.codes}
    for query in queries:
        used.update(_WORD.findall(_STRING.sub(" ", query)))
    for attribute in vocabulary.base:
        if attribute.code not in used:
            message = "no rule and no saved query uses it"
            hint = "fine where you ask for it by hand; else remove it, or name it in a rule"
            yield Finding(attribute.line, attribute.code, "unused", message, hint)
