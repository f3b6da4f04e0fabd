"""From embeddings and prompt vectors to logits, and the rows of the scores table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from colonnade.engine.calibration import ACCEPTED, REJECTED, TENTATIVE, UNKNOWN
from colonnade.engine.errors import StoreError
from colonnade.engine.products import products
from colonnade.engine.settings import Model
from colonnade.engine.tables import SCHEMAS

__all__ = ["attribute_vector", "codes_of_statuses", "logits", "scores_table", "unit_length"]

_WORDS = pa.array(["rejected", "tentative", "accepted"])
_CODES = {"rejected": REJECTED, "tentative": TENTATIVE, "accepted": ACCEPTED, None: UNKNOWN}


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Rows of float32 [n, D] scaled to unit length; rows of zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.float32(1e-12)), dtype=np.float32)


def attribute_vector(prompt_vectors: np.ndarray) -> np.ndarray:
    """The prompt ensemble: unit vectors float32 [k, D] averaged and scaled to unit length again, float32 [D].

    As in open_clip's zero_shot_classifier (Radford et al. 2021, section 3.1.4).
    """
    mean = unit_length(prompt_vectors).mean(axis=0, keepdims=True)
    return np.asarray(unit_length(mean)[0])


def logits(vectors: np.ndarray, attributes: np.ndarray, model: Model) -> np.ndarray:
    """logit_scale x cosine + logit_bias: float32 [n, k] of unit vectors float32 [n, D] and [k, D].

    Each number depends on its own two vectors alone, to the last bit, whatever the batch.
    """
    product = products(vectors, attributes)
    product *= np.float32(model.logit_scale)
    if model.logit_bias:
        product += np.float32(model.logit_bias)
    return np.asarray(product, dtype=np.float32)


def scores_table(
    ids: np.ndarray,
    *,
    logit: np.ndarray | None,
    confidence: np.ndarray,
    status: np.ndarray,
    label_source: str,
    model: str,
    definition: str,
    log_odds: np.ndarray | None = None,
) -> pa.Table:
    """Rows of one attribute: ids int64 [n], logit and log_odds float32 [n] or None, confidence float32 [n] (nan:
    unknown), status int8 [n] codes."""
    rows = len(ids)
    unknown = np.isnan(confidence)

    def word(value: str) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array([value]))

    columns = [
        pa.array(ids),
        pa.nulls(rows, pa.float32()) if logit is None else pa.array(logit),
        pa.nulls(rows, pa.float32()) if log_odds is None else pa.array(log_odds),
        pa.array(confidence, mask=unknown if unknown.any() else None),
        pa.DictionaryArray.from_arrays(
            pa.array(
                status.astype(np.int32), mask=(status == UNKNOWN) if (status == UNKNOWN).any() else None
            ),
            _WORDS,
        ),
        word(label_source),
        word(model),
        word(definition),
    ]
    return pa.table(columns, schema=SCHEMAS["scores"])


def codes_of_statuses(column: pa.ChunkedArray) -> np.ndarray:
    """int8 [n] codes of a stored status column.

    Raises:
        StoreError: the column holds a word that is no status.
    """
    encoded = column.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.chunks) if encoded.num_chunks else pa.array([], pa.string())
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    try:
        table = np.array([_CODES[word] for word in encoded.dictionary.to_pylist()] + [UNKNOWN], dtype=np.int8)
    except KeyError as error:
        raise StoreError(f"a stored status is {error}; run `colonnade verify`") from None
    places = encoded.indices
    if places.null_count:  # not else: it would load all of pyarrow's functions
        places = places.fill_null(len(table) - 1)
    return np.asarray(table[places.to_numpy(zero_copy_only=False)])
