"""Log odds of some images on a fit's axis: from the stored scores where they are of it, else from the embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from colonnade.engine.auto_axis import log_odds
from colonnade.engine.background_stats import background_stats
from colonnade.engine.calibration import Fit, fixed_log_odds
from colonnade.engine.columns import shard_of
from colonnade.engine.errors import InputError
from colonnade.engine.fit_choice import Grounds
from colonnade.engine.provenance import logit_definition, read_definitions
from colonnade.engine.sampling import fetch
from colonnade.engine.scoring import attribute_vector, logits
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.tables import read_files, read_footer

__all__ = ["stored_log_odds"]


def stored_log_odds(
    snapshot: Snapshot, grounds: Grounds, code: str, prompts: Sequence[str], fit: Fit, ids: np.ndarray
) -> np.ndarray:
    """Log odds float32 [n] of images, by ascending ids int64 [n], each of which has an embedding.

    Raises:
        InputError: they must be computed, and a prompt or the background has no vector.
    """
    found = np.full(len(ids), np.nan, dtype=np.float32)
    logit = logit_definition(grounds.model, prompts).hash
    known = read_definitions(snapshot)
    for shard in dict.fromkeys(shard_of(int(image)) for image in ids):
        for file in snapshot.cell("scores", code, shard):
            definition = known.get(read_footer(file).definition or "", {})
            if definition.get("logit") != logit or not _same_axis(definition, fit):
                continue
            data = read_files([file], ["image_id", "logit", "log_odds"])
            own = data["image_id"].to_numpy()
            places = np.searchsorted(ids, own)
            chosen = (places < len(ids)) & (ids[np.minimum(places, len(ids) - 1)] == own)
            name = "logit" if fit.axis is None else "log_odds"
            values = data[name].to_numpy(zero_copy_only=False)[chosen].astype(np.float32)
            found[places[chosen]] = fixed_log_odds(fit, values) if fit.axis is None else values
    missing = np.isnan(found)
    if missing.any():
        found[missing] = _computed(snapshot, grounds, prompts, fit, ids[missing])
    return found


def _same_axis(definition: Mapping[str, Any], fit: Fit) -> bool:
    stored = definition.get("fit")
    return isinstance(stored, dict) and (fit.axis is None or stored.get("axis") == fit.axis)


def _computed(
    snapshot: Snapshot, grounds: Grounds, prompts: Sequence[str], fit: Fit, ids: np.ndarray
) -> np.ndarray:
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
