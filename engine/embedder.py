"""Image and text embeddings behind one small interface, whatever the model.

    embedder = load_embedder("ViT-B-32/openai")
    vectors = embedder.encode_prompts(["a photo of the Earth"])     # float32 [1, 512], unit length

Nothing here imports torch or open_clip until a model that needs them is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from colonnade.engine.errors import ModelError

__all__ = ["Embedder", "Preprocessing", "Vectors", "load_embedder"]

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a model expects of its input; the semantics are open_clip's."""

    height: int
    width: int
    resize: Literal["shortest", "longest", "squash"] = "shortest"
    """The shortest side fills the input and the rest is cropped; the longest side fits and the rest is
    padded; or both sides are fitted whatever the proportions."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    """Of red, green and blue in 0..1."""
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    fill: int = 0
    """Value of the padding, 0..255."""


class Embedder(Protocol):
    """A model that puts images and texts into one space."""

    @property
    def key(self) -> str:
        """Names the embedding space in a store: `[A-Za-z0-9._-]+`, ending in a digest of the model."""
        ...

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        ...

    @property
    def logit_scale(self) -> float:
        """What a cosine is multiplied by to give a logit (100 for OpenAI's models)."""
        ...

    @property
    def logit_bias(self) -> float:
        """What is added to the product: 0 for CLIP, about -16 for SigLIP."""
        ...

    @property
    def context_length(self) -> int:
        """Tokens of a prompt that the model can see, special ones included."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """What `encode_images` expects its pixels to have gone through."""
        ...

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vectors:
        """uint8 [n, height, width, 3] -> float32 [n, dimension], unit length."""
        ...

    def encode_prompts(self, prompts: Sequence[str]) -> Vectors:
        """n texts -> float32 [n, dimension], unit length. What is over `context_length` is cut off."""
        ...

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt before anything is cut off, special ones included."""
        ...


def load_embedder(spec: str, *, device: str | None = None) -> Embedder:
    """The model that `spec` names, ready to use.

    - `demo`: the small model that ships with the package
    - `hash`: no model at all, vectors drawn from a digest of the input; for load tests
    - `ARCH/TAG`: an open_clip architecture and the tag of its published weights, as `ViT-B-32/openai`
    - `hf-hub:ORG/NAME`: a Hugging Face repository with `open_clip_config.json`
    - `local-dir:PATH`: a folder with `open_clip_config.json` and the weights beside it
    - `ARCH@PATH`: an open_clip architecture and a checkpoint file
    - a path to a `.safetensors` file beside `open_clip_config.json`

    `device` is `cpu`, `cuda`, `cuda:1`, `mps` ...; by default the best there is. Weights are read as
    safetensors or with `weights_only`: a checkpoint cannot run code. Raises ModelError.
    """
    if spec == "hash":
        from colonnade.engine.embedder_hash import HashEmbedder

        return HashEmbedder()
    if not spec or any(not letter.isprintable() for letter in spec):
        raise ModelError(f"{spec!r} names no model; give ARCH/TAG, hf-hub:ORG/NAME, local-dir:PATH or demo")
    from colonnade.engine.embedder_clip import load_clip

    return load_clip(spec, device)
