"""The controlled vocabulary: which attributes there are, in what words, with which thresholds and rules.

`parse_vocabulary` and `load_vocabulary` report every fault of a file at once; the values they return are
valid by construction. Editing is in `vocabulary_edit`, advice in `lint`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from colonnade.engine.errors import InputError
from colonnade.engine.nearest import nearest
from colonnade.engine.vocabulary_faults import Fault, VocabularyError, shown_name
from colonnade.engine.vocabulary_model import (
    Attribute,
    BaseAttribute,
    DerivedAttribute,
    Rule,
    Thresholds,
    Vocabulary,
)
from colonnade.engine.vocabulary_parse import read_vocabulary
from colonnade.engine.vocabulary_yaml import MAX_BYTES

__all__ = [
    "Attribute",
    "BaseAttribute",
    "DerivedAttribute",
    "Fault",
    "Rule",
    "Thresholds",
    "Vocabulary",
    "VocabularyError",
    "load_vocabulary",
    "nearest",
    "parse_vocabulary",
    "read_source",
    "vocabulary_source",
]


def parse_vocabulary(source: bytes, name: str) -> Vocabulary:
    """The vocabulary in `source`; `name` is what messages call the file.

    Raises:
        VocabularyError: with every fault of the file, each with line, column and, where known, a hint.
    """
    faults: list[Fault] = []
    vocabulary = read_vocabulary(source, faults.append)
    if vocabulary is None or faults:
        raise VocabularyError(name, faults)
    return vocabulary


def load_vocabulary(path: str | os.PathLike[str]) -> Vocabulary:
    """The vocabulary in a file.

    Raises:
        VocabularyError: the file's content is wrong.
        InputError: the file cannot be read.
    """
    return parse_vocabulary(read_source(path), os.fspath(path))


def read_source(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a vocabulary file; never more than one over the size that is refused as too long.

    Raises:
        InputError: the file cannot be read.
    """
    name = shown_name(os.fspath(path))
    try:
        # Without O_NONBLOCK a pipe in a stranger's store would hold us forever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError(f"vocabulary {name}: not a regular file; give a YAML file")
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise InputError(f"vocabulary {name}: {reason}; give a readable YAML file") from None


def vocabulary_source(spec: str) -> tuple[bytes, str]:
    """What `--vocabulary` names: a file, or a vocabulary that ships (`space`, `photography`), with its name.

    Raises:
        InputError: neither a readable file nor the name of a vocabulary that ships.
    """
    from colonnade.vocab import shipped, shipped_source

    names = shipped()
    if spec in names and not Path(spec).is_file():
        return shipped_source(spec), spec
    if not Path(spec).exists():
        near = nearest(spec, names)
        hint = f"did you mean {near}?" if near else f"give a YAML file, or one of {', '.join(names)}"
        raise InputError(f"vocabulary {shown_name(spec)}: no such file; {hint}")
    return read_source(spec), spec
