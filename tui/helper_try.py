"""Trying a wording before it is saved: what it would accept, which images come and go, what it is near to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from colonnade.engine.errors import InputError
from colonnade.tui.helper_bench import bench_of

if TYPE_CHECKING:
    from colonnade.engine.calibration import Fit
    from colonnade.engine.fit_choice import Grounds
    from colonnade.engine.snapshots import Snapshot
    from colonnade.engine.vocabulary import Thresholds, Vocabulary
    from colonnade.tui.helper_bench import Bench
    from colonnade.tui.helper_ops import Helper

__all__ = ["try_wording"]

BINS = 32
_FINE_BINS = 128
_NEAREST = 5
_MOST_IMAGES = 200
_MOST_PROMPTS = 100


def try_wording(
    helper: Helper,
    code: str | None = None,
    description: str | None = None,
    prompts: Sequence[str] | None = None,
    accepted: float | None = None,
    tentative: float | None = None,
    limit: int = 24,
) -> dict[str, Any]:
    """What a wording does to the collection. Writes nothing.

    Args:
        code: the saved attribute that it is compared with; None for a new one.
        description: goes through the vocabulary's templates, unless there are `prompts`.
        accepted: thresholds; by default those of the attribute, or of the vocabulary.
    """
    from colonnade.engine.fit_choice import read_grounds
    from colonnade.engine.scoring import attribute_vector, logits
    from colonnade.engine.search import active_model

    store = helper.store
    snapshot, vocabulary, model = store.snapshot(), store.vocabulary(), active_model(store)
    wanted = _prompts(vocabulary, code, description, prompts)
    grounds = read_grounds(snapshot, vocabulary, model)
    bench = bench_of(helper, snapshot, grounds)
    known = dict(grounds.prompts) | _encoded(helper, grounds, wanted)
    vector = attribute_vector(np.stack([known[prompt] for prompt in wanted]))
    logit = logits(bench.vectors, vector[None], model)[:, 0]
    fit, odds, method = _fitted(snapshot, bench, replace(grounds, prompts=known), code, wanted, vector, logit)
    thresholds = _thresholds(vocabulary, code, accepted, tentative)
    return _result(
        bench, _stored(snapshot, bench, code), fit, odds, logit, thresholds, min(limit, _MOST_IMAGES)
    ) | {
        "method": method,
        "prompts": list(wanted),
        "nearest": _nearest(vocabulary, known, vector, code),
    }


def _prompts(
    vocabulary: Vocabulary, code: str | None, description: str | None, prompts: Sequence[str] | None
) -> tuple[str, ...]:
    if prompts:
        wanted = tuple(prompt.strip() for prompt in prompts if prompt.strip())
    elif description is not None:
        words = description.strip()
        wanted = tuple(template.replace("{description}", words) for template in vocabulary.templates if words)
    elif code is not None:
        wanted = vocabulary.prompts(code)
    else:
        wanted = ()
    if not 0 < len(wanted) <= _MOST_PROMPTS or any(len(prompt) > 2000 for prompt in wanted):
        raise InputError("write a description, or a prompt, of up to 2,000 characters")
    return wanted


def _encoded(helper: Helper, grounds: Grounds, prompts: Sequence[str]) -> dict[str, np.ndarray]:
    """Vectors of prompts that are not stored; kept, for words are changed back and forth."""
    from colonnade.engine.prompts import encode_missing

    model = grounds.model
    lacking = [p for p in prompts if p not in grounds.prompts and (model.key, p) not in helper.texts]
    for prompt, vector in encode_missing(model, lacking, helper.load).items():
        helper.texts[model.key, prompt] = vector
    return {p: helper.texts[model.key, p] for p in prompts if (model.key, p) in helper.texts}


def _thresholds(
    vocabulary: Vocabulary, code: str | None, accepted: float | None, tentative: float | None
) -> Thresholds:
    from colonnade.engine.vocabulary import BaseAttribute, Thresholds

    own = vocabulary.thresholds
    if code is not None and code in vocabulary:
        attribute = vocabulary.attribute(code)
        own = attribute.thresholds if isinstance(attribute, BaseAttribute) else own
    return Thresholds(
        own.accepted if accepted is None else accepted, own.tentative if tentative is None else tentative
    )


def _fitted(
    snapshot: Snapshot,
    bench: Bench,
    grounds: Grounds,
    code: str | None,
    prompts: tuple[str, ...],
    vector: np.ndarray,
    logit: np.ndarray,
) -> tuple[Fit, np.ndarray | None, str]:
    """The fit that tagging would give (or has given) this wording, its log odds, and how it came about."""
    from colonnade.engine.auto_axis import log_odds
    from colonnade.engine.calibration import Fit
    from colonnade.engine.fit_choice import choose, sound_row
    from colonnade.engine.provenance import logit_definition, read_definitions

    row = sound_row(snapshot, code, bench.model)[0] if code is not None else None
    definition = logit_definition(bench.model, prompts).hash
    choice = choose(grounds, row.fit if row else None, prompts, definition, read_definitions(snapshot))
    fit, stats = choice.fit, bench.stats
    if choice.to_make is None or stats is None or bench.background is None:
        lacking = choice.to_make is not None
        how = "fixed, until it is tagged: background phrases have no vectors yet" if lacking else fit.method
        odds = (
            log_odds(fit.base.axis, bench.vectors, logit, stats) if fit.base is not None and stats else None
        )
        return fit, odds, f"fixed: {choice.fallback}" if choice.fallback else how
    from colonnade.engine.auto_fit import fit_auto

    found = fit_auto(bench.vectors, logit, stats, vector, bench.background, spread=bench.spread)
    odds = log_odds(found.axis, bench.vectors, logit, stats)
    made = Fit(
        "auto", cut=found.cut, slope=found.slope, no_signal=found.no_signal, gate=found.gate, axis="tried"
    )
    return made, odds, "no signal" if found.no_signal else "auto"


def _stored(snapshot: Snapshot, bench: Bench, code: str | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Statuses (int8 [n], -1 where there is none) and confidences (float32 [n], nan) as they are saved.

    None for an attribute that is not scored.
    """
    from colonnade.engine.scoring import codes_of_statuses
    from colonnade.engine.tables import read_files

    files = snapshot.files("scores", code) if code is not None else ()
    if not files:
        return None
    statuses = np.full(len(bench.ids), -1, np.int8)
    confidences = np.full(len(bench.ids), np.nan, np.float32)
    for file in files:
        data = read_files([file], ["image_id", "confidence", "status"])
        own = data["image_id"].to_numpy()
        places = np.minimum(np.searchsorted(bench.ids, own), len(bench.ids) - 1)
        chosen = bench.ids[places] == own
        statuses[places[chosen]] = codes_of_statuses(data["status"])[chosen]
        confidences[places[chosen]] = data["confidence"].to_numpy()[chosen]
    return statuses, confidences


def _binned(values: np.ndarray) -> tuple[list[int], float, float]:
    """A histogram, and where it begins and ends.

    Its bins are a power of two wide and begin at multiples of that, so those of two wordings can be added up.
    """
    if not len(values):
        return [0], 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    step = 2.0 ** np.ceil(np.log2(max(high - low, 1e-3) / _FINE_BINS))
    first = int(np.floor(low / step))
    counts = np.bincount(np.floor(values.astype(np.float64) / step).astype(np.int64) - first)
    return [int(count) for count in counts], first * step, (first + len(counts)) * step


def _result(
    bench: Bench,
    stored: tuple[np.ndarray, np.ndarray] | None,
    fit: Fit,
    odds: np.ndarray | None,
    logit: np.ndarray,
    thresholds: Thresholds,
    limit: int,
) -> dict[str, Any]:
    from colonnade.engine.calibration import ACCEPTED, TENTATIVE, cut_of, judge

    confidence, status = judge(fit, thresholds.accepted, thresholds.tentative, logit, odds)
    usable = bench.usable
    order = np.lexsort((bench.ids, -logit, -confidence))
    accepted = (status == ACCEPTED) & usable
    before = None if stored is None else (stored[0] == ACCEPTED) & usable
    saved = stored[1] if stored is not None else np.full(len(order), np.nan, np.float32)
    entering = accepted & ~before if before is not None else np.zeros(len(order), bool)
    leaving = before & ~accepted if before is not None else np.zeros(len(order), bool)

    def images(mask: np.ndarray, places: np.ndarray) -> list[list[Any]]:
        chosen = places[mask[places]][:limit]
        values = (bench.ids, confidence, logit, status, saved)
        rows = zip(*(array[chosen] for array in values), strict=True)
        words = {ACCEPTED: "accepted", TENTATIVE: "tentative"}
        return [
            [int(i), float(c), float(x), words.get(int(s), "rejected"), None if np.isnan(b) else float(b)]
            for i, c, x, s, b in rows
        ]

    of_logits, low, high = _binned(logit[usable])
    return {
        "images": int(usable.sum()),
        "embedded": bench.embedded,
        "best": images(usable, order),
        "accepted": int(accepted.sum()),
        "tentative": int(((status == TENTATIVE) & usable).sum()),
        "before": None if before is None else int(before.sum()),
        "entering": int(entering.sum()),
        "leaving": int(leaving.sum()),
        "entering_images": images(entering, order),
        "leaving_images": images(leaving, order[::-1]),
        "logits": of_logits,
        "low": low,
        "high": high,
        "cut": cut_of(fit, thresholds.accepted) if fit.axis is None else None,
        "confidences": [int(n) for n in np.histogram(confidence[usable], bins=BINS, range=(0.0, 1.0))[0]],
    }


def _nearest(
    vocabulary: Vocabulary, known: dict[str, np.ndarray], vector: np.ndarray, code: str | None
) -> list[list[Any]]:
    """The attributes whose prompts are nearest to the wording, with their cosines."""
    from colonnade.engine.scoring import attribute_vector

    found: list[tuple[str, float]] = []
    for attribute in vocabulary.base:
        prompts = vocabulary.prompts(attribute.code)
        if attribute.code != code and all(prompt in known for prompt in prompts):
            other = attribute_vector(np.stack([known[prompt] for prompt in prompts]))
            found.append((attribute.code, round(float(other @ vector), 4)))
    return [list(pair) for pair in sorted(found, key=lambda pair: -pair[1])[:_NEAREST]]
