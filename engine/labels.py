"""People's judgements: importing, listing and exporting them.

A label is of the picture that was judged, known by its content hash. When the picture changes, its labels are set
aside: kept, but not current.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from colonnade.engine.columns import shard_of
from colonnade.engine.duck import connect, duck_errors, parquet
from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.label_files import Judgement, LineFault, read_judgements
from colonnade.engine.label_images import LabelImages
from colonnade.engine.nearest import nearest
from colonnade.engine.review_answers import choice_kept
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, conflict_retries, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_table
from colonnade.engine.vocabulary import DerivedAttribute, Vocabulary

__all__ = ["LABEL_COLUMNS", "CodeLabels", "ImportedLabels", "export_labels", "import_labels", "list_labels"]

LABEL_COLUMNS = (
    "code", "image_id", "root", "path", "uuid", "present", "reviewer", "reviewed_at", "policy", "probability",
    "content_hash", "current",
)  # fmt: skip
"""What an export has of each label. `current`: the picture is still the one that was judged."""

_SHOWN_FAULTS = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ImportedLabels:
    """What an import of labels did."""

    read: int
    """Judgements in the file that could be used."""
    written: int
    """Labels that are new, or replaced an older one of the same image and reviewer."""
    set_aside: int
    """Of those written, labels of a picture that has changed since (the file names its hash)."""
    skipped: tuple[LineFault, ...] = ()
    codes: tuple[str, ...] = ()
    """The attributes of the labels that were read, in their order."""


@dataclass(frozen=True, slots=True)
class CodeLabels:
    """The labels of one attribute. The counts of answers are of current labels."""

    code: str
    yes: int
    no: int
    unsure: int
    images: int
    """Images with a current label."""
    reviewers: tuple[str, ...]
    set_aside: int
    """Labels of pictures that have changed or are gone."""
    known: bool
    """Whether the vocabulary has the attribute."""


@dataclass(frozen=True, slots=True)
class _Label:
    """A judgement whose image is known."""

    image_id: int
    content_hash: str | None
    """Of the picture as it is now, unless the file told another."""
    judgement: Judgement


def import_labels(store: Store, file: Path, *, skip_unknown: bool = False) -> ImportedLabels:
    """Store the judgements of a file (see `label_files`) in one commit.

    Of one image and reviewer the newest judgement stands; one without a time counts as made now. A judgement that says
    what is stored already changes nothing.

    Args:
        skip_unknown: leave out lines with an unknown image or code, or anything else wrong, instead of refusing all.

    Raises:
        InputError: the file is wrong; up to 20 lines are named, and nothing was stored.
    """
    judgements, faults = read_judgements(file)
    now = datetime.now(UTC)
    for _ in conflict_retries(store.path):
        snapshot, vocabulary = store.snapshot(), store.vocabulary()
        labels, unknown = _resolve(store, snapshot, vocabulary, judgements)
        wrong = sorted([*faults, *unknown], key=lambda fault: fault.line)
        if wrong and not skip_unknown:
            raise _refusal(file, wrong)
        written = [0]
        try:
            with open_stage(store.path, command="labels import") as stage:
                for shard in snapshot.shards("images"):
                    stage.require("images", None, shard, read=snapshot.cell("images", None, shard))
                stage.late(partial(_merge, labels=labels, now=now, written=written))
                stage.commit()
        except ConflictError:
            continue
        aside = sum(label.judgement.content_hash not in (None, label.content_hash) for label in labels)
        codes = tuple(dict.fromkeys(label.judgement.code for label in labels))
        return ImportedLabels(len(labels), written[0], aside, tuple(wrong), codes)
    raise AssertionError("unreachable")


def _refusal(file: Path, wrong: Sequence[LineFault]) -> InputError:
    lines = [f"{file}:{fault.line}: {fault.message}" for fault in wrong[:_SHOWN_FAULTS]]
    if len(wrong) > _SHOWN_FAULTS:
        lines.append(f"... and {len(wrong) - _SHOWN_FAULTS:,} more")
    number = "1 line is" if len(wrong) == 1 else f"{len(wrong):,} lines are"
    lines.append(f"{number} wrong, nothing was imported; --skip-unknown leaves out what is wrong")
    return InputError("\n".join(lines))


def _resolve(
    store: Store, snapshot: Snapshot, vocabulary: Vocabulary, judgements: Sequence[Judgement]
) -> tuple[list[_Label], list[LineFault]]:
    images = LabelImages(store, snapshot, {judgement.image[1] for judgement in judgements})
    labels, faults = [], []
    for judgement in judgements:
        if judgement.code not in vocabulary:
            hint = nearest(judgement.code, vocabulary.codes)
            message = f"no attribute {judgement.code[:80]!r} in the vocabulary"
            faults.append(LineFault(judgement.line, message + (f"; did you mean {hint}?" if hint else "")))
            continue
        attribute = vocabulary.attribute(judgement.code)
        if isinstance(attribute, DerivedAttribute):
            inputs = ", ".join(attribute.rule.codes[:5])
            message = f"{judgement.code} is derived by a rule; label what that names: {inputs}"
            faults.append(LineFault(judgement.line, message))
            continue
        found = images.find(judgement)
        if isinstance(found, str):
            faults.append(LineFault(judgement.line, found))
        else:
            labels.append(_Label(found, images.hashes[found], judgement))
    return labels, faults


def _merge(live: Snapshot, stage: Stage, labels: Sequence[_Label], now: datetime, written: list[int]) -> None:
    written[0] = 0
    cells: dict[tuple[str, int], list[_Label]] = {}
    for label in labels:
        cells.setdefault((label.judgement.code, shard_of(label.image_id)), []).append(label)
    for (code, shard), members in sorted(cells.items()):
        files = live.cell("labels", code, shard)
        rows = {(r["image_id"], r["reviewer"]): r for r in read_table("labels", files).to_pylist()}
        before = dict(rows)
        for label in members:
            key = (label.image_id, label.judgement.reviewer)
            old = rows.get(key)
            row = choice_kept(_row(label, now), old)
            if old is None or _supersedes(row, old, timed=label.judgement.reviewed_at is not None):
                rows[key] = row
        changed = [key for key, row in rows.items() if before.get(key) is not row]
        if changed:
            written[0] += len(changed)
            data = pa.Table.from_pylist(list(rows.values()), schema=SCHEMAS["labels"])
            stage.replace("labels", code, shard, data, read=files)


def _row(label: _Label, now: datetime) -> dict[str, Any]:
    judgement = label.judgement
    return {
        "image_id": label.image_id,
        "content_hash": judgement.content_hash or label.content_hash,
        "present": judgement.present,
        "reviewer": judgement.reviewer,
        "reviewed_at": judgement.reviewed_at or now,
        "policy": judgement.policy,
        "probability": judgement.probability,
    }


def _supersedes(new: dict[str, Any], old: dict[str, Any], *, timed: bool) -> bool:
    same = all(new[name] == old[name] for name in ("present", "content_hash", "policy", "probability"))
    if same and (not timed or new["reviewed_at"] == old["reviewed_at"]):
        return False
    return bool(old["reviewed_at"] is None or new["reviewed_at"] >= old["reviewed_at"])


def list_labels(
    snapshot: Snapshot, vocabulary: Vocabulary, codes: Sequence[str] | None = None
) -> tuple[CodeLabels, ...]:
    """What is labelled, per attribute (all that have labels, or `codes`), in the vocabulary's order.

    Raises:
        InputError: a code is neither in the vocabulary nor labelled.
    """
    labelled = snapshot.partitions("labels")
    for code in codes or ():
        if code not in labelled:
            vocabulary.attribute(code)
    every = [code for code in vocabulary.codes if code in labelled or code in (codes or ())]
    every += [code for code in labelled if code not in vocabulary]
    wanted = every if codes is None else [code for code in every if code in codes]
    return tuple(_count(snapshot, code, known=code in vocabulary) for code in wanted)


def _count(snapshot: Snapshot, code: str, *, known: bool) -> CodeLabels:
    if not snapshot.files("labels", code):
        return CodeLabels(code, 0, 0, 0, 0, (), 0, known)
    sql = f"""
        SELECT count(*) FILTER (current AND present), count(*) FILTER (current AND NOT present),
            count(*) FILTER (current AND present IS NULL), count(DISTINCT image_id) FILTER (current),
            list_sort(list(DISTINCT reviewer) FILTER (reviewer <> '')), count(*) FILTER (NOT current)
        FROM ({_labels_sql(snapshot, code)})
    """
    yes, no, unsure, images, reviewers, aside = next(_fetch(snapshot, sql))
    return CodeLabels(code, yes, no, unsure, images, tuple(reviewers or ()), aside, known)


def export_labels(snapshot: Snapshot, codes: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Every label (of all attributes, or of `codes`) with the columns LABEL_COLUMNS, by code, image and reviewer."""
    for code in snapshot.partitions("labels"):
        if codes is not None and code not in codes:
            continue
        sql = f"SELECT * FROM ({_labels_sql(snapshot, code)}) ORDER BY image_id, reviewer"
        for row in _fetch(snapshot, sql):
            label = dict(zip(LABEL_COLUMNS, (code, *row), strict=True))
            moment = label["reviewed_at"]
            yield label | {"reviewed_at": None if moment is None else _EPOCH + timedelta(microseconds=moment)}


_NO_IMAGES = "(SELECT 0 AS image_id, '' AS root, '' AS path, '' AS uuid, '' AS content_hash LIMIT 0)"


def _labels_sql(snapshot: Snapshot, code: str) -> str:
    """The labels of an attribute with their images; a label of an image that is gone stays, without its path."""
    images = snapshot.files("images")
    source = parquet(images) if images else _NO_IMAGES
    return f"""
        SELECT image_id, root, path, uuid, present, reviewer, epoch_us(reviewed_at) AS reviewed_at,
            policy, probability, labels.content_hash,
            images.image_id IS NOT NULL AND labels.content_hash IS NOT DISTINCT FROM images.content_hash AS current
        FROM {parquet(snapshot.files("labels", code))} AS labels
        LEFT JOIN {source} AS images USING (image_id)
    """


def _fetch(snapshot: Snapshot, sql: str) -> Iterator[tuple[Any, ...]]:
    with duck_errors(str(snapshot.path)):
        connection = connect()
        try:
            cursor = connection.execute(sql)
            while rows := cursor.fetchmany(2048):
                yield from rows
        finally:
            connection.close()
