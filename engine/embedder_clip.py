"""Models of open_clip as embedders: any architecture, CLIP and SigLIP kinds, on cpu, cuda or mps."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from colonnade.engine.embedder import Preprocessing, Vectors
from colonnade.engine.embedder_source import Source, find_source, reachable
from colonnade.engine.embedder_weights import digest, load_weights
from colonnade.engine.errors import ModelError
from colonnade.engine.images import one_line
from colonnade.engine.late_signals import late_signals

if TYPE_CHECKING:
    import torch

__all__ = ["ClipEmbedder", "load_clip"]

_PROMPTS = 64
_PICTURES = 32
_NAME_LENGTH = 80
_SAME = 0.99999


def load_clip(spec: str, device: str | None = None) -> ClipEmbedder:
    """The open_clip model that `spec` names; see `load_embedder`. Raises ModelError."""
    with _quiet():
        try:
            with late_signals():
                import open_clip
                import torch
        except ImportError as error:
            raise ModelError(f"open_clip cannot be loaded: {one_line(str(error))}") from error
        place = _device(device)
        source = find_source(spec)
        options: dict[str, Any] = {"quick_gelu": True} if source.quick_gelu else {}
        if source.config.get("text_cfg", {}).get("hf_model_name"):
            _require_hub(spec, str(source.config["text_cfg"]["hf_model_name"]), "config.json")
        try:
            model = open_clip.create_model(
                source.open_clip_name,
                load_weights=False,
                pretrained_text=False,
                force_preprocess_cfg=source.preprocessing,
                **options,
            )
            preprocessing = _preprocessing(model.visual.preprocess_cfg)
        except Exception as error:  # a configuration from outside can be wrong in any way
            raise ModelError(f"{spec}: the model cannot be built: {one_line(str(error))}") from error
        load_weights(model, source.weights)
        model.eval().requires_grad_(False)
        return ClipEmbedder(model.to(torch.device(place)), source, preprocessing, spec)


class ClipEmbedder:
    """An open_clip model behind the `Embedder` interface."""

    def __init__(self, model: Any, source: Source, preprocessing: Preprocessing, spec: str) -> None:
        self.preprocessing = preprocessing
        self.dimension = int(source.config["embed_dim"])
        self.logit_scale = math.exp(float(model.logit_scale.detach().reshape(-1)[0]))
        bias = getattr(model, "logit_bias", None)
        self.logit_bias = 0.0 if bias is None else float(bias.detach().reshape(-1)[0])
        self.context_length = int(model.context_length)
        rest = f"{preprocessing} {self.logit_scale!r} {self.logit_bias!r}"
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.name).strip(".-")[:_NAME_LENGTH] or "model"
        self.key = f"{name}-{digest(model, rest)}"
        self._model, self._source, self._spec = model, source, spec
        self._device = next(model.parameters()).device
        self._tokens: _Tokens | None = None
        self._fast = self._fast_tower()

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vectors:
        """uint8 [n, height, width, 3] -> float32 [n, dimension], unit length."""
        import torch

        shape = (self.preprocessing.height, self.preprocessing.width, 3)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != shape:
            raise ValueError(f"pixels must be uint8 [n, {shape[0]}, {shape[1]}, 3]")
        if not len(pixels):
            return np.zeros((0, self.dimension), np.float32)
        pixels = np.require(pixels, requirements=["C", "W"])  # torch warns of what it could not write to
        if self._fast is not None:
            return _unit(self._fast(pixels))
        at_once = len(pixels) if self._device.type == "cuda" else _PICTURES
        with torch.inference_mode(), self._precision():
            parts = [
                self._plain(torch.from_numpy(pixels[start : start + at_once]))
                for start in range(0, len(pixels), at_once)
            ]
        return _unit(torch.cat(parts))

    def encode_prompts(self, prompts: Sequence[str]) -> Vectors:
        """n texts -> float32 [n, dimension], unit length; raises ModelError if there is no tokenizer."""
        import torch

        if not prompts:
            return np.zeros((0, self.dimension), np.float32)
        ids = self._tokenizer().encode(prompts)
        known = self._known_tokens()
        if known is not None and not 0 <= ids.min() <= ids.max() < known:
            raise ModelError(
                f"{self._spec}: its tokenizer gives token {ids.max()}, but its text tower knows {known} tokens: "
                "they are not of the same model"
            )
        tokens = torch.from_numpy(ids).to(self._device)
        with torch.inference_mode(), self._precision():
            parts = [self._model.encode_text(part).float().cpu() for part in torch.split(tokens, _PROMPTS)]
        return _unit(torch.cat(parts))

    def _known_tokens(self) -> int | None:
        """The size of the text tower's table of tokens; None where that is not to be found."""
        text = getattr(self._model, "text", self._model)
        table = getattr(text, "token_embedding", None)
        if table is None and hasattr(text, "transformer"):
            find = getattr(text.transformer, "get_input_embeddings", None)
            table = None if find is None else find()
        found = getattr(table, "num_embeddings", None)
        return found if isinstance(found, int) else None

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt, special ones included, before any is cut off."""
        return self._tokenizer().count(prompts)

    def _plain(self, pixels: torch.Tensor) -> torch.Tensor:
        """open_clip's own forward pass over uint8 [n, height, width, 3]."""
        import torch

        values = pixels.to(self._device).permute(0, 3, 1, 2).float().div_(255)
        mean = torch.tensor(self.preprocessing.mean, device=self._device)[:, None, None]
        std = torch.tensor(self.preprocessing.std, device=self._device)[:, None, None]
        found: torch.Tensor = self._model.encode_image(values.sub_(mean).div_(std)).float().cpu()
        return found

    def _precision(self) -> Any:
        import torch

        return torch.autocast("cuda", torch.bfloat16, enabled=self._device.type == "cuda")

    def _fast_tower(self) -> Any:
        """The faster forward pass, where there is one and it gives the same vectors."""
        import torch

        from colonnade.engine.embedder_vit import FastTower, fits

        if self._device.type != "cpu" or not fits(self._model.visual):
            return None
        size = (2, self.preprocessing.height, self.preprocessing.width, 3)
        trial = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
        try:
            tower = FastTower(self._model.visual, self.preprocessing)
            found = _unit(tower(trial))
        except RuntimeError:  # a CPU or a build of torch without these operations
            return None
        with torch.inference_mode():
            expected = _unit(self._plain(torch.from_numpy(trial)))
        if not (found * expected).sum(axis=1).min() > _SAME:
            return None
        self._model.visual = torch.nn.Identity()  # the fast one has its own copy of the weights
        return tower

    def _tokenizer(self) -> _Tokens:
        if self._tokens is None:
            with _quiet():
                self._tokens = _tokens_of(self._source, self.context_length, self._spec)
        return self._tokens


class _Tokens:
    """One face for open_clip's tokenizers, Hugging Face's and the demo model's."""

    def __init__(self, tokenizer: Any, context_length: int, kind: str) -> None:
        self._tokenizer, self._length, self._kind = tokenizer, context_length, kind

    def encode(self, prompts: Sequence[str]) -> NDArray[np.int64]:
        ids = (
            self._tokenizer.tokenize(prompts, self._length)
            if self._kind == "demo"
            else self._tokenizer(list(prompts), context_length=self._length).numpy()
        )
        return np.ascontiguousarray(ids, dtype=np.int64)

    def count(self, prompts: Sequence[str]) -> list[int]:
        if self._kind == "demo":
            return [int(count) for count in self._tokenizer.count(prompts)]
        if self._kind == "hugging face":
            clean = [self._tokenizer.clean_fn(prompt) for prompt in prompts]
            return [len(ids) for ids in self._tokenizer.tokenizer(clean, truncation=False).input_ids]
        return [len(self._tokenizer.encode(prompt)) + 2 for prompt in prompts]


def _tokens_of(source: Source, context_length: int, spec: str) -> _Tokens:
    if spec == "demo":
        from colonnade.engine.demo import tokenizer

        return _Tokens(tokenizer, context_length, "demo")
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    text = source.config["text_cfg"]
    options = text.get("tokenizer_kwargs", {})
    name = text.get("hf_tokenizer_name")
    try:
        if not name:
            return _Tokens(SimpleTokenizer(context_length=context_length, **options), context_length, "own")
        options = {**options, "tokenizer_mode": text.get("tokenizer_mode"), "trust_remote_code": False}
        place = str(source.tokenizer_folder or name)
        try:
            found = HFTokenizer(place, context_length, local_files_only=True, **options)
        except (OSError, ValueError):
            if source.tokenizer_folder is not None:
                raise
            _require_hub(spec, str(name), "tokenizer.json")
            found = HFTokenizer(place, context_length, **options)
    except ModelError:
        raise
    except Exception as error:
        needs = " (pip install 'colonnade[siglip]')" if isinstance(error, ImportError) else ""
        raise ModelError(
            f"{spec}: its tokenizer cannot be loaded: {one_line(str(error), 200)}{needs}"
        ) from error
    return _Tokens(found, context_length, "hugging face")


def _require_hub(spec: str, repository: str, file: str) -> None:
    """Raise ModelError at once where a client would retry a dead connection for long."""
    from huggingface_hub import try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(repository, file), str) and (trouble := reachable()):
        raise ModelError(
            f"{spec}: {repository} is not in the local cache and {trouble}; "
            "run once with a connection, or give a local-dir: with the tokenizer's files in it"
        )


def _preprocessing(config: dict[str, Any]) -> Preprocessing:
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    resize, interpolation = config["resize_mode"], config["interpolation"]
    if resize not in ("shortest", "longest", "squash"):
        raise ValueError(f"resize_mode {resize!r} is not known")
    if height != width and resize == "shortest":
        interpolation = "bicubic"  # open_clip ignores the setting in this case
    mean, std = (tuple(float(value) for value in config[part]) for part in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
        raise ValueError("mean and std must be three numbers, std positive")
    return Preprocessing(
        height=int(height),
        width=int(width),
        resize=resize,
        interpolation="bilinear" if interpolation == "bilinear" else "bicubic",
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        fill=min(255, max(0, int(config.get("fill_color", 0)))),
    )


def _device(wanted: str | None) -> str:
    import torch

    if wanted is None:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=torch.device(wanted))
    except (RuntimeError, AssertionError) as error:
        reason = one_line(str(error), 120)
        raise ModelError(f"device {wanted!r} cannot be used: {reason}; give cpu, cuda or mps") from error
    return wanted


def _unit(vectors: torch.Tensor) -> Vectors:
    found: Vectors = vectors.numpy().astype(np.float32)
    unit: Vectors = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-12))
    return unit


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings or log lines of other packages: what matters is in the ModelError."""
    silent, before = logging.NullHandler(), logging.root.manager.disable
    logging.root.addHandler(silent)  # else the first logging.warning() would set up printing for good
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logging.root.removeHandler(silent)
