"""One attribute while it is typed: its fields, its wordings, and the edits that make it so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from colonnade.engine.vocabulary_model import BaseAttribute, DerivedAttribute, Rule
from colonnade.tui.screens.vocabulary_work import Step

if TYPE_CHECKING:
    from colonnade.engine.vocabulary import Attribute

__all__ = ["Draft", "FieldError", "Wording", "draft_of", "rule_text", "steps_of"]


class FieldError(ValueError):
    """What stands in a field can be no value of it; `field` names it."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field


@dataclass(frozen=True)
class Wording:
    """What the model reads: a description for the templates, or complete prompts, one a line."""

    description: str = ""
    prompts: str = ""

    @property
    def listed(self) -> tuple[str, ...]:
        """The prompts."""
        return tuple(line.strip() for line in self.prompts.splitlines() if line.strip())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to try."""
        return not (self.description.strip() or self.listed)


@dataclass(frozen=True)
class Draft:
    """An attribute as it is typed."""

    old: str | None
    """The code in the vocabulary; None for a new attribute."""
    code: str = ""
    label: str = ""
    type: str = ""
    accepted: str = ""
    """Thresholds as typed; '' leaves them as they are."""
    tentative: str = ""
    wordings: tuple[Wording, ...] = (Wording(),)
    """One, or two to be compared."""
    chosen: int = 0
    """The wording that is edited and saved."""
    rule: Rule | None = None
    """Of a derived attribute."""

    @property
    def wording(self) -> Wording:
        """The wording that would be saved."""
        return self.wordings[self.chosen]

    @property
    def slot(self) -> str:
        """Where it is kept while it is not finished: one of each attribute, one new one of each kind."""
        return self.old or ("+ by a rule" if self.rule is not None else "+")

    @property
    def name(self) -> str:
        """What to call it."""
        return self.old or self.code.strip() or self.label.strip() or "an attribute without a code"

    @property
    def key(self) -> str:
        """The key that goes on with it, for `with_keys`."""
        if self.old:
            return "{vocabulary.edit:e}"
        return "{vocabulary.add:a}" if self.rule is None else "{vocabulary.derive:d}"

    @property
    def is_blank(self) -> bool:
        """Whether nothing was typed of a new attribute."""
        typed = (
            self.code,
            self.label,
            self.type,
            self.accepted,
            self.tentative,
            *(each.description + each.prompts for each in self.wordings),
        )
        return (
            self.old is None
            and not any(text.strip() for text in typed)
            and not (self.rule and self.rule.codes)
        )

    @property
    def given_up(self) -> str:
        """Which of two wordings is not the one that was chosen, in words; '' where there is no other."""
        other = self.wordings[1 - self.chosen] if len(self.wordings) > 1 else self.wording
        if other.is_empty or other == self.wording:
            return ""
        words = (other.listed or (other.description,))[0]
        return f"wording {'AB'[self.chosen]} is taken, {'BA'[self.chosen]} is given up: {words[:200]}"

    def renamed(self, code: str, new: str) -> Draft:
        """The draft after an attribute has got another code."""
        rule = self.rule
        if rule is not None:
            lists = (rule.all_of, rule.any_of, rule.none_of)
            rule = Rule(*(tuple(new if each == code else each for each in some) for some in lists))
        if self.old != code:
            return replace(self, rule=rule)
        return replace(self, old=new, code=new if self.code == code else self.code, rule=rule)

    def with_wording(self, wording: Wording) -> Draft:
        """The draft with another wording in the place of the chosen one."""
        wordings = list(self.wordings)
        wordings[self.chosen] = wording
        return replace(self, wordings=tuple(wordings))

    def other_wording(self) -> Draft:
        """The draft with the other wording chosen; it begins as a copy."""
        wordings = self.wordings if len(self.wordings) > 1 else (self.wordings[0], self.wordings[0])
        return replace(self, wordings=wordings, chosen=1 - self.chosen)


def draft_of(attribute: Attribute) -> Draft:
    """An attribute's fields, to be edited."""
    described = attribute.description
    if isinstance(attribute, DerivedAttribute):
        return Draft(
            attribute.code,
            attribute.code,
            attribute.label,
            attribute.type or "",
            wordings=(Wording(described),),
            rule=attribute.rule,
        )
    own = attribute.thresholds
    prompts = "\n".join(" ".join(prompt.split()) for prompt in attribute.prompts or ())
    return Draft(
        attribute.code,
        attribute.code,
        attribute.label,
        attribute.type or "",
        f"{own.accepted:g}",
        f"{own.tentative:g}",
        (Wording(described, prompts),),
    )


def rule_text(rule: Rule) -> str:
    """A rule as an expression that finds the same images; '' for one without conditions."""
    parts = [*rule.all_of]
    if rule.any_of:
        parts.append(f"({' or '.join(rule.any_of)})")
    parts += [f"not {code}?" for code in rule.none_of]
    return " and ".join(parts)


def steps_of(draft: Draft, attribute: Attribute | None) -> list[Step]:
    """The edits that make an attribute what the draft says; none where it is so already.

    Args:
        attribute: as it is in the vocabulary; None for a new one.

    Raises:
        FieldError: a field holds what can be no value of it.
        ValueError: something is lacking; the message says what to write.
    """
    code = draft.code.strip()
    if not code:
        raise ValueError(
            "the attribute needs a code: small letters, digits and _, as in earth_through_porthole"
        )
    if attribute is None:
        return [Step("add", _added(draft, code), f"add {code}", code)]
    steps = []
    changes = _changes(draft, attribute)
    if changes:
        words = f"edit {attribute.code}: {', '.join(changes)}"
        steps.append(Step("edit", {"code": attribute.code, **changes}, words, attribute.code))
    if code != attribute.code:
        values = {"code": attribute.code, "new": code}
        steps.append(Step("rename", values, f"rename {attribute.code} to {code}", code))
    return steps


def _added(draft: Draft, code: str) -> dict[str, Any]:
    description = draft.wording.description.strip()
    values: dict[str, Any] = {"code": code, "label": draft.label.strip(), "type": draft.type.strip() or None}
    if draft.rule is not None:
        if not draft.rule.codes:
            raise ValueError("the rule names no attribute yet: {rule.cycle:space} on one of them")
        described = description or f"Where {rule_text(draft.rule)}"[:500]
        return {**values, "description": described, "rule": draft.rule}
    if not description:
        raise ValueError("the attribute needs a description: the words that a caption would have for it")
    return {**values, "description": description, "prompts": draft.wording.listed, **_thresholds(draft)}


def _changes(draft: Draft, attribute: Attribute) -> dict[str, Any]:
    saved, wanted = draft_of(attribute), draft.wording
    changes: dict[str, Any] = {}
    label, kind = draft.label.strip(), draft.type.strip()
    if label != attribute.label:
        changes["label"] = label
    if kind != (attribute.type or ""):
        changes["type"] = kind
    if wanted.description.strip() != attribute.description:
        changes["description"] = wanted.description.strip()
    if isinstance(attribute, BaseAttribute):
        if wanted.listed != saved.wording.listed:
            changes["prompts"] = wanted.listed
        given, own = _thresholds(draft), attribute.thresholds
        changes |= {name: value for name, value in given.items() if value != getattr(own, name)}
    elif draft.rule is not None and draft.rule != attribute.rule:
        if not draft.rule.codes:
            raise ValueError(
                "the rule names no attribute any more: {rule.cycle:space} on one of them,"
                " or {app.back:Esc} and {vocabulary.remove:x} removes it"
            )
        changes["rule"] = draft.rule
    return changes


def _thresholds(draft: Draft) -> dict[str, float]:
    found = {}
    for name, text in (("accepted", draft.accepted), ("tentative", draft.tentative)):
        if text.strip():
            try:
                number = float(text)
            except ValueError:
                number = -1.0
            if not 0 <= number <= 1:
                raise FieldError(name, f"a confidence from 0 to 1, as in 0.8, and not {text.strip()[:40]!r}")
            found[name] = number
    if found.get("tentative", 0.0) > found.get("accepted", 1.0):
        raise FieldError("tentative", f"at most accepted, which is {found['accepted']:g}")
    return found
