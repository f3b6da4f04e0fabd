"""Typed fields out of YAML nodes: each reader returns the value, or None after it has reported why not."""

from __future__ import annotations

import math
import re

from colonnade.engine.columns import IMAGE_COLUMNS
from colonnade.engine.nearest import nearest
from colonnade.engine.vocabulary_faults import Fault, shown
from colonnade.engine.vocabulary_model import PLACEHOLDER
from colonnade.engine.vocabulary_yaml import Mapping, Node, Report, Scalar, Sequence

__all__ = ["FieldReader", "is_code"]

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FIELD = re.compile(r"\{[^{}]*\}")
_NEAREST_WORK = 60_000
"""Names that hints may be compared with in one file, so that a hostile one cannot make them slow."""

_READ_AS = {
    "bool": "a boolean (true/false)",
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
    "binary": "binary data",
}


def is_code(text: str) -> bool:
    """Whether `text` has the form of a code: [a-z][a-z0-9_]*, at most 64 characters."""
    return _CODE.fullmatch(text) is not None


class FieldReader:
    """Reads fields of one file and reports what is wrong with them."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._work = _NEAREST_WORK

    def fault(self, node: Node, message: str, hint: str = "") -> None:
        """Report a fault at a node's place."""
        self._report(Fault(node.line, node.column, message, hint))

    def near(self, word: str, candidates: tuple[str, ...]) -> str | None:
        """The nearest candidate, as long as the file has not asked for too many."""
        self._work -= len(candidates)
        return nearest(word, candidates) if self._work >= 0 else None

    def fields(
        self,
        node: Node,
        what: str,
        known: tuple[str, ...],
        required: tuple[str, ...] = (),
        foreign: dict[str, str] | None = None,
    ) -> dict[str, Node] | None:
        """The known keys of a mapping with their values; None where it is no mapping.

        `foreign` has hints for keys that are right elsewhere.
        """
        if not isinstance(node, Mapping):
            self.fault(node, f"{what} must be a mapping of {', '.join(known)}", self._instead(node))
            return None
        found: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key, value in node.pairs:
            if not isinstance(key, Scalar):
                self.fault(key, f"a key of {what} must be a plain word", "write `key: value`")
            elif key.value in lines:
                first = lines[key.value]
                self.fault(
                    key, f"duplicate key {shown(key.value)} in {what}", f"the first is on line {first}"
                )
            else:
                lines[key.value] = key.line
                if key.value in known:
                    found[key.value] = value
                else:
                    self._unknown_key(key, what, known, foreign or {})
        for name in required:
            if name not in found:
                self.fault(node, f"{what} has no {name}", f"add `{name}: ...`")
        return found

    def _unknown_key(self, key: Scalar, what: str, known: tuple[str, ...], foreign: dict[str, str]) -> None:
        if key.kind == "merge":
            hint = "merge keys are not read; write the keys out"
        elif key.value in foreign:
            hint = foreign[key.value]
        elif near := self.near(key.value, known):
            hint = f"did you mean {near}?"
        else:
            hint = f"known keys are {', '.join(known)}"
        self.fault(key, f"unknown key {shown(key.value)} in {what}", hint)

    def text(self, node: Node, what: str) -> str | None:
        """Text that is not blank, without white space at its ends."""
        if not isinstance(node, Scalar):
            self.fault(
                node, f"{what} must be text, not {_shape(node)}", "write it on one line, quoted if need be"
            )
            return None
        if node.kind == "null":
            self.fault(node, f"{what} is empty", "write some text, or remove the line")
            return None
        if node.kind != "str":
            self._not_text(node, what)
            return None
        value = node.value.strip(" \t\r\n")
        if not value:
            self.fault(node, f"{what} is empty", "write some text, or remove the line")
            return None
        if any("\ud800" <= c <= "\udfff" for c in value):
            self.fault(node, f"{what} holds half of a surrogate pair", "write the character itself")
            return None
        return value

    def _not_text(self, node: Scalar, what: str) -> None:
        if node.kind == "alias":
            return
        read_as = _READ_AS.get(node.kind, "no text")
        quoted = '"' + node.value[:48] + '"' if node.value.isprintable() and len(node.value) <= 48 else "it"
        hint = f"quote it: {quoted}" if quoted != "it" else "quote it"
        self.fault(node, f"{what}: {shown(node.value)} is read as {read_as}, not as text", hint)

    def code(self, node: Node, what: str = "code") -> str | None:
        """A code of the right form that no image column has."""
        value = self.text(node, what)
        if value is None:
            return None
        if not is_code(value):
            hint = "use a-z, 0-9 and _, starting with a letter, at most 64 characters"
            self.fault(node, f"{what} {shown(value)} is not a code", hint)
            return None
        if value in IMAGE_COLUMNS:
            self.fault(node, f"{what} {value} is the name of an image column", "choose another code")
            return None
        return value

    def items(self, node: Node, what: str) -> list[Node] | None:
        """The items of a list."""
        if isinstance(node, Sequence):
            return node.items
        shape = "empty" if isinstance(node, Scalar) and node.kind == "null" else _shape(node)
        self.fault(
            node, f"{what} must be a list, not {shape}", f"write `{what.rsplit(maxsplit=1)[-1]}: [...]`"
        )
        return None

    def texts(self, node: Node, what: str) -> tuple[str, ...] | None:
        """A list of at least one text."""
        items = self.items(node, what)
        if items is None:
            return None
        if not items:
            self.fault(node, f"{what} is an empty list", "write some, or remove the key")
            return None
        values = [self.text(item, f"{what}[{i}]") for i, item in enumerate(items)]
        return tuple(value for value in values if value is not None)

    def template(self, node: Node, text: str) -> None:
        """Check that a template has the placeholder and nothing else in braces."""
        rest = text.replace(PLACEHOLDER, "")
        if strange := _FIELD.search(rest):
            near = self.near(strange.group()[1:-1], (PLACEHOLDER[1:-1],))
            hint = f"did you mean {PLACEHOLDER}?" if near else f"only {PLACEHOLDER} is filled in"
            self.fault(node, f"template has a field {shown(strange.group())}", hint)
        elif "{" in rest or "}" in rest:
            self.fault(node, f"template {shown(text)} has a stray brace", f"only {PLACEHOLDER} is filled in")
        elif PLACEHOLDER not in text:
            self.fault(
                node, f"template {shown(text)} lacks {PLACEHOLDER}", "put it where the description goes"
            )

    def fraction(self, node: Node, what: str) -> float | None:
        """A number from 0 to 1, written as a decimal."""
        if not isinstance(node, Scalar) or node.kind not in ("int", "float"):
            written = shown(node.value) if isinstance(node, Scalar) else _shape(node)
            self.fault(
                node, f"{what} must be a number, not {written}", "write a decimal such as 0.8, unquoted"
            )
            return None
        try:
            value = float(node.value.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            self.fault(
                node, f"{what}: {shown(node.value)} is not a decimal number", "write a decimal such as 0.8"
            )
            return None
        if not math.isfinite(value):
            self.fault(node, f"{what} is not finite ({shown(node.value)})", "write a decimal from 0 to 1")
            return None
        if not 0 <= value <= 1:
            self.fault(node, f"{what} {shown(node.value)} is outside 0..1", "write a decimal from 0 to 1")
            return None
        return value

    @staticmethod
    def _instead(node: Node) -> str:
        return "found a list" if isinstance(node, Sequence) else "found a single value"


def _shape(node: Node) -> str:
    if isinstance(node, Scalar):
        return shown(node.value)
    return "a list" if isinstance(node, Sequence) else "a mapping"
