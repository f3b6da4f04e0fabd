"""How strongly each image answers to everyday phrases: what an attribute's logit is compared with.

The numbers of an image depend on that image, the background and the model alone, and all attributes share them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from colonnade.engine.errors import InputError
from colonnade.engine.settings import Model

__all__ = ["FOLDS", "MOST_PHRASES", "TOP", "Background", "BackgroundStats", "background_stats", "project"]

MOST_PHRASES = 1 << 14
"""More are refused: a fit names phrases by numbers of two bytes."""
TOP = 48
"""How many of the largest background logits of an image are kept."""
FOLDS = 8
"""Images fall into so many folds, by their own bytes; a direction judges only folds it was not made from."""
BLOCK = 1024
"""Images a matrix product takes at once. Always as many, so that every image meets the same kernel."""
_WIDE = 50


@dataclass(frozen=True, eq=False)
class Background:
    """Everyday phrases and their vectors under one model."""

    phrases: tuple[str, ...]
    vectors: np.ndarray
    """float32 [P, D], unit length."""

    def __post_init__(self) -> None:
        count = len(self.phrases)
        if self.vectors.ndim != 2 or len(self.vectors) != count or not 0 < count <= MOST_PHRASES:
            raise InputError(
                f"{count} background phrases and vectors of shape {self.vectors.shape}: one row a phrase, "
                f"1 to {MOST_PHRASES} phrases"
            )

    @cached_property
    def digest(self) -> str:
        """16 hex digits of phrases and vectors, whatever their order."""
        rows = sorted(
            hashlib.sha256(phrase.encode() + b"\0" + vector.tobytes()).digest()
            for phrase, vector in zip(self.phrases, self.vectors.astype("<f4"), strict=True)
        )
        return hashlib.sha256(b"".join(rows)).hexdigest()[:16]

    @cached_property
    def similarity(self) -> tuple[float, float]:
        """Mean and standard deviation of the cosines between different phrases: the model's own measure of near."""
        cosines = self.vectors @ self.vectors.T
        others = cosines[~np.eye(len(cosines), dtype=bool)].astype(np.float64)
        if not others.size:
            return 0.0, 1.0
        return float(others.mean()), max(float(others.std()), 1e-6)


@dataclass(frozen=True, eq=False)
class BackgroundStats:
    """What the margins of n images need; K = min(TOP, P)."""

    top_index: np.ndarray
    """uint16 [n, K]: phrases by falling logit."""
    top_logit: np.ndarray
    """float32 [n, K], largest first."""
    mean: np.ndarray
    """float32 [n]: of all background logits."""
    mean50: np.ndarray
    """float32 [n]: of the 50 largest."""
    std: np.ndarray
    """float32 [n]: standard deviation of the background logits."""
    fold: np.ndarray
    """uint8 [n] below FOLDS, from the bytes of the image's embedding."""
    background: Background
    scale: float
    bias: float

    def __len__(self) -> int:
        return len(self.mean)

    def take(self, rows: np.ndarray | slice) -> BackgroundStats:
        """The same of some of the images."""
        picked: dict[str, Any] = {name: getattr(self, name)[rows] for name in _PER_IMAGE}
        return replace(self, **picked)

    def logits(self, embeddings: np.ndarray) -> np.ndarray:
        """Background logits float32 [m, P] of m images."""
        product = project(embeddings, self.background.vectors)
        return np.asarray(product * np.float32(self.scale) + np.float32(self.bias), dtype=np.float32)


_PER_IMAGE = ("top_index", "top_logit", "mean", "mean50", "std", "fold")


def background_stats(embeddings: np.ndarray, background: Background, model: Model) -> BackgroundStats:
    """The stats of images with unit embeddings float32 [n, D].

    An image's numbers do not depend on which others are in the batch.

    Raises:
        InputError: the vectors of images and background are of different length.
    """
    images = np.ascontiguousarray(embeddings, dtype=np.float32)
    if images.ndim != 2 or images.shape[1] != background.vectors.shape[1]:
        raise InputError(
            f"embeddings of shape {images.shape} and background vectors of {background.vectors.shape[1]} numbers"
        )
    n, top = len(images), min(TOP, len(background.phrases))
    stats = BackgroundStats(
        np.empty((n, top), dtype=np.uint16),
        np.empty((n, top), dtype=np.float32),
        mean=np.empty(n, dtype=np.float32),
        mean50=np.empty(n, dtype=np.float32),
        std=np.empty(n, dtype=np.float32),
        fold=_folds(images),
        background=background,
        scale=float(model.logit_scale),
        bias=float(model.logit_bias),
    )
    vectors = np.ascontiguousarray(background.vectors.T, dtype=np.float32)
    for start in range(0, n, BLOCK):
        block = images[start : start + BLOCK]
        cosines = (_padded(block) @ vectors)[: len(block)]
        _reduce(cosines, stats, slice(start, start + len(block)))
    return stats


def _reduce(cosines: np.ndarray, stats: BackgroundStats, rows: slice) -> None:
    top, phrases = stats.top_index.shape[1], cosines.shape[1]
    scale, bias = np.float32(stats.scale), np.float32(stats.bias)
    wide = min(_WIDE, phrases)
    bits = max(phrases - 1, 1).bit_length()
    # A key holds the cosine in fixed point above the phrase's number: one integer partition finds both.
    keys = (cosines * np.float32(1 << (30 - bits))).astype(np.int32)
    keys <<= bits
    keys |= np.arange(phrases, dtype=np.int32)
    if wide < phrases:
        keys = np.partition(keys, phrases - wide, axis=1)[:, phrases - wide :]
    keys = np.sort(keys, axis=1)[:, ::-1]
    index = keys & ((1 << bits) - 1)
    values = np.take_along_axis(cosines, index, axis=1) * scale + bias
    stats.top_index[rows] = index[:, :top]
    stats.top_logit[rows] = values[:, :top]
    stats.mean50[rows] = values.mean(axis=1)
    mean = cosines.mean(axis=1)
    square = np.einsum("ij,ij->i", cosines, cosines) / np.float32(phrases)
    stats.mean[rows] = mean * scale + bias
    stats.std[rows] = np.sqrt(np.maximum(square - mean * mean, 0)) * scale


def project(embeddings: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Inner products float32 [n, k] of rows of [n, D] and [k, D], the same for a row in any batch."""
    transposed = np.ascontiguousarray(vectors.T, dtype=np.float32)
    product = np.empty((len(embeddings), len(vectors)), dtype=np.float32)
    for start in range(0, len(embeddings), BLOCK):
        block = np.asarray(embeddings[start : start + BLOCK], dtype=np.float32)
        product[start : start + len(block)] = (_padded(block) @ transposed)[: len(block)]
    return product


def _padded(block: np.ndarray) -> np.ndarray:
    if len(block) == BLOCK:
        return block
    full = np.zeros((BLOCK, block.shape[1]), dtype=np.float32)
    full[: len(block)] = block
    return full


def _folds(images: np.ndarray) -> np.ndarray:
    words = images.view(np.uint32)
    mixed = np.bitwise_xor.reduce(words, axis=1) if images.shape[1] else np.zeros(len(images), np.uint32)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(0x9E3779B1)
    return np.asarray(mixed >> np.uint32(29), dtype=np.uint8)
