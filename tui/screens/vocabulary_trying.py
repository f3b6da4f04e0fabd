"""What a wording or a rule that is not saved does to the collection, in words; blocks, so it runs in a thread."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colonnade.engine.errors import ColonnadeError
from colonnade.tui.screens.browse_preview import no_picture
from colonnade.tui.screens.vocabulary_draft import Draft, rule_text
from colonnade.tui.screens.vocabulary_tried_text import Axis, axis_of, decimal, result_lines, room_for_bins
from colonnade.tui.widgets.line import folded

if TYPE_CHECKING:
    from colonnade.engine.vocabulary import Rule, Vocabulary
    from colonnade.tui.helper_client import Progress
    from colonnade.tui.session import Session
    from colonnade.tui.session_model import TriedImage, TryResult

__all__ = ["MOST", "Change", "Changes", "Tried", "TriedPicture", "changes", "failure_lines", "try_draft"]

LIMIT = 24
MOST = 200
"""Images in each of the lists of what enters and what leaves."""
_GROUPS = ("try", "try-b")


@dataclass(frozen=True, slots=True)
class TriedPicture:
    """One image of a try."""

    image_id: int
    mark: str
    """`+` enters, `-` leaves, ' ' is among the best."""
    value: str
    path: str
    file: Path | None
    reason: str | None
    """Why there is no picture, where that is known."""


@dataclass(frozen=True)
class Tried:
    """What a try came to."""

    lines: tuple[str, ...]
    pictures: tuple[TriedPicture, ...] = ()
    found: TryResult | None = None
    """Of a wording: what the lines are made of, for the room there is."""

    def said(self, width: int, axis: Axis | None, key: str) -> list[str]:
        """Its lines in this width, on an axis that several wordings share; `key` lists what changes."""
        if self.found is None:
            return [part for line in self.lines for part in folded(line, width)]
        return result_lines(self.found, width, axis or axis_of((self.found,), room_for_bins(width)), key)

    def some(self, room: int) -> tuple[TriedPicture, ...]:
        """As many pictures as there is room for: at most a third that enter, a third that leave, else the best."""
        entering = [each for each in self.pictures if each.mark == "+"]
        leaving = [each for each in self.pictures if each.mark == "-"]
        best = [each for each in self.pictures if each.mark == " "]
        third = max(1, room // 3)
        changed = entering[:third] + leaving[:third]
        return tuple([*best[: max(0, room - len(changed))], *changed][:room])


@dataclass(frozen=True, slots=True)
class Change:
    """One image that enters (`+`) or leaves (`-`)."""

    image_id: int
    mark: str
    before: float | None
    after: float | None
    path: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What a draft changes: how many, and up to `MOST` of each."""

    entering: int
    leaving: int
    rows: tuple[Change, ...]
    refused: str = ""
    """Why nothing can enter or leave."""


def try_draft(
    session: Session,
    draft: Draft,
    which: int,
    progress: Progress | None = None,
    *,
    vocabulary: Vocabulary | None = None,
) -> Tried:
    """Try a wording of a draft, or its rule.

    Args:
        which: the wording, 0 or 1.
        vocabulary: as edited, to tell what of a rule is not saved yet.

    Raises:
        ColonnadeError: it cannot be tried.
    """
    if draft.rule is not None:
        return _try_rule(session, draft, vocabulary)
    found = _try_words(session, draft, which, LIMIT, progress)
    pictures = (
        *_pictures(session, " ", found.best),
        *_pictures(session, "+", found.entering_images),
        *_pictures(session, "-", found.leaving_images),
    )
    return Tried((), pictures, found)


def _try_words(
    session: Session, draft: Draft, which: int, limit: int, progress: Progress | None
) -> TryResult:
    wording = draft.wordings[which]
    return session.try_wording(
        draft.old,
        description=None if wording.listed else wording.description,
        prompts=wording.listed or None,
        accepted=_number(draft.accepted),
        tentative=_number(draft.tentative),
        limit=limit,
        group=_GROUPS[which],
        progress=progress,
    )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None


def _pictures(session: Session, mark: str, images: Iterable[TriedImage]) -> list[TriedPicture]:
    return [
        _picture(session, image.image_id, mark, decimal(image.confidence), image.path)
        for image in list(images)[: LIMIT if mark == " " else LIMIT // 2]
    ]


def _picture(session: Session, image_id: int, mark: str, value: str, path: str) -> TriedPicture:
    try:
        row = session.image_row(image_id)
    except ColonnadeError as error:
        return TriedPicture(image_id, mark, value, path, None, str(error))
    return TriedPicture(image_id, mark, value, path, row.file, no_picture(row))


def _try_rule(session: Session, draft: Draft, vocabulary: Vocabulary | None) -> Tried:
    """What a rule finds among what is scored."""
    assert draft.rule is not None
    text = rule_text(draft.rule)
    rows = {row.code: row for row in session.attributes()}
    if vocabulary is not None and (lacking := _lacking(draft.rule.codes, rows, vocabulary)):
        return Tried((f"= {text}", *lacking))
    hits = session.find(text)
    total = session.find("").count
    share = f" ({100 * hits.count / total:.1f} %)" if total else ""
    lines = [f"= {text}", f"accepted {hits.count:,} of {total:,}{share}, by the scores there are"]
    pictures = _found(session, text, " ")
    saved = rows.get(draft.old or "")
    if saved is not None and saved.scored:
        entering, leaving = f"({text}) and not {draft.old}", f"{draft.old} and not ({text})"
        counts = session.find(entering).count, session.find(leaving).count
        lines.append(f"saved {saved.accepted:,}: {counts[0]:,} enter (+), {counts[1]:,} leave (-)")
        pictures += _found(session, entering, "+") + _found(session, leaving, "-")
    parts = [rows[code] for code in draft.rule.codes if code in rows]
    lines.append("of " + ", ".join(f"{row.code} {row.accepted:,}" for row in parts))
    lines += [
        f"{row.code} is not scored yet: {{vocabulary.tag:t}} tags it" for row in parts if not row.scored
    ][:1]
    return Tried(tuple(lines), tuple(pictures))


def _lacking(codes: Iterable[str], known: Container[str], vocabulary: Vocabulary) -> list[str]:
    """Why a rule that names these codes cannot be tried yet, a line a code."""
    lines = []
    for code in codes:
        if code not in vocabulary:
            lines.append(
                f"{code} is not in the vocabulary: {{rule.cycle:space}} on it takes it out of the rule"
            )
        elif code not in known:
            lines.append(
                f"{code} is new and not saved yet: once it is saved ({{vocabulary.save:^S}})"
                " and tagged ({vocabulary.tag:t}), this can be tried"
            )
    return lines


def changes(session: Session, draft: Draft, which: int, vocabulary: Vocabulary | None) -> Changes:
    """Which images enter and which leave, once what is typed is saved and tagged. Blocks.

    Raises:
        ColonnadeError: it cannot be tried.
    """
    if draft.rule is None:
        found = _try_words(session, draft, which, MOST, None)
        if found.before is None:
            return Changes(0, 0, (), _UNSCORED)
        lists = (("+", found.entering_images), ("-", found.leaving_images))
        rows = tuple(
            Change(each.image_id, mark, each.before, each.confidence, each.path)
            for mark, images in lists
            for each in images
        )
        return Changes(found.entering, found.leaving, rows)
    known = {row.code: row for row in session.attributes()}
    saved = known.get(draft.old or "")
    if vocabulary is not None and (lacking := _lacking(draft.rule.codes, known, vocabulary)):
        return Changes(0, 0, (), lacking[0])
    if saved is None or not saved.scored:
        return Changes(0, 0, (), _UNSCORED)
    text = rule_text(draft.rule)
    counts, listed = [], []
    for mark, change in (("+", f"({text}) and not {draft.old}"), ("-", f"{draft.old} and not ({text})")):
        hits = session.find(
            change, columns=["image_id", "path", saved.code, *dict.fromkeys(draft.rule.codes)]
        )
        counts.append(hits.count)
        listed += [_ruled(draft.rule, mark, row) for row in hits.block(0)[:MOST]]
    return Changes(counts[0], counts[1], tuple(listed))


_UNSCORED = "not scored as saved: no image enters or leaves"


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _ruled(rule: Rule, mark: str, row: Sequence[Any]) -> Change:
    """An image with the confidence that the rule gives it (engine/derive.py says how)."""
    image_id, path, before, *own = row
    known = dict(zip(dict.fromkeys(rule.codes), own, strict=True))
    after = None
    if None not in map(_known, own):
        terms = [known[code] for code in rule.all_of]
        terms += [max(known[code] for code in rule.any_of)] if rule.any_of else []
        terms += [1 - max(known[code] for code in rule.none_of)] if rule.none_of else []
        after = float(min(terms))
    return Change(image_id, mark, _known(before), after, path or "")


def _found(session: Session, text: str, mark: str) -> list[TriedPicture]:
    rows = session.find(text, columns=["image_id", "path"]).block(0)
    some = rows[: LIMIT if mark == " " else LIMIT // 2]
    return [_picture(session, row[0], mark, "", row[1] or "") for row in some]


def failure_lines(error: Exception) -> tuple[str, ...]:
    """Why something cannot be tried, and what to do."""
    told = str(error).splitlines()
    if len(told) > 2 and not told[-1].strip().strip("^"):  # the text again, and where in it
        told = told[:-2]
    lines = [" ".join(" ".join(told).split()) or type(error).__name__]
    kind = getattr(error, "kind", "")
    if kind == "model":
        lines += [
            "words that the store has no vector of need the model:",
            "`colonnade model use NAME` chooses one that encodes text (`colonnade model list` shows them),",
            "or import vectors of these prompts with `colonnade import embeddings`; saving works all the same",
        ]
    elif kind in ("helper", "timeout", "internal"):
        lines.append("the next change of the words tries again, with a fresh helper")
    return tuple(lines)
