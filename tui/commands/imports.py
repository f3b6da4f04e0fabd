"""Commands that bring in vectors made elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from colonnade.tui.amounts import count_of
from colonnade.tui.console import JsonOption, StoreOption, add_group, emit_json, open_store, progress, say

if TYPE_CHECKING:
    from colonnade.engine.import_embeddings import Imported
    from colonnade.engine.settings import Model
    from colonnade.engine.store import Store

__all__ = ["register"]

_ScaleOption = Annotated[
    float | None,
    typer.Option("--logit-scale", metavar="S", help="What a cosine is multiplied by: 100 for OpenAI's CLIP."),
]
_BiasOption = Annotated[
    float | None, typer.Option("--logit-bias", metavar="B", help="What is added then: SigLIP has one.")
]


_HELP = """Vectors made elsewhere.

Example: colonnade import embeddings vectors.parquet --model clip-b32 --logit-scale 100
"""


def register(app: typer.Typer) -> None:
    """Add `import embeddings` and `import crossfilter`."""
    commands = {"embeddings": import_embeddings, "crossfilter": import_crossfilter}
    add_group(app, "import", _HELP, commands)


def import_embeddings(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Parquet with a column `embedding` of lists of numbers."),
    ] = None,
    store: StoreOption = None,
    model: Annotated[
        str, typer.Option("--model", metavar="KEY", help="The name of the vectors' model here.")
    ] = "",
    logit_scale: _ScaleOption = None,
    logit_bias: _BiasOption = None,
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="COLUMN",
            help="The column that names the images; else the first there is of path, id, image_id, uuid, name.",
        ),
    ] = None,
    path_column: Annotated[
        str | None,
        typer.Option("--path", metavar="COLUMN", help="The same, where it holds paths: in a root, or whole."),
    ] = None,
    text: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Prompts: columns `prompt` and `embedding`.")
    ] = None,
    background: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Phrases that calibration compares with, likewise.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Store image vectors, and with --text and --background those of prompts, from Parquet files.

    Images need no file here: a row becomes an image named by --id or --path verbatim, unless an image of the store has
    that path, in its root or as a whole path (as `colonnade query --format paths` gives it). A path that several roots
    have must be whole. Importing again changes what has changed. FILE may be left out to bring prompts alone; the
    scale, too, for a model that is known here.

    Example: colonnade import embeddings vectors.parquet --model clip-b32 --logit-scale 100 --text prompts.parquet
    """
    from colonnade.engine.import_embeddings import import_embeddings as run

    if not model:
        raise typer.BadParameter("name the vectors' model", param_hint="--model")
    if id_column and path_column:
        raise typer.BadParameter("--id and --path exclude each other: one column names the images")
    _check_scale(logit_scale, logit_bias)
    opened = open_store(store)
    before, was = opened.settings.model(model), _state(opened)
    done = run(
        opened,
        file,
        key=model,
        logit_scale=logit_scale,
        logit_bias=logit_bias,
        id_column=id_column,
        path_column=path_column,
        text=text,
        background=background,
        on_conflict=say,
    )
    _warn_of_scale(opened, before)
    _report(opened, done, changed=_state(opened) != was, json_=json_)


def _check_scale(scale: float | None, bias: float | None) -> None:
    if scale is not None and not 0 < scale < 1e6:
        raise typer.BadParameter(f"{scale} is not above 0 and below a million", param_hint="--logit-scale")
    if bias is not None and not abs(bias) < 1e6:
        raise typer.BadParameter(f"{bias} is not between minus and plus a million", param_hint="--logit-bias")


def _warn_of_scale(store: Store, before: Model | None) -> None:
    """Say that a known model has another logit scale or bias now, for its scores were made with the old ones."""
    after = store.settings.model(before.key) if before else None
    if before is None or after is None:
        return
    for name, old, new in (
        ("scale", before.logit_scale, after.logit_scale),
        ("bias", before.logit_bias, after.logit_bias),
    ):
        if old != new:
            say(f"warning: {after.key} has logit {name} {new:g} now, not {old:g}: all its scores are stale")


def import_crossfilter(
    file: Annotated[Path, typer.Argument(metavar="DB.sqlite", help="crossfilter's file of embeddings.")],
    store: StoreOption = None,
    root: Annotated[
        Path | None,
        typer.Option(metavar="IMAGES", help="The folder of its images; it becomes a root and is scanned."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", help="Which table, where there are several: SIGLIP2."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="KEY", help="What to call the model here; by default crossfilter-TYPE."
        ),
    ] = None,
    logit_scale: _ScaleOption = None,
    logit_bias: _BiasOption = None,
    json_: JsonOption = False,
) -> None:
    """Store the vectors of a crossfilter SQLite file; its UMAP model is not read.

    With --root, images whose file is named by a UUID of the database get its vector. The other UUIDs become images
    without a file. The logit scale is 100 unless said otherwise.

    Example: colonnade import crossfilter embeddings.sqlite --root ~/Pictures --logit-scale 112 --logit-bias=-16.6
    """
    from colonnade.engine.import_crossfilter import import_crossfilter as run

    _check_scale(logit_scale, logit_bias)
    opened = open_store(store)
    before, was = {known.key: known for known in opened.settings.models}, _state(opened)
    done = run(
        opened,
        file,
        root=root,
        kind=kind,
        key=model,
        logit_scale=logit_scale,
        logit_bias=logit_bias,
        scan=_scan,
        on_conflict=say,
    )
    _warn_of_scale(opened, before.get(done.model))
    if "siglip" in done.model.lower() and logit_bias is None:
        say("SigLIP has a logit scale and bias of its own: give them with --logit-scale and --logit-bias")
    if done.unclear:
        say(
            f"warning: {_some(done.unclear)}: several different pictures have this name, so none was given the vector"
        )
    _report(opened, done, changed=_state(opened) != was, json_=json_)


def _scan(store: Store) -> None:
    from colonnade.engine.scan import apply_scan, plan_scan

    with progress("scan") as line:
        apply_scan(store, plan_scan(store), line.update, narrate=say)


def _some(names: Sequence[str]) -> str:
    """How many, and the first of them."""
    shown = ", ".join([*(name[:80] for name in names[:3]), *(["..."] if len(names) > 3 else [])])
    return f"{count_of(len(names), 'UUID')} ({shown})"


def _state(store: Store) -> tuple[int, frozenset[Model]]:
    """What an import may change."""
    return store.snapshot().number, frozenset(store.settings.models)


def _report(store: Store, done: Imported, *, changed: bool, json_: bool) -> None:
    if json_:
        emit_json(asdict(done) | {"snapshot": store.snapshot().number})
        return
    if done.images:
        say(
            f"{done.model}: {done.images:,} images, {done.new:,} new, {done.updated:,} updated, "
            f"{done.unchanged:,} unchanged"
        )
    for number, what in ((done.prompts, "prompts"), (done.background, "background phrases")):
        if number:
            say(f"{done.model}: {number:,} {what}")
    if done.activated:
        say(f"{done.model} is the active model now")
    if done.dropped:
        say(f"other vectors for their prompts, scores removed: {', '.join(done.dropped)}")
    if not changed:
        say("nothing changed in the store")
    if store.settings.model_key != done.model:
        say(f"next: colonnade {_named(store)}model use {quote(done.model)}")
    elif _is_stale(store):
        say(f"next: colonnade {_named(store)}sync")


def _named(store: Store) -> str:
    """The option that names the store to the next command; nothing where that finds it without."""
    if named := os.environ.get("COLONNADE_STORE"):
        found: Path | None = Path(named).absolute()
    else:
        here = Path.cwd()
        found = next((at for at in (here, *here.parents) if (at / "colonnade.toml").is_file()), None)
    return "" if found == store.path else f"-s {quote(str(store.path))} "


def _is_stale(store: Store) -> bool:
    """Whether `sync` has anything to do, but for what has changed in the roots."""
    from colonnade.engine.errors import ColonnadeError
    from colonnade.engine.sync import make_plan

    try:
        return not make_plan(store, scan=False).empty
    except ColonnadeError:  # `sync` tells what is wrong with the vocabulary
        return True
