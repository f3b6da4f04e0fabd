"""Labels as files for others: CSV, JSON lines or Parquet, which `labels import` reads back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from colonnade.engine.labels import LABEL_COLUMNS

__all__ = ["FORMATS", "render_labels"]

FORMATS = ("csv", "jsonl", "parquet")


def render_labels(labels: Iterable[Mapping[str, Any]], format_: str) -> bytes:
    """A file of labels with the columns LABEL_COLUMNS; text is UTF-8 with `\\n` at the end of lines.

    Raises:
        ValueError: not one of FORMATS.
    """
    if format_ == "csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(LABEL_COLUMNS)
        writer.writerows([_plain(name, label[name]) for name in LABEL_COLUMNS] for label in labels)
        return text.getvalue().encode()
    if format_ == "jsonl":
        lines = (
            json.dumps({name: _json(label[name]) for name in LABEL_COLUMNS}, ensure_ascii=False)
            for label in labels
        )
        return "".join(f"{line}\n" for line in lines).encode()
    if format_ == "parquet":
        return _parquet(labels)
    raise ValueError(format_)


def _plain(name: str, value: object) -> str:
    if name == "present":
        return {True: "yes", False: "no"}.get(value, "unsure") if isinstance(value, bool) else "unsure"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(_json(value))


def _json(value: object) -> object:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _parquet(labels: Iterable[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "image_id": pa.int64(),
        "present": pa.bool_(),
        "reviewed_at": pa.timestamp("us", tz="UTC"),
        "probability": pa.float64(),
        "current": pa.bool_(),
    }
    schema = pa.schema([(name, types.get(name, pa.string())) for name in LABEL_COLUMNS])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(label) for label in labels], schema=schema), sink)
    return sink.getvalue()
