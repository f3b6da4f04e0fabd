"""`colonnade map`: a spherical map of the collection."""

from __future__ import annotations

from typing import Annotated

import typer

from colonnade.tui.console import JsonOption, StoreOption, emit_json, open_store, print_table, progress, say

__all__ = ["register"]


def map_(
    store: StoreOption = None,
    refit: Annotated[bool, typer.Option("--refit", help="Make a new map, even if there is one.")] = False,
    sample: Annotated[
        int | None,
        typer.Option(
            min=5, metavar="N", help="Fit at most N images (10,000); the others are placed among them."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, metavar="N", help="Another layout of the same images.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Lay the images out on a sphere, alike ones near each other (UMAP); decodes no image.

    The first run fits a map, or a sample of a large collection, and places the rest on it. Later runs place the images
    that are new and leave the others where they are; --refit draws everything anew.

    Example: colonnade map
    """
    from colonnade.engine.jobs import record_job
    from colonnade.engine.projection import map_images

    opened = open_store(store)
    with record_job(opened.path, ["map", *(["--refit"] if refit else ())]) as job, progress("") as line:

        def show(phase: str, done: int, total: int) -> None:
            job.update(phase, done, total)
            line.phase(phase)
            line.update(done, total)

        def tell(text: str) -> None:
            job.log(text)
            line.close()
            say(text)

        outcome = map_images(opened, refit=refit, sample=sample, seed=seed, progress=show, on_conflict=tell)
    rows = [
        ("fitted", outcome.fitted),
        ("placed among them", outcome.placed),
        ("removed, no vector any more", outcome.removed),
    ]
    if json_:
        emit_json(
            {
                "model": outcome.model,
                "fitted": outcome.fitted,
                "placed": outcome.placed,
                "removed": outcome.removed,
                "seconds": outcome.seconds,
                "seed": outcome.parameters.seed,
                "sample": outcome.parameters.sample,
            }
        )
    elif any(number for _, number in rows):
        print_table(["images", "count"], [(what, f"{n:,}") for what, n in rows if n], right={"count"})
    else:
        say("nothing to do: every image with a vector is on the map")
    if outcome.outgrown:
        say(
            f"the map was fitted on {outcome.parameters.images:,} images, now there are {outcome.images:,}: "
            "colonnade map --refit draws it anew"
        )


def register(app: typer.Typer) -> None:
    """Add this area's commands."""
    app.command("map")(map_)
