"""The query's text and the list of attributes as two views of one expression: reading it and editing it in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from colonnade.engine.errors import InputError
from colonnade.engine.expression import grammar, parse
from colonnade.engine.expression_text import to_text
from colonnade.engine.expression_tree import Truth

if TYPE_CHECKING:
    from lark import Token

    from colonnade.engine.vocabulary_model import Thresholds

__all__ = ["Condition", "cycle", "read_conditions", "step"]

_SIGNS = {"==": "=", "<>": "!="}
_NEGATED = {">=": "<", "<": ">=", ">": "<=", "<=": ">", "=": "!=", "!=": "="}


@dataclass(frozen=True, slots=True)
class Condition:
    """What an expression asks of one attribute."""

    operator: str
    """`accepted`, `tentative` (at least), `not accepted`, `not tentative`, a comparison's sign, or `other`."""
    threshold: float | None
    """What the confidence is compared with; None where the vocabulary's thresholds decide."""
    span: tuple[int, int]
    """Where it stands in the text, from and to."""
    whole: bool
    """Whether it is a condition of its own, joined by `and`: what `cycle` can change."""


def read_conditions(text: str) -> dict[str, Condition]:
    """Code -> the first condition on it, in the order of the text; nothing where the text does not parse."""
    try:
        parse(text)
    except InputError:
        return {}
    found: dict[str, Condition] = {}
    for part in _parts(text):
        for code, condition in part.conditions():
            found.setdefault(code, condition)
    return found


def step(text: str, code: str, delta: float, thresholds: Thresholds) -> str:
    """The text with an attribute's threshold moved; a bare name becomes a comparison, a new one is added.

    Raises:
        InputError: the text does not parse, or what it asks of the attribute has no threshold.
    """
    if text.strip():
        parse(text)
    condition = read_conditions(text).get(code)
    if condition is None:
        return _with(text, f"{_name(code)} >= {_number(thresholds.accepted + delta)}")
    if condition.operator == "other":
        raise InputError(f"{code}: this condition has no threshold to move; change it in the query line")
    signs = {"accepted": ">=", "tentative": ">=", "not accepted": "<", "not tentative": "<"}
    usual = thresholds.tentative if "tentative" in condition.operator else thresholds.accepted
    start = usual if condition.threshold is None else condition.threshold
    sign = signs.get(condition.operator, condition.operator)
    return _replaced(text, condition.span, f"{_name(code)} {sign} {_number(start + delta)}")


def cycle(text: str, code: str) -> str:
    """The text with an attribute's condition taken a step on: off, accepted, tentative, not, off.

    "not" is `not x?`, as in a rule's `none_of`: below tentative.

    Raises:
        InputError: the text does not parse, or the attribute is asked for inside parentheses or a choice.
    """
    if text.strip():
        parse(text)
    condition = read_conditions(text).get(code)
    name = _name(code)
    if condition is None:
        return _with(text, name)
    if not condition.whole:
        raise InputError(f"{code}: stands inside a larger condition; change it in the query line")
    if condition.operator in ("accepted", ">=", ">"):
        return _replaced(text, condition.span, f"{name}?")
    if condition.operator == "tentative":
        return _replaced(text, condition.span, f"not {name}?")
    return _without(text, condition.span)


@dataclass(frozen=True)
class _Part:
    """Tokens between two `and`s at the top, or all of them where there is an `or` at the top."""

    tokens: tuple[Token, ...]
    whole: bool

    def conditions(self) -> list[tuple[str, Condition]]:
        found = []
        names = [n for n, token in enumerate(self.tokens) if token.type in ("NAME", "QUOTED")]
        for n in names:
            before = self.tokens[n - 1].type if n else ""
            function = self.tokens[n - 2].type if n > 1 and before == "LPAR" else ""
            if before == "AT" or function in ("_IN_SET", "_IN_SELECTION"):
                continue
            found.append((_code(self.tokens[n]), self._condition(n, function == "FUNCTION")))
        return found

    def _condition(self, n: int, inside_function: bool) -> Condition:
        tokens = self.tokens
        first, last = n, n
        operator, threshold = "accepted", None
        following = [token.type for token in tokens[n + 1 : n + 3]]
        if inside_function:
            operator = "other"
        elif following[:1] == ["QMARK"]:
            operator, last = "tentative", n + 1
        elif following == ["OPERATOR", "NUMBER"]:
            operator, last = _SIGNS.get(tokens[n + 1], str(tokens[n + 1])), n + 2
            threshold = float(tokens[n + 2])
        elif following and following[0] not in ("RPAR", "_AND", "_OR"):
            operator = "other"
        if operator != "other" and n and tokens[n - 1].type == "_NOT":
            first = n - 1
            operator = _NEGATED.get(operator, f"not {operator}")
        whole = self.whole and operator != "other" and (first, last) == (0, len(tokens) - 1)
        span = (tokens[first].start_pos or 0, tokens[last].end_pos or 0)
        return Condition(operator, threshold, span, whole)


def _parts(text: str) -> list[_Part]:
    parts: list[list[Token]] = [[]]
    depth, between, choice = 0, False, False
    for token in grammar().lex(text):
        depth += {"LPAR": 1, "RPAR": -1}.get(token.type, 0)
        choice |= token.type == "_OR" and depth == 0
        if token.type == "_AND" and depth == 0 and not between:
            parts.append([])
            continue
        between = token.type == "_BETWEEN" or (between and token.type != "_AND")
        parts[-1].append(token)
    if choice:
        return [_Part(tuple(grammar().lex(text)), False)]
    return [_Part(tuple(part), True) for part in parts]


def _code(token: Token) -> str:
    return str(token) if token.type == "NAME" else token[1:-1].replace('""', '"')


def _name(code: str) -> str:
    return to_text(Truth(code))


def _number(value: float) -> str:
    return f"{min(1.0, max(0.0, value)):.2f}"


def _replaced(text: str, span: tuple[int, int], new: str) -> str:
    return text[: span[0]] + new + text[span[1] :]


def _with(text: str, condition: str) -> str:
    """The text and one condition more."""
    if text.strip().lower() in ("", "true"):
        return condition
    kept = text.rstrip()
    alone = all(part.whole for part in _parts(kept))
    return f"{kept if alone else f'({kept.strip()})'} and {condition}"


def _without(text: str, span: tuple[int, int]) -> str:
    """The text without a condition and the `and` that joined it."""
    tokens = list(grammar().lex(text))
    before = [token for token in tokens if (token.end_pos or 0) <= span[0]]
    after = [token for token in tokens if (token.start_pos or 0) >= span[1]]
    if before:
        return text[: before[-1].start_pos].rstrip() + text[span[1] :]
    return text[after[0].end_pos :].lstrip() if after else ""
