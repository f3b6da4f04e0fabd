"""Importing vectors made elsewhere, with the prompts and background phrases of their model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.embedding_rows import add_vectors
from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.import_files import VectorFile, open_vectors
from colonnade.engine.prompts import ATTRIBUTE, BACKGROUND, store_prompts
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, conflict_retries, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_table

__all__ = ["IMPORT_ROOT", "Imported", "import_embeddings", "import_vectors"]

IMPORT_ROOT = "import"
"""What stands in the root column of images that have no file."""

_LOADABLE = re.compile(r"(hf-hub:|local-dir:).+|[A-Za-z0-9][\w.+-]*/[\w.+-]+")


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    images: int = 0
    new: int = 0
    """Of these, images that were not in the store before."""
    prompts: int = 0
    background: int = 0
    activated: bool = False
    """Whether the imported model became the active one."""


def import_embeddings(
    store: Store,
    file: Path | None,
    *,
    key: str,
    logit_scale: float,
    logit_bias: float = 0.0,
    id_column: str | None = None,
    path_column: str | None = None,
    text: Path | None = None,
    background: Path | None = None,
) -> Imported:
    """Store the vectors of a Parquet file (column `embedding`) as those of model `key`.

    Each row becomes an image in state `ok` and source `import`, named by the id or path column verbatim; a row that
    names an image of the store gives it its vector.

    Args:
        file: images; None to import only `text` or `background`.
        text: prompts of the vocabulary and their vectors: columns `prompt`, `embedding`.
        background: likewise the phrases that calibration compares with.

    Raises:
        InputError: a file is wrong, or does not fit the vectors that the store has of this model.
    """
    if id_column and path_column:
        raise InputError("--id and --path exclude each other: one column names the images")
    if not np.isfinite(logit_scale) or logit_scale <= 0 or not np.isfinite(logit_bias):
        raise InputError(f"logit scale {logit_scale} and bias {logit_bias}: finite, and the scale above 0")
    images = open_vectors(
        file, name_column=id_column or path_column, name_choices=("path", "id", "image_id", "uuid", "name")
    ) if file else None  # fmt: skip
    prompts = open_vectors(text, name_column="prompt", name_choices=()) if text else None
    phrases = open_vectors(background, name_column="prompt", name_choices=()) if background else None
    given = [source for source in (images, prompts, phrases) if source is not None]
    if not given:
        raise InputError("nothing to import: name a file of embeddings, --text or --background")
    model = _model(store, key, given, logit_scale, logit_bias)
    matrices = {id(source): source.vectors() for source in given}
    activated = _register(store, model, activate=images is not None)
    result = import_vectors(store, model, images.names, matrices[id(images)]) if images else (0, 0)
    with open_stage(store.path, command="import") as stage:
        for source, kind in ((prompts, ATTRIBUTE), (phrases, BACKGROUND)):
            if source is not None:
                store_prompts(stage, model, dict(zip(source.names, matrices[id(source)], strict=True)), kind)
        if prompts or phrases:
            stage.commit()
    return Imported(
        images=result[0],
        new=result[1],
        prompts=len(prompts.names) if prompts else 0,
        background=len(phrases.names) if phrases else 0,
        activated=activated,
    )


def _model(store: Store, key: str, given: Sequence[VectorFile], scale: float, bias: float) -> Model:
    if not key or len(key) > 150 or any(ord(c) < 32 for c in key):
        raise InputError(f"model key {key[:40]!r}: 1 to 150 printable characters are needed")
    for source in given[1:]:
        if source.dimension != given[0].dimension:
            raise InputError(
                f"{source.path}: vectors of {source.dimension} numbers, but {given[0].path} has {given[0].dimension}"
            )
    known = store.settings.model(key)
    if known is not None and known.dimension != given[0].dimension:
        raise InputError(
            f"{given[0].path}: vectors of {given[0].dimension} numbers, but model {key} has {known.dimension} here"
        )
    spec = known.spec if known else (key if _LOADABLE.fullmatch(key) else "")
    context = known.context_length if known else 0
    return Model(key, spec, given[0].dimension, float(scale), float(bias), context)


def _register(store: Store, model: Model, *, activate: bool) -> bool:
    """Put the model into the settings; the first vectors of a store make their model the active one."""
    first = activate and not store.snapshot().partitions("embeddings")
    update_settings(store.path, lambda settings: settings.with_model(model, activate=first))
    return first


def import_vectors(store: Store, model: Model, names: Sequence[str], vectors: np.ndarray) -> tuple[int, int]:
    """Store unit vectors float32 [n, D] for images by name; returns (images, new images)."""
    for _ in conflict_retries():
        try:
            with open_stage(store.path, command="import") as stage:
                counts = [0]

                def allocate(live: Snapshot, stage: Stage, counts: list[int] = counts) -> None:
                    counts[0] = _add_images(stage, live, model, names, vectors)

                stage.late(allocate)
                stage.commit()
                return len(names), counts[0]
        except ConflictError:
            continue
    raise AssertionError("unreachable")


def _add_images(stage: Stage, live: Snapshot, model: Model, names: Sequence[str], vectors: np.ndarray) -> int:
    """Under the lock: find or make the image of each name, and add its vector."""
    known = _known_images(live)
    ids = np.array([known.get(name, -1) for name in names], dtype=np.int64)
    new = np.flatnonzero(ids < 0)
    if len(new):
        ids[new] = np.array(stage.allocate_ids(len(new)), dtype=np.int64)
        for shard in np.unique(ids[new] >> SHARD_BITS).tolist():
            rows = new[(ids[new] >> SHARD_BITS) == shard]
            cell = live.cell("images", None, shard)
            stage.append(
                "images", None, shard, _image_rows(ids[rows], [names[row] for row in rows]), read=cell
            )
    for shard in np.unique(ids >> SHARD_BITS).tolist():
        rows = np.flatnonzero((ids >> SHARD_BITS) == shard)
        add_vectors(stage, live, model, shard, ids[rows], vectors[rows])
    return len(new)


def _known_images(live: Snapshot) -> dict[str, int]:
    """Name -> image id. An imported row comes before a file of the same path; an ambiguous path names no image."""
    data = read_table("images", live.files("images"), ["image_id", "path", "source"])
    imported: dict[str, int] = {}
    files: dict[str, int | None] = {}
    columns = zip(
        data["image_id"].to_pylist(), data["path"].to_pylist(), data["source"].to_pylist(), strict=True
    )
    for image_id, path, source in columns:
        if source == "import":
            imported[path] = image_id
        else:
            files[path] = None if path in files else image_id
    return {path: image_id for path, image_id in files.items() if image_id is not None} | imported


def _image_rows(ids: np.ndarray, names: Sequence[str]) -> pa.Table:
    from colonnade.engine.images import uuid_of

    schema = SCHEMAS["images"]
    columns: dict[str, pa.Array] = {
        "image_id": pa.array(ids),
        "root": pa.array([IMPORT_ROOT] * len(ids)),
        "path": pa.array(list(names)),
        "uuid": pa.array([uuid_of(name) for name in names], pa.string()),
        "source": pa.array(["import"] * len(ids)),
        "state": pa.array(["ok"] * len(ids)),
    }
    return pa.table(
        [columns.get(field.name, pa.nulls(len(ids), field.type)) for field in schema], schema=schema
    )
