"""Values as YAML text: plain where that reads back as the same value, quoted and escaped where not."""

from __future__ import annotations

import json
from collections.abc import Mapping as MappingType
from collections.abc import Sequence as SequenceType

from colonnade.engine.vocabulary_yaml import Mapping, Scalar, Sequence, compose

__all__ = ["Value", "double_quoted", "scalar", "written"]

Value = str | float | SequenceType[str] | MappingType[str, "Value"]
"""What can be written: text, a number, a list of texts, or a mapping of these."""


def written(value: Value) -> str:
    """A value in flow style, on one line."""
    if isinstance(value, str):
        return scalar(value, flow=True)
    if isinstance(value, float | int):
        digits = f"{value:.10f}".rstrip("0")
        return digits + "0" if digits.endswith(".") else digits
    if isinstance(value, MappingType):
        return "{" + ", ".join(f"{key}: {written(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(written(item) for item in value) + "]"


def scalar(text: str, *, flow: bool) -> str:
    """Text as a YAML scalar: plain where it reads back as itself, else in double quotes."""
    if text.isprintable():
        root = compose(f"[{text}]" if flow else f"k: {text}", lambda fault: None)
        node = root.items[0] if isinstance(root, Sequence) and len(root.items) == 1 else None
        if isinstance(root, Mapping) and not flow:
            node = root.get("k")
        if isinstance(node, Scalar) and node.kind == "str" and node.plain and node.value == text:
            return text
    return double_quoted(text)


def double_quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escaped(c) for c in quoted)


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\U{number:08x}" if number > 0xFFFF else f"\\u{number:04x}"
