"""Binding an expression: every name is looked up, every value checked against what it is compared with."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from colonnade.engine.columns import IMAGE_COLUMNS, IMAGE_VALUES, STATUSES
from colonnade.engine.expression_text import to_text
from colonnade.engine.expression_tree import (
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
    selections,
)

__all__ = ["bind", "cannot_keep", "kind_of", "unknown"]

_KINDS = {"BIGINT": "number", "INTEGER": "number", "VARCHAR": "text", "TIMESTAMP": "time", "BLOB": "bytes"}
_OPERAND_KINDS = {"confidence": "number", "logit": "number", "source": "text", "status": "text"}
UTC_COLUMNS = frozenset({"mtime"})
"""Image columns stored as an instant; the others of type TIMESTAMP are local times without a zone."""


_LISTED = 8
_MEANT = {
    "id": "image_id",
    "name": "path",
    "file": "path",
    "filename": "path",
    "size": "bytes",
    "date": "taken",
}
_SAVE_FIRST = "save the selection as a set first, and write in_set(NAME)"
"""What to do where a selection means nothing."""


def kind_of(operand: Operand) -> str:
    """What the values of a bound operand are: `number`, `text`, `time` or `bytes`."""
    return _KINDS[IMAGE_COLUMNS[operand.name]] if operand.kind == "image" else _OPERAND_KINDS[operand.kind]


def unknown(what: str, name: str, candidates: Iterable[str], *, listed: bool = False) -> str:
    """`unknown <what> "<name>"`, with the nearest candidate where one is near.

    Args:
        listed: where none is near, say which there are.
    """
    from colonnade.engine.nearest import nearest

    known = tuple(candidates)
    meant = _MEANT.get(name.lower())
    near = nearest(name, known) or (meant if meant in known else None)
    said = f'unknown {what} "{name}"'
    if near:
        return f'{said}; did you mean "{near}"?'
    if not listed:
        return said
    if not known:
        return f"{said}; there is no {what} yet"
    first = ", ".join(other[:64] for other in sorted(known)[:_LISTED])
    return f"{said}; there {'are' if len(known) > 1 else 'is'}: {first}" + (
        ", ..." if len(known) > _LISTED else ""
    )


def cannot_keep(tree: Expression) -> str | None:
    """Why an expression means nothing to another process or another day, in one line; None where it does."""
    chosen = selections(tree)
    if not chosen:
        return None
    alone = f"in_selection({chosen[0]}) is known to the running app alone"
    return f"{alone}, so no query can keep it: {_SAVE_FIRST}"


def bind(
    tree: Expression,
    codes: Collection[str],
    sets: Collection[str] = (),
    *,
    selections: Collection[str] | None = None,
    text: str | None = None,
) -> Expression:
    """Look up every name of a parsed (and expanded) expression.

    Args:
        tree: from `parse`; saved queries must have been put in by `expand`.
        codes: the attributes that may be named.
        sets: the names `in_set` may use.
        selections: the names `in_selection` may use; None where there are no selections, as on the command line.
        text: what the tree was parsed from, for the positions in errors; by default its canonical form.

    Returns:
        The tree with operands of kind `image` or `confidence` for plain names, and with times as datetimes
        (with UTC for `mtime`, without a zone for `taken`).

    Raises:
        ExpressionError: an unknown name, or a value of the wrong kind.
    """
    if text is None:
        from colonnade.engine.expression import parse

        text = to_text(tree)
        tree = parse(text)
    return _Binder(text, codes, sets, selections).bind(tree)


class _Binder:
    def __init__(
        self, text: str, codes: Collection[str], sets: Collection[str], selections: Collection[str] | None
    ) -> None:
        self.text = text
        self.codes = frozenset(codes)
        self.sets = frozenset(sets)
        self.selections = selections

    def bind(self, node: Expression) -> Expression:
        match node:
            case Constant():
                return node
            case Not(part):
                return Not(self.bind(part))
            case And(parts):
                return And(tuple(self.bind(part) for part in parts))
            case Or(parts):
                return Or(tuple(self.bind(part) for part in parts))
            case Truth():
                self._check_condition(node)
                return node
            case InSet(name, position):
                if name not in self.sets:
                    raise self._error(unknown("set", name, self.sets, listed=True), position)
                return node
            case InSelection(name, position):
                if self.selections is None:
                    message = f"a selection is known to the running app alone; {_SAVE_FIRST}"
                    raise self._error(message, position)
                if name not in self.selections:
                    raise self._error(unknown("selection", name, self.selections), position)
                return node
            case Saved(name, position):
                raise self._error(f'the saved query "@{name}" is not available here', position)
            case IsNull(operand):
                return replace(node, operand=self._operand(operand))
            case Like(operand, _, _, position):
                operand = self._operand(operand)
                if kind_of(operand) != "text":
                    raise self._error(f"`like` works on text; {operand.name} is not text", position)
                return replace(node, operand=operand)
            case Compare(operand, _, value, position):
                operand = self._operand(operand)
                return replace(node, operand=operand, value=self._value(operand, value, position))
            case Between(operand, low, high, _, position):
                operand = self._operand(operand)
                low, high = self._value(operand, low, position), self._value(operand, high, position)
                return replace(node, operand=operand, low=low, high=high)
            case In(operand, values, _, position):
                operand = self._operand(operand)
                return replace(
                    node,
                    operand=operand,
                    values=tuple(self._value(operand, value, position) for value in values),
                )

    def _error(self, message: str, position: int) -> ExpressionError:
        return ExpressionError(message, self.text, position)

    def _check_condition(self, node: Truth) -> None:
        if node.name in self.codes:
            return
        if node.name in IMAGE_COLUMNS:
            example = {"number": "> 1000", "text": "= '...'", "time": ">= '2024-01-31'", "bytes": "is null"}
            kind = kind_of(Operand("image", node.name))
            message = f'"{node.name}" is a column of the images; compare it: {node.name} {example[kind]}'
            raise self._error(message, node.position)
        raise self._error(unknown("attribute", node.name, self.codes), node.position)

    def _operand(self, operand: Operand) -> Operand:
        if operand.kind == "name" and operand.name in IMAGE_COLUMNS:
            return replace(operand, kind="image")
        if operand.name not in self.codes:
            names = self.codes if operand.kind != "name" else {*self.codes, *IMAGE_COLUMNS}
            raise self._error(unknown("attribute", operand.name, names), operand.position)
        return replace(operand, kind="confidence") if operand.kind == "name" else operand

    def _value(self, operand: Operand, value: Value, position: int) -> Value:
        kind = kind_of(operand)
        shown = operand.name if operand.kind in ("image", "confidence") else f"{operand.kind}({operand.name})"
        if kind == "number":
            if isinstance(value, str):
                raise self._error(f"{shown} is a number; compare it with one, without quotes", position)
            return value
        if kind == "bytes":
            raise self._error(f"{shown} can only be tested with `is null`", position)
        if not isinstance(value, str):
            raise self._error(f"{shown} is {kind}; compare it with text in single quotes", position)
        if kind == "time":
            return self._time(operand.name, value, position)
        few = STATUSES if operand.kind == "status" else IMAGE_VALUES.get(operand.name, ())
        if few and value not in few:
            name = operand.name if operand.kind == "image" else operand.kind
            message = unknown(name, value, few)
            between = " " if message.endswith("?") else "; "
            raise self._error(f"{message}{between}there are {', '.join(few)}", position)
        return value

    def _time(self, name: str, value: str, position: int) -> datetime:
        """A year, a month, a day or a moment in ISO 8601, as the first instant it names."""
        text = value.strip()
        padded = text + {4: "-01-01", 7: "-01"}.get(len(text), "")
        try:
            moment = datetime.fromisoformat(padded)
            if name in UTC_COLUMNS:
                return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise self._error(
                "not a date; write it like '2024-01-31' or '2024-01-31T18:30'", position
            ) from None
        if moment.tzinfo is not None:
            raise self._error(f"{name} is a local time without a zone; leave the zone out", position)
        return moment
