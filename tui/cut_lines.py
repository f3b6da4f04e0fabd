"""Where the two lines of an attribute stand while they are moved, and what that would change."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colonnade.tui.session_distribution import Distribution

__all__ = ["CutLines", "change_words", "share"]

LEAST, MOST = 0.01, 0.99


@dataclass(frozen=True, eq=False)
class CutLines:
    """The lines over a distribution. `accepted` moves along the axis; `tentative` goes with it at its distance."""

    found: Distribution
    accepted_at: float
    tentative: float
    """The threshold at which `tentative` begins, a confidence; the vocabulary's unless it was moved."""

    @classmethod
    def saved(cls, found: Distribution) -> CutLines:
        """The lines where the store has them."""
        return cls(found, found.accepted_at, found.axis.tentative)

    @property
    def tentative_at(self) -> float:
        """Where `tentative` begins."""
        axis = replace(self.found.axis, tentative=self.tentative)
        return self.accepted_at - axis.gap if self.cut_moved else axis.place(self.tentative)

    @property
    def cut_moved(self) -> bool:
        return self.accepted_at != self.found.accepted_at

    @property
    def threshold_moved(self) -> bool:
        return self.tentative != self.found.axis.tentative

    @property
    def moved(self) -> bool:
        return self.cut_moved or self.threshold_moved

    @property
    def counts(self) -> tuple[int, int, int]:
        """(accepted, tentative, rejected) images."""
        return self.found.counts(self.accepted_at, self.tentative_at)

    @property
    def changed(self) -> tuple[int, int]:
        """(entering, leaving): images that would become accepted, and no longer be."""
        return self.found.changed(self.accepted_at)

    def bins(self, count: int) -> list[int]:
        """Images in bins of equal width from the lowest to the highest; found by halving, for the values are sorted."""
        low, high, values = self.found.low, self.found.high, self.found.values
        if not len(values):
            return [0] * count
        width = (high - low) / count or 1.0
        edges = values.searchsorted([low + width * place for place in range(1, count)]).tolist()
        return [stop - start for start, stop in zip([0, *edges], [*edges, len(values)], strict=True)]

    def with_cut_moved(self, steps: int) -> CutLines:
        """The `accepted` line some hundredths of the distribution further; it stops just past either end."""
        found = self.found
        step = found.step()
        low, high = found.low - step, found.high + step
        start = min(max(self.accepted_at, low), high)
        return replace(self, accepted_at=min(max(start + steps * step, low), high))

    def with_threshold_moved(self, steps: int) -> CutLines:
        """The `tentative` line some hundredths of confidence further, at most to the other one."""
        most = max(LEAST, min(MOST, self.found.axis.accepted))
        return replace(self, tentative=min(max(round(self.tentative + steps / 100, 4), LEAST), most))

    @property
    def can_move(self) -> bool:
        """Whether a cut decides what is accepted: not where the threshold is 0 or 1."""
        return 0 < self.found.axis.accepted < 1 and self.found.count > 0

    def count_words(self) -> str:
        """How many images have which status."""
        accepted, tentative, rejected = self.counts
        part = share(accepted, self.found.count)
        return f"accepted {accepted:,} ({part})   tentative {tentative:,}   rejected {rejected:,}"

    def change_words(self) -> str:
        """What saving would change; empty where nothing was moved."""
        parts = []
        if self.cut_moved:
            entering, leaving = self.changed
            parts.append(f"{entering:,} would enter, {leaving:,} would leave")
        if self.threshold_moved:
            parts.append(f"tentative in the vocabulary {self.found.axis.tentative:g} -> {self.tentative:g}")
        return "; ".join(parts)

    def place_words(self) -> str:
        """Where the `accepted` line stands."""
        at = self.accepted_at
        return (
            f"{at:.2f}" if math.isfinite(at) else "nowhere: nothing is accepted" if at > 0 else "everywhere"
        )


def share(part: int, whole: int) -> str:
    """`26 %`; `-` of nothing."""
    if not whole:
        return "-"
    value = 100 * part / whole
    return f"{value:.0f} %" if value >= 10 or not part else f"{value:.1f} %"


def change_words(run: dict[str, Any]) -> str:
    """What a fit would do or did, from `session.fit_attributes`, in a line."""
    words = []
    for change in run.get("changes", ()):
        method, before, after = change["fit"]["method"], change["before"], change["after"]
        signal = ", no signal" if change["fit"]["no_signal"] else ""
        words.append(
            f"{change['code']} by {method}{signal}: accepted {before['accepted']:,} -> {after['accepted']:,}"
            f" ({change['entering']:,} enter, {change['leaving']:,} leave)"
        )
        if change.get("fallback"):
            words.append(f"its own fit is not to be had: {change['fallback']}")
    if run.get("waiting"):
        words.append(f"needs a sync first: {', '.join(run['waiting'])}")
    return "; ".join(words) or "nothing changes: it is fitted like that already"
