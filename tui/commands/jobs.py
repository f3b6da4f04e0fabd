"""Running and past jobs: list, stop, log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from colonnade.tui.console import (
    JsonOption,
    StoreOption,
    add_group,
    emit,
    emit_json,
    open_store,
    print_table,
    say,
)

__all__ = ["register"]

_HELP = """Running and past jobs. Alone: the list of them, as `jobs list`.

Example: colonnade jobs
"""

JobArgument = Annotated[str, typer.Argument(metavar="ID", help="The job's id, from `jobs list`.")]


def jobs_list(store: StoreOption = None, json_: JsonOption = False) -> None:
    """List jobs, newest first.

    Example: colonnade jobs list
    """
    from colonnade.engine.jobs import list_jobs

    records = list_jobs(open_store(store).path)
    if json_:
        emit_json([asdict(record) for record in records])
        return
    print_table(
        ["id", "command", "state", "phase", "done", "total", "failed", "seconds", "message"],
        [
            (
                record.id,
                " ".join(record.command),
                record.state,
                record.phase,
                f"{record.done:,}",
                f"{record.total:,}",
                f"{record.failures:,}",
                f"{record.seconds:.1f}",
                record.message[:80],
            )
            for record in records
        ],
        right={"done", "total", "failed", "seconds"},
    )


def jobs_stop(job: JobArgument, store: StoreOption = None) -> None:
    """Ask a running job to stop; what it finished is committed.

    Example: colonnade jobs stop 20261121-101500-4242
    """
    from colonnade.engine.jobs import stop_job

    if not stop_job(open_store(store).path, job):
        say(f"{job}: not running")
        raise typer.Exit(1)
    say(f"{job}: asked to stop")


def jobs_log(job: JobArgument, store: StoreOption = None) -> None:
    """Print a job's log and the files it could not read.

    Example: colonnade jobs log 20261121-101500-4242
    """
    from colonnade.engine.jobs import list_jobs, read_log

    path = open_store(store).path
    for line in read_log(path, job).splitlines():
        emit(line)
    for record in list_jobs(path):
        if record.id == job:
            for name, reason in record.outcomes:
                emit(f"unreadable: {name}: {reason}")


def register(app: typer.Typer) -> None:
    """Add this area's commands."""
    commands = {"list": jobs_list, "stop": jobs_stop, "log": jobs_log}
    add_group(app, "jobs", _HELP, commands, alone=jobs_list)
