"""Finding one image of a store by what a person calls it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.errors import InputError
from colonnade.engine.images import name_of
from colonnade.engine.nearest import nearest
from colonnade.engine.pending import image_path
from colonnade.engine.settings import Settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.store import Store
from colonnade.engine.tables import read_table

__all__ = ["ImageRow", "find_image", "in_root", "shown_path", "stored_paths", "without_displaced"]

_COLUMNS = ["image_id", "root", "path", "path_bytes", "uuid", "content_hash", "source", "state", "error"]


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image's row, and where its file is."""

    image_id: int
    root: str | None
    """None for an imported row."""
    path: str
    uuid: str | None
    content_hash: str | None
    source: str
    state: str
    error: str | None
    file: Path | None
    """None for an imported row, or a root that is no more."""


def shown_path(root: str | None, path: str) -> str:
    """An image's root and path for people."""
    return path if root is None else f"{root}/{path}"


def without_displaced(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Images rows without the missing ones whose path one of the others has: it was moved onto theirs."""
    there = {(row["root"], row["path"]) for row in rows if row["state"] != "missing"}
    return [dict(row) for row in rows if row["state"] != "missing" or (row["root"], row["path"]) not in there]


def stored_paths(path: str) -> tuple[str, ...]:
    """How the images table may have a path, or a name: as it has that file's, or as given, where it was copied from a
    screen, which shows bytes that are no text as the table has them."""
    stored = name_of(os.fsencode(path))[0]
    is_text = path == path.encode("utf-8", "replace").decode()
    return (stored, path) if is_text and stored != path else (stored,)


def in_root(settings: Settings, path: str) -> tuple[str, tuple[str, ...]] | None:
    """The root that holds the file of a whole path, and how the images table may have its path in there.

    None where no root does.
    """
    folders = {f"{root.path}".rstrip("/") + "/": root.name for root in settings.roots}
    folder = max((folder for folder in folders if path.startswith(folder)), key=len, default=None)
    return None if folder is None else (folders[folder], stored_paths(path[len(folder) :]))


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 (pathlib raises for an unknown ~user)


def find_image(store: Store, snapshot: Snapshot, name: str) -> ImageRow:
    """The image called `name`: an id (also as `id:7`), a path in its root, also after the root's name, a file's path,
    a UUID, or a file name that only one has.

    Raises:
        InputError: no image, or several.
    """
    data = read_table("images", snapshot.files("images"), _COLUMNS)
    settings = store.settings
    typed, names = name, stored_paths(name)
    name = names[0]
    matches = None
    if name.startswith("id:") and name[3:].isdecimal():
        matches = data.filter(pc.equal(data["image_id"], int(name[3:21])))
    elif name.isdecimal():
        by_id = pc.equal(data["image_id"], int(name[:18]))
        matches = data.filter(pc.or_kleene(by_id, pc.equal(data["path"], name)))
    if matches is None or not matches.num_rows:
        matches = data.filter(
            pc.or_kleene(
                pc.is_in(data["path"], pa.array(names)),
                pc.equal(data["uuid"], name.lower()),
            )
        )
    root_name, slash, inside = name.partition("/")
    if not matches.num_rows and slash:
        matches = data.filter(pc.and_(pc.equal(data["root"], root_name), pc.equal(data["path"], inside)))
    if not matches.num_rows and (whole := in_root(settings, _absolute(typed))):
        root_name, paths = whole
        matches = data.filter(
            pc.and_(pc.equal(data["root"], root_name), pc.is_in(data["path"], pa.array(paths)))
        )
    if not matches.num_rows and "/" not in name:
        matches = data.filter(pc.ends_with(data["path"], f"/{name}"))
    rows = without_displaced(matches.to_pylist())
    if not rows:
        known = (path.rsplit("/", 1)[-1] for path in data["path"].slice(0, 20_000).to_pylist())
        hint = nearest(name.rsplit("/", 1)[-1], known)
        raise InputError(
            f"{name!r}: no such image in the store" + (f"; did you mean {hint!r}?" if hint else "")
        )
    if len(rows) > 1:
        some = ", ".join(f"{shown_path(row['root'], row['path'])} (id {row['image_id']})" for row in rows[:3])
        raise InputError(
            f"{name!r}: {len(rows)} images are called so: {some}; write id:{rows[0]['image_id']}"
        )
    row = rows[0]
    path_bytes = row.pop("path_bytes")
    is_file = row["source"] == "file"
    file = image_path(settings, row["root"], row["path"], path_bytes) if is_file else None
    return ImageRow(**row, file=file)
