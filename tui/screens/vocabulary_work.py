"""The vocabulary as it is being edited: the file as it was read, the edits made since, and what they come to.

Nothing here knows a terminal. An edit is a `Step`; the steps are made, one after the other, of the bytes of the file,
so that a file that changed meanwhile can be taken and the same steps made anew on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.errors import ColonnadeError, InputError
from colonnade.tui.amounts import count_of

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord
    from colonnade.engine.lint import Finding
    from colonnade.engine.vocabulary import Attribute, Fault, Vocabulary
    from colonnade.tui.session import Session

__all__ = ["Folded", "Redo", "Step", "Work", "diff_lines", "fold", "redo", "redo_words", "row_pace"]

FILE = "vocabulary.yaml"
RESTORED = "restored"
"""The step that stands for all edits of an earlier run of the app."""
_START_S = 4.0
_PROMPT_S = 0.05
_ROW_S = 4e-7


@dataclass(frozen=True)
class Step:
    """One edit: the name and the values that `Session.edit_vocabulary` takes."""

    op: str
    values: Mapping[str, Any]
    words: str
    """What it does, for people."""
    code: str | None = None
    """The attribute that has the cursor afterwards."""


@dataclass(frozen=True)
class Work:
    """A vocabulary's file with edits that are not saved."""

    base: bytes = b""
    """The file as it was read."""
    steps: tuple[Step, ...] = ()
    source: bytes = b""
    """The file with the steps made."""
    before: Vocabulary | None = None
    """What the file says; None while it is faulty."""
    vocabulary: Vocabulary | None = None
    """What it says with the steps made."""
    faults: tuple[Fault, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Advice on the vocabulary as edited."""

    @property
    def is_changed(self) -> bool:
        """Whether there is something to save."""
        return self.source != self.base

    def attribute(self, code: str | None) -> Attribute | None:
        """An attribute as edited."""
        known = self.vocabulary is not None and code is not None and code in self.vocabulary
        return self.vocabulary.attribute(code) if known and self.vocabulary and code else None

    def status(self, code: str) -> str:
        """`new` or `edited` for what is not saved, else ''."""
        if self.before is None or self.vocabulary is None or code not in self.vocabulary:
            return ""
        if code not in self.before:
            return "new"
        now, then = self.vocabulary.attribute(code), self.before.attribute(code)
        return "edited" if replace(now, line=0) != replace(then, line=0) else ""


@dataclass(frozen=True)
class Folded:
    """What making the steps came to."""

    work: Work
    refused: tuple[tuple[Step, str], ...] = field(default=())
    """Steps that could not be made, and why."""


def fold(session: Session, base: bytes, steps: Sequence[Step], known: Work | None = None) -> Folded:
    """Make steps of a file's bytes; one that cannot be made is left out and told. Blocks.

    Args:
        known: an earlier result of the same file, so that its steps need not be made again.
    """
    from colonnade.engine.lint import lint
    from colonnade.engine.vocabulary import VocabularyError, parse_vocabulary

    try:
        before = parse_vocabulary(base, FILE)
    except VocabularyError as error:
        return Folded(Work(base, (), base, faults=error.faults), tuple((step, _FAULTY) for step in steps))
    source, made = base, 0
    if known is not None and known.base == base and tuple(steps[: len(known.steps)]) == known.steps:
        source, made = known.source, len(known.steps)
    done, refused = list(steps[:made]), []
    for step in steps[made:]:
        try:
            if step.op == RESTORED:
                source = _restored(base, step)
            else:
                source = session.edit_vocabulary(step.op, source=source, save=False, **step.values).after
        except ColonnadeError as error:
            refused.append((step, str(error).partition("\n")[0]))
        else:
            done.append(step)
    vocabulary = parse_vocabulary(source, FILE) if source != base else before
    try:
        queries: tuple[str, ...] = tuple(session.named_queries().values())
    except ColonnadeError:
        queries = ()
    findings = tuple(lint(vocabulary, queries=queries))
    return Folded(Work(base, tuple(done), source, before, vocabulary, (), findings), tuple(refused))


_FAULTY = "the file has faults; mend them first"


def _restored(base: bytes, step: Step) -> bytes:
    from colonnade.engine.vocabulary import parse_vocabulary

    if step.values["base"] != base:
        raise InputError("the file was changed since; make them anew")
    source: bytes = step.values["source"]
    parse_vocabulary(source, FILE)
    return source


def diff_lines(old: bytes, new: bytes, old_name: str, new_name: str) -> tuple[str, ...]:
    """The lines of a unified diff."""
    before, after = (text.decode("utf-8", "replace").splitlines() for text in (old, new))
    return tuple(unified_diff(before, after, old_name, new_name, n=2, lineterm=""))


@dataclass(frozen=True)
class Redo:
    """What saving makes stale."""

    worded: tuple[str, ...] = ()
    """Attributes to be scored anew."""
    prompts: int = 0
    judged: tuple[str, ...] = ()
    """Attributes of which only thresholds changed: statuses anew, no score."""
    derived: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    """Attributes that are no longer in the vocabulary."""


def redo(before: Vocabulary, after: Vocabulary) -> Redo:
    """What has to be done again once `after` is saved in the place of `before`."""
    old_prompts = {a.code: before.prompts(a.code) for a in before.base}
    thresholds = {a.code: a.thresholds for a in before.base}
    worded = [a.code for a in after.base if old_prompts.get(a.code) != after.prompts(a.code)]
    judged = [a.code for a in after.base if a.code not in worded and thresholds[a.code] != a.thresholds]
    known = {prompt for prompts in old_prompts.values() for prompt in prompts}
    prompts = {prompt for code in worded for prompt in after.prompts(code)} - known
    rules = {a.code: a.rule for a in before.derived}
    touched = {*worded, *judged}
    derived = []
    for code in after.derived_order:
        rule = next(a.rule for a in after.derived if a.code == code)
        if rules.get(code) != rule or touched & set(rule.codes):
            derived.append(code)
            touched.add(code)
    orphans = [code for code in before.codes if code not in after]
    return Redo(tuple(worded), len(prompts), tuple(judged), tuple(derived), tuple(orphans))


def row_pace(jobs: Sequence[JobRecord], images: int) -> float | None:
    """Seconds for one image and attribute in the largest tagging that finished; None without one."""
    shards = max(1, -(-images // (1 << SHARD_BITS)))
    done = [one for one in jobs if one.command[:1] == ("tag",) and one.state == "done" and one.total]
    if not done or not images:
        return None
    largest = max(done, key=lambda one: one.total)
    return largest.seconds / (largest.total / shards * images)


def redo_words(found: Redo, images: int, pace: float | None) -> str:
    """What saving would redo, in seconds and images, as one line that says the most first."""
    parts = []
    if found.worded:
        parts.append(f"{count_of(len(found.worded), 'attribute')} x {count_of(images, 'image')}")
    if found.judged:
        parts.append(f"{count_of(len(found.judged), 'attribute')} to judge anew")
    if found.derived:
        parts.append(f"{len(found.derived)} derived")
    if found.worded:
        parts.append(f"{count_of(found.prompts, 'prompt')} to encode")
    if found.orphans:
        more = " ..." if len(found.orphans) > 3 else ""
        parts.append(f"{', '.join(found.orphans[:3])}{more} left as orphan")
    if not (found.worded or found.judged or found.derived):
        return ", ".join(["nothing to score again", *parts])
    rows = images * (len(found.worded) + len(found.judged) + len(found.derived))
    usual = _START_S + found.prompts * _PROMPT_S + rows * _ROW_S
    seconds = usual if pace is None else rows * pace
    shown = f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
    return f"about {shown}: {', '.join(parts)}, 0 images to decode"
