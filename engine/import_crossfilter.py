"""Importing the vectors of a crossfilter SQLite file. Its UMAP model, a pickle, is never looked at.

Two layouts are known: `{TYPE}_EMBEDDINGS(UUID, EMBEDDING)` (or plain `EMBEDDINGS`), and
`IMAGE_EMBEDDINGS(UUID_STRING, SEMANTIC_EMBEDDING)`; the vectors are msgpack-numpy arrays.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np

from colonnade.engine.errors import InputError
from colonnade.engine.import_embeddings import Imported, describe_model, store_vectors
from colonnade.engine.import_files import MAX_NAME, MAX_ROWS, check_name, unit_vectors
from colonnade.engine.import_rows import Matches
from colonnade.engine.msgpack_vectors import MAX_BLOB, Malformed, decode_vector, require_msgpack
from colonnade.engine.registry import add_root
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.store import Store
from colonnade.engine.tables import read_table

__all__ = ["CrossfilterTable", "find_tables", "import_crossfilter", "match_stems", "open_table"]

LOGIT_SCALE = 100.0
_TABLE = re.compile(r"(?:([A-Za-z0-9_]{1,64})_)?EMBEDDINGS")
_IDS, _VECTORS = ("UUID", "UUID_STRING"), ("EMBEDDING", "SEMANTIC_EMBEDDING")
_BLOCK_NUMBERS = 1 << 22


def import_crossfilter(
    store: Store,
    file: Path,
    *,
    root: Path | None = None,
    kind: str | None = None,
    key: str | None = None,
    logit_scale: float | None = None,
    logit_bias: float | None = None,
    scan: Callable[[Store], None] | None = None,
    on_conflict: Callable[[str], None] | None = None,
) -> Imported:
    """Store the vectors of a crossfilter SQLite file, in one commit.

    Args:
        root: the folder of its images, `<uuid>.jpg` in any subfolder. It becomes a root of the store and is scanned;
            images named by a UUID get its vector. Other UUIDs become images without a file, of that name.
        kind: which table, where there are several: SIGLIP2 for SIGLIP2_EMBEDDINGS.
        key: the model's key; by default `crossfilter-<kind>`.
        logit_scale: by default what the store knows of the model, else 100.
        scan: looks at the store's roots; by default `scan.apply_scan`.

    Raises:
        InputError: not such a file, a damaged one, or msgpack is not installed; no vector was stored.
    """
    require_msgpack()
    table = open_table(file, kind)
    name = key or (f"crossfilter-{table.kind.lower()}" if table.kind else "crossfilter")
    if logit_scale is None and store.settings.model(name) is None:
        logit_scale = LOGIT_SCALE
    model = describe_model(store, name, [table], logit_scale, logit_bias)
    for _ in table.blocks():
        pass  # every vector is looked at before a root is added and its files are read
    if root is None:
        return store_vectors(store, model, images=table, resolve=match_stems, on_conflict=on_conflict)
    _ensure_root(store, root)
    (scan or _scan)(store)
    return store_vectors(store, model, images=table, resolve=match_stems, on_conflict=on_conflict)


def _ensure_root(store: Store, path: Path) -> None:
    """Make `path` a root of the store, unless it is one or lies in one."""
    folder = path.expanduser().resolve()
    if not any(folder.is_relative_to(root.path) for root in store.settings.roots):
        add_root(store, folder)


def _scan(store: Store) -> None:
    from colonnade.engine.scan import apply_scan, plan_scan

    apply_scan(store, plan_scan(store))


def match_stems(snapshot: Snapshot, names: Sequence[str]) -> Matches:
    """Names are those of image files without folder and extension, or of imported images.

    Upper and lower case count as the same where that is unambiguous. Copies of one picture all get its vector; files of
    one name that hold different pictures get none, and the name is among those that are unclear.
    """
    columns = ["image_id", "path", "content_hash", "source", "state"]
    data = read_table("images", snapshot.files("images"), columns)
    files: dict[str, list[tuple[int, str | None]]] = {}
    imported: dict[str, int] = {}
    for image_id, path, content, source, state in zip(
        *(data[name].to_pylist() for name in columns), strict=True
    ):
        if source == "import":
            imported[path] = image_id
        elif state != "missing":
            files.setdefault(path.rpartition("/")[2].rpartition(".")[0], []).append((image_id, content))
    folded: dict[str, list[tuple[int, str | None]]] = {}
    for stem, found in files.items():
        folded.setdefault(stem.lower(), []).extend(found)
    alike = Counter(name.lower() for name in names)
    rows: list[int] = []
    ids: list[int] = []
    unclear: list[str] = []
    for row, name in enumerate(names):
        exact, lower = files.get(name), name.lower()
        found = exact or folded.get(lower, [])
        several = len({content for _, content in found}) > 1
        several |= bool(found) and not exact and alike[lower] > 1
        if several:
            unclear.append(name)
        if found and not several:
            mine = [image_id for image_id, _ in found]
        else:
            mine = [imported[name]] if name in imported else []
        rows += [row] * len(mine)
        ids += mine
    return Matches(np.array(rows, np.int64), np.array(ids, np.int64), tuple(unclear))


@dataclass(frozen=True)
class CrossfilterTable:
    """A table of vectors in a crossfilter file."""

    path: Path
    table: str
    kind: str
    """What stands before _EMBEDDINGS: SIGLIP2, IMAGE, ...; may be empty."""
    id_column: str
    vector_column: str
    names: tuple[str, ...] = ()
    dimension: int = 0

    def blocks(self) -> Iterator[np.ndarray]:
        """Unit vectors float32 [n, D], in the order of `names`.

        Raises:
            InputError: a vector is missing, malformed, of another length, not finite, or all zeros.
        """
        rows = max(1, _BLOCK_NUMBERS // self.dimension)
        filled = 0
        with _open(self.path) as connection:
            cursor = connection.execute(f"SELECT {self.id_column}, {self.vector_column} FROM {self.table}")
            while block := cursor.fetchmany(rows):
                if tuple(name for name, _ in block) != self.names[filled : filled + len(block)]:
                    raise InputError(f"{self.path}: it changed while it was read; run it again")
                vectors = [self._vector(blob, filled + row) for row, (_, blob) in enumerate(block, 1)]
                yield unit_vectors(np.stack(vectors), self.path, filled)
                filled += len(block)

    def _vector(self, blob: object, row: int) -> np.ndarray:
        try:
            vector = decode_vector(blob)
        except Malformed as reason:
            raise InputError(f"{self.path}: row {row} of {self.table}: {reason}") from None
        if self.dimension and len(vector) != self.dimension:
            raise InputError(
                f"{self.path}: row {row} of {self.table}: {len(vector)} numbers, but the first vector has "
                f"{self.dimension}"
            )
        return vector.astype(np.float64)


def open_table(path: Path, kind: str | None = None) -> CrossfilterTable:
    """The table of vectors of a crossfilter file, with its names read.

    Args:
        kind: which, where there are several.

    Raises:
        InputError: not a SQLite file, damaged, no such table, several, no rows, or an id that is none.
    """
    tables = find_tables(path)
    shown = ", ".join(table.table for table in tables)
    if kind is not None:
        tables = tuple(table for table in tables if table.kind.lower() == kind.lower())
    if len(tables) != 1:
        found = f"it has {shown}" if shown else "no {TYPE}_EMBEDDINGS(UUID, EMBEDDING) is in it"
        raise InputError(
            f"{path}: several tables of vectors, {shown}; choose one with --type"
            if len(tables) > 1
            else f"{path}: no table of vectors{f' of type {kind}' if kind else ''}; {found}"
        )
    table = tables[0]
    names: list[str] = []
    with _open(path) as connection:
        # The vector is named here too, so that both readings go through the rows in the same order.
        cursor = connection.execute(
            f"SELECT {table.id_column}, typeof({table.vector_column}) FROM {table.table} LIMIT {MAX_ROWS}"
        )
        for row, (name, _) in enumerate(cursor, 1):
            if not isinstance(name, str):
                raise InputError(f"{path}: row {row} of {table.table}: {table.id_column} is not text")
            names.append(check_name(name, path, row, table.id_column))
        if not names:
            raise InputError(f"{path}: {table.table} has no rows")
        if len(set(names)) < len(names):
            twice = next(name for name, count in Counter(names).items() if count > 1)
            raise InputError(f"{path}: {table.id_column} {twice[:80]!r} occurs twice in {table.table}")
        first = connection.execute(f"SELECT {table.vector_column} FROM {table.table} LIMIT 1").fetchone()
    return replace(table, names=tuple(names), dimension=len(table._vector(first[0], 1)))


def find_tables(path: Path) -> tuple[CrossfilterTable, ...]:
    """The tables of vectors in a SQLite file; views and virtual tables are none.

    Raises:
        InputError: not a SQLite file, or a damaged one.
    """
    found = []
    with _open(path) as connection:
        listed = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchmany(
            1000
        )
        for name, sql in listed:
            match = _TABLE.fullmatch(name)
            if not match or re.match(r"\s*CREATE\s+VIRTUAL\b", str(sql), re.IGNORECASE):
                continue
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            ids = [column for column in _IDS if column in columns]
            vectors = [column for column in _VECTORS if column in columns]
            if ids and vectors:
                found.append(CrossfilterTable(path, name, match[1] or "", ids[0], vectors[0]))
    return tuple(found)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that can only read: the file is not locked, written, or given the means to run anything."""
    _check_file(path)
    connection = None
    try:
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(path.absolute()))}?mode=ro&immutable=1", uri=True
        )
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BLOB + MAX_NAME)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
            connection.execute(f"PRAGMA {pragma}")
        connection.set_authorizer(_authorize)
        yield connection
    except (sqlite3.Error, UnicodeError) as error:
        raise InputError(
            f"{path}: not a readable SQLite file ({' '.join(str(error).split())[:200]})"
        ) from None
    finally:
        if connection is not None:
            connection.close()


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    allowed = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
    allowed = allowed or (action == sqlite3.SQLITE_PRAGMA and first == "table_info")
    allowed = allowed or (action == sqlite3.SQLITE_FUNCTION and second == "typeof")
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        with path.open("rb") as file:
            magic = file.read(16)
        log = path.with_name(f"{path.name}-wal")
        waiting = log.is_file() and log.stat().st_size > 0
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if magic != b"SQLite format 3\0":
        raise InputError(f"{path}: not a SQLite file")
    if waiting:
        raise InputError(
            f"{log}: holds changes that are not in the database yet; close the program that writes it, "
            f"or run: sqlite3 {path} 'PRAGMA wal_checkpoint(TRUNCATE)'"
        )
