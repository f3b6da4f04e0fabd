"""From an expression to the rule of a derived attribute, and what of it a rule cannot say."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from colonnade.engine.errors import InputError
from colonnade.engine.expression_text import to_text
from colonnade.engine.expression_tree import (
    And,
    Compare,
    Constant,
    Expression,
    ExpressionError,
    InSelection,
    InSet,
    Not,
    Operand,
    Or,
    Truth,
    operands,
)
from colonnade.engine.vocabulary_model import BaseAttribute, Rule, Vocabulary
from colonnade.tui.session_search import Names

__all__ = ["RuleDraft", "draft_rule"]


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """An expression as a rule."""

    rule: Rule | None
    """None where a part of the expression is nothing that a rule can say."""
    problems: tuple[str, ...] = ()
    """What a rule cannot say, a line each, with what to write instead where there is something."""
    notes: tuple[str, ...] = ()
    """What the rule says in other words: a threshold that is the attribute's own."""


def draft_rule(names: Names, vocabulary: Vocabulary, text: str) -> RuleDraft:
    """The rule that finds what an expression finds, as far as there is one."""
    try:
        bound = names.bound(text) if text.strip() else Constant(True)
    except ExpressionError as error:
        return RuleDraft(None, (error.message,))
    except InputError as error:
        return RuleDraft(None, (str(error).partition("\n")[0],))
    return _Draft(vocabulary).of(bound)


@dataclass
class _Draft:
    vocabulary: Vocabulary
    all_of: list[str] = field(default_factory=list)
    any_of: list[str] = field(default_factory=list)
    none_of: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def of(self, bound: Expression) -> RuleDraft:
        for part in _conjuncts(bound):
            self._add(part)
        lists = (self.all_of, self.any_of, self.none_of)
        if self.problems or not any(lists):
            missing = () if self.problems else ("a rule needs an attribute; the expression names none",)
            return RuleDraft(None, tuple(dict.fromkeys(self.problems)) or missing)
        rule = Rule(*(tuple(dict.fromkeys(codes)) for codes in lists))
        return RuleDraft(rule, notes=tuple(dict.fromkeys(self.notes)))

    def _add(self, part: Expression) -> None:
        accepted, below = self._accepted(part), self._below_tentative(part)
        if part == Constant(True):
            return
        if accepted is not None:
            self.all_of.append(accepted)
        elif below is not None:
            self.none_of.append(below)
        elif isinstance(part, Or):
            self._add_choice(part)
        else:
            self.problems.append(_why_not(part))

    def _add_choice(self, part: Or) -> None:
        codes = [self._accepted(choice) for choice in part.parts]
        named = [code for code in codes if code is not None]
        if len(named) != len(codes):
            wrong = next(choice for choice, code in zip(part.parts, codes, strict=True) if code is None)
            self.problems.append(
                f"`{_short(wrong)}`: in a choice (`or`) a rule takes accepted attributes alone"
            )
        elif self.any_of and set(named) != set(self.any_of):
            self.problems.append(
                f"`{_short(part)}`: a rule has one choice (any_of); save this part as an attribute first"
            )
        else:
            self.any_of = named

    def _known(self, code: str) -> bool:
        if code not in self.vocabulary:
            self.problems.append(f"{code}: scored, but no longer in the vocabulary")
            return False
        return True

    def _accepted(self, part: Expression) -> str | None:
        """The attribute that must be accepted, if that is what a condition says."""
        match part:
            case Truth(code, False):
                return code if self._known(code) else None
            case Compare(Operand("confidence", code), ">=", float() | int() as value):
                return code if self._is_threshold(code, "accepted", value) else None
        return None

    def _below_tentative(self, part: Expression) -> str | None:
        match part:
            case Not(Truth(code, True)):
                return code if self._known(code) else None
            case Compare(Operand("confidence", code), "<", float() | int() as value):
                return code if self._is_threshold(code, "tentative", value) else None
        return None

    def _is_threshold(self, code: str, name: str, value: float) -> bool:
        if code not in self.vocabulary:
            return False
        attribute = self.vocabulary.attribute(code)
        if not isinstance(attribute, BaseAttribute):
            return False
        own: float = getattr(attribute.thresholds, name)
        if _float32(own) != _float32(value):
            return False
        self.notes.append(
            f"{value:g} is {code}'s threshold for {name} now; the rule follows it when it moves"
        )
        return True


def _conjuncts(node: Expression, wanted: bool = True) -> Iterator[Expression]:
    """The conditions that must all hold, `not` pushed inwards as far as a rule can use it."""
    match node:
        case Not(part):
            yield from _conjuncts(part, not wanted)
        case And(parts) if wanted:
            for part in parts:
                yield from _conjuncts(part)
        case Or(parts) if not wanted:
            for part in parts:
                yield from _conjuncts(part, False)
        case Compare(operand, "<", value) if not wanted:
            yield Compare(operand, ">=", value)
        case Compare(operand, ">=", value) if not wanted:
            yield Compare(operand, "<", value)
        case _:
            yield node if wanted else Not(node)


def _why_not(part: Expression) -> str:
    shown = _short(part)
    match part:
        case Truth(code, True):
            return f"`{shown}`: a rule asks for accepted (`{code}`), not for tentative"
        case Not(Truth(code, False)):
            return f"`{shown}`: a rule leaves out what is at least tentative: `not {code}?`"
        case Compare(Operand("confidence", code)):
            return (
                f"`{shown}`: a rule goes by {code}'s own thresholds; write `{code}` or `not {code}?`, or move them in "
                "Calibration"
            )
        case InSelection() | Not(InSelection()):
            return (
                f"`{shown}`: a rule knows attributes; save the selection as a set and that as a named query"
            )
        case InSet() | Not(InSet()):
            return f"`{shown}`: a rule knows attributes, not sets; save it as a named query"
    about = {operand.kind for operand in operands(part)}
    if "image" in about:
        return f"`{shown}`: a rule knows attributes, not columns of the images; save it as a named query"
    return f"`{shown}`: a rule is accepted (`a`), left out (`not a?`) and one choice (`a or b`) alone"


def _short(part: Expression) -> str:
    text = to_text(part)
    return text if len(text) <= 60 else text[:57] + "..."


def _float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])
