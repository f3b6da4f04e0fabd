"""Texts that stale work needs a vector of: an attribute's prompts, and the background of fits that are to be made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from colonnade.engine.errors import ModelError
from colonnade.engine.fit_choice import Grounds
from colonnade.engine.freshness import AttributeWork
from colonnade.engine.prompts import ATTRIBUTE, PHRASE, encode_missing, require_prompts, store_texts
from colonnade.engine.stage import Stage
from colonnade.engine.vocabulary import Vocabulary

if TYPE_CHECKING:
    from colonnade.engine.embedder import Embedder

__all__ = ["Encoded", "PhrasesError", "encode_for", "missing_phrases", "missing_prompts", "stage_texts"]

Vectors = Mapping[str, np.ndarray]
"""Text -> unit vector float32 [D]."""


class PhrasesError(ModelError):
    """All that cannot be encoded are background phrases: fits have to do without."""


@dataclass(frozen=True)
class Encoded:
    """Vectors that a command made."""

    prompts: Vectors
    phrases: Vectors

    def added_to(self, grounds: Grounds) -> Grounds:
        """The grounds with these vectors, where they have none of their own."""
        return replace(
            grounds,
            prompts={**self.prompts, **grounds.prompts},
            background=grounds.background.with_vectors(
                {text: self.phrases[text] for text in grounds.background.lacking if text in self.phrases}
            ),
        )


def missing_prompts(
    vocabulary: Vocabulary, grounds: Grounds, work: Sequence[AttributeWork]
) -> tuple[str, ...]:
    """The prompts that stale attributes need and that have no vector yet, in order, each once."""
    wanted = [prompt for item in work if item.needs_prompts for prompt in vocabulary.prompts(item.code)]
    return tuple(prompt for prompt in dict.fromkeys(wanted) if prompt not in grounds.prompts)


def missing_phrases(grounds: Grounds, work: Sequence[AttributeWork]) -> tuple[str, ...]:
    """The background's texts that have no vector yet, where an attribute is going to be fitted."""
    wanted = grounds.obstacle is None and any(item.to_make for item in work)
    return grounds.background.lacking if wanted else ()


def encode_for(
    grounds: Grounds,
    prompts: Sequence[str],
    phrases: Sequence[str],
    before: Encoded,
    load: Callable[[str], Embedder] | None = None,
) -> Encoded:
    """Vectors of texts that are not stored, as far as they were not made `before`, with those that were.

    Raises:
        PhrasesError: only background phrases lack a vector, and they cannot be encoded.
        ModelError: a prompt lacks one, and it cannot be encoded.
    """
    prompts = [text for text in prompts if text not in before.prompts]
    phrases = [text for text in phrases if text not in before.phrases]
    try:
        texts, option = [*dict.fromkeys((*prompts, *phrases))], "--text" if prompts else "--background"
        made = encode_missing(grounds.model, texts, load, option=option)
    except ModelError as error:
        if prompts:
            raise
        raise PhrasesError(f"background phrases cannot be encoded: {error}") from error
    return Encoded(
        {**before.prompts, **{text: made[text] for text in prompts}},
        {**before.phrases, **{text: made[text] for text in phrases}},
    )


def stage_texts(
    stage: Stage, grounds: Grounds, encoded: Encoded, used: Sequence[str], *, background: bool
) -> None:
    """Have the commit cache what was encoded or used, and be refused if a vector that was used is another by then.

    Args:
        grounds: with the vectors of all texts that were used.
        used: prompts.
        background: whether the background was used.
    """
    prompts = {**encoded.prompts, **{text: grounds.prompts[text] for text in used}}
    store_texts(stage, grounds.model, {ATTRIBUTE: prompts, PHRASE: encoded.phrases})
    if background:
        require_prompts(stage, grounds.model, grounds.background.vectors, grounds.background.kind)
