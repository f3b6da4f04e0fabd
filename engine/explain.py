"""Why a score is what it is: from prompts over logit, fit and thresholds to the status, and whether it is fresh."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colonnade.engine.columns import shard_of
from colonnade.engine.derive_run import plan_derive
from colonnade.engine.errors import InputError
from colonnade.engine.lookup import ImageRow
from colonnade.engine.nearest import nearest
from colonnade.engine.provenance import read_definitions
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.tag import plan_tag

__all__ = ["Explanation", "explain_image"]


@dataclass(frozen=True)
class Explanation:
    """One attribute of one image."""

    code: str
    label: str
    status: str | None
    confidence: float | None
    logit: float | None
    log_odds: float | None
    """On the fit's axis; None for the method `fixed`."""
    label_source: str | None
    """None where the image has no score."""
    model: str | None
    definition: str | None
    prompts: tuple[str, ...]
    fit: Mapping[str, Any] | None
    thresholds: Mapping[str, float] | None
    rule: tuple[str, ...]
    """For a derived attribute: each condition with what became of it."""
    stale: str | None
    """Why the score is not what would be made now; None if it is fresh."""


def explain_image(
    store: Store, snapshot: Snapshot, image: ImageRow, codes: Sequence[str] | None = None
) -> list[Explanation]:
    """Explain an image's scores: those of `codes`, or of every attribute of the vocabulary.

    Raises:
        InputError: a code is neither in the vocabulary nor scored.
    """
    vocabulary = store.vocabulary()
    scored = snapshot.partitions("scores")
    for code in codes or ():
        if code not in vocabulary.codes and code not in scored:
            hint = nearest(code, [*vocabulary.codes, *scored])
            where = "" if snapshot.is_live() else f" at snapshot {snapshot.number}"
            near = f"; did you mean {hint!r}?" if hint else ""
            raise InputError(f"{code!r}: no such attribute{where}{near}")
    live = store.snapshot()  # images that wait to be embedded make no score of another stale
    base = plan_tag(live, vocabulary, store.settings.active)
    works = (*base, *plan_derive(live, vocabulary, pending=base))
    stale = {work.code: ", ".join(work.reasons) for work in works if work.cells}
    if store.settings.active is None:  # a model that was chosen is not known before it has embedded an image
        base_codes = {attribute.code for attribute in vocabulary.base}
        stale = {code: "model changed" if code in base_codes else "inputs changed" for code in scored}
    stale |= {code: "no longer in the vocabulary" for code in scored if code not in vocabulary.codes}
    known = read_definitions(snapshot)
    labels = {code: vocabulary.attribute(code).label for code in vocabulary.codes}
    rows: dict[str, dict[str, Any] | None] = {}

    def row(code: str) -> dict[str, Any] | None:
        if code not in rows:
            rows[code] = _score(snapshot, code, image.image_id)
        return rows[code]

    return [
        _explanation(code, labels.get(code, code), row(code), known, stale.get(code), row)
        for code in (codes or vocabulary.codes)
    ]


def _score(snapshot: Snapshot, code: str, image_id: int) -> dict[str, Any] | None:
    files = snapshot.cell("scores", code, shard_of(image_id))
    if not files:
        return None
    data = read_files(files)
    place = int(data["image_id"].to_numpy().searchsorted(image_id))
    if place >= data.num_rows or data["image_id"][place].as_py() != image_id:
        return None
    score: dict[str, Any] = data.slice(place, 1).to_pylist()[0]
    return score


def _explanation(
    code: str,
    label: str,
    row: Mapping[str, Any] | None,
    known: Mapping[str, Mapping[str, Any]],
    stale: str | None,
    other: Callable[[str], Mapping[str, Any] | None],
) -> Explanation:
    if row is None:
        return Explanation(code, label, None, None, None, None, None, None, None, (), None, None, (), stale)
    definition = known.get(str(row["definition"]), {})
    logit = known.get(str(definition.get("logit")), {})
    return Explanation(
        code=code,
        label=label,
        status=row["status"],
        confidence=row["confidence"],
        logit=row["logit"],
        log_odds=row["log_odds"],
        label_source=row["label_source"],
        model=row["model"],
        definition=row["definition"],
        prompts=tuple(logit.get("prompts", ())),
        fit=definition.get("fit"),
        thresholds=definition.get("thresholds"),
        rule=tuple(_trace(definition.get("rule") or {}, other)),
        stale=stale,
    )


def _trace(rule: Mapping[str, Sequence[str]], row: Callable[[str], Mapping[str, Any] | None]) -> list[str]:
    """Each condition of a rule with the input's status and whether it holds."""
    lines = []
    for part, good in (("all_of", ("accepted",)), ("any_of", ("accepted",)), ("none_of", ("rejected",))):
        for code in rule.get(part, ()):
            score = row(code)
            status = score["status"] if score else None
            verdict = "unknown" if status is None else "holds" if status in good else "fails"
            confidence = f" {score['confidence']:.2f}" if score and score["confidence"] is not None else ""
            lines.append(f"{part} {code}: {status or 'not scored'}{confidence}: {verdict}")
    return lines
