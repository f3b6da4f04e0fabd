"""Scoring stored embeddings against prompts: only stale cells, in blocks of bounded memory, one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from colonnade.engine.calibration import apply_fit, status_codes
from colonnade.engine.errors import ConflictError, InputError, StoreError
from colonnade.engine.freshness import AttributeWork, CellState, CellWork, Task, base_work, cell_states
from colonnade.engine.prompts import encode_missing, prompt_vectors, require_prompts, store_prompts
from colonnade.engine.provenance import read_definitions, store_definitions
from colonnade.engine.scoring import attribute_vector, logits, scores_table
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.stage import Stage, conflict_retries, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_embeddings, read_files
from colonnade.engine.vocabulary import BaseAttribute, Vocabulary, nearest

if TYPE_CHECKING:
    from colonnade.engine.embedder import Embedder

__all__ = ["TagOutcome", "plan_tag", "tag"]

_ATTRIBUTES_A_PASS = 64


@dataclass(frozen=True, slots=True)
class TagOutcome:
    """What a `tag` did."""

    attributes: tuple[str, ...] = ()
    """The codes of which anything was written."""
    rows: int = 0
    encoded_prompts: int = 0


def plan_tag(
    snapshot: Snapshot,
    vocabulary: Vocabulary,
    model: Model | None,
    *,
    codes: Sequence[str] | None = None,
    force: bool = False,
) -> tuple[AttributeWork, ...]:
    """What the base attributes need under a model, in the vocabulary's order; empty without one.

    Raises:
        InputError: a code is not a base attribute of the vocabulary.
    """
    if model is None:
        return ()
    known = read_definitions(snapshot)
    embedded = cell_states(snapshot, "embeddings", model.key)
    return tuple(
        base_work(snapshot, vocabulary, attribute, model, embedded, known, force=force)
        for attribute in _chosen(vocabulary, codes)
    )


def _chosen(vocabulary: Vocabulary, codes: Sequence[str] | None) -> list[BaseAttribute]:
    if codes is None:
        return list(vocabulary.base)
    base = {attribute.code: attribute for attribute in vocabulary.base}
    for code in codes:
        if code not in base:
            derived = code in vocabulary.codes
            hint = nearest(code, list(base))
            raise InputError(
                f"{code}: a derived attribute; use `colonnade derive {code}`"
                if derived
                else f"{code!r}: no such attribute" + (f"; did you mean {hint!r}?" if hint else "")
            )
    return [base[code] for code in dict.fromkeys(codes)]


def missing_prompts(
    snapshot: Snapshot, vocabulary: Vocabulary, model: Model, work: Sequence[AttributeWork]
) -> list[str]:
    """The prompts that stale attributes need and that have no vector yet, in order, each once."""
    wanted = [prompt for item in work if item.needs_prompts for prompt in vocabulary.prompts(item.code)]
    if not wanted:
        return []
    cached = prompt_vectors(snapshot, model)
    return [prompt for prompt in dict.fromkeys(wanted) if prompt not in cached]


def tag(
    store: Store,
    *,
    codes: Sequence[str] | None = None,
    force: bool = False,
    load: Callable[[str], Embedder] | None = None,
    progress: Callable[[int, int], None] | None = None,
    on_conflict: Callable[[str], None] | None = None,
) -> TagOutcome:
    """Score every stale or missing cell of the base attributes, or of `codes`.

    Args:
        force: compute them even if fresh.
        load: gives the model where a prompt has no vector yet; by default `load_embedder`.
        progress: called with (cells done, cells in all).
        on_conflict: called with one line when another process changed the store meanwhile and the work is retried.

    Raises:
        InputError: an unknown code, or a wrong vocabulary.
        ModelError: a prompt has no vector and cannot be encoded.
    """
    encoded: dict[str, np.ndarray] = {}
    for _ in conflict_retries():
        snapshot, vocabulary = store.snapshot(), store.vocabulary()
        model = store.settings.active
        work = [w for w in plan_tag(snapshot, vocabulary, model, codes=codes, force=force) if w.cells]
        if not work or model is None:
            return TagOutcome()
        lacking = [p for p in missing_prompts(snapshot, vocabulary, model, work) if p not in encoded]
        encoded |= encode_missing(model, lacking, load)
        try:
            with open_stage(store.path, command="tag") as stage:
                cached = prompt_vectors(snapshot, model)
                run = _Run(snapshot, vocabulary, model, stage, encoded | cached)
                run.score(work, progress or (lambda done, total: None))
                store_prompts(stage, model, {p: v for p, v in encoded.items() if p not in cached})
                used = [p for w in work if w.needs_prompts for p in vocabulary.prompts(w.code)]
                require_prompts(stage, model, {p: run.vectors[p] for p in used})
                store_definitions(stage, [d for w in work for d in (w.logit, w.definition) if d is not None])
                stage.commit(vocabulary=vocabulary.source)
        except ConflictError as error:
            if on_conflict:
                on_conflict(f"{error}; changed meanwhile, retrying")
            continue
        return TagOutcome(tuple(w.code for w in work), sum(w.rows for w in work), len(encoded))
    raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class _Run:
    snapshot: Snapshot
    vocabulary: Vocabulary
    model: Model
    stage: Stage
    vectors: dict[str, np.ndarray]

    def score(self, work: Sequence[AttributeWork], progress: Callable[[int, int], None]) -> None:
        embedded = cell_states(self.snapshot, "embeddings", self.model.key)
        total, done = sum(len(item.cells) for item in work), 0
        for shard in sorted({cell.shard for item in work for cell in item.cells}):
            todo = [(item, cell) for item in work for cell in item.cells if cell.shard == shard]
            heavy = [pair for pair in todo if pair[1].task in (Task.LOGITS, Task.MISSING)]
            for item, cell in todo:
                if cell.task is Task.CONFIDENCE:
                    self._refresh(item, cell)
                elif cell.task is Task.REMOVE:
                    old = self.snapshot.cell("scores", item.code, shard)
                    self.stage.drop("scores", item.code, read=old)
                else:
                    continue
                done += 1
                progress(done, total)
            for start in range(0, len(heavy), _ATTRIBUTES_A_PASS):
                group = heavy[start : start + _ATTRIBUTES_A_PASS]
                self._multiply(embedded[shard], shard, group)
                done += len(group)
                progress(done, total)

    def _multiply(
        self, source: CellState, shard: int, group: Sequence[tuple[AttributeWork, CellWork]]
    ) -> None:
        """One pass over a shard's embeddings for a group of attributes."""
        attributes = np.stack([self._attribute_vector(item.code) for item, _ in group])
        ids = np.empty(source.rows, dtype=np.int64)
        values = np.empty((len(group), source.rows), dtype=np.float32)
        filled = 0
        for block_ids, block in read_embeddings(source.files):
            end = filled + len(block_ids)
            if block.shape[1] != self.model.dimension or end > source.rows:
                raise StoreError(
                    f"{source.files[0].path}: not of model {self.model.key}; run `colonnade verify`"
                )
            ids[filled:end] = block_ids
            values[:, filled:end] = logits(block, attributes, self.model).T
            filled = end
        order = np.argsort(ids, kind="stable") if np.any(np.diff(ids) < 0) else None
        for row, (item, cell) in enumerate(group):
            old = self.snapshot.cell("scores", item.code, shard)
            own_ids, own = (ids, values[row]) if order is None else (ids[order], values[row][order])
            if cell.task is Task.MISSING:
                own = _keep_stored(old, own_ids, own)
            self._write(item, shard, own_ids, own)
        self.stage.require("embeddings", self.model.key, shard, read=source.files)

    def _attribute_vector(self, code: str) -> np.ndarray:
        prompts = self.vocabulary.prompts(code)
        return attribute_vector(np.stack([self.vectors[prompt] for prompt in prompts]))

    def _refresh(self, item: AttributeWork, cell: CellWork) -> None:
        """Confidence and status anew from the stored logits."""
        old = self.snapshot.cell("scores", item.code, cell.shard)
        data = read_files(old, ["image_id", "logit"])
        self._write(item, cell.shard, data["image_id"].to_numpy(), data["logit"].to_numpy())

    def _write(self, item: AttributeWork, shard: int, ids: np.ndarray, logit: np.ndarray) -> None:
        assert item.fit is not None
        thresholds = next(a.thresholds for a in self.vocabulary.base if a.code == item.code)
        confidence = apply_fit(item.fit, logit)
        rows = scores_table(
            ids,
            logit=logit,
            confidence=confidence,
            status=status_codes(confidence, thresholds.accepted, thresholds.tentative),
            label_source="clip_zero_shot",
            model=self.model.key,
            definition=item.definition.hash,
        )
        old = self.snapshot.cell("scores", item.code, shard)
        self.stage.replace("scores", item.code, shard, rows, read=old)


def _keep_stored(old: Sequence[DataFile], ids: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    """Fresh logits, but the stored ones where there are any: what is not stale stays bit for bit."""
    data = read_files(old, ["image_id", "logit"])
    stored_ids = data["image_id"].to_numpy()
    stored = data["logit"].to_numpy()
    places = np.searchsorted(stored_ids, ids)
    places[places == len(stored_ids)] = 0
    found = stored_ids[places] == ids if len(stored_ids) else np.zeros(len(ids), dtype=bool)
    return np.where(found, stored[places] if len(stored_ids) else fresh, fresh).astype(np.float32)
