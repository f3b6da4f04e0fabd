"""An embedder without a model: deterministic vectors that mean nothing, for tests and load tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from colonnade.engine.embedder import Preprocessing, Vectors

__all__ = ["HashEmbedder"]

_DIMENSION = 512


class HashEmbedder:
    """Equal pixels or equal texts give equal unit vectors; others are as good as orthogonal."""

    key = "hash"
    dimension = _DIMENSION
    logit_scale = 100.0
    logit_bias = 0.0
    context_length = 77
    preprocessing = Preprocessing(height=32, width=32, interpolation="bilinear")

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vectors:
        """uint8 [n, 32, 32, 3] -> float32 [n, 512], unit length."""
        return _vectors([np.ascontiguousarray(picture).tobytes() for picture in pixels])

    def encode_prompts(self, prompts: Sequence[str]) -> Vectors:
        """n texts -> float32 [n, 512], unit length."""
        return _vectors([b"text " + prompt.encode("utf-8", "surrogatepass") for prompt in prompts])

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """A token a word, and one at each end."""
        return [len(prompt.split()) + 2 for prompt in prompts]


def _vectors(inputs: Sequence[bytes]) -> Vectors:
    # 2,048 bytes of SHAKE read as signed integers: uniform components, the same on every machine.
    streams = b"".join(hashlib.shake_128(data).digest(4 * _DIMENSION) for data in inputs)
    drawn = np.frombuffer(streams, "<i4").reshape(len(inputs), _DIMENSION).astype(np.float64)
    lengths = np.linalg.norm(drawn, axis=1, keepdims=True)
    found: Vectors = (drawn / np.maximum(lengths, 1.0)).astype(np.float32)
    return found
