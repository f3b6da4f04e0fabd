"""What an embedding run leaves in the store: vectors, and why an image could not be decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.embedding_rows import add_vectors
from colonnade.engine.errors import ConflictError
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.stage import Stage, conflict_retries, open_stage, retrying
from colonnade.engine.store import Store
from colonnade.engine.tables import read_table

__all__ = ["commit_batch"]


def commit_batch(
    store: Store,
    model: Model,
    hashes: Mapping[int, str | None],
    on_conflict: Callable[[str], None],
    ready: Sequence[tuple[np.ndarray, np.ndarray]],
    failed: Sequence[tuple[int, str]],
) -> None:
    """Commit finished images; a row that describes other bytes by now stays as it is.

    A damaged file with vectors of these images is left out, which `on_conflict` is told.

    Args:
        hashes: image -> the content that was decoded.
        ready: ids int64 [n] and their unit vectors float32 [n, D].
        failed: images that cannot be decoded, and why.
    """
    if not ready and not failed:
        return
    ids = np.concatenate([ids for ids, _ in ready]) if ready else np.empty(0, np.int64)
    vectors = (
        np.concatenate([vectors for _, vectors in ready])
        if ready
        else np.empty((0, model.dimension), np.float32)
    )
    for _ in conflict_retries(store.path, on_conflict):
        try:
            with open_stage(store.path, command="embed", say=on_conflict) as stage:
                lost = _stage_rows(stage, store.snapshot(), model, hashes, ids, vectors, dict(failed))
                stage.commit()
            for file in lost:
                on_conflict(
                    f"{file.path}: damaged, so its vectors are not used any more; those that this command does not "
                    "make anew are for the next `colonnade sync`, or to be imported again"
                )
            return
        except ConflictError as error:
            on_conflict(retrying(error))


def _stage_rows(
    stage: Stage,
    snapshot: Snapshot,
    model: Model,
    hashes: Mapping[int, str | None],
    ids: np.ndarray,
    vectors: np.ndarray,
    bad: Mapping[int, str],
) -> list[DataFile]:
    """Returns the damaged files that the commit leaves out."""
    lost: list[DataFile] = []
    touched = np.concatenate([ids, np.array(list(bad), dtype=np.int64)])
    for shard in np.unique(touched >> SHARD_BITS).tolist():
        images = snapshot.cell("images", None, shard)
        rows = read_table("images", images)
        current = dict(zip(rows["image_id"].to_pylist(), rows["content_hash"].to_pylist(), strict=True))
        stage.require("images", None, shard, read=images)
        # What was made from other bytes than the row now describes says nothing about it.
        same = {i for i in touched.tolist() if current.get(i, -1) == hashes[i]}
        mine = np.flatnonzero(np.isin(ids, list(same)))
        if len(mine):
            lost += add_vectors(stage, snapshot, model, shard, ids[mine], vectors[mine], mend=True)
        errors: dict[int, str | None] = {i: bad[i] for i in bad if i in same}
        wrong = {i for i, error in zip(current, rows["error"].to_pylist(), strict=True) if error is not None}
        errors |= dict.fromkeys(wrong.intersection(ids[mine].tolist()))
        if errors:
            stage.replace("images", None, shard, _with_errors(rows, errors), read=images)
    return lost


def _with_errors(rows: pa.Table, errors: dict[int, str | None]) -> pa.Table:
    """The rows of an images cell with other errors for some ids; None: it is readable after all."""
    ids, states, reasons = (rows[name].to_pylist() for name in ("image_id", "state", "error"))
    for row, image_id in enumerate(ids):
        if image_id in errors:
            reasons[row] = errors[image_id]
            if reasons[row] is not None:
                states[row] = "unreadable"
            elif states[row] == "unreadable":
                states[row] = "ok"
    rows = rows.set_column(rows.schema.get_field_index("state"), "state", pa.array(states, pa.string()))
    return rows.set_column(rows.schema.get_field_index("error"), "error", pa.array(reasons, pa.string()))
