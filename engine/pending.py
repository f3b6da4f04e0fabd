"""Which images have no embedding yet, where their files are, and what embedding them will leave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.decode import Version, version_of
from colonnade.engine.errors import InputError
from colonnade.engine.freshness import CellState, cell_states
from colonnade.engine.images import file_path
from colonnade.engine.settings import Settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.tables import id_digest, read_files, read_table

if TYPE_CHECKING:
    from colonnade.engine.scan import ScanPlan

__all__ = [
    "Pending",
    "any_as_scanned",
    "as_scanned",
    "copies_among",
    "embedded_then",
    "found_again",
    "image_path",
    "images_to_embed",
    "pending_images",
    "perhaps_known",
    "within_reach",
]


@dataclass(frozen=True)
class Pending:
    """The images to embed: columns of equal length, in the order of their ids."""

    ids: np.ndarray
    roots: list[str]
    paths: list[str]
    path_bytes: list[bytes | None]
    hashes: list[str]
    versions: list[Version | None]
    """Of the files, as they were when their content was hashed."""

    def __len__(self) -> int:
        return len(self.ids)


def pending_images(
    snapshot: Snapshot, model_key: str | None, *, force: bool = False, back: np.ndarray | None = None
) -> Pending:
    """The readable files without an embedding of the model (all without a model).

    With `force` every one that is or was readable: decoding may have failed for a reason that has passed.

    Args:
        back: ids int64 of missing images that count as there again.
    """
    columns = ["image_id", "root", "path", "path_bytes", "content_hash", "bytes", "mtime", "source", "state"]
    if back is not None and len(back):
        columns.append("error")
    data = read_table("images", snapshot.files("images"), columns)
    wanted = np.asarray(data["state"].to_numpy() == "ok")
    if back is not None and len(back):
        readable = data["error"].is_null().to_numpy() & data["content_hash"].is_valid().to_numpy()
        wanted |= readable & np.isin(data["image_id"].to_numpy(), back)
    if force:
        hashed = data["content_hash"].is_valid().to_numpy()
        wanted |= np.asarray(data["state"].to_numpy() == "unreadable") & hashed
    wanted &= np.asarray(data["source"].to_numpy() == "file")
    ids = data["image_id"].to_numpy()
    if model_key is not None and not force:
        files = snapshot.files("embeddings", model_key)
        have = read_files(files, ["image_id"])["image_id"].to_numpy() if files else np.empty(0, np.int64)
        wanted &= ~np.isin(ids, have, assume_unique=True)
    data = data.filter(pa.array(wanted))
    return Pending(
        data["image_id"].to_numpy(),
        data["root"].to_pylist(),
        data["path"].to_pylist(),
        data["path_bytes"].to_pylist(),
        data["content_hash"].to_pylist(),
        [
            None if size is None or mtime is None else (size, mtime)
            for size, mtime in zip(
                data["bytes"].to_pylist(), data["mtime"].cast(pa.int64()).to_pylist(), strict=True
            )
        ],
    )


def image_path(settings: Settings, root: str | None, path: str, path_bytes: bytes | None) -> Path | None:
    """Where an image's file is; None if its root is not among the store's roots, or its path leaves the root."""
    folder = settings.root(root) if root is not None else None
    if folder is None:
        return None
    try:
        return file_path(folder.path, path, path_bytes)
    except InputError:
        return None


def copies_among(snapshot: Snapshot, model_key: str, pending: Pending, ids: np.ndarray) -> int:
    """Of the images `ids`, how many get their vector from one of the same bytes, as far as files were read.

    Args:
        pending: images without a vector, with those of `ids` that are known.
    """
    known = np.isin(pending.ids, ids)
    hashes = [content for content, wanted in zip(pending.hashes, known.tolist(), strict=True) if wanted]
    files = snapshot.files("embeddings", model_key)
    if not hashes:
        return 0
    contents = set(hashes)
    if files:
        embedded = read_files(files, ["image_id"])["image_id"].to_numpy()
        images = read_table("images", snapshot.files("images"), ["image_id", "content_hash"])
        images = images.filter(pc.is_in(images["content_hash"], pa.array(list(contents), pa.string())))
        stored = images.filter(pa.array(np.isin(images["image_id"].to_numpy(), embedded)))
        contents -= set(stored["content_hash"].to_pylist())
    return len(hashes) - len(contents)


def as_scanned(settings: Settings, pending: Pending, row: int) -> Path | None:
    """Where an image's file is; None if it is not there, or not as it was scanned."""
    path = image_path(settings, pending.roots[row], pending.paths[row], pending.path_bytes[row])
    if path is None:
        return None
    try:
        found = version_of(path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # it is there as far as can be told; opening it will tell what is wrong
        return path
    return path if pending.versions[row] in (None, found) else None


def any_as_scanned(settings: Settings, pending: Pending) -> bool:
    """Whether any file is there as it was scanned; looks no further than the first."""
    return any(as_scanned(settings, pending, row) is not None for row in range(len(pending)))


def within_reach(pending: Pending, settings: Settings) -> np.ndarray:
    """bool [n]: whether the root of each image is there, and in it the folder; no file is looked at."""
    there = {(root.name, ""): root.path.is_dir() for root in settings.roots}
    reach = np.zeros(len(pending), dtype=np.bool_)
    for row, (root, path) in enumerate(zip(pending.roots, pending.paths, strict=True)):
        folder = path.rpartition("/")[0]
        found = there.get((root, folder))
        if found is None:
            raw = pending.path_bytes[row]
            found = there.get((root, ""), False) and _is_there(
                image_path(settings, root, folder, None if raw is None else raw.rpartition(b"/")[0])
            )
            there[root, folder] = found
        reach[row] = found
    return reach


def _is_there(folder: Path | None) -> bool:
    """Whether images in a folder are to be embedded as far as can be told: what is wrong shows when they are read."""
    if folder is None:
        return False
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def found_again(scanned: ScanPlan | None) -> np.ndarray:
    """The ids int64 of images that were missing, or gone from their path, and that a scan finds, as far as names,
    sizes and times tell."""
    found = [np.empty(0, np.int64)]
    for each in scanned.roots if scanned is not None else ():
        found += [each.known.ids[each.diff.returned], each.likely[each.likely >= 0]]
    return np.concatenate(found)


def images_to_embed(
    snapshot: Snapshot, pending: Pending, reach: np.ndarray, scanned: ScanPlan | None
) -> np.ndarray:
    """The ids int64, ascending, of the images that are embedded next, after what a scan is going to find.

    Args:
        pending: with those that are `found_again`.
        reach: of it, what `within_reach` tells.
    """
    back = found_again(scanned)
    keep = reach | np.isin(pending.ids, back)
    ids = [pending.ids[keep]]
    for each in scanned.roots if scanned is not None else ():
        gone = np.setdiff1d(each.known.ids[each.diff.vanished], back)
        ids[0] = ids[0][~np.isin(ids[0], gone)]
        ids.append(each.known.ids[[row for row, _ in each.diff.changed]])
    first = snapshot.next_image_id
    ids.append(np.arange(first, first + (scanned.count("new") if scanned is not None else 0)))
    return np.unique(np.concatenate(ids))


def perhaps_known(pending: Pending, ids: np.ndarray, scanned: ScanPlan | None) -> int:
    """Of the images `ids`, which are embedded next, how many a scan may find to have a vector.

    Args:
        pending: the images that surely have none.
    """
    if scanned is None:
        return 0
    touched = np.array([image_id for each in scanned.roots for image_id in each.touched], dtype=np.int64)
    known = np.isin(touched, ids) & ~np.isin(touched, pending.ids)
    return int(known.sum()) + (scanned.count("alike") if len(ids) else 0)


def embedded_then(snapshot: Snapshot, model_key: str, ids: np.ndarray) -> dict[int, CellState]:
    """Shard -> state of each cell of a model's embeddings, once the images `ids` are embedded as well."""
    cells = cell_states(snapshot, "embeddings", model_key)
    for shard in np.unique(ids >> SHARD_BITS).tolist():
        own = ids[ids >> SHARD_BITS == shard]
        now = cells.get(shard, CellState((), 0, 0, None))
        stored = read_files(now.files, ["image_id"])["image_id"].to_numpy() if now.files else own[:0]
        again = np.isin(own, stored)
        digest = (now.id_digest + id_digest(own[~again])) % 2**64
        rows = now.rows + int(len(own) - again.sum())
        cells[shard] = replace(now, rows=rows, id_digest=digest, redone=int(again.sum()))
    return cells
