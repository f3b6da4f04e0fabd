"""Changing what a store is made of: its image roots and its active model."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.errors import ConflictError, InputError, ModelError
from colonnade.engine.settings import Model, Root, Settings, new_root, update_settings
from colonnade.engine.snapshots import Snapshot, list_snapshots
from colonnade.engine.stage import conflict_retries, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_footer, read_table
from colonnade.engine.vocabulary import nearest

__all__ = ["absolute_spec", "add_root", "find_root", "list_models", "move_root", "remove_root", "use_model"]

_SAMPLE = 100


def absolute_spec(spec: str) -> str:
    """A model's specification with local paths made absolute, so that it means the same from any folder.

    Raises:
        ModelError: it names no model, or a path that does not exist.
    """
    kind, separator, rest = spec.partition(":")
    if kind == "local-dir" and separator:
        folder = Path(rest).expanduser().absolute()
        if not folder.is_dir():
            raise ModelError(f"{spec}: no such folder; it must hold open_clip_config.json and the weights")
        return f"local-dir:{folder}"
    architecture, separator, rest = spec.partition("@")
    if separator:
        file = Path(rest).expanduser().absolute()
        if not file.is_file():
            raise ModelError(f"{spec}: no such checkpoint file")
        return f"{architecture}@{file}"
    if not (spec in ("demo", "hash") or spec.startswith("hf-hub:") or spec.count("/") == 1):
        raise ModelError(
            f"{spec}: not a model; give ARCH/TAG (ViT-B-32/openai), hf-hub:ID, local-dir:PATH, ARCH@CHECKPOINT, or demo"
        )
    return spec


def add_root(store: Store, folder: Path) -> Root:
    """Make a folder of images a root of the store, by a name that no root had whose images are known.

    Raises:
        InputError: not a folder, a root already, inside a root or around one.
    """
    added: list[Root] = []

    def change(settings: Settings) -> Settings:
        added[:] = [new_root(settings, folder, _known_names(store))]
        return replace(settings, roots=(*settings.roots, added[0]))

    update_settings(store.path, change)
    return added[0]


def _known_names(store: Store) -> set[str]:
    """The root names in the images tables of all snapshots that `restore` may bring back.

    A name that another folder gets would give it the hashes, vectors and scores of the first one's images.
    The caller holds the lock, so that no snapshot goes meanwhile.
    """
    files = {
        file.name: file
        for number in list_snapshots(store.path)
        for file in store.snapshot(number).files("images")
    }
    names: set[str] = set()
    for file in files.values():
        names.update(
            name for name in pc.unique(read_table("images", [file], ["root"])["root"]).to_pylist() if name
        )
    return names


def find_root(settings: Settings, text: str) -> Root:
    """The root of that name or folder.

    Raises:
        InputError: there is none.
    """
    folder = Path(text).expanduser().absolute()
    for root in settings.roots:
        if root.name == text or root.path in (folder, folder.resolve()):
            return root
    names = [root.name for root in settings.roots]
    hint = nearest(text, names)
    known = f"did you mean {hint!r}?" if hint else f"there are: {', '.join(names) or 'none'}"
    raise InputError(f"{text!r}: no such root; {known}")


def move_root(store: Store, old: str, new: Path, *, force: bool = False) -> Root:
    """Point a root to the folder where its images are now; nothing is embedded again.

    Args:
        force: even if none of the known images is found there.

    Raises:
        InputError: no such root, not a folder, inside another root or around one, or none of the known images
            is in it.
    """
    settings = store.settings
    root = find_root(settings, old)
    moved = Root(root.name, new_root(_without(settings, root.name), new).path)
    known = _some_paths(store.snapshot(), root.name)
    found = sum(os.path.lexists(moved.path / path) for path in known)
    if known and not found and not force:
        raise InputError(
            f"{new}: none of {len(known)} known images of {root.name!r} is there (say {known[0]!r}); "
            "--force moves it anyway"
        )

    def change(settings: Settings) -> Settings:
        find_root(settings, root.name)
        new_root(_without(settings, root.name), new)  # another may have been added meanwhile
        return replace(settings, roots=tuple(moved if r.name == root.name else r for r in settings.roots))

    update_settings(store.path, change)
    return moved


def remove_root(store: Store, text: str) -> tuple[Root, int]:
    """Forget a root; its images become `missing` and keep their rows until `forget`. Returns how many.

    Raises:
        InputError: no such root.
    """
    root = find_root(store.settings, text)
    # The rows first: where it is killed in between, the root can be removed again.
    count = _mark_missing(store, root.name)
    update_settings(store.path, lambda settings: _without(settings, root.name))
    return root, count


def _without(settings: Settings, name: str) -> Settings:
    return replace(settings, roots=tuple(root for root in settings.roots if root.name != name))


def _mark_missing(store: Store, name: str) -> int:
    """Make the files of a root missing; returns how many were not."""
    for _ in conflict_retries(store.path):
        snapshot, count = store.snapshot(), 0
        try:
            with open_stage(store.path, command="root remove") as stage:
                for shard in snapshot.shards("images"):
                    cell = snapshot.cell("images", None, shard)
                    rows = read_files(cell)
                    mine = (rows["root"].to_numpy() == name) & (rows["source"].to_numpy() == "file")
                    mine &= rows["state"].to_numpy() != "missing"
                    if mine.any():
                        state = np.where(mine, "missing", rows["state"].to_numpy())
                        place = rows.schema.get_field_index("state")
                        rows = rows.set_column(place, "state", pa.array(state, pa.string()))
                        stage.replace("images", None, shard, rows, read=cell)
                        count += int(mine.sum())
                if count:
                    stage.commit()
            return count
        except ConflictError:
            continue
    raise AssertionError("unreachable")


def _some_paths(snapshot: Snapshot, root: str) -> list[str]:
    paths: list[str] = []
    for file in snapshot.files("images"):
        rows = read_table("images", [file], ["root", "path", "source", "state"]).to_pylist()
        mine = (
            row["path"]
            for row in rows
            if row["root"] == root and row["source"] == "file" and row["state"] == "ok"
        )
        paths += islice(mine, _SAMPLE - len(paths))
        if len(paths) >= _SAMPLE:
            break
    return paths


def list_models(store: Store) -> list[tuple[Model, int, bool]]:
    """(model, embedded images, whether it is active) of every model that the store knows."""
    settings, snapshot = store.settings, store.snapshot()
    return [
        (
            model,
            sum(read_footer(file).rows for file in snapshot.files("embeddings", model.key)),
            model.key == settings.model_key,
        )
        for model in settings.models
    ]


def use_model(store: Store, name: str) -> Settings:
    """Make another model the active one: a known key, or how to load a new one.

    Scores of the model before become stale; its embeddings stay beside the new ones.

    Raises:
        InputError: neither a known key nor a way to load a model.
        ModelError: a local path does not exist.
    """
    settings = store.settings
    known = settings.model(name)
    if known is None:
        same_spec = [model for model in settings.models if model.spec == name]
        known = same_spec[-1] if same_spec else None
    if known is not None:
        chosen = known
        return update_settings(store.path, lambda now: replace(now, model_key=chosen.key, spec=chosen.spec))
    try:
        spec = absolute_spec(name)
    except ModelError:
        keys = [model.key for model in settings.models]
        hint = nearest(name, keys)
        if hint:
            raise InputError(f"{name!r}: no such model here; did you mean {hint!r}?") from None
        raise
    return update_settings(store.path, lambda now: replace(now, spec=spec, model_key=None))
