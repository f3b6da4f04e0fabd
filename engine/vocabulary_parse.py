"""YAML nodes to a Vocabulary, with every fault on the way: the schema of the vocabulary file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from colonnade.engine.columns import IMAGE_COLUMNS
from colonnade.engine.vocabulary_faults import Fault, shown
from colonnade.engine.vocabulary_fields import FieldReader, is_code
from colonnade.engine.vocabulary_model import (
    DEFAULT_TEMPLATE,
    BaseAttribute,
    DerivedAttribute,
    Rule,
    Thresholds,
    Vocabulary,
)
from colonnade.engine.vocabulary_yaml import Mapping, Node, Report, Scalar, Sequence, compose, decode

__all__ = ["MAX_PROMPT_CHARACTERS", "read_vocabulary"]

MAX_PROMPT_CHARACTERS = 1 << 26
"""What all prompts of a file may come to once templates are filled: a file of 1 MiB can ask for far more."""

_TOP = ("thresholds", "templates", "base_attributes", "derived_attributes")
_BASE = ("code", "label", "description", "type", "prompts", "thresholds")
_DERIVED = ("code", "label", "description", "type", "rule")
_THRESHOLDS = ("accepted", "tentative")
_RULE = ("all_of", "any_of", "none_of")
_REQUIRED = ("code", "label", "description")
_NOT_BASE = {"rule": "an attribute with a rule belongs under derived_attributes"}
_NOT_DERIVED = {
    "prompts": "a derived attribute has no prompts; its rule decides",
    "thresholds": "a derived attribute has no thresholds; its rule decides",
}


def read_vocabulary(source: bytes, report: Report) -> Vocabulary | None:
    """The vocabulary in `source`. Every fault goes to `report`; the value is valid where there is none.

    None (after a fault) where nothing could be read at all.
    """
    text = decode(source, report)
    if text is None:
        return None
    faulty = False

    def noted(fault: Fault) -> None:
        nonlocal faulty
        faulty = True
        report(fault)

    root = compose(text, noted)
    if root is None:
        if not faulty:
            report(Fault(1, 1, "the file is empty", "start with `base_attributes:`"))
        return None
    return _Schema(FieldReader(noted)).vocabulary(root, source)


class _Schema:
    def __init__(self, reader: FieldReader) -> None:
        self._reader = reader
        self._codes: dict[str, int] = {}
        """Every code declared anywhere -> its first line, so that one bad attribute is one fault."""

    def vocabulary(self, root: Node, source: bytes) -> Vocabulary | None:
        top = self._reader.fields(root, "the vocabulary", _TOP, ("base_attributes",))
        if top is None:
            return None
        thresholds = self._thresholds(top.get("thresholds"), Thresholds(), "thresholds")
        templates = self._templates(top.get("templates"))
        base_items = list(self._attributes(top.get("base_attributes"), "base_attributes"))
        derived_items = list(self._attributes(top.get("derived_attributes"), "derived_attributes"))
        base = [b for item in base_items if (b := self._base(item, thresholds))]
        derived = [(d, item) for item in derived_items if (d := self._derived(item))]
        for attribute, item in derived:
            self._check_references(attribute, item)
        scored = {attribute.code for attribute in base}
        self._check_cycles([(a, item) for a, item in derived if a.code not in scored])
        line = top["templates"].line if "templates" in top else 1
        rules = tuple(attribute for attribute, _ in derived)
        found = Vocabulary(
            thresholds or Thresholds(), templates, tuple(base), rules, source, templates_line=line
        )
        self._check_size(found, root)
        return found

    def _thresholds(self, node: Node | None, defaults: Thresholds | None, what: str) -> Thresholds | None:
        """Defaults with what is given put over them; None after a fault. Unknown defaults agree with all."""
        defaults = defaults or Thresholds(accepted=1.0, tentative=0.0)
        if node is None:
            return defaults
        given = self._reader.fields(node, what, _THRESHOLDS)
        if given is None:
            return None
        values = {name: self._reader.fraction(value, f"{what}.{name}") for name, value in given.items()}
        if any(value is None for value in values.values()):
            return None
        found = replace(defaults, **{name: value for name, value in values.items() if value is not None})
        if found.tentative > found.accepted:
            default = (
                ""
                if len(given) == 2
                else f" ({'accepted' if 'tentative' in given else 'tentative'} by default)"
            )
            message = f"{what}: tentative {found.tentative:g} is over accepted {found.accepted:g}{default}"
            self._reader.fault(node, message, "lower tentative, or raise accepted")
            return None
        return found

    def _templates(self, node: Node | None) -> tuple[str, ...]:
        if node is None:
            return (DEFAULT_TEMPLATE,)
        texts = self._reader.texts(node, "templates") or ()
        if isinstance(node, Sequence):
            for item in node.items:
                if isinstance(item, Scalar) and item.kind == "str" and item.value.strip():
                    self._reader.template(item, item.value)
        return texts or (DEFAULT_TEMPLATE,)

    def _attributes(self, node: Node | None, what: str) -> Iterator[Node]:
        """The items of a list of attributes; notes their codes. A key without a value is an empty list."""
        if node is None or (isinstance(node, Scalar) and node.kind == "null"):
            return
        for item in self._reader.items(node, what) or ():
            code = item.get("code") if isinstance(item, Mapping) else None
            if isinstance(code, Scalar):
                if code.value in self._codes and code.kind == "str":
                    first = self._codes[code.value]
                    message = f"duplicate code {shown(code.value)}"
                    self._reader.fault(code, message, f"the first is on line {first}; rename or remove one")
                self._codes.setdefault(code.value, code.line)
            yield item

    def _base(self, node: Node, defaults: Thresholds | None) -> BaseAttribute | None:
        name = _name(node, "a base attribute")
        given = self._reader.fields(node, name, _BASE, _REQUIRED, _NOT_BASE)
        if given is None:
            return None
        code, label, description, kind = self._words(given)
        prompts = self._reader.texts(given["prompts"], f"{name}: prompts") if "prompts" in given else None
        thresholds = self._thresholds(given.get("thresholds"), defaults, f"{name}: thresholds")
        if code is None or label is None or description is None or thresholds is None:
            return None
        return BaseAttribute(code, label, description, kind, prompts, thresholds, node.line)

    def _derived(self, node: Node) -> DerivedAttribute | None:
        name = _name(node, "a derived attribute")
        given = self._reader.fields(node, name, _DERIVED, (*_REQUIRED, "rule"), _NOT_DERIVED)
        if given is None:
            return None
        code, label, description, kind = self._words(given)
        rule = self._rule(given["rule"], name) if "rule" in given else None
        if code is None or rule is None:
            return None
        return DerivedAttribute(code, label or "", description or "", kind, rule, node.line)

    def _words(self, given: dict[str, Node]) -> tuple[str | None, str | None, str | None, str | None]:
        code = self._reader.code(given["code"]) if "code" in given else None
        name = f"{code}: " if code else ""
        label, description, kind = (
            self._reader.text(given[key], f"{name}{key}") if key in given else None
            for key in ("label", "description", "type")
        )
        return code, label, description, kind

    def _rule(self, node: Node, name: str) -> Rule | None:
        given = self._reader.fields(node, f"{name}: rule", _RULE)
        if given is None:
            return None
        lists: dict[str, tuple[str, ...]] = {}
        for key, value in given.items():
            items = self._reader.items(value, f"{name}: {key}") or []
            codes = [self._reader.text(item, f"{name}: {key}") for item in items]
            lists[key] = tuple(code for code in codes if code is not None)
        known = isinstance(node, Mapping) and len(given) == len(node.pairs)
        if known and all(isinstance(value, Sequence) and not value.items for value in given.values()):
            self._reader.fault(
                node, f"{name}: the rule has no conditions", "name a code in all_of, any_of or none_of"
            )
            return None
        return Rule(**lists)

    def _check_references(self, attribute: DerivedAttribute, item: Node) -> None:
        rule = item.get("rule") if isinstance(item, Mapping) else None
        for _, value in rule.pairs if isinstance(rule, Mapping) else ():
            for node in value.items if isinstance(value, Sequence) else ():
                if not isinstance(node, Scalar) or node.kind != "str":
                    continue
                code = node.value.strip(" \t\r\n")
                if code and code not in self._codes:
                    self._reader.fault(
                        node, f"{attribute.code}: unknown code {shown(code)}", self._meant(code)
                    )

    def _meant(self, code: str) -> str:
        if code in IMAGE_COLUMNS:
            return "that is an image column; rules take attributes, queries take both"
        near = self._reader.near(code, tuple(self._codes))
        return (
            f"did you mean {near}?" if near else "add an attribute of that code, or take it out of the rule"
        )

    def _check_cycles(self, derived: list[tuple[DerivedAttribute, Node]]) -> None:
        """One fault for each reference that closes a cycle: taking those out leaves none. No recursion."""
        inputs = {attribute.code: attribute.rule.codes for attribute, _ in derived}
        nodes = {attribute.code: node for attribute, node in derived}
        done: set[str] = set()
        for first in inputs:
            path: list[str] = []
            position: dict[str, int] = {}
            stack: list[Iterator[str]] = []
            entering: str | None = None if first in done else first
            while entering is not None or stack:
                if entering is not None:
                    position[entering] = len(path)
                    path.append(entering)
                    stack.append(iter(inputs[entering]))
                    entering = None
                for target in stack[-1]:
                    if target in position:
                        self._cycle(path, position[target], nodes[path[-1]])
                    elif target in inputs and target not in done:
                        entering = target
                        break
                else:
                    stack.pop()
                    code = path.pop()
                    del position[code]
                    done.add(code)

    def _cycle(self, path: list[str], start: int, node: Node) -> None:
        names = path[start:] if len(path) - start <= 8 else [*path[start : start + 6], "...", path[-1]]
        hint = "a rule cannot depend on itself; take one of them out"
        self._reader.fault(node, f"cycle of rules: {' -> '.join([*names, path[start]])}", hint)

    def _check_size(self, vocabulary: Vocabulary, root: Node) -> None:
        length, count = sum(map(len, vocabulary.templates)), len(vocabulary.templates)
        total = sum(
            length + count * len(a.description) if a.prompts is None else sum(map(len, a.prompts))
            for a in vocabulary.base
        )
        if total > MAX_PROMPT_CHARACTERS:
            hint = "use fewer templates, or shorter ones"
            self._reader.fault(root, f"the prompts come to over {MAX_PROMPT_CHARACTERS:,} characters", hint)


def _name(node: Node, otherwise: str) -> str:
    """What messages call an attribute: its code, where that can be said."""
    code = node.get("code") if isinstance(node, Mapping) else None
    return code.value if isinstance(code, Scalar) and is_code(code.value) else otherwise
