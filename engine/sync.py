"""The plan of stale work, and running it: scan, embed, tag, derive.

`make_plan` says what is stale; `run_plan` does it. Each step of a run plans with the same functions, so that
what `plan` shows and what `sync` does cannot differ, and after a `sync` the plan is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from colonnade.engine.derive_run import derive_attributes, plan_derive
from colonnade.engine.drift import Proposal, proposals
from colonnade.engine.embed import EmbedOutcome, embed
from colonnade.engine.errors import ModelError
from colonnade.engine.fit_choice import read_grounds
from colonnade.engine.freshness import AttributeWork
from colonnade.engine.jobs import embedding_rate
from colonnade.engine.model_files import known_model
from colonnade.engine.pending import (
    copies_among,
    embedded_then,
    found_again,
    images_to_embed,
    pending_images,
    perhaps_known,
    within_reach,
)
from colonnade.engine.scan import ScanOutcome, ScanPlan, apply_scan, plan_scan
from colonnade.engine.settings import Model
from colonnade.engine.store import Store
from colonnade.engine.tag import TagOutcome, UnscoredError, plan_tag, tag
from colonnade.engine.texts import missing_phrases, missing_prompts

if TYPE_CHECKING:
    from colonnade.engine.embedder import Embedder

__all__ = ["Narrator", "Plan", "SyncOutcome", "make_plan", "model_loader", "run_plan"]

Progress = Callable[[str, int, int, int], None]
"""Called with (phase, done, total, failures)."""


@dataclass(frozen=True)
class Plan:
    """What the next `sync` will do."""

    scan: ScanPlan | None
    """The comparison of the roots with the images table; None where the roots were not looked at."""
    model: str
    """How the active model is loaded, or its key where it was imported."""
    images_to_embed: int
    """Images without a vector: those in the table, and those that the scan would add or re-read."""
    images_perhaps: int
    """Of those: whose file may turn out to hold what it held, or to be one that is gone, once it is read. They
    have another time and the size that they had, or are new and have the size, not the time, of one that is gone."""
    copies: int
    """Of the images to embed: those known to have the bytes of another one, whose vector they get undecoded."""
    model_replaced: bool
    """Whether that is because the model's files are others than those that the vectors were made with."""
    images_without_encoder: int
    """Files without a vector that the active model, which was imported, cannot embed. `sync` leaves them."""
    prompts_to_encode: tuple[str, ...]
    phrases_to_encode: int
    """Background phrases without a vector, where an attribute is to be calibrated."""
    base: tuple[AttributeWork, ...]
    """Base attributes with stale cells."""
    derived: tuple[AttributeWork, ...]
    """Derived attributes with stale cells, inputs before users."""
    base_count: int
    orphans: tuple[str, ...]
    """Scored codes that the vocabulary no longer has. `sync` leaves them; `drop` removes them."""
    proposals: tuple[Proposal, ...]
    """Fits that the collection has outgrown. `sync` leaves them; `calibration fit` makes them anew."""
    no_signal: tuple[str, ...]
    """Attributes of which the collection shows no sign: nothing of them is accepted."""
    images_per_second: float | None
    """Of the last job that embedded any images here."""

    @property
    def to_calibrate(self) -> tuple[str, ...]:
        """Attributes that get a new fit before they are scored."""
        return tuple(work.code for work in self.base if work.to_make)

    @property
    def empty(self) -> bool:
        """Whether a `sync` would do nothing."""
        scanned = self.scan is None or self.scan.is_empty
        return scanned and not (self.images_to_embed or self.base or self.derived)

    @property
    def retries(self) -> int:
        """Files that could not be read so far and that every sync tries again; they are no work of their own."""
        return 0 if self.scan is None else self.scan.count("retried")


@dataclass(slots=True)
class SyncOutcome:
    """What a `sync` did."""

    scan: ScanOutcome | None = None
    embed: EmbedOutcome = field(default_factory=EmbedOutcome)
    tag: TagOutcome = field(default_factory=TagOutcome)
    derived: tuple[str, ...] = ()

    @property
    def failures(self) -> int:
        return self.embed.failed + (self.scan.unreadable if self.scan else 0)


@dataclass(frozen=True, slots=True)
class Narrator:
    """Where a long command tells what it does."""

    progress: Progress = lambda phase, done, total, failures: None
    say: Callable[[str], None] = lambda line: None
    failed: Callable[[str, str], None] = lambda path, reason: None
    """Told of each file that cannot be read, and why."""


def make_plan(store: Store, *, scan: bool = True) -> Plan:
    """What is stale in the store. Reads footers, id columns and (for `scan`) the names in the roots; writes nothing.

    Raises:
        VocabularyError: the vocabulary is wrong.
    """
    snapshot, settings, vocabulary = store.snapshot(), store.settings, store.vocabulary()
    scanned = plan_scan(store, snapshot=snapshot) if scan else None
    known, model = known_model(settings), settings.active
    pending = pending_images(snapshot, known.key if known else None, back=found_again(scanned))
    reach = within_reach(pending, settings)
    ids = images_to_embed(snapshot, pending, reach, scanned) if settings.spec else reach[:0].astype(np.int64)
    replaced = known is None and model is not None and len(ids) > 0
    if len(ids) and known is None:
        model = Model(settings.spec, settings.spec, 1, 1.0)  # it was never loaded here
    grounds = then = None
    everything: tuple[AttributeWork, ...] = ()
    if model is not None:
        embedded = embedded_then(snapshot, model.key, ids)
        grounds = read_grounds(snapshot, vocabulary, model)
        then = replace(grounds, embedded=sum(cell.rows for cell in embedded.values()), coming=ids)
        everything = plan_tag(snapshot, vocabulary, model, grounds=then, embedded=embedded)
    base = tuple(work for work in everything if work.cells)
    derived = tuple(work for work in plan_derive(snapshot, vocabulary, pending=everything) if work.cells)
    return Plan(
        scan=scanned,
        model=settings.spec or settings.model_key or "",
        images_to_embed=len(ids),
        images_perhaps=perhaps_known(pending, ids, scanned),
        copies=0 if model is None else copies_among(snapshot, model.key, pending, ids),
        model_replaced=replaced,
        images_without_encoder=0 if settings.spec else int(reach.sum()),
        prompts_to_encode=missing_prompts(vocabulary, then, base) if then else (),
        phrases_to_encode=then.background.lacking_phrases if then and missing_phrases(then, base) else 0,
        proposals=proposals(everything, grounds, snapshot) if grounds else (),
        no_signal=tuple(
            work.code for work in everything if not work.to_make and work.fit and work.fit.no_signal
        ),
        base=base,
        derived=derived,
        base_count=len(vocabulary.base),
        orphans=tuple(code for code in snapshot.partitions("scores") if code not in vocabulary.codes),
        images_per_second=embedding_rate(store.path),
    )


def model_loader(device: str | None = None) -> Callable[[str], Embedder]:
    """`load_embedder` on a device, that keeps the last model: a run loads it once for images and prompts."""

    @lru_cache(maxsize=1)
    def load(spec: str) -> Embedder:
        from colonnade.engine.embedder import load_embedder

        return load_embedder(spec, device=device)

    return load


def run_plan(
    store: Store,
    plan: Plan,
    *,
    batch: int | None = None,
    device: str | None = None,
    narrator: Narrator | None = None,
    outcome: SyncOutcome | None = None,
) -> SyncOutcome:
    """Do what the plan says. What a step changes is planned anew before the next.

    Args:
        outcome: filled in step by step, so that it is known what was done where this raises.

    Raises:
        ModelError: the model is needed and cannot be loaded; raised when all that does without it is done.
        StoreError: the store cannot be written.
    """
    narrate = narrator or Narrator()
    load = model_loader(device)
    outcome = SyncOutcome() if outcome is None else outcome
    refused: ModelError | None = None
    if plan.scan is not None and (plan.retries or not plan.scan.is_empty):
        outcome.scan = apply_scan(
            store,
            plan.scan,
            lambda done, total, failures: narrate.progress("scan", done, total, failures),
            narrate=narrate.say,
            on_failure=narrate.failed,
        )
    now = make_plan(store, scan=False) if outcome.scan else plan
    if now.images_to_embed:
        try:
            embed(
                store,
                batch=batch,
                load=load,
                progress=lambda done, total, failures: narrate.progress("embed", done, total, failures),
                on_conflict=narrate.say,
                on_failure=narrate.failed,
                outcome=outcome.embed,
            )
        except ModelError as error:
            refused, load = error, _refusing(error)
        now = make_plan(store, scan=False)
    if now.base:
        try:
            outcome.tag = tag(
                store,
                load=load,
                progress=lambda done, total: narrate.progress("tag", done, total, 0),
                on_conflict=narrate.say,
                say=narrate.say,
            )
        except UnscoredError as error:
            outcome.tag = error.outcome
            if refused is not None:
                narrate.say(f"some images have no vector yet: {refused}")
            refused = error
        now = make_plan(store, scan=False)
    if now.derived:
        outcome.derived = derive_attributes(store, on_conflict=narrate.say)
    if refused is not None:
        raise refused
    return outcome


def _refusing(error: ModelError) -> Callable[[str], Embedder]:
    """A loader for what was tried in vain already, which may have taken minutes."""

    def refuse(spec: str) -> Embedder:
        raise error

    return refuse
