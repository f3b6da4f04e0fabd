"""Rows of the embeddings table: adding vectors, finding one of the same content, and removing the scores that a
vector's change makes void."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.durable import store_errors
from colonnade.engine.errors import ConflictError, StoreError
from colonnade.engine.provenance import read_definitions
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.tables import embeddings_schema, read_embeddings, read_files, read_footer, read_table
from colonnade.engine.vector_columns import vectors_column, vectors_of

__all__ = ["add_vectors", "remove_rows", "vectors_of_content"]


def add_vectors(
    stage: Stage,
    snapshot: Snapshot,
    model: Model,
    shard: int,
    ids: np.ndarray,
    vectors: np.ndarray,
    *,
    mend: bool = False,
) -> tuple[DataFile, ...]:
    """Add rows to a cell of embeddings, merging small files so that a cell has few (each at least twice the next).

    Rows that the cell has already are replaced. Where the vector differs, the image's scores under that model, which
    describe the old one, are removed, and the derived ones that were made of those.

    Args:
        mend: leave out damaged files that have or may have vectors of these images, and with them the scores of all
            images that no other file of the cell has: nobody can tell what they stand for.

    Returns:
        The damaged files that were left out.

    Raises:
        StoreError: a file of the cell cannot be read.
    """
    cell = snapshot.cell("embeddings", model.key, shard)
    if np.any(np.diff(ids) < 0):
        order = np.argsort(ids)
        ids, vectors = ids[order], vectors[order]
    data = pa.table([pa.array(ids), vectors_column(vectors)], schema=embeddings_schema(model.dimension))
    lost: tuple[DataFile, ...] = ()
    try:
        rows, keep, changed = _merged(cell, data, ids)
    except StoreError:
        if not mend:
            raise
        damaged = [file for file in cell if _is_damaged(file)]
        lost = tuple(file for file in damaged if _may_have(file, ids))
        rows, keep, changed = _merged([file for file in cell if file not in damaged], data, ids)
        keep += [file for file in damaged if file not in lost]
        whole = [file for file in cell if file not in lost]
        if lost:
            described = np.setdiff1d(_ids(whole), changed)
            changed = np.setdiff1d(np.arange(shard << SHARD_BITS, (shard + 1) << SHARD_BITS), described)
    stage.rewrite("embeddings", model.key, shard, rows, keep=keep, read=cell)
    if len(changed):
        scores = _scores(snapshot, shard)
        void = _definitions_of(snapshot, model) if scores else set()
        for files in scores.values():
            remove_rows(stage, files, changed, model=model.key, definitions=void)
        stage.late(partial(_require_scores, shard, scores))
    return lost


def _scores(snapshot: Snapshot, shard: int) -> dict[str, tuple[DataFile, ...]]:
    cells = {code: snapshot.cell("scores", code, shard) for code in snapshot.partitions("scores")}
    return {code: files for code, files in cells.items() if files}


def _require_scores(shard: int, seen: dict[str, tuple[DataFile, ...]], live: Snapshot, stage: Stage) -> None:
    """No scores of the shard may have come or changed: they could be of vectors that are replaced."""
    now = _scores(live, shard)
    for code in now:
        if [file.name for file in now[code]] != [file.name for file in seen.get(code, ())]:
            raise ConflictError(
                f"{live.store}: scores {code} (shard {shard}) changed meanwhile; nothing was written"
            )


def _definitions_of(snapshot: Snapshot, model: Model) -> set[str]:
    """The definitions of scores that come from a model's vectors, if only through what they were derived from."""
    known = read_definitions(snapshot)
    scored = snapshot.partitions("scores")
    found: set[str] = set()
    sources: dict[str, set[str]] = {}
    for name, document in known.items():
        inputs = document.get("inputs")
        made_of = inputs if isinstance(inputs, dict) else {"": document.get("logit")}
        clear = {code: one for code, one in made_of.items() if isinstance(one, str) and one in known}
        sources[name] = set(clear.values())
        # Scores that had no one definition, or one that is lost by now, may have been any model's.
        unclear = made_of.keys() - clear.keys()
        if document.get("model") == model.key or not unclear.isdisjoint(scored):
            found.add(name)
    new = found
    while new:
        new = {name for name, made_of in sources.items() if made_of & new} - found
        found = found | new
    return found


def _merged(
    cell: Sequence[DataFile], data: pa.Table, ids: np.ndarray
) -> tuple[pa.Table, list[DataFile], np.ndarray]:
    """The rows of a cell's new file, the files that stay beside it, and the images whose vector is another now."""
    present = ids[np.isin(ids, _ids(cell))]
    if len(present):
        old = read_files(cell)
        data = data.cast(old.schema)
        replaced = pa.array(np.isin(old["image_id"].to_numpy(), present))
        before, after = (
            vectors_of(some["embedding"])
            for some in (old.filter(replaced), data.filter(pa.array(np.isin(ids, present))))
        )
        changed = present[(before != after).any(axis=1)]
        return pa.concat_tables([old.filter(pc.invert(replaced)), data]), [], changed
    merged, keep = [data], list(cell)
    sizes = {file.name: read_footer(file).rows for file in cell}
    total = len(ids)
    for file in sorted(cell, key=lambda file: sizes[file.name]):
        if sizes[file.name] > total:
            break
        merged.append(read_files([file]))
        keep.remove(file)
        total += sizes[file.name]
    return pa.concat_tables(merged), keep, present


def _ids(files: Sequence[DataFile]) -> np.ndarray:
    if not files:
        return np.empty(0, np.int64)
    return np.asarray(read_files(files, ["image_id"])["image_id"].to_numpy())


def _is_damaged(file: DataFile) -> bool:
    """Whether it cannot be read for what is in it, and not for what the disk or the memory let this process do."""
    try:
        read_files([file])
    except StoreError:
        with store_errors(file.path), file.path.open("rb") as content:
            return not hashlib.file_digest(content, "sha256").hexdigest().startswith(file.digest)
    return False


def _may_have(file: DataFile, ids: np.ndarray) -> bool:
    try:
        return bool(np.isin(ids, _ids([file])).any())
    except StoreError:
        return True


def vectors_of_content(snapshot: Snapshot, model: Model, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """Content hash -> the stored unit vector float32 [D] of an image of that content, where there is one."""
    files = snapshot.files("embeddings", model.key)
    if not files or not wanted:
        return {}
    images = read_table("images", snapshot.files("images"), ["image_id", "content_hash"])
    images = images.filter(pc.is_in(images["content_hash"], pa.array(list(wanted), pa.string())))
    content = dict(zip(images["image_id"].to_pylist(), images["content_hash"].to_pylist(), strict=True))
    twins = images["image_id"].to_numpy()
    found: dict[str, np.ndarray] = {}
    for file in files:
        if not np.isin(twins, _ids([file])).any():
            continue
        for ids, vectors in read_embeddings([file]):
            for row in np.flatnonzero(np.isin(ids, twins)).tolist():
                found.setdefault(content[int(ids[row])], vectors[row].copy())
    return found


def remove_rows(
    stage: Stage,
    cell: Sequence[DataFile],
    ids: Sequence[int] | np.ndarray,
    *,
    model: str | None = None,
    definitions: Collection[str] = (),
) -> int:
    """Stage the removal of some images' rows from one cell; returns how many it has.

    Args:
        model: of scores, those alone that a model has made; of any by default.
        definitions: of scores, those of these definitions as well.
    """
    if not cell or not len(ids):
        return 0
    data = read_files(cell, ["image_id"] if model is None else ["image_id", "model", "definition"])
    lost = np.isin(data["image_id"].to_numpy(), ids)
    if model is not None:
        named = pc.is_in(data["definition"], pa.array(list(definitions), pa.string()))
        lost &= pc.or_(pc.equal(data["model"], model), named).to_numpy()
    count = int(np.count_nonzero(lost))
    if count:
        file = cell[0]
        rows = read_files(cell).filter(pa.array(~lost))
        stage.replace(file.table, file.partition, file.shard, rows, read=cell)
    return count
