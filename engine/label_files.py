"""Reading judgements made elsewhere: CSV, JSON lines or Parquet, checked line by line."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from colonnade.engine.errors import InputError
from colonnade.engine.review_answers import IMPORTED, LEAST_PROBABILITY

__all__ = ["Judgement", "LineFault", "read_judgements"]

_AHEAD = timedelta(days=1)
"""Clocks differ."""
IMAGE_COLUMNS = ("image_id", "path", "id", "uuid")
POLICIES = ("policy", "audit", IMPORTED, "again", "audit again")
"""How a picture can have been chosen: by the review's policy, by chance for an audit, or elsewhere; `again`: that
somebody was asked for a second look."""
MAX_BYTES = 512 << 20
MAX_TEXT = 4096
_MAX_REVIEWER = 200
_WORDS: dict[str, bool | None] = {
    "true": True, "yes": True, "y": True, "1": True, "1.0": True, "present": True,
    "false": False, "no": False, "n": False, "0": False, "0.0": False, "absent": False,
    "null": None, "none": None, "unsure": None, "u": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judgement:
    """One line of a file of labels: a person's answer to "does this picture show it?"."""

    line: int
    """Where it stands, from 1; of a Parquet file, its row."""
    image: tuple[str, str]
    """(column, value) that names the image: `image_id`, `path`, `id` or `uuid`."""
    root: str | None
    """The root of a `path`, where the file tells it."""
    code: str
    present: bool | None
    """None: the reviewer was unsure."""
    reviewer: str
    """'' where nobody is named."""
    reviewed_at: datetime | None
    content_hash: str | None
    """Of the picture that was judged, where the file tells it."""
    policy: str = IMPORTED
    """How the picture was chosen: one of POLICIES."""
    probability: float | None = None
    """The chance with which it was, `LEAST_PROBABILITY` to 1."""


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is wrong with a line."""

    line: int
    message: str


class _Wrong(Exception):
    """A line cannot be used; the text says why."""


def read_judgements(path: Path) -> tuple[list[Judgement], list[LineFault]]:
    """The judgements of a file, and the lines that are none.

    The format is told by the name: `.csv`, `.jsonl` or `.ndjson`, `.parquet`. Columns: one that names the image
    (`image_id`, `path`, `id` or `uuid`), `code`, `present`, and if there are, `reviewer`, `reviewed_at`, `root`,
    `content_hash`, `policy`, `probability`; others are passed over.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES >> 20} MiB; split it")
    readers = {".csv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: labels come as .csv, .jsonl or .parquet")
    judgements, faults = [], []
    for line, row in reader(path):
        try:
            judgements.append(_judgement(line, row))
        except _Wrong as fault:
            faults.append(LineFault(line, str(fault)))
    return judgements, faults


def _judgement(line: int, row: Mapping[str, object] | str) -> Judgement:
    if isinstance(row, str):
        raise _Wrong(row)
    column = next((name for name in IMAGE_COLUMNS if _text(row, name) is not None), None)
    if column is None:
        raise _Wrong(f"no image: one of {', '.join(IMAGE_COLUMNS)} must name it")
    return Judgement(
        line=line,
        image=(column, _text(row, column) or ""),
        root=_text(row, "root"),
        code=_text(row, "code") or _complain("no code"),
        present=_present(row),
        reviewer=(_text(row, "reviewer", _MAX_REVIEWER) or ""),
        reviewed_at=_time(row.get("reviewed_at")),
        content_hash=_text(row, "content_hash", 128),
        **_how_chosen(row),
    )


def _how_chosen(row: Mapping[str, object]) -> dict[str, Any]:
    """Policy and probability; a word that is no policy of ours is somebody else's column."""
    policy, value = row.get("policy"), row.get("probability")
    if policy not in POLICIES or policy == IMPORTED:
        return {}
    try:
        probability = None if value in (None, "") else float(str(value))
    except ValueError:
        probability = math.nan
    if (probability is None and policy in ("audit", "audit again")) or not (
        probability is None or LEAST_PROBABILITY <= probability <= 1
    ):
        raise _Wrong(
            f"probability is {str(value)[:40]!r}; it must be at least {LEAST_PROBABILITY:g} and at most 1"
        )
    return {"policy": policy, "probability": probability}


def _complain(message: str) -> str:
    raise _Wrong(message)


def _text(row: Mapping[str, object], name: str, limit: int = MAX_TEXT) -> str | None:
    value = row.get(name)
    if isinstance(value, float):  # as pandas keeps whole numbers where some are missing
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _Wrong(f"{name} is {str(value)[:40]!r}; it must be text")
    text = str(value)
    if len(text) > limit:
        raise _Wrong(f"{name} is longer than {limit:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Wrong(f"{name} is not Unicode text") from None
    return text


def _present(row: Mapping[str, object]) -> bool | None:
    if "present" not in row:
        raise _Wrong("no `present`: yes, no or unsure")
    value = row["present"]
    if value is None or isinstance(value, bool):
        return value
    word = str(value)[:20].strip().lower()
    if word not in _WORDS:
        raise _Wrong(f"present is {word!r}; it must be yes, no or unsure")
    return _WORDS[word]


def _time(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value[:64])
        if isinstance(value, datetime):
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
        else:
            raise ValueError
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Wrong(f"reviewed_at is {str(value)[:40]!r}; write it as 2026-05-01T12:00:00Z") from None
    if moment > datetime.now(UTC) + _AHEAD:
        raise _Wrong(
            f"reviewed_at is {moment:%Y-%m-%d %H:%M} UTC, in the future: no later answer would count"
        )
    return moment


def _check_columns(path: Path, columns: list[str]) -> None:
    lacking = [name for name in ("code", "present") if name not in columns]
    if not set(IMAGE_COLUMNS) & set(columns):
        lacking.insert(0, " or ".join(IMAGE_COLUMNS))
    if lacking:
        shown = ", ".join(name[:40] for name in columns[:20])
        raise InputError(f"{path}: no column {' and no column '.join(lacking)}; it has: {shown}")


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, list(reader.fieldnames or []))
            before = reader.line_num
            for row in reader:
                line, before = before + 1, reader.line_num
                whole = None not in row and None not in row.values()
                yield line, row if whole else f"{len(reader.fieldnames or [])} columns are needed"
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start:,})") from None
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not CSV ({error})") from None


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    with path.open("rb") as file:
        number = 0
        while text := file.readline(1 << 20):
            number += 1
            if not text.endswith(b"\n") and len(text) == 1 << 20:
                raise InputError(f"{path}:{number}: a line longer than 1 MiB")
            if not text.strip():
                continue
            try:
                row: Any = json.loads(text)
            except (ValueError, RecursionError):
                yield number, "not JSON"
                continue
            yield number, row if isinstance(row, dict) else "not a JSON object"


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = (
        *IMAGE_COLUMNS, "root", "code", "present", "reviewer", "reviewed_at", "content_hash", "policy", "probability",
    )  # fmt: skip
    try:
        file = pq.ParquetFile(path)
        names = [str(name) for name in file.schema_arrow.names]
        _check_columns(path, names)
        number = 0
        for batch in file.iter_batches(batch_size=4096, columns=[name for name in wanted if name in names]):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: damaged Parquet ({' '.join(str(error).split())[:200]})") from None
