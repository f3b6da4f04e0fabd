"""Facts of a snapshot, read by DuckDB: images per state, counts per attribute, one image and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colonnade.engine.columns import IMAGE_COLUMNS, shard_of
from colonnade.engine.duck import identifier, parquet
from colonnade.engine.errors import InputError
from colonnade.engine.images import file_path
from colonnade.tui.session_columns import Columns, file_key
from colonnade.tui.session_damage import check_images, score_files
from colonnade.tui.session_model import ImageRow, ScoreRow

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from colonnade.engine.settings import Settings
    from colonnade.engine.snapshots import Snapshot

__all__ = ["StatusCounts", "image_states", "read_image", "read_scores", "row_count", "status_counts"]


@dataclass(frozen=True, slots=True)
class StatusCounts:
    """Images in state `ok` per status of an attribute."""

    accepted: int
    tentative: int
    scored: int

    @property
    def nbytes(self) -> int:
        return 128


def image_states(cursor: DuckDBPyConnection, snapshot: Snapshot) -> dict[str, int]:
    """State -> images."""
    check_images(snapshot)
    files = snapshot.files("images")
    if not files:
        return {}
    rows = cursor.execute(f"SELECT state, count(*) FROM {parquet(files)} GROUP BY state").fetchall()
    return {str(state): int(number) for state, number in rows}


def row_count(cursor: DuckDBPyConnection, snapshot: Snapshot, table: str, partition: str) -> int:
    """The rows of a partition, from the files' footers."""
    files = snapshot.files(table, partition)
    if not files:
        return 0
    row = cursor.execute(f"SELECT count(*) FROM {parquet(files)}").fetchone()
    return int(row[0]) if row else 0


def status_counts(
    columns: Columns, cursor: DuckDBPyConnection, snapshot: Snapshot, code: str, *, all_ok: bool
) -> StatusCounts:
    """How many images have which status of an attribute.

    Args:
        all_ok: every image is in state `ok`, so that they need not be looked at.
    """
    files, images = score_files(snapshot, code), snapshot.files("images")
    if not files or not images:
        return StatusCounts(0, 0, 0)

    def load() -> StatusCounts:
        only = ""
        if not all_ok:
            only = f"WHERE image_id NOT IN (SELECT image_id FROM {parquet(images)} WHERE state <> 'ok')"
        sql = f"SELECT status, count(*) FROM {parquet(files)} {only} GROUP BY status"
        counts = dict(cursor.execute(sql).fetchall())
        known = sum(number for status, number in counts.items() if status is not None)
        return StatusCounts(int(counts.get("accepted", 0)), int(counts.get("tentative", 0)), int(known))

    found: StatusCounts = columns.get(("counts", code, file_key(images), file_key(files)), load)
    return found


def read_image(
    cursor: DuckDBPyConnection, snapshot: Snapshot, settings: Settings, image_id: int
) -> ImageRow | None:
    """The row of an image; None if the snapshot does not have it."""
    files = snapshot.cell("images", None, shard_of(image_id)) if image_id >= 0 else ()
    if not files:
        return None
    names = [
        f"make_timestamp(epoch_us({identifier(name)}))" if kind == "TIMESTAMP" else identifier(name)
        for name, kind in IMAGE_COLUMNS.items()
    ]
    sql = f"SELECT {', '.join(names)} FROM {parquet(files)} WHERE image_id = ?"
    values = cursor.execute(sql, [image_id]).fetchone()
    if values is None:
        return None
    row: dict[str, Any] = dict(zip(IMAGE_COLUMNS, values, strict=True))
    path_bytes = row.pop("path_bytes")
    root, path = row["root"], row["path"]
    shown = path if root is None else f"{root}/{path}"
    return ImageRow(shown=shown, file=_file(settings, row["source"], root, path, path_bytes), **row)


def _file(
    settings: Settings, source: str, root: str | None, path: str, path_bytes: bytes | None
) -> Path | None:
    """Where an image's file is; None for an imported row, an unknown root, or a path that leaves its root."""
    folder = settings.root(root) if root is not None and source == "file" else None
    if folder is None:
        return None
    try:
        return file_path(folder.path, path, path_bytes)
    except InputError:
        return None


def read_scores(
    cursor: DuckDBPyConnection, snapshot: Snapshot, image_id: int, attributes: Sequence[tuple[str, str, bool]]
) -> tuple[ScoreRow, ...]:
    """The scores of one image: one row for each of the attributes (code, label, derived), scored or not."""
    shard = shard_of(image_id)
    selects, parameters = [], []
    for code, _, _ in attributes:
        files = snapshot.cell("scores", code, shard)
        if files:
            selects.append(
                f"SELECT ? AS code, confidence, status, logit, label_source FROM {parquet(files)} WHERE image_id = ?"
            )
            parameters += [code, image_id]
    found: dict[str, tuple[Any, ...]] = {}
    for start in range(0, len(selects), 64):
        some = selects[start : start + 64]
        rows = cursor.execute(
            "\nUNION ALL\n".join(some), parameters[2 * start : 2 * (start + len(some))]
        ).fetchall()
        found |= {row[0]: row[1:] for row in rows}
    return tuple(
        ScoreRow(code, label, derived, *found.get(code, (None, None, None, None)))
        for code, label, derived in attributes
    )
