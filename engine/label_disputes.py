"""Images on which reviewers disagree."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.review_answers import read_judged
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.tables import read_table

__all__ = ["Dispute", "disputes"]


@dataclass(frozen=True, slots=True)
class Dispute:
    """An image of which somebody says yes and somebody no, as it is now."""

    code: str
    image_id: int
    root: str | None
    path: str
    yes: tuple[str, ...]
    """Who says so."""
    no: tuple[str, ...]
    unsure: tuple[str, ...]

    @property
    def verdict(self) -> bool | None:
        """What most say; None where as many say yes as no."""
        return None if len(self.yes) == len(self.no) else len(self.yes) > len(self.no)


def disputes(snapshot: Snapshot, code: str) -> tuple[Dispute, ...]:
    """The disputed images of an attribute, by id.

    Raises:
        StoreError: a file is damaged.
    """
    judged = read_judged(snapshot, code)
    if not judged.disputed:
        return ()
    rows = read_table("images", snapshot.files("images"), ["image_id", "root", "path"])
    rows = rows.filter(pc.is_in(rows["image_id"], value_set=pa.array(judged.disputed, pa.int64())))
    found = []
    for row in sorted(rows.to_pylist(), key=lambda row: int(row["image_id"])):
        said: dict[bool | None, list[str]] = {True: [], False: [], None: []}
        for reviewer, answer in sorted(judged.answers[row["image_id"]].items()):
            said[answer.present].append(reviewer)
        found.append(
            Dispute(code, **row, yes=tuple(said[True]), no=tuple(said[False]), unsure=tuple(said[None]))
        )
    return tuple(found)
