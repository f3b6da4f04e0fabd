"""Commands that do stale work: sync, its four steps one by one, and plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated

import typer

from colonnade.tui.commands.run_report import (
    embed_rows,
    end_where_blind,
    list_codes,
    narrated_job,
    outcomes_json,
    report,
    sync_rows,
)
from colonnade.tui.console import JsonOption, StoreOption, emit, emit_json, open_store, say
from colonnade.tui.plan_text import plan_json, plan_lines, problem_lines, scan_rows

__all__ = ["register"]

BatchOption = Annotated[
    int | None, typer.Option("--batch", min=1, max=4096, metavar="N", help="Images a forward pass.")
]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda or mps; by default the fastest there is.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Compute again what is fresh.")]


def sync(
    store: StoreOption = None,
    batch: BatchOption = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
) -> None:
    """Scan, embed, tag and derive: only what is stale.

    Exits 1 if a root or a folder could not be looked at; its images stay as they are.

    Example: colonnade sync
    """
    from colonnade.engine.errors import ModelError
    from colonnade.engine.sync import SyncOutcome, make_plan, run_plan

    opened = open_store(store)
    plan = make_plan(opened)
    if plan.empty and not plan.retries:
        if json_:
            emit_json({"plan": plan_json(plan), "outcomes": {}, "unreadable": []})
        else:
            for text in plan_lines(plan, opened):
                say(text)
        end_where_blind(plan.scan)
        return
    for text in plan_lines(plan, opened):
        say(text)
    outcome = SyncOutcome()
    refused: ModelError | None = None
    with suppress(ModelError), narrated_job(opened, ["sync"]) as (job, narrator):
        try:
            run_plan(opened, plan, batch=batch, device=device, narrator=narrator, outcome=outcome)
        except ModelError as error:
            refused = error
        failures = [*(outcome.scan.failures if outcome.scan else ()), *outcome.embed.failures]
        rate = outcome.embed.embedded / outcome.embed.seconds if outcome.embed.embedded else None
        job.note(outcomes=tuple(failures[:1000]), embedded_per_second=rate, failures=outcome.failures)
        if refused is not None:
            raise refused
    rows = sync_rows(outcome)
    if json_:
        emit_json({"plan": plan_json(plan), "outcomes": outcomes_json(rows), "unreadable": failures})
    elif refused is None or any(number for _, _, number in rows):
        report(rows, failures, outcome.failures)
    if refused is not None:
        raise refused
    end_where_blind(plan.scan)


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
    if not made.empty:
        raise typer.Exit(1)
    end_where_blind(made.scan)


def scan(store: StoreOption = None, json_: JsonOption = False) -> None:
    """Compare the roots with the images table: new, changed, moved and vanished files.

    Exits 1 if a root or a folder could not be looked at; its images stay as they are.

    Example: colonnade scan
    """
    from colonnade.engine.scan import apply_scan, plan_scan

    opened = open_store(store)
    if not opened.settings.roots:
        say("the store has no image roots: colonnade root add IMAGES")
    with narrated_job(opened, ["scan"]) as (job, narrator):
        planned = plan_scan(opened)
        for text in problem_lines(planned):
            narrator.say(text)
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
        emit_json(
            {
                "problems": problem_lines(planned),
                "outcomes": outcomes_json(rows),
                "unreadable": outcome.failures,
            }
        )
    else:
        report(rows, outcome.failures, outcome.unreadable)
    end_where_blind(planned)


def embed(
    store: StoreOption = None,
    batch: BatchOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Decode at most N images; their copies come along.")
    ] = None,
    force: ForceOption = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Only the images that could not be decoded before.")
    ] = False,
    device: DeviceOption = None,
    json_: JsonOption = False,
) -> None:
    """Embed the images that have no vector of the active model; commits as it goes.

    --force embeds everything again, the images that could not be decoded before as well; --retry these alone.

    Example: colonnade embed --limit 1000
    """
    from colonnade.engine.embed import embed as run_embed
    from colonnade.engine.sync import model_loader

    opened = open_store(store)
    with narrated_job(opened, ["embed"]) as (job, narrator):
        outcome = run_embed(
            opened,
            batch=batch,
            limit=limit,
            force=force,
            retry=retry,
            load=model_loader(device),
            progress=lambda d, t, f: narrator.progress("embed", d, t, f),
            on_conflict=narrator.say,
            on_failure=narrator.failed,
        )
        rate = outcome.embedded / outcome.seconds if outcome.embedded else None
        job.note(outcomes=tuple(outcome.failures), embedded_per_second=rate, failures=outcome.failed)
    rows = embed_rows(outcome)
    if json_:
        emit_json(
            {"outcomes": outcomes_json(rows), "unreadable": outcome.failures, "seconds": outcome.seconds}
        )
    else:
        report(rows, outcome.failures, outcome.failed)


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
    from colonnade.engine.tag import TagOutcome, UnscoredError
    from colonnade.engine.tag import tag as run_tag

    opened = open_store(store)
    if opened.settings.active is None:
        say("there are no embeddings yet: colonnade sync, or colonnade import embeddings")
        return
    outcome = TagOutcome()
    written: Sequence[str] = ()
    unscored: UnscoredError | None = None
    command = ["tag", *(codes or ()), *(["--derive"] if derive else [])]
    with suppress(UnscoredError), narrated_job(opened, command) as (_, narrator):
        try:
            outcome = run_tag(
                opened,
                codes=codes or None,
                force=force,
                progress=lambda done, total: narrator.progress("tag", done, total, 0),
                on_conflict=narrator.say,
                say=narrator.say,
            )
        except UnscoredError as error:
            outcome, unscored = error.outcome, error
        if derive:
            narrator.progress("derive", 0, 0, 0)
            written = derive_attributes(opened, on_conflict=narrator.say)
        if unscored is not None:
            raise unscored
    if outcome.attributes or unscored is None:
        list_codes(outcome.attributes, "scored")
    if written:
        list_codes(written, "derived")
    if unscored is not None:
        raise unscored


def derive(codes: CodesArgument = None, store: StoreOption = None, force: ForceOption = False) -> None:
    """Compute stale derived attributes from the stored scores.

    Example: colonnade derive
    """
    from colonnade.engine.derive_run import derive_attributes

    opened = open_store(store)
    with narrated_job(opened, ["derive", *(codes or ())]) as (_, narrator):
        written = derive_attributes(opened, codes=codes or None, force=force, on_conflict=narrator.say)
    list_codes(written, "derived")


def register(app: typer.Typer) -> None:
    """Add this area's commands."""
    commands: tuple[Callable[..., None], ...] = (sync, plan, scan, embed, tag, derive)
    for command in commands:
        app.command()(command)
