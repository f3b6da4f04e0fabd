"""A plan of stale work in words, like a build tool's dry run, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from colonnade.engine.listing import SHOWN, some

if TYPE_CHECKING:
    from colonnade.engine.freshness import AttributeWork
    from colonnade.engine.scan import ScanOutcome, ScanPlan
    from colonnade.engine.store import Store
    from colonnade.engine.sync import Plan

__all__ = [
    "NO_FOLDER",
    "NO_MODEL",
    "count",
    "plan_json",
    "plan_lines",
    "problem_lines",
    "scan_rows",
]

NO_FOLDER = "no images yet and no folder of images: `colonnade root add FOLDER`, or import embeddings"
NO_MODEL = "no model is chosen: `colonnade model use demo`, or import embeddings"

_SHOWN = 8


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 image`, `1,204 images`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def plan_lines(plan: Plan, store: Store) -> list[str]:
    """One line for each kind of work, with what it costs; where there is none, why."""
    lines: list[str] = []
    if plan.scan is not None:
        lines += scan_lines(plan.scan)
    if plan.images_to_embed:
        why = ", whose files were replaced" if plan.model_replaced else ""
        most = "at most " if plan.images_perhaps else ""
        lines.append(
            f"{most}{count(plan.images_to_embed, 'image')} to embed with {plan.model}{why}{_seconds(plan)}"
        )
        if plan.copies:
            lines.append(f"  {plan.copies:,} of them copies, which share a vector and are not decoded")
        if plan.images_perhaps:
            lines.append(
                f"  {plan.images_perhaps:,} of them only if reading the file shows another picture: touched or "
                "renamed, as far as time and size tell; scores follow from that"
            )
    if plan.phrases_to_encode:
        lines.append(f"{count(plan.phrases_to_encode, 'background phrase')} to encode, once for {plan.model}")
    for reason, works in _by_reason(plan.base):
        costs = f"{_prompts(plan, works)}, 0 images to decode{_to_calibrate(works)}{_rows(works)}"
        lines.append(f"{_headline(reason, works)}: {costs}")
        lines.append(f"  {_codes(works)}")
    for reason, works in _by_reason(plan.derived):
        lines.append(
            f"{count(len(works), 'derived attribute')}, {reason}: no prompts, 0 images to decode{_rows(works)}"
        )
        lines.append(f"  {_codes(works)}")
    if plan.empty:
        lines.append(_nothing(plan, store))
    lines += problem_lines(plan.scan)
    if plan.images_without_encoder and plan.model:
        lines.append(
            f"{count(plan.images_without_encoder, 'image')} without a vector: {plan.model} was imported and cannot "
            "embed files; import theirs, or choose a model with `colonnade model use`"
        )
    lines += proposal_lines(plan)
    if plan.no_signal:
        lines.append(
            f"no signal in this collection, so at most what stands out is accepted: {some(plan.no_signal)}"
        )
    if plan.orphans:
        lines.append(
            f"{count(len(plan.orphans), 'orphan')} (scored, no longer in the vocabulary; `drop` removes them): "
            + ", ".join(plan.orphans[:_SHOWN])
        )
    return lines


def _nothing(plan: Plan, store: Store) -> str:
    """Why there is nothing to do; what lacks images or vectors is not fresh."""
    snapshot, settings = store.snapshot(), store.settings
    if not snapshot.files("images"):
        if not settings.roots:
            return NO_FOLDER
        return "nothing to do: no images in the folders of images" + ("" if plan.scan else " so far")
    if not plan.model:
        return NO_MODEL
    if settings.active is None or not snapshot.files("embeddings", settings.active.key):
        return "nothing to do: no image has a vector, or a readable file here to make it from"
    return "nothing for a sync to do" if plan.proposals else "nothing to do: everything is fresh"


def proposal_lines(plan: Plan) -> list[str]:
    """Fits that the collection has outgrown: a proposal, never work of a `sync`."""
    groups: dict[str, list[str]] = {}
    for proposal in plan.proposals:
        groups.setdefault(proposal.reason, []).append(proposal.code)
    lines = []
    for reason, codes in list(groups.items())[:_SHOWN]:
        every = len(codes) > 1 and len(codes) == plan.base_count
        named = () if every else codes if len(codes) <= SHOWN else ("CODE...",)
        command = " ".join(("colonnade calibration fit", *named))
        lines.append(f"a new fit is proposed for {some(codes)}: {reason}; {command}")
    if (rest := sum(len(codes) for codes in list(groups.values())[_SHOWN:])) > 0:
        lines.append(f"a new fit is proposed for {count(rest, 'more attribute')}; colonnade calibration")
    return lines


_SCANNED = {
    "new": "new",
    "looks_moved": "moved or renamed, by size and time",
    "changed": "changed",
    "same_size": "of them in time but not in size",
    "returned": "back again",
    "vanished": "gone",
    "retried": "unreadable so far, tried again",
    "unseen": "in folders that cannot be looked at, left as they are",
}
"""Counts of a scan's plan -> what they mean."""


def scan_lines(scan: ScanPlan) -> list[str]:
    """What a scan found in each root, in words; nothing for a root without news."""
    lines = []
    for each in scan.roots:
        found = [
            f"{number:,} {words}" for name, words in _SCANNED.items() if (number := int(getattr(each, name)))
        ]
        if found:
            lines.append(f"images in {each.root.name}: {', '.join(found)}")
    return lines


def problem_lines(scan: ScanPlan | None) -> list[str]:
    """What could not be looked at: its images stay as they are until it can."""
    lines = []
    for each in scan.roots if scan is not None else ():
        shown = each.problems[:_SHOWN]
        lines += [
            f"problem in {each.root.name}: {problem.path or each.root.path}: {problem.reason}"
            for problem in shown
        ]
        if len(each.problems) > len(shown):
            lines.append(f"problem in {each.root.name}: ... and {len(each.problems) - len(shown)} more")
    return lines


def scan_rows(outcome: ScanOutcome) -> list[tuple[str, str, int]]:
    """(step, outcome, count) of what a scan did."""
    words = {
        "new": "new",
        "moved": "moved, embedding kept",
        "changed": "changed",
        "touched": "touched, same content",
        "returned": "back again",
        "vanished": "gone, now missing",
        "unchanged": "unchanged",
        "unseen": "could not be looked at, left as they are",
        "unreadable": "unreadable",
    }
    return [("scan", text, int(getattr(outcome, name))) for name, text in words.items()]


def _seconds(plan: Plan) -> str:
    decoded = plan.images_to_embed - plan.copies
    if not plan.images_per_second or not decoded:
        return ""
    seconds = decoded / plan.images_per_second
    shown = f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
    return f", about {shown} at the {plan.images_per_second:,.1f} images/s of the last run"


def _by_reason(works: Iterable[AttributeWork]) -> list[tuple[str, list[AttributeWork]]]:
    groups: dict[str, list[AttributeWork]] = {}
    for work in works:
        groups.setdefault(" and ".join(work.reasons), []).append(work)
    return list(groups.items())


def _headline(reason: str, works: Sequence[AttributeWork]) -> str:
    if reason == "new":
        return count(len(works), "new attribute")
    return f"{count(len(works), 'attribute')}, {reason}"


def _prompts(plan: Plan, works: Sequence[AttributeWork]) -> str:
    needed = {prompt for work in works if work.logit for prompt in work.logit.document["prompts"]}
    return count(len(needed & set(plan.prompts_to_encode)), "prompt") + " to encode"


def _rows(works: Sequence[AttributeWork]) -> str:
    return f", {count(sum(work.rows for work in works), 'row')} to write"


def _to_calibrate(works: Sequence[AttributeWork]) -> str:
    number = sum(work.to_make is not None for work in works)
    return f", {number:,} to calibrate" if number else ""


def _codes(works: Sequence[AttributeWork]) -> str:
    return some([work.code for work in works])


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as one JSON document."""
    return {
        "empty": plan.empty,
        "model": plan.model,
        "scan": {name: plan.scan.count(name) for name in _SCANNED} if plan.scan is not None else None,
        "problems": problem_lines(plan.scan),
        "images_to_embed": plan.images_to_embed,
        "images_perhaps": plan.images_perhaps,
        "copies": plan.copies,
        "model_replaced": plan.model_replaced,
        "images_without_encoder": plan.images_without_encoder,
        "images_per_second": plan.images_per_second,
        "prompts_to_encode": list(plan.prompts_to_encode),
        "phrases_to_encode": plan.phrases_to_encode,
        "to_calibrate": list(plan.to_calibrate),
        "attributes": [
            {
                "code": work.code,
                "derived": work.derived,
                "reasons": list(work.reasons),
                "rows": work.rows,
                "tasks": sorted({cell.task.name.lower() for cell in work.cells}),
            }
            for work in (*plan.base, *plan.derived)
        ],
        "proposals": [
            {"code": p.code, "reason": p.reason, "growth": p.growth, "drift": p.drift} for p in plan.proposals
        ],
        "no_signal": list(plan.no_signal),
        "orphans": list(plan.orphans),
    }
