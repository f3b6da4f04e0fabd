"""Finding the images that a file of labels names: by id, by UUID, by path in a root or in the file system."""

from __future__ import annotations

from colonnade.engine.label_files import Judgement
from colonnade.engine.lookup import in_root, without_displaced
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.store import Store
from colonnade.engine.tables import read_table

__all__ = ["LabelImages"]


class LabelImages:
    """The images of a snapshot that a file of labels may mean.

    Args:
        names: every name in the file, of whatever column.
    """

    def __init__(self, store: Store, snapshot: Snapshot, names: set[str]) -> None:
        self._settings = store.settings
        whole = (found for name in names if (found := in_root(self._settings, name)))
        inside = {path for _, paths in whole for path in paths}
        names = names | {name.lower() for name in names} | inside
        columns = ["image_id", "root", "path", "uuid", "content_hash", "state"]
        data = read_table("images", snapshot.files("images"), columns)
        self._paths: dict[str, list[tuple[str, int]]] = {}
        self._uuids: dict[str, list[int]] = {}
        named = []
        for values in zip(*(data[name].to_pylist() for name in columns), strict=True):
            if values[2] in names or values[3] in names or str(values[0]) in names:
                named.append(dict(zip(columns, values, strict=True)))
        self.hashes: dict[int, str | None] = {row["image_id"]: row["content_hash"] for row in named}
        for row in without_displaced(named):
            self._paths.setdefault(row["path"], []).append((row["root"], row["image_id"]))
            if row["uuid"]:
                self._uuids.setdefault(row["uuid"], []).append(row["image_id"])

    def find(self, judgement: Judgement) -> int | str:
        """The image that is meant, or why there is none."""
        column, value = judgement.image
        if column == "uuid":
            found = self._uuids.get(value.lower(), [])
        elif column == "image_id":
            found = self._by_id(value)
        else:
            # An `id` may be the name of an imported image, which is its path, or a number of ours.
            found = [i for root, i in self._paths.get(value, ()) if judgement.root in (None, root)]
            if not found and column == "id":
                found = self._by_id(value)
            if not found and judgement.root is None:
                found = self._by_whole_path(value)
        if len(found) == 1:
            return found[0]
        shown = f"{column} {value[:200]!r}"
        return (
            f"{len(found)} images of {shown}; name the root or the image_id"
            if found
            else f"no image of {shown}"
        )

    def _by_whole_path(self, value: str) -> list[int]:
        within, paths = in_root(self._settings, value) or ("", ())
        meant = ([i for root, i in self._paths.get(path, ()) if root == within] for path in paths)
        return next(filter(None, meant), [])

    def _by_id(self, value: str) -> list[int]:
        number = int(value) if value.isascii() and value.isdecimal() and len(value) < 19 else -1
        return [number] if number in self.hashes else []
