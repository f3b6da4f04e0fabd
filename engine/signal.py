"""Attributes of which a collection shows no sign: what a query that uses one has to be told. Imports no pyarrow."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from colonnade.engine.duck import connect, duck_errors, parquet
from colonnade.engine.listing import some
from colonnade.engine.snapshots import Snapshot

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["no_signal_codes", "no_signal_warnings"]

_MAX_TEXT = 4 << 20
_MAX_DEPTH = 50


def no_signal_warnings(snapshot: Snapshot, codes: Iterable[str]) -> tuple[str, ...]:
    """What to say of the codes without signal, and of derived ones that are made of such: a line at most."""
    found = no_signal_codes(snapshot, codes)
    if not found:
        return ()
    return (f"no signal in this collection, so at most what stands out is accepted: {some(found)}",)


def no_signal_codes(snapshot: Snapshot, codes: Iterable[str]) -> tuple[str, ...]:
    """The base attributes among the codes, and among what derived ones are made of, of which the collection shows
    no sign: their scores come from a fit that says so.

    Raises:
        StoreError: a file is damaged.
    """
    if not snapshot.partitions("calibrations"):
        return ()
    found = []
    with duck_errors(str(snapshot.path)):
        connection = connect()
        try:
            for code in _with_inputs(connection, snapshot, codes):
                document = _definition(connection, snapshot, code)
                fit = document.get("fit")
                if isinstance(fit, dict) and fit.get("no_signal") is True:
                    found.append(code)
        finally:
            connection.close()
    return tuple(found)


def _with_inputs(connection: DuckDBPyConnection, snapshot: Snapshot, codes: Iterable[str]) -> list[str]:
    """The codes and, for derived ones, what they are made of, directly or not."""
    found = dict.fromkeys(codes)
    fresh = list(found)
    for _ in range(_MAX_DEPTH):
        inputs = [
            name
            for code in fresh
            if not snapshot.files("calibrations", code)
            for name in (_definition(connection, snapshot, code).get("inputs") or ())
        ]
        fresh = [name for name in dict.fromkeys(inputs) if isinstance(name, str) and name not in found]
        if not fresh:
            break
        found |= dict.fromkeys(fresh)
    return [code for code in found if snapshot.files("calibrations", code)]


def _definition(connection: DuckDBPyConnection, snapshot: Snapshot, code: str) -> dict[str, Any]:
    """The definition of an attribute's scores, as its first row names it; empty where there is none."""
    scores, definitions = snapshot.files("scores", code), snapshot.files("definitions")
    if not scores or not definitions:
        return {}
    row = connection.execute(f"""
        SELECT json FROM {parquet(definitions)}
        WHERE definition = (SELECT definition FROM {parquet(scores)} LIMIT 1) AND strlen(json) <= {_MAX_TEXT}
    """).fetchone()
    try:
        document = json.loads(row[0]) if row else {}
    except (TypeError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
