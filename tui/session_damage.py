"""A store with damaged files: what is said of it, and the files that must be there looked for before they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from colonnade.engine.errors import StoreError

if TYPE_CHECKING:
    from colonnade.engine.snapshots import DataFile, Snapshot

__all__ = ["ADVICE", "check_images", "check_scores", "damage_words", "missing_scores", "score_files"]

ADVICE = (
    "`colonnade verify` says what is damaged and what mends it, `colonnade restore N` goes back to snapshot N"
)
_DATA = re.compile(r"_tables/(\w+)/\d{8}(?:/\w+=([^/'\"\s:]+))?")
_VERIFY = re.compile(r"[;,:]? (?:refused, )?run `colonnade verify`")
_INSIDE = re.compile(r"\S*/(?=_snap/|_tables/|_stage/|live\b)")
_TABLES = {
    "images": "the images",
    "scores": "the scores",
    "embeddings": "the embeddings",
    "definitions": "the definitions of the scores",
    "calibrations": "the calibrations",
    "labels": "the labels",
    "projections": "the map",
    "sets": "the set",
    "prompts": "the prompts",
}


def damage_words(error: BaseException | str) -> str | None:
    """What cannot be read and what to do, where a damaged file of the store is what is wrong; None for other errors."""
    text = " ".join(str(error).split())
    found = _DATA.search(text)
    if found is not None:
        table, partition = found.groups()
        what = _TABLES.get(table, f"the table {table}") + (f" of {partition}" if partition else "")
        why = " (permission denied)" if "permission denied" in text.lower() else ""
        return f"{what} cannot be read{why}: {ADVICE}"
    if "snapshot.json: " in text:
        shown = _INSIDE.sub("", _VERIFY.sub("", text))
        return (
            f"{shown}: nothing can be saved; `colonnade verify` tells more, put the file back from a backup"
        )
    if _VERIFY.search(text):
        return f"{_INSIDE.sub('', _VERIFY.sub('', text))}: {ADVICE}"
    return None


def check_images(snapshot: Snapshot) -> None:
    """Refuse images that lack files: other tables have rows of them.

    Raises:
        StoreError: files of the images are missing.
    """
    images = set(snapshot.shards("images"))
    for code in snapshot.partitions("scores"):
        if not images.issuperset(snapshot.shards("scores", code)):
            raise StoreError(f"{snapshot.version('images')}: files are missing; run `colonnade verify`")


def missing_scores(snapshot: Snapshot) -> tuple[str, ...]:
    """The attributes that were scored and whose files are gone."""
    return tuple(code for code in snapshot.partitions("scores") if not snapshot.files("scores", code))


def score_files(snapshot: Snapshot, code: str) -> tuple[DataFile, ...]:
    """The files of an attribute's scores; none where it is not scored.

    Raises:
        StoreError: it was scored, and its files are gone.
    """
    files = snapshot.files("scores", code)
    if not files and code in snapshot.partitions("scores"):
        where = f"{snapshot.version('scores')}/attribute_code={code}"
        raise StoreError(f"{where}: its files are missing; run `colonnade verify`")
    return files


def check_scores(snapshot: Snapshot, codes: Iterable[str]) -> None:
    """Refuse attributes that were scored and whose files are gone.

    Raises:
        StoreError: there is such a one.
    """
    for code in dict.fromkeys(codes):
        score_files(snapshot, code)
