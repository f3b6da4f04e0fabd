"""Commands that do stale work: sync, its four steps one by one, and plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colonnade.tui.console import (
    JsonOption,
    StoreOption,
    emit,
    emit_json,
    open_store,
    print_table,
    progress,
    say,
)
from colonnade.tui.plan_text import absent_roots, count, plan_json, plan_lines, scan_rows

if TYPE_CHECKING:
    from colonnade.engine.jobs import Job
    from colonnade.engine.store import Store
    from colonnade.engine.sync import Narrator, Plan

__all__ = ["register"]

BatchOption = Annotated[
    int | None, typer.Option("--batch", min=1, max=4096, metavar="N", help="Images a forward pass.")
]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda or mps; by default the fastest there is.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Compute again what is fresh.")]
_SHOWN_FAILURES = 20


@contextmanager
def _job(store: Store, command: Sequence[str]) -> Iterator[tuple[Job, Narrator]]:
    """A recorded job with a progress line on the terminal."""
    from colonnade.engine.jobs import record_job
    from colonnade.engine.sync import Narrator

    with record_job(store.path, command) as job, progress("") as line:

        def show(phase: str, done: int, total: int, failures: int) -> None:
            job.update(phase, done, total, failures)
            line.phase(phase)
            line.update(done, total, failures)

        def tell(text: str) -> None:
            job.log(text)
            line.close()
            say(text)

        yield job, Narrator(show, tell, job.failed)


def _report(rows: list[tuple[str, str, int]], failures: Sequence[tuple[str, str]], failed: int) -> None:
    """The table of outcomes on stdout, and the first unreadable files on stderr."""
    print_table(["step", "outcome", "count"], [(s, o, f"{n:,}") for s, o, n in rows if n], right={"count"})
    for path, reason in failures[:_SHOWN_FAILURES]:
        say(f"unreadable: {path}: {reason}")
    if failed > min(len(failures), _SHOWN_FAILURES):
        say(
            f"... and {failed - min(len(failures), _SHOWN_FAILURES):,} more: "
            "colonnade sql \"SELECT path, error FROM images WHERE state = 'unreadable'\""
        )


def sync(
    store: StoreOption = None,
    batch: BatchOption = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
) -> None:
    """Scan, embed, tag and derive: only what is stale.

    Example: colonnade sync
    """
    from colonnade.engine.sync import make_plan, run_plan

    opened = open_store(store)
    plan = make_plan(opened)
    if plan.empty and not plan.retries:
        if json_:
            emit_json({"plan": plan_json(plan), "outcomes": {}, "unreadable": []})
        else:
            for text in plan_lines(plan, opened):
                say(text)
        _tell_absent(plan)
        return
    for text in plan_lines(plan, opened):
        say(text)
    with _job(opened, ["sync"]) as (job, narrator):
        outcome = run_plan(opened, plan, batch=batch, device=device, narrator=narrator)
        failures = [*(outcome.scan.failures if outcome.scan else ()), *outcome.embed.failures]
        rate = outcome.embed.embedded / outcome.embed.seconds if outcome.embed.embedded else None
        job.note(outcomes=tuple(failures[:1000]), embedded_per_second=rate, failures=outcome.failures)
    rows = [
        *(scan_rows(outcome.scan) if outcome.scan else ()),
        ("embed", "embedded", outcome.embed.embedded),
        ("embed", "copies, vector shared", outcome.embed.shared),
        ("embed", "unreadable", outcome.embed.failed),
        ("embed", "file not there or changed, left for the next sync", outcome.embed.left),
        ("tag", "prompts encoded", outcome.tag.encoded_prompts),
        ("tag", "background phrases encoded", outcome.tag.encoded_phrases),
        ("tag", "attributes calibrated", len(outcome.tag.fitted)),
        ("tag", "attributes scored", len(outcome.tag.attributes)),
        ("tag", "rows scored", outcome.tag.rows),
        ("derive", "attributes derived", len(outcome.derived)),
    ]
    if json_:
        emit_json({"plan": plan_json(plan), "outcomes": _outcomes(rows), "unreadable": failures})
    else:
        _report(rows, failures, outcome.failures)
    _tell_absent(plan)


def _tell_absent(plan: Plan) -> None:
    """End with status 1 if a root is not there: its images were left alone, and somebody should know."""
    if absent_roots(plan.scan):
        raise typer.Exit(1)


def _outcomes(rows: Sequence[tuple[str, str, int]]) -> dict[str, Any]:
    result: dict[str, dict[str, int]] = {}
    for step, outcome, number in rows:
        result.setdefault(step, {})[outcome] = number
    return result


def plan(store: StoreOption = None, json_: JsonOption = False) -> None:
    """Say what `sync` would do and what it costs; exits 1 if there is anything.

    Example: colonnade plan
    """
    from colonnade.engine.sync import make_plan

    opened = open_store(store)
    made = make_plan(opened)
    if json_:
        emit_json(plan_json(made))
    else:
        for text in plan_lines(made, opened):
            emit(text)
    if not made.empty or absent_roots(made.scan):
        raise typer.Exit(1)


def scan(store: StoreOption = None, json_: JsonOption = False) -> None:
    """Compare the roots with the images table: new, changed, moved and vanished files.

    Example: colonnade scan
    """
    from colonnade.engine.scan import apply_scan, plan_scan

    opened = open_store(store)
    if not opened.settings.roots:
        say("the store has no image roots: colonnade root add IMAGES")
    with _job(opened, ["scan"]) as (job, narrator):
        planned = plan_scan(opened)
        outcome = apply_scan(
            opened,
            planned,
            lambda d, t, f: narrator.progress("scan", d, t, f),
            narrate=narrator.say,
            on_failure=narrator.failed,
        )
        job.note(outcomes=outcome.failures, failures=outcome.unreadable)
    rows = scan_rows(outcome)
    if json_:
        emit_json({"outcomes": _outcomes(rows), "unreadable": outcome.failures})
    else:
        _report(rows, outcome.failures, outcome.unreadable)


def embed(
    store: StoreOption = None,
    batch: BatchOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Decode at most N images; their copies come along.")
    ] = None,
    force: ForceOption = False,
    device: DeviceOption = None,
    json_: JsonOption = False,
) -> None:
    """Embed the images that have no vector of the active model; commits as it goes.

    --force embeds everything again, the images that could not be decoded before as well.

    Example: colonnade embed --limit 1000
    """
    from colonnade.engine.embed import embed as run_embed
    from colonnade.engine.sync import model_loader

    opened = open_store(store)
    with _job(opened, ["embed"]) as (job, narrator):
        outcome = run_embed(
            opened,
            batch=batch,
            limit=limit,
            force=force,
            load=model_loader(device),
            progress=lambda d, t, f: narrator.progress("embed", d, t, f),
            on_conflict=narrator.say,
            on_failure=narrator.failed,
        )
        rate = outcome.embedded / outcome.seconds if outcome.embedded else None
        job.note(outcomes=tuple(outcome.failures), embedded_per_second=rate, failures=outcome.failed)
    rows = [
        ("embed", "embedded", outcome.embedded),
        ("embed", "copies, vector shared", outcome.shared),
        ("embed", "unreadable", outcome.failed),
        ("embed", "file not there or changed, left for the next sync", outcome.left),
    ]
    if json_:
        emit_json({"outcomes": _outcomes(rows), "unreadable": outcome.failures, "seconds": outcome.seconds})
    else:
        _report(rows, outcome.failures, outcome.failed)


CodesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[CODE]...", help="Attributes; all by default.")
]


def tag(
    codes: CodesArgument = None,
    store: StoreOption = None,
    force: ForceOption = False,
    derive: Annotated[
        bool, typer.Option("--derive", help="Afterwards derive what follows by rules, as `derive` does.")
    ] = False,
) -> None:
    """Score stored embeddings for the attributes that are stale or missing; decodes no image.

    Example: colonnade tag earth moon
    """
    from colonnade.engine.derive_run import derive_attributes
    from colonnade.engine.tag import tag as run_tag

    opened = open_store(store)
    if opened.settings.active is None:
        say("there are no embeddings yet: colonnade sync, or colonnade import embeddings")
        return
    written: Sequence[str] = ()
    with _job(opened, ["tag", *(codes or ()), *(["--derive"] if derive else [])]) as (_, narrator):
        outcome = run_tag(
            opened,
            codes=codes or None,
            force=force,
            progress=lambda done, total: narrator.progress("tag", done, total, 0),
            on_conflict=narrator.say,
            say=narrator.say,
        )
        if derive:
            narrator.progress("derive", 0, 0, 0)
            written = derive_attributes(opened, on_conflict=narrator.say)
    _list_codes(outcome.attributes, "scored")
    if written:
        _list_codes(written, "derived")


def derive(codes: CodesArgument = None, store: StoreOption = None, force: ForceOption = False) -> None:
    """Compute stale derived attributes from the stored scores.

    Example: colonnade derive
    """
    from colonnade.engine.derive_run import derive_attributes

    opened = open_store(store)
    with _job(opened, ["derive", *(codes or ())]) as (_, narrator):
        written = derive_attributes(opened, codes=codes or None, force=force, on_conflict=narrator.say)
    _list_codes(written, "derived")


def _list_codes(codes: Sequence[str], verb: str) -> None:
    """The codes that were written on stdout, a line each."""
    for code in codes:
        emit(code)
    say(f"{count(len(codes), 'attribute')} {verb}" if codes else "nothing to do: everything is fresh")


def register(app: typer.Typer) -> None:
    """Add this area's commands."""
    commands: tuple[Callable[..., None], ...] = (sync, plan, scan, embed, tag, derive)
    for command in commands:
        app.command()(command)
