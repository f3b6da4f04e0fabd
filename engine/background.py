"""The background of a model: everyday phrases that an attribute's logit is compared with, and their vectors.

An import of phrases (kind `background`) takes the place of those that ship (kind `phrase`), which go through the
vocabulary's templates and are encoded once for a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from colonnade.engine.prompts import BACKGROUND, PHRASE
from colonnade.engine.vocabulary import Vocabulary
from colonnade.engine.vocabulary_model import PLACEHOLDER

if TYPE_CHECKING:
    from colonnade.engine.background_stats import Background

__all__ = ["MINIMUM_PHRASES", "BackgroundState", "background_state"]

MINIMUM_PHRASES = 50
"""Fewer phrases cannot tell an attribute from everything else."""


@dataclass(frozen=True)
class BackgroundState:
    """What of a model's background is stored."""

    kind: str
    """`background` for imported phrases, `phrase` for those that ship."""
    texts: Mapping[str, tuple[str, ...]]
    """Phrase -> the texts that stand for it."""
    vectors: Mapping[str, np.ndarray] = field(repr=False)
    """Text -> unit vector float32 [D], of those that are stored."""

    @cached_property
    def lacking(self) -> tuple[str, ...]:
        """Texts without a vector."""
        every = dict.fromkeys(text for texts in self.texts.values() for text in texts)
        return tuple(text for text in every if text not in self.vectors)

    @cached_property
    def lacking_phrases(self) -> int:
        """Phrases of which a text has no vector."""
        lacking = set(self.lacking)
        return sum(not lacking.isdisjoint(texts) for texts in self.texts.values())

    @cached_property
    def background(self) -> Background | None:
        """The phrases in alphabetical order with a unit vector each; None unless all are stored."""
        if self.lacking or not self.texts:
            return None
        from colonnade.engine.background_stats import Background

        phrases = tuple(sorted(self.texts))
        vectors = [_mean_direction([self.vectors[text] for text in self.texts[phrase]]) for phrase in phrases]
        return Background(phrases, np.stack(vectors))

    @property
    def digest(self) -> str | None:
        """16 hex digits that stand for the phrases and vectors; None unless all are stored."""
        return self.background.digest if self.background is not None else None

    def with_vectors(self, vectors: Mapping[str, np.ndarray]) -> BackgroundState:
        return BackgroundState(self.kind, self.texts, {**self.vectors, **vectors})


def _mean_direction(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of unit vectors float32 [D], of unit length; the same bits on every machine, for the digest's sake."""
    if len(vectors) == 1:
        return vectors[0]
    total = np.zeros(len(vectors[0]))
    for vector in vectors:
        total += vector
    length = math.sqrt(math.fsum((total * total).tolist()))
    return np.asarray(total / max(length, 1e-12), dtype=np.float32)


def background_state(vocabulary: Vocabulary, stored: Mapping[tuple[str, str], np.ndarray]) -> BackgroundState:
    """What there is of a background.

    Args:
        stored: (text, kind) -> vector, as `read_vectors` gives it.
    """
    imported = {text: vector for (text, kind), vector in stored.items() if kind == BACKGROUND}
    if imported:
        return BackgroundState(BACKGROUND, {text: (text,) for text in imported}, imported)
    from colonnade.vocab import background_phrases

    texts = {
        phrase: tuple(dict.fromkeys(t.replace(PLACEHOLDER, phrase) for t in vocabulary.templates))
        for phrase in background_phrases()
    }
    wanted = {text for several in texts.values() for text in several}
    vectors = {text: vector for (text, kind), vector in stored.items() if kind == PHRASE and text in wanted}
    return BackgroundState(PHRASE, texts, vectors)
