"""What a scan needs to know of the images table, in little memory: file by file, no strings but the paths."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from colonnade.engine.facts import NEEDS_EXTRA
from colonnade.engine.scan_diff import KnownImages, Moves
from colonnade.engine.snapshots import DataFile
from colonnade.engine.tables import read_files

__all__ = ["TRIED_AGAIN", "read_gone", "read_known"]

TRIED_AGAIN = "; the next sync tries it again"
"""In the error of an image whose file the system would not give when it was to be decoded."""

_COMPARED = ("image_id", "root", "path", "content_hash", "bytes", "mtime", "source", "state", "error")
_MATCHED = ("image_id", "root", "path", "bytes", "content_hash")


def read_known(
    files: Sequence[DataFile], roots: Collection[str], others: Collection[str] = ()
) -> tuple[dict[str, KnownImages], dict[str, KnownImages], NDArray[np.int64]]:
    """The rows that stand for files.

    Args:
        roots: the names of the roots to compare.
        others: those of the store's other roots.

    Returns:
        All rows of `roots`, by root; those of roots that the store does not have, by root, but for the missing
        ones; the ids of the missing rows of all but `roots`.
    """
    has_heif = importlib.util.find_spec("pillow_heif") is not None
    parts: dict[str, list[KnownImages]] = {root: [] for root in roots}
    left: dict[str, list[KnownImages]] = {}
    elsewhere = [np.empty(0, np.int64)]
    for file in files:
        data: Any = read_files([file], _COMPARED)
        data = data.filter(pc.and_(pc.equal(data["source"], "file"), pc.is_valid(data["path"])))
        for root in pc.unique(data["root"]).to_pylist():
            rows = data.filter(pc.equal(data["root"], root))
            if root in parts:
                parts[root].append(_known(rows, has_heif))
            else:
                missing = pc.equal(rows["state"], "missing")
                elsewhere.append(rows.filter(missing)["image_id"].to_numpy())
                rows = rows.filter(pc.invert(missing))
                if root not in others and rows.num_rows:
                    left.setdefault(root, []).append(_known(rows, has_heif))
    joined = [{root: _joined(part) for root, part in each.items()} for each in (parts, left)]
    return joined[0], joined[1], np.concatenate(elsewhere)


def read_gone(
    files: Sequence[DataFile], ids: Iterable[NDArray[np.int64]], changed: Iterable[NDArray[np.int64]] = ()
) -> Moves:
    """The rows `ids`, to be found again by their content, and `changed`, whose path has a file that differs."""
    held = np.concatenate([np.empty(0, np.int64), *changed])
    wanted = np.concatenate([held, *ids])
    columns: dict[str, list[Any]] = {name: [] for name in _MATCHED}
    for file in files if len(wanted) else ():
        data: Any = read_files([file], _MATCHED)
        hashed = pc.fill_null(pc.equal(pc.binary_length(data["content_hash"]), 32), False)
        gone = pa.array(np.isin(data["image_id"].to_numpy(), wanted))
        rows = data.filter(pc.and_(hashed, gone))
        for name, values in columns.items():
            values += rows[name].to_pylist()
    image_ids, roots, paths, sizes, hashes = columns.values()
    return Moves(image_ids, roots, paths, sizes, hashes, held.tolist())


def _known(rows: Any, has_heif: bool) -> KnownImages:
    retry = pc.or_(
        pc.is_null(rows["content_hash"]),
        pc.fill_null(pc.ends_with(rows["error"], TRIED_AGAIN), False),
    )
    if has_heif:
        retry = pc.or_(retry, pc.fill_null(pc.match_substring(rows["error"], NEEDS_EXTRA), False))
    return KnownImages(
        ids=rows["image_id"].to_numpy(),
        paths=rows["path"].to_pylist(),
        sizes=pc.fill_null(rows["bytes"], -1).to_numpy(),
        mtimes=pc.fill_null(rows["mtime"].cast(pa.int64()), -1).to_numpy(),
        missing=pc.equal(rows["state"], "missing").to_numpy(),
        retry=pc.and_(retry, pc.equal(rows["state"], "unreadable")).to_numpy(),
    )


def _joined(parts: list[KnownImages]) -> KnownImages:
    def column(name: str, kind: type) -> Any:
        return np.concatenate([np.empty(0, kind), *(getattr(part, name) for part in parts)])

    return KnownImages(
        ids=column("ids", np.int64),
        paths=[path for part in parts for path in part.paths],
        sizes=column("sizes", np.int64),
        mtimes=column("mtimes", np.int64),
        missing=column("missing", np.bool_),
        retry=column("retry", np.bool_),
    )
