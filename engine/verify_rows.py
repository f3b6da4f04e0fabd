"""The store as rows: every data file of a snapshot read once, by batches, against what its table promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from colonnade.engine.columns import SHARD_BITS, SHARD_IMAGES, TABLES
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.findings import Findings, Tally
from colonnade.engine.schemas import column_fault
from colonnade.engine.settings import Settings
from colonnade.engine.snapshots import DataFile
from colonnade.engine.tables import id_digest, read_footer
from colonnade.engine.verify_derived import check_derived
from colonnade.engine.verify_logits import LogitSample
from colonnade.engine.verify_lost import WHOLE, ImageIds, VectorIds
from colonnade.engine.verify_scores import ScoreRows, read_definition_rows
from colonnade.engine.verify_tables import CHECKS, ImageRows, VectorRows
from colonnade.engine.vocabulary import load_vocabulary

__all__ = ["check_rows"]

_MAX_GROUP_BYTES = 8 << 30
_MAX_PLAIN_ROWS = 4_000_000
_SCORE_BATCH, _VECTOR_BATCH = 131_072, 8_192
_DAMAGE = (pa.ArrowException, ValueError, TypeError, OverflowError, RecursionError, OSError, MemoryError)
_WORDS = ["status", "label_source", "model", "definition"]
_ORDER = ("definitions", "images", "embeddings", "prompts", "scores", "labels", "sets", "projections")

Check = Callable[[pa.RecordBatch, np.ndarray, Tally], None]


@dataclass(slots=True)
class _Context:
    store: Path
    next_image_id: int
    findings: Findings
    codes: Mapping[str, str] | None
    """Attribute code -> what makes its scores anew, `tag` or `derive`; None where the vocabulary cannot be read."""
    images: ImageIds = field(default_factory=ImageIds)
    vectors: VectorIds = field(default_factory=VectorIds)
    rows: int = 0


def check_rows(
    store: Path,
    tables: Mapping[str, Sequence[DataFile]],
    next_image_id: int,
    settings: Settings | None,
    findings: Findings,
    progress: Callable[[int], None],
) -> int:
    """Check every row of a snapshot's files; returns how many there are.

    Args:
        tables: table -> its files, as `check_snapshot` found them.
        progress: gets the bytes of each file that was read.
    """
    context = _Context(store, next_image_id, findings, _codes(store))
    definitions = read_definition_rows(store, tables.get("definitions", ()), findings)
    sample = LogitSample(definitions, _partitions(tables.get("prompts", ())))
    scores = ScoreRows(definitions, findings, sample, context.vectors)
    images = ImageRows(findings)
    judged = _partitions(tables.get("labels", ()))
    for table in (*_ORDER, "calibrations"):
        for partition, files in _partitions(tables.get(table, ())).items():
            check: Check
            if table == "scores":
                check = scores.check
            elif table == "images":
                check = images.check
            elif table in ("embeddings", "prompts"):
                vectors = VectorRows(table, settings.model(partition or "") if settings else None)
                check = vectors.check if table == "prompts" else _kept(sample, partition, vectors.check)
                if settings and settings.model(partition or "") is None:
                    findings.note(f"{table}: model {partition} is not in colonnade.toml")
            else:
                check = CHECKS[table]
            if table == "calibrations" and partition not in judged:
                check = _noted(findings, partition, check)
            _check_partition(context, files, check, progress)
    images.finish()
    context.images.finish(findings)
    context.vectors.finish(findings)
    check_derived(store, tables.get("scores", ()), definitions, findings, partial(_advice, context))
    return context.rows


def _kept(sample: LogitSample, model: str | None, check: Check) -> Check:
    """The check of embeddings, which keeps some of them for that of logits."""

    def both(batch: pa.RecordBatch, ids: np.ndarray, tally: Tally) -> None:
        check(batch, ids, tally)
        sample.keep(model or "", batch, ids)

    return both


def _noted(findings: Findings, code: str | None, check: Check) -> Check:
    """The check of calibrations, which notes a fit by labels where there are no labels."""

    def both(batch: pa.RecordBatch, ids: np.ndarray, tally: Tally) -> None:
        check(batch, ids, tally)
        if "labels" in batch.column("method").to_pylist():
            what = f"labels: there are none of {code}, while its calibration rests on some"
            findings.note(f"{what}; unless `forget` took their images, they are lost: {WHOLE}")

    return both


def _partitions(files: Sequence[DataFile]) -> dict[str | None, list[DataFile]]:
    partitions: dict[str | None, list[DataFile]] = {}
    for file in files:
        partitions.setdefault(file.partition, []).append(file)
    return partitions


def _check_partition(
    context: _Context, files: Sequence[DataFile], check: Check, progress: Callable[[int], None]
) -> None:
    cells: dict[int, list[np.ndarray]] = {}
    for file in files:
        ids = _check_file(context, file, check)
        progress(file.path.lstat().st_size if file.path.exists() else 0)
        if ids is not None:
            cells.setdefault(file.shard, []).append(ids)
        elif file.table == "images":
            context.images.unread(file.shard)
        if file.table == "embeddings":
            context.vectors.add(file.partition or "", file.shard, ids)
    for shard, parts in cells.items():
        merged = _distinct(np.concatenate(parts))
        if len(parts) > 1 and len(merged) < sum(len(_distinct(part)) for part in parts):
            where = str(files[0].path.parent.relative_to(context.store))
            twice = sum(len(part) for part in parts) - len(merged)
            what = f"shard {shard}: {twice:,} image ids are in more than one file"
            context.findings.fault(where, what, _advice(context, files[0]))
        if files[0].table == "images":
            context.images.shards[shard] = merged


def _distinct(ids: np.ndarray) -> np.ndarray:
    """As np.unique, but quick where the ids ascend already, as they do unless something is wrong."""
    ids = ids if np.all(ids[:-1] <= ids[1:]) else np.sort(ids)
    return ids[np.concatenate(([True], ids[1:] != ids[:-1]))] if len(ids) else ids


def _check_file(context: _Context, file: DataFile, check: Check) -> np.ndarray | None:
    """Reads one file; returns its image ids where its table has them."""
    where, tally, blocks = str(file.path.relative_to(context.store)), Tally(), []
    rows = 0
    try:
        with pq.ParquetFile(file.path) as parquet:
            fault = _shape_fault(file, parquet)
        if fault is not None:
            context.findings.fault(where, fault, _advice(context, file))
            return None
        with pq.ParquetFile(file.path, read_dictionary=_WORDS if file.table == "scores" else None) as parquet:
            has_ids = "image_id" in parquet.schema_arrow.names
            size = _VECTOR_BATCH if file.table in ("embeddings", "prompts") else _SCORE_BATCH
            for batch in parquet.iter_batches(batch_size=size):
                rows += batch.num_rows
                ids = np.empty(0, np.int64)
                if has_ids:
                    column = batch.column("image_id")
                    tally.rows(np.asarray(column.is_null()), "without an image id")
                    ids = column.fill_null(-1).to_numpy(zero_copy_only=False)
                    blocks.append(ids)
                check(batch, ids, tally)
            if rows != parquet.metadata.num_rows:
                what = f"{rows:,} rows, its footer says {parquet.metadata.num_rows:,}"
                context.findings.fault(where, what, _advice(context, file))
    except FileNotFoundError:
        return None  # check_checksums tells
    except _DAMAGE as error:
        context.findings.fault(where, f"damaged ({str(error)[:200]})", _advice(context, file))
        return None
    context.rows += rows
    found = None
    if has_ids:
        found = np.concatenate(blocks) if blocks else np.empty(0, np.int64)
        _check_ids(context, file, found, tally)
    for what in (*tally, *_footer_faults(file, found)):
        context.findings.fault(where, what, _advice(context, file))
    return found


def _shape_fault(file: DataFile, parquet: pq.ParquetFile) -> str | None:
    if fault := column_fault(file.table, parquet.schema_arrow):
        return fault
    has_ids = "image_id" in parquet.schema_arrow.names
    limit = SHARD_IMAGES if has_ids and file.table != "labels" else _MAX_PLAIN_ROWS
    metadata = parquet.metadata
    if metadata.num_rows > limit:
        return f"claims {metadata.num_rows:,} rows; a shard has at most {limit:,}"
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    if any(group.num_rows > limit or not 0 <= group.total_byte_size <= _MAX_GROUP_BYTES for group in groups):
        return "claims a row group of an absurd size"
    if metadata.num_rows == 0:
        return "has no rows"
    if not has_ids and file.shard:
        return f"is in shard {file.shard}; this table has shard 0 only"
    return None


def _check_ids(context: _Context, file: DataFile, ids: np.ndarray, tally: Tally) -> None:
    steps = np.diff(ids)
    if file.table != "labels":  # one row an image and reviewer
        tally.rows(steps == 0, "with the image id of the row before", ids[1:])
    tally.rows(steps < 0, "out of the order of image ids", ids[1:])
    tally.rows((ids >> SHARD_BITS) != file.shard, f"that do not belong to shard {file.shard}", ids)
    limit = context.next_image_id
    tally.rows(ids >= limit, f"with an image id that was never given out ({limit:,} is the next)", ids)
    if file.table == "images":
        return
    lacking = context.images.lacking(file.table, file.shard, ids)
    tally.rows(lacking, "of images that the images table lacks", ids)


def _footer_faults(file: DataFile, ids: np.ndarray | None) -> list[str]:
    try:
        footer = read_footer(file)
    except StoreError as error:
        return [str(error)]
    if ids is None or not len(ids):
        return []
    faults = []
    if footer.id_digest != id_digest(ids):
        faults.append(f"its footer's id digest {footer.id_digest:016x} is not that of its ids")
    if (footer.min_id, footer.max_id) != (int(ids.min()), int(ids.max())):
        faults.append(
            f"its footer says ids {footer.min_id} to {footer.max_id}, they are {ids.min()} to {ids.max()}"
        )
    if file.table == "scores":
        faults += _word_faults(file, footer.definition, footer.model)
    return faults


def _word_faults(file: DataFile, definition: str | None, model: str | None) -> list[str]:
    """That the footer of scores names the one definition and model of its rows, or none where there are several."""
    faults = []
    with pq.ParquetFile(file.path, read_dictionary=_WORDS) as parquet:
        data = parquet.read(columns=["definition", "model"])
    for name, said in (("definition", definition), ("model", model)):
        values = set(data[name].unique().to_pylist())
        if said != (next(iter(values)) if len(values) == 1 else None):
            faults.append(f"its footer says {name} {said}, its rows have {len(values)} of them")
    return faults


def _codes(store: Path) -> dict[str, str] | None:
    try:
        vocabulary = load_vocabulary(store / "vocabulary.yaml")
    except InputError:
        return None
    commands = {attribute.code: "tag" for attribute in vocabulary.base}
    return commands | {attribute.code: "derive" for attribute in vocabulary.derived}


def _advice(context: _Context, file: DataFile) -> str:
    code = file.partition or ""
    if file.table == "scores":
        if context.codes is None:
            return f"`colonnade tag {code} --force` makes them anew (`derive` for a derived attribute)"
        if code not in context.codes:
            return f"the vocabulary does not have {code} any more: `colonnade drop {code}` removes its scores"
        return f"`colonnade {context.codes[code]} {code} --force` makes them anew"
    if file.table == "embeddings":
        return (
            "`colonnade embed --force` makes those of image files anew, after it import the others again; "
            "where all are imported, restore the file from a backup, or `colonnade restore N`"
        )
    if TABLES[file.table] is None:
        return WHOLE
    return "restore the file from a backup, or go back with `colonnade restore N`"
