"""What a wording or a rule that is not saved does to the collection, in words; blocks, so it runs in a thread."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from colonnade.engine.errors import ColonnadeError
from colonnade.tui.screens.vocabulary_draft import Draft, rule_text

if TYPE_CHECKING:
    from colonnade.engine.vocabulary import Vocabulary
    from colonnade.tui.helper_client import Progress
    from colonnade.tui.session import Session
    from colonnade.tui.session_model import TriedImage, TryResult

__all__ = ["Tried", "TriedPicture", "failure_lines", "histogram", "result_lines", "try_draft"]

LIMIT = 24
_BLOCKS = " ▁▂▃▄▅▆▇█"
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
    narrow: tuple[str, ...] = ()
    """The lines where there is little room for a histogram."""

    def some(self, room: int) -> tuple[TriedPicture, ...]:
        """As many pictures as there is room for: at most a third that enter, a third that leave, else the best."""
        entering = [each for each in self.pictures if each.mark == "+"]
        leaving = [each for each in self.pictures if each.mark == "-"]
        best = [each for each in self.pictures if each.mark == " "]
        third = max(1, room // 3)
        changed = entering[:third] + leaving[:third]
        return tuple([*best[: max(0, room - len(changed))], *changed][:room])


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
    wording = draft.wordings[which]
    found = session.try_wording(
        draft.old,
        description=None if wording.listed else wording.description,
        prompts=wording.listed or None,
        accepted=_number(draft.accepted),
        tentative=_number(draft.tentative),
        limit=LIMIT,
        group=_GROUPS[which],
        progress=progress,
    )
    return Tried(
        tuple(result_lines(found)),
        (
            *_pictures(session, " ", found.best),
            *_pictures(session, "+", found.entering_images),
            *_pictures(session, "-", found.leaving_images),
        ),
        tuple(result_lines(halved(found))),
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
    reason = None if row.state == "ok" else row.error or row.state
    if row.file is None and reason is None:
        reason = "no file"
    return TriedPicture(image_id, mark, value, path, row.file, reason)


def decimal(value: float) -> str:
    """A confidence or a cosine: `.98`, `-.03`."""
    text = f"{abs(value):.2f}".removeprefix("0")
    return f"-{text}" if value < 0 and text != ".00" else text


def histogram(counts: Sequence[int]) -> str:
    """Counts as blocks; heights go by the square root, so that few images still show."""
    most = max(counts, default=0)
    return "".join(
        _BLOCKS[max(1, round(8 * (count / most) ** 0.5))] if count and most else _BLOCKS[0]
        for count in counts
    )


def halved(found: TryResult) -> TryResult:
    """A result with half as many bins in its histograms."""

    def half(counts: Sequence[int]) -> tuple[int, ...]:
        return tuple(sum(counts[n : n + 2]) for n in range(0, len(counts), 2))

    return replace(found, logits=half(found.logits), confidences=half(found.confidences))


def result_lines(found: TryResult) -> list[str]:
    """A try in words: counts, what changes, what is near, and the histogram with the line from which it accepts."""
    of = f" of {found.images:,}" + (
        f" sampled, of {found.embedded:,}" if found.embedded > found.images else ""
    )
    share = f" ({100 * found.accepted / found.images:.1f} %)" if found.images else ""
    lines = [f"accepted {found.accepted:,}{of}{share}, tentative {found.tentative:,}  {found.method}"]
    if found.before is None:
        lines.append("not scored as saved: no image enters or leaves")
    else:
        lines.append(f"saved {found.before:,}: {found.entering:,} enter (+), {found.leaving:,} leave (-)")
    near = ", ".join(f"{code} {decimal(cosine)}" for code, cosine in found.nearest)
    lines.append(f"nearest by cosine: {near or 'no other attribute has vectors'}")
    low = f"{found.low:.1f} "
    lines.append(f"logit {low}{histogram(found.logits)} {found.high:.1f}")
    if found.cut is not None and found.high > found.low:
        place = (found.cut - found.low) / (found.high - found.low)
        if 0 <= place <= 1:
            column = len("logit ") + len(low) + min(len(found.logits) - 1, int(place * len(found.logits)))
            lines.append(f"{' ' * column}^ accepted from {found.cut:.2f}")
        else:
            lines.append(f"accepted from {found.cut:.2f}, {'above' if place > 1 else 'below'} all of them")
    else:
        lines.append(f"conf. 0{' ' * (len(low) - 2)}{histogram(found.confidences)} 1")
    return lines


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
    lines += [f"{row.code} is not scored yet: t tags it" for row in parts if not row.scored][:1]
    return Tried(tuple(lines), tuple(pictures))


def _lacking(codes: Iterable[str], known: Container[str], vocabulary: Vocabulary) -> list[str]:
    """Why a rule that names these codes cannot be tried yet, a line a code."""
    lines = []
    for code in codes:
        if code not in vocabulary:
            lines.append(f"{code} is not in the vocabulary: space on it takes it out of the rule")
        elif code not in known:
            lines.append(
                f"{code} is new and not saved yet: once it is saved (^S) and tagged (t), this can be tried"
            )
    return lines


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
