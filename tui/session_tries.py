"""What the helper found of a wording, as values with paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from colonnade.tui.session_columns import Columns
from colonnade.tui.session_model import TriedImage, TryResult
from colonnade.tui.session_paths import read_texts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import Snapshot

__all__ = ["tried"]

_LISTS = ("best", "entering_images", "leaving_images")


def tried(
    columns: Columns,
    cursor: DuckDBPyConnection,
    snapshot: Snapshot,
    found: Mapping[str, Any],
    seconds: float,
) -> TryResult:
    """The helper's answer; images that the snapshot does not have any more are left out."""
    base = columns.base(cursor, snapshot)
    rows = {name: [row for row in found[name] if base.place(row[0]) is not None] for name in _LISTS}
    ids = list(dict.fromkeys(row[0] for some in rows.values() for row in some))
    paths = dict(zip(ids, read_texts(columns, cursor, snapshot, "path", ids), strict=True))

    def images(some: Sequence[Sequence[Any]]) -> tuple[TriedImage, ...]:
        return tuple(TriedImage(row[0], paths[row[0]] or "", *row[1:]) for row in some)

    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
        if name not in _LISTS
    }
    values["nearest"] = tuple((code, cosine) for code, cosine in found["nearest"])
    for name in _LISTS:
        values[name] = images(rows[name])
    return TryResult(**values, seconds=seconds)
