"""What the commands that do stale work tell: a recorded job while they run, outcomes and exit status at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from colonnade.tui.console import emit, print_table, progress, say
from colonnade.tui.plan_text import count, scan_rows

if TYPE_CHECKING:
    from colonnade.engine.embed import EmbedOutcome
    from colonnade.engine.jobs import Job
    from colonnade.engine.scan import ScanPlan
    from colonnade.engine.store import Store
    from colonnade.engine.sync import Narrator, SyncOutcome

__all__ = [
    "Row",
    "embed_rows",
    "end_where_blind",
    "list_codes",
    "narrated_job",
    "outcomes_json",
    "report",
    "sync_rows",
]

Row = tuple[str, str, int]
"""(step, outcome, count)."""

_SHOWN_FAILURES = 20


@contextmanager
def narrated_job(store: Store, command: Sequence[str]) -> Iterator[tuple[Job, Narrator]]:
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


def embed_rows(outcome: EmbedOutcome) -> list[Row]:
    """What became of the images to embed."""
    return [
        ("embed", "embedded", outcome.embedded),
        ("embed", "copies, vector shared", outcome.shared),
        ("embed", "unreadable", outcome.failed),
        ("embed", "file not there or changed, left for the next sync", outcome.left),
    ]


def sync_rows(outcome: SyncOutcome) -> list[Row]:
    """What all the steps of a `sync` did."""
    return [
        *(scan_rows(outcome.scan) if outcome.scan else ()),
        *embed_rows(outcome.embed),
        ("tag", "prompts encoded", outcome.tag.encoded_prompts),
        ("tag", "background phrases encoded", outcome.tag.encoded_phrases),
        ("tag", "attributes calibrated", len(outcome.tag.fitted)),
        ("tag", "attributes scored", len(outcome.tag.attributes)),
        ("tag", "rows scored", outcome.tag.rows),
        ("derive", "attributes derived", len(outcome.derived)),
    ]


def report(rows: Sequence[Row], failures: Sequence[tuple[str, str]], failed: int) -> None:
    """The table of outcomes on stdout, and the first unreadable files on stderr."""
    print_table(["step", "outcome", "count"], [(s, o, f"{n:,}") for s, o, n in rows if n], right={"count"})
    if not any(number for _, _, number in rows):
        say("nothing to do")
    for path, reason in failures[:_SHOWN_FAILURES]:
        say(f"unreadable: {path}: {reason}")
    if failed > min(len(failures), _SHOWN_FAILURES):
        say(
            f"... and {failed - min(len(failures), _SHOWN_FAILURES):,} more: "
            "colonnade sql \"SELECT path, error FROM images WHERE state = 'unreadable'\""
        )


def outcomes_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Step -> outcome -> count."""
    result: dict[str, dict[str, int]] = {}
    for step, outcome, number in rows:
        result.setdefault(step, {})[outcome] = number
    return result


def list_codes(codes: Sequence[str], verb: str) -> None:
    """The codes that were written on stdout, a line each."""
    for code in codes:
        emit(code)
    say(
        f"{count(len(codes), 'attribute')} {verb}"
        if codes
        else "nothing to do: what can be made now is fresh"
    )


def end_where_blind(scan: ScanPlan | None) -> None:
    """End with status 1 if a root or a folder could not be looked at: its images were left as they are."""
    roots = scan.roots if scan is not None else ()
    if any(problem.blind for each in roots for problem in each.problems):
        raise typer.Exit(1)
