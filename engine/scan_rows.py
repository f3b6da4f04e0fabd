"""Rows of the images table as a scan changes them, cell by cell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from colonnade.engine.columns import shard_of
from colonnade.engine.embedding_rows import remove_rows
from colonnade.engine.facts import ImageFacts
from colonnade.engine.images import FileEntry, uuid_of
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.tables import SCHEMAS, read_files

__all__ = [
    "Edit",
    "Edited",
    "Looked",
    "drop_vectors",
    "edit_rows",
    "image_row",
    "rows_table",
    "vectors_changed",
]

Looked = dict[tuple[str, str, int], tuple[DataFile, ...]]
"""(table, partition, shard) -> the files of that cell when it was looked at"""

DESCRIBING = ("embeddings", "scores", "projections")
"""Tables whose rows describe a picture's content, and go when that changes."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one row, to be made only if the row still stands for the file (`root`, `path`)."""

    image_id: int
    root: str
    path: str
    kind: Literal["read", "moved", "vanished", "returned"]
    values: Mapping[str, Any] | None = None
    """For `read` and `moved`: the new values of columns."""

    @property
    def origin(self) -> tuple[str, str]:
        """The (root, path) that the row has."""
        return self.root, self.path

    @property
    def target(self) -> tuple[str, str] | None:
        """The (root, path) that the row will have, where that is told."""
        return None if self.values is None else (self.values["root"], self.values["path"])


@dataclass(frozen=True, slots=True)
class Edited:
    """What became of the edits: ids by outcome. An edit that no longer applied is in none of them."""

    changed: list[int] = field(default_factory=list)
    """The content is another."""
    touched: list[int] = field(default_factory=list)
    """Only what the file system or the decoder says of it is another."""
    moved: list[int] = field(default_factory=list)
    vanished: list[int] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changed or self.touched or self.moved or self.vanished or self.returned)


def image_row(root: str, entry: FileEntry, facts: ImageFacts) -> dict[str, Any]:
    """The images row of a file, without its id; `mtime` in microseconds since 1970."""
    return {
        "root": root,
        "path": entry.path,
        "path_bytes": entry.path_bytes,
        "uuid": uuid_of(entry.path),
        "content_hash": facts.content_hash,
        "bytes": entry.size if facts.size is None else facts.size,
        "mtime": entry.mtime_us if facts.mtime_us is None else facts.mtime_us,
        "width": facts.width,
        "height": facts.height,
        "format": facts.format,
        "orientation": facts.orientation,
        "taken": facts.taken,
        "source": "file",
        "state": facts.state,
        "error": facts.error,
    }


_ROW_SCHEMA = pa.schema(
    [field.with_type(pa.int64()) if field.name == "mtime" else field for field in SCHEMAS["images"]]
)


def rows_table(rows: list[dict[str, Any]]) -> Any:
    """Rows with `mtime` as a number (`image_row`) as an images table; ids that are not given are null."""
    return pa.Table.from_pylist(rows, schema=_ROW_SCHEMA).cast(SCHEMAS["images"])


def edit_rows(snapshot: Snapshot, stage: Stage, edits: Iterable[Edit]) -> Edited:
    """Stage the images cells as `edits` make them (one an image at most); cells that stay equal are left."""
    by_shard: dict[int, list[Edit]] = defaultdict(list)
    for edit in edits:
        by_shard[shard_of(edit.image_id)].append(edit)
    edited = Edited()
    for shard, group in sorted(by_shard.items()):
        files = snapshot.cell("images", None, shard)
        if not files:
            continue
        data = read_files(files)
        ids = data["image_id"].to_numpy()
        wanted = np.fromiter((edit.image_id for edit in group), np.int64, count=len(group))
        positions = np.searchsorted(ids, wanted)
        there = (positions < len(ids)) & (ids[np.minimum(positions, len(ids) - 1)] == wanted)
        rows = data.take(pa.array(positions[there])).cast(_ROW_SCHEMA).to_pylist()
        after = []
        for edit, row in zip(
            [edit for edit, ok in zip(group, there.tolist(), strict=True) if ok], rows, strict=True
        ):
            new = _edited(edit, row, edited)
            if new is not None:
                after.append(new)
        if after:
            kept = np.isin(ids, [row["image_id"] for row in after], invert=True)
            stage.replace(
                "images",
                None,
                shard,
                pa.concat_tables([data.filter(pa.array(kept)), rows_table(after)]),
                read=files,
            )
    return edited


def _edited(edit: Edit, row: dict[str, Any], edited: Edited) -> dict[str, Any] | None:
    """The row after an edit, noted in `edited`; None if it stays as it is."""
    if row["source"] != "file" or (row["root"], row["path"]) != (edit.root, edit.path):
        return None
    image_id = edit.image_id
    if edit.kind == "vanished":
        if row["state"] == "missing":
            return None
        edited.vanished.append(image_id)
        return row | {"state": "missing"}
    if edit.kind == "returned":
        if row["state"] != "missing":
            return None
        edited.returned.append(image_id)
        return row | {"state": "ok" if row["error"] is None else "unreadable"}
    new = row | dict(edit.values or {})
    if new == row or _only_refused(row, new):
        return None
    if new["content_hash"] != row["content_hash"]:
        if edit.kind == "moved":
            return None  # another scan read something else there meanwhile
        edited.changed.append(image_id)
    elif edit.kind == "moved":
        edited.moved.append(image_id)
    elif row["state"] == "missing":
        edited.returned.append(image_id)
    else:
        edited.touched.append(image_id)
    return new


def _only_refused(row: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether an unreadable file's content is merely not to be had, as before: by its size and time it is the same."""
    same = all(row[name] == new[name] for name in ("root", "path", "bytes", "mtime", "state"))
    return same and row["content_hash"] is not None and new["content_hash"] is None


def drop_vectors(snapshot: Snapshot, stage: Stage, ids: Sequence[int]) -> Looked:
    """Stage the removal of all that describes the content of some images: of every model and attribute."""
    looked = _cells(snapshot, ids)
    for files in looked.values():
        remove_rows(stage, files, ids)
    return looked


def vectors_changed(live: Snapshot, looked: Looked, ids: Sequence[int]) -> bool:
    """Whether cells that `drop_vectors` looked at, or would have, are others now."""

    def names(cells: Looked) -> dict[tuple[str, str, int], list[str]]:
        return {cell: [file.name for file in files] for cell, files in cells.items()}

    return names(_cells(live, ids)) != names(looked)


def _cells(snapshot: Snapshot, ids: Sequence[int]) -> Looked:
    """The cells that may hold rows describing some images."""
    shards = sorted({shard_of(image_id) for image_id in ids})
    return {
        (table, partition, shard): files
        for table in DESCRIBING
        if shards
        for partition in snapshot.partitions(table)
        for shard in shards
        if (files := snapshot.cell(table, partition, shard))
    }
