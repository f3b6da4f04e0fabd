"""The query language: text to tree, and saved queries put in.

    earth >= 0.8 and moon < 0.5 and not diagram and taken >= '2021-05-01' and in_set(chosen)

A bare name is "accepted", `name?` is "at least tentative". Conditions have three values: what was not
scored is unknown, `not` of unknown is unknown, and only what is true matches.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colonnade.engine.errors import InputError
from colonnade.engine.expression_binding import bind
from colonnade.engine.expression_faults import syntax_error
from colonnade.engine.expression_text import to_text
from colonnade.engine.expression_tree import (
    MAX_CHARACTERS,
    MAX_NESTING,
    And,
    Between,
    Compare,
    Constant,
    Expression,
    ExpressionError,
    In,
    InSelection,
    InSet,
    IsNull,
    Like,
    Not,
    Operand,
    Or,
    Saved,
    Truth,
    Value,
    depth,
    walk,
)

if TYPE_CHECKING:
    from lark import Lark, Token

__all__ = ["Expression", "ExpressionError", "bind", "expand", "grammar", "parse", "to_text"]

MAX_NODES = 10_000
"""How many nodes an expression may have once its saved queries are put in."""

MAX_NESTED_QUERIES = 8

_Name = tuple[str, int]


class _Builder:
    """Makes nodes as the parser reduces; each method has its grammar rule's name."""

    def start(self, items: list[Any]) -> Any:
        return items[0]

    def any_of(self, items: list[Any]) -> Any:
        return Or(tuple(items)) if len(items) > 1 else items[0]

    def all_of(self, items: list[Any]) -> Any:
        return And(tuple(items)) if len(items) > 1 else items[0]

    def negated(self, items: list[Any]) -> Not:
        return Not(items[0])

    def constant(self, items: list[Token]) -> Constant:
        return Constant(items[0].lower() == "true")

    def accepted(self, items: list[_Name]) -> Truth:
        return Truth(items[0][0], False, items[0][1])

    def tentative(self, items: list[_Name]) -> Truth:
        return Truth(items[0][0], True, items[0][1])

    def saved(self, items: list[Token]) -> Saved:
        return Saved(str(items[0]), _position(items[0]) - 1)

    def in_set(self, items: list[_Name]) -> InSet:
        return InSet(*items[0])

    def in_selection(self, items: list[_Name]) -> InSelection:
        return InSelection(*items[0])

    def operand(self, items: list[_Name]) -> Operand:
        return Operand("name", *items[0])

    def function(self, items: list[Any]) -> Operand:
        return Operand(items[0].lower(), *items[1])

    def name(self, items: list[Token]) -> _Name:
        token = items[0]
        text = str(token) if token.type == "NAME" else token[1:-1].replace('""', '"')
        return text, _position(token)

    def value(self, items: list[Token]) -> tuple[Value, int]:
        token = items[0]
        return (_string(token) if token.type == "STRING" else _number(token)), _position(token)

    def compare(self, items: list[Any]) -> Compare:
        operator = {"==": "=", "<>": "!="}.get(items[1], str(items[1]))
        return Compare(items[0], operator, *items[2])

    def between(self, items: list[Any], negated: bool = False) -> Between:
        return Between(items[0], items[1][0], items[2][0], negated, items[1][1])

    def not_between(self, items: list[Any]) -> Between:
        return self.between(items, True)

    def one_of(self, items: list[Any], negated: bool = False) -> In:
        return In(items[0], tuple(value for value, _ in items[1:]), negated, items[1][1])

    def none_of(self, items: list[Any]) -> In:
        return self.one_of(items, True)

    def like(self, items: list[Any], negated: bool = False) -> Like:
        return Like(items[0], _string(items[1]), negated, _position(items[1]))

    def not_like(self, items: list[Any]) -> Like:
        return self.like(items, True)

    def is_null(self, items: list[Any]) -> IsNull:
        return IsNull(items[0])

    def is_not_null(self, items: list[Any]) -> IsNull:
        return IsNull(items[0], True)


def _position(token: Token) -> int:
    return token.start_pos or 0


def _string(token: Token) -> str:
    return token[1:-1].replace("''", "'")


def _number(token: Token) -> int | float:
    """A whole number of up to 18 digits is exact, anything else a float (perhaps infinite: refused later)."""
    return int(token) if re.fullmatch(r"[+-]?\d{1,18}", token) else float(token)


@cache
def grammar() -> Lark:
    """The parser, built when it is first needed."""
    from lark import Lark

    rules = Path(__file__).with_name("expression.lark").read_text("utf-8")
    return Lark(rules, parser="lalr", lexer="basic", transformer=_Builder())


def parse(text: str) -> Expression:
    """Read an expression; names are looked up later, by `bind`.

    Raises:
        ExpressionError: it is wrong; the error tells where.
        InputError: longer than 10,000 characters, or not valid Unicode.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"the expression has {len(text):,} characters; {MAX_CHARACTERS:,} is the most")
    if not text.strip():
        raise ExpressionError("the expression is empty; `true` matches every image", text, 0)
    _check_unicode(text)
    from lark import UnexpectedInput

    state = grammar().parse_interactive(text)
    nesting = 0
    try:
        for token in state.iter_parse():
            nesting += {"LPAR": 1, "RPAR": -1}.get(token.type, 0)
            if nesting > MAX_NESTING:
                raise _too_deep(text, _position(token))
            if token.type == "NUMBER" and not math.isfinite(_number(token)):
                raise ExpressionError("the number is too large", text, _position(token))
        tree: Expression = state.feed_eof()  # type: ignore[no-untyped-call]
    except UnexpectedInput as error:
        raise syntax_error(text, error, state) from None
    if depth(tree) > MAX_NESTING:
        raise _too_deep(text, 0)
    return tree


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the expression is not valid UTF-8 at character {error.start + 1}") from None


def _too_deep(text: str, position: int) -> ExpressionError:
    return ExpressionError(f"nested deeper than {MAX_NESTING} levels", text, position)


def expand(tree: Expression, text: str, saved: Mapping[str, str]) -> Expression:
    """Replace each `@name` by the saved expression of that name, and those inside it.

    What is put in gets the position of the `@name` in `text`.

    Raises:
        ExpressionError: an unknown name, one that uses itself, a saved expression that is wrong, or the
            whole is too large.
    """
    if not any(isinstance(node, Saved) for node in walk(tree)):
        return tree
    expanded = _Expansion(text, saved).expand(tree, (), None)
    if depth(expanded) > MAX_NESTING:
        raise _too_deep(text, 0)
    return expanded


class _Expansion:
    """Puts saved queries in, counting nodes: a few lines of them can stand for millions."""

    def __init__(self, text: str, saved: Mapping[str, str]) -> None:
        self.text = text
        self.saved = saved
        self.nodes = 0

    def expand(self, node: Expression, inside: tuple[str, ...], position: int | None) -> Expression:
        """`inside`: the saved queries being put in; `position`: where the outermost of them stands."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            message = f"with its saved queries it has more than {MAX_NODES:,} conditions"
            raise ExpressionError(message, self.text, position or 0)
        match node:
            case Not(part):
                return Not(self.expand(part, inside, position))
            case And(parts) | Or(parts):
                return type(node)(tuple(self.expand(part, inside, position) for part in parts))
            case Saved(name, own_position):
                where = own_position if position is None else position
                return self.expand(self._read(name, inside, where), (*inside, name), where)
        return node if position is None else _moved(node, position)

    def _read(self, name: str, inside: tuple[str, ...], where: int) -> Expression:
        if name in inside:
            raise ExpressionError(f'the saved query "@{name}" uses itself', self.text, where)
        if len(inside) >= MAX_NESTED_QUERIES:
            raise ExpressionError(f"saved queries nest deeper than {MAX_NESTED_QUERIES}", self.text, where)
        if name not in self.saved:
            from colonnade.engine.expression_binding import unknown

            raise ExpressionError(unknown("saved query", name, self.saved, listed=True), self.text, where)
        try:
            return parse(self.saved[name])
        except InputError as error:
            message = error.message if isinstance(error, ExpressionError) else str(error)
            raise ExpressionError(f'in the saved query "@{name}": {message}', self.text, where) from None


def _moved(node: Expression, position: int) -> Expression:
    if isinstance(node, IsNull):
        return replace(node, operand=replace(node.operand, position=position))
    if isinstance(node, Compare | Between | In | Like):
        return replace(node, operand=replace(node.operand, position=position), position=position)
    return replace(node, position=position) if isinstance(node, Truth | InSet | InSelection) else node
