"""Rules that no picture can ever meet, decided over the statuses that base attributes can have.

A base attribute is accepted, tentative or rejected; a derived one follows from those. Mandatory conditions
are propagated first (they give the readable reasons), what they leave open is searched, within a bound.
"""

from __future__ import annotations

from collections.abc import Iterator

from colonnade.engine.vocabulary_model import DerivedAttribute, Thresholds, Vocabulary

__all__ = ["impossible_rules"]

_ACCEPTED, _TENTATIVE, _REJECTED = 1, 2, 4
_WORK = 400_000
"""Conditions looked at for one rule before it is left undecided."""
_TOTAL_WORK = 8_000_000


def impossible_rules(vocabulary: Vocabulary) -> dict[str, str]:
    """Derived codes whose rule can never hold -> why. Rules too entangled to decide are left out."""
    rules = {attribute.code: attribute for attribute in vocabulary.derived}
    possible = {attribute.code: _possible(attribute.thresholds) for attribute in vocabulary.base}
    found: dict[str, str] = {}
    left = _TOTAL_WORK
    for code in rules:
        if left <= 0:
            break
        case = _Case(code, rules, possible, min(_WORK, left))
        reason = case.reason()
        left -= case.spent
        if reason:
            found[code] = reason
    return found


def _possible(thresholds: Thresholds) -> int:
    """The statuses that thresholds leave: at 0 nothing is below, and equal ones leave nothing between."""
    return (
        _ACCEPTED
        | (_TENTATIVE if thresholds.tentative < thresholds.accepted else 0)
        | (_REJECTED if thresholds.tentative > 0 else 0)
    )


class _Case:
    """One rule, with everything below it."""

    def __init__(
        self, code: str, rules: dict[str, DerivedAttribute], possible: dict[str, int], work: int
    ) -> None:
        self._code = code
        self._rules = rules
        self._cone = _inputs_first(code, rules)
        named = (c for derived in self._cone for c in rules[derived].rule.codes)
        self._domain = {c: possible[c] for c in named if c in possible}
        self._work = work
        self.spent = len(self._cone)

    def reason(self) -> str | None:
        """Why the rule can never hold, or None where it can or was not decided."""
        conflict = self._propagate()
        if conflict:
            return conflict
        return "no combination of statuses meets it" if self._search() is False else None

    def _propagate(self) -> str | None:
        """Narrow the statuses by what must be so; a reason where that leaves none."""
        why: dict[str, tuple[str, str]] = {}
        must: dict[str, tuple[bool, str]] = {}
        pending = [(self._code, True, "")]
        while pending:
            code, wanted, place = pending.pop()
            self.spent += 1
            if code in self._domain:
                narrowed = self._domain[code] & (_ACCEPTED if wanted else _REJECTED)
                here = f"{'accepted' if wanted else 'below tentative'} ({place})"
                if not narrowed:
                    if code in why:
                        return f"{code} would have to be {why[code][1]} and {here}"
                    return f"{code} would have to be {here}, which its thresholds never leave it"
                self._domain[code] = narrowed
                why[code] = (code, here)
                continue
            if code in must:
                if must[code][0] != wanted:
                    return f"{code} would have to hold and not to hold ({must[code][1]}, {place})"
                continue
            must[code] = (wanted, place)
            if not wanted:
                continue
            rule = self._rules[code].rule
            pending += [(other, True, f"all_of of {code}") for other in rule.all_of]
            pending += [(other, False, f"none_of of {code}") for other in rule.none_of]
            if len(set(rule.any_of)) == 1:
                pending.append((rule.any_of[0], True, f"any_of of {code}"))
        return None

    def _search(self) -> bool | None:
        """Whether some statuses meet the rule; None when the bound was reached."""
        stack = [self._domain]
        while stack:
            domain = stack.pop()
            if self.spent > self._work:
                return None
            values = self._evaluate(domain)
            holds = values[self._code]
            if holds:
                return True
            if holds is None:
                stack.extend(self._split(domain, values))
        return False

    def _evaluate(self, domain: dict[str, int]) -> dict[str, bool | None]:
        """Which derived attributes hold for certain, for certain not, or depending (None)."""
        values: dict[str, bool | None] = {}
        for code in self._cone:
            rule = self._rules[code].rule
            self.spent += len(rule.all_of) + len(rule.any_of) + len(rule.none_of)
            parts = [_accepted(c, domain, values) for c in rule.all_of]
            parts += [_below(c, domain, values) for c in rule.none_of]
            if rule.any_of:
                some = [_accepted(c, domain, values) for c in rule.any_of]
                parts.append(True if True in some else None if None in some else False)
            values[code] = False if False in parts else None if None in parts else True
        return values

    def _split(self, domain: dict[str, int], values: dict[str, bool | None]) -> list[dict[str, int]]:
        """Two cases of one open base attribute; the one that helps the rule is last, so it is tried first."""
        code, wanted = self._code, True
        while code not in domain:
            code, wanted = next(self._open(code, wanted, domain, values))
        helping = _ACCEPTED if wanted else _REJECTED
        if not domain[code] & helping or domain[code] == helping:
            helping = domain[code] & -domain[code]
        others = domain[code] & ~helping
        return [{**domain, code: others}, {**domain, code: helping}]

    def _open(
        self, code: str, wanted: bool, domain: dict[str, int], values: dict[str, bool | None]
    ) -> Iterator[tuple[str, bool]]:
        """Undecided inputs of a derived attribute, with the truth that pushes it towards `wanted`."""
        rule = self._rules[code].rule
        for other in (*rule.all_of, *rule.any_of):
            if _accepted(other, domain, values) is None:
                yield other, wanted
        for other in rule.none_of:
            if _below(other, domain, values) is None:
                yield other, not wanted


def _accepted(code: str, domain: dict[str, int], values: dict[str, bool | None]) -> bool | None:
    if code not in domain:
        return values[code]
    statuses = domain[code]
    return True if statuses == _ACCEPTED else None if statuses & _ACCEPTED else False


def _below(code: str, domain: dict[str, int], values: dict[str, bool | None]) -> bool | None:
    if code not in domain:
        holds = values[code]
        return None if holds is None else not holds
    statuses = domain[code]
    return True if statuses == _REJECTED else None if statuses & _REJECTED else False


def _inputs_first(code: str, rules: dict[str, DerivedAttribute]) -> list[str]:
    """The derived attributes that `code` depends on, itself last. No recursion: chains can be long."""
    order: list[str] = []
    seen = {code}
    stack = [(code, iter(rules[code].rule.codes))]
    while stack:
        current, rest = stack[-1]
        for other in rest:
            if other in rules and other not in seen:
                seen.add(other)
                stack.append((other, iter(rules[other].rule.codes)))
                break
        else:
            stack.pop()
            order.append(current)
    return order
