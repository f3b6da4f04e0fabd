"""Prompt vectors: cached per model in the `prompts` table, encoded only when missing.

With every prompt cached, nothing here loads a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from colonnade.engine.errors import ConflictError, ModelError
from colonnade.engine.provenance import read_definitions
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.tables import prompts_schema, read_files, read_footer
from colonnade.engine.vector_columns import vectors_column, vectors_of

if TYPE_CHECKING:
    from colonnade.engine.embedder import Embedder

__all__ = [
    "ATTRIBUTE",
    "BACKGROUND",
    "PHRASE",
    "encode_missing",
    "prompt_vectors",
    "read_vectors",
    "replace_prompts",
    "require_prompts",
    "store_prompts",
    "store_texts",
]

ATTRIBUTE, BACKGROUND, PHRASE = "attribute", "background", "phrase"
"""Kinds of texts: an attribute's prompts, imported background phrases, and those that ship."""

Vectors = Mapping[str, np.ndarray]
"""Prompt -> unit vector float32 [D]."""
_Rows = dict[tuple[str, str], np.ndarray]
"""(prompt, kind) -> unit vector."""


def prompt_vectors(snapshot: Snapshot, model: Model, kind: str = ATTRIBUTE) -> dict[str, np.ndarray]:
    """Prompt -> unit vector float32 [D], as cached for a model."""
    rows = read_vectors(snapshot, model)
    return {prompt: vector for (prompt, its_kind), vector in rows.items() if its_kind == kind}


def read_vectors(snapshot: Snapshot, model: Model) -> dict[tuple[str, str], np.ndarray]:
    """(prompt, kind) -> unit vector float32 [D], of everything that is cached for a model."""
    files = snapshot.files("prompts", model.key)
    if not files:
        return {}
    data = read_files(files)
    keys = zip(data["prompt"].to_pylist(), data["kind"].to_pylist(), strict=True)
    return dict(zip(keys, vectors_of(data["embedding"]), strict=True))


def store_prompts(stage: Stage, model: Model, vectors: Vectors, kind: str = ATTRIBUTE) -> None:
    """As `store_texts`, for texts of one kind."""
    store_texts(stage, model, {kind: vectors})


def store_texts(stage: Stage, model: Model, vectors: Mapping[str, Vectors]) -> None:
    """Have the commit of `stage` cache newly encoded vectors besides those already cached; once a stage.

    The commit raises ConflictError if one of them has meanwhile been cached with another vector.

    Args:
        vectors: kind -> prompt -> unit vector.
    """
    wanted = {(prompt, kind): vector for kind, some in vectors.items() for prompt, vector in some.items()}
    if not wanted:
        return

    def merge(live: Snapshot, stage: Stage) -> None:
        rows = read_vectors(live, model)
        for kind, some in vectors.items():
            _refuse_others(stage, model, rows, some, kind)
        if not wanted.keys() <= rows.keys():
            _write(stage, live, model, rows | wanted)

    stage.late(merge)


def require_prompts(stage: Stage, model: Model, used: Vectors, kind: str = ATTRIBUTE) -> None:
    """Have the commit of `stage` raise ConflictError if a prompt is cached with another vector than the one used."""
    stage.late(lambda live, stage: _refuse_others(stage, model, read_vectors(live, model), used, kind))


def _refuse_others(stage: Stage, model: Model, rows: _Rows, used: Vectors, kind: str) -> None:
    for prompt, vector in used.items():
        cached = rows.get((prompt, kind))
        if cached is not None and not np.array_equal(cached, vector):
            raise ConflictError(
                f"{stage.store}: the vector of {prompt[:80]!r} ({model.key}) changed; nothing was written"
            )


def replace_prompts(stage: Stage, model: Model, vectors: Mapping[str, Vectors]) -> list[str]:
    """Have the commit of `stage` cache vectors from elsewhere, in the place of those cached under the same text.

    Background phrases replace all of their kind.

    Where an attribute's prompt gets another vector, its scores and those derived from them describe the old one:
    the same commit removes them, so that the next `tag` makes them anew.

    Args:
        vectors: kind -> prompt -> unit vector.

    Returns:
        The codes whose scores were removed; filled in by the commit.
    """
    dropped: list[str] = []

    def merge(live: Snapshot, stage: Stage) -> None:
        rows = read_vectors(live, model)
        wanted = {(prompt, kind): vector for kind, some in vectors.items() for prompt, vector in some.items()}
        other = [key for key, vector in wanted.items() if not np.array_equal(rows.get(key, ()), vector)]
        gone = {key for key in rows if key[1] == BACKGROUND and BACKGROUND in vectors} - wanted.keys()
        if other or gone:
            kept = {key: vector for key, vector in rows.items() if key not in gone}
            _write(stage, live, model, kept | {key: wanted[key] for key in other})
        changed = {prompt for prompt, kind in other if kind == ATTRIBUTE and (prompt, kind) in rows}
        dropped[:] = _users(live, model, changed) if changed else []
        for code in dropped:
            stage.drop("scores", code, read=live.files("scores", code))

    stage.late(merge)
    return dropped


def _write(stage: Stage, live: Snapshot, model: Model, rows: _Rows) -> None:
    ordered = sorted(rows)
    data = pa.table(
        [
            [prompt for prompt, _ in ordered],
            [kind for _, kind in ordered],
            vectors_column(np.stack([rows[key] for key in ordered])),
        ],
        schema=prompts_schema(model.dimension),
    )
    stage.replace("prompts", model.key, 0, data, read=live.cell("prompts", model.key, 0))


def _users(snapshot: Snapshot, model: Model, prompts: set[str]) -> list[str]:
    """Scored codes whose stored definition names one of the prompts, and all that is derived from them."""
    known = read_definitions(snapshot)
    documents = {
        code: [known.get(read_footer(file).definition or "") for file in snapshot.files("scores", code)]
        for code in snapshot.partitions("scores")
    }
    users = {
        code
        for code, stored in documents.items()
        if any(_made_with(document, known, model, prompts) for document in stored)
    }
    grown = True
    while grown:
        above = {
            code
            for code, stored in documents.items()
            if any(document and not users.isdisjoint(document.get("inputs", ())) for document in stored)
        }
        grown = not above <= users
        users |= above
    return sorted(users)


def _made_with(
    document: dict[str, Any] | None, known: Mapping[str, dict[str, Any]], model: Model, prompts: set[str]
) -> bool:
    """Whether scores of this definition came from one of the prompts, or may have."""
    if document is None:
        return True
    if document.get("kind") != "confidence":
        return False
    logit = known.get(str(document.get("logit")))
    return logit is None or (
        logit.get("model") == model.key and not prompts.isdisjoint(logit.get("prompts", ()))
    )


def encode_missing(
    model: Model,
    prompts: Sequence[str],
    load: Callable[[str], Embedder] | None = None,
    *,
    option: str = "--text",
) -> dict[str, np.ndarray]:
    """Encode prompts with the model itself (loads torch); nothing to do for no prompts.

    Args:
        option: that of `import embeddings` for vectors of such texts, for the message.

    Raises:
        ModelError: the model cannot encode text here; the message names the prompts without a vector.
    """
    if not prompts:
        return {}
    shown = "; ".join(repr(prompt[:200]) for prompt in prompts[:5]) + (" ..." if len(prompts) > 5 else "")
    lacking = f"no vector for {len(prompts):,} prompt{'s' if len(prompts) > 1 else ''} ({shown})"
    remedy = f"import theirs: colonnade import embeddings --model {model.key} {option} FILE"
    if not model.spec:
        raise ModelError(
            f"model {model.key}: {lacking}, and imported vectors come without a text encoder; {remedy}"
        )
    from colonnade.engine.embedder import load_embedder

    try:
        embedder = (load or load_embedder)(model.spec)
    except ModelError as error:
        raise ModelError(f"{error}; {lacking}; {remedy}") from error
    if embedder.dimension != model.dimension:
        raise ModelError(
            f"{model.spec}: gives vectors of {embedder.dimension} numbers, the store's {model.key} of "
            f"{model.dimension}; {lacking}; {remedy}"
        )
    if embedder.key != model.key and not _is_import_key(model):
        raise ModelError(
            f"{model.spec}: its weights are {embedder.key} now, the store's embeddings are of {model.key}; "
            "run `colonnade embed` to embed with the new weights, or put the old ones back"
        )
    vectors = embedder.encode_prompts(list(prompts))
    if vectors.shape != (len(prompts), model.dimension) or not np.isfinite(vectors).all():
        raise ModelError(f"{model.spec}: its text encoder gives unusable vectors; {lacking}; {remedy}")
    return dict(zip(prompts, vectors, strict=True))


def _is_import_key(model: Model) -> bool:
    """Imported vectors may name an open_clip pair as their key; its text encoder is then the right one."""
    return model.key == model.spec
