"""Stored logits against the stored vectors of images and prompts, for some images of each shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from colonnade.engine.errors import StoreError
from colonnade.engine.findings import Tally
from colonnade.engine.parallel import one_blas_thread
from colonnade.engine.products import products
from colonnade.engine.prompts import ATTRIBUTE
from colonnade.engine.scoring import attribute_vector
from colonnade.engine.snapshots import DataFile
from colonnade.engine.tables import read_files
from colonnade.engine.vector_columns import vectors_of

__all__ = ["LogitSample"]

_A_BATCH = 16
"""Of how many images of a batch of embeddings the vectors are kept."""
_TOLERANCE = 5e-5
"""Of a cosine: libraries for matrix products sum in different orders."""

_Vectors = tuple[np.ndarray, np.ndarray]
"""Ids int64 [n], ascending, and unit vectors float32 [n, D]."""


@dataclass(slots=True)
class LogitSample:
    """Keeps vectors of some images as the embeddings go by, then checks the logits of these."""

    definitions: Mapping[str, Mapping[str, Any]]
    prompts: Mapping[str | None, Sequence[DataFile]]
    """Model -> files of the prompts table."""
    _kept: dict[str, list[_Vectors]] = field(default_factory=dict)
    _whole: dict[str, _Vectors | None] = field(default_factory=dict)
    _texts: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    _name: str = ""
    _wanted: _Vectors | None = None

    def keep(self, model: str, batch: pa.RecordBatch, ids: np.ndarray) -> None:
        """Keep some rows of a batch of a model's embeddings; none where a vector is missing."""
        column = batch.column("embedding")
        if not len(ids) or column.null_count or column.flatten().null_count:
            return
        rows = np.unique(np.linspace(0, len(ids) - 1, _A_BATCH).astype(np.int64))
        self._kept.setdefault(model, []).append((ids[rows], vectors_of(column)[rows]))

    def check(self, name: str, ids: np.ndarray, mine: np.ndarray, logit: np.ndarray, tally: Tally) -> None:
        """Tally the logits of a batch that the vectors do not give.

        Args:
            name: the logits' definition, which holds for the rows where `mine` (bool [n]) does.
            ids: int64 [n], ascending; rows that are out of order are not looked at.
            logit: float32 [n], nan where there is none.
        """
        if name != self._name:
            self._name, self._wanted = name, self._logits(self.definitions.get(name, {}))
        if self._wanted is None or not len(ids):
            return
        known, values = self._wanted
        part = slice(np.searchsorted(known, ids[0]), np.searchsorted(known, ids[-1], side="right"))
        known, values = known[part], values[part]
        places = np.minimum(np.searchsorted(ids, known), len(ids) - 1)
        scale = abs(float(self.definitions[name]["logit_scale"]))
        there = (ids[places] == known) & mine[places] & np.isfinite(logit[places]) & np.isfinite(values)
        off = there & ~(np.abs(logit[places] - values) <= _TOLERANCE * scale)
        tally.rows(off, "whose logit is not what the stored vectors of image and prompts give", known)

    def _logits(self, document: Mapping[str, Any]) -> _Vectors | None:
        """(ids int64 [n], logits float32 [n]) of the images kept; None where a vector is not there."""
        model, prompts = document.get("model"), document.get("prompts")
        scale, bias = document.get("logit_scale"), document.get("logit_bias")
        if not isinstance(model, str) or not isinstance(prompts, list) or not prompts:
            return None
        if not (_is_number(scale) and _is_number(bias)):
            return None
        images, texts = self._images(model), self._texts_of(model)
        if images is None or not all(isinstance(prompt, str) and prompt in texts for prompt in prompts):
            return None
        attribute = attribute_vector(np.stack([texts[prompt] for prompt in prompts]))
        ids, vectors = images
        if vectors.shape[1] != len(attribute):
            return None
        with np.errstate(over="ignore", invalid="ignore"), one_blas_thread():
            cosines = products(vectors, attribute[np.newaxis])[:, 0]
            return ids, np.asarray(cosines * np.float32(scale) + np.float32(bias), dtype=np.float32)

    def _images(self, model: str) -> _Vectors | None:
        if model not in self._whole:
            parts = self._kept.pop(model, [])
            whole = None
            if parts and len({vectors.shape[1] for _, vectors in parts}) == 1:
                ids, vectors = (np.concatenate(some) for some in zip(*parts, strict=True))
                order = np.argsort(ids, kind="stable")
                whole = ids[order], vectors[order]
            self._whole[model] = whole
        return self._whole[model]

    def _texts_of(self, model: str) -> dict[str, np.ndarray]:
        """Prompt -> unit vector float32 [D], of attributes; nothing where the file is damaged."""
        if model not in self._texts:
            self._texts.clear()  # one model's at a time
            self._texts[model] = _read_texts(self.prompts.get(model, ()))
        return self._texts[model]


def _is_number(value: object) -> bool:
    """Whether it is one that float32 can hold."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e30


def _read_texts(files: Sequence[DataFile]) -> dict[str, np.ndarray]:
    try:
        data = read_files(files) if files else None
    except (StoreError, OSError):
        return {}
    if data is None or any(column.null_count for column in data.columns):
        return {}
    vectors = vectors_of(data["embedding"])
    if not np.isfinite(vectors).all():
        return {}
    rows = zip(data["prompt"].to_pylist(), data["kind"].to_pylist(), vectors, strict=True)
    return {prompt: vector for prompt, kind, vector in rows if kind == ATTRIBUTE}
