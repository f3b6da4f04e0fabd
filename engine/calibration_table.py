"""The calibration table: how the logits of each attribute are distributed, where its fit cuts them, what comes of it.

Computed by DuckDB from the Parquet files in bounded memory; only images in state `ok` count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from colonnade.engine.calibration import Fit, cut_of
from colonnade.engine.drift import drift_of, proposals
from colonnade.engine.duck import connect, duck_errors, parquet
from colonnade.engine.errors import InputError
from colonnade.engine.fit_choice import read_grounds
from colonnade.engine.freshness import AttributeWork
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.store import Store
from colonnade.engine.tag import plan_tag
from colonnade.engine.vocabulary import Vocabulary

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.label_audit import Estimate

__all__ = ["BINS", "AttributeCalibration", "Distribution", "calibration_table"]

BINS = 16
_MEMORY = 512 << 20


@dataclass(frozen=True, slots=True)
class Distribution:
    """The stored logits of one attribute, of images in state `ok`."""

    scored: int = 0
    low: float | None = None
    mean: float | None = None
    high: float | None = None
    std: float | None = None
    """Of the population."""
    accepted: int = 0
    tentative: int = 0
    rejected: int = 0
    histogram: tuple[int, ...] = ()
    """Images in `BINS` bins of equal width from `low` to `high`; empty where there are none."""


@dataclass(frozen=True, slots=True)
class AttributeCalibration:
    """One row of the calibration table."""

    code: str
    label: str
    distribution: Distribution
    unscored: int
    """Images in state `ok` without a score."""
    labels: int
    """Judgements of people on the pictures as they are now."""
    fit: Fit | None
    """Of the stored scores, also where another is to be made; None without an active model."""
    cut: float | None
    """Where `accepted` begins, in logits or, on an axis of its own, log odds; None where nothing or everything is."""
    tentative_cut: float | None
    stale: tuple[str, ...]
    """Why the stored scores are not what would be made now; empty if they are."""
    no_signal: bool = False
    """Whether the collection shows no sign of it: nothing is accepted."""
    to_make: str | None = None
    """Why a new fit is made by the next `tag`; `fit` is then the model's own."""
    fallback: str | None = None
    """Why it has the model's fixed fit instead of one of its own."""
    fitted_at: datetime | None = None
    """When the stored fit was made; None where nothing is stored."""
    fitted_on: int | None = None
    """Images that the fit was made on, for `auto` and what labels made of it."""
    drift: float | None = None
    """How far the log odds lie from those at the fit: Kolmogorov-Smirnov distance, 0 to 1."""
    proposal: str | None = None
    """Why a new fit is proposed."""
    precision: Estimate | None = None
    """Of the accepted images, by the answers drawn for it (`review --audit`); None without such answers."""
    recall: Estimate | None = None


def calibration_table(
    store: Store, snapshot: Snapshot, vocabulary: Vocabulary, codes: Sequence[str] | None = None
) -> tuple[AttributeCalibration, ...]:
    """The calibration table of the base attributes, or of `codes`, in the vocabulary's order.

    Raises:
        InputError: a code is not a base attribute.
        StoreError: a file is damaged.
    """
    model = store.settings.active
    grounds = read_grounds(snapshot, vocabulary, model) if model is not None else None
    planned = plan_tag(snapshot, vocabulary, model, codes=codes, grounds=grounds)
    work = {item.code: item for item in planned}
    proposed = {p.code: p.reason for p in (proposals(planned, grounds, snapshot) if grounds else ())}
    attributes = [a for a in vocabulary.base if codes is None or a.code in set(codes)]
    with duck_errors(str(snapshot.path)):
        connection = connect(memory_bytes=_MEMORY)
        try:
            images, left_out = _look_at_images(connection, snapshot)
            omit = " ANTI JOIN left_out USING (image_id)" if left_out else ""
            found = {
                a.code: _distribution(connection, parquet(files) + omit)
                for a in attributes
                if (files := snapshot.files("scores", a.code))
            }
            labels = {a.code: _count_labels(connection, snapshot, a.code) for a in attributes}
        finally:
            connection.close()
    rows = []
    for attribute in attributes:
        code = attribute.code
        item = work.get(code)
        distribution = found.get(code, Distribution())
        fit = _fit_of(item, scored=distribution.scored)
        rows.append(
            AttributeCalibration(
                code=code,
                label=attribute.label,
                distribution=distribution,
                unscored=images - distribution.scored,
                labels=labels[code],
                fit=fit,
                cut=cut_of(fit, attribute.thresholds.accepted) if fit else None,
                tentative_cut=cut_of(fit, attribute.thresholds.tentative) if fit else None,
                stale=item.reasons if item is not None else (),
                no_signal=fit is not None and fit.no_signal,
                to_make=item.to_make if item is not None else None,
                fallback=item.choice.fallback if item is not None and item.choice is not None else None,
                fitted_at=item.choice.fitted_at if item is not None and item.choice is not None else None,
                fitted_on=fit.base.count if fit is not None and fit.base is not None else None,
                drift=drift_of(item) if item is not None else None,
                proposal=proposed.get(code),
                **_estimates(store, snapshot, vocabulary, item if labels[code] else None),
            )
        )
    return tuple(rows)


def _fit_of(item: AttributeWork | None, *, scored: int) -> Fit | None:
    """The fit that the stored scores are of; that to be applied where there are none."""
    if item is None or item.choice is None:
        return None
    return item.choice.previous if item.to_make and scored and item.choice.previous else item.fit


def _estimates(
    store: Store, snapshot: Snapshot, vocabulary: Vocabulary, item: AttributeWork | None
) -> dict[str, Estimate | None]:
    """Precision and recall of the accepted images; nothing where no answer was drawn for them."""
    if item is None:
        return {}
    from colonnade.engine.places import read_places
    from colonnade.engine.review import estimate
    from colonnade.engine.review_answers import read_judged

    try:
        places = read_places(store, snapshot, vocabulary, item.code, item)
    except InputError:
        return {}
    found = estimate(places, read_judged(snapshot, item.code))
    return {"precision": found.precision, "recall": found.recall} if found.audited else {}


def _look_at_images(connection: DuckDBPyConnection, snapshot: Snapshot) -> tuple[int, bool]:
    """How many images are in state `ok`; and whether others are, which the table `left_out` then holds."""
    files = snapshot.files("images")
    if not files:
        return 0, False
    connection.execute(
        f"CREATE TEMP TABLE left_out AS SELECT image_id FROM {parquet(files)} WHERE state IS DISTINCT FROM 'ok'"
    )
    row = connection.execute(
        f"SELECT (SELECT count(*) FROM {parquet(files)}), (SELECT count(*) FROM left_out)"
    ).fetchone()
    total, others = row or (0, 0)
    return total - others, others > 0


def _distribution(connection: DuckDBPyConnection, source: str) -> Distribution:
    row = connection.execute(_DISTRIBUTION.format(source=source, bins=BINS)).fetchone()
    if row is None:
        return Distribution()
    scored, low, mean, high, std, accepted, tentative, rejected, counts = row
    histogram = tuple(int(counts.get(place, 0)) for place in range(BINS)) if counts else ()
    return Distribution(scored, low, mean, high, std, accepted, tentative, rejected, histogram)


_DISTRIBUTION = """
    WITH scores AS MATERIALIZED (
        SELECT CASE WHEN isfinite(logit) THEN logit::DOUBLE END AS logit, status
        FROM {source}
    ),
    facts AS (
        SELECT count(*), min(logit) AS low, avg(logit), max(logit) AS high, stddev_pop(logit),
            count(*) FILTER (status = 'accepted'),
            count(*) FILTER (status = 'tentative'),
            count(*) FILTER (status = 'rejected')
        FROM scores
    ),
    bins AS (
        SELECT histogram(
            CASE WHEN high > low THEN least(floor((logit - low) / (high - low) * {bins}), {bins} - 1) ELSE 0 END::INT
        )
        FROM scores, facts
        WHERE logit IS NOT NULL
    )
    SELECT * FROM facts, bins
"""


def _count_labels(connection: DuckDBPyConnection, snapshot: Snapshot, code: str) -> int:
    """Judgements on pictures that are what they were when they were judged."""
    files, images = snapshot.files("labels", code), snapshot.files("images")
    if not files or not images:
        return 0
    row = connection.execute(f"""
        SELECT count(*)
        FROM {parquet(files)} AS labels
        JOIN {parquet(images)} AS images USING (image_id)
        WHERE labels.content_hash IS NOT DISTINCT FROM images.content_hash
    """).fetchone()
    return int(row[0]) if row else 0
