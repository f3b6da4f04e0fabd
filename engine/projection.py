"""The map of a collection: a spherical UMAP of a sample, and every other image placed among its nearest in it.

A first run, or `refit`, fits at most `sample` images and commits them as the new map; then the images that are not on
the map are placed, a shard a commit. Nothing of a fit is kept but the places themselves: what comes later is placed by
the stored vectors. Interrupted anywhere, the map is the old one or a new one with some images still to be placed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.freshness import cell_states
from colonnade.engine.projection_anchors import Anchors, checked, contents_of, ids_of, vectors_at
from colonnade.engine.projection_fit import EPOCHS, MIN_DIST, NEIGHBOURS, SPREAD, fit_sphere, umap_version
from colonnade.engine.projection_place import place
from colonnade.engine.projection_rows import (
    Parameters,
    ProjectionState,
    projection_rows,
    projection_state,
    read_map,
)
from colonnade.engine.search import active_model
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, conflict_retries, open_stage, retrying
from colonnade.engine.store import Store
from colonnade.engine.tables import read_embeddings, read_files

__all__ = ["LEAST_IMAGES", "SAMPLE", "MapOutcome", "ProjectionState", "map_images", "projection_state"]

LEAST_IMAGES = 5
SAMPLE = 10_000
"""Images that are fitted, if a collection has more. On two slow cores: a minute and 1.2 GB."""
_SEED = 0

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class MapOutcome:
    """What a `map` did."""

    model: str
    parameters: Parameters
    images: int
    """Images with a vector now."""
    fitted: int = 0
    """Images fitted in this run."""
    placed: int = 0
    """Images placed in this run."""
    removed: int = 0
    """Rows of images that have no vector any more."""
    seconds: float = 0.0

    @property
    def outgrown(self) -> bool:
        """Whether there are so many more images than at the fit that a new one is worth while."""
        return self.images > 2 * self.parameters.images


def map_images(
    store: Store,
    *,
    refit: bool = False,
    sample: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    on_conflict: Callable[[str], None] | None = None,
) -> MapOutcome:
    """Put every image that has a vector of the active model on the model's map.

    Args:
        refit: make a new map, even if there is one.
        sample: the most images to fit (by default 10,000), at least five; the others are placed.
        seed: the same store and seed give the same map.
        progress: called with (phase, done, total).
        on_conflict: called with one line when the store changed meanwhile and the work is retried.

    Raises:
        InputError: fewer than five images have a vector, or there is a map of another sample or seed and no `refit`.
        ModelError: umap cannot be loaded.
    """
    if sample is not None and sample < LEAST_IMAGES:
        raise InputError(f"a map needs a sample of at least {LEAST_IMAGES} images, not {sample}")
    run = _Run(store, active_model(store), progress or (lambda *_: None), on_conflict or (lambda _: None))
    started = time.monotonic()
    fitted = run.fit(refit, sample, seed)
    parameters = run.place_all()
    return MapOutcome(
        run.model.key, parameters, run.images, fitted, run.placed, run.removed, time.monotonic() - started
    )


class _Run:
    def __init__(
        self, store: Store, model: Model, progress: Progress, on_conflict: Callable[[str], None]
    ) -> None:
        self.store, self.model = store, model
        self.progress, self.on_conflict = progress, on_conflict
        self.placed = self.removed = self.images = 0

    def fit(self, refit: bool, sample: int | None, seed: int | None) -> int:
        """Fit and commit a new map if there is none, or if it is wanted; returns how many images were fitted."""
        for _ in conflict_retries(self.store.path, self.on_conflict):
            snapshot = self.store.snapshot()
            embedded = cell_states(snapshot, "embeddings", self.model.key)
            total = self.images = sum(cell.rows for cell in embedded.values())
            if total < LEAST_IMAGES:
                raise InputError(
                    f"{self.store.path}: a map needs at least {LEAST_IMAGES} images with a vector of {self.model.key}, "
                    f"and {total} {'has' if total == 1 else 'have'} one; `colonnade sync` embeds images"
                )
            known = None if refit else self._known(snapshot)
            if known is not None:
                _check_same(known, sample, seed)
                return 0
            files = snapshot.files("embeddings", self.model.key)
            chosen = _SEED if seed is None else seed
            ids = _sample(ids_of(files), sample or SAMPLE, chosen)
            vectors = vectors_at(files, ids, self.model)
            parameters = Parameters(
                fit=hashlib.sha256(
                    ids.tobytes() + vectors.tobytes() + repr((chosen, sample)).encode()
                ).hexdigest()[:16],
                seed=chosen,
                sample=sample or SAMPLE,
                fitted=len(ids),
                images=total,
                neighbours=min(NEIGHBOURS, len(ids) - 1),
                spread=SPREAD,
                min_dist=MIN_DIST,
                epochs=EPOCHS,
                umap=umap_version(),
            )
            places = fit_sphere(vectors, seed=parameters.seed, progress=self.progress)
            try:
                self._commit_fit(snapshot, ids, places, parameters)
            except ConflictError as error:
                self.on_conflict(retrying(error))
                continue
            return len(ids)
        raise AssertionError("unreachable")

    def _known(self, snapshot: Snapshot) -> Parameters | None:
        """The fit of the present map, if images can be placed on it."""
        rows = read_map(snapshot.files("projections", self.model.key))
        if len(rows.fits) != 1 or np.count_nonzero(rows.fitted) < LEAST_IMAGES:
            return None
        embedded = ids_of(snapshot.files("embeddings", self.model.key))
        here = np.isin(rows.ids[rows.fitted], embedded, assume_unique=True)
        return next(iter(rows.fits)) if np.count_nonzero(here) >= LEAST_IMAGES else None

    def _commit_fit(
        self, snapshot: Snapshot, ids: np.ndarray, places: np.ndarray, parameters: Parameters
    ) -> None:
        """Replace the map by one of the fitted images alone."""
        shards = ids >> SHARD_BITS
        old = {file.shard for file in snapshot.files("projections", self.model.key)}
        with open_stage(self.store.path, command="map", say=self.on_conflict) as stage:
            for shard in sorted(old | set(shards.tolist())):
                own = shards == shard
                rows = projection_rows(ids[own], places[own], parameters, how="fitted")
                cell = snapshot.cell("projections", self.model.key, shard)
                stage.replace("projections", self.model.key, shard, rows, read=cell)
                stage.late(self._unchanged(snapshot, shard, ids[own]))
            stage.commit()

    def place_all(self) -> Parameters:
        """Place what is not on the map, a shard a commit; returns the fit."""
        snapshot = self.store.snapshot()
        state = projection_state(snapshot, self.model)
        if state.parameters is not None and _complete(snapshot, self.model):
            return state.parameters
        anchors = Anchors(self.model, snapshot)
        shards = {file.shard for file in anchors.snapshot.files("embeddings", self.model.key)}
        shards |= {file.shard for file in anchors.snapshot.files("projections", self.model.key)}
        for shard in sorted(shards):
            for _ in conflict_retries(self.store.path, self.on_conflict):
                try:
                    self._place_shard(anchors, shard, state.missing)
                    break
                except ConflictError as error:
                    self.on_conflict(retrying(error))
                    anchors = Anchors(self.model, self.store.snapshot())
        return anchors.parameters

    def _place_shard(self, anchors: Anchors, shard: int, total: int) -> None:
        snapshot = self.store.snapshot()
        source = snapshot.cell("embeddings", self.model.key, shard)
        cell = snapshot.cell("projections", self.model.key, shard)
        embedded, rows = ids_of(source), read_map(cell)
        if rows.fits - {anchors.parameters}:
            raise ConflictError(f"{self.store.path}: the map was made anew by another process")
        keep = np.isin(rows.ids, embedded, assume_unique=True)
        missing = np.setdiff1d(embedded, rows.ids, assume_unique=True)
        if keep.all() and not len(missing):
            return
        before = self.placed
        found, places = [np.empty(0, np.int64)], [np.empty((0, 3))]
        for block_ids, block in read_embeddings(source):
            wanted = np.isin(block_ids, missing, assume_unique=True)
            places.append(place(checked(block[wanted], self.model, source), anchors.vectors, anchors.places))
            found.append(block_ids[wanted])
            before += len(found[-1])
            self.progress("place", before, max(total, before))
        new = projection_rows(np.concatenate(found), np.concatenate(places), anchors.parameters, how="placed")
        if keep.any():
            new = pa.concat_tables([read_files(cell).filter(pa.array(keep)), new])
        with open_stage(self.store.path, command="map", say=self.on_conflict) as stage:
            stage.replace("projections", self.model.key, shard, new, read=cell)
            stage.late(self._unchanged(snapshot, shard, missing))
            if anchors.shard != shard:
                stage.require("projections", self.model.key, anchors.shard, read=anchors.cell(snapshot))
            stage.commit()
        self.placed += len(missing)
        self.removed += int(np.count_nonzero(~keep))

    def _unchanged(
        self, snapshot: Snapshot, shard: int, ids: np.ndarray
    ) -> Callable[[Snapshot, Stage], None]:
        """A check under the lock that the images still have the vectors that were read.

        Vectors of other images may have come meanwhile, so that `embed` and `map` do not hinder each other.
        """

        def check(live: Snapshot, stage: Stage) -> None:
            for table, partition in (("embeddings", self.model.key), ("images", None)):
                read, now = (one.cell(table, partition, shard) for one in (snapshot, live))
                if {file.name for file in read} <= {file.name for file in now}:
                    continue
                if table == "embeddings":
                    same = not len(np.setdiff1d(ids, ids_of(now)))
                else:
                    same = contents_of(read, ids) == contents_of(now, ids)
                if not same:
                    raise ConflictError(f"{self.store.path}: images of the map changed meanwhile")

        return check


def _complete(snapshot: Snapshot, model: Model) -> bool:
    """Whether exactly the images that have a vector are on the map."""
    embedded, mapped = (cell_states(snapshot, table, model.key) for table in ("embeddings", "projections"))
    return embedded.keys() == mapped.keys() and all(
        mapped[shard].same_ids(cell) for shard, cell in embedded.items()
    )


def _check_same(known: Parameters, sample: int | None, seed: int | None) -> None:
    wanted = {"sample": sample, "seed": seed}
    for name, value in wanted.items():
        if value is not None and value != getattr(known, name):
            raise InputError(
                f"the map was fitted with --{name} {getattr(known, name)}; add --refit to make a new one"
            )


def _sample(ids: np.ndarray, size: int, seed: int) -> np.ndarray:
    """At most `size` of the ids, ascending; the same for the same seed."""
    if len(ids) <= size:
        return ids
    return np.sort(np.random.default_rng(seed).choice(ids, size, replace=False))
