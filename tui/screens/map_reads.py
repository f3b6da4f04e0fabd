"""What the map screen computes in threads: frames, crowds, and the image under the cursor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from colonnade.tui.map_clusters import Cluster
    from colonnade.tui.map_data import MapData
    from colonnade.tui.map_paint import Colouring, Paint
    from colonnade.tui.map_view import Frame, View
    from colonnade.tui.session_model import ImageRow, ScoreRow

__all__ = ["Drawn", "Here", "Look", "crowds_of", "draw_map", "here"]

_SAMPLE = 250_000
"""Images that the names of crowds are counted over."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is to be seen on the map."""

    colouring: Colouring
    attribute: str | None
    query: str
    only: bool
    """Draw the marked images alone."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A frame, how it looks, and how many images are marked in all."""

    data: MapData
    frame: Frame
    paint: Paint
    marked: int
    half: int


@dataclass(frozen=True, slots=True)
class Here:
    """What is under the cursor."""

    cell: tuple[int, int]
    images: int
    image: ImageRow | None
    scores: tuple[ScoreRow, ...] = ()


class Flags:
    """What a look marks, kept until the map or the look changes."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._flags: tuple[np.ndarray | None, np.ndarray | None] = (None, None)

    def of(self, data: MapData, look: Look) -> tuple[np.ndarray | None, np.ndarray | None]:
        """(marked, half marked) bool [n]; None where nothing is."""
        named = data.session.selections if look.colouring == "query" else {}
        about = look.attribute if look.colouring == "attribute" else look.query
        key = (data, look.colouring, about, tuple(named.items()))
        if key != self._key:
            if look.colouring == "attribute" and look.attribute is not None:
                self._flags = data.statuses(look.attribute)
            elif look.colouring == "query":
                self._flags = data.matches(look.query), None
            else:
                self._flags = None, None
            self._key = key
        return self._flags


def draw_map(data: MapData, view: View, look: Look, flags: Flags, chosen: np.ndarray | None) -> Drawn:
    """The map as it looks in a view; 30 to 60 ms a million images."""
    from colonnade.tui.map_paint import paint
    from colonnade.tui.map_view import draw

    marked, half = flags.of(data, look)
    only = marked if look.only else None
    frame = draw(data.points, view, marked=marked, half=half, only=only)
    return Drawn(
        data,
        frame,
        paint(frame, look.colouring if marked is not None else "density", chosen),
        0 if marked is None else int(marked.sum()),
        0 if half is None else int(half.sum()),
    )


def crowds_of(drawn: Drawn, is_wanted: Callable[[], bool] = lambda: True) -> list[Cluster]:
    """The crowds of a frame with what sets each apart; it gives up once that is not wanted any more."""
    from functools import partial

    from colonnade.tui.map_clusters import crowds, label_crowds

    data = drawn.data
    found, owner = crowds(drawn.frame)
    stride = max(1, -(-len(data.points) // _SAMPLE))
    attributes = ((code, partial(data.accepted, code, stride)) for code in data.scored() if is_wanted())
    return label_crowds(drawn.frame, found, owner, attributes, stride=stride)


def here(drawn: Drawn, cell: tuple[int, int], turn: int) -> Here:
    """The image of a cell nearest to its centre, or the `turn`-th nearest; for an empty cell, the nearest around it."""
    import numpy as np

    from colonnade.tui.map_lasso import in_rectangle

    data, frame = drawn.data, drawn.frame
    column, row = cell
    images = int(frame.counts[row, column])
    for reach in (0, 1, 2):
        near = np.flatnonzero(
            in_rectangle(frame, (column - reach, row - reach), (column + reach, row + reach))
        )
        if len(near):
            break
    else:
        return Here(cell, 0, None)
    dots = frame.view.dots(data.points.vectors[:, near].T)
    far = ((dots - (2 * column + 1, 4 * row + 2)) ** 2).sum(axis=1)
    order = np.argsort(far, kind="stable")
    image_id = int(data.points.ids[near[order[turn % len(near)]]])
    return Here(cell, images, data.session.image_row(image_id), data.session.scores(image_id))
