"""Images that are selected in the running app, for `in_selection(NAME)`: in memory alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    from colonnade.tui.session_arrays import Base

__all__ = ["NONE_SELECTED", "Selected", "Selection", "placed"]

NONE_SELECTED = {
    "map": "nothing is selected on the map yet: a lasso there selects",
    "marks": "no image is marked yet",
}
"""The selections that there can be, and what to say while there is none."""


@dataclass(frozen=True, eq=False)
class Selection:
    """Images that were selected at once. Two are equal if they are the same object."""

    ids: np.ndarray
    """int64 [n], ascending, each once."""

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids.tolist())


Selected: TypeAlias = Selection | frozenset[int]
"""A selection, or the marked images."""


def placed(chosen: Selected, base: Base) -> np.ndarray:
    """bool [n]: the selected of the images of a snapshot; those it does not have any more are left out."""
    import numpy as np

    ids = chosen.ids if isinstance(chosen, Selection) else np.fromiter(chosen, np.int64, len(chosen))
    found = np.zeros(len(base), dtype=bool)
    if len(base):
        places, known = base.places(ids)
        found[places[known]] = True
    return found
