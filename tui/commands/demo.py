"""The demo: a rendered collection, synced with the bundled model, and its results against the truth."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from colonnade.tui.console import JsonOption, emit_json, print_table, progress, say

if TYPE_CHECKING:
    from colonnade.engine.store import Store

__all__ = ["register"]


def demo(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to put it; used again if it is there.")
    ] = Path("colonnade-demo"),
    images: Annotated[
        int | None,
        typer.Option(min=20, max=20_000, metavar="N", help="How many images to render; by default 240."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Another seed than 1 gives other scenes.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Render a collection, sync it with the bundled model, show results against the truth, say what to try.

    The model is small, knows only the rendered scenes and needs no network; it shows how Colonnade works, not how well
    a real model does.

    Example: colonnade demo && colonnade -s colonnade-demo/store query 'earth and not diagram'
    """
    from colonnade.engine.demo.collection import PHOTOS, TRUTH_FILE, load_truth
    from colonnade.engine.demo.files import demo_vocabulary
    from colonnade.engine.store import Store

    folder = directory / "store"
    if not (directory / TRUTH_FILE).exists():
        _render(directory, 240 if images is None else images, 1 if seed is None else seed)
    elif images is not None or seed is not None:
        say(f"{directory}: there already, and used as it is; for other --images or --seed name another DIR")
    truth = load_truth(directory)
    if not (folder / "colonnade.toml").exists():
        Store.create(folder, roots=[directory / PHOTOS], vocabulary=demo_vocabulary(), model="demo")
    store = Store(folder)
    seconds = _sync(store)
    rows = _judge(store, truth)
    if json_:
        emit_json({"store": str(folder), "images": len(truth), "seconds": seconds, "attributes": rows})
        return
    say(
        f"{len(truth):,} rendered images in {directory / PHOTOS}, a store in {folder}, synced in {seconds:.1f} s"
    )
    columns = ["attribute", "in the scenes", "accepted", "right", "precision", "recall"]
    print_table(
        columns,
        [
            (
                row["attribute"],
                row["present"],
                row["accepted"],
                row["right"],
                _share(row["right"], row["accepted"]),
                _share(row["right"], row["present"]),
            )
            for row in rows
        ],
        right=set(columns[1:]),
    )
    say("")
    say("The demo model knows only such rendered scenes. Try:")
    for command in (
        f"colonnade -s {folder} query 'earth >= 0.8 and not diagram' --limit 5",
        f"colonnade -s {folder} query 'moon? and not earth?' --format paths",
        f"colonnade -s {folder} search 'a rocket with fire below it' --limit 5",
        f"colonnade -s {folder} explain {next(iter(truth))!r} earth",
        f"colonnade -s {folder} sql 'SELECT attribute_code, avg(confidence) FROM scores GROUP BY 1'",
        f"colonnade -s {folder} vocab add comet --label Comet --description 'a comet with a tail'",
        f"colonnade -s {folder} plan",
        f"colonnade -s {folder} status",
    ):
        say(f"  {command}")


def _render(directory: Path, images: int, seed: int) -> None:
    """Render the collection.

    Raises:
        StoreError: the disk is full.
        InputError: the directory cannot be used.
    """
    from colonnade.engine.demo.collection import render_collection
    from colonnade.engine.errors import InputError, StoreError

    try:
        with progress("render") as line:
            render_collection(directory, images, seed, progress=lambda done: line.update(done, images))
    except InputError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(str(error)) from cause
        raise


def _sync(store: Store) -> float:
    """Bring the store up to date; returns the seconds it took."""
    import time

    from colonnade.engine.jobs import record_job
    from colonnade.engine.sync import Narrator, make_plan, run_plan

    started = time.monotonic()
    plan = make_plan(store)
    if not plan.empty:
        with record_job(store.path, ["demo"]) as job, progress("sync") as line:

            def show(phase: str, done: int, total: int, failures: int) -> None:
                job.update(phase, done, total, failures)
                line.phase(phase)
                line.update(done, total, failures)

            outcome = run_plan(store, plan, narrator=Narrator(show, say))
            if outcome.embed.embedded:
                job.note(embedded_per_second=outcome.embed.embedded / outcome.embed.seconds)
    return time.monotonic() - started


def _judge(store: Store, truth: Mapping[str, Iterable[str]]) -> list[dict[str, str | int]]:
    """For each attribute that the scenes can show: how many do, how many were accepted, how many of these rightly."""
    shown = {path: set(codes) for path, codes in truth.items()}
    rows: list[dict[str, str | int]] = []
    scored = store.snapshot().partitions("scores")
    for attribute in store.vocabulary().base:
        code = attribute.code
        if code not in scored or not any(code in codes for codes in shown.values()):
            continue
        accepted = {str(path) for (path,) in store.query(code, columns=["path"])}
        present = {path for path, codes in shown.items() if code in codes}
        rows.append(
            {
                "attribute": code,
                "present": len(present),
                "accepted": len(accepted),
                "right": len(accepted & present),
            }
        )
    return rows


def _share(part: str | int, whole: str | int) -> str:
    return f"{int(part) / int(whole):.2f}" if int(whole) else "-"


def register(app: typer.Typer) -> None:
    """Add this area's command."""
    app.command()(demo)
