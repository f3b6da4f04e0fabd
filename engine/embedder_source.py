"""Where a model's configuration and weights are: what a spec stands for, and what to say when it is nowhere."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colonnade.engine.errors import ModelError
from colonnade.engine.images import one_line
from colonnade.engine.model_files import CONFIG, WEIGHTS
from colonnade.engine.nearest import nearest

__all__ = ["Source", "find_source", "reachable"]

_HUB_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_MAX_CONFIG_BYTES = 1 << 20
_REACH_S = 5.0
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """A model that was found on this machine."""

    name: str
    """For people and for the key: `ViT-B-32-openai`."""
    open_clip_name: str
    """What `open_clip.create_model` calls it."""
    config: dict[str, Any]
    """open_clip's `model_cfg`."""
    weights: Path
    preprocessing: dict[str, Any] = field(default_factory=dict)
    """open_clip's `preprocess_cfg`, as far as it is given."""
    quick_gelu: bool = False
    """The weights were trained with QuickGELU, which open_clip's configuration may not say."""
    tokenizer_folder: Path | None = None
    """Where the files of a Hugging Face tokenizer are, if not in the cache."""


def find_source(spec: str) -> Source:
    """What `spec` stands for; see `load_embedder`. May download. Raises ModelError."""
    if spec == "demo":
        folder = Path(__file__).with_name("demo")
        return _from_folder(folder, folder / "model.safetensors", "demo")
    if spec.startswith("local-dir:"):
        folder = Path(spec.removeprefix("local-dir:")).expanduser()
        return _from_folder(folder, _weights_in(folder), folder.resolve().name)
    if spec.startswith("hf-hub:"):
        return _from_hub(spec.removeprefix("hf-hub:"))
    if "@" in spec:
        arch, _, checkpoint = spec.partition("@")
        return _from_checkpoint(arch, Path(checkpoint).expanduser())
    path = Path(spec).expanduser()
    if path.suffix in (".safetensors", ".bin", ".pt", ".pth"):
        _require_file(path)
        return _from_folder(path.parent, path, f"{path.parent.resolve().name}-{path.stem}")
    arch, slash, tag = spec.partition("/")
    if slash and tag and not spec.startswith((".", "/", "~")):
        return _from_tag(arch, tag)
    raise ModelError(_unknown(spec))


def _unknown(spec: str) -> str:
    import open_clip

    if Path(spec).expanduser().is_dir():
        return f"model {spec!r}: for a folder write local-dir:{spec}"
    if spec in open_clip.list_models():
        tags = open_clip.list_pretrained_tags_by_model(spec)
        shown = f"{spec}/{tags[0]}" if tags else f"{spec}@CHECKPOINT"
        return f"model {spec!r} lacks the tag of its weights, as in {shown}"
    pairs = ["demo", "hash", *(f"{arch}/{tag}" for arch, tag in open_clip.list_pretrained())]
    near = nearest(spec, pairs) or nearest(spec, open_clip.list_models())
    hint = f", did you mean {near}?" if near else "; give ARCH/TAG, hf-hub:ORG/NAME, local-dir:PATH or demo"
    return f"there is no model {spec!r}{hint}"


def _architecture(arch: str) -> dict[str, Any]:
    import open_clip

    config: dict[str, Any] | None = None
    if ":" not in arch:  # open_clip would take a prefix for the name of a repository
        config = open_clip.get_model_config(arch)
    if config is None:
        near = nearest(arch, open_clip.list_models())
        raise ModelError(
            f"open_clip has no architecture {arch!r}" + (f", did you mean {near}?" if near else "")
        )
    return config


def _from_tag(arch: str, tag: str) -> Source:
    import open_clip

    config = _architecture(arch)
    published = open_clip.get_pretrained_cfg(arch, tag)
    if not published:
        tags = open_clip.list_pretrained_tags_by_model(arch)
        near = nearest(tag, tags)
        hint = f", did you mean {near}?" if near else f"; it has {', '.join(tags) or 'none'}"
        raise ModelError(f"open_clip has no weights {tag!r} for {arch}{hint}")
    repository, _, file = str(published.get("hf_hub", "")).rpartition("/")
    if not repository:
        raise ModelError(f"{arch}/{tag} is not on Hugging Face; download its weights and give {arch}@FILE")
    names = (re.sub(r"\.(bin|pth|pt)$", ".safetensors", file), file) if file else _HUB_WEIGHTS
    return Source(
        name=f"{arch}-{tag}",
        open_clip_name=arch,
        config=config,
        weights=_from_cache_or_hub(f"{arch}/{tag}", repository, names, f"{arch}@FILE"),
        preprocessing=published,
        quick_gelu=bool(published.get("quick_gelu")),
    )


def _from_checkpoint(arch: str, path: Path) -> Source:
    import open_clip

    config = _architecture(arch)
    _require_file(path)
    # A checkpoint does not say how its images were prepared; an architecture's published ones mostly agree.
    keys = ("mean", "std", "interpolation", "resize_mode", "quick_gelu")
    published = [
        open_clip.get_pretrained_cfg(arch, tag) for tag in open_clip.list_pretrained_tags_by_model(arch)
    ]
    agreed = {
        key: published[0].get(key)
        for key in keys
        if published and len({str(p.get(key)) for p in published}) == 1
    }
    return Source(
        name=f"{arch}-{path.stem}",
        open_clip_name=arch,
        config=config,
        weights=path,
        preprocessing={key: value for key, value in agreed.items() if key != "quick_gelu"},
        quick_gelu=bool(agreed.get("quick_gelu")),
    )


def _from_hub(repository: str) -> Source:
    if not _HUB_NAME.fullmatch(repository) or ".." in repository:
        raise ModelError(f"hf-hub:{repository}: a repository is written ORG/NAME")
    spec = f"hf-hub:{repository}"
    config = _from_cache_or_hub(spec, repository, (CONFIG,), "local-dir:PATH")
    weights = _from_cache_or_hub(spec, repository, _HUB_WEIGHTS, "local-dir:PATH")
    source = _from_folder(config.parent, weights, repository.replace("/", "-"))
    return Source(source.name, source.open_clip_name, source.config, source.weights, source.preprocessing)


def _from_folder(folder: Path, weights: Path, name: str) -> Source:
    path = folder / CONFIG
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
    if len(text) > _MAX_CONFIG_BYTES:
        raise ModelError(f"{path}: too large for a model configuration")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON: {one_line(str(error))}") from error
    config = document.get("model_cfg") if isinstance(document, dict) else None
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
        raise ModelError(f"{path}: lacks model_cfg with embed_dim, vision_cfg and text_cfg")
    if not all(isinstance(config[part], dict) for part in ("vision_cfg", "text_cfg")):
        raise ModelError(f"{path}: vision_cfg and text_cfg must be objects")
    preprocessing = document.get("preprocess_cfg", {})
    if not isinstance(preprocessing, dict):
        raise ModelError(f"{path}: preprocess_cfg must be an object")
    _require_file(weights)
    return Source(
        name=name,
        open_clip_name=f"local-dir:{folder}",
        config=config,
        weights=weights,
        preprocessing=preprocessing,
        tokenizer_folder=folder,
    )


def _weights_in(folder: Path) -> Path:
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder")
    found = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise ModelError(f"{folder}: holds no weights; expected {WEIGHTS[0]} beside {CONFIG}")
    return found


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise ModelError(f"{path}: no such file")


def _from_cache_or_hub(spec: str, repository: str, names: Iterable[str], local: str) -> Path:
    """The first of `names` that the repository has, from the local cache if it is there."""
    import huggingface_hub as hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for name in names:
        cached = hub.try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    point = f"put a copy on this machine and give {local}"
    trouble = reachable()
    if trouble:
        raise ModelError(f"{spec}: {repository} is not in the local cache and {trouble}; {point}")
    for name in names:
        try:
            return Path(hub.hf_hub_download(repository, name))
        except LocalEntryNotFoundError as error:
            raise ModelError(
                f"{spec}: downloading {repository} failed, the connection broke; {point}"
            ) from error
        except EntryNotFoundError:
            continue
        except Exception as error:
            reason = one_line(str(error), 160)
            raise ModelError(f"{spec}: downloading {repository} failed: {reason}; {point}") from error
    raise ModelError(f"{spec}: {repository} on Hugging Face holds none of {', '.join(names)}; {point}")


def reachable() -> str | None:
    """None if Hugging Face answers, else why not. Decides within seconds, where its client retries for long."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    if not endpoint.startswith(("https://", "http://")):
        return f"HF_ENDPOINT {endpoint!r} is not a web address"
    try:
        with urlopen(Request(endpoint, method="HEAD"), timeout=_REACH_S):
            return None
    except HTTPError:
        return None  # it answers
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"{endpoint} cannot be reached ({one_line(str(reason), 100)})"
