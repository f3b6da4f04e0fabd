"""How a store stands: images per state, freshness and counts per attribute, sizes. Reads footers and a few columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from colonnade.engine.columns import STATUSES, TABLES
from colonnade.engine.duck import connect, duck_errors, parquet
from colonnade.engine.freshness import AttributeWork
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.store import Store
from colonnade.engine.sync import Plan, make_plan

__all__ = ["AttributeStatus", "StoreStatus", "read_status"]


@dataclass(frozen=True, slots=True)
class AttributeStatus:
    """One attribute: whether its scores are fresh, and how many images have which status."""

    code: str
    kind: str
    """base, derived, or orphan (scored, but no longer in the vocabulary)."""
    state: str
    """fresh, unscored, no signal (fresh, and the collection shows no sign of it), or why it is stale."""
    counts: Mapping[str | None, int]
    """status (None: unknown) -> images, of those that are not missing."""

    no_signal: bool = False
    """Whether the collection shows no sign of it: nothing is accepted."""

    def count(self, status: str | None) -> int:
        return self.counts.get(status, 0)


@dataclass(frozen=True)
class StoreStatus:
    """A store at a glance."""

    snapshot: int
    model: str
    images: Mapping[str, int]
    """state -> images"""
    embedded: int
    mapped: int
    """Images on the model's map."""
    attributes: tuple[AttributeStatus, ...]
    bytes: Mapping[str, int]
    """table -> bytes of its files in this snapshot"""
    plan: Plan


def read_status(store: Store) -> StoreStatus:
    """The status of the live snapshot; the image roots are not looked at.

    Raises:
        VocabularyError: the vocabulary is wrong.
        StoreError: the store is damaged.
    """
    snapshot, vocabulary, settings = store.snapshot(), store.vocabulary(), store.settings
    plan = make_plan(store, scan=False)
    counts, images = _status_counts(snapshot), _image_states(snapshot)
    stale = {work.code: work for work in (*plan.base, *plan.derived)}
    attributes = [
        AttributeStatus(
            code,
            kind,
            _state(stale.get(code), code in counts, settings.active, no_signal=code in plan.no_signal),
            _with_unscored(counts.get(code, {}), images.get("ok", 0)),
            no_signal=code in plan.no_signal,
        )
        for kind, codes in (
            ("base", [attribute.code for attribute in vocabulary.base]),
            ("derived", [attribute.code for attribute in vocabulary.derived]),
        )
        for code in codes
    ]
    attributes += [AttributeStatus(code, "orphan", "orphan", counts.get(code, {})) for code in plan.orphans]
    model = settings.active
    embedded = snapshot.files("embeddings", model.key) if model else ()
    return StoreStatus(
        snapshot=snapshot.number,
        model=settings.model_key or f"{settings.spec} (not loaded yet)",
        images=images,
        embedded=_rows(embedded),
        mapped=_rows(snapshot.files("projections", model.key)) if model else 0,
        attributes=tuple(attributes),
        bytes={table: sum(file.path.stat().st_size for file in snapshot.files(table)) for table in TABLES},
        plan=plan,
    )


def _state(work: AttributeWork | None, scored: bool, model: Model | None, *, no_signal: bool) -> str:
    if work is not None:
        return ", ".join(work.reasons)
    if not scored:
        return "unscored"
    if no_signal:
        return "no signal"
    return "fresh" if model is not None else "model changed, nothing embedded with it yet"


def _with_unscored(counts: Mapping[str | None, int], images: int) -> dict[str | None, int]:
    """The counts, with every image that has no score among the unknown."""
    known: dict[str | None, int] = {status: number for status, number in counts.items() if status is not None}
    known[None] = max(0, images - sum(known.values()))
    return known


def _rows(files: tuple[DataFile, ...]) -> int:
    from colonnade.engine.tables import read_footer

    return sum(read_footer(file).rows for file in files)


def _image_states(snapshot: Snapshot) -> dict[str, int]:
    files = snapshot.files("images")
    if not files:
        return {}
    with duck_errors("images"):
        rows = (
            connect()
            .execute(f"SELECT state, count(*) FROM {parquet(files)} GROUP BY state ORDER BY 1")
            .fetchall()
        )
    return {str(state): int(number) for state, number in rows}


def _status_counts(snapshot: Snapshot) -> dict[str, dict[str | None, int]]:
    """code -> status -> images, leaving out those that are missing or unreadable."""
    images = snapshot.files("images")
    codes = snapshot.partitions("scores")
    if not images or not codes:
        return {}
    connection = connect()
    result: dict[str, dict[str | None, int]] = {}
    with duck_errors("scores"):
        barred = connection.execute(f"SELECT count(*) FROM {parquet(images)} WHERE state <> 'ok'").fetchone()
        keep = ""
        if barred and barred[0]:
            connection.execute(
                f"CREATE TABLE barred AS SELECT image_id FROM {parquet(images)} WHERE state <> 'ok'"
            )
            keep = "WHERE image_id NOT IN (SELECT image_id FROM barred)"
        for code in codes:
            files = snapshot.files("scores", code)
            if not files:
                continue
            sql = f"SELECT status, count(*) FROM {parquet(files)} {keep} GROUP BY 1"
            rows = connection.execute(sql).fetchall()
            result[code] = {
                (str(status) if status in STATUSES else None): int(number) for status, number in rows
            }
    return result
