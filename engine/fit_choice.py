"""Which fit an attribute has: the one that is stored, one that must be made first, or the model's own for want of it.

An attribute for which nothing is stored is `auto`. A stored fit stays until somebody fits anew, or until the prompts,
the model or the background that it was fitted with are others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from colonnade.engine.auto_axis import applies
from colonnade.engine.auto_fit import MINIMUM_IMAGES
from colonnade.engine.background import MINIMUM_PHRASES, BackgroundState, background_state
from colonnade.engine.calibration import Fit, default_fit
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.fit_document import fit_from_text
from colonnade.engine.prompts import ATTRIBUTE, PHRASE, read_vectors
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.tables import read_footer, read_table
from colonnade.engine.vocabulary import Vocabulary

__all__ = [
    "Choice",
    "Grounds",
    "StoredRow",
    "choose",
    "read_choice",
    "read_grounds",
    "sound_row",
    "vectors_digest",
]

DAMAGED = "stored calibration damaged"


@dataclass(frozen=True)
class Grounds:
    """What fits under a model depend on besides the attribute."""

    model: Model
    prompts: Mapping[str, np.ndarray] = field(repr=False)
    """Text -> unit vector float32 [D], of those that are stored as an attribute's prompt or a shipped phrase: where
    both are the same text, it is not encoded again."""
    background: BackgroundState
    embedded: int
    """Images with a vector of the model."""
    encodes: bool = True
    """Whether phrases without a vector can be encoded; False once that was tried in vain."""
    coming: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64), repr=False, compare=False)
    """Ids int64 of the images that a plan counts as embedded although they are yet to be."""

    @property
    def obstacle(self) -> str | None:
        """Why no `auto` fit can be made, in words; None if one can."""
        if self.model.spec == "demo":
            return "the demo model brings its own fits"
        if self.embedded < MINIMUM_IMAGES:
            return f"{self.embedded:,} embedded images; auto needs {MINIMUM_IMAGES}"
        if len(self.background.texts) < MINIMUM_PHRASES:
            return f"{len(self.background.texts)} background phrases; auto needs {MINIMUM_PHRASES}"
        if self.background.lacking and not (self.model.spec and self.encodes):
            return "no vectors of background phrases; import them: colonnade import embeddings --background"
        return None


@dataclass(frozen=True, slots=True)
class Choice:
    """The fit of an attribute, and what is to be done about it."""

    fit: Fit
    """The one to apply; while a new one has to be made, the model's own."""
    to_make: str | None = None
    """Why a new fit has to be made first; None if not."""
    fallback: str | None = None
    """Why the attribute has the model's `fixed` fit instead of `auto`."""
    previous: Fit | None = None
    """What is stored for this model, whether or not it still holds."""
    fitted_at: datetime | None = None
    """When that was made."""
    why_void: str | None = None
    """Why it does not hold."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of `calibrations`."""

    fit: Fit
    fitted_at: datetime | None


def read_grounds(snapshot: Snapshot, vocabulary: Vocabulary, model: Model) -> Grounds:
    """The grounds in a snapshot.

    Raises:
        StoreError: a file is damaged.
    """
    stored = read_vectors(snapshot, model)
    shipped, own = (
        {text: vector for (text, its_kind), vector in stored.items() if its_kind == kind}
        for kind in (PHRASE, ATTRIBUTE)
    )
    embedded = sum(read_footer(file).rows for file in snapshot.files("embeddings", model.key))
    return Grounds(
        model=model,
        prompts=shipped | own,
        background=background_state(vocabulary, stored),
        embedded=embedded,
    )


def sound_row(snapshot: Snapshot, code: str, model: Model) -> tuple[StoredRow | None, bool]:
    """What is stored for an attribute under a model, as far as it can be used; and whether it is there but damaged.

    Raises:
        StoreError: the file is damaged, not the fit alone.
    """
    return _sound(_rows(snapshot, code), code, model)


def _rows(snapshot: Snapshot, code: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table("calibrations", snapshot.files("calibrations", code)).to_pylist()
    return rows


def _sound(rows: Sequence[Mapping[str, Any]], code: str, model: Model) -> tuple[StoredRow | None, bool]:
    for row in rows:
        if row["model"] == model.key:
            try:
                return StoredRow(row_fit(row, code), row["fitted_at"]), False
            except StoreError:
                return None, True
    return None, False


def _was_by_labels(
    rows: Sequence[Mapping[str, Any]], snapshot: Snapshot, code: str, grounds: Grounds
) -> bool:
    """Whether people's answers made a fit, and on embedded images are enough to move the cut of the model's own."""
    if not any(row["method"] == "labels" for row in rows) or not snapshot.files("labels", code):
        return False
    from colonnade.engine.answers import read_answers
    from colonnade.engine.sampling import embedded_ids

    answers = read_answers(snapshot, code)
    embedded = np.concatenate([embedded_ids(snapshot, grounds.model), grounds.coming])
    return answers.enough and answers.of(embedded).enough


def row_fit(row: Mapping[str, Any], code: str) -> Fit:
    """The fit of a row of `calibrations`.

    Raises:
        StoreError: it is damaged.
    """
    try:
        if row["method"] == "fixed":
            return Fit("fixed", row["center"], row["scale"], chosen=True)
        fit = fit_from_text(row["fit"], code)
        if fit.method == row["method"]:
            return fit
    except (InputError, TypeError):
        pass
    raise StoreError(
        f"the stored calibration of {code} is damaged; `colonnade calibration fit {code}` makes it anew"
    )


def vectors_digest(vectors: Sequence[np.ndarray]) -> str:
    """16 hex digits that stand for an attribute's prompt vectors float32 [D], in order."""
    digest = hashlib.sha256()
    for vector in vectors:
        digest.update(np.ascontiguousarray(vector, dtype="<f4").tobytes())
    return digest.hexdigest()[:16]


def read_choice(
    snapshot: Snapshot,
    grounds: Grounds,
    code: str,
    prompts: Sequence[str],
    logit: str,
    known: Mapping[str, Mapping[str, Any]],
) -> Choice:
    """`choose` by what a snapshot has; a damaged fit is one to be made anew, and stops no other attribute.

    Raises:
        StoreError: a file is damaged.
    """
    rows = _rows(snapshot, code)
    row, damaged = _sound(rows, code, grounds.model)
    choice = choose(grounds, row.fit if row is not None else None, prompts, logit, known)
    choice = replace(choice, fitted_at=row.fitted_at if row is not None else None)
    if choice.fallback is not None and _was_by_labels(rows, snapshot, code, grounds):
        why = choice.why_void or "not calibrated yet"
        choice = replace(choice, to_make=why, fallback=None)
    if not damaged:
        return choice
    if choice.fallback is None:
        return replace(choice, to_make=DAMAGED)
    return replace(choice, fallback=f"{DAMAGED}; colonnade calibration fit {code}")


def choose(
    grounds: Grounds,
    stored: Fit | None,
    prompts: Sequence[str],
    logit: str,
    known: Mapping[str, Mapping[str, Any]],
) -> Choice:
    """The fit of an attribute.

    Args:
        stored: the fit that is stored for it under the model.
        logit: the hash of its logits' definition.
        known: the definitions of the store.
    """
    if stored is not None and stored.method == "fixed":
        return Choice(stored, previous=stored)
    why = "not calibrated yet" if stored is None else _why_void(grounds, stored, prompts, logit, known)
    if stored is not None and why is None:
        return Choice(stored, previous=stored)
    default = default_fit(grounds.model, prompts)
    if grounds.obstacle is None:
        return Choice(default, to_make=why, previous=stored)
    return Choice(default, fallback=grounds.obstacle, previous=stored, why_void=why)


def _why_void(
    grounds: Grounds,
    stored: Fit,
    prompts: Sequence[str],
    logit: str,
    known: Mapping[str, Mapping[str, Any]],
) -> str | None:
    """Why a stored fit of method `auto` or `labels` no longer holds; None if it does."""
    of = stored.base.logit if stored.base is not None else stored.logit
    if of != logit:
        before = known.get(str(of), {}).get("prompts")
        return "prompt changed" if before is None or before != list(prompts) else "model settings changed"
    if stored.base is None:
        return None
    vectors = [grounds.prompts[prompt] for prompt in prompts if prompt in grounds.prompts]
    if len(vectors) == len(prompts) and vectors_digest(vectors) != stored.base.vector:
        return "prompt vectors changed"
    if grounds.background.digest != stored.base.background:
        return "background changed"
    return (
        None if applies(stored.base.axis, len(grounds.background.texts), grounds.model.dimension) else DAMAGED
    )
