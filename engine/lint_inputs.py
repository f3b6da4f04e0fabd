"""What the checks of `lint` need from a store: cached prompt vectors, saved queries, the model itself on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from colonnade.engine.queries_file import read_queries

if TYPE_CHECKING:
    import numpy as np

    from colonnade.engine.store import Store
    from colonnade.engine.vocabulary_model import Vocabulary

__all__ = ["LintInputs", "lint_inputs"]


@dataclass(frozen=True)
class LintInputs:
    """Arguments of `lint`, and what they leave unchecked."""

    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    token_counts: dict[str, int] | None = None
    context_length: int | None = None
    counted: bool = True
    """Whether `token_counts` are the tokenizer's, not the least that it can give."""
    queries: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """One line for each check that could not be made in full, with what would allow it."""


def lint_inputs(vocabulary: Vocabulary, store: Store | None, *, encode: bool) -> LintInputs:
    """Gather what is there; with `encode` the store's model encodes and counts the prompts that are not.

    Raises:
        ModelError: `encode`, and the model cannot be loaded.
    """
    if store is None:
        remedy = "name a store with --store to compare by meaning and to count tokens"
        return LintInputs(
            left_out=(f"prompts were compared by words, and their length was not checked: {remedy}",)
        )
    prompts = list(dict.fromkeys(p for a in vocabulary.base for p in vocabulary.prompts(a.code)))
    queries = tuple(read_queries(store.path).values())
    settings = store.settings
    vectors: dict[str, np.ndarray] = {}
    if settings.active is not None:
        from colonnade.engine.prompts import prompt_vectors

        cached = prompt_vectors(store.snapshot(), settings.active)
        vectors = {prompt: cached[prompt] for prompt in prompts if prompt in cached}
    if encode and prompts:
        return _encoded(settings.spec, settings.model_key, prompts, vectors, queries)
    context = settings.active.context_length if settings.active is not None else 0
    if context:
        words, doubt = (
            {prompt: _least_tokens(prompt) for prompt in prompts},
            "counted in words, not in tokens",
        )
    else:
        words, doubt = None, "not checked"
    left_out = [f"the length of prompts was {doubt}: --model-encode loads the model to count tokens"]
    if missing := len(prompts) - len(vectors):
        what = (
            f"{missing:,} of {len(prompts):,} prompts have no cached vector and were compared by words alone"
        )
        if settings.active is None or not store.snapshot().files("embeddings", settings.active.key):
            first = "run `colonnade sync` first, which embeds and tags"
        else:
            first = "run `colonnade tag` first"
        left_out.insert(0, f"{what}: {first}, or add --model-encode")
    return LintInputs(
        vectors,
        words,
        context or None,
        counted=False,
        queries=queries,
        left_out=tuple(left_out) if prompts else (),
    )


def _least_tokens(prompt: str) -> int:
    """No tokenizer joins words, and each adds an end mark; some leave punctuation out."""
    return sum(any(letter.isalnum() for letter in word) for word in prompt.split()) + 1


def _encoded(
    spec: str, key: str | None, prompts: list[str], cached: dict[str, np.ndarray], queries: tuple[str, ...]
) -> LintInputs:
    from colonnade.engine.embedder import load_embedder
    from colonnade.engine.errors import ModelError

    if not spec:
        raise ModelError(
            f"model {key}: imported vectors come without a text encoder; lint without --model-encode"
        )
    embedder = load_embedder(spec)
    vectors = cached if embedder.key == key else {}
    missing = [prompt for prompt in prompts if prompt not in vectors]
    fresh = dict(zip(missing, embedder.encode_prompts(missing), strict=True)) if missing else {}
    counts = dict(zip(prompts, embedder.count_tokens(prompts), strict=True))
    return LintInputs({**vectors, **fresh}, counts, embedder.context_length, queries=queries)
