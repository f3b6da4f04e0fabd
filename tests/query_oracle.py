"""What a query should find: an oracle in plain Python, and random stores and expressions to ask it about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from hypothesis import strategies as st
from query_stores import Content, Score, image

from colonnade.engine.expression_tree import (
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
    Truth,
)

__all__ = ["CODES", "SHARD", "contents", "expressions", "score", "single", "verdict"]

CODES = ("earth", "moon", "order", "never")
SHARD = 1 << 17


def verdict(
    node: Expression, row: Mapping[str, Any], scores: dict[str, Score], sets: set[str]
) -> bool | None:
    """What a bound-free expression says of one image, by Kleene's logic, one condition at a time."""

    def inner(part: Expression) -> bool | None:
        return verdict(part, row, scores, sets)

    def value(operand: Operand) -> Any:
        if operand.kind == "name" and operand.name in row:
            return row[operand.name]
        logit, confidence, status = scores.get(operand.name, (None, None, None))
        if operand.kind == "source":
            return None if operand.name not in scores else "clip_zero_shot"
        found = {"name": confidence, "logit": logit, "status": status}[operand.kind]
        return np.float32(found) if isinstance(found, float) else found

    def fit(operand: Operand, literal: Any) -> Any:
        if operand.name == "taken" and operand.kind == "name":
            return datetime.fromisoformat(literal)
        scored = operand.kind == "logit" or (operand.kind == "name" and operand.name in CODES)
        with np.errstate(over="ignore"):
            return np.float32(literal) if scored else literal

    def compare(operator: str, left: Any, right: Any) -> bool | None:
        if left is None:
            return None
        outcomes = {"=": left == right, "!=": left != right, "<": left < right}
        outcomes |= {"<=": left <= right, ">": left > right, ">=": left >= right}
        return bool(outcomes[operator])

    def negate(found: bool | None, negated: bool = True) -> bool | None:
        return found if found is None or not negated else not found

    match node:
        case Constant(constant):
            return constant
        case Not(part):
            return negate(inner(part))
        case And(parts):
            found = [inner(part) for part in parts]
            return False if False in found else None if None in found else True
        case Or(parts):
            found = [inner(part) for part in parts]
            return True if True in found else None if None in found else False
        case Truth(name, tentative):
            status = scores.get(name, (None, None, None))[2]
            return None if status is None else status == "accepted" or (tentative and status == "tentative")
        case InSet(name) | InSelection(name):
            return name in sets
        case Compare(operand, operator, literal):
            return compare(operator, value(operand), fit(operand, literal))
        case Between(operand, low, high, negated):
            ends = [
                compare(">=", value(operand), fit(operand, low)),
                compare("<=", value(operand), fit(operand, high)),
            ]
            return negate(None if None in ends else all(ends), negated)
        case In(operand, literals, negated):
            left = value(operand)
            return (
                None
                if left is None
                else negate(any(left == fit(operand, item) for item in literals), negated)
            )
        case Like(operand, pattern, negated):
            left = value(operand)
            return None if left is None else negate(like(left, pattern), negated)
        case IsNull(operand, negated):
            asked = (
                Operand("status", operand.name)
                if operand.kind == "name" and operand.name in CODES
                else operand
            )
            return (value(asked) is None) != negated
    raise AssertionError(node)


def like(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(like(text[n:], pattern[1:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and like(text[1:], pattern[1:])


GRID = [0.0, 0.25, 0.5, 0.7999999523162842, 0.8, 0.800000011920929, 1.0]
confidences = st.sampled_from(GRID)


def score(confidence: float) -> Score:
    status = "accepted" if confidence >= 0.8 else "tentative" if confidence >= 0.5 else "rejected"
    return (20.0 + 10 * confidence, confidence, status)


def single(value: float | None) -> float | None:
    return None if value is None else float(np.float32(value))


scores = st.one_of(confidences.map(score), st.just((None, None, None)), st.just((None, None, "rejected")))
ids = st.lists(
    st.sampled_from([0, 1, 2, 3, 4, 5, SHARD, SHARD + 1, 3 * SHARD]), min_size=0, max_size=7, unique=True
)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    chosen = draw(ids)
    images = [
        image(
            image_id,
            path=draw(st.sampled_from(["a.jpg", "b_1.jpg", "dir/it's.png", "%", "Ünïcode.JPG"])),
            width=draw(st.sampled_from([None, 1, 640, 641])),
            taken=draw(st.sampled_from([None, datetime(2021, 5, 3), datetime(2021, 5, 3, 12)])),
            state=draw(st.sampled_from(["ok", "ok", "ok", "missing"])),
        )
        for image_id in chosen
    ]
    together = draw(st.booleans())
    tables = {
        code: {n: draw(scores) for n in chosen if together or draw(st.booleans())} for code in CODES[:3]
    }
    sets = {name: [n for n in chosen if draw(st.booleans())] for name in ("chosen", "other")}
    return Content(images, tables, sets)


attributes = st.sampled_from(CODES)
numbers = st.sampled_from([*GRID, -1, 0, 1, 2, 1e39, -1e39])
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
paths = st.sampled_from(["a.jpg", "%.jpg", "_.jpg", "%'%", "%", "", "b_1%", "Ü%"])


def kinds(names: st.SearchStrategy[str], kind: str = "name") -> st.SearchStrategy[Operand]:
    return names.map(lambda name: Operand(kind, name))


number_operands = kinds(attributes) | kinds(attributes, "logit") | kinds(st.just("width"))
number_values = numbers | st.sampled_from([20, 25.5, 28.0, 640, 10**17])
text_conditions = [
    (kinds(st.just("path")), paths),
    (kinds(attributes, "source"), st.sampled_from(["clip_zero_shot", "x"])),
    (kinds(attributes, "status"), st.sampled_from(["accepted", "tentative", "rejected"])),
    (kinds(st.just("taken")), st.sampled_from(["2021-05-03", "2021-05-03T12:00", "2022-01-01"])),
]


def about(
    operand: st.SearchStrategy[Operand], value: st.SearchStrategy[Any]
) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(Compare, operand, operators, value),
        st.builds(Between, operand, value, value, st.booleans()),
        st.builds(In, operand, st.lists(value, min_size=1, max_size=3).map(tuple), st.booleans()),
        st.builds(IsNull, operand, st.booleans()),
    )


conditions = st.one_of(
    st.builds(Constant, st.booleans()),
    st.builds(Truth, attributes, st.booleans()),
    st.builds(InSet, st.sampled_from(["chosen", "other", "empty"])),
    st.builds(InSelection, st.sampled_from(["chosen", "other", "empty"])),
    st.builds(Like, kinds(st.just("path")) | kinds(attributes, "status"), paths, st.booleans()),
    about(number_operands, number_values),
    *(about(operand, value) for operand, value in text_conditions),
)
expressions = st.recursive(
    conditions,
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, min_size=2, max_size=3).map(tuple).map(And)
        | st.lists(inner, min_size=2, max_size=3).map(tuple).map(Or)
    ),
    max_leaves=5,
)
