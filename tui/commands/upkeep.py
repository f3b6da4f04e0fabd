"""The store itself: verify, gc, compact, snapshots, restore, diff; drop and forget are in `upkeep_removal`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from colonnade.tui.amounts import bytes_of, count_of
from colonnade.tui.commands.upkeep_removal import drop, forget
from colonnade.tui.console import (
    JsonOption,
    StoreOption,
    emit,
    emit_json,
    open_store,
    print_table,
    progress,
    say,
    store_path,
)
from colonnade.tui.results import MOST_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colonnade.engine.diff import AttributeDiff, StatusChange

__all__ = ["register"]


def verify(store: StoreOption = None, json_: JsonOption = False) -> None:
    """Check every link, checksum and row of the store. Reads only; exit 1 if something is wrong.

    Leftovers of a crash are noted, and are not wrong.

    Example: colonnade -s shots verify
    """
    from dataclasses import asdict

    from colonnade.engine.verify import verify as check

    with progress("verify") as line:
        report = check(
            store_path(store), progress=lambda done, total: line.update(done >> 20, max(1, total >> 20))
        )
    if json_:
        emit_json(asdict(report) | {"sound": report.sound})
    else:
        for fault in report.faults:
            emit(str(fault))
        if report.more_faults:
            emit(f"and {report.more_faults:,} more")
    for note in report.notes:
        say(f"note: {note}")
    count = len(report.faults) + report.more_faults
    looked = (
        f"{count_of(report.snapshots, 'snapshot')}, {count_of(report.files, 'file')} ({bytes_of(report.bytes)}), "
        f"{count_of(report.rows, 'row')}"
    )
    say(f"{count_of(count, 'fault')} in {looked}" if count else f"nothing wrong in {looked}")
    if count:
        raise typer.Exit(1)


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a number of seconds.")
    return value


def gc(
    store: StoreOption = None,
    keep_snapshots: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many of the latest to keep; else keep_snapshots of colonnade.toml, 20.",
        ),
    ] = None,
    keep_seconds: Annotated[
        float | None,
        typer.Option(
            min=0,
            callback=_finite,
            metavar="S",
            help="Keep what was superseded less long ago, for queries that still read it; else keep_seconds of "
            "colonnade.toml, 600.",
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Remove old snapshots and what crashes left behind. Every commit does so as well.

    Example: colonnade gc --keep-snapshots 1 --keep-seconds 0
    """
    from dataclasses import asdict

    from colonnade.engine.garbage import collect

    found = collect(open_store(store).path, keep_snapshots=keep_snapshots, keep_seconds=keep_seconds)
    if json_:
        emit_json(asdict(found))
        return
    if not (found.snapshots or found.leftovers):
        say("nothing to remove")
        return
    say(
        f"removed {count_of(found.snapshots, 'snapshot')} and {count_of(found.leftovers, 'other name')}; "
        f"{bytes_of(found.bytes)} freed"
    )


def compact(store: StoreOption = None, json_: JsonOption = False) -> None:
    """Merge the small files of collections that arrived in drips. Nothing becomes stale by it.

    The old files stay for as long as a snapshot that is kept needs them; see `colonnade gc`.

    Example: colonnade compact
    """
    from dataclasses import asdict

    from colonnade.engine.compact import compact as merge

    opened = open_store(store)
    with progress("compact") as line:
        done = merge(opened.path, progress=line.update, on_conflict=say)
    if json_:
        emit_json(asdict(done))
    elif done.cells:
        say(
            f"{count_of(done.files_before, 'file')} merged into {done.cells:,}; the old ones go when no snapshot that "
            "is kept needs them any more (see `colonnade gc --help`)"
        )
    else:
        say("nothing to merge")


def snapshots(store: StoreOption = None, json_: JsonOption = False) -> None:
    """List the snapshots that are kept, and what they hold.

    `--at N` of the reading commands reads one, `diff` compares two, `restore` goes back to one.

    Example: colonnade snapshots
    """
    from dataclasses import asdict

    from colonnade.engine.history import snapshot_facts

    found = snapshot_facts(open_store(store).path)
    if json_:
        emit_json([asdict(facts) | {"created": facts.created.isoformat()} for facts in found])
        return
    columns = [
        "snapshot",
        "created (UTC)",
        "command",
        "images",
        "attributes",
        "labels",
        "files",
        "bytes",
        "own bytes",
    ]
    rows = [
        (
            f"{facts.number}{' live' if facts.live else ''}",
            f"{facts.created:%Y-%m-%d %H:%M:%S}",
            facts.command,
            f"{facts.images:,}",
            f"{facts.attributes:,}",
            f"{facts.labels:,}",
            f"{facts.files:,}",
            bytes_of(facts.bytes),
            bytes_of(facts.own_bytes),
        )
        for facts in found
    ]
    print_table(columns, rows, right=set(columns[3:]))


def restore(
    number: Annotated[int, typer.Argument(metavar="N", help="The snapshot to go back to, see `snapshots`.")],
    store: StoreOption = None,
    vocabulary: Annotated[
        bool, typer.Option("--vocabulary", help="Put its vocabulary in the place of vocabulary.yaml, too.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Make a new snapshot that equals an old one. What came in between stays in the snapshots in between.

    Example: colonnade restore 41
    """
    from dataclasses import asdict

    from colonnade.engine.history import restore as go_back

    done = go_back(open_store(store).path, number, vocabulary=vocabulary)
    if json_:
        emit_json(asdict(done))
    say(f"snapshot {done.number} equals snapshot {number}")
    if done.labels_left:
        say(
            f"{done.labels_left:,} of people's answers are not in it; bring them back with "
            f"`colonnade labels export --at {done.before} --output FILE` and `labels import FILE`"
        )
    if done.vocabulary_kept:
        say(f"no snapshot had vocabulary.yaml as it was: it is kept as {done.vocabulary_kept}")
    if done.vocabulary_differs:
        say(
            f"vocabulary.yaml is not the one of snapshot {number}: `colonnade plan` says what that makes stale; "
            f"`colonnade restore {number} --vocabulary` puts that one back"
        )


def diff(
    a: Annotated[int, typer.Argument(metavar="A", help="The older snapshot.")],
    b: Annotated[int, typer.Argument(metavar="B", help="The newer snapshot.")],
    store: StoreOption = None,
    attribute: Annotated[
        str | None, typer.Option("--attribute", "-a", metavar="CODE", help="List the images of this one.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, max=MOST_ROWS, metavar="N", help="At most so many images; 0 for all.")
    ] = 50,
    json_: JsonOption = False,
) -> None:
    """Which images changed status between two snapshots, and why: a summary, or the images of one attribute.

    As for queries, images that are missing or unreadable have no status: one that went missing is accepted, say, in A
    and absent in B.

    Example: colonnade diff 41 42 --attribute earth
    """
    from colonnade.engine.diff import diff_attribute, diff_summary

    opened = open_store(store)
    old, new = opened.snapshot(a), opened.snapshot(b)
    if attribute is not None:
        _print_images(diff_attribute(old, new, attribute), limit, json_=json_)
        return
    found = diff_summary(old, new)
    if json_:
        emit_json(
            [{"attribute": item.code, "images": item.images, "changes": _changes(item)} for item in found]
        )
    elif found:
        columns = ["attribute", "images", "before", "after", "why"]
        rows = [(i.code, f"{count:,}", *words) for i in found for *words, count in i.counts]
        print_table(columns, rows, right={"images"})
    else:
        say(f"no image changed status between snapshots {a} and {b}")


def _changes(item: AttributeDiff) -> list[dict[str, str | int]]:
    return [
        {"before": before, "after": after, "why": why, "images": count}
        for before, after, why, count in item.counts
    ]


def _print_images(changes: Iterator[StatusChange], limit: int, *, json_: bool) -> None:
    from dataclasses import asdict
    from itertools import islice

    shown = list(islice(changes, limit or None))
    more = next(changes, None) is not None
    if json_:
        emit_json({"changes": [asdict(change) for change in shown], "more": more})
        return
    columns = ["image", "path", "before", "after", "why"]
    rows = [(str(c.image_id), c.path, c.before, c.after, c.why) for c in shown]
    if rows:
        print_table(columns, rows, right={"image"})
        if more:
            say(f"only the first {limit:,} are shown; --limit 0 shows all")
    else:
        say("no image changed status")


def register(app: typer.Typer) -> None:
    """Add this area's commands."""
    for command in (verify, gc, compact, snapshots, restore, diff, drop, forget):
        app.command()(command)
