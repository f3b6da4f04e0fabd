"""Reading vectors made elsewhere from Parquet, checked before anything of them is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from colonnade.engine.errors import InputError
from colonnade.engine.scoring import unit_length

__all__ = ["VectorFile", "VectorSource", "check_name", "collect", "open_vectors", "unit_vectors"]

MAX_DIMENSION = 16_384
MAX_ROWS = 100_000_000
MAX_NAME = 4096
_BLOCK_NUMBERS = 1 << 21
_BLOCK_ROWS = 16_384


class VectorSource(Protocol):
    """Named vectors that can be read in blocks, more than once."""

    @property
    def path(self) -> Path:
        """For messages."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """What each row is called, verbatim; no name twice."""
        ...

    @property
    def dimension(self) -> int: ...

    def blocks(self) -> Iterator[np.ndarray]:
        """Unit vectors float32 [n, D], in the order of `names`, as many as there are names."""
        ...


def collect(source: VectorSource) -> np.ndarray:
    """All vectors of a source, float32 [n, D]."""
    blocks = list(source.blocks())
    return np.concatenate(blocks) if blocks else np.empty((0, source.dimension), np.float32)


def unit_vectors(block: np.ndarray, path: Path, first_row: int) -> np.ndarray:
    """Rows of any float type [n, D], scaled to unit length, as float32.

    Args:
        first_row: how many rows came before, for messages.

    Raises:
        InputError: a vector is all zeros or not finite.
    """
    numbers = block if block.dtype == np.float64 else block.astype(np.float32)
    with np.errstate(invalid="ignore"):
        largest = np.abs(numbers).max(axis=1, initial=0)
    usable = np.isfinite(largest) & (largest > 0)
    if not usable.all():
        row = first_row + int(np.flatnonzero(~usable)[0]) + 1
        raise InputError(f"{path}: row {row}: the vector is all zeros or not finite")
    if largest.max(initial=1) > 1e15 or largest.min(initial=1) < 1e-15:
        numbers = numbers / largest[:, None]  # their squares would overflow, or vanish
    return unit_length(numbers.astype(np.float32))


def check_name(name: str, path: Path, row: int, column: str) -> str:
    """`name`, if it can name an image or a prompt.

    Raises:
        InputError: it is empty, longer than 4,096 characters, or not Unicode text.
    """
    if not name or len(name) > MAX_NAME:
        raise InputError(
            f"{path}: row {row}: column {column} is empty or longer than {MAX_NAME:,} characters"
        )
    return name


@dataclass(frozen=True)
class VectorFile:
    """A Parquet file with one vector a row."""

    path: Path
    embedding: str
    names: tuple[str, ...]
    dimension: int

    def blocks(self) -> Iterator[np.ndarray]:
        """Unit vectors float32 [n, D], in the order of the file.

        Raises:
            InputError: a vector is missing, of another length, not finite, or all zeros.
        """
        filled = 0
        rows = max(1, min(_BLOCK_ROWS, _BLOCK_NUMBERS // self.dimension))
        with _damaged(self.path):
            for batch in pq.ParquetFile(self.path).iter_batches(batch_size=rows, columns=[self.embedding]):
                block = _matrix(batch.column(0), self.path, filled, self.dimension)
                filled += len(block)
                yield block
        if filled != len(self.names):
            raise InputError(
                f"{self.path}: {filled} vectors for {len(self.names)} names; did it change meanwhile?"
            )


def open_vectors(path: Path, *, name_column: str | None, name_choices: Sequence[str]) -> VectorFile:
    """Open a file of vectors and read the names of its rows.

    Args:
        name_column: the column that names the rows; by default the first of `name_choices` that is there.

    Raises:
        InputError: not Parquet, no rows, a column is missing or of the wrong type, or a name occurs twice.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        parquet = pq.ParquetFile(path)
        schema = parquet.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a Parquet file ({_one_line(error)})") from None
    if not 0 < parquet.metadata.num_rows <= MAX_ROWS:
        raise InputError(f"{path}: {parquet.metadata.num_rows:,} rows; 1 to {MAX_ROWS:,} can be imported")
    columns = ", ".join(schema.names[:20])
    if name_column is None:
        name_column = next((name for name in name_choices if name in schema.names), None)
        if name_column is None:
            raise InputError(f"{path}: none of the columns {', '.join(name_choices)}; it has: {columns}")
    elif name_column not in schema.names:
        raise InputError(f"{path}: no column {name_column!r}; it has: {columns}")
    embedding = _embedding_column(schema, path)
    with _damaged(path):
        dimension = _dimension(parquet, schema, embedding, path)
        names = _names(path, schema, name_column)
    return VectorFile(path, embedding, names, dimension)


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise InputError(f"{path}: damaged Parquet ({_one_line(error)})") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _embedding_column(schema: pa.Schema, path: Path) -> str:
    if any(field.name == "embedding" and _is_vector(field.type, whole=True) for field in schema):
        return "embedding"
    lists: list[str] = [field.name for field in schema if _is_vector(field.type)]
    if len(lists) != 1:
        raise InputError(f"{path}: no column `embedding` of lists of numbers; it has: {_typed(schema)}")
    return lists[0]


def _typed(schema: pa.Schema) -> str:
    """The first columns with their types, which may be what is wrong with them."""
    return ", ".join(f"{field.name} ({str(field.type)[:60]})" for field in list(schema)[:20])


def _is_vector(kind: pa.DataType, *, whole: bool = False) -> bool:
    """Whether a type is that of lists of floats, or (`whole`) of whole numbers: quantised vectors are."""
    is_list = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not is_list:
        return False
    return bool(pa.types.is_floating(kind.value_type) or (whole and pa.types.is_integer(kind.value_type)))


def _dimension(parquet: pq.ParquetFile, schema: pa.Schema, embedding: str, path: Path) -> int:
    """The length of the vectors: the type's, or the first one's where the type leaves it open."""
    kind = schema.field(embedding).type
    if pa.types.is_fixed_size_list(kind):
        dimension = int(kind.list_size)
    else:
        first = next(parquet.iter_batches(batch_size=1, columns=[embedding]), None)
        dimension = len(first.column(0)[0]) if first is not None and first.column(0)[0].is_valid else 0
    if not 0 < dimension <= MAX_DIMENSION:
        raise InputError(
            f"{path}: column {embedding}: vectors of {dimension} numbers; 1 to {MAX_DIMENSION} are usable"
        )
    return dimension


def _names(path: Path, schema: pa.Schema, column: str) -> tuple[str, ...]:
    kind = schema.field(column).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise InputError(f"{path}: column {column} is {kind}; it must hold text or whole numbers")
    names: list[str] = []
    seen: set[str] = set()
    for batch in pq.ParquetFile(path, read_dictionary=[column]).iter_batches(
        batch_size=_BLOCK_ROWS, columns=[column]
    ):
        values = batch.column(0)
        # A dictionary can make a small file stand for terabytes of text: look before it is spelled out.
        if pa.types.is_dictionary(values.type) and _longest(values.dictionary) > 4 * MAX_NAME:
            raise InputError(f"{path}: column {column} holds a text longer than {MAX_NAME:,} characters")
        for value in values.to_pylist():
            row = len(names) + 1
            name = check_name("" if value is None else str(value), path, row, column)
            if name in seen:
                raise InputError(f"{path}: row {row}: {name[:80]!r} occurs twice in column {column}")
            seen.add(name)
            names.append(name)
    return tuple(names)


def _longest(texts: pa.Array) -> int:
    """Bytes of the longest text."""
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)) or not len(texts):
        return 0
    return int(pc.max(pc.binary_length(texts)).as_py() or 0)


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
        gaps = values.is_null().to_numpy(zero_copy_only=False)
        row = first_row + int(np.flatnonzero(gaps)[0]) // dimension + 1
        raise InputError(f"{path}: row {row}: the vector has a missing number")
    return unit_vectors(values.to_numpy(zero_copy_only=False).reshape(-1, dimension), path, first_row)
