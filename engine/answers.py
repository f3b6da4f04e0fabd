"""People's answers on an attribute, one an image: what moves its cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from colonnade.engine.duck import connect, duck_errors, parquet
from colonnade.engine.label_fit import ready
from colonnade.engine.snapshots import Snapshot

__all__ = ["Answers", "read_answers"]


@dataclass(frozen=True, eq=False)
class Answers:
    """What the majority of reviewers said of each labelled image."""

    ids: np.ndarray
    """int64 [n], ascending."""
    present: np.ndarray
    """bool [n]."""

    @property
    def enough(self) -> bool:
        """Whether they can move a cut."""
        return ready(int(self.present.sum()), int((~self.present).sum()))

    def of(self, ids: np.ndarray) -> Answers:
        """Those on the images of `ids`."""
        mask = np.isin(self.ids, ids)
        return Answers(self.ids[mask], self.present[mask])


def read_answers(snapshot: Snapshot, code: str) -> Answers:
    """The answers on pictures that are what they were when they were judged.

    Who was unsure does not count, nor does an image on which as many said yes as no.
    """
    files, images = snapshot.files("labels", code), snapshot.files("images")
    if not files or not images:
        return Answers(np.empty(0, np.int64), np.empty(0, bool))
    sql = f"""
        SELECT image_id, sum(CASE WHEN present THEN 1 ELSE -1 END) AS balance
        FROM {parquet(files)} AS labels JOIN {parquet(images)} AS images USING (image_id)
        WHERE labels.content_hash IS NOT DISTINCT FROM images.content_hash AND present IS NOT NULL
        GROUP BY image_id HAVING balance <> 0 ORDER BY image_id
    """
    with duck_errors(str(snapshot.path)):
        connection = connect()
        try:
            rows = connection.execute(sql).fetchall()
        finally:
            connection.close()
    return Answers(
        np.array([row[0] for row in rows], dtype=np.int64), np.array([row[1] > 0 for row in rows], dtype=bool)
    )
