"""Log odds of a collection on a fit's axis: from the stored scores where they are of it, else from the embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from colonnade.engine.auto_axis import log_odds
from colonnade.engine.background_stats import background_stats
from colonnade.engine.calibration import Fit, fixed_log_odds
from colonnade.engine.errors import InputError
from colonnade.engine.fit_choice import Grounds
from colonnade.engine.freshness import cell_states
from colonnade.engine.provenance import logit_definition, read_definitions
from colonnade.engine.sampling import fetch
from colonnade.engine.scoring import attribute_vector, logits
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.tables import read_files

__all__ = ["computed_log_odds", "stored_log_odds"]


def stored_log_odds(
    snapshot: Snapshot, grounds: Grounds, code: str, prompts: Sequence[str], fit: Fit
) -> tuple[np.ndarray, np.ndarray] | None:
    """(ids int64 [n] ascending, log odds float32 [n]) of all scored images; None unless every score is on the axis."""
    logit = logit_definition(grounds.model, prompts).hash
    known = read_definitions(snapshot)
    cells = cell_states(snapshot, "scores", code)
    for cell in cells.values():
        definition = known.get(cell.definition or "", {})
        stored = definition.get("fit")
        same = isinstance(stored, dict) and (fit.axis is None or stored.get("axis") == fit.axis)
        if definition.get("logit") != logit or not same:
            return None
    if not cells:
        return None
    name = "logit" if fit.axis is None else "log_odds"
    data = read_files([file for cell in cells.values() for file in cell.files], ["image_id", name])
    values = np.asarray(data[name].to_numpy(zero_copy_only=False), dtype=np.float32)
    return data["image_id"].to_numpy(), fixed_log_odds(fit, values) if fit.axis is None else values


def computed_log_odds(
    snapshot: Snapshot, grounds: Grounds, prompts: Sequence[str], fit: Fit, ids: np.ndarray
) -> np.ndarray:
    """Log odds float32 [n] of images, by ascending ids int64 [n], from their embeddings.

    Raises:
        InputError: a prompt or the background has no vector.
    """
    background = grounds.background.background
    if any(prompt not in grounds.prompts for prompt in prompts) or (
        fit.axis is not None and background is None
    ):
        raise InputError(
            f"{snapshot.store}: a prompt or background phrase has no vector yet; run colonnade sync"
        )
    vectors = fetch(snapshot, grounds.model, ids)
    vector = attribute_vector(np.stack([grounds.prompts[prompt] for prompt in prompts]))
    own = logits(vectors, vector[None], grounds.model)[:, 0]
    if fit.base is None or background is None:
        return fixed_log_odds(fit, own)
    return log_odds(fit.base.axis, vectors, own, background_stats(vectors, background, grounds.model))
