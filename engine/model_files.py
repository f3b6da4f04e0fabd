"""Whether a model's files on this machine are still those that its vectors were made with.

A folder or checkpoint can be overwritten under the same path; published weights cannot. Sizes and times are compared
first; only where they differ are the files read.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from colonnade.engine.settings import Model, ModelFiles, Settings

__all__ = ["CONFIG", "WEIGHTS", "files_of", "fingerprint", "known_model", "were_replaced"]

CONFIG = "open_clip_config.json"
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "open_clip_model.bin",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "pytorch_model.bin",
    "model.pth",
)
"""Names of the weights beside it, the preferred first."""


def files_of(spec: str) -> tuple[Path, ...]:
    """The files of a model that is loaded from a path; none for other models, and where one is missing."""
    kind, separator, rest = spec.partition(":")
    if spec == "demo" or (kind == "local-dir" and separator):
        folder = Path(__file__).with_name("demo") if spec == "demo" else Path(rest).expanduser()
        weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
        return () if weights is None else (folder / CONFIG, weights)
    _, separator, rest = spec.partition("@")
    return (Path(rest).expanduser(),) if separator else ()


def fingerprint(spec: str, known: ModelFiles | None = None) -> ModelFiles | None:
    """The files of a model as they are now; None where there are none. Reads them whole, if they are not `known`."""
    stamp = _stamp(files_of(spec))
    if known is not None and known.stamp == stamp:
        return known
    digest = None if stamp is None else _digest(spec, stamp)
    return None if stamp is None or digest is None else ModelFiles(stamp, digest)


def were_replaced(model: Model) -> bool:
    """Whether the model's files have other contents by now; False where that cannot be told."""
    if model.files is None:
        return False
    stamp = _stamp(files_of(model.spec))
    if stamp is None or stamp == model.files.stamp:
        return False
    digest = _digest(model.spec, stamp)
    return digest is not None and digest != model.files.digest


def known_model(settings: Settings) -> Model | None:
    """The active model, if it is what loading it would give, as far as can be told without."""
    active = settings.active
    if active is None or active.spec != settings.spec or were_replaced(active):
        return None
    return active


def _stamp(files: tuple[Path, ...]) -> str | None:
    try:
        found = [file.stat() for file in files]
    except OSError:
        return None
    return ",".join(f"{each.st_size}-{each.st_mtime_ns}" for each in found) or None


@lru_cache(maxsize=8)
def _digest(spec: str, stamp: str) -> str | None:
    """Of the files, if they are those of the stamp."""
    files, contents = files_of(spec), hashlib.sha256()
    try:
        for path in files:
            with path.open("rb") as file:
                contents.update(hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return None
    return contents.hexdigest() if _stamp(files) == stamp else None
