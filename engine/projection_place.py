"""Placing images on a fitted map: among the nearest fitted images, in blocks of bounded memory.

Measured on 1,000 CLIP vectors held out of a fit on 3,000: of an image's 15 nearest images, 32 % are among the 15
nearest on the map, as for the fitted ones. A plain weighted mean has 24 %, because it puts an image whose neighbours
lie in two groups between these; UMAP's own transform has 26 % and takes 40 times longer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from colonnade.engine.sphere import normalised

__all__ = ["PLACING_NEIGHBOURS", "nearest_rows", "place"]

PLACING_NEIGHBOURS = 10
_REACH = 0.1
"""Radians: neighbours about this far apart on the map count as one group."""
_BLOCK_CELLS = 4 << 20
"""Cosines held at once (16 MiB)."""


def place(
    vectors: np.ndarray,
    fitted: np.ndarray,
    places: np.ndarray,
    *,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Where images belong on a map: the weighted mean of those nearest fitted images that lie together.

    Args:
        vectors: float32 [m, D], unit length.
        fitted: float32 [n, D], the vectors of the fitted images, n of at least 1.
        places: float64 [n, 3], their unit vectors on the map.
        progress: called with the images done so far.

    Returns:
        Unit vectors float64 [m, 3].
    """
    if not len(vectors):
        return np.empty((0, 3))
    rows, cosines = nearest_rows(vectors, fitted, min(PLACING_NEIGHBOURS, len(fitted)), progress=progress)
    # In units of the neighbours' own range, so that it does not matter how widely a model spreads its cosines.
    range_ = np.maximum((cosines[:, :1] - cosines[:, -1:]) / 3, 1e-6)
    weights = np.exp((cosines - cosines[:, :1]) / range_)
    near = places[rows]
    together = np.exp((np.einsum("bik,bjk->bij", near, near) - 1) / _REACH**2)
    heart = (together * weights[:, None, :]).sum(axis=2).argmax(axis=1)
    weights = weights * together[np.arange(len(rows)), heart]
    return normalised((weights[:, :, None] * near).sum(axis=1))


def nearest_rows(
    vectors: np.ndarray,
    among: np.ndarray,
    count: int,
    *,
    own: bool = False,
    progress: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(rows int64 [m, count], cosines float32 [m, count]): the nearest of `among`, best first; ties by row.

    Args:
        vectors: float32 [m, D], unit length.
        among: float32 [n, D], unit length, n >= count.
        own: the two are the same, and each image is the first of its own neighbours.
        progress: called with the rows done so far.
    """
    rows = np.empty((len(vectors), count), np.int64)
    cosines = np.empty((len(vectors), count), np.float32)
    step = max(1, _BLOCK_CELLS // len(among))
    for first in range(0, len(vectors), step):
        block = vectors[first : first + step] @ among.T
        if own:
            here = np.arange(len(block))
            block[here, first + here] = 2.0
        best = (
            np.argpartition(-block, count - 1, axis=1)[:, :count]
            if count < len(among)
            else np.tile(np.arange(len(among)), (len(block), 1))
        )
        best.sort(axis=1)
        values = np.take_along_axis(block, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        rows[first : first + step] = np.take_along_axis(best, order, axis=1)
        cosines[first : first + step] = np.minimum(np.take_along_axis(values, order, axis=1), 1.0)
        if progress:
            progress(min(first + step, len(vectors)))
    return rows, cosines
