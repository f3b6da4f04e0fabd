"""YAML text to nodes that know their place, bounded in depth and in what aliases expand to.

Built from the parser's events, not by PyYAML's composer: that one recurses as deep as the text says, and
neither bounds aliases nor goes on after an unknown one. No tag makes an object here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NoReturn

import yaml
from yaml.resolver import Resolver

from colonnade.engine.vocabulary_faults import Fault, shown

__all__ = ["MAX_BYTES", "Mapping", "Node", "Scalar", "Sequence", "compose", "decode"]

MAX_BYTES = 1 << 20
_MAX_DEPTH = 16
_MAX_ALIASED = 100_000
"""Nodes that all aliases of a file may stand for, together. Without aliases its bytes bound a file."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PREFIX = "tag:yaml.org,2002:"
_ALLOWED_TAGS = frozenset(_PREFIX + kind for kind in ("str", "int", "float", "bool", "null", "seq", "map"))

_SYNTAX_HINTS = (
    ("cannot start any token", "indent with spaces, not tabs; quote text that starts with @, ` or %"),
    ("mapping values are not allowed", "quote text that contains ': '"),
    ("expected <block end>", "check the indentation here and above"),
    ("did not find expected", "check indentation, brackets and quotes here and above"),
    ("expected ',' or", "close the bracket, or quote the text in it"),
    ("could not find expected ':'", "write `key: value`; quote text that runs over several lines"),
    ("end of stream", "close the quote"),
)


@dataclass(slots=True)
class Scalar:
    """One value, as written: `kind` is what YAML 1.1 reads it as (str, int, float, bool, null, ...)."""

    kind: str
    value: str
    plain: bool
    decorated: bool
    """Whether an anchor or a tag stands before it."""
    line: int
    column: int
    start: int
    """Offset of the first character in the text."""
    end: int
    size: int = 1
    aliased: bool = False
    """Whether this place holds an alias: the value is written elsewhere, the place is the alias's own."""


@dataclass(slots=True)
class Sequence:
    """A list, in block or flow style."""

    line: int
    column: int
    start: int
    flow: bool
    decorated: bool
    items: list[Node] = field(default_factory=list)
    end: int = 0
    size: int = 1
    """How many nodes it is when every alias in it is written out."""
    aliased: bool = False


@dataclass(slots=True)
class Mapping:
    """Keys and values in the order of the file; duplicate keys are still in it."""

    line: int
    column: int
    start: int
    flow: bool
    decorated: bool
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    end: int = 0
    size: int = 1
    aliased: bool = False

    def get(self, key: str) -> Node | None:
        """The first value under `key`."""
        return next((v for k, v in self.pairs if isinstance(k, Scalar) and k.value == key), None)


Node = Scalar | Sequence | Mapping
Report = Callable[[Fault], None]


class _Stop(Exception):
    """Nothing after this point can be read; the fault is reported already."""


def decode(source: bytes, report: Report) -> str | None:
    """The text of a vocabulary file, or None (with a fault) where there is none to read.

    A byte order mark is not part of the text. Characters that YAML forbids are reported one by one and stand
    as U+FFFD, one for one, so that the rest is still checked and offsets hold.
    """
    if len(source) > MAX_BYTES:
        report(Fault(1, 1, f"the file is over {MAX_BYTES:,} bytes", "split it, or remove what is not needed"))
        return None
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8")
        line, column = _place(before, len(before))
        byte = source[error.start]
        report(Fault(line, column, f"not UTF-8 (byte 0x{byte:02x})", "save the file with UTF-8 encoding"))
        return None
    text = text.removeprefix("\ufeff")
    for found in _FORBIDDEN.finditer(text):
        character = found.group()
        hint = f'remove it, or write it as "\\x{ord(character):02x}" in double quotes'
        line, column = _place(text, found.start())
        report(Fault(line, column, f"character {shown(character)} is not allowed in YAML", hint))
    return _FORBIDDEN.sub("\ufffd", text)


def compose(text: str, report: Report) -> Node | None:
    """The one document in `text` as nodes, or None where there is none; every fault goes to `report`."""
    composer = _Composer(text, report)
    try:
        return composer.document()
    except _Stop:
        return None
    except yaml.MarkedYAMLError as error:
        report(_syntax_fault(error))
    except yaml.YAMLError as error:
        report(Fault(1, 1, f"not YAML: {_one_line(str(error))}"))
    return None


class _Composer:
    def __init__(self, text: str, report: Report) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_loader())
        self._report = report
        self._anchors: dict[str, Node | None] = {}
        self._aliased = 0
        self._resolver: Any = Resolver()

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self._fault(
                        event.start_mark, "a second document starts here", "keep one document in a file"
                    )
                    break
                root = self._node(next(self._events), 1)
        return root

    def _node(self, event: Any, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            self._stop(event, f"nested deeper than {_MAX_DEPTH} levels", "no vocabulary needs that")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        anchor: str | None = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        node = self._value(event, depth)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _value(self, event: Any, depth: int) -> Node:
        mark, decorated = event.start_mark, event.anchor is not None or event.tag is not None
        line, column, start = mark.line + 1, mark.column + 1, mark.index
        kind, end = self._kind(event), event.end_mark.index
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(kind, event.value, not event.style, decorated, line, column, start, end)
        flow = bool(event.flow_style)
        node: Sequence | Mapping
        if isinstance(event, yaml.SequenceStartEvent):
            node = Sequence(line, column, start, flow, decorated)
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                item = self._node(event, depth + 1)
                node.items.append(item)
                node.size += item.size
        else:
            node = Mapping(line, column, start, flow, decorated)
            while not isinstance(event := next(self._events), yaml.MappingEndEvent):
                key = self._node(event, depth + 1)
                value = self._node(next(self._events), depth + 1)
                node.pairs.append((key, value))
                node.size += key.size + value.size
        node.end = event.end_mark.index
        return node

    def _alias(self, event: Any) -> Node:
        alias, mark = "*" + event.anchor, event.start_mark
        node = self._anchors.get(event.anchor)
        if node is None:
            inside = event.anchor in self._anchors
            what = "stands inside its own anchor" if inside else "names no anchor above it"
            hint = "write it out" if inside else f"quote it, if it is meant as text: '{_one_line(alias)}'"
            self._fault(mark, f"alias {shown(alias)} {what}", hint)
            return Scalar("alias", alias, True, True, mark.line + 1, mark.column + 1, mark.index, mark.index)
        self._aliased += node.size
        if self._aliased > _MAX_ALIASED:
            self._stop(event, f"aliases stand for more than {_MAX_ALIASED:,} nodes", "write the values out")
        place = {"line": mark.line + 1, "column": mark.column + 1, "start": mark.index}
        return replace(node, **place, end=event.end_mark.index, decorated=False, aliased=True)

    def _kind(self, event: Any) -> str:
        """What YAML 1.1 reads an event as; reports a tag that could make anything else."""
        if event.tag in _ALLOWED_TAGS:
            return str(event.tag).removeprefix(_PREFIX)
        if event.tag not in (None, "!"):
            self._fault(event.start_mark, f"tag {shown(event.tag)} is not allowed", "remove the tag")
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or not event.implicit[0]:
            return "str"
        tag = self._resolver.resolve(yaml.ScalarNode, event.value, (True, False))
        return str(tag).removeprefix(_PREFIX)

    def _stop(self, event: Any, message: str, hint: str) -> NoReturn:
        self._fault(event.start_mark, message, hint)
        raise _Stop

    def _fault(self, mark: Any, message: str, hint: str) -> None:
        self._report(Fault(mark.line + 1, mark.column + 1, message, hint))


@cache
def _loader() -> Any:
    """libyaml's parser where PyYAML was built with it: five times as fast, the same events."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _syntax_fault(error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    problem = _one_line(error.problem or error.context or "cannot be read")
    hint = next((hint for words, hint in _SYNTAX_HINTS if words in problem), "")
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Fault(line, column, f"not YAML: {problem}", hint)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:160]


def _place(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of an offset."""
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
