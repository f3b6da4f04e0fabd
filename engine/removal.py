"""Taking things out of the store on purpose: scores of attributes that are gone, rows of images that are gone.

Older snapshots keep what was removed until garbage collection takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.embedding_rows import remove_rows
from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.freshness import inputs_digest
from colonnade.engine.provenance import read_definitions
from colonnade.engine.snapshots import DataFile, Snapshot, list_snapshots, open_snapshot
from colonnade.engine.stage import Stage, conflict_retries, open_stage, retrying
from colonnade.engine.store import Store
from colonnade.engine.tables import id_digest, read_files, read_footer
from colonnade.engine.vocabulary import nearest
from colonnade.engine.vocabulary_fields import is_code

__all__ = ["Forgotten", "drop", "forget", "missing_images"]

_BY_IMAGE = ("images", "embeddings", "scores", "labels", "sets", "projections")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Rows that `forget` removed."""

    images: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    """Table -> rows removed, of the tables that lost any."""


def drop(
    store: Store, codes: Sequence[str], *, calibrations: bool = False, on_conflict: Say | None = None
) -> dict[str, int]:
    """Remove the scores of attributes that the vocabulary no longer has; labels always stay.

    Args:
        calibrations: remove their calibrations as well.

    Returns:
        Code -> rows of scores removed.

    Raises:
        InputError: a code is still in the vocabulary, or the store has nothing of it.
    """
    codes = tuple(dict.fromkeys(codes))
    for _ in conflict_retries(store.path, on_conflict):
        snapshot = store.snapshot()
        _refuse(store, snapshot, codes, calibrations)
        removed: dict[str, int] = {}
        try:
            with open_stage(store.path, command="drop", say=on_conflict) as stage:
                for code in codes:
                    files = snapshot.files("scores", code)
                    removed[code] = sum(read_footer(file).rows for file in files)
                    stage.drop("scores", code, read=files)
                    if calibrations:
                        stage.drop("calibrations", code, read=snapshot.files("calibrations", code))
                stage.commit()
        except ConflictError as error:
            _tell(on_conflict, error)
            continue
        return removed
    raise AssertionError("unreachable")


def _refuse(store: Store, snapshot: Snapshot, codes: Sequence[str], calibrations: bool) -> None:
    known = set(store.vocabulary().codes)
    scored = set(snapshot.partitions("scores"))
    if calibrations:
        scored |= set(snapshot.partitions("calibrations"))
    for code in codes:
        if code in known:
            raise InputError(
                f"{code}: still in the vocabulary; `colonnade vocab remove {code}` first, then drop it"
            )
        if code not in scored:
            orphans = sorted(scored - known)
            hint = nearest(code, orphans)
            advice = f"did you mean {hint!r}?" if hint else "`colonnade plan` lists what can be dropped"
            raise InputError(f"{code!r}: the store has no scores of it; {advice}")


def missing_images(store: Store, *, missing_for: float | None = None) -> np.ndarray:
    """The ids (int64 [n]) of images in state `missing`.

    Args:
        missing_for: only those that a snapshot of at least so many days ago shows missing as well. The images
            table holds no date of that, so that without a snapshot so old there are none.
    """
    snapshot = store.snapshot()
    ids = _missing(snapshot)
    if missing_for is None:
        return ids
    before = datetime.now(UTC) - timedelta(days=missing_for)
    for number in reversed(list_snapshots(store.path)):
        old = open_snapshot(store.path, number)
        if old.dated and old.created <= before:
            return np.intersect1d(ids, _missing(old))
    return np.empty(0, dtype=np.int64)


def _missing(snapshot: Snapshot) -> np.ndarray:
    found = [np.empty(0, dtype=np.int64)]
    for file in snapshot.files("images"):
        rows = read_files([file], ["image_id", "state"])
        found.append(rows.filter(pc.equal(rows["state"], "missing"))["image_id"].to_numpy())
    return np.sort(np.concatenate(found))


def forget(
    store: Store,
    ids: np.ndarray,
    *,
    progress: Callable[[int, int], None] | None = None,
    on_conflict: Say | None = None,
) -> Forgotten:
    """Remove images that are missing, and everything stored of them, in one commit.

    Derived scores that were fresh stay so: their rows of the other images are what would be made now.

    Args:
        ids: int64 [n], as `missing_images` gave them; those that are back by now are left alone.
        progress: called with (cells looked at, cells in all).
    """
    for _ in conflict_retries(store.path, on_conflict):
        snapshot = store.snapshot()
        gone = np.intersect1d(ids, _missing(snapshot))
        if not len(gone):
            return Forgotten()
        cells = _cells(snapshot, {int(shard) for shard in np.unique(gone >> SHARD_BITS)})
        inputs = _inputs_then(snapshot, cells, gone)
        removed: dict[str, int] = {}
        try:
            with open_stage(store.path, command="forget", say=on_conflict) as stage:
                for index, (cell, files) in enumerate(cells.items()):
                    if cell in inputs:
                        count = _remove_derived(stage, files, gone, inputs[cell])
                    else:
                        count = remove_rows(stage, files, gone)
                    if count:
                        removed[files[0].table] = removed.get(files[0].table, 0) + count
                    if progress:
                        progress(index + 1, len(cells))
                stage.late(partial(_require_unchanged, cells))
                stage.commit()
        except ConflictError as error:
            _tell(on_conflict, error)
            continue
        return Forgotten(len(gone), removed)
    raise AssertionError("unreachable")


Cell = tuple[str, str | None, int]
Cells = dict[Cell, tuple[DataFile, ...]]


def _cells(snapshot: Snapshot, shards: set[int]) -> Cells:
    cells: Cells = {}
    for table in _BY_IMAGE:
        for file in snapshot.files(table):
            if file.shard in shards:
                key = table, file.partition, file.shard
                cells[key] = (*cells.get(key, ()), file)
    return cells


def _inputs_then(snapshot: Snapshot, cells: Cells, gone: np.ndarray) -> dict[Cell, str]:
    """The digest of what its inputs will have, of each derived cell that was made from what they have now.

    A cell that was made from anything else is not in it: without a digest, it stays stale.
    """
    known = read_definitions(snapshot)
    held: dict[Cell, tuple[tuple[int, int], tuple[int, int]]] = {}
    then: dict[Cell, str] = {}
    for cell, files in cells.items():
        table, _, shard = cell
        if table != "scores" or len(files) > 1:
            continue
        footer = read_footer(files[0])
        # Of the rule that it was made by: the vocabulary's may be another by now.
        codes = known.get(footer.definition or "", {}).get("inputs")
        if footer.inputs is None or not isinstance(codes, dict) or not all(map(is_code, codes)):
            continue
        sources = {code: (table, code, shard) for code in codes}
        for source in sources.values():
            if source not in held:
                held[source] = _now_and_then(cells.get(source, ()), gone)
        if footer.inputs == inputs_digest({code: held[source][0] for code, source in sources.items()}):
            then[cell] = inputs_digest({code: held[source][1] for code, source in sources.items()})
    return then


def _now_and_then(files: Sequence[DataFile], gone: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and id digest of a cell, as `inputs_digest` takes them: with the images that go, and without."""
    if not files:
        return (0, 0), (0, 0)
    footers = [read_footer(file) for file in files]
    rows, digest = sum(footer.rows for footer in footers), sum(footer.id_digest for footer in footers)
    ids = read_files(files, ["image_id"])["image_id"].to_numpy()
    lost = ids[np.isin(ids, gone)]
    return (rows, digest % 2**64), (rows - len(lost), (digest - id_digest(lost)) % 2**64)


def _remove_derived(stage: Stage, cell: Sequence[DataFile], gone: np.ndarray, inputs: str) -> int:
    """Stage a derived cell's removal of rows and its new digest of inputs; returns how many rows it loses.

    It may lose none where its inputs do: then the digest alone is new.
    """
    data = read_files(cell)
    lost = np.isin(data["image_id"].to_numpy(), gone)
    count = int(np.count_nonzero(lost))
    if count or read_footer(cell[0]).inputs != inputs:
        file = cell[0]
        rows = data.filter(pa.array(~lost))
        stage.replace(file.table, file.partition, file.shard, rows, read=cell, inputs=inputs)
    return count


def _require_unchanged(seen: Cells, live: Snapshot, stage: Stage) -> None:
    """No cell of these shards may have come or changed: it could hold rows of images that go."""
    now = _cells(live, {shard for _, _, shard in seen})
    if {cell: [f.name for f in files] for cell, files in now.items()} != {
        cell: [f.name for f in files] for cell, files in seen.items()
    }:
        raise ConflictError(f"{live.store}: the rows of these images changed meanwhile; nothing was written")


def _tell(on_conflict: Say | None, error: ConflictError) -> None:
    if on_conflict:
        on_conflict(retrying(error))
