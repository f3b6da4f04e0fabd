"""Prompt vectors: cached per model in the `prompts` table, encoded only when missing.

With every prompt cached, nothing here loads a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from colonnade.engine.errors import InputError, ModelError
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.tables import prompts_schema, read_files, vectors_column, vectors_of

__all__ = ["ATTRIBUTE", "BACKGROUND", "encode_missing", "prompt_vectors", "store_prompts"]

ATTRIBUTE, BACKGROUND = "attribute", "background"


def prompt_vectors(snapshot: Snapshot, model: Model, kind: str = ATTRIBUTE) -> dict[str, np.ndarray]:
    """Prompt -> unit vector float32 [D], as cached for a model."""
    files = snapshot.files("prompts", model.key)
    if not files:
        return {}
    data = read_files(files)
    vectors = vectors_of(data["embedding"])
    rows = zip(data["prompt"].to_pylist(), data["kind"].to_pylist(), vectors, strict=True)
    return {prompt: vector for prompt, its_kind, vector in rows if its_kind == kind}


def store_prompts(
    stage: Stage, model: Model, vectors: Mapping[str, np.ndarray], kind: str = ATTRIBUTE
) -> None:
    """Have the commit of `stage` cache these vectors (float32 [D] each) besides those already cached.

    A prompt that is cached already gets the new vector.
    """
    if not vectors:
        return

    def merge(live: Snapshot, stage: Stage) -> None:
        files = live.cell("prompts", model.key, 0)
        rows = {(prompt, its_kind): vector for its_kind in (ATTRIBUTE, BACKGROUND)
                for prompt, vector in prompt_vectors(live, model, its_kind).items()}  # fmt: skip
        rows |= {(prompt, kind): vector for prompt, vector in vectors.items()}
        ordered = sorted(rows)
        data = pa.table(
            [
                [prompt for prompt, _ in ordered],
                [its_kind for _, its_kind in ordered],
                vectors_column(np.stack([rows[key] for key in ordered])),
            ],
            schema=prompts_schema(model.dimension),
        )
        stage.replace("prompts", model.key, 0, data, read=files)

    stage.late(merge)


def encode_missing(model: Model, prompts: Sequence[str]) -> dict[str, np.ndarray]:
    """Encode prompts with the model itself (loads torch); nothing to do for no prompts.

    Raises:
        ModelError: the model cannot encode text here; the message names the prompts without a vector.
    """
    if not prompts:
        return {}
    if not model.spec:
        shown = "; ".join(repr(prompt) for prompt in prompts[:5]) + (" ..." if len(prompts) > 5 else "")
        raise ModelError(
            f"model {model.key}: no vector for {len(prompts)} prompt{'s' if len(prompts) > 1 else ''} ({shown}), and "
            "imported vectors come without a text encoder; import theirs: "
            f"colonnade import embeddings FILE --model {model.key} --text FILE"
        )
    from colonnade.engine.embedder import load_embedder

    embedder = load_embedder(model.spec)
    if embedder.key != model.key and embedder.dimension != model.dimension:
        raise ModelError(
            f"{model.spec}: gives vectors of {embedder.dimension} numbers, the store's {model.key} of {model.dimension}"
        )
    if embedder.key != model.key and not _is_import_key(model):
        raise ModelError(
            f"{model.spec}: its weights are {embedder.key} now, the store's embeddings are of {model.key}; "
            "run `colonnade embed` to embed with the new weights, or put the old ones back"
        )
    vectors = embedder.encode_prompts(list(prompts))
    if vectors.shape != (len(prompts), model.dimension) or not np.isfinite(vectors).all():
        raise InputError(f"{model.spec}: the text encoder gave unusable vectors for {len(prompts)} prompts")
    return dict(zip(prompts, vectors, strict=True))


def _is_import_key(model: Model) -> bool:
    """Imported vectors may name an open_clip pair as their key; its text encoder is then the right one."""
    return model.key == model.spec
