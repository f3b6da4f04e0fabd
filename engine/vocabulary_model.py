"""The vocabulary as values: what a file says once it is known to be right."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter

from colonnade.engine.errors import InputError
from colonnade.engine.nearest import nearest
from colonnade.engine.vocabulary_faults import shown

__all__ = [
    "DEFAULT_TEMPLATE",
    "PLACEHOLDER",
    "Attribute",
    "BaseAttribute",
    "DerivedAttribute",
    "Rule",
    "Thresholds",
    "Vocabulary",
]

PLACEHOLDER = "{description}"
DEFAULT_TEMPLATE = f"a photo of {PLACEHOLDER}"


@dataclass(frozen=True)
class Thresholds:
    """Confidences from which an image is `accepted` or `tentative`; 0 <= tentative <= accepted <= 1."""

    accepted: float = 0.80
    tentative: float = 0.50


@dataclass(frozen=True)
class Rule:
    """Every `all_of` accepted, one `any_of` accepted (if any is named), every `none_of` below tentative."""

    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """Every code the rule names, each once, in the rule's order."""
        return tuple(dict.fromkeys((*self.all_of, *self.any_of, *self.none_of)))


@dataclass(frozen=True)
class BaseAttribute:
    """An attribute scored by the model."""

    code: str
    label: str
    description: str
    type: str | None = None
    """Free grouping, never interpreted."""
    prompts: tuple[str, ...] | None = None
    """Complete prompts; None: the vocabulary's templates filled with the description."""
    thresholds: Thresholds = Thresholds()
    """The attribute's own where it has some, else the vocabulary's."""
    line: int = 0
    """Where it starts in the file, from 1."""


@dataclass(frozen=True)
class DerivedAttribute:
    """An attribute that follows from others by a rule."""

    code: str
    label: str
    description: str
    type: str | None = None
    rule: Rule = Rule()
    line: int = 0


Attribute = BaseAttribute | DerivedAttribute


@dataclass(frozen=True)
class Vocabulary:
    """A valid vocabulary: codes are unique, every reference is known, rules have no cycle."""

    thresholds: Thresholds
    templates: tuple[str, ...]
    base: tuple[BaseAttribute, ...]
    derived: tuple[DerivedAttribute, ...]
    source: bytes = field(default=b"", repr=False)
    """The file it was read from, byte for byte."""
    templates_line: int = 1

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Codes in the order of the file, base attributes first."""
        return tuple(self._by_code)

    @cached_property
    def derived_order(self) -> tuple[str, ...]:
        """Derived codes, inputs before the rules that use them, else in the order of the file."""
        known = {attribute.code for attribute in self.derived}
        graph = {a.code: [c for c in a.rule.codes if c in known] for a in self.derived}
        return tuple(TopologicalSorter(graph).static_order())

    @cached_property
    def _by_code(self) -> dict[str, Attribute]:
        every: tuple[Attribute, ...] = (*self.base, *self.derived)
        return {attribute.code: attribute for attribute in every}

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """Every attribute, in the order of `codes`."""
        return tuple(self._by_code.values())

    def __contains__(self, code: object) -> bool:
        return code in self._by_code

    def attribute(self, code: str) -> Attribute:
        """The attribute of that code.

        Raises:
            InputError: there is none; the message names the nearest code.
        """
        found = self._by_code.get(code)
        if found is None:
            near = nearest(code, self._by_code)
            hint = f"did you mean {near}?" if near else "`colonnade vocab list` shows the codes there are"
            raise InputError(f"no attribute {shown(code)} in the vocabulary; {hint}")
        return found

    def prompts(self, code: str) -> tuple[str, ...]:
        """What is encoded for a base attribute: its prompts, or the templates filled with its description.

        Raises:
            InputError: no such attribute, or a derived one, which has no prompts.
        """
        attribute = self.attribute(code)
        if isinstance(attribute, DerivedAttribute):
            raise InputError(f"{code} is a derived attribute and has no prompts; its rule names its inputs")
        if attribute.prompts is not None:
            return attribute.prompts
        return tuple(t.replace(PLACEHOLDER, attribute.description) for t in self.templates)

    def users(self, code: str) -> tuple[str, ...]:
        """Derived attributes whose rule names `code`, in the order of the file."""
        return tuple(a.code for a in self.derived if code in a.rule.codes)
