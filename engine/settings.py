"""`colonnade.toml`: the store's format version, image roots and models."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from colonnade.engine.durable import atomic_write, exclusive_lock, read_bounded, store_errors
from colonnade.engine.errors import InputError, StoreError

__all__ = [
    "FORMAT_VERSION",
    "Model",
    "ModelFiles",
    "Root",
    "Settings",
    "dump_settings",
    "new_root",
    "read_settings",
    "update_settings",
]

FORMAT_VERSION = 1
KEEP_SNAPSHOTS = 20
KEEP_SECONDS = 600.0
_MAX_BYTES = 1 << 20
_MAX_DIMENSION = 1 << 16


@dataclass(frozen=True, slots=True)
class Root:
    """A folder of images. Rows name it by `name`, so that the folder can move."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files that a model was loaded from, as they were then."""

    stamp: str
    """Their sizes and modification times."""
    digest: str
    """SHA-256 of their contents."""


@dataclass(frozen=True, slots=True)
class Model:
    """What scoring needs to know of a model without loading it."""

    key: str
    spec: str
    """How to load it (`demo`, `ViT-B-32/openai`, ...); '' for imported vectors."""
    dimension: int
    logit_scale: float
    logit_bias: float = 0.0
    context_length: int = 0
    files: ModelFiles | None = None
    """None for models that are not loaded from a path, and where they were not looked at."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The content of `colonnade.toml`."""

    spec: str
    """How the active model is loaded; '' where it only came by import."""
    model_key: str | None = None
    """The key of the active model; None until its first embedding or import."""
    roots: tuple[Root, ...] = ()
    models: tuple[Model, ...] = ()
    keep_snapshots: int = KEEP_SNAPSHOTS
    """How many of the latest snapshots garbage collection always keeps; at least 1."""
    keep_seconds: float = KEEP_SECONDS
    """How long it keeps a snapshot after it was superseded: longer than the longest query."""

    def model(self, key: str) -> Model | None:
        return next((model for model in self.models if model.key == key), None)

    @property
    def active(self) -> Model | None:
        """The active model, once it is known."""
        return self.model(self.model_key) if self.model_key else None

    def root(self, name: str) -> Root | None:
        return next((root for root in self.roots if root.name == name), None)

    def with_model(self, model: Model, *, activate: bool) -> Settings:
        models = (*(known for known in self.models if known.key != model.key), model)
        if activate:
            return replace(self, models=models, model_key=model.key, spec=model.spec)
        return replace(self, models=models)


def new_root(settings: Settings, path: Path, taken: Collection[str] = ()) -> Root:
    """A root for `path`, with a name that no other root of `settings` has.

    Args:
        taken: further names that it must not have, such as those of removed roots whose images are still known.

    Raises:
        InputError: not a folder, already a root, inside a root or around one: each file has one row.
    """
    folder = path.expanduser().absolute()
    if not folder.is_dir():
        raise InputError(f"{path}: not a folder; an image root must be one")
    folder = folder.resolve()
    for root in settings.roots:
        other = root.path.resolve()
        if folder == other:
            raise InputError(f"{path}: already the root {root.name!r}")
        if folder.is_relative_to(other):
            raise InputError(
                f"{path}: inside the root {root.name!r} ({root.path}), which has its images already"
            )
        if other.is_relative_to(folder):
            raise InputError(
                f"{path}: the root {root.name!r} ({root.path}) is inside it; choose a folder beside that, "
                "or remove that root first"
            )
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("-.") or "images"
    names = {*taken, *(root.name for root in settings.roots)}
    name, count = base, 1
    while name in names:
        count += 1
        name = f"{base}-{count}"
    return Root(name, folder)


def dump_settings(settings: Settings) -> bytes:
    """The text of `colonnade.toml`."""
    lines = [
        "# A Colonnade feature store. `colonnade root` and `colonnade model` change this file.",
        f"format = {FORMAT_VERSION}",
        f"model = {_toml(settings.spec)}",
    ]
    if settings.model_key is not None:
        lines.append(f"model_key = {_toml(settings.model_key)}")
    if settings.keep_snapshots != KEEP_SNAPSHOTS:
        lines.append(f"keep_snapshots = {settings.keep_snapshots}")
    if settings.keep_seconds != KEEP_SECONDS:
        lines.append(f"keep_seconds = {settings.keep_seconds!r}")
    for root in settings.roots:
        lines += ["", "[[roots]]", f"name = {_toml(root.name)}", f"path = {_toml(str(root.path))}"]
    for model in settings.models:
        lines += [
            "",
            "[[models]]",
            f"key = {_toml(model.key)}",
            f"spec = {_toml(model.spec)}",
            f"dimension = {model.dimension}",
            f"logit_scale = {float(model.logit_scale)!r}",
            f"logit_bias = {float(model.logit_bias)!r}",
            f"context_length = {model.context_length}",
        ]
        if model.files is not None:
            lines.append(f"files_stamp = {_toml(model.files.stamp)}")
            lines.append(f"files_digest = {_toml(model.files.digest)}")
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _toml(text: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_settings(store: Path) -> Settings:
    """Read `colonnade.toml`.

    Raises:
        StoreError: missing, damaged, or of a version that this program does not know.
    """
    path = store / "colonnade.toml"
    try:
        text = read_bounded(path, _MAX_BYTES).decode("utf-8", "surrogateescape")
        document = tomllib.loads(text)
    except FileNotFoundError:
        raise StoreError(f"{store}: no store here; `colonnade init {store}` makes one") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise StoreError(f"{path}: not valid TOML: {error}") from None
    version = document.get("format")
    if version != FORMAT_VERSION:
        raise StoreError(
            f"{path}: format {version!r}, but this program reads format {FORMAT_VERSION}; use the version that made it"
        )
    try:
        return _parse(document)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"{path}: damaged near {error}; compare with docs/store.md") from None


def _parse(document: dict[str, object]) -> Settings:
    def tables(name: str) -> list[dict[str, object]]:
        value = document.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ValueError(f"[[{name}]]")
        return value

    def text(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(repr(value))
        return value

    def number(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(repr(value))
        if not math.isfinite(value):
            raise ValueError(repr(value))
        return float(value)

    def whole(value: object, low: int, high: int) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(repr(value))
        return value

    def distinct(names: list[str]) -> None:
        for name in names:
            if not name or names.count(name) > 1:
                raise ValueError(repr(name))

    key = document.get("model_key")
    settings = Settings(
        spec=text(document.get("model", "")),
        model_key=None if key is None else text(key),
        roots=tuple(Root(text(item["name"]), Path(text(item["path"]))) for item in tables("roots")),
        models=tuple(
            Model(
                key=text(item["key"]),
                spec=text(item["spec"]),
                dimension=whole(item["dimension"], 1, _MAX_DIMENSION),
                logit_scale=number(item["logit_scale"]),
                logit_bias=number(item.get("logit_bias", 0.0)),
                context_length=whole(item.get("context_length", 0), 0, 1 << 31),
                files=(
                    ModelFiles(text(item["files_stamp"]), text(item["files_digest"]))
                    if "files_digest" in item
                    else None
                ),
            )
            for item in tables("models")
        ),
        keep_snapshots=whole(document.get("keep_snapshots", KEEP_SNAPSHOTS), 1, 1 << 31),
        keep_seconds=max(0.0, number(document.get("keep_seconds", KEEP_SECONDS))),
    )
    distinct([root.name for root in settings.roots])
    distinct([model.key for model in settings.models])
    return settings


def update_settings(store: Path, change: Callable[[Settings], Settings]) -> Settings:
    """Read, change and replace `colonnade.toml` under the store's lock; returns the new settings."""
    with store_errors(store), exclusive_lock(store / ".lock"):
        settings = read_settings(store)
        changed = change(settings)
        if changed != settings:
            atomic_write(store / "colonnade.toml", dump_settings(changed))
    return changed
