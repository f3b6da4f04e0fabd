"""What the query line, the list of attributes and the table of results ask of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from colonnade.engine.errors import StoreError
from colonnade.tui.session_base import SessionBase

if TYPE_CHECKING:
    from colonnade.engine.expression_completion import Completions
    from colonnade.tui.session_hits import Hits
    from colonnade.tui.session_model import Checked
    from colonnade.tui.session_search import Searcher
    from colonnade.tui.session_text import Condition

__all__ = ["Queries"]


class Queries(SessionBase):
    """Expressions and what they find."""

    _searcher: Searcher | None = None

    def check(self, text: str) -> Checked:
        """Whether an expression can be searched for; else one line, and where it is wrong."""
        from colonnade.tui.session_search import check_text

        return check_text(self._names(), text)

    def complete(self, text: str, position: int | None = None) -> Completions:
        """What may be typed at a position (by default the end)."""
        from colonnade.engine.expression_completion import complete

        names = self._names()
        return complete(
            text, names.codes, names.sets, names.saved, selections=names.selections, position=position
        )

    def conditions(self, text: str) -> dict[str, Condition]:
        """What an expression asks of each attribute; nothing while it does not parse."""
        from colonnade.tui.session_text import read_conditions

        known = set(self._names().codes)
        return {code: condition for code, condition in read_conditions(text).items() if code in known}

    def step(self, text: str, code: str, delta: float) -> str:
        """The text with an attribute's threshold moved by `delta`; a condition is added where there is none.

        Raises:
            InputError: the text does not parse, or what it asks of the attribute has no threshold.
        """
        from colonnade.tui.session_text import step

        vocabulary = self._now().vocabulary
        known = vocabulary.attribute(code) if code in vocabulary else None
        return step(text, code, delta, getattr(known, "thresholds", vocabulary.thresholds))

    def cycle(self, text: str, code: str) -> str:
        """The text with an attribute's condition taken on: off, accepted, tentative, not, off.

        Raises:
            InputError: the text does not parse, or the attribute stands inside a larger condition.
        """
        from colonnade.tui.session_text import cycle

        return cycle(text, code)

    def find(self, text: str = "", sort: str | None = None, columns: Sequence[str] | None = None) -> Hits:
        """The images that match. Columns by default: image_id, path, and each attribute that is named.

        Raises:
            SupersededError: a newer search began meanwhile.
            ExpressionError: the expression is wrong; it says where.
            InputError: an unknown column or sort key.
            StoreError: the store cannot be read.
        """
        from colonnade.tui.session_search import Searcher

        with self._lock:
            if self._searcher is None:
                self._searcher = Searcher(self._columns, self._cursor)
            searcher = self._searcher
        try:
            return searcher.find(self._names(), text, sort, columns)
        except StoreError:
            if not self.notice():
                raise
            return searcher.find(self._names(), text, sort, columns)

    def is_asked(self, hits: Hits) -> bool:
        """Whether hits are those of the present query and sort order, and of what is selected now."""
        if (hits.text, hits.sort) != (self.query, self.sort):
            return False
        now = self.selections
        return all(now.get(name) == chosen for name, chosen in hits.selections.items())

    def only_here(self, text: str) -> str | None:
        """Why an expression cannot be kept, where it names what this session alone knows: one line, else None."""
        from colonnade.engine.errors import InputError
        from colonnade.engine.expression import expand, parse
        from colonnade.engine.expression_binding import cannot_keep

        try:
            return cannot_keep(expand(parse(text), text, self._now().saved))
        except InputError:
            return None

    def facets(self, hits: Hits, codes: Sequence[str] | None = None) -> dict[str, int]:
        """Code -> how many of the hits are accepted, for every attribute that is scored (or for `codes`)."""
        return hits.facets(self._names().codes if codes is None else codes)

    def warm(self) -> None:
        """Read ahead what the first page of scattered images would wait for: ids and paths, packed.

        Raises:
            StoreError: the store cannot be read.
        """
        from colonnade.tui.session_paths import warm_texts

        snapshot = self._now().snapshot
        with self._reading() as cursor:
            self._columns.base(cursor, snapshot)
            warm_texts(self._columns, cursor, snapshot, "path")

    def sets(self) -> tuple[str, ...]:
        """The names of the stored sets."""
        return self._names().sets

    def named_queries(self) -> dict[str, str]:
        """Name -> expression, in the order of the file.

        Raises:
            InputError: queries.yaml is wrong.
        """
        state = self._now()
        if state.saved_fault is not None:
            raise state.saved_fault
        return dict(state.saved)
