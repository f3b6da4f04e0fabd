"""The vocabulary's list: its columns, its rows, and what is told of the attribute under the cursor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from colonnade.engine.vocabulary_model import BaseAttribute, DerivedAttribute, Rule
from colonnade.tui.screens.vocabulary_work import FILE, Work
from colonnade.tui.widgets.window_table import Cell, Column

if TYPE_CHECKING:
    from colonnade.engine.vocabulary import Attribute, Fault
    from colonnade.tui.session_model import AttributeRow

__all__ = [
    "FAULTS",
    "Entry",
    "about_lines",
    "attribute_rows",
    "columns_for",
    "fault_rows",
    "rule_words",
]

_KINDS = {"fresh": "good", "new": "warn", "edited": "warn", "no signal": "dim", "orphan": "dim"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list; the table shows it as a tuple with the code first."""

    code: str
    label: str
    status: str
    prompt: str
    accepted: str
    lint: str
    group: str

    @property
    def row(self) -> tuple[Any, ...]:
        """The values of a row."""
        return self.code, self.label, self.status, self.prompt, self.accepted, self.lint, self.group


def _status(value: Any) -> Cell:
    text = str(value)
    kind = _KINDS.get(text, "warn" if text.startswith(("stale", "not scored")) else "")
    return Cell(text.removeprefix("stale: "), kind)  # type: ignore[arg-type]


def _lint(value: Any) -> Cell:
    return Cell(str(value), "warn")


_CODE = Column("code", "code", 18, index=0)
_LABEL = Column("label", "label", 16, index=1)
_STATUS = Column("status", "status", 14, render=_status, index=2)
_PROMPT = Column("prompt", "prompt", index=3, sortable=False)
_ACCEPTED = Column("accepted", "accepted", 9, "right", index=4, descends=True)
_LINT = Column("lint", "lint", 4, render=_lint, index=5, descends=True)
_GROUP = Column("group", "group", 14, index=6)
FAULTS = (
    Column("place", "line:column", 12, "right", index=0, sortable=False),
    Column("message", "fault", index=1, sortable=False),
    Column("hint", "what to do", index=2, sortable=False),
)


def columns_for(width: int) -> tuple[Column, ...]:
    """The columns that a list of this width has room for."""
    if width < 60:
        return _CODE, _STATUS, _ACCEPTED, _LINT
    if width < 110:
        narrow = ((_CODE, 16), (_LABEL, 11), (_STATUS, 11), (_PROMPT, 0), (_ACCEPTED, 8), (_LINT, 4))
        return tuple(replace(column, width=size) for column, size in narrow)
    return _CODE, _LABEL, _GROUP, _STATUS, _PROMPT, _ACCEPTED, _LINT


def rule_words(rule: Rule) -> str:
    """A rule in a line: `all_of: earth, porthole; none_of: moon`."""
    lists = {"all_of": rule.all_of, "any_of": rule.any_of, "none_of": rule.none_of}
    return "; ".join(f"{name}: {', '.join(codes)}" for name, codes in lists.items() if codes)


def attribute_rows(work: Work, known: Mapping[str, AttributeRow]) -> list[Entry]:
    """The attributes as edited, in the file's order, then those that are scored but no longer in it."""
    vocabulary = work.vocabulary
    if vocabulary is None:
        return []
    marks: dict[str, int] = {}
    for finding in work.findings:
        marks[finding.code] = marks.get(finding.code, 0) + 1
    rows = []
    for attribute in vocabulary.attributes:
        code = attribute.code
        row, lint = known.get(code), marks.get(code, 0)
        prompt = _prompt(
            attribute, () if isinstance(attribute, DerivedAttribute) else vocabulary.prompts(code)
        )
        status = work.status(code) or (row.state if row else "not scored")
        lint_text = f"!{lint}" if lint else ""
        accepted = _accepted(row, status)
        rows.append(Entry(code, attribute.label, status, prompt, accepted, lint_text, attribute.type or ""))
    rows += [
        Entry(code, row.label, "orphan", "scored, no longer in the vocabulary", _accepted(row, ""), "", "")
        for code, row in known.items()
        if code not in vocabulary
    ]
    return rows


def _accepted(row: AttributeRow | None, status: str) -> str:
    if row is None or not row.scored:
        return "-"
    return f"{'~' if status not in ('fresh', 'no signal', '') else ''}{row.accepted:,}"


def _prompt(attribute: Attribute, prompts: Sequence[str]) -> str:
    if isinstance(attribute, DerivedAttribute):
        return f"= {rule_words(attribute.rule)}"
    more = f"1/{len(prompts)} " if len(prompts) > 1 else ""
    return f"{more}{prompts[0] if prompts else ''}"


def fault_rows(faults: Sequence[Fault]) -> list[tuple[str, str, str]]:
    """Place, fault and hint of everything that is wrong with the file."""
    return [(f"{fault.line}:{fault.column}", fault.message, fault.hint) for fault in faults]


def about_lines(work: Work, code: str, row: AttributeRow | None) -> list[str]:
    """What is to be known of one attribute; the advice on it first."""
    return list(_about(work, code, row))


def _about(work: Work, code: str, row: AttributeRow | None) -> Iterator[str]:
    attribute = work.attribute(code)
    if attribute is None or work.vocabulary is None:
        yield f"{code}: scored, but no longer in the vocabulary; `colonnade drop {code}` removes its scores"
        return
    group = f"  group {attribute.type}" if attribute.type else ""
    yield f"{code}  {attribute.label}{group}  ({FILE}:{attribute.line})"
    for finding in work.findings:
        if finding.code == code:
            yield f"! {finding.message}; {finding.hint}"
    yield attribute.description
    if isinstance(attribute, BaseAttribute):
        for prompt in work.vocabulary.prompts(code):
            yield f"prompt: {prompt}"
        own = attribute.thresholds
        yield f"thresholds: accepted from {own.accepted:g}, tentative from {own.tentative:g}"
    else:
        yield f"rule: {rule_words(attribute.rule)}"
    users = work.vocabulary.users(code)
    if users:
        yield f"used by {', '.join(users)}"
    if row is not None and row.scored:
        yield f"{row.accepted:,} accepted, {row.tentative:,} tentative of {row.scored:,} scored; {row.state or '...'}"
