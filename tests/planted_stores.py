"""Stores of synthetic vectors with attributes that some images have, and a background that all have a bit of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from vector_files import image_file, prompt_file

from colonnade.engine.import_embeddings import import_embeddings
from colonnade.engine.scoring import unit_length
from colonnade.engine.store import Store

DIMENSION = 64
PHRASES = 80
KEY = "planted"
VOCABULARY = """\
base_attributes:
  - {code: cat, label: Cat, description: a cat, prompts: [cat]}
  - {code: dog, label: Dog, description: a dog, prompts: [dog]}
  - {code: ghost, label: Ghost, description: a ghost, prompts: [ghost]}
derived_attributes:
  - {code: pets, label: Pets, description: any, rule: {any_of: [cat, dog]}}
  - {code: haunted, label: Haunted, description: both, rule: {all_of: [pets, ghost]}}
"""
TEXTS = ("cat", "dog", "ghost", "cat again")


def directions(seed: int = 0) -> np.ndarray:
    """Unit vectors float32 [4 + PHRASES, D]: the texts', then the phrases'."""
    drawn = np.random.default_rng(seed).standard_normal((len(TEXTS) + PHRASES, DIMENSION))
    return unit_length(drawn.astype(np.float32))


def images(
    count: int, *, seed: int = 1, cats: float = 0.08, dogs: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors float32 [n, D] of images, and bool [n, 2]: which show a cat and which a dog. No ghost is among them."""
    rng = np.random.default_rng(seed)
    shows = rng.random((count, 2)) < (cats, dogs)
    every = directions()
    mixed = rng.standard_normal((count, DIMENSION)) * 0.12
    for _ in range(2):
        mixed += every[len(TEXTS) + rng.integers(PHRASES, size=count)] * 0.35
    mixed += shows[:, :1] * every[0] * 1.2 + shows[:, 1:] * every[1] * 1.2
    return unit_length(mixed.astype(np.float32)), shows


def names(count: int, first: int = 0) -> list[str]:
    return [f"{number:05d}.jpg" for number in range(first, first + count)]


def put_images(store: Store, folder: Path, block: np.ndarray, first: int = 0) -> None:
    file = image_file(folder / "images.parquet", names(len(block), first), block)
    import_embeddings(store, file, key=KEY, logit_scale=100.0)


def put_background(store: Store, folder: Path, rows: Sequence[int] = range(PHRASES)) -> None:
    phrases = [f"phrase {row}" for row in rows]
    file = prompt_file(folder / "phrases.parquet", directions()[len(TEXTS) + np.array(rows)], phrases)
    import_embeddings(store, None, key=KEY, logit_scale=100.0, background=file)


def put_texts(store: Store, folder: Path, block: np.ndarray | None = None) -> None:
    some = directions()[: len(TEXTS)] if block is None else block
    file = prompt_file(folder / "texts.parquet", some, TEXTS)
    import_embeddings(store, None, key=KEY, logit_scale=100.0, text=file)


def planted_store(
    folder: Path, count: int = 300, *, vocabulary: str = VOCABULARY, background: bool = True
) -> Store:
    """A store with vectors of images, prompts and (unless told) a background; nothing is scored yet."""
    folder.mkdir(parents=True, exist_ok=True)
    store = Store.create(folder / "store", vocabulary=vocabulary.encode(), model="hash")
    put_images(store, folder, images(count)[0])
    put_texts(store, folder)
    if background:
        put_background(store, folder)
    return store
