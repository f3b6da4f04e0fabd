"""The tree of a query expression: its nodes and its errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from colonnade.engine.errors import InputError

__all__ = [
    "FUNCTIONS",
    "KEYWORDS",
    "MAX_CHARACTERS",
    "MAX_NESTING",
    "WORDS",
    "And",
    "Between",
    "Compare",
    "Constant",
    "Expression",
    "ExpressionError",
    "In",
    "InSelection",
    "InSet",
    "IsNull",
    "Like",
    "Not",
    "Operand",
    "Or",
    "Saved",
    "Truth",
    "Value",
    "children",
    "depth",
    "operands",
    "selections",
    "walk",
]

MAX_CHARACTERS = 10_000
MAX_NESTING = 100

WORDS = {
    "_AND": "and",
    "_OR": "or",
    "_NOT": "not",
    "_IN": "in",
    "_LIKE": "like",
    "_BETWEEN": "between",
    "_IS": "is",
    "_NULL": "null",
    "TRUE": "true",
    "FALSE": "false",
}
"""Terminal of the grammar -> the keyword it stands for."""

KEYWORDS = frozenset(WORDS.values())
"""Words with a meaning of their own; an attribute of such a name is written in double quotes."""

FUNCTIONS = ("logit", "source", "status")
"""What can be asked of an attribute besides its confidence: `logit(earth)`."""

_WINDOW = 100

Value = int | float | str | datetime


class ExpressionError(InputError):
    """An expression is wrong. `str(error)` has the message, the expression and a caret below the fault."""

    def __init__(self, message: str, text: str, position: int) -> None:
        super().__init__(f"{message}\n{_pointed(text, position)}")
        self.message = message
        """What is wrong, in one line, with a hint where there is one."""
        self.text = text
        """The whole expression."""
        self.position = position
        """Where it is wrong: 0-based index into `text` (its length: at the end)."""


def _pointed(text: str, position: int) -> str:
    """The part of `text` around `position` on one line, and a caret under it on the next."""
    start = max(0, min(position - _WINDOW // 2, len(text) - _WINDOW))
    shown = "".join(char if char.isprintable() else " " for char in text[start : start + _WINDOW])
    before = "..." if start else ""
    after = "..." if start + _WINDOW < len(text) else ""
    return f"  {before}{shown}{after}\n  {' ' * (len(before) + position - start)}^"


@dataclass(frozen=True, slots=True)
class Operand:
    """Something with a value per image.

    `kind` is `name` as parsed; binding makes it `image` (a column of the images table) or `confidence`.
    `logit`, `source` and `status` are written as functions of an attribute.
    """

    kind: str
    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Constant:
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """A bare name: the attribute is accepted, or (`name?`) at least tentative."""

    name: str
    tentative: bool = False
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """`operand operator value`; the operator is one of `= != < <= > >=`."""

    operand: Operand
    operator: str
    value: Value
    position: int = field(default=0, compare=False)
    """Where the value stands."""


@dataclass(frozen=True, slots=True)
class Between:
    """`operand [not] between low and high`, both ends included."""

    operand: Operand
    low: Value
    high: Value
    negated: bool = False
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class In:
    """`operand [not] in (value, ...)`."""

    operand: Operand
    values: tuple[Value, ...]
    negated: bool = False
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Like:
    """`operand [not] like 'pattern'`: `%` is any text, `_` any character."""

    operand: Operand
    pattern: str
    negated: bool = False
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class IsNull:
    """`operand is [not] null`; for an attribute: its status is unknown."""

    operand: Operand
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InSet:
    """`in_set(name)`: the image is in a stored set."""

    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class InSelection:
    """`in_selection(name)`: the image is among those that are selected in the running app."""

    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Saved:
    """`@name`: a saved query, replaced by its expression before binding."""

    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    part: Expression


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Expression, ...]


Expression = (
    Constant | Truth | Compare | Between | In | Like | IsNull | InSet | InSelection | Saved | Not | And | Or
)


def children(node: Expression) -> tuple[Expression, ...]:
    """The expressions directly inside a node."""
    if isinstance(node, Not):
        return (node.part,)
    return node.parts if isinstance(node, And | Or) else ()


def walk(tree: Expression) -> Iterator[Expression]:
    """Every node, each before those inside it, from left to right; without recursion."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def depth(tree: Expression) -> int:
    """How deep the nodes nest (1: a single condition); without recursion."""
    deepest, level = 0, [tree]
    while level:
        deepest += 1
        level = [child for node in level for child in children(node)]
    return deepest


def operands(tree: Expression) -> Iterator[Operand]:
    """What the conditions look at, in order; a bare name counts as the attribute's `status`."""
    for node in walk(tree):
        if isinstance(node, Truth):
            yield Operand("status", node.name, node.position)
        elif isinstance(node, Compare | Between | In | Like | IsNull):
            yield node.operand


def selections(tree: Expression) -> tuple[str, ...]:
    """The selections that are named, each once."""
    return tuple(dict.fromkeys(node.name for node in walk(tree) if isinstance(node, InSelection)))
