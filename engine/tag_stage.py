"""Stale work made and staged: the scores of base attributes, and their definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from colonnade.engine.calibration import Fit
from colonnade.engine.fit_choice import Grounds
from colonnade.engine.freshness import AttributeWork, CellWork, base_work, cell_states
from colonnade.engine.parallel import one_behind
from colonnade.engine.provenance import read_definitions, store_definitions
from colonnade.engine.scoring import scores_table
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.vocabulary import Vocabulary

if TYPE_CHECKING:
    from colonnade.engine.known_stats import KnownStats
    from colonnade.engine.score_pass import CellScores, Emit

__all__ = ["Steps", "completed", "score_all", "stage_work"]


@dataclass(slots=True)
class Steps:
    """Counts steps towards a total."""

    progress: Callable[[int, int], None] | None
    total: int
    done: int = 0

    def __call__(self) -> None:
        self.done += 1
        if self.progress:
            self.progress(min(self.done, self.total), self.total)


def completed(
    snapshot: Snapshot,
    vocabulary: Vocabulary,
    grounds: Grounds,
    work: Sequence[AttributeWork],
    fits: Mapping[str, Fit],
    *,
    force: bool = False,
) -> list[AttributeWork]:
    """The work with the fits that were made for it, and with what they leave to do."""
    known = read_definitions(snapshot)
    embedded = cell_states(snapshot, "embeddings", grounds.model.key)
    base = {attribute.code: attribute for attribute in vocabulary.base}
    return [
        base_work(snapshot, vocabulary, base[w.code], grounds, embedded, known, force=force, fit=fits[w.code])
        if w.code in fits
        else w
        for w in work
    ]


def stage_work(
    stage: Stage,
    snapshot: Snapshot,
    vocabulary: Vocabulary,
    grounds: Grounds,
    work: Sequence[AttributeWork],
    progress: Callable[[], None],
    *,
    note: Emit | None = None,
    known: KnownStats | None = None,
) -> None:
    """Make what is stale and stage it, with its definitions.

    Args:
        grounds: with the vectors of the prompts and, where an axis needs it, of the background.
        note: told of each cell as well, from another thread, one after the other.
        known: stats that were made already.
    """

    def write(item: AttributeWork, cell: CellWork, scores: CellScores | None) -> None:
        if note is not None:
            note(item, cell, scores)
        old = snapshot.cell("scores", item.code, cell.shard)
        if scores is None:
            stage.drop("scores", item.code, read=old)
            return
        rows = scores_table(
            scores.ids,
            logit=scores.logit,
            log_odds=scores.log_odds,
            confidence=scores.confidence,
            status=scores.status,
            label_source="clip_zero_shot",
            model=grounds.model.key,
            definition=item.definition.hash,
        )
        stage.replace("scores", item.code, cell.shard, rows, read=old)

    def used(shard: int, files: Sequence[DataFile]) -> None:
        stage.require("embeddings", grounds.model.key, shard, read=files)

    with one_behind(write) as emit:
        score_all(snapshot, vocabulary, grounds, work, emit, progress, used=used, known=known)
    store_definitions(stage, [d for w in work for d in (w.logit, w.definition) if d is not None])


def score_all(
    snapshot: Snapshot,
    vocabulary: Vocabulary,
    grounds: Grounds,
    work: Sequence[AttributeWork],
    emit: Emit,
    progress: Callable[[], None],
    *,
    used: Callable[[int, Sequence[DataFile]], None] = lambda shard, files: None,
    known: KnownStats | None = None,
) -> None:
    """Make what is stale; see `ScorePass`."""
    from colonnade.engine.known_stats import KnownStats
    from colonnade.engine.score_pass import ScorePass

    axes = any(item.fit is not None and item.fit.axis is not None and item.needs_prompts for item in work)
    background = grounds.background.background if axes else None
    run = ScorePass(
        snapshot, vocabulary, grounds.model, grounds.prompts, background, emit, used, known or KnownStats()
    )
    run.run(work, progress)
