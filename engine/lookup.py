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
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.store import Store
from colonnade.engine.tables import read_table

__all__ = ["ImageRow", "find_image", "shown_path", "without_displaced"]

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


def find_image(store: Store, snapshot: Snapshot, name: str) -> ImageRow:
    """The image called `name`: an id (also as `id:7`), a path in its root, also after the root's name, a file's path,
    a UUID, or a file name that only one has.

    Raises:
        InputError: no image, or several.
    """
    data = read_table("images", snapshot.files("images"), _COLUMNS)
    settings = store.settings
    typed, name = name, name_of(os.fsencode(name))[0]
    # As typed, or copied from a screen, which shows bytes that are no text as the table holds them.
    names = [name] if typed != typed.encode("utf-8", "replace").decode() else [name, typed]
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
    if not matches.num_rows:
        outside = Path(os.path.abspath(Path(typed).expanduser()))  # noqa: PTH100
        for root in settings.roots:
            if outside.is_relative_to(root.path):
                inside = name_of(os.fsencode(outside.relative_to(root.path)))[0]
                here = pc.and_(pc.equal(data["root"], root.name), pc.equal(data["path"], inside))
                matches = data.filter(here)
    if not matches.num_rows and "/" not in name:
        matches = data.filter(pc.ends_with(data["path"], f"/{name}"))
    rows = without_displaced(matches.to_pylist())
    if not rows:
        names = [path.rsplit("/", 1)[-1] for path in data["path"].slice(0, 20_000).to_pylist()]
        hint = nearest(name.rsplit("/", 1)[-1], names)
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
