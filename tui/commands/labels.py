"""Commands on people's judgements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colonnade.tui.console import (
    AtOption,
    JsonOption,
    StoreOption,
    add_group,
    emit,
    emit_json,
    open_store,
    print_table,
    say,
)
from colonnade.tui.results import pipe

if TYPE_CHECKING:
    from colonnade.engine.label_disputes import Dispute
    from colonnade.engine.labels import CodeLabels
    from colonnade.engine.store import Store

__all__ = ["register"]

_CodesArgument = Annotated[list[str] | None, typer.Argument(metavar="[CODE]...", show_default=False)]
_SHOWN_SKIPPED = 10
_SHOWN_DISPUTES = 10


_HELP = """People's judgements of what a picture shows.

Example: colonnade labels list
"""


def register(app: typer.Typer) -> None:
    """Add `labels import`, `labels export` and `labels list`."""
    commands = {"import": import_labels, "export": export_labels, "list": list_labels}
    add_group(app, "labels", _HELP, commands)


def import_labels(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, JSON lines or Parquet.")],
    store: StoreOption = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out lines that are wrong instead of refusing all.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Store judgements made elsewhere.

    Columns: `path`, `id`, `image_id` or `uuid`; `code`; `present` (yes, no or unsure); and if there are, `reviewer`,
    `reviewed_at`, `root`, `content_hash`, `policy` and `probability`, as `review --list --json` gives them. A path is
    that in its root, or the whole one. Of one image and reviewer the newest judgement stands.

    Example: colonnade labels import judgements.csv
    """
    from colonnade.engine.labels import import_labels as run

    opened = open_store(store)
    done = run(opened, file, skip_unknown=skip_unknown)
    if json_:
        emit_json(
            {
                "read": done.read,
                "written": done.written,
                "set_aside": done.set_aside,
                "skipped": [{"line": fault.line, "message": fault.message} for fault in done.skipped],
            }
        )
        return
    for fault in done.skipped[:_SHOWN_SKIPPED]:
        say(f"{file}:{fault.line}: {fault.message}; left out")
    if len(done.skipped) > _SHOWN_SKIPPED:
        say(f"... and {len(done.skipped) - _SHOWN_SKIPPED:,} more lines left out")
    say(f"{done.read:,} judgements read, {done.written:,} labels written")
    if done.set_aside:
        say(f"{done.set_aside:,} are of pictures that have changed since, and are set aside")
    if done.written:
        _say_enough(opened, done.codes)


def _say_enough(store: Store, codes: Sequence[str]) -> None:
    """Which attributes have labels enough for their cut, and what moves it."""
    from colonnade.engine.answers import read_answers
    from colonnade.engine.listing import some

    snapshot, base = store.snapshot(), {attribute.code for attribute in store.vocabulary().base}
    enough = [code for code in codes if code in base and read_answers(snapshot, code).enough]
    if enough:
        say(
            f"{some(enough)}: the labels are enough to move the cut; colonnade calibration fit {' '.join(enough)}"
        )


def list_labels(
    codes: _CodesArgument = None,
    store: StoreOption = None,
    at: AtOption = None,
    json_: JsonOption = False,
) -> None:
    """What is labelled: answers, reviewers, and labels set aside because the picture changed.

    Several people may judge one image: yes, no and unsure count judgements, images the pictures judged. Settled are
    the images on which most people agree: they count for the cut. `disputed` are the images on which they disagree;
    stderr names them.

    Example: colonnade labels list earth moon
    """
    from colonnade.engine.answers import read_answers
    from colonnade.engine.label_disputes import disputes
    from colonnade.engine.labels import list_labels as run

    opened = open_store(store)
    snapshot = opened.snapshot(at)
    found = run(snapshot, opened.vocabulary(snapshot if at is not None else None), codes or None)
    disputed = {labels.code: disputes(snapshot, labels.code) for labels in found}
    settled = {labels.code: len(read_answers(snapshot, labels.code).ids) for labels in found}
    if json_:
        emit_json([_as_json(labels, settled[labels.code], disputed[labels.code]) for labels in found])
        return
    if not found:
        say("no labels yet; colonnade labels import FILE brings some")
        return
    columns = ["code", "yes", "no", "unsure", "images", "settled", "disputed", "set aside", "reviewers"]
    rows = []
    for labels in found:
        counts = (
            labels.yes,
            labels.no,
            labels.unsure,
            labels.images,
            settled[labels.code],
            len(disputed[labels.code]),
            labels.set_aside,
        )
        name = labels.code + ("" if labels.known else " (orphan)")
        rows.append([name, *(f"{n:,}" for n in counts), ", ".join(labels.reviewers)])
    print_table(columns, rows, right={"yes", "no", "unsure", "images", "settled", "disputed", "set aside"})
    _say_disputes([dispute for several in disputed.values() for dispute in several])


def _say_disputes(disputes: Sequence[Dispute]) -> None:
    from colonnade.engine.lookup import shown_path

    for dispute in disputes[:_SHOWN_DISPUTES]:
        verdict = "neither" if dispute.verdict is None else "yes" if dispute.verdict else "no"
        sides = (("yes", dispute.yes), ("no", dispute.no), ("unsure", dispute.unsure))
        said = ", ".join(
            f"{word}: {' '.join(name or '(nobody)' for name in who)}" for word, who in sides if who
        )
        say(
            f"disputed: {dispute.code}: {shown_path(dispute.root, dispute.path)}: {said}; counts as {verdict}"
        )
    if len(disputes) > _SHOWN_DISPUTES:
        say(f"... and {len(disputes) - _SHOWN_DISPUTES:,} more; --json has all")


def _as_json(labels: CodeLabels, settled: int, disputes: Sequence[Dispute]) -> dict[str, Any]:
    return {
        "code": labels.code,
        "yes": labels.yes,
        "no": labels.no,
        "unsure": labels.unsure,
        "images": labels.images,
        "settled": settled,
        "set_aside": labels.set_aside,
        "reviewers": list(labels.reviewers),
        "orphan": not labels.known,
        "disputed": [
            {
                "image_id": dispute.image_id,
                "root": dispute.root,
                "path": dispute.path,
                "yes": list(dispute.yes),
                "no": list(dispute.no),
                "unsure": list(dispute.unsure),
                "counts_as": dispute.verdict,
            }
            for dispute in disputes
        ],
    }


def export_labels(
    codes: _CodesArgument = None,
    store: StoreOption = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="csv, jsonl or parquet; by default that of --output."
        ),
    ] = "",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Instead of stdout.")] = None,
    at: AtOption = None,
) -> None:
    """Every label with its image, reviewer, time, and whether the picture is still the one that was judged.

    Example: colonnade labels export earth --output earth.csv
    """
    from colonnade.engine.label_export import FORMATS, render_labels
    from colonnade.engine.labels import export_labels as run
    from colonnade.engine.output_file import output_file

    chosen = format_ or (output.suffix[1:].lower() if output else "csv")
    if chosen not in FORMATS:
        raise typer.BadParameter(f"{chosen!r} is none of {', '.join(FORMATS)}", param_hint="--format")
    if chosen == "parquet" and output is None:
        raise typer.BadParameter("Parquet goes into a file", param_hint="--output")
    opened = open_store(store)
    snapshot = opened.snapshot(at)
    for code in codes or ():
        if code not in snapshot.partitions("labels"):
            opened.vocabulary().attribute(code)
    data = render_labels(run(snapshot, codes or None), chosen)
    if output is None:
        for line in data.decode().removesuffix("\n").split("\n"):
            emit(line)
        return
    with pipe():
        with output_file(output) as sink:
            sink.write(data)
        say(f"{output}: written")
