"""Reading vectors made elsewhere from Parquet, checked before anything of them is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from colonnade.engine.errors import InputError
from colonnade.engine.scoring import unit_length

__all__ = ["VectorFile", "open_vectors"]

_MAX_DIMENSION = 16_384


@dataclass(frozen=True)
class VectorFile:
    """A Parquet file with one vector a row."""

    path: Path
    embedding: str
    names: tuple[str, ...]
    """What each row is called, verbatim: an id, a path or a prompt."""
    dimension: int

    def vectors(self, *, batch_rows: int = 16_384) -> np.ndarray:
        """All vectors, unit length, float32 [n, D].

        Raises:
            InputError: a vector is missing, of another length, not finite, or all zeros.
        """
        result = np.empty((len(self.names), self.dimension), dtype=np.float32)
        filled = 0
        try:
            for batch in pq.ParquetFile(self.path).iter_batches(
                batch_size=batch_rows, columns=[self.embedding]
            ):
                block = _matrix(batch.column(0), self.path, filled, self.dimension)
                result[filled : filled + len(block)] = block
                filled += len(block)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.path}: damaged Parquet ({' '.join(str(error).split())[:200]})") from None
        return result


def open_vectors(path: Path, *, name_column: str | None, name_choices: Sequence[str]) -> VectorFile:
    """Open a file of vectors and read the names of its rows.

    Args:
        name_column: the column that names the rows; by default the first of `name_choices` that is there.

    Raises:
        InputError: not Parquet, a column is missing or of the wrong type, or a name occurs twice.
    """
    try:
        parquet = pq.ParquetFile(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({' '.join(str(error).split())[:200]})") from None
    schema = parquet.schema_arrow
    columns = ", ".join(schema.names[:20])
    if name_column is None:
        name_column = next((name for name in name_choices if name in schema.names), None)
        if name_column is None:
            raise InputError(f"{path}: none of the columns {', '.join(name_choices)}; it has: {columns}")
    elif name_column not in schema.names:
        raise InputError(f"{path}: no column {name_column!r}; it has: {columns}")
    embedding = _embedding_column(schema, path)
    try:
        values = parquet.read(columns=[name_column]).column(0)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged Parquet ({' '.join(str(error).split())[:200]})") from None
    names = _names(values, path, name_column)
    dimension = _dimension(parquet, schema, embedding, path)
    return VectorFile(path, embedding, names, dimension)


def _embedding_column(schema: pa.Schema, path: Path) -> str:
    lists = [field.name for field in schema if _is_vector(field.type)]
    if "embedding" in lists:
        return "embedding"
    if len(lists) != 1:
        raise InputError(
            f"{path}: no column `embedding` of lists of numbers; it has: {', '.join(schema.names[:20])}"
        )
    return lists[0]


def _is_vector(kind: pa.DataType) -> bool:
    is_list = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and pa.types.is_floating(kind.value_type)


def _dimension(parquet: pq.ParquetFile, schema: pa.Schema, embedding: str, path: Path) -> int:
    kind = schema.field(embedding).type
    if pa.types.is_fixed_size_list(kind):
        dimension = int(kind.list_size)
    else:
        first = next(parquet.iter_batches(batch_size=1, columns=[embedding]), None)
        dimension = len(first.column(0)[0]) if first is not None and first.column(0)[0].is_valid else 0
    if not 0 < dimension <= _MAX_DIMENSION:
        raise InputError(
            f"{path}: column {embedding}: vectors of {dimension} numbers; 1 to {_MAX_DIMENSION} are usable"
        )
    return dimension


def _names(values: pa.ChunkedArray, path: Path, column: str) -> tuple[str, ...]:
    if not (
        pa.types.is_string(values.type)
        or pa.types.is_large_string(values.type)
        or pa.types.is_integer(values.type)
    ):
        raise InputError(f"{path}: column {column} is {values.type}; it must hold text or whole numbers")
    names: list[str] = []
    seen: set[str] = set()
    for row, value in enumerate(values.to_pylist(), 1):
        name = "" if value is None else str(value)
        if not name or len(name) > 4096:
            raise InputError(f"{path}: row {row}: column {column} is empty or longer than 4,096 characters")
        if name in seen:
            raise InputError(f"{path}: row {row}: {name[:80]!r} occurs twice in column {column}")
        seen.add(name)
        names.append(name)
    return tuple(names)


def _matrix(column: pa.Array, path: Path, first_row: int, dimension: int) -> np.ndarray:
    if column.null_count:
        row = first_row + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0]) + 1
        raise InputError(f"{path}: row {row}: the vector is missing")
    if not pa.types.is_fixed_size_list(column.type):
        lengths = column.value_lengths().to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(lengths != dimension)
        if len(wrong):
            row = first_row + int(wrong[0]) + 1
            raise InputError(
                f"{path}: row {row}: {lengths[wrong[0]]} numbers, but the first vector has {dimension}"
            )
    values = column.flatten()
    if values.null_count:
        raise InputError(f"{path}: a vector in rows {first_row + 1} and following has a missing number")
    block = values.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, dimension)
    usable = np.isfinite(block).all(axis=1) & (np.abs(block).max(axis=1, initial=0) > 0)
    if not usable.all():
        row = first_row + int(np.flatnonzero(~usable)[0]) + 1
        raise InputError(f"{path}: row {row}: the vector is all zeros or not finite")
    return unit_length(block)
