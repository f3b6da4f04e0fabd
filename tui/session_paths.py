"""Text columns of the images, packed: a million paths in a few megabytes, any 256 of them in a few milliseconds."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from colonnade.engine.columns import SHARD_BITS, shard_of
from colonnade.engine.duck import identifier, parquet
from colonnade.tui.session_columns import Columns, file_key

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import Snapshot

__all__ = ["PackedTexts", "read_texts", "warm_texts"]

_CHUNK = 64
_FETCH = 8192
_PLAIN, _JSON = b"p", b"j"


@dataclass(frozen=True, eq=False)
class PackedTexts:
    """The texts of one shard by ascending image id, in chunks that are compressed one by one."""

    chunks: tuple[bytes, ...]

    @cached_property
    def nbytes(self) -> int:
        return sum(len(chunk) for chunk in self.chunks) + 48 * len(self.chunks)

    def texts(self, ranks: Sequence[int]) -> list[str | None]:
        """The texts of the images that have these ranks in the shard, from 0."""
        opened: dict[int, list[bytes] | list[str | None]] = {}
        found: list[str | None] = []
        for rank in ranks:
            number, inside = divmod(rank, _CHUNK)
            if number not in opened:
                opened[number] = _open(self.chunks[number])
            text = opened[number][inside]
            found.append(text.decode() if isinstance(text, bytes) else text)
        return found


def read_texts(
    columns: Columns, cursor: DuckDBPyConnection, snapshot: Snapshot, column: str, image_ids: Sequence[int]
) -> list[str | None]:
    """A text column of some images of the snapshot; a shard is read when the first of its images is asked for."""
    ids = columns.base(cursor, snapshot).ids
    shards: dict[int, list[int]] = {}
    for image_id in image_ids:
        shards.setdefault(shard_of(image_id), []).append(image_id)
    found: dict[int, str | None] = {}
    for shard, members in shards.items():
        ranks = ids.searchsorted(members) - ids.searchsorted(shard << SHARD_BITS)
        packed = _packed(columns, cursor, snapshot, column, shard)
        found |= zip(members, packed.texts(ranks.tolist()), strict=True)
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
    cursor.execute(f"SELECT {identifier(column)} FROM {source} ORDER BY image_id")
    chunks: list[bytes] = []
    while rows := cursor.fetchmany(_FETCH):  # a multiple of the chunk
        texts = [row[0] for row in rows]
        chunks += (_closed(texts[start : start + _CHUNK]) for start in range(0, len(texts), _CHUNK))
    return PackedTexts(tuple(chunks))


def _closed(texts: list[str | None]) -> bytes:
    known = [text for text in texts if text is not None]
    if len(known) == len(texts):
        joined = "\0".join(known)
        if joined.count("\0") == len(texts) - 1:
            return zlib.compress(_PLAIN + joined.encode(), 1)
    return zlib.compress(_JSON + json.dumps(texts).encode(), 1)


def _open(chunk: bytes) -> list[bytes] | list[str | None]:
    plain = zlib.decompress(chunk)
    if plain.startswith(_PLAIN):
        return plain[1:].split(b"\0")
    texts: list[str | None] = json.loads(plain[1:])
    return texts
