"""Ops of the helper that look at embeddings, and may need the model itself: nearest images, trying words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colonnade.engine.errors import InputError
from colonnade.tui.helper_try import try_wording

if TYPE_CHECKING:
    import numpy as np

    from colonnade.engine.search import Hit
    from colonnade.engine.settings import Model
    from colonnade.engine.snapshots import Snapshot
    from colonnade.tui.helper_ops import Helper

__all__ = ["MODEL_OPS", "prompt_table"]

MAX_WORDS = 2000


def load_model(helper: Helper) -> str:
    """Load the active model, so that what comes next is quick; gives its key."""
    from colonnade.engine.search import active_model

    model = active_model(helper.store)
    if not model.spec:
        return model.key
    return str(helper.load(model.spec).key)


def search_text(helper: Helper, text: str, limit: int = 1000) -> list[dict[str, Any]]:
    """The images nearest to some words, best first."""
    from colonnade.engine.search import active_model, nearest_images

    if not text.strip() or len(text) > MAX_WORDS:
        raise InputError(f"the words to look for are 1 to {MAX_WORDS:,} characters")
    store = helper.store
    snapshot, model = store.snapshot(), active_model(store)
    prompts = [template.replace("{description}", text.strip()) for template in store.vocabulary().templates]
    table = prompt_table(helper, snapshot, model, prompts, alone=text.strip())
    return _rows(nearest_images(snapshot, model, table, limit))


def prompt_table(
    helper: Helper, snapshot: Snapshot, model: Model, prompts: Sequence[str], *, alone: str | None = None
) -> np.ndarray:
    """The unit vector float32 [D] of an ensemble of prompts; a stored prompt needs no model.

    Args:
        alone: a prompt that is used by itself if it is stored.
    """
    import numpy as np

    from colonnade.engine.prompts import encode_missing, prompt_vectors
    from colonnade.engine.scoring import attribute_vector

    known = prompt_vectors(snapshot, model)
    if alone is not None and alone in known:
        prompts = [alone]
    known |= encode_missing(model, [prompt for prompt in prompts if prompt not in known], helper.load)
    return attribute_vector(np.stack([known[prompt] for prompt in prompts]))


def similar(helper: Helper, image_id: int, limit: int = 1000) -> list[dict[str, Any]]:
    """The images that look most like one of the store, best first, without itself. Needs no model."""
    from colonnade.engine.search import active_model, embedding_of, nearest_images, no_embedding

    store = helper.store
    snapshot, model = store.snapshot(), active_model(store)
    vector = embedding_of(snapshot, model, image_id)
    if vector is None:
        raise InputError(f"image {image_id}: {no_embedding(store, model)}")
    return _rows(nearest_images(snapshot, model, vector, limit, without=image_id))


def similar_to_file(helper: Helper, file: str, limit: int = 1000) -> list[dict[str, Any]]:
    """The images that look most like any image file, best first."""
    from colonnade.engine.search import active_model, nearest_images
    from colonnade.engine.search import similar_to_file as embed_file

    store = helper.store
    snapshot, model = store.snapshot(), active_model(store)
    vector = embed_file(store, Path(file).expanduser())
    return _rows(nearest_images(snapshot, model, vector, limit))


def _rows(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    return [{"image_id": hit.image_id, "cosine": hit.cosine, "logit": hit.logit} for hit in hits]


MODEL_OPS: dict[str, Callable[..., Any]] = {
    "load_model": load_model,
    "search_text": search_text,
    "similar": similar,
    "similar_to_file": similar_to_file,
    "try_wording": try_wording,
}
