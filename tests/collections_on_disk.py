"""Small image folders and stores for tests of the whole path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from colonnade.engine.decode import decode
from colonnade.engine.embedder_hash import HashEmbedder
from colonnade.engine.facts import ImageFacts
from colonnade.engine.scan import apply_scan, plan_scan
from colonnade.engine.store import Store
from colonnade.engine.tables import read_embeddings, read_table

VOCABULARY = """\
thresholds: {accepted: 0.80, tentative: 0.50}
base_attributes:
  - {code: earth, label: Earth, description: Earth visible}
  - {code: moon, label: Moon, description: the Moon visible}
  - {code: sun, label: Sun, description: the Sun visible}
derived_attributes:
  - {code: earth_only, label: Earth only, description: Earth alone, rule: {all_of: [earth], none_of: [moon, sun]}}
  - {code: bodies, label: Bodies, description: any body, rule: {any_of: [moon, sun]}}
  - {code: lonely, label: Lonely, description: nested, rule: {all_of: [earth_only], none_of: [bodies]}}
"""


def write_image(path: Path, seed: int) -> Path:
    """A small JPEG whose pixels depend on the seed alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG", quality=90)
    return path


def make_store(folder: Path, *, images: int = 6, vocabulary: str = VOCABULARY, model: str = "hash") -> Store:
    """A store over `folder`/photos with a few images; nothing is synced yet."""
    photos = folder / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    for number in range(images):
        write_image(photos / f"{number:03d}.jpg", number)
    return Store.create(folder / "store", roots=[photos], vocabulary=vocabulary.encode(), model=model)


def data_files(store: Store, table: str = "scores") -> dict[str | None, tuple[str, ...]]:
    """Partition -> names of its files (a name holds the digest of the content)."""
    snapshot = store.snapshot()
    files: dict[str | None, tuple[str, ...]] = {}
    for file in snapshot.files(table):
        files[file.partition] = (*files.get(file.partition, ()), file.name)
    return files


def scan(store: Store) -> None:
    """Bring the images table up to date."""
    apply_scan(store, plan_scan(store))


def image_states(store: Store) -> dict[str, tuple[str, str | None]]:
    """Path -> state and error."""
    rows = read_table("images", store.snapshot().files("images"), ["path", "state", "error"])
    return {row["path"]: (row["state"], row["error"]) for row in rows.to_pylist()}


def vectors_by_path(store: Store) -> dict[str, np.ndarray]:
    """Path -> its embedding of the active model."""
    snapshot, active = store.snapshot(), store.settings.active
    assert active is not None
    paths = dict(
        zip(
            *(
                column.to_pylist()
                for column in read_table("images", snapshot.files("images"), ["image_id", "path"])
            ),
            strict=True,
        )
    )
    return {
        paths[image_id]: vector
        for ids, vectors in read_embeddings(snapshot.files("embeddings", active.key))
        for image_id, vector in zip(ids.tolist(), np.array(vectors), strict=True)
    }


def embedding_of(path: Path) -> np.ndarray:
    """What the `hash` model gives for a file."""
    embedder = HashEmbedder()
    vector: np.ndarray = embedder.encode_images(decode(path, embedder.preprocessing)[None])[0]
    return vector


def unopenable(item: tuple[int, str, int], max_pixels: int) -> ImageFacts:
    """For a scan's workers, in place of reading a file: what the system says of one that it does not give."""
    return ImageFacts("unreadable", "permission denied")
