"""Making fits: `auto` on a sample of the collection, and `labels` on top of it or of the fit there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from colonnade.engine.answers import Answers, read_answers
from colonnade.engine.auto_axis import log_odds
from colonnade.engine.auto_fit import SAMPLE, fit_auto, image_spread
from colonnade.engine.background_stats import background_stats
from colonnade.engine.calibration import Fit
from colonnade.engine.errors import InputError
from colonnade.engine.fit_choice import Grounds, vectors_digest
from colonnade.engine.fit_document import axis_digest
from colonnade.engine.fit_parts import AutoBase, LabelPart
from colonnade.engine.known_stats import KnownStats, joined
from colonnade.engine.label_fit import fit_labels
from colonnade.engine.parallel import in_order, one_blas_thread
from colonnade.engine.provenance import logit_definition
from colonnade.engine.sampling import draw, embedded_ids, fetch
from colonnade.engine.scoring import attribute_vector, logits
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stored_odds import computed_log_odds, stored_log_odds

__all__ = ["SAMPLE", "FitOrder", "make_fits", "with_labels", "without_labels"]

_BLOCK_ROWS = 4096
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class FitOrder:
    """An attribute to be fitted."""

    code: str
    prompts: tuple[str, ...]
    method: str | None = None
    """auto or labels; None: labels if there are enough of them, else auto."""
    chosen: bool = False
    """Whether somebody asked for it."""
    keep: Fit | None = None
    """For labels: the fit that stays below them; None: a new one."""


def make_fits(
    snapshot: Snapshot,
    grounds: Grounds,
    orders: Sequence[FitOrder],
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
    known: KnownStats | None = None,
) -> dict[str, Fit]:
    """Code -> new fit. A fit depends on its own attribute alone, not on which others are made with it.

    Args:
        grounds: with every prompt's vector and, unless all orders keep a fit, the whole background.
        sample: the most images that an `auto` fit looks at.
        progress: called after each fit.
        known: is given the stats of the sample.

    Raises:
        InputError: `labels` was asked for, and there are too few of them.
    """
    with one_blas_thread():
        return _make_fits(snapshot, grounds, orders, sample, seed, progress, known or KnownStats())


def _make_fits(
    snapshot: Snapshot,
    grounds: Grounds,
    orders: Sequence[FitOrder],
    sample: int,
    seed: int,
    progress: Callable[[], None],
    known: KnownStats,
) -> dict[str, Fit]:
    every = embedded_ids(snapshot, grounds.model)
    answers = {order.code: read_answers(snapshot, order.code).of(every) for order in orders}
    for order in orders:
        if order.method == "labels" and not answers[order.code].enough:
            raise InputError(
                f"{order.code}: {len(answers[order.code].ids)} labels; two of each kind or five in all are needed: "
                f"colonnade review {order.code}"
            )
    made = {}
    anew = [order for order in orders if order.keep is None]
    bases: dict[str, Fit] = {}
    if anew:
        drawn = draw(every, sample, seed)
        bases = _auto_fits(snapshot, grounds, anew, answers, drawn, seed, progress, known)
    for order in orders:
        if order.keep is None:
            made[order.code] = bases[order.code]
            continue
        some = answers[order.code]
        found = stored_log_odds(snapshot, grounds, order.code, order.prompts, order.keep)
        if found is None or not np.isin(some.ids, found[0]).all():
            ids = np.union1d(draw(every, sample, seed), some.ids)
            found = ids, computed_log_odds(snapshot, grounds, order.prompts, order.keep, ids)
        logit = logit_definition(grounds.model, order.prompts).hash
        made[order.code] = with_labels(order.keep, some, *found, logit, chosen=order.chosen)
        progress()
    return made


def _auto_fits(
    snapshot: Snapshot,
    grounds: Grounds,
    orders: Sequence[FitOrder],
    answers: Mapping[str, Answers],
    sampled: np.ndarray,
    seed: int,
    progress: Callable[[], None],
    known: KnownStats,
) -> dict[str, Fit]:
    """New `auto` fits, with the labels on top where they are enough and wanted."""
    model = grounds.model
    if (background := grounds.background.background) is None:
        raise InputError(f"model {model.key}: {grounds.obstacle or 'no background phrases'}")
    labelled = [answers[order.code].ids for order in orders if _wants_labels(order, answers)]
    ids = np.unique(np.concatenate([sampled, *labelled]))
    vectors = fetch(snapshot, model, ids)
    parts = [vectors[start : start + _BLOCK_ROWS] for start in range(0, len(vectors), _BLOCK_ROWS)]
    stats = joined(list(in_order(lambda part: background_stats(part, background, model), parts)))
    known.remember(ids, stats)
    drawn = np.searchsorted(ids, sampled)
    whole = len(drawn) == len(ids)
    sample, sample_stats = (vectors, stats) if whole else (vectors[drawn], stats.take(drawn))
    spread = image_spread(sample)

    def fit(order: FitOrder) -> Fit:
        prompts = [grounds.prompts[prompt] for prompt in order.prompts]
        vector = attribute_vector(np.stack(prompts))
        of_all = logits(vectors, vector[None], model)[:, 0]
        found = fit_auto(sample, of_all[drawn], sample_stats, vector, background, seed=seed, spread=spread)
        base = AutoBase(
            axis=found.axis,
            cut=float(found.cut),
            slope=float(found.slope),
            no_signal=bool(found.no_signal),
            gate=found.gate,
            logit=logit_definition(model, order.prompts).hash,
            vector=vectors_digest(prompts),
            background=background.digest,
            count=int(found.count),
            embedded=grounds.embedded,
            snapshot=snapshot.number,
            seed=seed,
            metrics=dict(found.metrics),
            quantiles=tuple(float(value) for value in found.quantiles),
            competing=tuple((phrase[:_SHOWN], float(share)) for phrase, share in found.competing),
        )
        if not _wants_labels(order, answers):
            return auto_fit(base, chosen=order.chosen and order.method == "auto")
        odds = log_odds(found.axis, vectors, of_all, stats)
        return with_labels(auto_fit(base), answers[order.code], ids, odds, base.logit, chosen=order.chosen)

    made = {}
    for order, found in zip(orders, in_order(fit, orders), strict=True):
        made[order.code] = found
        progress()
    return made


def _wants_labels(order: FitOrder, answers: Mapping[str, Answers]) -> bool:
    return order.method != "auto" and answers[order.code].enough


def auto_fit(base: AutoBase, *, chosen: bool = False) -> Fit:
    """The fit that a base is without labels."""
    return Fit(
        "auto",
        chosen=chosen,
        cut=base.cut,
        slope=base.slope,
        no_signal=base.no_signal,
        gate=base.gate if base.no_signal else None,
        axis=axis_digest(base.axis.as_json()),
        background=base.background,
        base=base,
    )


def without_labels(fit: Fit) -> Fit:
    """The fit below people's answers and cuts set by hand."""
    if fit.base is not None:
        return auto_fit(fit.base)
    return Fit("fixed", fit.center, fit.scale)


def with_labels(
    fit: Fit, answers: Answers, ids: np.ndarray, odds: np.ndarray, logit: str, *, chosen: bool = False
) -> Fit:
    """A fit moved by people's answers. One yes may be a slip: it takes two to say that the attribute is there at all.

    Args:
        fit: of any method; its axis stays, and what labels did to it before is forgotten.
        ids: int64 [n], ascending: images of the collection, the answers' among them.
        odds: float32 [n], their log odds on that axis.
        chosen: whether somebody asked for it.
        logit: the hash of the definition of the attribute's logits.
    """
    below = without_labels(fit)
    x = odds.astype(np.float64) - below.cut
    silent = below.no_signal and int(answers.present.sum()) < 2
    part = fit_labels(x[np.searchsorted(ids, answers.ids)], answers.present, collection=x, sure=answers.sure)
    return Fit(
        "labels",
        below.center,
        below.scale,
        chosen=chosen,
        cut=below.cut + part.delta,
        slope=part.slope,
        no_signal=silent,
        gate=below.gate if silent else None,
        axis=below.axis,
        background=below.background,
        logit=logit,
        base=below.base,
        labels=LabelPart(**{field.name: getattr(part, field.name) for field in fields(LabelPart)}),
    )
