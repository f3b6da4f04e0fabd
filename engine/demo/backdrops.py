"""What stands behind the things of a scene: space, sky, lunar ground, landscapes, walls, portholes, paper."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from colonnade.engine.demo.shapes import Color, Floats, cloudy, gradient, jitter, mix, noise

__all__ = ["diagram", "landscape", "lunar_ground", "porthole", "sky", "space", "wall"]

SKIES: tuple[tuple[Color, Color], ...] = (
    ((70, 130, 210), (190, 220, 245)),
    ((44, 60, 120), (244, 160, 90)),
    ((150, 160, 172), (206, 210, 214)),
    ((16, 22, 52), (60, 76, 120)),
)
PAPERS: tuple[tuple[Color, Color], ...] = (
    ((250, 250, 246), (30, 32, 40)),
    ((242, 232, 206), (70, 46, 30)),
    ((24, 62, 130), (224, 234, 250)),
    ((236, 240, 246), (24, 60, 150)),
)


def space(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Near-black sky, sometimes with a faint nebula."""
    base = gradient(width, height, jitter(rng, (12, 12, 18), 10), jitter(rng, (10, 10, 16), 10))
    tint = np.asarray(jitter(rng, (70, 50, 110), 50), np.float32)
    strength = float(rng.uniform(0, 0.5)) if rng.random() < 0.5 else 0.0
    haze = cloudy(noise(rng, width, height, 3), 0.5, 0.4) * strength
    return _image(mix(base, tint, haze))


def sky(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Daylight, dusk or overcast, often with clouds, often over a strip of ground."""
    top, bottom = SKIES[int(rng.integers(len(SKIES)))]
    base = gradient(width, height, jitter(rng, top), jitter(rng, bottom))
    clouds = cloudy(noise(rng, width, height, 4), float(rng.uniform(0.48, 0.64)), 0.16)
    base = mix(base, jitter(rng, (236, 238, 242), 14), clouds * (0.85 if rng.random() < 0.6 else 0.0))
    color = jitter(rng, (88, 100, 62) if rng.random() < 0.5 else (120, 110, 98), 22)
    strip = float(rng.uniform(0.06, 0.16)) if rng.random() < 0.6 else 0.0
    base[height - round(strip * height) :] = color
    return _image(base)


def landscape(rng: np.random.Generator, kind: str, width: int, height: int) -> Image.Image:
    """A place on the ground under a sky: `mountains`, `sea` or `field`."""
    top, bottom = SKIES[int(rng.integers(len(SKIES) - 1))]
    base = gradient(width, height, jitter(rng, top), jitter(rng, bottom))
    horizon = round(float(rng.uniform(0.45, 0.65)) * height)
    x = np.arange(width) / width
    rows = np.arange(height)[:, None]
    if kind == "mountains":
        ridge = sum(
            float(rng.uniform(0.04, 0.12)) * np.abs(np.sin(x * math.pi * n + float(rng.uniform(0, 6))))
            for n in (2, 3, 7)
        )
        ridge_rows = horizon + round(0.1 * height) - np.asarray(ridge) * height * 1.3
        base = mix(base, jitter(rng, (110, 112, 124), 26), (rows >= ridge_rows).astype(np.float32))
        snow = (rows >= ridge_rows) & (rows < ridge_rows + 0.05 * height)
        base = mix(base, (240, 242, 248), snow.astype(np.float32))
        horizon += round(0.14 * height)
    color = {"mountains": (92, 110, 66), "sea": (36, 96, 136), "field": (116, 138, 62)}[kind]
    ground = np.broadcast_to((rows >= horizon), (height, width)).astype(np.float32)
    wave = noise(rng, width, height, 9)
    base = mix(base, jitter(rng, color, 24), ground)
    return _image(base * (1 - 0.35 * ground * wave)[..., None])


def lunar_ground(rng: np.random.Generator, canvas: Image.Image) -> None:
    """Cover the lower part of `canvas` with grey cratered ground, in place."""
    width, height = canvas.size
    unit = min(width, height)
    level = float(rng.uniform(0.55, 0.72))
    bow = float(rng.uniform(-0.03, 0.06))
    center = (height - unit) / 2
    columns = (np.arange(width) - width / 2) / unit
    edge = center + (level + bow * columns**2 * 4) * unit
    rows = np.arange(height)[:, None]
    mask = np.clip(rows - edge + 0.5, 0, 1).astype(np.float32)
    tone = int(rng.integers(110, 176))
    texture = 0.72 + 0.5 * noise(rng, width, height, 18, 3)
    ground = np.asarray((tone, tone - 3, tone - 8), np.float32) * texture[..., None]
    canvas.paste(_image(mix(np.asarray(canvas, np.float32), ground, mask)))
    draw = ImageDraw.Draw(canvas)
    depths = np.sort(rng.random(24))
    for depth in depths:
        across = float(rng.uniform(-0.5, 1.5))
        drop = 0.05 + float(depth) * (1.1 - level)
        radius = float(rng.uniform(0.025, 0.05)) + 0.07 * float(depth)
        x = across * unit + (width - unit) / 2
        y = center + (level + drop) * unit + bow * ((across - 0.5) ** 2) * 4 * unit
        rx, ry = radius * unit, radius * unit * 0.36
        draw.ellipse([x - rx, y - ry, x + rx, y + ry], fill=_grey(tone * 1.35))
        draw.ellipse([x - rx * 0.86, y - ry * 0.7, x + rx * 0.9, y + ry * 0.86], fill=_grey(tone * 0.45))
        draw.ellipse([x - rx * 0.5, y - ry * 0.1, x + rx * 0.8, y + ry * 0.8], fill=_grey(tone * 0.7))


def wall(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """The inside of a cabin: panels, seams, handles and lamps, no window."""
    tone = jitter(rng, (168, 166, 158), 44)
    base = gradient(width, height, tone, _scaled(tone, float(rng.uniform(0.6, 0.9))))
    image = _image(base * (0.9 + 0.2 * noise(rng, width, height, 6))[..., None])
    draw = ImageDraw.Draw(image)
    unit = min(width, height)
    for _ in range(int(rng.integers(4, 10))):
        x, y = (rng.uniform(-0.2, 1.0, 2) * unit).tolist()
        x += (width - unit) / 2
        y += (height - unit) / 2
        wide, tall = (rng.uniform(0.12, 0.4, 2) * unit).tolist()
        shade = jitter(rng, _scaled(tone, float(rng.uniform(0.6, 1.15))), 8)
        draw.rectangle(
            [x, y, x + wide, y + tall],
            fill=shade,
            outline=_scaled(tone, 0.45),
            width=max(1, round(unit * 0.008)),
        )
        if rng.random() < 0.4:
            lamp = jitter(rng, (120, 200, 110), 60)
            side = unit * 0.03
            draw.rectangle([x + side, y + side, x + 2 * side, y + 2 * side], fill=lamp)
    return image


def porthole(rng: np.random.Generator, view: Image.Image, radius: float) -> Image.Image:
    """`view` seen through a round bolted window of `radius` (share of the short side) in a cabin wall."""
    width, height = view.size
    unit = min(width, height)
    inside = wall(rng, width, height)
    draw = ImageDraw.Draw(inside)
    x, y = width / 2, height / 2
    metal = jitter(rng, (120, 122, 130), 40)
    outer = (radius + float(rng.uniform(0.05, 0.075))) * unit
    draw.ellipse(
        [x - outer, y - outer, x + outer, y + outer],
        fill=metal,
        outline=_scaled(metal, 0.5),
        width=max(1, round(unit * 0.012)),
    )
    bolts = int(rng.integers(8, 17))
    ring = (outer + radius * unit) / 2
    size = unit * 0.014
    for bolt in range(bolts):
        angle = 2 * math.pi * bolt / bolts
        bx, by = x + ring * math.cos(angle), y + ring * math.sin(angle)
        draw.ellipse([bx - size, by - size, bx + size, by + size], fill=_scaled(metal, 0.5))
    columns, rows = np.meshgrid(np.arange(width) + 0.5 - x, np.arange(height) + 0.5 - y)
    mask = np.clip(radius * unit - np.hypot(columns, rows) + 0.5, 0, 1)
    inside.paste(view, (0, 0), Image.fromarray(np.round(mask * 255).astype(np.uint8), "L"))
    return inside


def diagram(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A technical drawing: thin lines on paper or blueprint, orbits, outlines, arrows, axes, lettering."""
    paper, ink = PAPERS[int(rng.integers(len(PAPERS)))]
    image = Image.new("RGB", (width, height), jitter(rng, paper, 5))
    draw = ImageDraw.Draw(image)
    unit = min(width, height)
    left, top = (width - unit) / 2, (height - unit) / 2
    stroke = max(1, round(unit * 0.011))

    def line(*points: tuple[float, float]) -> None:
        draw.line(
            [(left + a * unit, top + b * unit) for a, b in points], fill=ink, width=stroke, joint="curve"
        )

    def oval(x: float, y: float, rx: float, ry: float) -> None:
        corners = [
            left + (x - rx) * unit,
            top + (y - ry) * unit,
            left + (x + rx) * unit,
            top + (y + ry) * unit,
        ]
        draw.ellipse(corners, outline=ink, width=stroke)

    if rng.random() < 0.35:
        for step in np.linspace(0.05, 0.95, 10):
            for ends in (((float(step), 0.0), (float(step), 1.0)), ((0.0, float(step)), (1.0, float(step)))):
                faint = tuple((3 * p + i) // 4 for p, i in zip(paper, ink, strict=True))
                draw.line([(left + a * unit, top + b * unit) for a, b in ends], fill=faint, width=1)
    motifs = rng.permutation(5)[: int(rng.integers(2, 4))].tolist()
    for motif in motifs:
        x, y = rng.uniform(0.3, 0.7, 2).tolist()
        size = float(rng.uniform(0.16, 0.28))
        if motif == 0:
            for ring in range(3):
                oval(x, y, size * (0.3 + 0.45 * ring), size * (0.3 + 0.25 * ring))
        elif motif == 1:
            half = size * 0.3
            line((x - half, y + size), (x - half, y - size * 0.5), (x, y - size), (x + half, y - size * 0.5))
            line((x + half, y - size * 0.5), (x + half, y + size), (x - half, y + size))
            line((x - half, y + size * 0.4), (x - 2 * half, y + size), (x - half, y + size))
            line((x + half, y + size * 0.4), (x + 2 * half, y + size), (x + half, y + size))
        elif motif == 2:
            line((x - size, y - size), (x - size, y + size), (x + size, y + size))
            curve = [
                (x - size + 2 * size * t, y + size - 1.8 * size * t**2)
                for t in np.linspace(0, 1, 12).tolist()
            ]
            line(*curve)
        elif motif == 3:
            for step in (-1.0, 0.35):
                line(
                    (x + step * size, y - 0.3 * size),
                    (x + (step + 0.65) * size, y - 0.3 * size),
                    (x + (step + 0.65) * size, y + 0.3 * size),
                    (x + step * size, y + 0.3 * size),
                    (x + step * size, y - 0.3 * size),
                )
            line((x - 0.35 * size, y), (x + 0.35 * size, y))
            line((x + 0.2 * size, y - 0.1 * size), (x + 0.35 * size, y), (x + 0.2 * size, y + 0.1 * size))
        else:
            oval(x, y, size * 0.6, size * 0.6)
            line((x - size, y), (x + size, y))
            line((x, y - size), (x, y + size))
    for _ in range(int(rng.integers(3, 8))):
        x, y = float(rng.uniform(0.05, 0.7)), float(rng.uniform(0.05, 0.95))
        for letter in range(int(rng.integers(4, 9))):
            start = x + letter * 0.03
            line((start, y), (start + 0.018, y - 0.015))
    return image


def _image(rgb: Floats) -> Image.Image:
    return Image.fromarray(np.clip(np.round(rgb), 0, 255).astype(np.uint8), "RGB")


def _grey(value: float) -> Color:
    tone = min(255, round(value))
    return tone, tone, max(0, tone - 4)


def _scaled(color: Color, factor: float) -> Color:
    red, green, blue = (min(255, round(channel * factor)) for channel in color)
    return red, green, blue
