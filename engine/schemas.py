"""The columns of the nine tables, and whether a file has them."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

__all__ = ["SCHEMAS", "column_fault", "embeddings_schema", "prompts_schema"]

_TIMESTAMP = pa.timestamp("us")
_TIMESTAMP_UTC = pa.timestamp("us", tz="UTC")
_WORD = pa.dictionary(pa.int32(), pa.string())


def embeddings_schema(dimension: int) -> pa.Schema:
    return pa.schema([("image_id", pa.int64()), ("embedding", pa.list_(pa.float32(), dimension))])


SCHEMAS: dict[str, pa.Schema] = {
    "images": pa.schema(
        [
            ("image_id", pa.int64()),
            ("root", pa.string()),
            ("path", pa.string()),
            ("path_bytes", pa.binary()),
            ("uuid", pa.string()),
            ("content_hash", pa.string()),
            ("bytes", pa.int64()),
            ("mtime", _TIMESTAMP_UTC),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("format", pa.string()),
            ("orientation", pa.int32()),
            ("taken", _TIMESTAMP),
            ("source", pa.string()),
            ("state", pa.string()),
            ("error", pa.string()),
        ]
    ),
    "scores": pa.schema(
        [
            ("image_id", pa.int64()),
            ("logit", pa.float32()),
            ("log_odds", pa.float32()),
            ("confidence", pa.float32()),
            ("status", _WORD),
            ("label_source", _WORD),
            ("model", _WORD),
            ("definition", _WORD),
        ]
    ),
    "definitions": pa.schema([("definition", pa.string()), ("json", pa.string())]),
    "labels": pa.schema(
        [
            ("image_id", pa.int64()),
            ("content_hash", pa.string()),
            ("present", pa.bool_()),
            ("reviewer", pa.string()),
            ("reviewed_at", _TIMESTAMP_UTC),
            ("policy", pa.string()),
            ("probability", pa.float64()),
        ]
    ),
    "calibrations": pa.schema(
        [
            ("model", pa.string()),
            ("method", pa.string()),
            ("center", pa.float64()),
            ("scale", pa.float64()),
            ("fitted_at", _TIMESTAMP_UTC),
            ("fit", pa.string()),
        ]
    ),
    "sets": pa.schema([("image_id", pa.int64())]),
    "projections": pa.schema(
        [
            ("image_id", pa.int64()),
            ("latitude", pa.float32()),
            ("longitude", pa.float32()),
            ("parameters", pa.string()),
        ]
    ),
}
"""Table -> schema. `embeddings` and `prompts` depend on the model's dimension: see `embeddings_schema` and
`prompts_schema`."""


def prompts_schema(dimension: int) -> pa.Schema:
    return pa.schema(
        [("prompt", pa.string()), ("kind", pa.string()), ("embedding", pa.list_(pa.float32(), dimension))]
    )


def column_fault(table: str, schema: pa.Schema, columns: Iterable[str] | None = None) -> str | None:
    """What is wrong with the columns of a file of a table, in words; None if they are as they must be.

    Args:
        columns: those that matter; all of the table's by default.
    """
    expected = _expected(table)
    for name in expected if columns is None else columns:
        index = schema.get_field_index(name)
        if index < 0:
            return f"the column {name} is missing"
        if name in expected and not _same(schema.field(index).type, expected[name]):
            return f"the column {name} is {schema.field(index).type}, not {expected[name]}"
    return None


def _expected(table: str) -> dict[str, pa.DataType]:
    fixed = {"embeddings": embeddings_schema(1), "prompts": prompts_schema(1)}
    return {field.name: _plain(field.type) for field in fixed.get(table) or SCHEMAS[table]}


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _same(kind: pa.DataType, expected: pa.DataType) -> bool:
    if pa.types.is_fixed_size_list(expected):
        return bool(pa.types.is_fixed_size_list(kind) and kind.value_type == expected.value_type)
    return bool(_plain(kind) == expected)
