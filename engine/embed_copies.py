"""Images of the same bytes: one of them is decoded, or none where a vector is stored, and the others share it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

import numpy as np

from colonnade.engine.embed_commit import commit_batch
from colonnade.engine.embedding_rows import vectors_of_content
from colonnade.engine.pending import Pending
from colonnade.engine.settings import Model
from colonnade.engine.store import Store

__all__ = ["Copies", "selected", "share_stored"]

_BLOCK_IMAGES = 1 << 16
"""128 MB of vectors of 512 numbers."""


class Copies:
    """Of images to be embedded, those that have the same bytes as another.

    Args:
        hashes: image -> content hash.
    """

    def __init__(self, hashes: Mapping[int, str | None]) -> None:
        self._of: dict[int, list[int]] = {}
        first: dict[str, int] = {}
        for image_id, content in hashes.items():
            owner = first.setdefault(content or f"id {image_id}", image_id)
            if owner != image_id:
                self._of.setdefault(owner, []).append(image_id)
        self.first = list(first.values())
        """One image of each content; the others are its copies."""

    def count(self, ids: Sequence[int]) -> int:
        """How many copies some images have."""
        return sum(len(self._of.get(image_id, ())) for image_id in ids)

    def take(self, image_id: int) -> list[int]:
        """The copies of an image, which are its copies no more."""
        return self._of.pop(image_id, [])

    def with_copies(self, ids: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids int64 [n] and vectors [n, D] with those of the images' copies added."""
        extra = [(copy, row) for row, i in enumerate(ids.tolist()) for copy in self._of.get(i, ())]
        if not extra:
            return ids, vectors
        ids = np.concatenate([ids, np.array([copy for copy, _ in extra], dtype=np.int64)])
        return ids, np.concatenate([vectors, vectors[[row for _, row in extra]]])

    def stand_ins(self, ids: Sequence[int]) -> list[int]:
        """The next copy of each image that gave no picture for no fault of its bytes; it has the rest of the copies."""
        found = []
        for image_id in ids:
            copies = self.take(image_id)
            if copies:
                found.append(copies[0])
                self._of[copies[0]] = copies[1:]
        return found


def share_stored(
    store: Store, model: Model, pending: Pending, on_conflict: Callable[[str], None]
) -> tuple[Pending, int]:
    """Give images the vector that is stored for another one of the same content, without loading the model.

    Commits as it goes, in blocks of bounded memory.

    Returns:
        The images that are left to be decoded, and how many are not.
    """
    snapshot = store.snapshot()
    hashes = dict(zip(pending.ids.tolist(), pending.hashes, strict=True))
    left = np.ones(len(pending), dtype=np.bool_)
    for start in range(0, len(pending), _BLOCK_IMAGES):
        block = slice(start, start + _BLOCK_IMAGES)
        contents = pending.hashes[block]
        stored = vectors_of_content(snapshot, model, {content for content in contents if content})
        if not stored:
            continue
        left[block] = [content not in stored for content in contents]
        vectors = np.stack([stored[content] for content in contents if content in stored])
        ids = pending.ids[block][~left[block]]
        commit_batch(store, model, hashes, on_conflict, [(ids, vectors)], [])
    return selected(pending, left), int(np.count_nonzero(~left))


def selected(pending: Pending, keep: np.ndarray) -> Pending:
    """Some of the images: those of which `keep`, bool [n], says so."""
    columns = {field.name: getattr(pending, field.name) for field in fields(pending)}
    rows = np.flatnonzero(keep).tolist()
    chosen = {name: [column[row] for row in rows] for name, column in columns.items() if name != "ids"}
    return Pending(ids=pending.ids[keep], **chosen)
