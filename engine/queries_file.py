"""`queries.yaml`: named queries of a store, `name: "expression"` a line, also edited by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

from colonnade.engine.durable import atomic_write, exclusive_lock, read_bounded, store_errors
from colonnade.engine.errors import InputError
from colonnade.engine.expression import expand, parse
from colonnade.engine.expression_binding import cannot_keep
from colonnade.engine.vocabulary_faults import Fault
from colonnade.engine.vocabulary_yaml import MAX_BYTES, Mapping, Scalar, compose, decode

__all__ = ["MAX_QUERIES", "read_queries", "save_query"]

MAX_QUERIES = 10_000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def read_queries(store: Path) -> dict[str, str]:
    """Name -> expression, in the order of the file; nothing where there is no file.

    Raises:
        InputError: the file is not a list of `name: expression`.
        StoreError: it cannot be read.
    """
    return _parse(_source(_path(store)), _path(store))


def save_query(store: Path, name: str, expression: str) -> None:
    """Store an expression as `@name`, in place of an earlier one of that name; comments and order are kept.

    Raises:
        InputError: not a usable name, with it a saved query would use itself, or it names a selection.
        ExpressionError: the expression is wrong.
        StoreError: the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r}: a query's name is a-z, 0-9 and _, begins with a letter, and has 64 at most"
        )
    path = _path(store)
    with store_errors(path), exclusive_lock(store / ".lock"):
        source = _source(path)
        queries = _parse(source, path)
        wanted = {**queries, name: expression}
        if len(wanted) > MAX_QUERIES:
            raise InputError(f"{path}: {len(queries):,} queries are saved; remove some first")
        tree = expand(parse(expression), expression, wanted)
        if reason := cannot_keep(tree):
            raise InputError(reason)
        expand(parse(f"@{name}"), f"@{name}", wanted)
        changed = _with_line(source.decode(), name, expression)
        try:
            same = _parse(changed.encode(), path) == wanted
        except InputError:
            same = False
        if not same:
            raise InputError(f'{path}: written in an unusual way; add the query by hand, as `{name}: "..."`')
        if changed.encode() != source:
            atomic_write(path, changed.encode())


def _path(store: Path) -> Path:
    return store / "queries.yaml"


def _source(path: Path) -> bytes:
    with store_errors(path):
        try:
            return read_bounded(path, MAX_BYTES, follow=False)
        except FileNotFoundError:
            return b""


def _parse(source: bytes, path: Path) -> dict[str, str]:
    if not source.strip():
        return {}
    faults: list[Fault] = []
    text = decode(source, faults.append)
    root = compose(text, faults.append) if text is not None else None
    if faults:
        raise InputError(faults[0].render(str(path)))
    if root is None:
        return {}
    if not isinstance(root, Mapping):
        raise InputError(f"{path}:{root.line}: not a list of `name: expression`")
    queries: dict[str, str] = {}
    for key, value in root.pairs:
        if not isinstance(key, Scalar) or not isinstance(value, Scalar):
            raise InputError(f"{path}:{key.line}: not `name: expression`")
        if not _NAME.fullmatch(key.value):
            raise InputError(
                f"{path}:{key.line}: not a name of a query: a-z, 0-9 and _, beginning with a letter"
            )
        if key.value in queries:
            raise InputError(f"{path}:{key.line}: {key.value} is there twice")
        queries[key.value] = value.value
    return queries


def _with_line(text: str, name: str, expression: str) -> str:
    """The file with one value replaced in its place, or with a line more."""
    quoted = json.dumps(expression, ensure_ascii=False)
    root = compose(text, lambda fault: None) if text.strip() else None
    for key, value in root.pairs if isinstance(root, Mapping) else ():
        if isinstance(key, Scalar) and isinstance(value, Scalar) and key.value == name:
            return text[: value.start] + quoted + text[value.end :]
    gap = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{gap}{name}: {quoted}\n"
