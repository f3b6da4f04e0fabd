"""How the Parquet files of the nine tables are written and read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from colonnade.engine.errors import StoreError
from colonnade.engine.schemas import SCHEMAS, column_fault, embeddings_schema, prompts_schema
from colonnade.engine.sketch import quantiles, sketch_or_none
from colonnade.engine.snapshots import DataFile
from colonnade.engine.vector_columns import vectors_of

__all__ = [
    "SCHEMAS",
    "Footer",
    "conform",
    "embeddings_schema",
    "id_digest",
    "prompts_schema",
    "read_embeddings",
    "read_files",
    "read_footer",
    "read_table",
    "write_parquet",
]

ROW_GROUP_ROWS = 122_880
_AS_DICTIONARY = {
    table: [field.name for field in schema if pa.types.is_dictionary(field.type)]
    for table, schema in SCHEMAS.items()
}
_NO_STATISTICS = ("content_hash", "path_bytes")
"""Of images, plain texts that may be null: DuckDB takes all rows for null where those that are not are equal."""
_FOOTER_KEY = b"colonnade"
_DAMAGE = (pa.ArrowException, ValueError, TypeError, OverflowError, RecursionError, OSError)


@dataclass(frozen=True, slots=True)
class Footer:
    """What a data file's footer tells without reading a row."""

    rows: int
    id_digest: int
    """Sum of `splitmix64(image_id)` modulo 2**64, so that digests of disjoint files add up."""
    min_id: int
    max_id: int
    definition: str | None
    """For scores: the one definition that all rows of the file share."""
    model: str | None
    inputs: str | None = None
    """For derived scores: the digest of the rows that they were made from."""
    sketch: tuple[float, ...] | None = None
    """For scores: quantiles of their log_odds (`sketch.quantiles`); None where a row has none."""


def id_digest(ids: np.ndarray) -> int:
    """An order-independent digest of a set of ids (int64 [n]): equal sets, equal digests."""
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        return int(z.sum(dtype=np.uint64))


def conform(table: str, data: pa.Table) -> pa.Table:
    """`data` with exactly the columns of the table, in order, sorted by image_id where there is one.

    An image has one row, but for `labels`: one row per reviewer there, sorted by (image_id, reviewer).

    Raises:
        ValueError: a column is missing or cannot be cast, or an image (for labels: an image and reviewer) occurs twice.
    """
    schema = SCHEMAS.get(table)
    if schema is not None and data.schema != schema:
        missing = [name for name in schema.names if name not in data.column_names]
        if missing:
            raise ValueError(f"{table}: the column {missing[0]} is missing")
        data = data.select(schema.names).cast(schema)
    if "image_id" in data.column_names and data["image_id"].null_count:
        raise ValueError(f"{table}: an image id is null")
    if table == "labels":
        return _sorted_labels(data)
    if "image_id" in data.column_names and data.num_rows > 1:
        ids = data["image_id"].to_numpy()
        steps = np.diff(ids)
        if np.any(steps == 0):
            raise ValueError(f"{table}: an image id occurs twice")
        if np.any(steps < 0):
            data = data.take(pa.array(np.argsort(ids, kind="stable")))
            if np.any(np.diff(data["image_id"].to_numpy()) == 0):
                raise ValueError(f"{table}: an image id occurs twice")
    return data


def _sorted_labels(data: pa.Table) -> pa.Table:
    data = data.sort_by([("image_id", "ascending"), ("reviewer", "ascending")])
    keys = list(zip(data["image_id"].to_pylist(), data["reviewer"].to_pylist(), strict=True))
    if len(set(keys)) < len(keys):
        raise ValueError("labels: a reviewer judges an image twice")
    return data


class _HashingFile:
    """A write-only file that digests what passes through it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self.sha256 = hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self._file.write(data)
        return len(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._file.close()


def write_parquet(table: str, data: pa.Table, path: Path, *, inputs: str | None = None) -> str:
    """Write a new file (not yet durable: see `durable.fsync_all`); returns the hex SHA-256 of its content.

    Args:
        inputs: for derived scores, the digest of the rows that they were made from (`freshness.inputs_digest`).

    Raises:
        OSError: the disk refused; the partial file is left for the caller's clean-up.
    """
    facts: dict[str, Any] = {"table": table}
    if "image_id" in data.column_names:
        ids = data["image_id"].to_numpy()
        facts |= {"id_digest": f"{id_digest(ids):016x}"}
        if len(ids):
            facts |= {"min_id": int(ids[0]), "max_id": int(ids[-1])}
    if table == "scores" and data.num_rows:
        for column in ("definition", "model"):
            words = _words(data[column])
            if len(words) == 1:
                facts[column] = words.pop()
        if (sketch := _sketch(data["log_odds"])) is not None:
            facts["log_odds"] = sketch
    if inputs is not None:
        facts["inputs"] = inputs
    data = data.replace_schema_metadata(None)
    strings = [f.name for f in data.schema if pa.types.is_string(f.type) or pa.types.is_dictionary(f.type)]
    encodings = {"image_id": "DELTA_BINARY_PACKED"} if "image_id" in data.column_names else None
    sink = _HashingFile(path)
    try:
        with pq.ParquetWriter(
            sink,
            data.schema,
            compression="snappy",
            use_dictionary=[name for name in strings if name not in ("path", "content_hash", "json")]
            or False,
            column_encoding=encodings,
            write_statistics=[name for name in data.column_names if name not in _NO_STATISTICS]
            if table == "images"
            else True,
            store_schema=table in ("embeddings", "prompts", "images", "labels"),
        ) as writer:
            writer.write_table(data, row_group_size=ROW_GROUP_ROWS)
            writer.add_key_value_metadata({_FOOTER_KEY.decode(): json.dumps(facts, sort_keys=True)})
        return sink.sha256.hexdigest()
    finally:
        sink.close()


def _words(column: pa.ChunkedArray) -> set[str | None]:
    """The different values of a column of words."""
    words: set[str | None] = set()
    for chunk in column.chunks:
        if (
            pa.types.is_dictionary(chunk.type)
            and len(chunk.dictionary) == 1
            and len(chunk) > chunk.null_count == 0
        ):
            words.add(chunk.dictionary[0].as_py())  # without pyarrow.compute, which takes 50 ms to import
        else:
            words.update(chunk.unique().to_pylist())
    return words


def _sketch(column: pa.ChunkedArray) -> list[float] | None:
    if column.null_count or not len(column):
        return None
    values = column.to_numpy()
    return [float(value) for value in quantiles(values)] if np.isfinite(values).all() else None


def read_footer(file: DataFile) -> Footer:
    """The footer of a data file.

    Raises:
        StoreError: not a Parquet file, or not one of ours.
    """
    try:
        metadata = pq.read_metadata(file.path)
        facts = json.loads((metadata.metadata or {}).get(_FOOTER_KEY, b"{}"))
        definition, model, inputs = (facts.get(name) for name in ("definition", "model", "inputs"))
        return Footer(
            rows=metadata.num_rows,
            id_digest=int(facts.get("id_digest", "0"), 16),
            min_id=int(facts.get("min_id", -1)),
            max_id=int(facts.get("max_id", -1)),
            definition=definition if isinstance(definition, str) else None,
            model=model if isinstance(model, str) else None,
            inputs=inputs if isinstance(inputs, str) else None,
            sketch=sketch_or_none(facts.get("log_odds")),
        )
    except (*_DAMAGE, AttributeError) as error:
        raise _damaged(file, error) from None


def read_files(files: Sequence[DataFile], columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of some files of one table, sorted by image_id where there is one.

    Args:
        files: at least one unless the table has a fixed schema; of one table.
        columns: those to read; all by default.

    Raises:
        StoreError: a file is damaged.
    """
    if not files:
        raise ValueError("read_files needs at least one file")
    parts = []
    for file in files:
        try:
            with pq.ParquetFile(file.path, read_dictionary=_AS_DICTIONARY.get(file.table)) as parquet:
                if fault := column_fault(file.table, parquet.schema_arrow, columns):
                    raise ValueError(fault)
                part = parquet.read(columns=list(columns) if columns else None)
            parts.append(part.replace_schema_metadata(None))
            data = pa.concat_tables(parts) if file is files[-1] else part
        except _DAMAGE as error:
            raise _damaged(file, error) from None
    data = data.replace_schema_metadata(None)
    if len(parts) > 1 and "image_id" in data.column_names:
        ids = data["image_id"].to_numpy()
        if np.any(np.diff(ids) < 0):
            data = data.take(pa.array(np.argsort(ids, kind="stable")))
    return data


def read_table(table: str, files: Sequence[DataFile], columns: Sequence[str] | None = None) -> pa.Table:
    """Like `read_files`, but no files give an empty table of the right columns."""
    if files:
        return read_files(files, columns)
    empty = SCHEMAS[table].empty_table()
    return empty.select(list(columns)) if columns else empty


def read_embeddings(
    files: Iterable[DataFile], *, batch_rows: int = 16_384
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """(ids int64 [n], vectors float32 [n, D]) in blocks of at most `batch_rows`, one file after another."""
    for file in files:
        try:
            with pq.ParquetFile(file.path) as parquet:
                if fault := column_fault(file.table, parquet.schema_arrow):
                    raise ValueError(fault)
                for batch in parquet.iter_batches(batch_size=batch_rows, columns=["image_id", "embedding"]):
                    yield batch["image_id"].to_numpy(), vectors_of(batch["embedding"])
        except _DAMAGE as error:
            raise _damaged(file, error) from None


def _damaged(file: DataFile, error: BaseException) -> StoreError:
    said = " ".join(str(error).split())[:200] or os.strerror(getattr(error, "errno", 0) or 0)
    return StoreError(f"{file.path}: damaged ({said}); run `colonnade verify`")
