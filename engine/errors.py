"""The exceptions of the engine.

ColonnadeError
├── InputError            what the user gave is wrong: vocabulary, expression, image root, file to import
├── StoreError            the store is missing, of another version, damaged, read-only or locked too long
│   └── ConflictError     what was read has changed meanwhile; reading again and retrying can succeed
└── ModelError            the model cannot be loaded

A message is one line: what is wrong, where, and what to do. Only the command line turns an exception into
an exit code.
"""

from __future__ import annotations

__all__ = ["ColonnadeError", "ConflictError", "InputError", "ModelError", "StoreError"]


class ColonnadeError(Exception):
    """Base of every error the engine raises on purpose; `str(error)` is one line or one line per fault."""


class InputError(ColonnadeError):
    """What the user gave is wrong: a vocabulary, an expression, an image root, a file to import."""


class StoreError(ColonnadeError):
    """The store is missing, of another version, damaged, read-only or locked too long."""


class ConflictError(StoreError):
    """What a change was based on has changed meanwhile; nothing was written, and a retry can succeed."""


class ModelError(ColonnadeError):
    """The model cannot be loaded."""
