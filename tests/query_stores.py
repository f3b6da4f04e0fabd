"""Small stores for the tests of queries, written through the stage like any other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from colonnade.engine.columns import shard_of
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS

Score = tuple[float | None, float | None, str | None]
"""Logit, confidence, status."""


@dataclass(frozen=True)
class Content:
    """What a small store holds."""

    images: Sequence[Mapping[str, Any]]
    scores: Mapping[str, Mapping[int, Score]] = field(default_factory=dict)
    sets: Mapping[str, Sequence[int]] = field(default_factory=dict)
    derived: frozenset[str] = frozenset()


def image(image_id: int, **values: Any) -> dict[str, Any]:
    """A row of the images table with usual values."""
    row = dict.fromkeys(SCHEMAS["images"].names)
    row |= {
        "image_id": image_id,
        "root": "photos",
        "path": f"{image_id:04d}.jpg",
        "content_hash": f"{image_id:064x}",
        "bytes": 1000,
        "mtime": datetime(2024, 1, 1, tzinfo=UTC),
        "width": 640,
        "height": 480,
        "format": "JPEG",
        "orientation": 1,
        "source": "file",
        "state": "ok",
    }
    return row | values


def build_store(
    path: Path, content: Content, *, vocabulary: str | None = None, root: Path | None = None, commits: int = 1
) -> Store:
    """A store with this content at `path`, its images dealt out over some commits."""
    lines = [f"  - {{code: {code}, label: L, description: d}}" for code in content.scores]
    text = vocabulary or ("base_attributes:\n" + "\n".join(lines) if lines else "base_attributes: []")
    store = Store.create(path, vocabulary=text.encode(), model="hash", roots=[root] if root else [])
    for number in range(commits):

        def chosen(image_id: int, number: int = number) -> bool:
            return image_id % commits == number

        fill(store, content, chosen)
    return store


def fill(store: Store, content: Content, chosen: Callable[[int], bool] = lambda image_id: True) -> Snapshot:
    """Commit the rows of the chosen images."""
    snapshot = store.snapshot()
    with open_stage(store.path, command="test") as stage:

        def append(table: str, partition: str | None, rows: Sequence[Mapping[str, Any]]) -> None:
            shards: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
            for row in rows:
                if chosen(row["image_id"]):
                    shards[shard_of(row["image_id"])].append(row)
            for shard, members in shards.items():
                read = snapshot.cell(table, partition, shard)
                stage.append(
                    table, partition, shard, pa.Table.from_pylist(members, SCHEMAS[table]), read=read
                )

        append("images", None, content.images)
        for code, scores in content.scores.items():
            source = "derived_rule" if code in content.derived else "clip_zero_shot"
            append("scores", code, [_score(image_id, *score, source) for image_id, score in scores.items()])
        for name, ids in content.sets.items():
            append("sets", name, [{"image_id": image_id} for image_id in ids])
        return stage.commit()


def _score(
    image_id: int, logit: float | None, confidence: float | None, status: str | None, source: str
) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "logit": logit,
        "confidence": confidence,
        "status": status,
        "label_source": source,
        "model": "hash",
        "definition": "0" * 16,
    }
