"""Text columns of the images, packed: a million paths in a few megabytes, any 256 of them in a few milliseconds."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from colonnade.engine.columns import shard_of
from colonnade.engine.duck import identifier, parquet
from colonnade.tui.session_columns import Columns, file_key

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import Snapshot

__all__ = ["PackedTexts", "read_texts", "warm_texts"]

_CHUNK = 64
_FETCH = 8192


@dataclass(frozen=True, eq=False)
class PackedTexts:
    """The texts of one shard, in chunks that are compressed one by one."""

    ids: Sequence[int]
    """The first image id of each chunk, ascending."""
    chunks: tuple[bytes, ...]

    @property
    def nbytes(self) -> int:
        return sum(len(chunk) for chunk in self.chunks) + 48 * len(self.chunks)

    def texts(self, image_ids: Sequence[int]) -> list[str | None]:
        """The texts of some image ids; None for one that has none."""
        from bisect import bisect_right

        opened: dict[int, dict[int, str | None]] = {}
        found = []
        for image_id in image_ids:
            number = bisect_right(self.ids, image_id) - 1
            if number not in opened:
                ids, texts = json.loads(zlib.decompress(self.chunks[number])) if number >= 0 else ((), ())
                opened[number] = dict(zip(ids, texts, strict=True))
            found.append(opened[number].get(image_id))
        return found


def read_texts(
    columns: Columns, cursor: DuckDBPyConnection, snapshot: Snapshot, column: str, image_ids: Sequence[int]
) -> list[str | None]:
    """A text column of some images; a shard is read when the first of its images is asked for."""
    shards: dict[int, list[int]] = {}
    for image_id in image_ids:
        shards.setdefault(shard_of(image_id), []).append(image_id)
    found: dict[int, str | None] = {}
    for shard, members in shards.items():
        packed = _packed(columns, cursor, snapshot, column, shard)
        found |= zip(members, packed.texts(members), strict=True)
    return [found[image_id] for image_id in image_ids]


def warm_texts(columns: Columns, cursor: DuckDBPyConnection, snapshot: Snapshot, column: str) -> None:
    """Read a text column of every image."""
    for shard in snapshot.shards("images"):
        _packed(columns, cursor, snapshot, column, shard)


def _packed(
    columns: Columns, cursor: DuckDBPyConnection, snapshot: Snapshot, column: str, shard: int
) -> PackedTexts:
    files = snapshot.cell("images", None, shard)
    found: PackedTexts = columns.get(
        ("texts", column, file_key(files)), lambda: _pack(cursor, parquet(files), column)
    )
    return found


def _pack(cursor: DuckDBPyConnection, source: str, column: str) -> PackedTexts:
    cursor.execute(f"SELECT image_id, {identifier(column)} FROM {source} ORDER BY image_id")
    first: list[int] = []
    chunks: list[bytes] = []
    while rows := cursor.fetchmany(_FETCH):
        for start in range(0, len(rows), _CHUNK):
            ids, texts = zip(*rows[start : start + _CHUNK], strict=True)
            first.append(ids[0])
            chunks.append(zlib.compress(json.dumps((ids, texts)).encode(), 1))
    return PackedTexts(first, tuple(chunks))
