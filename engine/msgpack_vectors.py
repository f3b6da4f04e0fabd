"""One vector as msgpack-numpy writes it, decoded without what that package does for object arrays: unpickling."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from colonnade.engine.errors import InputError
from colonnade.engine.import_files import MAX_DIMENSION

__all__ = ["MAX_BLOB", "Malformed", "decode_vector", "require_msgpack"]

MAX_BLOB = 8 * MAX_DIMENSION + 1024
_DTYPES: dict[bytes, np.dtype[Any]] = {
    b"<f2": np.dtype("<f2"),
    b"<f4": np.dtype("<f4"),
    b"<f8": np.dtype("<f8"),
}


class Malformed(Exception):
    """The bytes are no vector that is safe to read; the text says why."""


def require_msgpack() -> None:
    """Say what to install where msgpack is missing.

    Raises:
        InputError: it is.
    """
    try:
        import_module("msgpack")
    except ImportError:
        raise InputError(
            "crossfilter's vectors are msgpack, which needs a package that is not installed: "
            "pip install 'colonnade[crossfilter]'"
        ) from None


def decode_vector(blob: object) -> np.ndarray:
    """The vector in the bytes that `msgpack_numpy.packb(array)` gave: float16, float32 or float64 [D].

    A map of `nd` (true), `type` (a dtype string), `kind` (empty), `shape` and `data`; a [1, D] array counts as [D].

    Raises:
        Malformed: anything else, in particular object arrays (kind `O`, a pickle) and structured ones (kind `V`).
    """
    import msgpack

    if not isinstance(blob, bytes):
        raise Malformed("not a BLOB")
    if len(blob) > MAX_BLOB:
        raise Malformed(f"{len(blob):,} bytes; a vector of {MAX_DIMENSION:,} numbers has fewer")
    try:
        document = msgpack.unpackb(
            blob, raw=True, strict_map_key=False, max_map_len=16, max_array_len=16, max_ext_len=0
        )
    except Exception as error:  # the package raises ValueError, its own kinds, and recursion errors
        raise Malformed(f"not msgpack ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise Malformed("not a msgpack-numpy array")
    return _array({_name(key): value for key, value in document.items()})


def _name(key: object) -> object:
    return key.decode("latin-1") if isinstance(key, bytes) else key


def _array(document: dict[object, Any]) -> np.ndarray:
    if document.get("nd") is not True:
        raise Malformed("not a msgpack-numpy array")
    kind = document.get("kind", b"")
    if kind == b"O":
        raise Malformed("an array of Python objects, which would have to be unpickled; refused")
    word = document.get("type")
    dtype = _DTYPES.get(word) if isinstance(word, bytes) else None
    if kind not in (b"", None) or dtype is None:
        raise Malformed(f"of type {str(word)[:40]}; only little-endian floats are read")
    data, shape = document.get("data"), document.get("shape")
    if not isinstance(data, bytes) or not isinstance(shape, list) or not all(type(n) is int for n in shape):
        raise Malformed("not a msgpack-numpy array")
    if len(shape) == 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 1 or not 0 < shape[0] <= MAX_DIMENSION or shape[0] * dtype.itemsize != len(data):
        raise Malformed(f"of shape {str(shape)[:40]} in {len(data):,} bytes; a vector is needed")
    vector: np.ndarray = np.frombuffer(data, dtype)
    return vector
