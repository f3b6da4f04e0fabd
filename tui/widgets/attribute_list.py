"""The attributes with their counts, and what the query asks of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual.message import Message

from colonnade.tui.keys import action
from colonnade.tui.widgets.cells import Cell
from colonnade.tui.widgets.window_table import Column, ListSource, WindowTable

if TYPE_CHECKING:
    from colonnade.tui.session_model import AttributeRow
    from colonnade.tui.session_text import Condition

__all__ = ["AttributeList", "condition_text"]

_STATES = {"not scored": "unscored"}
_WORDS = {
    "accepted": "yes",
    "tentative": "yes?",
    "not accepted": "no",
    "not tentative": "no?",
    "other": "…",
}


def condition_text(condition: Condition | None, thresholds: tuple[float, float] | None) -> str:
    """What a query asks of an attribute, in four characters; without a condition the accepted threshold."""
    if condition is None:
        return "" if thresholds is None else f"{thresholds[0]:.2f}".lstrip("0")
    if condition.threshold is not None:
        sign = {">=": "≥", "<=": "≤", "!=": "≠"}.get(condition.operator, condition.operator)
        return f"{sign}{condition.threshold:.2f}".replace("0.", ".")
    return _WORDS.get(condition.operator, condition.operator)


def _columns(counted: str) -> tuple[Column, ...]:
    return (
        Column("code", "attribute", sortable=False),
        Column("count", counted, 9, "right", sortable=False),
        Column("condition", "ask", 4, "right", sortable=False),
    )


class AttributeList(WindowTable):
    """One row an attribute. `left` and `right` move its threshold in the query, `space` cycles its condition."""

    BINDINGS: ClassVar = [
        action("attributes.less", "left,h", "step(-0.01)", "threshold down by 0.01"),
        action("attributes.more", "right,l", "step(0.01)", "threshold up by 0.01"),
        action("attributes.much_less", "shift+left,H", "step(-0.05)", "threshold down by 0.05"),
        action("attributes.much_more", "shift+right,L", "step(0.05)", "threshold up by 0.05"),
        action("attributes.cycle", "space", "cycle", "accepted, tentative, not, off"),
    ]

    @dataclass
    class Stepped(Message):
        """Move an attribute's threshold."""

        code: str
        delta: float

    @dataclass
    class Cycled(Message):
        """Take an attribute's condition one on."""

        code: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(_columns("images"), id=id, empty="no attributes yet: {app.vocabulary:2} adds one")
        self._rows: Sequence[AttributeRow] = ()
        self._conditions: Mapping[str, Condition] = {}
        self._facets: Mapping[str, int] | None = None
        self.marked = lambda row: bool(row[3])

    @property
    def facets(self) -> Mapping[str, int] | None:
        """The counts within a result, while those are shown."""
        return self._facets

    @property
    def code(self) -> str | None:
        """The attribute under the cursor."""
        return None if self.values is None else str(self.values[-1])

    def fill(
        self,
        rows: Sequence[AttributeRow] | None = None,
        conditions: Mapping[str, Condition] | None = None,
        facets: Mapping[str, int] | None = None,
        *,
        code: str | None = None,
    ) -> None:
        """Show other attributes or conditions (None: as before), and counts within a result (None: in all images).

        Args:
            code: where the cursor goes; by default it stays on its attribute.
        """
        wanted = code or self.code
        self._rows = self._rows if rows is None else rows
        self._conditions = self._conditions if conditions is None else conditions
        counted_anew = (facets is None) != (self._facets is None)
        self._facets = facets
        values = [self._values(row) for row in self._rows]
        if (
            code is None
            and self.is_filled
            and not counted_anew
            and len(values) == self.count
            and all(a[-1] == b[-1] for a, b in zip(values, self._all(), strict=True))
        ):
            self._replace(values)
            return
        place = next((n for n, row in enumerate(self._rows) if row.code == wanted), 0)
        columns = _columns("images" if facets is None else "of these") if counted_anew else None
        self.show(ListSource(values), columns, row=place)

    def _all(self) -> Sequence[tuple[Any, ...]]:
        return self._source.rows if isinstance(self._source, ListSource) else ()

    def _replace(self, values: list[tuple[Any, ...]]) -> None:
        """Other values of the same rows: only the lines that differ are drawn."""
        before = self._all()
        changed = [n for n, (old, new) in enumerate(zip(before, values, strict=True)) if old != new]
        self._source = ListSource(values)
        self._blocks.clear()
        self._fetch()
        self._redraw_rows(changed)

    def _values(self, row: AttributeRow) -> tuple[Any, ...]:
        condition = self._conditions.get(row.code)
        count: str | Cell
        if self._facets is not None:
            count = f"{self._facets[row.code]:,}" if row.code in self._facets else "-"
        elif row.state in ("", "fresh") or row.state.startswith("stale"):
            count = f"{row.accepted:,}" + ("!" if row.state.startswith("stale") else "")
        else:
            count = _STATES.get(row.state, row.state)
        sign = {"orphan": "×"}.get(row.state, "=" if row.derived else "")
        return (
            f"{sign}{row.code}",
            count,
            condition_text(condition, row.thresholds),
            condition is not None,
            row.code,
        )

    def action_step(self, delta: float) -> None:
        if self.code is not None:
            self.post_message(self.Stepped(self.code, delta))

    def action_cycle(self) -> None:
        if self.code is not None:
            self.post_message(self.Cycled(self.code))
