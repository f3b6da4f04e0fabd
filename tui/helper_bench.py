"""The images on which the helper tries wordings, kept from one try to the next."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from colonnade.engine.errors import InputError

if TYPE_CHECKING:
    from colonnade.engine.auto_fit import ImageSpread
    from colonnade.engine.background_stats import Background, BackgroundStats
    from colonnade.engine.fit_choice import Grounds
    from colonnade.engine.settings import Model
    from colonnade.engine.snapshots import Snapshot
    from colonnade.tui.helper_ops import Helper

__all__ = ["Bench", "bench_of"]


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


def bench_of(helper: Helper, snapshot: Snapshot, grounds: Grounds) -> Bench:
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
