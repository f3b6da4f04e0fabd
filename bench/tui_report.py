"""The benchmark of the app as tables: each figure, its target and their ratio, and the same in other programs."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tui_app import AppFigures, Start
from tui_rivals import Rival
from tui_terminal import Answer, Memory

__all__ = ["Line", "app_lines", "print_lines", "print_screens", "start_lines"]

FRAME_SECONDS, FRAME_RATIO = 0.6, 1.6
MOVE_MS, STEP_MS = 50.0, 150.0
CURSOR_BYTES, PAGE_BYTES = 512.0, 8192.0
MEMORY_MB = 250.0


@dataclass(frozen=True)
class Line:
    """One figure."""

    what: str
    value: float
    unit: str = ""
    target: float | None = None
    others: Sequence[float | None] = ()
    """The same of each other program; None where it has none."""


def start_lines(starts: Sequence[Start], rivals: Sequence[Rival]) -> list[Line]:
    """The first frame."""

    def typical(read: Callable[[Start], float]) -> float:
        return statistics.median(map(read, starts))

    return [
        Line(
            "first frame", typical(lambda one: one.frame), "s", FRAME_SECONDS, [one.frame for one in rivals]
        ),
        Line("  a bare Textual app's", typical(lambda one: one.bare), "s"),
        Line("  ratio, median of the pairs", typical(lambda one: one.frame / one.bare), "x", FRAME_RATIO),
        Line("rows there", typical(lambda one: one.results), "s", None, [one.rows for one in rivals]),
    ]


def app_lines(figures: AppFigures, rivals: Sequence[Rival], *, narrow: bool, idle: float) -> list[Line]:
    """Keys, silence and memory; `narrow`: 80x24, for which the bytes have targets."""
    moves = figures.moves
    others = [rival.moves for rival in rivals]
    memory = figures.memory
    lines = [
        *_times("cursor key", moves.cursor, MOVE_MS, [one and one.cursor for one in others]),
        _mean(
            moves.cursor,
            CURSOR_BYTES if narrow else None,
            [one and one.cursor for one in others],
        ),
        *_times("PageDown", moves.page, MOVE_MS, [one and one.page for one in others]),
        _most(moves.page, PAGE_BYTES if narrow else None, [one and one.page for one in others]),
        Line("  a whole screen (ctrl+l)", figures.whole_bytes, "B", PAGE_BYTES if narrow else None),
        *_times("to the last row and back", figures.jumps, MOVE_MS),
        _most(figures.jumps),
        *_times("threshold step, 3 conditions", figures.steps, STEP_MS),
        _mean(figures.steps),
        *_times("typing in the query line", figures.typing),
        _mean(figures.typing),
    ]
    if figures.typed.seconds is not None:
        lines.append(Line("  last key typed to the count", 1000 * figures.typed.seconds, "ms"))
    lines.append(
        Line(f"idle for {idle:.0f} s", figures.idle_bytes / idle, "B/s", 0.0, [one.idle for one in rivals])
    )
    lines.append(
        Line("memory", memory.now, "MB", MEMORY_MB, [one.memory and one.memory.now for one in rivals])
    )
    if memory.peak is not None:
        lines.append(
            Line("  at its peak", memory.peak, "MB", MEMORY_MB, [_peak(one.memory) for one in rivals])
        )
    return lines + [Line(f"  helper {name}", held, "MB") for name, held in memory.helpers]


def print_lines(title: str, lines: Sequence[Line], rivals: Sequence[Rival]) -> None:
    """One table, and the notes of the other programs."""
    load = os.getloadavg()[0]
    print(f"\n{title}   (load of the machine {load:.1f})")
    print(
        f"{'':<38}{'colonnade':>12}{'target':>10}{'ratio':>7}" + "".join(f"{one.name:>18}" for one in rivals)
    )
    for line in lines:
        others = "".join(f"{_amount(other, line.unit):>18}" for other in line.others)
        print(f"{line.what:<38}{_amount(line.value, line.unit):>12}{_against(line)}{others}".rstrip())
    for rival in rivals:
        for note in rival.notes:
            print(f"  {rival.name}: {note}")
    print(end="", flush=True)


def print_screens(screens: Mapping[str, Sequence[Answer]]) -> None:
    """How soon each screen is there, and how soon it has come to rest."""
    print(
        f"{'screen':<16}{'first: frame':>14}{'settled':>10}{'bytes':>9}{'again: frame':>16}{'settled':>10}{'bytes':>9}"
    )
    for name, (first, *later) in screens.items():
        again = [answer for answer in later if answer.seconds is not None]
        first, again = (first, again) if name != "browse" else (None, [first, *again])
        shown = (
            f"{_amount(first.seconds and 1000 * first.seconds, 'ms'):>14}"
            f"{1000 * first.settled:>7,.0f} ms{first.bytes:>9,}"
            if first is not None
            else " " * 33
        )
        rest = ""
        if again:
            rest = (
                f"{1000 * statistics.median(one.seconds or 0 for one in again):>13,.0f} ms"
                f"{1000 * statistics.median(one.settled for one in again):>7,.0f} ms"
                f"{statistics.median(one.bytes for one in again):>9,.0f}"
            )
        print(f"  {name:<14}{shown}{rest}", flush=True)


def _seconds(answers: Sequence[Answer]) -> list[float]:
    """Ascending; an answer that never came is the slowest, so that it counts."""
    return sorted(math.inf if answer.seconds is None else answer.seconds for answer in answers)


def _p95(values: Sequence[float]) -> float:
    return values[math.ceil(0.95 * len(values)) - 1]


def _times(
    what: str,
    answers: Sequence[Answer],
    target: float | None = None,
    others: Sequence[Sequence[Answer] | None] = (),
) -> list[Line]:
    """The median and the 95th percentile, in ms; how many answers never came is told, too."""
    found = _seconds(answers)
    missed = found.count(math.inf)
    tail = f", {missed} of {len(answers)} unanswered" if missed else ""
    each = [_seconds(other) if other else [] for other in others]
    if not found:
        return [Line(f"{what}{tail}", math.nan, "ms", target)]
    return [
        Line(
            f"{what}, p50{tail}",
            1000 * statistics.median(found),
            "ms",
            None,
            [1000 * statistics.median(one) if one else None for one in each],
        ),
        Line("  p95", 1000 * _p95(found), "ms", target, [1000 * _p95(one) if one else None for one in each]),
    ]


def _mean(
    answers: Sequence[Answer],
    target: float | None = None,
    others: Sequence[Sequence[Answer] | None] = (),
) -> Line:
    each = [statistics.fmean(a.bytes for a in other) if other else None for other in others]
    return Line("  bytes a key, mean", statistics.fmean(a.bytes for a in answers), "B", target, each)


def _most(
    answers: Sequence[Answer],
    target: float | None = None,
    others: Sequence[Sequence[Answer] | None] = (),
) -> Line:
    each = [float(max(a.bytes for a in other)) if other else None for other in others]
    return Line("  bytes a key, most", float(max(a.bytes for a in answers)), "B", target, each)


def _peak(memory: Memory | None) -> float | None:
    return None if memory is None else memory.peak


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if not math.isfinite(value):
        return "never"
    digits = {"s": 2, "x": 2, "ms": 1}.get(unit, 0)
    return f"{value:,.{digits}f} {unit}".rstrip()


def _against(line: Line) -> str:
    if line.target is None:
        return f"{'':>17}"
    if not line.target:
        return f"{_amount(line.target, line.unit):>10}{'ok' if line.value == 0 else 'MISS':>7}"
    ratio = line.value / line.target
    return f"{_amount(line.target, line.unit):>10}{ratio:>6.2f}{'!' if not ratio <= 1 else ' '}"
