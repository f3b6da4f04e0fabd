"""Merging the files of cells that grew in drips. Rows, ids and definitions stay, so nothing becomes stale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from colonnade.engine.columns import TABLES
from colonnade.engine.errors import ConflictError
from colonnade.engine.snapshots import DataFile, Snapshot, open_snapshot
from colonnade.engine.stage import conflict_retries, open_stage, retrying
from colonnade.engine.tables import read_files

__all__ = ["Compacted", "compact"]

_BATCH_CELLS = 64
_BATCH_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Compacted:
    """What `compact` did."""

    cells: int
    files_before: int
    """In the cells that were merged; each has one file now."""
    snapshots: int
    """Commits it took."""


def compact(
    store: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    on_conflict: Callable[[str], None] | None = None,
) -> Compacted:
    """Merge the files of every cell that has several, in commits of bounded size.

    Args:
        progress: called with (cells merged, cells in all).
        on_conflict: called with one line when another process changed a cell meanwhile.

    Raises:
        StoreError: damaged, read-only, or the disk is full; what was committed stays.
    """
    done, files, commits = 0, 0, 0
    total = len(_scattered(open_snapshot(store)))
    while done < total:
        for _ in conflict_retries(store, on_conflict):
            batch = next(_batches(_scattered(open_snapshot(store))), [])
            try:
                _merge(store, batch, on_conflict)
            except ConflictError as error:
                if on_conflict:
                    on_conflict(retrying(error))
                continue
            break
        if not batch:
            break
        done, files, commits = done + len(batch), files + sum(len(cell) for cell in batch), commits + 1
        if progress:
            progress(done, max(total, done))
    return Compacted(done, files, commits)


def _scattered(snapshot: Snapshot) -> list[tuple[DataFile, ...]]:
    """The cells of several files each."""
    cells: dict[tuple[str, str | None, int], list[DataFile]] = {}
    for table in TABLES:
        for file in snapshot.files(table):
            cells.setdefault((table, file.partition, file.shard), []).append(file)
    return [tuple(files) for files in cells.values() if len(files) > 1]


def _batches(cells: list[tuple[DataFile, ...]]) -> Iterator[list[tuple[DataFile, ...]]]:
    batch: list[tuple[DataFile, ...]] = []
    size = 0
    for cell in cells:
        weight = sum(file.path.stat().st_size for file in cell)
        if batch and (len(batch) == _BATCH_CELLS or size + weight > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(cell)
        size += weight
    if batch:
        yield batch


def _merge(store: Path, batch: list[tuple[DataFile, ...]], say: Callable[[str], None] | None) -> None:
    with open_stage(store, command="compact", say=say) as stage:
        for cell in batch:
            file = cell[0]
            stage.replace(file.table, file.partition, file.shard, read_files(cell), read=cell)
        stage.commit()
