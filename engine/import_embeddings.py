"""Importing vectors made elsewhere, with the prompts and background phrases of their model."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from colonnade.engine.background_stats import MOST_PHRASES
from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.import_files import VectorSource, collect, open_vectors
from colonnade.engine.import_rows import Resolve, match_paths, stage_images
from colonnade.engine.import_shards import Counts
from colonnade.engine.prompts import ATTRIBUTE, BACKGROUND, replace_prompts
from colonnade.engine.settings import Model, Settings, update_settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import conflict_retries, open_stage, retrying
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files

__all__ = [
    "Imported",
    "describe_model",
    "import_embeddings",
    "import_vectors",
    "store_vectors",
]

_NAME_COLUMNS = ("path", "id", "image_id", "uuid", "name")
_LOADABLE = re.compile(r"(hf-hub:|local-dir:).+|[A-Za-z0-9][\w.+-]*/[\w.+-]+")


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    model: str
    images: int = 0
    """Vectors of images."""
    new: int = 0
    """Images that were not in the store before."""
    updated: int = 0
    """Images of the store that got a vector, or another one; their scores are made anew by the next `tag`."""
    unchanged: int = 0
    prompts: int = 0
    background: int = 0
    dropped: tuple[str, ...] = ()
    """Attributes whose scores were removed, because a prompt of theirs has another vector now."""
    activated: bool = False
    """Whether the imported model became the active one."""
    unclear: tuple[str, ...] = ()
    """Names of several different pictures: none of those was given the vector, an image without a file was."""


def import_embeddings(
    store: Store,
    file: Path | None,
    *,
    key: str,
    logit_scale: float | None,
    logit_bias: float | None = None,
    id_column: str | None = None,
    path_column: str | None = None,
    text: Path | None = None,
    background: Path | None = None,
    on_conflict: Callable[[str], None] | None = None,
) -> Imported:
    """Store the vectors of a Parquet file (column `embedding`) as those of model `key`, in one commit.

    Each row becomes an image in state `ok` and source `import`, named by the id or path column verbatim; a row that
    names an image of the store, by its path in its root or the whole one, gives it its vector.

    Args:
        file: images; None to import only `text` or `background`.
        logit_scale: what a cosine is multiplied by; None for what the store knows of the model. Likewise `logit_bias`.
        text: prompts of the vocabulary and their vectors: columns `prompt`, `embedding`.
        background: likewise the phrases that calibration compares with, in the place of those imported before.
        on_conflict: called with one line when the store changed meanwhile and the work is retried.

    Raises:
        InputError: a file is wrong, names an image by a path that several have, or does not fit the vectors that the
            store has of this model.
    """
    if id_column and path_column:
        raise InputError("--id and --path exclude each other: one column names the images")
    images, prompts, phrases = (
        open_vectors(path, name_column=column, name_choices=choices) if path else None
        for path, column, choices in (
            (file, id_column or path_column, _NAME_COLUMNS),
            (text, "prompt", ()),
            (background, "prompt", ()),
        )
    )
    given = [source for source in (images, prompts, phrases) if source is not None]
    if not given:
        raise InputError("nothing to import: name a file of embeddings, --text or --background")
    if phrases is not None and len(phrases.names) > MOST_PHRASES:
        raise InputError(
            f"{phrases.path}: {len(phrases.names):,} phrases; at most {MOST_PHRASES:,} can be used"
        )
    model = describe_model(store, key, given, logit_scale, logit_bias)
    return store_vectors(
        store, model, images=images, prompts=prompts, background=phrases, on_conflict=on_conflict
    )


def describe_model(
    store: Store, key: str, given: Sequence[VectorSource], scale: float | None, bias: float | None
) -> Model:
    """The model that vectors under `key` belong to.

    Raises:
        InputError: the key is unusable, or the vectors are not all of the length that the store has of this model.
    """
    if not key or len(key) > 150 or not key.isprintable():
        raise InputError(f"model key {key[:40]!r}: 1 to 150 printable characters are needed")
    dimension = given[0].dimension
    for source in given[1:]:
        if source.dimension != dimension:
            raise InputError(
                f"{source.path}: vectors of {source.dimension} numbers, but {given[0].path} has {dimension}"
            )
    known = store.settings.model(key)
    stored = known.dimension if known else _stored_dimension(store.snapshot(), key)
    if stored is not None and stored != dimension:
        raise InputError(
            f"{given[0].path}: vectors of {dimension} numbers, but model {key} has {stored} here; "
            "choose another --model"
        )
    if scale is None:
        if known is None:
            raise InputError(
                f"model {key}: not known here yet; give its --logit-scale (100 for OpenAI's CLIP)"
            )
        scale = known.logit_scale
    if bias is None:
        bias = known.logit_bias if known else 0.0
    if not (math.isfinite(scale) and math.isfinite(bias) and 0 < scale < 1e6 and abs(bias) < 1e6):
        raise InputError(
            f"logit scale {scale} and bias {bias}: both below a million, the scale above 0 (100 for OpenAI's CLIP)"
        )
    spec = known.spec if known else (key if _LOADABLE.fullmatch(key) else "")
    if known is not None:  # whatever else is known of it stays so
        return replace(known, dimension=dimension, logit_scale=float(scale), logit_bias=float(bias))
    return Model(key, spec, dimension, float(scale), float(bias))


def _stored_dimension(snapshot: Snapshot, key: str) -> int | None:
    """The length of vectors that are stored under a key that the settings do not know: an import was interrupted."""
    files = snapshot.files("embeddings", key)[:1] or snapshot.files("prompts", key)[:1]
    return read_files(files, ["embedding"]).schema.field("embedding").type.list_size if files else None


def store_vectors(
    store: Store,
    model: Model,
    *,
    images: VectorSource | None = None,
    prompts: VectorSource | None = None,
    background: VectorSource | None = None,
    resolve: Resolve | None = None,
    on_conflict: Callable[[str], None] | None = None,
) -> Imported:
    """Commit vectors of images and prompts at once, then put the model into the settings.

    The first vectors of a store make their model the active one. A damaged file with vectors of these images is left
    out, which `on_conflict` is told.

    Args:
        resolve: finds the images that the names mean; by default `match_paths`.

    Raises:
        InputError: a vector is wrong, or a name means several images; nothing was stored.
    """
    if resolve is None:
        file = images.path if images is not None else Path("vectors")
        resolve = partial(match_paths, settings=store.settings, file=file)
    texts = {
        kind: dict(zip(source.names, collect(source), strict=True))
        for kind, source in ((ATTRIBUTE, prompts), (BACKGROUND, background))
        if source is not None
    }
    for _ in conflict_retries(store.path, on_conflict):
        snapshot = store.snapshot()
        activate = images is not None and _is_first(store, snapshot, model.key)
        counts, dropped = Counts(), []
        try:
            with open_stage(store.path, command="import", say=on_conflict) as stage:
                if images is not None:
                    counts = stage_images(stage, snapshot, model, images, resolve(snapshot, images.names))
                if texts:
                    dropped = replace_prompts(stage, model, texts)
                stage.commit()
        except ConflictError as error:
            if on_conflict:
                on_conflict(retrying(error))
            continue
        if on_conflict:
            for lost in counts.lost:
                on_conflict(
                    f"{lost.path}: damaged, so its vectors are not used any more; those that were not imported now "
                    "are to be imported again, or made by the next `colonnade sync`"
                )
        update_settings(store.path, partial(Settings.with_model, model=model, activate=activate))
        return Imported(
            model=model.key,
            images=len(images.names) if images else 0,
            new=counts.new,
            updated=counts.updated,
            unchanged=counts.unchanged,
            prompts=len(texts.get(ATTRIBUTE, ())),
            background=len(texts.get(BACKGROUND, ())),
            dropped=tuple(dropped),
            activated=activate,
            unclear=counts.unclear,
        )
    raise AssertionError("unreachable")


def _is_first(store: Store, snapshot: Snapshot, key: str) -> bool:
    """Whether a model's vectors are the first of the store (also when an interrupted import left them unnamed)."""
    stored = set(snapshot.partitions("embeddings"))
    return not stored or (stored == {key} and store.settings.model(key) is None)


@dataclass(frozen=True)
class _Arrays:
    """Vectors in memory as a source."""

    names: Sequence[str]
    vectors: np.ndarray
    path: Path = Path("vectors")

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])

    def blocks(self) -> Iterator[np.ndarray]:
        yield self.vectors


def import_vectors(store: Store, model: Model, names: Sequence[str], vectors: np.ndarray) -> Imported:
    """Store unit vectors float32 [n, D] for images by name, no name twice."""
    return store_vectors(store, model, images=_Arrays(tuple(names), vectors))
