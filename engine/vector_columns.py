"""Vectors as columns of a table, and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

__all__ = ["vectors_column", "vectors_of"]


def vectors_of(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A FixedSizeList<float>[D] column as float32 [n, D], copied only where it has several chunks.

    Raises:
        ValueError: a vector is null.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    if array.null_count:
        raise ValueError(f"{array.null_count} vectors are null")
    dimension = array.type.list_size
    values = array.values.slice(array.offset * dimension, len(array) * dimension).to_numpy(
        zero_copy_only=True
    )
    return np.asarray(values, dtype=np.float32).reshape(-1, dimension)


def vectors_column(vectors: np.ndarray) -> pa.FixedSizeListArray:
    """float32 [n, D] as a FixedSizeList<float>[D] array."""
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
