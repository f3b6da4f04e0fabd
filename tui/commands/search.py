"""Nearest images: by words (search) and by picture (similar)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from colonnade.tui.console import AtOption, StoreOption, open_store, say
from colonnade.tui.results import Format, chosen_format, pipe, write, write_paths

if TYPE_CHECKING:
    from colonnade.engine.search import Hit
    from colonnade.engine.snapshots import Snapshot
    from colonnade.engine.store import Store

__all__ = ["register"]

LimitOption = Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="How many images.")]


class SearchFormat(StrEnum):
    """How nearest images are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    PATHS = "paths"


FormatOption = Annotated[
    SearchFormat | None,
    typer.Option(
        "--format",
        "-f",
        show_default=False,
        help="How to write them; by default as the file's name says, or a table.",
    ),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here, not to stdout.")
]
NullOption = Annotated[bool, typer.Option("--null", "-0", help="End paths with NUL, for xargs -0.")]


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for, in words.")],
    store: StoreOption = None,
    limit: LimitOption = 20,
    format_: FormatOption = None,
    output: OutputOption = None,
    null: NullOption = False,
    at: AtOption = None,
) -> None:
    """Find images by words, nearest first. The words go through the vocabulary's templates.

    Example: colonnade search "a boot print in grey dust" --limit 10
    """
    from colonnade.engine.search import search_text

    if not text.strip() or len(text) > 2000:
        raise typer.BadParameter("the words to look for must be 1 to 2,000 characters", param_hint="TEXT")
    chosen = _checked_format(format_, output, null=null)
    opened = open_store(store)
    snapshot = opened.snapshot(at)
    hits = search_text(opened, snapshot, text.strip(), limit)
    _tell_of_none(opened, snapshot, hits)
    _write(opened, hits, chosen, output, null=null)


def similar(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="A path, file name, UUID or id of the store, or a file.")
    ],
    store: StoreOption = None,
    limit: LimitOption = 20,
    format_: FormatOption = None,
    output: OutputOption = None,
    null: NullOption = False,
    at: AtOption = None,
) -> None:
    """Find images that look like one of the store, or like any image file (which the model then embeds).

    Example: colonnade similar as11-40-5873.jpg --limit 10
    """
    from colonnade.engine.errors import InputError
    from colonnade.engine.lookup import find_image
    from colonnade.engine.search import (
        active_model,
        embedding_of,
        nearest_images,
        no_embedding,
        similar_to_file,
    )

    chosen = _checked_format(format_, output, null=null)
    opened = open_store(store)
    snapshot = opened.snapshot(at)
    model = active_model(opened)
    own = None
    try:
        row = find_image(opened, snapshot, image)
    except InputError:
        if not Path(image).is_file():
            raise
        vector = similar_to_file(opened, Path(image))
    else:
        own = row.image_id
        stored = embedding_of(snapshot, model, own)
        if stored is None:
            raise InputError(f"{row.path}: {no_embedding(opened, model, row, snapshot)}")
        vector = stored
    hits = nearest_images(snapshot, model, vector, limit, without=own)
    _tell_of_none(opened, snapshot, hits)
    _write(opened, hits, chosen, output, null=null)


def _tell_of_none(store: Store, snapshot: Snapshot, hits: Sequence[Hit]) -> None:
    """Say why nothing was found, where it is for want of embeddings."""
    from colonnade.engine.search import active_model, nothing_embedded

    if not hits and (why := nothing_embedded(snapshot, active_model(store))):
        say(why)


def _checked_format(format_: SearchFormat | None, output: Path | None, *, null: bool) -> SearchFormat:
    chosen = chosen_format(SearchFormat, format_, output)
    if null and chosen is not SearchFormat.PATHS:
        raise typer.BadParameter("--null goes with --format paths")
    return chosen


def _write(
    store: Store, hits: Sequence[Hit], chosen: SearchFormat, output: Path | None, *, null: bool
) -> None:
    from colonnade.engine.formats import PATH_COLUMNS, Listing

    with pipe():
        if chosen is SearchFormat.PATHS:
            paths = [(hit.root, hit.path, hit.path_bytes) for hit in hits]
            write_paths(store, Listing(PATH_COLUMNS, paths), output, null=null)
        else:
            rows = [(hit.image_id, hit.path, hit.cosine, hit.logit) for hit in hits]
            listing = Listing(("image_id", "path", "cosine", "logit"), rows)
            write(listing, Format(chosen), output, whole=True, total=None)


def register(app: typer.Typer) -> None:
    """Add this area's commands."""
    app.command()(search)
    app.command()(similar)
