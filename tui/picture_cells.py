"""A picture as cells of a terminal: half-blocks in terminal colours, or characters of a density."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["NO_COLOUR", "Cells", "Mode", "Pixels", "Request", "ansi_lines", "mode_of", "runs"]

Mode = Literal["64", "16", "text"]
"""At most 64 of the terminal's 256 colours; its first 16; or no colour at all."""

NO_COLOUR = 255
"""A half-cell that shows the terminal's background. (Colour 255, the lightest grey, is never used.)"""


@dataclass(frozen=True, slots=True)
class Request:
    """One picture as somebody wants it; small enough for a worker's socket."""

    path: str
    width: int
    """Cells, or pixels where `mode` is `pixels`: the most that the picture may take."""
    height: int
    mode: Literal["64", "16", "text", "pixels"]


@dataclass(frozen=True, slots=True)
class Cells:
    """What a picture is in cells; it is not wider or higher than asked for, and its proportions are right."""

    columns: int
    rows: int
    colours: bytes = b""
    """Terminal colour numbers, 2 * rows lines of `columns`: each cell's upper half, then its lower; or empty."""
    text: tuple[str, ...] = ()
    """Without colours: one line of characters a row, dense where the picture is light."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture for a terminal that shows pixels, in 256 colours of its own: a quarter of the bytes."""

    width: int
    height: int
    indices: bytes
    """The place of each pixel's colour in `palette`, row by row."""
    palette: bytes
    """Red, green and blue of up to 256 colours."""


Run = tuple[str, int, int]
"""Text, foreground, background (colour numbers or NO_COLOUR)."""


def mode_of(environment: Mapping[str, str] | None = None) -> Mode:
    """What the environment says of the terminal: NO_COLOR, TERM, COLORTERM."""
    values = os.environ if environment is None else environment
    term = values.get("TERM", "")
    if values.get("NO_COLOR") or term in ("", "dumb"):
        return "text"
    if values.get("COLORTERM") or any(
        mark in term for mark in ("256", "direct", "kitty", "alacritty", "ghostty")
    ):
        return "64"
    return "16"


def runs(cells: Cells, row: int) -> Iterator[Run]:
    """One row as few runs as may be: a run goes on while two colours draw all of its cells.

    That, and not one style a cell, is what keeps a picture at a few KB.
    """
    if cells.text:
        yield cells.text[row], NO_COLOUR, NO_COLOUR
        return
    start = 2 * row * cells.columns
    upper = cells.colours[start : start + cells.columns]
    lower = cells.colours[start + cells.columns : start + 2 * cells.columns]
    pairs: list[tuple[int, int]] = []
    used: tuple[int, ...] = ()
    for pair in zip(upper, lower, strict=True):
        wider = tuple(dict.fromkeys((*used, *pair)))
        if len(wider) > 2:
            yield _run(pairs, used)
            pairs, wider = [], tuple(dict.fromkeys(pair))
        pairs.append(pair)
        used = wider
    yield _run(pairs, used)


def _run(pairs: list[tuple[int, int]], used: tuple[int, ...]) -> Run:
    if len(used) == 1:
        return " " * len(pairs), NO_COLOUR, used[0]
    front, back = used if used[0] != NO_COLOUR else used[::-1]  # only a background can be the terminal's
    if back != NO_COLOUR and pairs.count((front, front)) > pairs.count((back, back)):
        front, back = back, front  # a space is a byte, a block three
    glyphs = {(front, back): "▀", (back, front): "▄", (front, front): "█", (back, back): " "}
    return "".join(glyphs[pair] for pair in pairs), front, back


def ansi_lines(cells: Cells, mode: Mode) -> list[str]:
    """The rows as text for a bare terminal; each line ends with the terminal's own colours again."""
    lines = []
    for row in range(cells.rows):
        line, colours = [], (NO_COLOUR, NO_COLOUR)
        for text, front, back in runs(cells, row):
            codes = []
            if front not in (NO_COLOUR, colours[0]):
                codes.append(_code(front, 30, mode))
            if back != colours[1]:
                codes.append("49" if back == NO_COLOUR else _code(back, 40, mode))
            colours = (colours[0] if front == NO_COLOUR else front, back)
            line.append((f"\x1b[{';'.join(codes)}m" if codes else "") + text)
        reset = "\x1b[0m" if colours != (NO_COLOUR, NO_COLOUR) else ""
        lines.append("".join(line) + reset)
    return lines


def _code(colour: int, base: int, mode: Mode) -> str:
    if mode == "16":
        return str(base + colour if colour < 8 else base + 60 + colour - 8)
    return f"{base + 8};5;{colour}"
