"""Fitting attributes anew and moving cuts: the fits, and the scores that follow, in one commit.

What another fit would do can be seen first: a dry run makes everything and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from colonnade.engine.auto_fit import SAMPLE
from colonnade.engine.calibration import Fit, default_fit
from colonnade.engine.calibration_store import FitChange, active_model, base_attribute, derived_from
from colonnade.engine.cut import moved, odds_of_cut
from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.fit_choice import Choice, Grounds, read_grounds
from colonnade.engine.fit_comparison import Comparison
from colonnade.engine.fit_rows import stage_fits
from colonnade.engine.freshness import AttributeWork, base_work, cell_states
from colonnade.engine.known_stats import KnownStats
from colonnade.engine.provenance import read_definitions
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import conflict_retries, open_stage, retrying
from colonnade.engine.store import Store
from colonnade.engine.tag import plan_tag
from colonnade.engine.tag_stage import Steps, score_all, stage_work
from colonnade.engine.texts import Encoded, encode_for, stage_texts
from colonnade.engine.vocabulary import Vocabulary

if TYPE_CHECKING:
    from colonnade.engine.embedder import Embedder
    from colonnade.engine.fits import FitOrder

__all__ = ["FitOutcome", "FitRun", "fit_attributes", "set_cut"]


@dataclass(frozen=True, slots=True)
class FitOutcome:
    """What became of one attribute."""

    change: FitChange
    fit: Fit
    """The one it has now; in a dry run, would have."""
    previous: Fit | None
    """What was stored before; None for nothing, or something damaged."""
    fallback: str | None = None
    """Why it has the model's fixed fit instead of one of its own."""
    accepted: float = 0.8
    """The confidence from which images are accepted."""


@dataclass(frozen=True, slots=True)
class FitRun:
    """What a command did about fits."""

    outcomes: tuple[FitOutcome, ...]
    changed: tuple[str, ...] = ()
    """The codes of which another fit is stored now; empty in a dry run."""
    written: tuple[str, ...] = ()
    """The codes whose scores were made anew, derived ones after those they are made of."""
    waiting: tuple[str, ...] = ()
    """The codes that need the model first, because a text has no vector: the next `sync` makes their scores."""


@dataclass(frozen=True)
class _State:
    """The store as one try of a command sees it."""

    snapshot: Snapshot
    vocabulary: Vocabulary
    grounds: Grounds
    choices: Mapping[str, Choice]

    def prompts(self, code: str) -> tuple[str, ...]:
        return self.vocabulary.prompts(code)


Make = Callable[[_State, Callable[[], None], KnownStats], dict[str, Fit | None]]
"""Code -> its new fit (None: nothing is to be stored); counts its steps, and keeps what it found out about images."""


def fit_attributes(
    store: Store,
    codes: Sequence[str] | None = None,
    method: str | None = None,
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    dry_run: bool = False,
    load: Callable[[str], Embedder] | None = None,
    progress: Callable[[int, int], None] | None = None,
    on_conflict: Callable[[str], None] | None = None,
) -> FitRun:
    """Fit attributes anew (all base attributes for None), in the place of what is stored for them.

    Args:
        method: auto; labels (on the fit there is; without codes, those that have enough); fixed (the model's own);
            None: what an attribute gets by itself, labels if there are enough and else auto.
        sample: the most images that an `auto` fit looks at.
        dry_run: write nothing.
        load: gives the model where a text has no vector yet.
        progress: called with (steps done, steps in all).

    Raises:
        InputError: an unknown or derived code, nothing embedded, too few labels, or `auto` cannot be had.
        ModelError: a text has no vector and cannot be encoded.
    """

    def make(state: _State, tick: Callable[[], None], known: KnownStats) -> dict[str, Fit | None]:
        from colonnade.engine.fits import make_fits

        orders, fits = _orders(state, method, asked=codes is not None)
        made = make_fits(
            state.snapshot, state.grounds, orders, sample=sample, seed=seed, progress=tick, known=known
        )
        return {code: made.get(code, fits.get(code)) for code in (*made, *fits)}

    return _run(store, codes, make, method != "fixed", dry_run, load, progress, on_conflict)


def set_cut(
    store: Store,
    code: str,
    cut: float,
    *,
    shown: bool = False,
    dry_run: bool = False,
    on_conflict: Callable[[str], None] | None = None,
) -> FitRun:
    """Put the cut of an attribute where somebody wants it.

    Args:
        cut: the log odds of confidence .80.
        shown: `cut` is where `accepted` begins, as the calibration table shows it (`cut_of`).

    Raises:
        InputError: an unknown or derived code, a cut that is not finite, or an attribute that has no fit yet.
    """

    def make(state: _State, tick: Callable[[], None], known: KnownStats) -> dict[str, Fit | None]:
        choice = state.choices[code]
        if choice.to_make:
            raise InputError(f"{code}: {choice.to_make}; run colonnade sync first")
        fit = choice.fit
        accepted = base_attribute(state.vocabulary, code).thresholds.accepted
        odds = odds_of_cut(fit, cut, accepted) if shown else cut
        return {code: moved(fit, odds)} if fit.method == "fixed" or fit.cut != odds else {}

    return _run(store, [code], make, False, dry_run, None, None, on_conflict)


def _orders(
    state: _State, method: str | None, *, asked: bool
) -> tuple[list[FitOrder], dict[str, Fit | None]]:
    """What is to be fitted, and the fits that need no fitting (None: nothing is to be stored)."""
    from colonnade.engine.answers import read_answers
    from colonnade.engine.fits import FitOrder

    obstacle = state.grounds.obstacle
    orders: list[FitOrder] = []
    fits: dict[str, Fit | None] = {}
    for code, choice in state.choices.items():
        prompts = state.prompts(code)
        default = default_fit(state.grounds.model, prompts)
        if method == "fixed":
            fits[code] = replace(default, chosen=True)
            continue
        if method == "auto" and obstacle is not None:
            raise InputError(f"{code}: auto cannot be had ({obstacle})")
        keep = default if obstacle is not None else None
        if method == "auto":
            orders.append(FitOrder(code, prompts, "auto", chosen=True))
            continue
        enough = read_answers(state.snapshot, code).enough
        if method == "labels":
            if not enough and not asked:
                continue
            holds = choice.to_make is None and choice.fallback is None and choice.fit.method != "fixed"
            orders.append(FitOrder(code, prompts, "labels", chosen=True, keep=choice.fit if holds else keep))
        elif keep is None or enough:
            orders.append(FitOrder(code, prompts, keep=keep))
        else:
            fits[code] = None
    return orders, fits


def _run(
    store: Store,
    codes: Sequence[str] | None,
    make: Make,
    encode: bool,
    dry_run: bool,
    load: Callable[[str], Embedder] | None,
    progress: Callable[[int, int], None] | None,
    on_conflict: Callable[[str], None] | None,
) -> FitRun:
    encoded = Encoded({}, {})
    for _ in conflict_retries(store.path, on_conflict):
        state, encoded = _state(store, codes, encode, encoded, load)
        tick, known = Steps(progress, 2 * len(state.choices)), KnownStats()
        fits = make(state, tick, known)
        work, waiting = _work(state, fits)
        tick.total = tick.done + sum(len(item.cells) for item in work)
        compare = Comparison(state.snapshot)
        if dry_run:
            score_all(state.snapshot, state.vocabulary, state.grounds, work, compare.note, tick, known=known)
            return FitRun(_outcomes(state, fits, work, compare), waiting=waiting)
        try:
            with open_stage(store.path, command="calibration", say=on_conflict) as stage:
                changed = stage_fits(stage, state.snapshot, fits, state.grounds.model)
                snapshot, vocabulary, grounds = state.snapshot, state.vocabulary, state.grounds
                stage_work(stage, snapshot, vocabulary, grounds, work, tick, note=compare.note, known=known)
                used = [p for item in work if item.needs_prompts for p in state.prompts(item.code)]
                axes = any(item.fit is not None and item.fit.axis is not None for item in work)
                stage_texts(stage, state.grounds, encoded, used, background=axes)
                stage.commit(vocabulary=state.vocabulary.source)
        except ConflictError as error:
            if on_conflict:
                on_conflict(retrying(error))
            continue
        written = tuple(item.code for item in work if item.cells)
        above = derived_from(state.vocabulary, list(fits))
        if above:
            written += derive_attributes(store, codes=above, on_conflict=on_conflict)
        return FitRun(_outcomes(state, fits, work, compare), changed, written, waiting)
    raise AssertionError("unreachable")


def _state(
    store: Store,
    codes: Sequence[str] | None,
    encode: bool,
    encoded: Encoded,
    load: Callable[[str], Embedder] | None,
) -> tuple[_State, Encoded]:
    """The live state with every vector that is needed, and those that had to be encoded for it."""
    model, snapshot, vocabulary = active_model(store), store.snapshot(), store.vocabulary()
    wanted = (
        [attribute.code for attribute in vocabulary.base] if codes is None else list(dict.fromkeys(codes))
    )
    for code in wanted:
        base_attribute(vocabulary, code)
    grounds = read_grounds(snapshot, vocabulary, model)
    if encode:
        prompts = [
            text for code in wanted for text in vocabulary.prompts(code) if text not in grounds.prompts
        ]
        phrases = grounds.background.lacking if grounds.obstacle is None else ()
        encoded = encode_for(grounds, prompts, phrases, encoded, load)
        grounds = encoded.added_to(grounds)
    planned = plan_tag(snapshot, vocabulary, model, codes=wanted, grounds=grounds)
    choices = {item.code: item.choice for item in planned if item.choice is not None}
    return _State(snapshot, vocabulary, grounds, choices), encoded


def _work(state: _State, fits: Mapping[str, Fit | None]) -> tuple[list[AttributeWork], tuple[str, ...]]:
    """What the fits leave to do, and the codes of which nothing can be done for want of a vector."""
    snapshot, grounds = state.snapshot, state.grounds
    known = read_definitions(snapshot)
    embedded = cell_states(snapshot, "embeddings", grounds.model.key)
    base = {attribute.code: attribute for attribute in state.vocabulary.base}
    work, waiting = [], []
    for code, fit in fits.items():
        wanted = fit or default_fit(grounds.model, state.prompts(code))
        item = base_work(snapshot, state.vocabulary, base[code], grounds, embedded, known, fit=wanted)
        lacking = any(text not in grounds.prompts for text in state.prompts(code))
        if item.needs_prompts and (lacking or (wanted.axis and grounds.background.background is None)):
            waiting.append(code)
            item = replace(item, cells=())
        work.append(item)
    return work, tuple(waiting)


def _outcomes(
    state: _State, fits: Mapping[str, Fit | None], work: Sequence[AttributeWork], compare: Comparison
) -> tuple[FitOutcome, ...]:
    outcomes = []
    accepted = {attribute.code: attribute.thresholds.accepted for attribute in state.vocabulary.base}
    for item in work:
        compare.rest(item)
        assert item.fit is not None
        fallback = state.grounds.obstacle if fits[item.code] is None else None
        previous = state.choices[item.code].previous
        change = compare.change(item.code)
        outcomes.append(FitOutcome(change, item.fit, previous, fallback, accepted[item.code]))
    return tuple(outcomes)
