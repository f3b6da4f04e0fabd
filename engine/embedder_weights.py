"""Reading checkpoints so that none can run code, and the digest that names an embedding space."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colonnade.engine.errors import ModelError
from colonnade.engine.images import one_line

if TYPE_CHECKING:
    import torch

__all__ = ["digest", "load_weights"]

_CONVERT = "use the model's .safetensors file, or convert it on a machine where you trust the checkpoint"


def load_weights(model: Any, path: Path) -> None:
    """Load a checkpoint into an open_clip model, with the conversions that open_clip makes.

    open_clip's own loader falls back to a full unpickling in one case, which is why it is not used.
    Raises ModelError: unreadable, refused because it is a pickle that wants to run code, or of another model.
    """
    try:
        if path.suffix in (".npz", ".npy"):
            from open_clip.convert import load_big_vision_weights

            load_big_vision_weights(model, str(path))  # numpy.load, which unpickles nothing by default
            return
        state = _read(path)
        _fit(model, state)
    except ModelError:
        raise
    except (OSError, MemoryError) as error:
        raise ModelError(f"{path}: cannot be read: {one_line(str(error))}") from error
    except Exception as error:  # what a damaged or foreign checkpoint raises depends on the architecture
        raise ModelError(f"{path}: not the weights of this architecture: {one_line(str(error))}") from error


def _read(path: Path) -> dict[str, torch.Tensor]:
    import pickle

    import torch

    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise ModelError(f"{path}: not a safetensors file: {one_line(str(error))}") from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, TypeError, EOFError, AttributeError) as error:
        raise ModelError(
            f"{path}: refused, it holds more than weights ({one_line(str(error), 120)}); {_CONVERT}"
        ) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    tensors = isinstance(loaded, Mapping) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in loaded.items()
    )
    if not tensors or not loaded:
        raise ModelError(f"{path}: holds no weights (a mapping of names to tensors)")
    if next(iter(loaded)).startswith("module."):
        return {name.removeprefix("module."): value for name, value in loaded.items()}
    return dict(loaded)


def _fit(model: Any, state: dict[str, torch.Tensor]) -> None:
    """As `open_clip.factory.load_checkpoint` does, from a state that is read already."""
    import torch
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed

    state = convert_state_dict(model, state)
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    for name in ("logit_scale", "logit_bias"):
        own = getattr(model, name, None)
        if name in state and own is not None:
            state[name] = state[name].reshape(own.shape)
    if "logit_bias" not in state and getattr(model, "logit_bias", None) is not None:
        state["logit_bias"] = torch.zeros_like(state["logit_scale"])
    unused = "text.transformer.embeddings.position_ids"  # no longer part of the model since transformers 4.31
    if unused in state and unused not in model.state_dict():
        del state[unused]
    resize_pos_embed(state, model)
    resize_text_pos_embed(state, model)
    model.load_state_dict(state, strict=True)


def digest(model: Any, rest: str) -> str:
    """8 hexadecimal digits over a model's tensors (names, shapes, bytes) and `rest`."""
    import torch

    total = hashlib.sha256(rest.encode())
    for name, tensor in sorted(model.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        total.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        total.update(memoryview(values.reshape(-1).view(torch.uint8).numpy()))
    return total.hexdigest()[:8]
