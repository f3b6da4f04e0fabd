"""Commands that make a store and say what it is made of: init, root, model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from colonnade.tui.console import (
    JsonOption,
    StoreOption,
    add_group,
    emit,
    emit_json,
    folder_of,
    open_store,
    print_table,
    say,
)

__all__ = ["register", "vocabulary_source"]

_ROOT_HELP = """The folders of images.

Example: colonnade root add ~/Pictures && colonnade sync
"""
_MODELS_HELP = """The models, and which one is active.

Example: colonnade model list
"""
_MODEL_HELP = "demo, ARCH/TAG (ViT-B-32/openai), hf-hub:ID, local-dir:PATH, ARCH@CHECKPOINT, or hash."


def init(
    directory: Annotated[
        Path,
        typer.Argument(
            parser=folder_of,
            metavar="DIR",
            help="The store's folder; files in it stay, only the names that a store uses must be free.",
        ),
    ],
    root: Annotated[
        list[Path] | None,
        typer.Option("--root", metavar="IMAGES", help="A folder of images; may be repeated."),
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A vocabulary file, or one that ships: space, photography, demo."),
    ] = None,
    model: Annotated[str, typer.Option(metavar="MODEL", help=_MODEL_HELP)] = "ViT-B-32/openai",
) -> None:
    """Make a store with an empty first snapshot.

    Without --vocabulary it gets `photography` (with --model demo: `demo`). Nothing is scanned yet: `sync` does that.

    Example: colonnade init shots --root ~/Pictures --vocabulary space
    """
    from colonnade.engine.registry import absolute_spec
    from colonnade.engine.store import Store
    from colonnade.engine.vocabulary import parse_vocabulary

    source, name = vocabulary_source(vocabulary or ("demo" if model == "demo" else "photography"))
    parse_vocabulary(source, name)  # so that its faults are told under its own name
    store = Store.create(directory, roots=root or [], vocabulary=source, model=absolute_spec(model))
    attributes = store.vocabulary()
    say(
        f"{directory}: a store with {len(attributes.base)} attributes, {len(attributes.derived)} derived, "
        f"model {model}; edit {directory}/vocabulary.yaml, then: colonnade -s {directory} sync"
    )
    if not root:
        say(f"it has no images yet: colonnade -s {directory} root add IMAGES")


def vocabulary_source(spec: str) -> tuple[bytes, str]:
    """The text of a vocabulary that ships, of the demo's, or of a file, and what messages call it."""
    from colonnade.engine.demo.files import demo_vocabulary
    from colonnade.engine.vocabulary import vocabulary_source as shipped_or_file

    if spec == "demo" and not Path(spec).is_file():
        return demo_vocabulary(), spec
    return shipped_or_file(spec)


def root_add(
    folder: Annotated[Path, typer.Argument(metavar="IMAGES", help="A folder of images.")],
    store: StoreOption = None,
) -> None:
    """Add a folder of images; the next sync reads it.

    Example: colonnade root add /mnt/apollo
    """
    from colonnade.engine.registry import add_root

    opened = open_store(store)
    root = add_root(opened, folder)
    say(f"root {root.name}: {root.path}")


def root_list(store: StoreOption = None, json_: JsonOption = False) -> None:
    """List the folders of images.

    Example: colonnade root list
    """
    roots = open_store(store).settings.roots
    rows = [(root.name, str(root.path), "there" if root.path.is_dir() else "not there") for root in roots]
    if json_:
        emit_json([{"name": name, "path": path, "present": there == "there"} for name, path, there in rows])
    else:
        print_table(["root", "folder", "now"], rows)


def root_move(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The root's name or present folder.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Where its images are now.")],
    store: StoreOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if none of the known images is found there.")
    ] = False,
) -> None:
    """Point a root to where its images are now; nothing is embedded again.

    Example: colonnade root move apollo /mnt/new-disk/apollo
    """
    from colonnade.engine.registry import move_root

    root = move_root(open_store(store), old, new, force=force)
    say(f"root {root.name}: {root.path}")


def root_remove(
    root: Annotated[str, typer.Argument(metavar="ROOT", help="The root's name or folder.")],
    store: StoreOption = None,
) -> None:
    """Remove a folder from the store; its images become missing, their rows stay until `forget`.

    Example: colonnade root remove apollo
    """
    from colonnade.engine.registry import remove_root

    removed, count = remove_root(open_store(store), root)
    say(f"root {removed.name} removed; {count:,} images are missing now")


def model_list(store: StoreOption = None, json_: JsonOption = False) -> None:
    """List the models that the store has embeddings or prompts of.

    Example: colonnade model list
    """
    from colonnade.engine.registry import list_models

    opened = open_store(store)
    models = list_models(opened)
    if json_:
        emit_json(
            [
                {
                    "key": model.key,
                    "active": active,
                    "model": model.spec or None,
                    "dimension": model.dimension,
                    "logit_scale": model.logit_scale,
                    "logit_bias": model.logit_bias,
                    "embedded": count,
                }
                for model, count, active in models
            ]
        )
        return
    rows = [
        ("*" if active else "", model.key, model.spec or "(imported)", str(model.dimension), f"{count:,}")
        for model, count, active in models
    ]
    print_table(["active", "key", "model", "dimension", "embedded"], rows, right={"dimension", "embedded"})
    if opened.settings.model_key is None:
        say(f"{opened.settings.spec}: chosen, not loaded yet; the next sync does")


def model_use(
    key: Annotated[str, typer.Argument(metavar="KEY", help=f"A key from `model list`, or {_MODEL_HELP}")],
    store: StoreOption = None,
) -> None:
    """Switch the active model; the next sync embeds and scores what it has not yet.

    Example: colonnade model use ViT-B-16-SigLIP2/webli
    """
    from colonnade.engine.registry import use_model

    settings = use_model(open_store(store), key)
    emit(settings.model_key or settings.spec)


def register(app: typer.Typer) -> None:
    """Add this area's commands."""
    app.command()(init)
    roots = {"add": root_add, "list": root_list, "move": root_move, "remove": root_remove}
    add_group(app, "root", _ROOT_HELP, roots)
    add_group(app, "model", _MODELS_HELP, {"list": model_list, "use": model_use})
