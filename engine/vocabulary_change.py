"""What an edit changes of one attribute: pure functions on the model, no text and no files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from colonnade.engine.errors import InputError
from colonnade.engine.vocabulary_model import Attribute, BaseAttribute, DerivedAttribute, Rule, Thresholds
from colonnade.engine.vocabulary_write import Value

__all__ = ["Changes", "changed", "cleaned", "differences", "fields", "mapped", "rebased", "renamer"]


@dataclass(frozen=True)
class Changes:
    """What to change of one attribute; None leaves a field as it is."""

    label: str | None = None
    description: str | None = None
    type: str | None = None
    """"" takes the type away."""
    prompts: tuple[str, ...] | None = None
    """() takes the prompts away: the templates apply again."""
    accepted: float | None = None
    tentative: float | None = None
    default_thresholds: bool = False
    """Take the attribute's own thresholds away."""
    rule: Rule | None = None


def fields(attribute: Attribute, defaults: Thresholds) -> dict[str, Value]:
    """An attribute as the keys and values a file has for it; thresholds only where they are its own."""
    found: dict[str, Value] = {key: getattr(attribute, key) for key in ("code", "label", "description")}
    if attribute.type is not None:
        found["type"] = attribute.type
    if isinstance(attribute, DerivedAttribute):
        found["rule"] = {key: list(codes) for key, codes in lists(attribute.rule).items() if codes}
        return found
    if attribute.prompts is not None:
        found["prompts"] = list(attribute.prompts)
    own: dict[str, Value] = {
        key: value for key, value in vars(attribute.thresholds).items() if value != getattr(defaults, key)
    }
    if own:
        found["thresholds"] = own
    return found


def lists(rule: Rule) -> dict[str, tuple[str, ...]]:
    """The three lists of a rule by key."""
    return {"all_of": rule.all_of, "any_of": rule.any_of, "none_of": rule.none_of}


def changed(attribute: Attribute, changes: Changes, defaults: Thresholds) -> Attribute:
    """The attribute with the changes made.

    Raises:
        InputError: a field that an attribute of its kind does not have.
    """
    attribute = replace(
        attribute,
        label=attribute.label if changes.label is None else changes.label,
        description=attribute.description if changes.description is None else changes.description,
        type=attribute.type if changes.type is None else changes.type.strip() or None,
    )
    if isinstance(attribute, DerivedAttribute):
        given = (changes.prompts, changes.accepted, changes.tentative)
        if any(value is not None for value in given) or changes.default_thresholds:
            raise InputError(f"{attribute.code} is derived: it has a rule, but no prompts and no thresholds")
        return replace(attribute, rule=changes.rule or attribute.rule)
    if changes.rule is not None:
        raise InputError(
            f"{attribute.code} is scored by the model: it has prompts and thresholds, but no rule"
        )
    own = defaults if changes.default_thresholds else attribute.thresholds
    own = Thresholds(
        own.accepted if changes.accepted is None else round(changes.accepted, 10),
        own.tentative if changes.tentative is None else round(changes.tentative, 10),
    )
    prompts = attribute.prompts if changes.prompts is None else changes.prompts or None
    return replace(attribute, prompts=prompts, thresholds=own)


def differences(
    old: Attribute, new: Attribute, changes: Changes
) -> Iterator[tuple[tuple[str, ...], Value | None]]:
    """The fields to write, with their place."""
    for key in ("label", "description", "type"):
        if getattr(old, key) != getattr(new, key):
            yield (key,), getattr(new, key)
    if isinstance(old, BaseAttribute) and isinstance(new, BaseAttribute):
        if old.prompts != new.prompts:
            yield ("prompts",), None if new.prompts is None else list(new.prompts)
        if changes.default_thresholds:
            yield ("thresholds",), None
        for key in ("accepted", "tentative"):
            if getattr(changes, key) is not None:
                yield ("thresholds", key), getattr(new.thresholds, key)
    if isinstance(old, DerivedAttribute) and isinstance(new, DerivedAttribute):
        before, after = lists(old.rule), lists(new.rule)
        for key in sorted(after, key=lambda key: not after[key]):
            if before[key] != after[key]:
                yield ("rule", key), list(after[key]) or None


def renamer(old: str, new: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Replaces one code in a tuple of codes."""
    return lambda codes: tuple(new if code == old else code for code in codes)


def mapped(rule: Rule, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Rule:
    """The rule with each of its lists changed."""
    return Rule(change(rule.all_of), change(rule.any_of), change(rule.none_of))


def rebased(attribute: Attribute, theirs: Thresholds, mine: Thresholds) -> Attribute:
    """An attribute under other default thresholds: only its own ones come along."""
    if isinstance(attribute, DerivedAttribute):
        return attribute
    own, default = attribute.thresholds, theirs
    return replace(
        attribute,
        thresholds=Thresholds(
            mine.accepted if own.accepted == default.accepted else own.accepted,
            mine.tentative if own.tentative == default.tentative else own.tentative,
        ),
    )


def cleaned(attribute: Attribute) -> Attribute:
    """Text as it reads back: without white space at its ends. Refuses what UTF-8 cannot hold."""
    fresh = replace(
        attribute,
        code=_clean(attribute.code),
        label=_clean(attribute.label),
        description=_clean(attribute.description),
        type=_clean(attribute.type) if attribute.type else None,
    )
    if isinstance(fresh, BaseAttribute) and fresh.prompts is not None:
        return replace(fresh, prompts=tuple(_clean(prompt) for prompt in fresh.prompts))
    return fresh


def _clean(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{text!r} is not UTF-8; write it in UTF-8") from None
    return text.strip(" \t\r\n")
