"""A review in words: the screen of a question, the line of what is known so far, and JSON for scripts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from colonnade.tui.plan_text import count
from colonnade.tui.safe import safe

if TYPE_CHECKING:
    from colonnade.engine.label_audit import Audit, Estimate
    from colonnade.engine.review import Question, Standing

__all__ = [
    "audit_json",
    "estimate_json",
    "interval",
    "question_json",
    "said",
    "screen",
    "standing_json",
    "standing_lines",
]

DOUBT = "but your other answers speak against it; what you say now stands"
KEYS = "y yes   n no   u unsure   b back   q stop"
_WORDS = {True: "yes", False: "no", None: "unsure"}


def said(present: bool | None) -> str:
    """An answer in a word."""
    return _WORDS[present]


def interval(estimate: Estimate | None) -> str:
    """`.91 (.74-.98)`; `-` where nothing is known."""
    if estimate is None:
        return "-"
    return f"{_share(estimate.value)} ({_share(estimate.low)}-{_share(estimate.high)})"


def _share(value: float) -> str:
    return "1.00" if value >= 0.995 else f"{value:.2f}"[1:]


def standing_lines(standing: Standing, *, audit: bool) -> list[str]:
    """What the answers show so far."""
    parts = [f"{count(standing.labels, 'image')} settled: {standing.yes:,} yes, {standing.no:,} no"]
    if standing.unsettled:
        parts.append(f"{standing.unsettled:,} unsettled")
    if standing.disputed:
        parts.append(f"{standing.disputed:,} disputed")
    found = standing.audit
    if found.audited:
        precision = interval(found.precision)
        parts.append(f"precision {precision}, recall {interval(found.recall)}")
        if found.undecided:
            parts.append(f"{found.undecided:,} of the audit undecided, which count half")
    elif audit:
        parts.append("precision and recall not known yet")
    else:
        parts.append("--audit shows precision and recall")
    return [" · ".join(parts), *_worth(standing, audit=audit)]


def _worth(standing: Standing, *, audit: bool) -> list[str]:
    """What one more label is worth."""
    if audit:
        if standing.width is None:
            return []
        now = standing.audit.precision
        before = f"{now.width:.2f}" if now else "1"
        return [
            f"one more label: the precision's 90 % interval from {before} to about {standing.width:.2f} wide"
        ]
    open_ = standing.doubt
    if not open_.now:
        return []
    doubt = f"in doubt, for the cut may lie on either side: {count(open_.now, 'image')}"
    return [f"{doubt}; after one more label about {open_.expected:,.0f}"]


def screen(
    question: Question, label: str, picture: list[str], status: list[str], place: str, width: int
) -> list[str]:
    """The lines of a question: picture, name, what is known, what is asked.

    Args:
        picture: lines with colours, safe to show.
        place: which question it is, in words.
    """
    lines = [*picture, _cut(safe(question.shown), width)]
    if question.look and question.said:
        lines.append(_cut(f"you said {said(question.said.present)}, {DOUBT}", width))
    lines += [_cut(safe(line), width) for line in status]
    before = f"   (you said {said(question.said.present)})" if question.said and not question.look else ""
    keys = f"{place}   {KEYS}{before}"
    return [*lines, _cut(keys, width), _cut(safe(label), width - 3) + "? "]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 1)] + "…"


def question_json(question: Question) -> dict[str, Any]:
    """A question as `review --list --json` tells it: `labels import` takes it back with `present` filled in."""
    from colonnade.engine.review_answers import policy_word

    return {
        "image_id": question.image_id,
        "root": question.root,
        "path": question.path,
        "file": str(question.file) if question.file else None,
        "content_hash": question.content_hash,
        "code": question.code,
        "above_cut": finite(question.above),
        "policy": policy_word(question.policy, twice=question.look),
        "probability": question.probability,
        **({"said": said(question.said.present)} if question.said else {}),
    }


def finite(value: float | None) -> float | None:
    """The number; None for one that JSON does not have."""
    return value if value is not None and math.isfinite(value) else None


def standing_json(standing: Standing) -> dict[str, Any]:
    """What the answers show, for `--json`."""
    open_ = standing.doubt
    return {
        "labels": standing.labels,
        "yes": standing.yes,
        "no": standing.no,
        "unsettled": standing.unsettled,
        "disputed": standing.disputed,
        "ready": standing.ready,
        "audit": audit_json(standing.audit),
        "width_after_one_more": standing.width,
        "in_doubt": {"now": open_.now, "after_one_more": open_.expected, "at_stake": open_.at_stake},
    }


def audit_json(found: Audit) -> dict[str, Any]:
    """Precision and recall with their 90 % intervals."""
    return {
        "audited": found.audited,
        "audited_accepted": found.audited_accepted,
        "accepted": found.accepted,
        "undecided": found.undecided,
        "precision": estimate_json(found.precision),
        "recall": estimate_json(found.recall),
    }


def estimate_json(estimate: Estimate | None) -> dict[str, float] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
