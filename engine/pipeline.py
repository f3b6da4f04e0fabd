"""From image files to embeddings: decoding runs ahead in worker processes and feeds one forward pass.

    for batch in embed_files(embedder, [(17, Path("earth.jpg"))]):
        batch.ids, batch.vectors, batch.failures

A file whose decoder hangs or crashes costs that file alone. Workers are at most four batches ahead, so that the
model never waits for them and memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colonnade.engine.decode import Cause, DecodeError, Version, decode
from colonnade.engine.embedder import Embedder, Preprocessing, Vectors
from colonnade.engine.facts import MAX_PIXELS
from colonnade.engine.isolate import IsolatedPool

__all__ = ["BATCH_SIZE", "EmbeddedBatch", "embed_files"]

BATCH_SIZE = 64
"""Images in one forward pass, by default."""

_BATCHES_AHEAD = 4
_BYTES_AHEAD = 512 << 20

_Item = tuple[int, Path, Version | None, str | None]
_Given = tuple[int, Path] | tuple[int, Path, Version | None] | _Item
_Picture = NDArray[np.uint8] | DecodeError


@dataclass(frozen=True, slots=True)
class EmbeddedBatch:
    """What became of some of the items: each is in `ids` or in `failures`."""

    ids: NDArray[np.int64]
    """[n], in the order in which the items were given."""
    vectors: Vectors
    """[n, dimension], unit length."""
    failures: tuple[tuple[int, str], ...] = ()
    """Ids of the files that gave no picture, each with the reason on one line."""
    causes: Mapping[int, Cause] = field(default_factory=dict)
    """Of the failures for which not the bytes of the file are to blame, or not for certain."""


def embed_files(
    embedder: Embedder,
    items: Iterable[_Given],
    *,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    timeout_s: float = 30.0,
    max_pixels: int = MAX_PIXELS,
) -> Generator[EmbeddedBatch, None, None]:
    """Embed image files, given as (id, path); batches come as they are finished.

    With a third part, the file's version, and a fourth, its content's digest, another file in its place is a
    failure: its picture is another.

    Closing the iterator (or an exception on its way) kills the worker processes; they hold nothing.

    Args:
        batch_size: images in one forward pass; the last batch may have fewer, or failures alone.
        workers: decoding processes at most; by default one a CPU.
        timeout_s: seconds that decoding one file may take.
        max_pixels: pictures of more pixels are failures, undecoded.

    Raises:
        ColonnadeError: worker processes cannot be started.
    """
    pixels_each = embedder.preprocessing.height * embedder.preprocessing.width * 3
    ahead = max(batch_size, min(_BATCHES_AHEAD * batch_size, _BYTES_AHEAD // pixels_each))
    work = partial(_decode_item, preprocessing=embedder.preprocessing, max_pixels=max_pixels)
    numbered = _numbered(items)
    with IsolatedPool(work, workers=workers, timeout=timeout_s, ahead=ahead) as pool:
        done: list[tuple[int, int, NDArray[np.uint8]]] = []
        failures: list[tuple[int, DecodeError]] = []
        for outcome in pool.run(numbered):
            place, (image_id, *_) = outcome.item
            picture = outcome.value
            if picture is None:
                cause: Cause | None = "worker" if outcome.died else None
                failures.append((image_id, DecodeError(outcome.error or "no picture", cause)))
            elif isinstance(picture, DecodeError):
                failures.append((image_id, picture))
            else:
                done.append((place, image_id, picture))
            if len(done) + len(failures) >= batch_size:
                yield _embed(embedder, done, failures)
                done, failures = [], []
        if done or failures:
            yield _embed(embedder, done, failures)


def _numbered(
    items: Iterable[_Given],
) -> Iterator[tuple[int, _Item]]:
    for place, item in enumerate(items):
        version, content = (*item[2:], None, None)[:2]
        yield place, (int(item[0]), item[1], version, content)


def _decode_item(item: tuple[int, _Item], *, preprocessing: Preprocessing, max_pixels: int) -> _Picture:
    """In a worker process. A failure is a value here, so that its reason arrives in its own words."""
    _, (_, path, version, content) = item
    try:
        return decode(path, preprocessing, max_pixels=max_pixels, version=version, content=content)
    except DecodeError as error:
        return DecodeError(str(error), error.cause)


def _embed(
    embedder: Embedder,
    done: list[tuple[int, int, NDArray[np.uint8]]],
    failures: list[tuple[int, DecodeError]],
) -> EmbeddedBatch:
    done.sort(key=lambda one: one[0])
    ids = np.array([image_id for _, image_id, _ in done], dtype=np.int64)
    if done:
        vectors = embedder.encode_images(np.stack([picture for _, _, picture in done]))
    else:
        vectors = np.zeros((0, embedder.dimension), np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    failures += [
        (image_id, DecodeError("the model gives no finite vector for it"))
        for image_id in ids[~finite].tolist()
    ]
    ids, vectors = ids[finite], vectors[finite]
    return EmbeddedBatch(
        ids,
        vectors,
        tuple((image_id, str(error)) for image_id, error in failures),
        {image_id: error.cause for image_id, error in failures if error.cause is not None},
    )
