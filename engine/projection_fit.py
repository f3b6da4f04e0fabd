"""Fitting a spherical UMAP: the one place that imports umap, and only when something is fitted.

The settings were measured on 4,000 CLIP vectors of photographs: of an image's 15 nearest images, 33 % are among the 15
nearest on the map (UMAP in the plane: 35 %; UMAP's defaults on the sphere: 23 %, because a sphere of radius 1 has no
room for the distances that the defaults ask for).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from colonnade.engine.errors import ModelError
from colonnade.engine.projection_place import nearest_rows, place
from colonnade.engine.sphere import from_angles, normalised, to_angles

__all__ = ["EPOCHS", "MIN_DIST", "NEIGHBOURS", "SPREAD", "fit_sphere", "umap_version"]

NEIGHBOURS = 15
SPREAD = 0.3
MIN_DIST = 0.03
LEARNING_RATE = 0.05
EPOCHS = 300
_JITTER = 1e-3
"""Radians by which the start is disturbed, so that equal vectors do not start in one place."""

Progress = Callable[[str, int, int], None]


def umap_version() -> str:
    """The installed version of umap-learn."""
    from importlib import metadata

    return metadata.version("umap-learn")


def fit_sphere(vectors: np.ndarray, *, seed: int, progress: Progress | None = None) -> np.ndarray:
    """Lay images out on a sphere so that near ones in embedding space are near.

    Args:
        vectors: float32 [n, D], unit length, n of at least 5.
        seed: the same vectors and seed give the same layout on the same machine.
        progress: called with (phase, done, total).

    Returns:
        Unit vectors float64 [n, 3], the densest side facing 0 N 0 E; always finite.

    Raises:
        ModelError: umap cannot be loaded.
    """
    tell = progress or (lambda phase, done, total: None)
    start = _start(vectors, seed)
    count = min(NEIGHBOURS, len(vectors) - 1)
    indices, cosines = nearest_rows(
        vectors, vectors, count, own=True, progress=lambda done: tell("neighbours", done, len(vectors))
    )
    with warnings.catch_warnings():
        # Of umap's warnings (one worker with a seed, neighbours without an index) none is about the result.
        warnings.simplefilter("ignore")
        tell("fit", 0, EPOCHS)
        with _interruptible():
            umap = _load()
        layout = umap.UMAP(
            n_neighbors=count,
            metric="cosine",
            output_metric="haversine",
            random_state=seed,
            n_jobs=1,
            n_epochs=EPOCHS,
            spread=SPREAD,
            min_dist=MIN_DIST,
            learning_rate=LEARNING_RATE,
            init=to_angles(start).astype(np.float32),
            precomputed_knn=(indices.astype(np.int32), np.maximum(1 - cosines, 0).astype(np.float32), None),
            force_approximation_algorithm=True,
            tqdm_kwds={
                "disable": False,
                "file": _Epochs(lambda done: tell("fit", done, EPOCHS)),
                "bar_format": "{n_fmt} ",
                "mininterval": 0.2,
            },
        )
        with _interruptible():
            places = from_angles(layout.fit_transform(vectors))
    return _facing(_finite(places, start, vectors))


def _load() -> Any:
    try:
        return import_module("umap")
    except (ImportError, RuntimeError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise ModelError(
            f"umap-learn cannot be loaded ({said}); install it, or name a folder that can be written in NUMBA_CACHE_DIR"
        ) from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let an interruption through as it is: one that hits the compiler or compiled code comes out as another error."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and isinstance(cause, Exception):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise cause from None


class _Epochs:
    """What UMAP's progress bar writes to: numbers of finished epochs."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell

    def write(self, text: str) -> int:
        number = text.strip()
        if number.isdigit():
            self._tell(int(number))
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


def _start(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Where the images start: their three principal components, as directions. Unit vectors [n, 3]."""
    noise = np.random.default_rng(seed).normal(size=(len(vectors), 3))
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = axes[:, ::-1][:, :3]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    components = np.zeros((len(vectors), 3))
    components[:, : axes.shape[1]] = centred @ axes
    scale = np.sqrt((components**2).sum(axis=1).mean())
    if not scale > 1e-6:
        return normalised(noise)
    return normalised(components / scale + _JITTER * noise)


def _finite(places: np.ndarray, start: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The layout; images that have none are placed among their neighbours, or stay where they started."""
    good = np.isfinite(places).all(axis=1)
    if good.all():
        return places
    if not good.any():
        return start
    places = places.copy()
    places[~good] = place(vectors[~good], vectors[good], places[good])
    return places


def _facing(places: np.ndarray) -> np.ndarray:
    """The layout turned so that its mean lies at 0 N 0 E and its greatest remaining extent along the equator."""
    mean = places.mean(axis=0)
    front = mean / np.linalg.norm(mean) if np.linalg.norm(mean) > 1e-6 else np.array([1.0, 0.0, 0.0])
    aside = places - np.outer(places @ front, front)
    _, axes = np.linalg.eigh(aside.T @ aside)
    east = axes[:, -1] - (axes[:, -1] @ front) * front
    east /= np.linalg.norm(east)
    if east[np.abs(east).argmax()] < 0:
        east = -east
    turned = np.asarray(places @ np.stack([front, east, np.cross(front, east)], axis=1))
    return normalised(turned)
