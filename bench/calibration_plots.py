"""The two plots of docs/calibration.md, as SVG written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

__all__ = ["write_f1", "write_reliability"]

DOCS = Path(__file__).resolve().parents[1] / "docs"
COLOURS = ("#b0483a", "#2b6cb0", "#8a8a8a")
_LEFT, _TOP, _SIZE = 60, 30, 360


def write_reliability(curves: Mapping[str, Sequence[tuple[float, float, int]]]) -> None:
    """Share that is true over the confidence, a curve a rule, from (confidence, share, count) of each bin."""
    shapes = [_line([(0, 0), (1, 1)], "#cccccc", dashed=True)]
    for colour, (title, bins) in zip(COLOURS, curves.items(), strict=False):
        shapes.append(_line([(c, t) for c, t, _ in bins], colour))
        shapes += [
            f'<circle cx="{_x(c):.1f}" cy="{_y(t):.1f}" r="4" fill="{colour}">'
            f"<title>{escape(title)}: confidence {c:.2f}, true {t:.2f}, {n:,} images</title></circle>"
            for c, t, n in bins
        ]
    labels = _axes("confidence", "share of images that show the attribute") + _legend(list(curves))
    _write("calibration-reliability.svg", shapes + labels)


def write_f1(found: Mapping[str, Mapping[str, float]]) -> None:
    """F1 of every attribute, each rule's attributes by falling F1."""
    shapes = []
    for colour, values in zip(COLOURS, found.values(), strict=False):
        ranked = sorted(values.values(), reverse=True)
        last = max(len(ranked) - 1, 1)
        shapes.append(_line([(rank / last, value) for rank, value in enumerate(ranked)], colour))
    labels = _axes("attributes of ImageNet, best first (share)", "F1 of what is accepted")
    _write("calibration-f1.svg", shapes + labels + _legend(list(found)))


def _x(value: float) -> float:
    return _LEFT + value * _SIZE


def _y(value: float) -> float:
    return _TOP + (1 - value) * _SIZE


def _line(points: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
    path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'


def _axes(across: str, up: str) -> list[str]:
    shapes = [f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIZE}" height="{_SIZE}" fill="none" stroke="#888"/>']
    for step in range(6):
        value = step / 5
        shapes += [
            _text(_x(value), _TOP + _SIZE + 18, f"{value:.1f}"),
            _text(_LEFT - 18, _y(value) + 4, f"{value:.1f}"),
        ]
    shapes.append(_text(_LEFT + _SIZE / 2, _TOP + _SIZE + 40, across))
    middle = _TOP + _SIZE / 2
    shapes.append(f'<g transform="rotate(-90 16 {middle})">{_text(16, middle, up)}</g>')
    return shapes


def _legend(titles: Sequence[str]) -> list[str]:
    shapes = []
    for row, (colour, title) in enumerate(zip(COLOURS, titles, strict=False)):
        y = _TOP + 18 + 20 * row
        shapes.append(f'<rect x="{_LEFT + 12}" y="{y - 9}" width="12" height="12" fill="{colour}"/>')
        shapes.append(_text(_LEFT + 32, y + 2, title, anchor="start"))
    return shapes


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'


def _write(name: str, shapes: Sequence[str]) -> None:
    width, height = _LEFT + _SIZE + 30, _TOP + _SIZE + 60
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12" fill="#444">'
    )
    back = f'<rect width="{width}" height="{height}" fill="white"/>'
    (DOCS / name).write_text("\n".join([head, back, *shapes, "</svg>"]) + "\n")
