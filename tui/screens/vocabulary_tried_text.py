"""What a try came to, in lines of a given width: counts, what changes, and a histogram that two wordings can share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from colonnade.tui.widgets.cells import fit_name, text_cells
from colonnade.tui.widgets.line import folded

if TYPE_CHECKING:
    from colonnade.tui.screens.vocabulary_trying import TriedPicture
    from colonnade.tui.session_model import TryResult

__all__ = ["Axis", "axis_of", "decimal", "histogram", "name_lines", "result_lines", "spread"]

_BLOCKS = " ▁▂▃▄▅▆▇█"
_BESIDE = 20
"""Cells of a histogram's line that are not bins."""
_MOST_BINS = 64
_LONGEST_NAME = 34
_MARKS = (" ", "+", "-")


@dataclass(frozen=True, slots=True)
class Axis:
    """Bins that histograms of several wordings can be told in."""

    low: float
    step: float
    """A power of two, as the steps of every histogram."""
    count: int

    @property
    def high(self) -> float:
        """Where the last bin ends."""
        return self.low + self.count * self.step


def axis_of(tries: Iterable[TryResult], most: int) -> Axis:
    """The finest axis of at most `most` bins that holds all of the histograms; with two at least."""
    some = list(tries)
    low, high = min(found.low for found in some), max(found.high for found in some)
    step = max(_step(found) for found in some)
    while math.ceil(high / step) - math.floor(low / step) > max(2, most):
        step *= 2
    first = math.floor(low / step)
    return Axis(first * step, step, max(1, math.ceil(high / step) - first))


def _step(found: TryResult) -> float:
    return (found.high - found.low) / len(found.logits) if found.logits and found.high > found.low else 1.0


def spread(found: TryResult, axis: Axis) -> tuple[int, ...]:
    """The logits of a wording, counted in the bins of an axis; exact, for every bin lies in one of the axis."""
    counts, own = [0] * axis.count, _step(found)
    for number, count in enumerate(found.logits):
        middle = found.low + (number + 0.5) * own
        counts[min(axis.count - 1, max(0, int((middle - axis.low) / axis.step)))] += count
    return tuple(counts)


def room_for_bins(width: int) -> int:
    """How many bins a line of this width has room for."""
    return max(4, min(_MOST_BINS, width - _BESIDE))


def decimal(value: float) -> str:
    """A confidence or a cosine: `.98`, `-.03`."""
    text = f"{abs(value):.2f}".removeprefix("0")
    return f"-{text}" if value < 0 and text != ".00" else text


def histogram(counts: Sequence[int]) -> str:
    """Counts as blocks; heights go by the square root, so that few images still show."""
    most = max(counts, default=0)
    return "".join(
        _BLOCKS[max(1, round(8 * (count / most) ** 0.5))] if count and most else _BLOCKS[0]
        for count in counts
    )


def result_lines(found: TryResult, width: int, axis: Axis, key: str = "^E") -> list[str]:
    """A try in words: counts, what changes, what is near, and the histogram with the line from which it accepts.

    Args:
        key: lists what enters and what leaves.
    """
    of = f" of {found.images:,}" + (
        f" sampled, of {found.embedded:,}" if found.embedded > found.images else ""
    )
    share = f" ({100 * found.accepted / found.images:.1f} %)" if found.images else ""
    lines = folded(
        f"accepted {found.accepted:,}{of}{share}, tentative {found.tentative:,}  {found.method}", width
    )
    if found.before is None:
        lines += folded("not scored as saved: no image enters or leaves", width)
    else:
        change = f"saved {found.before:,}: {found.entering:,} enter (+), {found.leaving:,} leave (-)"
        more = f"  {key} lists them" if found.entering or found.leaving else ""
        lines += folded(change + (more if len(change + more) <= width else ""), width)
    return [*lines, _near(found, width), *_bins(found, width, axis)]


def _near(found: TryResult, width: int) -> str:
    """The nearest attributes, as many as fit."""
    line = "nearest by cosine:" if width >= 60 else "nearest:"
    for number, (code, cosine) in enumerate(found.nearest):
        longer = f"{line}{',' if number else ''} {code} {decimal(cosine)}"
        if text_cells(longer) > width:
            break
        line = longer
    return line if found.nearest else "nearest: no other attribute has vectors"[:width]


def _bins(found: TryResult, width: int, axis: Axis) -> list[str]:
    low, high = f"{axis.low:.1f} ", f" {axis.high:.1f}"
    lines = [f"logit {low}{histogram(spread(found, axis))}{high}"]
    before = len("logit ") + len(low)
    if found.cut is None:
        confidences = found.confidences
        while before + len(confidences) + 2 > width and len(confidences) > 1:
            pairs = range(0, len(confidences), 2)
            confidences = tuple(sum(confidences[n : n + 2]) for n in pairs)
        return [*lines, f"{'conf. 0':<{before}}{histogram(confidences)} 1"]
    place = (found.cut - axis.low) / axis.step
    words = f"accepted from {found.cut:.2f}"
    if not 0 <= place <= axis.count:
        return [*lines, f"{words}, {'above' if place > 0 else 'below'} all"]
    column = before + min(axis.count - 1, int(place))
    if column + 2 + len(words) <= width:
        return [*lines, f"{' ' * column}^ {words}"]
    if len(words) < column:
        return [*lines, f"{words:>{column - 1}} ^"]
    return [*lines, f"{' ' * column}^", words]


def name_lines(pictures: Sequence[TriedPicture], room: int, width: int) -> tuple[str, ...]:
    """Which images they are: one a line where there is room, else as many names as fit into each line."""
    if room <= 0 or not pictures:
        return ()
    if len(pictures) <= room:
        return tuple(f"{each.mark} {each.value:>4} {each.path}" for each in pictures)
    groups = {mark: [each for each in pictures if each.mark == mark] for mark in _MARKS}
    changed = [mark for mark in _MARKS[1:] if groups[mark]]
    if room == 1 and len(changed) == 2:
        half = (width - 2) // 2
        entering, leaving = (_flowing(groups[mark], 1, half)[0] for mark in changed)
        return (f"{entering}{' ' * (half - text_cells(entering))}  {leaving}",)
    third = max(1, room // 3) if room > len(changed) else 1
    rooms = dict.fromkeys(changed[:room], third)
    rooms[" "] = max(0, room - sum(rooms.values()))
    return tuple(line for mark in _MARKS for line in _flowing(groups[mark], rooms.get(mark, 0), width))


def _flowing(pictures: Sequence[TriedPicture], room: int, width: int) -> list[str]:
    """Names one after the other, over at most `room` lines."""
    lines: list[str] = []
    for each in pictures:
        name = each.path.rpartition("/")[2]
        size = min(text_cells(name), _LONGEST_NAME, max(8, width - 2 - len(each.value) - 1))
        words = f"{each.value} {fit_name(name, size)}".strip()
        if lines and text_cells(f"{lines[-1]}  {words}") <= width:
            lines[-1] += f"  {words}"
        elif len(lines) < room:
            lines.append(f"{each.mark} {words}")
        else:
            break
    return lines
