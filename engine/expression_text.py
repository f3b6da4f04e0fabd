"""An expression written out again, in its canonical form."""

from __future__ import annotations

import re
from datetime import datetime

from colonnade.engine.expression_tree import (
    FUNCTIONS,
    KEYWORDS,
    And,
    Between,
    Compare,
    Constant,
    Expression,
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
)

__all__ = ["to_text"]

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)


def to_text(tree: Expression) -> str:
    """The expression in canonical form; parsing it gives an equal tree."""
    return _text(tree, 0)


def _text(node: Expression, level: int) -> str:
    """`level`: 0 inside `or`, 1 inside `and`, 2 inside `not`; what binds less is put in parentheses."""
    match node:
        case Constant(value):
            return "true" if value else "false"
        case Truth(name, tentative):
            return _name(name) + ("?" if tentative else "")
        case InSet(name):
            return f"in_set({_name(name)})"
        case InSelection(name):
            return f"in_selection({_name(name)})"
        case Saved(name):
            return f"@{name}"
        case Not(part):
            return f"not {_text(part, 2)}"
        case And(parts):
            text = " and ".join(_text(part, 2) for part in parts)
            return f"({text})" if level > 1 else text
        case Or(parts):
            text = " or ".join(_text(part, 1) for part in parts)
            return f"({text})" if level > 0 else text
        case Compare(operand, operator, value):
            return f"{_operand(operand)} {operator} {_value(value)}"
        case Between(operand, low, high, negated):
            return f"{_operand(operand)} {_no(negated)}between {_value(low)} and {_value(high)}"
        case In(operand, values, negated):
            return f"{_operand(operand)} {_no(negated)}in ({', '.join(map(_value, values))})"
        case Like(operand, pattern, negated):
            return f"{_operand(operand)} {_no(negated)}like {_value(pattern)}"
        case IsNull(operand, negated):
            return f"{_operand(operand)} is {_no(negated)}null"


def _no(negated: bool) -> str:
    return "not " if negated else ""


def _name(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name) and name.lower() not in KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def _operand(operand: Operand) -> str:
    name = _name(operand.name)
    return f"{operand.kind}({name})" if operand.kind in FUNCTIONS else name


def _value(value: Value) -> str:
    if isinstance(value, datetime):
        value = value.isoformat()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
