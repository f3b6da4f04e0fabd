"""Things that fly or stand, as square RGBA pictures: rocket, plume, satellite, astronaut, everyday things.

The everyday things (house, tree, balloon, aeroplane) are no attribute of the demo: they teach the model what
to leave alone.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from colonnade.engine.demo.shapes import Color, Sprite, jitter

__all__ = [
    "aeroplane",
    "astronaut",
    "balloon",
    "house",
    "plume",
    "rocket",
    "rocket_with_plume",
    "satellite",
    "tree",
]

HULLS: tuple[Color, ...] = ((236, 236, 240), (206, 210, 218), (176, 182, 192), (150, 44, 50))
TRIMS: tuple[Color, ...] = ((176, 34, 44), (30, 30, 34), (36, 70, 150), (40, 110, 80))


def rocket(rng: np.random.Generator, pixels: int) -> Image.Image:
    """A rocket standing upright, without fire."""
    sprite = Sprite(pixels)
    _hull(rng, sprite, top=0.02, bottom=0.96)
    return sprite.image()


def rocket_with_plume(rng: np.random.Generator, pixels: int) -> Image.Image:
    """A rocket on its flame and smoke."""
    sprite = Sprite(pixels)
    split = float(rng.uniform(0.5, 0.6))
    _fire(rng, sprite, top=split - 0.03, smoke=bool(rng.random() < 0.7))
    _hull(rng, sprite, top=0.01, bottom=split)
    return sprite.image()


def plume(rng: np.random.Generator, pixels: int) -> Image.Image:
    """Flame and smoke of an engine out of sight."""
    sprite = Sprite(pixels)
    _fire(rng, sprite, top=0.05, smoke=True)
    return sprite.image()


def satellite(rng: np.random.Generator, pixels: int) -> Image.Image:
    """A foil-wrapped body between two gridded solar panels, with a dish."""
    sprite = Sprite(pixels)
    foil = jitter(rng, (204, 160, 66) if rng.random() < 0.6 else (196, 198, 204), 18)
    panel = jitter(rng, (38, 62, 142), 18)
    grid: Color = (150, 170, 220)
    half = float(rng.uniform(0.08, 0.12))
    tall = float(rng.uniform(0.1, 0.15))
    sprite.line([(0.04, 0.5), (0.96, 0.5)], 0.025, (170, 170, 176))
    for left, right in ((0.02, 0.34), (0.66, 0.98)):
        sprite.box(left, 0.5 - tall, right, 0.5 + tall, grid)
        for column in range(4):
            step = (right - left) / 4
            for row in range(2):
                top = 0.5 - tall + row * tall
                start = left + column * step
                sprite.box(start + 0.01, top + 0.01, start + step - 0.01, top + tall - 0.01, panel)
    sprite.box(0.5 - half, 0.34, 0.5 + half, 0.66, foil)
    sprite.box(0.5 - half, 0.34, 0.5 - half * 0.4, 0.66, _darker(foil, 0.75))
    sprite.line([(0.5, 0.34), (0.5, 0.24)], 0.02, (190, 190, 196))
    sprite.ellipse(0.5, 0.22, 0.12, 0.06, (226, 228, 232))
    sprite.ellipse(0.5, 0.21, 0.08, 0.035, (150, 152, 160))
    return sprite.image()


def astronaut(rng: np.random.Generator, pixels: int) -> Image.Image:
    """A person in a white spacesuit with a dark or golden visor and a backpack."""
    sprite = Sprite(pixels)
    suit = jitter(rng, (232, 232, 230), 14)
    seam = _darker(suit, 0.72)
    visor: Color = (198, 150, 48) if rng.random() < 0.5 else (28, 32, 44)
    sprite.box(0.3, 0.28, 0.7, 0.62, _darker(suit, 0.6))
    for side in (-1, 1):
        hand = (0.5 + side * float(rng.uniform(0.28, 0.4)), float(rng.uniform(0.22, 0.64)))
        elbow = (0.5 + side * 0.28, 0.46)
        sprite.pill((0.5 + side * 0.15, 0.36), elbow, 0.12, suit)
        sprite.pill(elbow, hand, 0.11, suit)
        sprite.ellipse(*hand, 0.06, 0.06, seam)
        foot = (0.5 + side * float(rng.uniform(0.08, 0.2)), 0.92)
        sprite.pill((0.5 + side * 0.09, 0.62), foot, 0.15, suit)
        sprite.ellipse(foot[0], 0.93, 0.1, 0.055, seam)
    sprite.pill((0.5, 0.38), (0.5, 0.58), 0.32, suit)
    sprite.box(0.43, 0.44, 0.57, 0.54, seam)
    sprite.box(0.45, 0.46, 0.5, 0.5, jitter(rng, (180, 50, 44), 30))
    sprite.ellipse(0.5, 0.18, 0.16, 0.16, suit)
    sprite.ellipse(0.5, 0.19, 0.115, 0.1, visor)
    sprite.ellipse(0.46, 0.15, 0.03, 0.022, (250, 250, 250))
    return sprite.image()


def house(rng: np.random.Generator, pixels: int) -> Image.Image:
    """A house with a pitched roof."""
    sprite = Sprite(pixels)
    wall = jitter(rng, (206, 172, 134), 40)
    sprite.box(0.14, 0.46, 0.86, 0.96, wall)
    sprite.polygon([(0.06, 0.48), (0.5, 0.08), (0.94, 0.48)], jitter(rng, (146, 62, 46), 30))
    sprite.box(0.44, 0.66, 0.58, 0.96, (92, 62, 42))
    for left in (0.22, 0.66):
        sprite.box(left, 0.56, left + 0.14, 0.7, (150, 190, 220))
    return sprite.image()


def tree(rng: np.random.Generator, pixels: int) -> Image.Image:
    """A leafy tree."""
    sprite = Sprite(pixels)
    sprite.box(0.45, 0.5, 0.55, 0.98, (96, 66, 42))
    for _ in range(14):
        x, y = 0.5 + rng.uniform(-0.25, 0.25), 0.34 + rng.uniform(-0.2, 0.22)
        radius = float(rng.uniform(0.1, 0.17))
        sprite.ellipse(float(x), float(y), radius, radius, jitter(rng, (58, 116, 46), 26))
    return sprite.image()


def balloon(rng: np.random.Generator, pixels: int) -> Image.Image:
    """A hot-air balloon with stripes and a basket."""
    sprite = Sprite(pixels)
    first, second = (jitter(rng, color, 40) for color in ((206, 60, 60), (236, 190, 70)))
    sprite.ellipse(0.5, 0.36, 0.34, 0.34, first)
    sprite.polygon([(0.2, 0.52), (0.8, 0.52), (0.58, 0.78), (0.42, 0.78)], first)
    sprite.ellipse(0.5, 0.36, 0.2, 0.34, second)
    sprite.ellipse(0.5, 0.36, 0.08, 0.34, first)
    sprite.line([(0.43, 0.78), (0.46, 0.88)], 0.01, (60, 50, 40))
    sprite.line([(0.57, 0.78), (0.54, 0.88)], 0.01, (60, 50, 40))
    sprite.box(0.44, 0.87, 0.56, 0.96, (120, 84, 50))
    return sprite.image()


def aeroplane(rng: np.random.Generator, pixels: int) -> Image.Image:
    """An airliner seen from the side, wings swept back."""
    sprite = Sprite(pixels)
    body = jitter(rng, (222, 224, 230), 20)
    trim = TRIMS[int(rng.integers(len(TRIMS)))]
    sprite.pill((0.12, 0.5), (0.88, 0.5), 0.13, body)
    sprite.polygon([(0.06, 0.26), (0.16, 0.26), (0.28, 0.48), (0.1, 0.48)], trim)
    sprite.polygon([(0.42, 0.5), (0.6, 0.5), (0.42, 0.82), (0.33, 0.82)], _darker(body, 0.7))
    sprite.polygon([(0.46, 0.45), (0.58, 0.45), (0.44, 0.24), (0.38, 0.24)], _darker(body, 0.8))
    for window in range(9):
        sprite.ellipse(0.24 + window * 0.065, 0.48, 0.014, 0.014, (60, 80, 110))
    return sprite.image()


def _hull(rng: np.random.Generator, sprite: Sprite, top: float, bottom: float) -> None:
    hull = jitter(rng, HULLS[int(rng.integers(len(HULLS)))], 14)
    trim = TRIMS[int(rng.integers(len(TRIMS)))]
    tall = bottom - top
    half = tall * float(rng.uniform(0.085, 0.13))
    shoulder = top + tall * float(rng.uniform(0.2, 0.28))
    skirt = bottom - tall * 0.06
    fin = half * float(rng.uniform(1.9, 2.5))
    for side in (-1, 1):
        root = 0.5 + side * half * 0.9
        points = [(root, bottom - tall * 0.27), (0.5 + side * fin, bottom), (root, skirt)]
        sprite.polygon(points, trim)
    if rng.random() < 0.35:
        for side in (-1, 1):
            x = 0.5 + side * half * 1.5
            sprite.pill((x, top + tall * 0.42), (x, skirt), half * 0.85, _darker(hull, 0.86))
    sprite.box(0.5 - half, shoulder, 0.5 + half, skirt, hull)
    sprite.box(0.5 + half * 0.35, shoulder, 0.5 + half, skirt, _darker(hull, 0.72))
    arc = [
        (0.5 + half * math.sin(t), shoulder - (shoulder - top) * math.cos(t))
        for t in np.linspace(-1.57, 1.57, 15)
    ]
    sprite.polygon(arc, trim if rng.random() < 0.6 else _darker(hull, 0.9))
    sprite.polygon(
        [
            (0.5 - half * 0.5, skirt),
            (0.5 + half * 0.5, skirt),
            (0.5 + half * 0.8, bottom),
            (0.5 - half * 0.8, bottom),
        ],
        (70, 70, 76),
    )
    for _ in range(int(rng.integers(1, 4))):
        y = float(rng.uniform(shoulder + 0.02, skirt - 0.1 * tall))
        sprite.box(0.5 - half, y, 0.5 + half, y + tall * 0.035, trim)


def _fire(rng: np.random.Generator, sprite: Sprite, top: float, smoke: bool) -> None:
    if smoke:
        grey = int(rng.integers(190, 236))
        for step in np.linspace(0.0, 1.0, 46):
            spread = 0.05 + 0.24 * step
            x = 0.5 + float(rng.uniform(-1, 1)) * spread
            y = top + 0.14 + (0.78 - top) * float(step) + float(rng.uniform(-0.02, 0.02))
            radius = 0.04 + 0.075 * float(step) * float(rng.uniform(0.7, 1.2))
            tone = grey - int(rng.integers(0, 50))
            sprite.ellipse(x, y, radius, radius, (tone, tone - 4, tone - 10))
    reach = top + (0.97 - top) * float(rng.uniform(0.62, 0.95) if not smoke else rng.uniform(0.45, 0.75))
    girth = float(rng.uniform(0.075, 0.12))
    for scale, color in ((1.0, (240, 120, 30)), (0.74, (252, 186, 60)), (0.46, (255, 246, 206))):
        tip = top + (reach - top) * scale
        wide = girth * scale
        waist = top + (tip - top) * 0.35
        sides = [
            (0.5 - wide * 0.6, top),
            (0.5 - wide, waist),
            (0.5 - wide * 0.5, top + (tip - top) * 0.75),
            (0.5, tip),
        ]
        mirrored = [(1 - x, y) for x, y in reversed(sides[:-1])]
        sprite.polygon([*sides, *mirrored], jitter(rng, color, 12))


def _darker(color: Color, factor: float) -> Color:
    return round(color[0] * factor), round(color[1] * factor), round(color[2] * factor)
