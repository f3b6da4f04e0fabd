"""Background stats that a command made already: those of the sample that fits were made on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from colonnade.engine.background_stats import BackgroundStats

__all__ = ["KnownStats", "joined"]


def joined(parts: Sequence[BackgroundStats]) -> BackgroundStats:
    """The stats of several blocks of images, at least one, as those of all."""

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return BackgroundStats(
        top_index=column("top_index"),
        top_logit=column("top_logit"),
        mean=column("mean"),
        mean50=column("mean50"),
        std=column("std"),
        fold=column("fold"),
        background=parts[0].background,
        scale=parts[0].scale,
        bias=parts[0].bias,
    )


class KnownStats:
    """Stats by image, for the length of a command. An image's stats do not depend on which others are with it."""

    def __init__(self) -> None:
        self._ids = np.empty(0, np.int64)
        self._stats: BackgroundStats | None = None

    def remember(self, ids: np.ndarray, stats: BackgroundStats) -> None:
        """Keep the stats of images, by ascending ids int64 [n]."""
        self._ids, self._stats = ids, stats

    def of(self, ids: np.ndarray) -> BackgroundStats | None:
        """The stats of images by id int64 [n]; None unless all are known."""
        if self._stats is None or not len(self._ids):
            return None
        rows = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return self._stats.take(rows) if np.array_equal(self._ids[rows], ids) else None
