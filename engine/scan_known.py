"""What a scan needs to know of the images table, in little memory: file by file, no strings but the paths."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from colonnade.engine.facts import NEEDS_EXTRA, OTHER_BYTES
from colonnade.engine.images import reason_of
from colonnade.engine.scan_diff import KnownImages, Moves
from colonnade.engine.snapshots import DataFile
from colonnade.engine.tables import read_files

__all__ = ["TRIED_AGAIN", "read_gone", "read_known"]

TRIED_AGAIN = "; the next sync tries it again"
"""In the error of an image whose file the system would not give when it was to be decoded."""

_COMPARED = ("image_id", "root", "path", "content_hash", "bytes", "mtime", "source", "state", "error")
_MATCHED = ("image_id", "root", "path", "bytes", "mtime", "content_hash")


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
    parts: dict[str, list[KnownImages]] = {root: [] for root in roots}
    left: dict[str, list[KnownImages]] = {}
    elsewhere = [np.empty(0, np.int64)]
    for file in files:
        data: Any = read_files([file], _COMPARED)
        data = data.filter(pc.and_(pc.equal(data["source"], "file"), pc.is_valid(data["path"])))
        for root in pc.unique(data["root"]).to_pylist():
            rows = data.filter(pc.equal(data["root"], root))
            if root in parts:
                parts[root].append(_known(rows))
            else:
                missing = pc.equal(rows["state"], "missing")
                elsewhere.append(rows.filter(missing)["image_id"].to_numpy())
                rows = rows.filter(pc.invert(missing))
                if root not in others and rows.num_rows:
                    left.setdefault(root, []).append(_known(rows))
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
        rows = rows.set_column(rows.column_names.index("mtime"), "mtime", _times(rows))
        for name, values in columns.items():
            values += rows[name].to_pylist()
    image_ids, roots, paths, sizes, times, hashes = columns.values()
    return Moves(image_ids, roots, paths, sizes, times, hashes, held.tolist())


def _known(rows: Any) -> KnownImages:
    def said(match: Any, text: str) -> Any:
        return pc.and_(unreadable, pc.fill_null(match(rows["error"], text), False))

    unreadable = pc.equal(rows["state"], "unreadable")
    retry = pc.or_(
        pc.and_(unreadable, pc.is_null(rows["content_hash"])), said(pc.ends_with, TRIED_AGAIN)
    ).to_numpy()
    # What the system said when a file was to be scanned, or to be decoded.
    refused = said(pc.starts_with, reason_of(PermissionError(errno.EACCES, os.strerror(errno.EACCES))))
    # Those can be read now, as far as is known.
    again = said(pc.starts_with, OTHER_BYTES).to_numpy()
    lacking = said(pc.match_substring, NEEDS_EXTRA).to_numpy()
    if lacking.any() and _has_heif():
        again = again | lacking
    return KnownImages(
        ids=rows["image_id"].to_numpy(),
        paths=rows["path"].to_pylist(),
        sizes=pc.fill_null(rows["bytes"], -1).to_numpy(),
        mtimes=np.where(again, -1, _times(rows).to_numpy()),
        missing=pc.equal(rows["state"], "missing").to_numpy(),
        retry=retry,
        refused=refused.to_numpy() & retry,
    )


def _times(rows: Any) -> Any:
    """Microseconds since 1970; -1 for none."""
    return pc.fill_null(rows["mtime"].cast(pa.int64()), -1)


@cache
def _has_heif() -> bool:
    """Whether HEIC can be read. To be asked where there is some, for it loads the decoder."""
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return False
    return True


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
        refused=column("refused", np.bool_),
    )
