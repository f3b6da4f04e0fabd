"""Which images have no embedding yet, and where their files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from colonnade.engine.decode import Version
from colonnade.engine.errors import InputError
from colonnade.engine.images import file_path
from colonnade.engine.settings import Settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.tables import read_files, read_table

__all__ = ["Pending", "image_path", "pending_images"]


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


def pending_images(snapshot: Snapshot, model_key: str | None, *, force: bool = False) -> Pending:
    """The readable files without an embedding of the model (all without a model).

    With `force` every one that is or was readable: decoding may have failed for a reason that has passed.
    """
    columns = ["image_id", "root", "path", "path_bytes", "content_hash", "bytes", "mtime", "source", "state"]
    data = read_table("images", snapshot.files("images"), columns)
    wanted = np.asarray(data["state"].to_numpy() == "ok")
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
