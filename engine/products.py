"""Matrix products whose every number depends on its own two vectors alone, to the last bit."""

from __future__ import annotations

import numpy as np

__all__ = ["products"]

_ROWS, _COLUMNS = 1024, 16
"""The shape of every matrix product: BLAS sums in another order for other shapes."""


def products(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Inner products float32 [n, k] of the rows of [n, D] and of [k, D], whatever else is in the batch."""
    found = np.empty((len(rows), len(columns)), dtype=np.float32)
    for first in range(0, len(columns), _COLUMNS):
        some = _padded(columns[first : first + _COLUMNS], _COLUMNS).T
        for start in range(0, len(rows), _ROWS):
            block = rows[start : start + _ROWS]
            product = _padded(block, _ROWS) @ some
            found[start : start + _ROWS, first : first + _COLUMNS] = product[
                : len(block), : len(columns) - first
            ]
    return found


def _padded(block: np.ndarray, rows: int) -> np.ndarray:
    """The block float32 [m, D] with rows of zeros added, if it has fewer than `rows`."""
    if len(block) == rows:
        return np.asarray(block, dtype=np.float32)
    full = np.zeros((rows, block.shape[1]), dtype=np.float32)
    full[: len(block)] = block
    return full
