"""Nearest images: by words and by picture, over the stored embeddings in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from colonnade.engine.columns import shard_of
from colonnade.engine.errors import InputError, ModelError
from colonnade.engine.prompts import encode_missing, prompt_vectors
from colonnade.engine.scoring import attribute_vector
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.store import Store
from colonnade.engine.tables import read_embeddings, read_table

if TYPE_CHECKING:
    from colonnade.engine.lookup import ImageRow

__all__ = [
    "Hit",
    "active_model",
    "embedding_of",
    "nearest_images",
    "no_embedding",
    "nothing_embedded",
    "search_text",
    "similar_to_file",
    "top_cosines",
]


@dataclass(frozen=True, slots=True)
class Hit:
    """An image and how near it is."""

    image_id: int
    root: str | None
    path: str
    path_bytes: bytes | None
    cosine: float
    logit: float


def active_model(store: Store) -> Model:
    """The active model.

    Raises:
        InputError: the store has no embeddings yet.
    """
    model = store.settings.active
    if model is None:
        raise InputError(f"{store.path}: there are no embeddings yet; run `colonnade sync`")
    return model


def search_text(store: Store, snapshot: Snapshot, text: str, limit: int) -> list[Hit]:
    """The images nearest to some words, which go through the vocabulary's templates. A cached prompt needs no model.

    Raises:
        ModelError: the words have no vector and the model cannot encode them.
    """
    model = active_model(store)
    prompts = [template.replace("{description}", text) for template in store.vocabulary().templates]
    cached = prompt_vectors(snapshot, model)
    if text in cached:
        prompts = [text]
    cached |= encode_missing(model, [prompt for prompt in prompts if prompt not in cached])
    return nearest_images(
        snapshot, model, attribute_vector(np.stack([cached[prompt] for prompt in prompts])), limit
    )


def similar_to_file(store: Store, file: Path) -> np.ndarray:
    """The embedding float32 [D] of a file that is not in the store.

    Raises:
        InputError: it cannot be decoded.
        ModelError: the model cannot be loaded, or is no longer the one of the stored embeddings.
    """
    from colonnade.engine.embedder import load_embedder
    from colonnade.engine.pipeline import embed_files

    model = active_model(store)
    if not model.spec:
        raise ModelError(f"model {model.key}: its vectors were imported; it cannot embed {file}")
    embedder = load_embedder(model.spec)
    if embedder.dimension != model.dimension:
        raise ModelError(
            f"{model.spec}: gives vectors of {embedder.dimension} numbers, the store's {model.key} of "
            f"{model.dimension}; choose another model with `colonnade model use`"
        )
    # Imported vectors may name the model itself as their key, which says nothing of its weights.
    if embedder.key != model.key != model.spec:
        raise ModelError(
            f"{model.spec}: its weights are {embedder.key} now, the store's embeddings are of {model.key}; "
            "run `colonnade embed` to embed with the new weights, or put the old ones back"
        )
    for batch in embed_files(embedder, [(0, file)]):
        if len(batch.ids):
            return np.asarray(batch.vectors[0], dtype=np.float32)
        for _, reason in batch.failures:
            raise InputError(f"{file}: {reason}")
    raise InputError(f"{file}: cannot be read")


def embedding_of(snapshot: Snapshot, model: Model, image_id: int) -> np.ndarray | None:
    """The stored embedding float32 [D] of an image."""
    for ids, vectors in read_embeddings(
        snapshot.cell("embeddings", model.key, shard_of(image_id)), batch_rows=4096
    ):
        place = int(np.searchsorted(ids, image_id))
        if place < len(ids) and ids[place] == image_id:
            return np.array(vectors[place])
    return None


def no_embedding(
    store: Store, model: Model, image: ImageRow | None = None, snapshot: Snapshot | None = None
) -> str:
    """That an image has no embedding of the active model, and what would give it one: "has no embedding of ...".

    Args:
        snapshot: where it has none; nothing will give it one in a snapshot that is not the live one.
    """
    said = f"has no embedding of {model.key}"
    if snapshot is not None and not snapshot.is_live():
        return f"{said} at snapshot {snapshot.number}"
    if image is not None and image.error:
        return f"{said}: {image.error}"
    if image is not None and image.state == "missing":
        return f"{said}: its file is missing"
    if image is not None and image.source == "import":
        return f"{said}, and no file; `colonnade import embeddings` gives it one"
    if not store.settings.spec:
        return f"{said}, which was imported and cannot embed it; `colonnade import embeddings` gives it one"
    return f"{said}; `colonnade sync` embeds it"


def nothing_embedded(snapshot: Snapshot, model: Model) -> str | None:
    """That no image of a snapshot has an embedding of the model; None where some have."""
    if snapshot.files("embeddings", model.key):
        return None
    said = f"no image has an embedding of {model.key}"
    if not snapshot.is_live():
        return f"{said} at snapshot {snapshot.number}"
    return f"{said}; " + (
        "`colonnade sync` makes them" if model.spec else "`colonnade import embeddings` brings them"
    )


def top_cosines(files: Sequence[DataFile], vector: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """(ids int64 [k], cosines float32 [k]) of the nearest embeddings, best first; ties by id."""
    ids, cosines = np.empty(0, np.int64), np.empty(0, np.float32)
    for block_ids, block in read_embeddings(files):
        values = block @ vector
        if len(values) > limit:
            best = np.argpartition(values, len(values) - limit)[-limit:]
            block_ids, values = block_ids[best], values[best]
        ids, cosines = np.concatenate([ids, block_ids]), np.concatenate([cosines, values])
        order = np.lexsort((ids, -cosines))[:limit]
        ids, cosines = ids[order], cosines[order]
    return ids, cosines


def nearest_images(
    snapshot: Snapshot, model: Model, vector: np.ndarray, limit: int, *, without: int | None = None
) -> list[Hit]:
    """The images nearest to a unit vector float32 [D], best first; images that are missing are left out.

    Args:
        without: an image id to leave out (the one asked about).
    """
    images = read_table(
        "images", snapshot.files("images"), ["image_id", "root", "path", "path_bytes", "state"]
    )
    image_ids = images["image_id"].to_numpy()
    barred = image_ids[images["state"].to_numpy() != "ok"]
    if without is not None:
        barred = np.append(barred, without)
    ids, cosines = top_cosines(snapshot.files("embeddings", model.key), vector, limit + len(barred))
    usable = ~np.isin(ids, barred) & np.isin(ids, image_ids)
    ids, cosines = ids[usable][:limit], cosines[usable][:limit]
    rows = images.take(pa.array(np.searchsorted(image_ids, ids))).to_pylist()
    return [
        Hit(
            row["image_id"],
            row["root"],
            row["path"],
            row["path_bytes"],
            round(cosine, 6),
            round(cosine * model.logit_scale + model.logit_bias, 4),
        )
        for row, cosine in zip(rows, cosines.tolist(), strict=True)
    ]
