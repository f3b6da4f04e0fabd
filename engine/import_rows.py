"""Staging imported vectors: which image each belongs to, and new rows for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.images import one_line, uuid_of
from colonnade.engine.import_files import VectorSource
from colonnade.engine.import_shards import Counts, ShardWork
from colonnade.engine.lookup import shown_path, without_displaced
from colonnade.engine.pending import image_path
from colonnade.engine.settings import Model, Settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.tables import SCHEMAS, read_table

__all__ = ["Matches", "Resolve", "match_paths", "stage_images"]

_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Matches:
    """Which rows of a source are images of the store: row `rows[i]` is the image `ids[i]`, sorted by row.

    A row may be several images (copies of a picture); a row that is none becomes a new image.
    """

    rows: np.ndarray
    ids: np.ndarray
    unclear: tuple[str, ...] = ()
    """Names of rows that might be one of several files, and were given to none."""


Resolve = Callable[[Snapshot, Sequence[str]], Matches]


def match_paths(
    snapshot: Snapshot,
    names: Sequence[str],
    *,
    settings: Settings | None = None,
    file: Path = Path("vectors"),
) -> Matches:
    """Names are paths in a root, or whole ones: an imported row comes before a file of the same path in its root.

    A whole path is the file's, whatever was imported under that name. Of images that share root and path, the one that
    is there is meant.

    Args:
        settings: where the roots are; None to know no whole paths.
        file: where the names come from, for messages.

    Raises:
        InputError: a path that several images have, or two rows that mean one image.
    """
    wanted = pa.array(names, pa.string())
    last = {name.rpartition("/")[2] for name in names if name.startswith("/")} if settings else set()
    columns = ["image_id", "root", "path", "source", "state", *(["path_bytes"] if last else [])]
    data = read_table("images", snapshot.files("images"), columns)
    ids = np.full(len(names), -1, np.int64)
    unclear = [_meant(data, pc.index_in(data["path"], wanted), ids)]
    if settings and last:
        unclear.append(_meant(data, pc.index_in(_whole_paths(data, settings, last), wanted), ids))
    if several := min((found for found in unclear if found), key=itemgetter(0), default=None):
        row, images = several
        raise InputError(f"{file}: row {row + 1}: {names[row][:200]!r}: {_several(images)}")
    rows = np.flatnonzero(ids >= 0)
    known = ids[rows]
    order = np.argsort(known, kind="stable")
    again = np.flatnonzero(np.diff(known[order]) == 0)
    if len(again):
        first, second = rows[order[again[0]]], rows[order[again[0] + 1]]
        raise InputError(
            f"{file}: row {second + 1}: {names[second][:200]!r} is the image of row {first + 1} too, "
            f"{names[first][:200]!r}; keep one of them"
        )
    return Matches(rows, known)


def _meant(
    data: pa.Table, targets: pa.ChunkedArray, ids: np.ndarray
) -> tuple[int, list[dict[str, Any]]] | None:
    """Put the image that each row means into `ids`; returns the first row that means several, with them.

    Args:
        targets: int32, of each image the row that names it, or null.
    """
    numbers = targets.fill_null(-1).to_numpy()
    places = np.flatnonzero(numbers >= 0)
    places = places[np.argsort(numbers[places], kind="stable")]
    rows = numbers[places]
    several = np.bincount(rows, minlength=len(ids))[rows] > 1
    ids[rows[~several]] = data["image_id"].to_numpy()[places[~several]]
    for row, pairs in groupby(_rows_at(data, places[several], rows[several]), key=itemgetter(0)):
        meant = without_displaced([image for _, image in pairs])
        meant = [image for image in meant if image["source"] == "import"][-1:] or meant
        if len(meant) > 1:
            return row, meant
        ids[row] = meant[0]["image_id"]
    return None


def _rows_at(data: pa.Table, places: np.ndarray, rows: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
    for start in range(0, len(places), _BLOCK):
        block = slice(start, start + _BLOCK)
        yield from zip(rows[block].tolist(), data.take(pa.array(places[block])).to_pylist(), strict=True)


def _whole_paths(data: pa.Table, settings: Settings, last: set[str]) -> pa.ChunkedArray:
    """Where the file of each image is, as text; null for those that no path ending in a name of `last` can mean."""
    chunks = []
    for start in range(0, data.num_rows, _BLOCK):
        block = data.slice(start, _BLOCK)
        chunks.append(
            pa.array(
                [
                    _whole_path(settings, root, path, raw)
                    if root is not None and (raw is not None or path.rpartition("/")[2] in last)
                    else None
                    for root, path, raw in zip(
                        *(block[name].to_pylist() for name in ("root", "path", "path_bytes")), strict=True
                    )
                ],
                pa.string(),
            )
        )
    return pa.chunked_array(chunks, pa.string())


def _whole_path(settings: Settings, root: str, path: str, raw: bytes | None) -> str | None:
    """A name that is not UTF-8 goes by its printable stand-in, for no text can hold its bytes."""
    for each in (raw, None):
        file = str(image_path(settings, root, path, each) or "")
        if file.isascii() or file == file.encode("utf-8", "replace").decode():
            return file or None
    return None


def _several(images: Sequence[Mapping[str, Any]]) -> str:
    """Why a row is refused, on one line."""
    some = ", ".join(
        f"{one_line(shown_path(image['root'], image['path']))} (id {image['image_id']}"
        f"{', missing' if image['state'] == 'missing' else ''})"
        for image in images[:3]
    )
    more = ", ..." if len(images) > 3 else ""
    alike = len({(image["root"], image["path"]) for image in images}) < len(images)
    remedy = "`forget` those that are missing" if alike else "give the whole path"
    return f"{len(images)} images have this path: {some}{more}; {remedy}"


def stage_images(
    stage: Stage, snapshot: Snapshot, model: Model, source: VectorSource, matches: Matches
) -> Counts:
    """Have the commit of `stage` hold the vectors of a source, and new images for its rows without a match.

    An image that has the very vector already is left alone; where the vector differs, the image's scores go. A damaged
    file that has vectors of these images is left out, and with it the scores of all its images. The ids of new images
    are taken from the snapshot: if another process used them meanwhile, the commit raises ConflictError.

    Raises:
        InputError: a vector is wrong.
        StoreError: a file of the store cannot be read.
    """
    new = np.setdiff1d(np.arange(len(source.names)), matches.rows)
    first = snapshot.next_image_id
    new_ids = np.arange(first, first + len(new), dtype=np.int64)
    rows = np.concatenate([matches.rows, new])
    order = np.argsort(rows, kind="stable")
    work = ShardWork(
        stage, snapshot, model, first, rows[order], np.concatenate([matches.ids, new_ids])[order]
    )
    _stage_rows(stage, snapshot, new_ids, [source.names[row] for row in new.tolist()])
    start = 0
    for block in source.blocks():
        work.take(start, block)
        start += len(block)
    work.counts.new = len(new)
    work.counts.unclear = matches.unclear
    return work.counts


def _stage_rows(stage: Stage, snapshot: Snapshot, ids: np.ndarray, names: Sequence[str]) -> None:
    for shard in snapshot.shards("images"):
        stage.require("images", None, shard, read=snapshot.cell("images", None, shard))
    if not len(ids):
        return
    for shard in np.unique(ids >> SHARD_BITS).tolist():
        places = np.flatnonzero((ids >> SHARD_BITS) == shard)
        data = _image_rows(ids[places], [names[place] for place in places.tolist()])
        stage.append("images", None, shard, data, read=snapshot.cell("images", None, shard))

    def claim(live: Snapshot, stage: Stage) -> None:
        if stage.allocate_ids(len(ids)).start != ids[0]:
            raise ConflictError(f"{stage.store}: images were added meanwhile; nothing was written")

    stage.late(claim)


def _image_rows(ids: np.ndarray, names: Sequence[str]) -> pa.Table:
    schema = SCHEMAS["images"]
    columns: dict[str, pa.Array] = {
        "image_id": pa.array(ids),
        "root": pa.nulls(len(ids), pa.string()),
        "path": pa.array(list(names)),
        # An id may be a bare UUID, where a file's name has an extension after it.
        "uuid": pa.array([uuid_of(name) or uuid_of(f"{name}.x") for name in names], pa.string()),
        "source": pa.array(["import"] * len(ids)),
        "state": pa.array(["ok"] * len(ids)),
    }
    return pa.table(
        [columns.get(field.name, pa.nulls(len(ids), field.type)) for field in schema], schema=schema
    )
