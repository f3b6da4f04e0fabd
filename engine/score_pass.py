"""Scores of the stale cells of base attributes, shard by shard, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from colonnade.engine.auto_axis import along_axes, log_odds
from colonnade.engine.background_stats import Background, BackgroundStats, background_stats
from colonnade.engine.calibration import Fit, fixed_log_odds, judge
from colonnade.engine.errors import StoreError
from colonnade.engine.freshness import AttributeWork, CellState, CellWork, Task, cell_states
from colonnade.engine.known_stats import KnownStats
from colonnade.engine.parallel import in_order, one_blas_thread
from colonnade.engine.scoring import attribute_vector, logits
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.tables import read_embeddings, read_files
from colonnade.engine.vocabulary import Thresholds, Vocabulary

__all__ = ["CellScores", "Emit", "ScorePass"]

_ATTRIBUTES_A_PASS = 64
_BLOCK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class CellScores:
    """All rows of one cell, by ascending image."""

    ids: np.ndarray
    """int64 [n]."""
    logit: np.ndarray
    """float32 [n]."""
    log_odds: np.ndarray | None
    """float32 [n]; None for the method `fixed`."""
    confidence: np.ndarray
    """float32 [n]."""
    status: np.ndarray
    """int8 [n]."""


@dataclass(frozen=True, eq=False)
class _Block:
    """Some images of a shard."""

    number: int
    part: slice
    """Where they go among the images that are computed."""
    ids: np.ndarray
    vectors: np.ndarray


Emit = Callable[[AttributeWork, CellWork, CellScores | None], None]
"""Takes the new rows of a cell; None where the cell goes away."""


@dataclass(frozen=True, eq=False)
class ScorePass:
    """One pass over what is stale. Every attribute's fit must be known by now."""

    snapshot: Snapshot
    vocabulary: Vocabulary
    model: Model
    vectors: Mapping[str, np.ndarray]
    """Prompt -> unit vector float32 [D], of the prompts of attributes that need their logits."""
    background: Background | None
    """Needed where an attribute's axis is not the logit."""
    emit: Emit
    used: Callable[[int, Sequence[DataFile]], None] = lambda shard, files: None
    """Told of the embeddings that went into a shard."""
    known: KnownStats = field(default_factory=KnownStats)

    def run(self, work: Sequence[AttributeWork], progress: Callable[[], None] = lambda: None) -> None:
        """Make every stale cell; `progress` is called after each."""
        with one_blas_thread():
            self._run(work, progress)

    def _run(self, work: Sequence[AttributeWork], progress: Callable[[], None]) -> None:
        light = [(item, cell) for item in work for cell in item.cells if cell.task is Task.CONFIDENCE]
        for (item, cell), scores in zip(light, in_order(lambda pair: self._anew(*pair), light), strict=True):
            self.emit(item, cell, scores)
            progress()
        embedded = cell_states(self.snapshot, "embeddings", self.model.key)
        for shard in sorted({cell.shard for item in work for cell in item.cells}):
            todo = [(item, cell) for item in work for cell in item.cells if cell.shard == shard]
            heavy = [pair for pair in todo if pair[1].task in (Task.LOGITS, Task.MISSING)]
            for item, cell in todo:
                if cell.task is Task.REMOVE:
                    self.emit(item, cell, None)
                    progress()
            if heavy:
                self._multiply(embedded[shard], shard, heavy, progress)
                self.used(shard, embedded[shard].files)

    def _anew(self, item: AttributeWork, cell: CellWork) -> CellScores:
        """Confidence and status from the stored logits and log odds."""
        fit = _fit(item)
        old = self.snapshot.cell("scores", item.code, cell.shard)
        names = ["image_id", "logit"] if fit.axis is None else ["image_id", "logit", "log_odds"]
        data = read_files(old, names)
        odds = None if fit.axis is None else _floats(data, "log_odds")
        return self._judged(item, data["image_id"].to_numpy(), _floats(data, "logit"), odds)

    def _judged(
        self, item: AttributeWork, ids: np.ndarray, logit: np.ndarray, odds: np.ndarray | None
    ) -> CellScores:
        fit, thresholds = _fit(item), self._thresholds(item.code)
        if odds is None and fit.method != "fixed":
            odds = fixed_log_odds(fit, logit)
        confidence, status = judge(fit, thresholds.accepted, thresholds.tentative, logit, odds)
        return CellScores(ids, logit, odds, confidence, status)

    def _thresholds(self, code: str) -> Thresholds:
        return next(attribute.thresholds for attribute in self.vocabulary.base if attribute.code == code)

    def _multiply(
        self,
        source: CellState,
        shard: int,
        heavy: Sequence[tuple[AttributeWork, CellWork]],
        progress: Callable[[], None],
    ) -> None:
        """Cells of one shard from its embeddings, a group of attributes at a time."""
        every = read_files(source.files, ["image_id"])["image_id"].to_numpy()
        stored = {item.code: self._stored(item, shard) for item, cell in heavy if cell.task is Task.MISSING}
        wanted = None
        if len(stored) == len(heavy):
            wanted = np.unique(np.concatenate([np.setdiff1d(every, old[0]) for old in stored.values()]))
        shared: dict[int, BackgroundStats] = {}
        for start in range(0, len(heavy), _ATTRIBUTES_A_PASS):
            group = heavy[start : start + _ATTRIBUTES_A_PASS]
            items = [item for item, _ in group]
            ids, values, odds = self._computed(source, items, wanted, shared, len(every))
            for row, (item, cell) in enumerate(group):
                own = (ids, values[row], odds[row] if _fit(item).axis is not None else None)
                if cell.task is Task.MISSING:
                    own = _keep_stored(stored[item.code], every, own)
                self.emit(item, cell, self._judged(item, *own))
                progress()

    def _stored(self, item: AttributeWork, shard: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        data = read_files(self.snapshot.cell("scores", item.code, shard), ["image_id", "logit", "log_odds"])
        return data["image_id"].to_numpy(), _floats(data, "logit"), _floats(data, "log_odds")

    def _computed(
        self,
        source: CellState,
        items: Sequence[AttributeWork],
        wanted: np.ndarray | None,
        shared: dict[int, BackgroundStats],
        rows: int,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(ids int64 [n] ascending, logits float32 [k, n], log odds float32 [k, n]) of a shard's images.

        Args:
            wanted: ids of the images, ascending; None for all.
            shared: block -> its stats, as far as they are known.
        """
        attributes = np.stack([self._attribute_vector(item.code) for item in items])
        axes = [(row, base.axis) for row, item in enumerate(items) if (base := _fit(item).base) is not None]
        count = rows if wanted is None else len(wanted)
        ids = np.empty(count, dtype=np.int64)
        values = np.empty((len(items), count), dtype=np.float32)
        odds = np.empty_like(values) if axes else values

        def score(block: _Block) -> None:
            ids[block.part] = block.ids
            own = logits(block.vectors, attributes, self.model).T
            values[:, block.part] = own
            if not axes:
                return
            if block.number not in shared:
                shared[block.number] = self._stats(block.ids, block.vectors)
            stats = shared[block.number]
            along = along_axes([axis for _, axis in axes], block.vectors, stats)
            for (row, axis), projected in zip(axes, along, strict=True):
                odds[row, block.part] = log_odds(axis, block.vectors, own[row], stats, projected)

        for _ in in_order(score, self._blocks(source, wanted)):
            pass
        if np.any(np.diff(ids) < 0):
            order = np.argsort(ids, kind="stable")
            return ids[order], values[:, order], odds[:, order]
        return ids, values, odds

    def _blocks(self, source: CellState, wanted: np.ndarray | None) -> Iterator[_Block]:
        filled = 0
        for number, (ids, vectors) in enumerate(read_embeddings(source.files, batch_rows=_BLOCK_ROWS)):
            if vectors.shape[1] != self.model.dimension:
                raise StoreError(
                    f"{source.files[0].path}: not of model {self.model.key}; run `colonnade verify`"
                )
            if wanted is not None:
                chosen = np.isin(ids, wanted)
                if not chosen.any():
                    continue
                ids, vectors = ids[chosen], vectors[chosen]
            yield _Block(number, slice(filled, filled + len(ids)), ids, vectors)
            filled += len(ids)

    def _stats(self, ids: np.ndarray, block: np.ndarray) -> BackgroundStats:
        if (found := self.known.of(ids)) is not None:
            return found
        if self.background is None:
            raise StoreError(
                f"model {self.model.key}: background phrases have no vectors; run colonnade sync"
            )
        return background_stats(block, self.background, self.model)

    def _attribute_vector(self, code: str) -> np.ndarray:
        prompts = self.vocabulary.prompts(code)
        return attribute_vector(np.stack([self.vectors[prompt] for prompt in prompts]))


def _fit(item: AttributeWork) -> Fit:
    assert item.fit is not None
    return item.fit


def _floats(data: pa.Table, name: str) -> np.ndarray:
    """float32 [n], nan for null."""
    return np.asarray(data[name].to_numpy(zero_copy_only=False), dtype=np.float32)


def _keep_stored(
    stored: tuple[np.ndarray, np.ndarray, np.ndarray],
    every: np.ndarray,
    fresh: tuple[np.ndarray, np.ndarray, np.ndarray | None],
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The rows of `every` image, ascending: those that are stored stay bit for bit, the others are the fresh ones."""
    ids = np.sort(every)
    columns: list[np.ndarray | None] = []
    for old, new in zip(stored[1:], fresh[1:], strict=True):
        if new is None:
            columns.append(None)
            continue
        column = np.full(len(ids), np.nan, dtype=np.float32)
        column[np.searchsorted(ids, fresh[0])] = new
        here = np.isin(stored[0], ids)
        column[np.searchsorted(ids, stored[0][here])] = old[here]
        columns.append(column)
    logit, odds = columns
    assert logit is not None
    return ids, logit, odds
