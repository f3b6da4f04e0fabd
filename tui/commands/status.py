"""How the store stands (status), and why a score is what it is (explain)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colonnade.tui.console import (
    AtOption,
    JsonOption,
    StoreOption,
    emit,
    emit_json,
    open_store,
    print_table,
    say,
)
from colonnade.tui.plan_text import plan_lines

if TYPE_CHECKING:
    from colonnade.engine.explain import Explanation

__all__ = ["register"]


def status(store: StoreOption = None, json_: JsonOption = False) -> None:
    """Freshness and counts per attribute, images per state, sizes, running jobs.

    Example: colonnade status --json | jq '.attributes[] | select(.state != "fresh")'
    """
    from colonnade.engine.jobs import list_jobs
    from colonnade.engine.status import read_status

    opened = open_store(store)
    found = read_status(opened)
    running = [job for job in list_jobs(opened.path) if job.state == "running"]
    if json_:
        emit_json(
            {
                "store": str(opened.path),
                "snapshot": found.snapshot,
                "model": found.model,
                "images": dict(found.images),
                "embedded": found.embedded,
                "mapped": found.mapped,
                "attributes": [
                    {
                        "code": item.code,
                        "kind": item.kind,
                        "state": item.state,
                        "accepted": item.count("accepted"),
                        "tentative": item.count("tentative"),
                        "rejected": item.count("rejected"),
                        "unknown": item.count(None),
                    }
                    for item in found.attributes
                ],
                "bytes": dict(found.bytes),
                "jobs": [
                    {
                        "id": job.id,
                        "command": list(job.command),
                        "phase": job.phase,
                        "done": job.done,
                        "total": job.total,
                    }
                    for job in running
                ],
            }
        )
        return
    images = ", ".join(f"{number:,} {state}" for state, number in found.images.items()) or "none yet"
    emit(f"store      {opened.path}")
    emit(f"snapshot   {found.snapshot}")
    emit(f"model      {found.model}, {found.embedded:,} images embedded")
    emit(f"images     {images}")
    sizes = ", ".join(f"{table} {_size(size)}" for table, size in found.bytes.items() if size)
    if found.mapped:
        waiting = f", {found.embedded - found.mapped:,} not yet: colonnade map places them"
        emit(f"map        {found.mapped:,} images" + (waiting if found.mapped < found.embedded else ""))
    emit(f"size       {_size(sum(found.bytes.values()))}" + (f" ({sizes})" if sizes else ""))
    for job in running:
        emit(f"job        {job.id} {' '.join(job.command)}: {job.phase} {job.done:,} of {job.total:,}")
    emit("")
    print_table(
        ["attribute", "kind", "state", "accepted", "tentative", "rejected", "unknown"],
        [
            (
                item.code,
                item.kind,
                item.state,
                *(f"{item.count(word):,}" for word in ("accepted", "tentative", "rejected", None)),
            )
            for item in found.attributes
        ],
        right={"accepted", "tentative", "rejected", "unknown"},
    )
    if not found.plan.empty:
        for line in plan_lines(found.plan, opened):
            say(line)


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def explain(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="A path, file name, UUID or id of the store.")
    ],
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="One attribute; all by default.")
    ] = None,
    store: StoreOption = None,
    at: AtOption = None,
    json_: JsonOption = False,
) -> None:
    """Why a score is what it is: prompts, logit, calibration, thresholds, rule, and whether it is stale.

    Example: colonnade explain as11-40-5873.jpg earth
    """
    from dataclasses import asdict

    from colonnade.engine.explain import explain_image
    from colonnade.engine.lookup import find_image, shown_path

    opened = open_store(store)
    snapshot = opened.snapshot(at)
    found = find_image(opened, snapshot, image)
    explanations = explain_image(opened, snapshot, found, [code] if code else None)
    if json_:
        facts = {
            "image_id": found.image_id,
            "root": found.root,
            "path": found.path,
            "state": found.state,
            "error": found.error,
        }
        emit_json({"image": facts, "attributes": [asdict(item) for item in explanations]})
        return
    emit(
        f"image {found.image_id}: {shown_path(found.root, found.path)}: {found.state}"
        + (f", {found.error}" if found.error else "")
    )
    if code is None:
        print_table(
            ["attribute", "status", "confidence", "logit", "source", "stale"],
            [
                (
                    item.code,
                    item.status or "-",
                    _number(item.confidence, 4),
                    _number(item.logit, 2),
                    item.label_source or "-",
                    item.stale or "",
                )
                for item in explanations
            ],
            right={"confidence", "logit"},
        )
        return
    for item in explanations:
        for line in _in_words(item, readable=found.state != "unreadable"):
            emit(line)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _in_words(item: Explanation, *, readable: bool) -> list[str]:
    if item.label_source is None:
        advice = "; `colonnade sync` does it" if readable else ", as it cannot be read"
        return [f"{item.code}: not scored" + (f" ({item.stale})" if readable and item.stale else advice)]
    lines = [
        f"{item.code}: {item.status or 'unknown'}, confidence {_number(item.confidence, 4)} ({item.label_source})"
    ]
    if item.logit is not None and item.fit is not None:
        lines += [f"  prompt       {prompt}" for prompt in item.prompts]
        lines.append(f"  logit        {item.logit:.4f}")
        if item.log_odds is not None:
            lines.append(f"  log odds     {item.log_odds:.4f}")
        lines.append(f"  calibration  {_calibration(item.fit)}")
    if item.thresholds is not None:
        accepted, tentative = item.thresholds["accepted"], item.thresholds["tentative"]
        lines.append(f"  thresholds   accepted from {accepted:g}, tentative from {tentative:g}")
    lines += [f"  rule         {condition}" for condition in item.rule]
    lines += [f"  model        {item.model}", f"  definition   {item.definition}"]
    lines.append(f"  stale        {item.stale}" if item.stale else "  fresh")
    return lines


def _calibration(fit: Mapping[str, Any]) -> str:
    """A stored fit as the formula that made the confidence."""
    from colonnade.tui.calibration_text import less

    method = fit["method"]
    if method == "fixed":
        return f"{method}: 1 / (1 + exp(-({less('logit', fit['center'])}) / {fit['scale']:g}))"
    formula = f"{method}: 1 / (1 + exp(-{fit['slope']:g} ({less('log odds', fit['cut'])})) / 4)"
    if not fit["no_signal"]:
        return formula
    below = f" below log odds {fit['gate']:g}" if "gate" in fit else ""
    return f"{formula}, at most 0.49{below}: no signal in this collection"


def register(app: typer.Typer) -> None:
    """Add this area's commands."""
    app.command()(status)
    app.command()(explain)
