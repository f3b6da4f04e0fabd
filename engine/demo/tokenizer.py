"""The demo model's tokenizer: lower-cased words, hashed to ids. No table, no dependency but numpy.

A word that was never trained hashes to an id like any other: it means nothing to the model, or, rarely, what
another word means.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["CONTEXT_LENGTH", "END", "VOCABULARY_SIZE", "count", "tokenize", "words"]

VOCABULARY_SIZE = 3500
"""Ids lie in 0..3499: 0 is padding, the highest is the end of the text."""

END = VOCABULARY_SIZE - 1
"""open_clip pools a text at its highest id, so that the end of the text must have it."""

CONTEXT_LENGTH = 24
"""Tokens the text tower reads, the end among them."""

SALT = 53752
"""Chosen so that no two words of the training captions share an id."""

WORD = re.compile(r"[^\W_]+")
SHORTEST_PLURAL = 4


def words(text: str) -> list[str]:
    """The words of `text`, lower-cased, possessive and plural `s` taken off: `The Moon's craters` gives
    `the`, `moon`, `crater`."""
    plain = re.sub(r"['\u2019]s\b", "", text.casefold())
    return [_singular(word) for word in WORD.findall(plain)]


def count(texts: Sequence[str]) -> list[int]:
    """Tokens each text needs, its end included; over the context length, the rest is cut off."""
    return [len(words(text)) + 1 for text in texts]


def tokenize(texts: Sequence[str], context_length: int = CONTEXT_LENGTH) -> npt.NDArray[np.int64]:
    """Token ids of `texts`, int64 [n, context_length]: words, END, then zeros. Long texts are cut."""
    ids = np.zeros((len(texts), context_length), dtype=np.int64)
    for row, text in zip(ids, texts, strict=True):
        found = [_word_id(word) for word in words(text)[: context_length - 1]]
        row[: len(found)] = found
        row[len(found)] = END
    return ids


def _word_id(word: str) -> int:
    # A lone surrogate (a broken file name, say) has no UTF-8 form of its own.
    return 1 + zlib.crc32(word.encode("utf-8", "surrogatepass"), SALT) % (END - 1)


def _singular(word: str) -> str:
    plural = len(word) >= SHORTEST_PLURAL and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if plural else word
