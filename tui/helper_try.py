"""Trying a wording before it is saved: what it would accept, which images come and go, what it is near to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from colonnade.engine.errors import InputError

if TYPE_CHECKING:
    from colonnade.engine.auto_fit import ImageSpread
    from colonnade.engine.background_stats import Background, BackgroundStats
    from colonnade.engine.calibration import Fit
    from colonnade.engine.fit_choice import Grounds
    from colonnade.engine.settings import Model
    from colonnade.engine.snapshots import Snapshot
    from colonnade.engine.vocabulary import Thresholds, Vocabulary
    from colonnade.tui.helper_ops import Helper

__all__ = ["Bench", "try_wording"]

BINS = 32
_NEAREST = 5
_MOST_IMAGES = 200
_MOST_PROMPTS = 100


@dataclass(frozen=True, eq=False)
class Bench:
    """The images on which wordings are tried: all that are embedded, or a sample of 50,000."""

    snapshot: Snapshot
    """The one that they were read from; a later one may have the same images."""
    model: Model
    ids: np.ndarray
    """int64 [n], ascending."""
    embedded: int
    """Images with a vector."""
    vectors: np.ndarray
    """float32 [n, D]."""
    background: Background | None

    @cached_property
    def stats(self) -> BackgroundStats | None:
        """How strongly each image answers to the background; None without one."""
        from colonnade.engine.background_stats import background_stats

        return background_stats(self.vectors, self.background, self.model) if self.background else None

    @cached_property
    def spread(self) -> ImageSpread:
        from colonnade.engine.auto_fit import image_spread

        return image_spread(self.vectors)

    @cached_property
    def usable(self) -> np.ndarray:
        """bool [n]: in state `ok`, so that it can be shown."""
        from colonnade.engine.tables import read_table

        images = read_table("images", self.snapshot.files("images"), ["image_id", "state"])
        ok = images["image_id"].to_numpy()[images["state"].to_numpy() == "ok"]
        return np.isin(self.ids, ok)


def _bench(helper: Helper, snapshot: Snapshot, grounds: Grounds) -> Bench:
    """The bench of a snapshot; kept for as long as its embeddings and background are the same."""
    from colonnade.engine.fits import SAMPLE
    from colonnade.engine.sampling import draw, embedded_ids, fetch

    model, background = grounds.model, grounds.background.background
    files = tuple(file.name for file in snapshot.files("embeddings", model.key))
    images = tuple(file.name for file in snapshot.files("images"))
    key = (model.key, files, images, background.digest if background is not None else None)
    if helper.bench is None or helper.bench[0] != key:
        helper.progress("reading the collection", 0, 0)
        every = embedded_ids(snapshot, model)
        ids = draw(every, SAMPLE, 0)
        if not len(ids):
            raise InputError("no image is embedded yet: run sync, then try words")
        vectors = fetch(snapshot, model, ids)
        helper.bench = (key, Bench(snapshot, model, ids, len(every), vectors, background))
    bench: Bench = helper.bench[1]
    return bench


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
    bench = _bench(helper, snapshot, grounds)
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


def _stored(snapshot: Snapshot, bench: Bench, code: str | None) -> np.ndarray | None:
    """int8 [n] statuses as they are saved, -1 where there is none; None for an attribute that is not scored."""
    from colonnade.engine.scoring import codes_of_statuses
    from colonnade.engine.tables import read_files

    files = snapshot.files("scores", code) if code is not None else ()
    if not files:
        return None
    statuses = np.full(len(bench.ids), -1, np.int8)
    for file in files:
        data = read_files([file], ["image_id", "status"])
        own = data["image_id"].to_numpy()
        places = np.minimum(np.searchsorted(bench.ids, own), len(bench.ids) - 1)
        chosen = bench.ids[places] == own
        statuses[places[chosen]] = codes_of_statuses(data["status"])[chosen]
    return statuses


def _result(
    bench: Bench,
    stored: np.ndarray | None,
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
    before = None if stored is None else (stored == ACCEPTED) & usable
    entering = accepted & ~before if before is not None else np.zeros(len(order), bool)
    leaving = before & ~accepted if before is not None else np.zeros(len(order), bool)

    def images(mask: np.ndarray, places: np.ndarray) -> list[list[Any]]:
        chosen = places[mask[places]][:limit]
        rows = zip(bench.ids[chosen], confidence[chosen], logit[chosen], status[chosen], strict=True)
        words = {ACCEPTED: "accepted", TENTATIVE: "tentative"}
        return [[int(i), float(c), float(x), words.get(int(s), "rejected")] for i, c, x, s in rows]

    of_logits, edges = (
        np.histogram(logit[usable], bins=BINS) if usable.any() else (np.zeros(BINS), (0.0, 0.0))
    )
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
        "logits": [int(count) for count in of_logits],
        "low": float(edges[0]),
        "high": float(edges[-1]),
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
