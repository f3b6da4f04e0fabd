"""Small open_clip models with random weights, saved as open_clip saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VIT: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 128, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
RESNET: dict[str, Any] = {
    **VIT,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 32},
}


def changed(config: dict[str, Any], part: str, **values: Any) -> dict[str, Any]:
    return {**config, part: {**config[part], **values}}


def build(config: dict[str, Any], seed: int = 0) -> Any:
    """The open_clip model of a configuration, weights drawn at random."""
    import torch
    from open_clip.model import CLIP, CustomTextCLIP

    torch.manual_seed(seed)
    options = {key: value for key, value in config.items() if key != "custom_text"}
    kind = CustomTextCLIP if config.get("custom_text") else CLIP
    return kind(**options).eval()


def write_config(folder: Path, config: dict[str, Any], preprocessing: dict[str, Any] | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    document = {"model_cfg": config, "preprocess_cfg": preprocessing or {}}
    (folder / "open_clip_config.json").write_text(json.dumps(document), encoding="utf-8")


def save(
    folder: Path,
    config: dict[str, Any] | None = None,
    *,
    preprocessing: dict[str, Any] | None = None,
    file: str = "open_clip_model.safetensors",
    seed: int = 0,
) -> Any:
    """A model folder as `local-dir:` reads it. Returns the model itself."""
    import torch
    from safetensors.torch import save_file

    config = VIT if config is None else config
    write_config(folder, config, preprocessing)
    model = build(config, seed)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    if file.endswith(".safetensors"):
        save_file(state, folder / file)
    else:
        torch.save({"state_dict": state}, folder / file)
    return model
