"""What reviewers said of an attribute's images, and saving one more answer, at once and whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colonnade.engine.columns import shard_of
from colonnade.engine.errors import InputError
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_table

__all__ = [
    "AUDIT",
    "IMPORTED",
    "LEAST_PROBABILITY",
    "POLICY",
    "Answer",
    "Judged",
    "choice_kept",
    "policy_word",
    "read_judged",
    "save_answer",
]

POLICY, AUDIT, IMPORTED = "policy", "audit", "imported"
"""How an image was chosen: nearest to the cut, drawn for the estimates, or by somebody, who does not say how."""

_LOOKED_AGAIN = {AUDIT: "audit again"}
_CHOSEN = {"again": POLICY, "audit again": AUDIT}
"""What stands in the store for an answer that a second look confirmed -> how its image was chosen at first."""

LEAST_PROBABILITY = 1e-12
"""No image of any collection is drawn with a smaller one; a smaller one is a fault."""

_SURE = 2
"""Looks at an image that must speak for the answer, more than against it, for it to be sure."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one reviewer said of one image."""

    image_id: int
    reviewer: str
    present: bool | None
    """None: unsure."""
    reviewed_at: datetime | None
    policy: str
    probability: float | None
    twice: bool = False
    """Whether it was given again at a second look, by somebody who was told that other answers speak against it."""


@dataclass(frozen=True)
class Judged:
    """The answers on an attribute's pictures as they are now, by image and reviewer."""

    answers: Mapping[int, Mapping[str, Answer]]

    def balance(self, image_id: int) -> int:
        """How many more reviewers said yes than no; 0 where the image is not settled."""
        said = (answer.present for answer in self.answers.get(image_id, {}).values())
        return sum(0 if present is None else 1 if present else -1 for present in said)

    def drawn(self, image_id: int) -> float | None:
        """The probability with which an image was drawn for the audit; None if it was not."""
        audits = [a for a in self.answers.get(image_id, {}).values() if a.policy == AUDIT and a.probability]
        return min(audits, key=_moment).probability if audits else None

    @property
    def settled(self) -> tuple[np.ndarray, np.ndarray]:
        """(ids int64 [n] ascending, present bool [n]) of the images on which most reviewers agree."""
        balances = {image: self.balance(image) for image in sorted(self.answers)}
        kept = [(image, balance > 0) for image, balance in balances.items() if balance]
        ids, present = zip(*kept, strict=True) if kept else ((), ())
        return np.array(ids, dtype=np.int64), np.array(present, dtype=bool)

    @property
    def sure(self) -> np.ndarray:
        """bool [n], of the images of `settled`: whether two looks more speak for the answer than against it."""
        looks = (self._looks(image) for image in sorted(self.answers) if self.balance(image))
        return np.array([abs(some) >= _SURE for some in looks], dtype=bool)

    def _looks(self, image_id: int) -> int:
        """`balance`, with a second look counted as two; 0 where it would turn what most reviewers say."""
        balance = self.balance(image_id)
        said = [answer for answer in self.answers[image_id].values() if answer.present is not None]
        looks = sum((2 if answer.twice else 1) * (1 if answer.present else -1) for answer in said)
        return looks if looks * balance > 0 else 0

    @property
    def disputed(self) -> tuple[int, ...]:
        """Images of which somebody said yes and somebody no."""
        return tuple(
            image
            for image, by in sorted(self.answers.items())
            if {answer.present for answer in by.values()} >= {True, False}
        )

    def of(self, reviewer: str) -> list[Answer]:
        """A reviewer's answers in the order in which they were given."""
        return sorted((by[reviewer] for by in self.answers.values() if reviewer in by), key=_moment)

    def with_answer(self, answer: Answer) -> Judged:
        """These with one more, or with another one of that image and reviewer."""
        by = {**self.answers.get(answer.image_id, {}), answer.reviewer: answer}
        return Judged({**self.answers, answer.image_id: by})


def _moment(answer: Answer) -> tuple[float, int]:
    return (answer.reviewed_at.timestamp() if answer.reviewed_at else 0.0, answer.image_id)


def policy_word(policy: str, *, twice: bool) -> str:
    """What stands in the store, and in files of labels, for how an image was chosen."""
    return _LOOKED_AGAIN.get(policy, "again") if twice else policy


def choice_kept(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
    """A label's row, still of an image that was chosen as before where the new one does not say how.

    Else an answer that is put right would leave the audit, and the others, all right, would make up the estimate.

    Args:
        new, old: rows of `labels` of one image and reviewer.
    """
    if old is None or new["policy"] != IMPORTED or new["content_hash"] != old["content_hash"]:
        return dict(new)
    policy = old["policy"] if new["present"] == old["present"] else _CHOSEN.get(old["policy"], old["policy"])
    return {**new, "policy": policy, "probability": old["probability"]}


def read_judged(snapshot: Snapshot, code: str) -> Judged:
    """The answers on pictures that are what they were when they were judged.

    Raises:
        StoreError: a file is damaged.
    """
    found: dict[int, dict[str, Answer]] = {}
    for shard in snapshot.shards("labels", code):
        rows = read_table("labels", snapshot.cell("labels", code, shard))
        images = read_table("images", snapshot.cell("images", None, shard), ["image_id", "content_hash"])
        own = images.filter(pc.is_in(images["image_id"], rows["image_id"].combine_chunks()))
        now = dict(zip(own["image_id"].to_pylist(), own["content_hash"].to_pylist(), strict=True))
        for row in rows.to_pylist():
            if row["image_id"] in now and now[row["image_id"]] == row["content_hash"]:
                answer = _answer(row)
                found.setdefault(answer.image_id, {})[answer.reviewer] = answer
    return Judged(found)


def _answer(row: Mapping[str, Any]) -> Answer:
    probability = row["probability"]
    usable = isinstance(probability, float) and LEAST_PROBABILITY <= probability <= 1
    policy = row["policy"] or ""
    return Answer(
        row["image_id"],
        row["reviewer"] or "",
        row["present"],
        row["reviewed_at"],
        _CHOSEN.get(policy, policy),
        probability if usable else None,
        policy in _CHOSEN,
    )


def save_answer(store: Store, code: str, answer: Answer, content_hash: str | None) -> Answer:
    """Commit an answer, in the place of what the same reviewer said of the image before.

    Args:
        content_hash: of the picture that was shown.

    Returns:
        The answer with the time at which it was saved.

    Raises:
        InputError: the picture has changed since it was shown, or is gone.
        StoreError: the store cannot be written.
    """
    saved = replace(answer, reviewed_at=datetime.now(UTC))
    shard = shard_of(answer.image_id)

    def merge(live: Snapshot, stage: Stage) -> None:
        if not _is_there(live, answer.image_id, content_hash):
            raise InputError(f"image {answer.image_id}: changed or gone since it was chosen; not saved")
        files = live.cell("labels", code, shard)
        key = (saved.image_id, saved.reviewer)
        rows = {_key(row): row for row in read_table("labels", files).to_pylist()}
        row = {
            "image_id": saved.image_id,
            "content_hash": content_hash,
            "present": saved.present,
            "reviewer": saved.reviewer,
            "reviewed_at": saved.reviewed_at,
            "policy": policy_word(saved.policy, twice=saved.twice),
            "probability": saved.probability,
        }
        rows[key] = choice_kept(row, rows.get(key))
        data = pa.Table.from_pylist(list(rows.values()), schema=SCHEMAS["labels"])
        stage.replace("labels", code, shard, data, read=files)

    with open_stage(store.path, command=f"review {code}") as stage:
        stage.late(merge)
        stage.commit()
    return saved


def _key(row: Mapping[str, Any]) -> tuple[int, str]:
    return row["image_id"], row["reviewer"] or ""


def _is_there(live: Snapshot, image_id: int, content_hash: str | None) -> bool:
    files = live.cell("images", None, shard_of(image_id))
    images = read_table("images", files, ["image_id", "content_hash"])
    row = images.filter(pc.equal(images["image_id"], image_id)).to_pylist()
    return bool(row) and row[0]["content_hash"] == content_hash
