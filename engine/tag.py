"""Scoring stored embeddings against prompts: only stale cells, in blocks of bounded memory, one commit.

An attribute that has no fit yet, or whose fit no longer holds, is fitted first; the fit goes into the same commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from colonnade.engine.calibration import Fit, default_fit
from colonnade.engine.errors import ConflictError, InputError, ModelError
from colonnade.engine.fit_choice import Grounds, read_grounds
from colonnade.engine.fit_rows import stage_fits
from colonnade.engine.freshness import AttributeWork, CellState, base_work, cell_states
from colonnade.engine.listing import some
from colonnade.engine.provenance import read_definitions
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import conflict_retries, open_stage, retrying
from colonnade.engine.store import Store
from colonnade.engine.tag_stage import Steps, completed, stage_work
from colonnade.engine.texts import (
    Encoded,
    PhrasesError,
    encode_for,
    missing_phrases,
    missing_prompts,
    stage_texts,
)
from colonnade.engine.vocabulary import BaseAttribute, Vocabulary, nearest

if TYPE_CHECKING:
    from colonnade.engine.embedder import Embedder
    from colonnade.engine.known_stats import KnownStats

__all__ = ["TagOutcome", "UnscoredError", "chosen_attributes", "plan_tag", "tag"]


@dataclass(frozen=True, slots=True)
class TagOutcome:
    """What a `tag` did."""

    attributes: tuple[str, ...] = ()
    """The codes of which anything was written."""
    rows: int = 0
    encoded_prompts: int = 0
    encoded_phrases: int = 0
    """Background phrases, each in all of the vocabulary's templates."""
    fitted: tuple[str, ...] = ()
    """The codes that got a new fit."""
    no_signal: tuple[str, ...] = ()
    """Those of them of which the collection shows no sign."""


class UnscoredError(ModelError):
    """Attributes have prompts without a vector, which cannot be encoded; the others were scored."""

    def __init__(self, message: str, outcome: TagOutcome) -> None:
        super().__init__(message)
        self.outcome = outcome
        """What was done for the others."""


def plan_tag(
    snapshot: Snapshot,
    vocabulary: Vocabulary,
    model: Model | None,
    *,
    codes: Sequence[str] | None = None,
    force: bool = False,
    grounds: Grounds | None = None,
    embedded: Mapping[int, CellState] | None = None,
) -> tuple[AttributeWork, ...]:
    """What the base attributes need under a model, in the vocabulary's order; empty without one.

    Whether a model can encode background phrases shows only when it is tried. Where that is all there is to do, what
    was scored without them stays, or a try in vain would be planned for ever; the next other work tries again.

    Args:
        grounds: by default those in the snapshot.
        embedded: the cells of the model's embeddings; likewise.

    Raises:
        InputError: a code is not a base attribute of the vocabulary.
        StoreError: a file or a stored fit is damaged.
    """
    if model is None:
        return ()
    chosen = chosen_attributes(vocabulary, codes)
    if not chosen:
        return ()
    known = read_definitions(snapshot)
    cells = cell_states(snapshot, "embeddings", model.key) if embedded is None else embedded
    grounds = grounds or read_grounds(snapshot, vocabulary, model)

    def planned(grounds: Grounds) -> tuple[AttributeWork, ...]:
        return tuple(
            base_work(snapshot, vocabulary, attribute, grounds, cells, known, force=force)
            for attribute in chosen
        )

    work = planned(grounds)
    if missing_phrases(grounds, work):
        without = planned(replace(grounds, encodes=False))
        if not any(item.cells for item in without):
            return without
    return work


def chosen_attributes(vocabulary: Vocabulary, codes: Sequence[str] | None) -> list[BaseAttribute]:
    """The base attributes of these codes, each once; all of them for None.

    Raises:
        InputError: a code is not a base attribute of the vocabulary.
    """
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


def tag(
    store: Store,
    *,
    codes: Sequence[str] | None = None,
    force: bool = False,
    load: Callable[[str], Embedder] | None = None,
    progress: Callable[[int, int], None] | None = None,
    on_conflict: Callable[[str], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> TagOutcome:
    """Score every stale or missing cell of the base attributes, or of `codes`.

    An attribute of which a prompt has no vector and cannot be encoded keeps none of the others from being scored.

    Args:
        force: compute them even if fresh. Fits that hold stay.
        load: gives the model where a text has no vector yet; by default `load_embedder`.
        progress: called with (cells and fits done, cells and fits in all).
        on_conflict: called with one line when another process changed the store meanwhile and the work is retried.
        say: called with one line where attributes have to do without a fit of their own, or have no signal.

    Raises:
        InputError: an unknown code, or a wrong vocabulary.
        UnscoredError: a prompt has no vector and cannot be encoded; raised when all else is done.
    """
    tell = say or (lambda line: None)
    encoded, encodes = Encoded({}, {}), True
    refused: ModelError | None = None
    for _ in conflict_retries(store.path, on_conflict):
        snapshot, vocabulary = store.snapshot(), store.vocabulary()
        model = store.settings.active
        if model is None:
            return TagOutcome()
        grounds = replace(read_grounds(snapshot, vocabulary, model), encodes=encodes)
        planned = plan_tag(snapshot, vocabulary, model, codes=codes, force=force, grounds=grounds)
        work = [item for item in planned if item.cells]
        unscored: list[str] = []
        if refused is not None:
            unscored = [w.code for w in work if missing_prompts(vocabulary, encoded.added_to(grounds), [w])]
            work = [item for item in work if item.code not in unscored]
        if not work:
            return _told(TagOutcome(), unscored, refused)
        try:
            prompts, phrases = missing_prompts(vocabulary, grounds, work), missing_phrases(grounds, work)
            encoded = encode_for(grounds, prompts, phrases, encoded, load)
        except PhrasesError as error:
            encodes = False
            tell(str(error))
            continue
        except ModelError as error:
            encodes, refused = encodes and not phrases, error
            continue
        whole = encoded.added_to(grounds)
        to_make = [item for item in work if item.to_make]
        count = Steps(progress, sum(len(item.cells) for item in work) + len(to_make))
        try:
            with open_stage(store.path, command="tag", say=on_conflict) as stage:
                fits, known = _new_fits(snapshot, vocabulary, whole, to_make, count)
                work = completed(snapshot, vocabulary, whole, work, fits, force=force)
                stage_work(stage, snapshot, vocabulary, whole, work, count, known=known)
                stage_fits(stage, snapshot, fits, model)
                used = [
                    p for w in work if w.needs_prompts or w.code in fits for p in vocabulary.prompts(w.code)
                ]
                axes = any(w.fit is not None and w.fit.axis is not None and w.needs_prompts for w in work)
                stage_texts(stage, whole, encoded, used, background=axes or bool(fits))
                stage.commit(vocabulary=vocabulary.source)
        except ConflictError as error:
            if on_conflict:
                on_conflict(retrying(error))
            continue
        outcome = TagOutcome(
            tuple(w.code for w in work),
            sum(w.rows for w in work),
            len(encoded.prompts),
            grounds.background.lacking_phrases if phrases else 0,
            tuple(fits),
            tuple(code for code, fit in fits.items() if fit.no_signal),
        )
        _tell(work, outcome, model, tell)
        if by_hand := [w.code for w in to_make if w.choice and w.choice.previous and w.choice.previous.moved]:
            tell(f"calibrated anew, so cuts set by hand are gone: {some(by_hand)}")
        return _told(outcome, unscored, refused)
    raise AssertionError("unreachable")


def _told(outcome: TagOutcome, unscored: Sequence[str], refused: ModelError | None) -> TagOutcome:
    """The outcome; raised with what kept attributes from being scored, if there are any."""
    if not unscored:
        return outcome
    raise UnscoredError(f"{some(unscored)} cannot be scored: {refused}", outcome) from refused


def _new_fits(
    snapshot: Snapshot,
    vocabulary: Vocabulary,
    grounds: Grounds,
    to_make: Sequence[AttributeWork],
    progress: Callable[[], None],
) -> tuple[dict[str, Fit], KnownStats | None]:
    """The fits, and what was found out about images on the way."""
    if not to_make:
        return {}, None
    from colonnade.engine.fits import FitOrder, make_fits
    from colonnade.engine.known_stats import KnownStats

    known = KnownStats()

    orders = []
    for item in to_make:
        previous = item.choice.previous if item.choice is not None else None
        prompts = vocabulary.prompts(item.code)
        if grounds.obstacle is not None:  # people's answers, then, on the model's own fit
            orders.append(FitOrder(item.code, prompts, keep=default_fit(grounds.model, prompts)))
            continue
        asked = previous is not None and previous.method == "auto" and previous.chosen
        orders.append(FitOrder(item.code, prompts, "auto" if asked else None, chosen=asked))
    return make_fits(snapshot, grounds, orders, progress=progress, known=known), known


def _tell(
    work: Sequence[AttributeWork], outcome: TagOutcome, model: Model, tell: Callable[[str], None]
) -> None:
    """One line where attributes have no fit of their own, one where the collection shows no sign of them."""
    without = [(w.code, w.choice.fallback) for w in work if w.choice is not None and w.choice.fallback]
    if without and model.spec != "demo":
        noun = "attribute has" if len(without) == 1 else "attributes have"
        tell(f"{len(without)} {noun} the model's fixed calibration: {without[0][1]}")
    if outcome.no_signal:
        tell(
            f"no signal in this collection, so at most what stands out is accepted: {some(outcome.no_signal)}"
        )
