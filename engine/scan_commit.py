"""Committing what a scan found, so that two scans at once give each file one row."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from colonnade.engine.columns import SHARD_BITS, shard_of
from colonnade.engine.errors import ConflictError
from colonnade.engine.scan_rows import (
    Edit,
    Edited,
    Looked,
    drop_vectors,
    edit_rows,
    rows_table,
    vectors_changed,
)
from colonnade.engine.settings import Root, read_settings
from colonnade.engine.snapshots import Snapshot, open_snapshot
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.tables import read_files

__all__ = ["Committer"]

ATTEMPTS = 12
UNLOCKED_ATTEMPTS = 4
"""After so many conflicts the whole change is made under the lock, where nothing can change meanwhile."""


class Committer:
    """Commits batches of rows and edits, and keeps account of the rows that others add meanwhile.

    Args:
        store: the store's folder.
        roots: the roots that the scan was planned with.
        data_files: names of the images files that the scan was planned with.
        narrate: called with a line before a retry.
    """

    def __init__(
        self,
        store: Path,
        roots: Iterable[Root],
        data_files: Iterable[str],
        narrate: Callable[[str], None] | None = None,
    ) -> None:
        self._store = store
        self._roots = set(roots)
        self._known_files = set(data_files)
        self._narrate = narrate
        self._names = {root.name for root in self._roots}
        self._foreign: set[tuple[str, str]] = set()

    def commit(self, rows: Sequence[dict[str, Any]], edits: Sequence[Edit]) -> tuple[int, Edited]:
        """Publish new rows (`image_row`) and edits in one commit.

        Returns:
            How many rows were new, and the edits that applied.

        Raises:
            ConflictError: others kept changing the same cells.
            StoreError: the disk refused; nothing was committed.
        """
        table = rows_table(list(rows))
        for attempt in range(ATTEMPTS):
            try:
                return self._try(rows, table, edits, unlocked=attempt < UNLOCKED_ATTEMPTS)
            except ConflictError:
                if attempt == ATTEMPTS - 1:
                    raise
            if self._narrate is not None:
                self._narrate("the images changed meanwhile, retrying")
            time.sleep(random.uniform(0.0, 0.05 * (attempt + 1)))
        raise AssertionError("unreachable")

    def _try(
        self, rows: Sequence[dict[str, Any]], table: Any, edits: Sequence[Edit], *, unlocked: bool
    ) -> tuple[int, Edited]:
        new, edited = 0, Edited()
        looked: Looked = {}

        def change(snapshot: Snapshot, stage: Stage) -> None:
            nonlocal edited, looked
            refused = {
                edit.target for edit in edits if edit.kind == "moved" and not self._is_free(edit.target)
            }
            apply = [edit for edit in edits if not refused or not _is_refused(edit, refused)]
            edited = edit_rows(snapshot, stage, apply)
            looked = drop_vectors(snapshot, stage, edited.changed)

        def finish(live: Snapshot, stage: Stage) -> None:
            nonlocal new
            self._learn(live)
            if not unlocked:
                change(live, stage)
            elif vectors_changed(live, looked, edited.changed) or any(
                edit.kind == "moved" and edit.image_id in moved and not self._is_free(edit.target)
                for edit in edits
            ):
                raise ConflictError(f"{self._store}: the images changed meanwhile; nothing was written")
            # The path of a row that could not be moved is not free either.
            self._foreign.update(
                edit.origin for edit in edits if edit.kind == "moved" and edit.image_id not in edited.moved
            )
            fresh = [self._is_free((row["root"], row["path"])) for row in rows]
            new = sum(fresh)
            _append(live, stage, table.filter(pa.array(fresh, pa.bool_())))

        with open_stage(self._store, command="scan") as stage:
            if unlocked:
                change(open_snapshot(self._store), stage)
            moved = set(edited.moved)
            stage.late(finish)
            after = stage.commit()
        # What was live under the lock was looked at in `finish`; the rest of `after` is this commit.
        self._known_files.update(file.name for file in after.files("images"))
        return new, edited

    def _is_free(self, target: tuple[str, str] | None) -> bool:
        """Whether a row may get that (root, path): no other has it, and the root is still the one scanned."""
        return target not in self._foreign and target is not None and target[0] in self._names

    def _learn(self, live: Snapshot) -> None:
        """Note the (root, path) of rows in files that this scan has not seen, and which roots are still there."""
        self._names = {root.name for root in self._roots.intersection(read_settings(self._store).roots)}
        unknown = [file for file in live.files("images") if file.name not in self._known_files]
        if unknown:
            data = read_files(unknown, ["image_id", "root", "path"])
            self._foreign.update(zip(data["root"].to_pylist(), data["path"].to_pylist(), strict=True))
            self._known_files.update(file.name for file in unknown)


def _is_refused(edit: Edit, refused: Collection[tuple[str, str] | None]) -> bool:
    """Whether an edit moves a row to one of these paths, or has the row that is there give way to it."""
    if edit.kind == "moved":
        return edit.target in refused
    return edit.kind == "vanished" and edit.origin in refused


def _append(live: Snapshot, stage: Stage, table: Any) -> None:
    """Give ids to new rows and add them to the cells of their shards."""
    if not table.num_rows:
        return
    given = stage.allocate_ids(table.num_rows)
    ids = np.arange(given.start, given.stop, dtype=np.int64)
    table = table.set_column(table.schema.get_field_index("image_id"), "image_id", pa.array(ids))
    for shard in range(shard_of(given.start), shard_of(given.stop - 1) + 1):
        inside = table.filter(pa.array(ids >> SHARD_BITS == shard))
        stage.append("images", None, shard, inside, read=live.cell("images", None, shard))
