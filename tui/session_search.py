"""Searching: expressions checked and completed, hits found, an older search given up for a newer one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from colonnade.engine.duck import duck_errors
from colonnade.engine.errors import ColonnadeError, InputError
from colonnade.engine.expression import bind, expand, parse
from colonnade.engine.expression_tree import (
    Expression,
    ExpressionError,
    InSelection,
    operands,
    selections,
    walk,
)
from colonnade.engine.query import default_fields
from colonnade.engine.query_fields import parse_columns, parse_sort
from colonnade.engine.query_sql import no_scores
from colonnade.tui.session_columns import Columns
from colonnade.tui.session_damage import check_scores
from colonnade.tui.session_hits import Hits
from colonnade.tui.session_match import Matcher
from colonnade.tui.session_model import Checked, SupersededError
from colonnade.tui.session_selection import NONE_SELECTED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from colonnade.engine.snapshots import Snapshot
    from colonnade.tui.session_selection import Selected

__all__ = ["Names", "Searcher", "check_text"]


@dataclass(frozen=True)
class Names:
    """What an expression may name."""

    snapshot: Snapshot
    codes: tuple[str, ...]
    sets: tuple[str, ...]
    saved: Mapping[str, str]
    selections: Mapping[str, Selected] = field(default_factory=dict)

    def bound(self, text: str) -> Expression:
        """The expression, every name looked up; an empty text matches every image.

        Raises:
            ExpressionError: it is wrong; it says where.
        """
        text = text if text.strip() else "true"
        tree = expand(parse(text), text, self.saved)
        for node in walk(tree):
            if isinstance(node, InSelection) and node.name in NONE_SELECTED.keys() - self.selections.keys():
                raise ExpressionError(NONE_SELECTED[node.name], text, node.position)
        return bind(tree, self.codes, self.sets, selections=self.selections, text=text)


def check_text(names: Names, text: str) -> Checked:
    """Whether an expression can be searched for; the message is one line."""
    try:
        names.bound(text)
    except ExpressionError as error:
        return Checked(False, error.message, error.position)
    except InputError as error:
        return Checked(False, str(error).partition("\n")[0])
    return Checked(True)


class Searcher:
    """Finds hits; the newest search wins. Thread-safe."""

    def __init__(self, columns: Columns, cursor: Callable[[], DuckDBPyConnection]) -> None:
        self._columns = columns
        self._cursor = cursor
        self._lock = threading.Lock()
        self._newest = 0
        self._running: DuckDBPyConnection | None = None

    def find(
        self, names: Names, text: str, sort: str | None = None, columns: Sequence[str] | None = None
    ) -> Hits:
        """The images that match; an older search that still runs is given up.

        Raises:
            SupersededError: a newer search began meanwhile.
            ExpressionError: the expression is wrong.
            InputError: an unknown column or sort key.
            StoreError: the store cannot be read.
        """
        started = time.perf_counter()
        cursor = self._cursor()
        number = self._begin(cursor)
        try:
            bound = names.bound(text)
            fields = default_fields(bound) if columns is None else parse_columns(columns, names.codes)
            keys = parse_sort(sort, names.codes) if sort else ()
            snapshot = names.snapshot
            named = [*(one.name for one in operands(bound) if one.kind != "image")]
            named += [one.name for one in (*(key.field for key in keys), *fields) if one.kind != "image"]
            check_scores(snapshot, named)
            with duck_errors(str(snapshot.path)):
                chosen = {name: names.selections[name] for name in selections(bound)}
                matcher = Matcher(self._columns, cursor, snapshot, lambda: self._check(number), chosen)
                matched = matcher.matches(bound)
            self._check(number)
        except ColonnadeError:
            self._check(number)
            raise
        warnings = tuple(
            no_scores(code) for code in dict.fromkeys(named) if not snapshot.files("scores", code)
        )
        return Hits(
            text=text,
            sort=sort,
            snapshot=snapshot,
            fields=fields,
            keys=keys,
            seconds=time.perf_counter() - started,
            warnings=warnings,
            base=matcher.base,
            matched=matched,
            source=self._columns,
            cursor=self._cursor,
            selections=chosen,
        )

    def _begin(self, cursor: DuckDBPyConnection) -> int:
        with self._lock:
            if self._running is not None:
                self._running.interrupt()
            self._newest += 1
            self._running = cursor
            return self._newest

    def _check(self, number: int) -> None:
        if self._newest != number:
            raise SupersededError("a newer search took its place")
