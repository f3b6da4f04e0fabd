"""Rendered scenes of the demo: what is in them is known exactly.

A scene is planned first (what stands where, by seed) and painted afterwards at any size; the same scene shows
the same things at 96 and at 1,200 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from colonnade.engine.demo import backdrops, bodies, craft

__all__ = ["ATTRIBUTES", "EVERYDAY", "Scene", "Thing", "paint", "plan_scene", "scene_rng"]

ATTRIBUTES = (
    "earth",
    "moon",
    "sun",
    "ringed_planet",
    "stars",
    "rocket",
    "plume",
    "satellite",
    "astronaut",
    "porthole",
    "lunar_surface",
    "diagram",
)
"""Codes of the demo's base attributes, in the order of the truth vectors."""

EVERYDAY = ("house", "tree", "balloon", "aeroplane", "mountains", "sea", "field", "cabin", "sky")
"""What scenes also show and no demo attribute stands for."""

LANDSCAPES = ("mountains", "sea", "field")

PAINTERS: dict[str, Callable[[np.random.Generator, int], Image.Image]] = {
    "earth": bodies.earth,
    "moon": bodies.moon,
    "sun": bodies.sun,
    "ringed_planet": bodies.ringed_planet,
    "rocket": craft.rocket,
    "launch": craft.rocket_with_plume,
    "plume": craft.plume,
    "satellite": craft.satellite,
    "astronaut": craft.astronaut,
    "house": craft.house,
    "tree": craft.tree,
    "balloon": craft.balloon,
    "aeroplane": craft.aeroplane,
}

BACKDROPS = {"space": 0.46, "sky": 0.19, "lunar": 0.15, "paper": 0.09, "landscape": 0.07, "wall": 0.04}
"""How often a scene has which kind of backdrop."""

CHANCES: dict[str, dict[str, float]] = {
    "space": {
        "sun": 0.22,
        "earth": 0.34,
        "moon": 0.3,
        "ringed_planet": 0.2,
        "satellite": 0.26,
        "astronaut": 0.16,
        "rocket": 0.11,
        "launch": 0.08,
        "plume": 0.04,
    },
    "sky": {
        "sun": 0.26,
        "moon": 0.14,
        "rocket": 0.26,
        "launch": 0.4,
        "plume": 0.14,
        "balloon": 0.16,
        "aeroplane": 0.2,
    },
    "lunar": {
        "sun": 0.18,
        "earth": 0.34,
        "ringed_planet": 0.08,
        "astronaut": 0.45,
        "satellite": 0.08,
        "rocket": 0.16,
        "launch": 0.05,
    },
    "landscape": {"sun": 0.16, "moon": 0.08, "house": 0.4, "tree": 0.4, "balloon": 0.3, "aeroplane": 0.15},
    "wall": {"astronaut": 0.35},
    "paper": {},
}
"""How often a thing is wanted in front of a backdrop."""


@dataclass(frozen=True)
class Thing:
    """One thing of a scene, in units of the short side: center, side of its square, turn in degrees."""

    name: str
    x: float
    y: float
    size: float
    turn: float
    seed: int


@dataclass(frozen=True)
class Scene:
    """A planned scene."""

    backdrop: str
    """`space`, `sky`, `lunar`, `mountains`, `sea`, `field`, `wall` or `paper`."""
    seed: int
    stars: bool
    things: tuple[Thing, ...]
    porthole: float
    """Radius of the window the scene is seen through; 0 for none."""
    shows: frozenset[str]
    """What can be seen: codes of ATTRIBUTES and names of EVERYDAY."""


def scene_rng(seed: int, index: int) -> np.random.Generator:
    """The random numbers of scene `index` of a series: independent of how many scenes are drawn."""
    return np.random.default_rng([seed, index])


def plan_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene: backdrop, framing and things that do not hide one another."""
    kind = str(rng.choice(list(BACKDROPS), p=list(BACKDROPS.values())))
    window = (
        float(rng.uniform(0.34, 0.44)) if kind in ("space", "sky", "lunar") and rng.random() < 0.2 else 0.0
    )
    starry = kind in ("space", "lunar") and rng.random() < 0.45
    backdrop = str(rng.choice(LANDSCAPES)) if kind == "landscape" else kind
    seed = int(rng.integers(2**31))
    wanted = [name for name in _wanted(rng, kind) if backdrop != "sea" or name not in ("house", "tree")]
    things = _place(rng, wanted, kind, window)
    # Some empty skies are worth learning from, most are only dull.
    starry = starry or (kind == "space" and not things and rng.random() < 0.7)
    shows = {code for thing in things for code in _seen(thing.name)}
    shows |= {"stars"} if starry else set()
    shows |= {"porthole"} if window else set()
    shows |= {"lunar": {"lunar_surface"}, "paper": {"diagram"}, "wall": {"cabin"}, "space": set()}.get(
        kind, {backdrop}
    )
    return Scene(backdrop, seed, starry, things, window, frozenset(shows))


def paint(scene: Scene, width: int, height: int) -> Image.Image:
    """Paint `scene` as an RGB image of `width` x `height` pixels.

    What the scene shows lies in the central square; a wider or taller picture only shows more backdrop.
    """
    rng = np.random.default_rng(scene.seed)
    canvas = _backdrop(scene, rng, width, height)
    unit = min(width, height)
    for thing in scene.things:
        sprite = PAINTERS[thing.name](np.random.default_rng(thing.seed), max(4, round(thing.size * unit)))
        if thing.turn:
            sprite = sprite.rotate(thing.turn, Image.Resampling.BICUBIC, expand=True)
        left = (width - unit) / 2 + thing.x * unit - sprite.width / 2
        top = (height - unit) / 2 + thing.y * unit - sprite.height / 2
        canvas.paste(sprite, (round(left), round(top)), sprite)
    if scene.porthole:
        return backdrops.porthole(rng, canvas, scene.porthole)
    return canvas


def _backdrop(scene: Scene, rng: np.random.Generator, width: int, height: int) -> Image.Image:
    match scene.backdrop:
        case "paper":
            return backdrops.diagram(rng, width, height)
        case "mountains" | "sea" | "field":
            return backdrops.landscape(rng, scene.backdrop, width, height)
        case "wall":
            return backdrops.wall(rng, width, height)
        case "sky":
            return backdrops.sky(rng, width, height)
    canvas = backdrops.space(rng, width, height)
    if scene.stars:
        bodies.stars(rng, canvas)
    if scene.backdrop == "lunar":
        backdrops.lunar_ground(rng, canvas)
    return canvas


def _wanted(rng: np.random.Generator, kind: str) -> list[str]:
    drawn = [name for name, chance in CHANCES[kind].items() if rng.random() < chance]
    if "launch" in drawn:
        drawn = [name for name in drawn if name not in ("rocket", "plume")]
    return [str(name) for name in rng.permutation(drawn)[:3]]


def _place(rng: np.random.Generator, names: Sequence[str], kind: str, window: float) -> tuple[Thing, ...]:
    """Give each thing a place where it covers no other; one that finds none stays away."""
    reach = window if window else 0.5
    shrink = 0.95 * window / 0.5 if window else 1.0
    largest = {1: 0.8, 2: 0.5}.get(len(names), 0.42)
    placed: list[Thing] = []
    for name in names:
        for _ in range(40):
            low, high = _sizes(name, kind)
            size = float(rng.uniform(low, max(low, min(high, largest)))) * shrink
            room = max(0.0, reach - size * 0.46)
            if window:
                angle, away = float(rng.uniform(0, 2 * np.pi)), room * float(np.sqrt(rng.random()))
                x, y = 0.5 + away * float(np.cos(angle)), 0.5 + away * float(np.sin(angle))
            else:
                x, y = 0.5 + float(rng.uniform(-room, room)), _height(rng, name, kind, size, room)
            turn, seed = _turn(rng, name, kind), int(rng.integers(2**31))
            if all(np.hypot(x - other.x, y - other.y) > 0.47 * (size + other.size) for other in placed):
                placed.append(Thing(name, x, y, size, turn, seed))
                break
    # The glow of the Sun lies behind everything else.
    return tuple(sorted(placed, key=lambda thing: thing.name != "sun"))


def _height(rng: np.random.Generator, name: str, kind: str, size: float, room: float) -> float:
    standing = name in ("astronaut", "rocket", "house", "tree")
    if kind in ("lunar", "landscape") and standing:
        return float(rng.uniform(0.68, 0.86)) - size * 0.3
    if kind in ("lunar", "landscape"):
        return float(rng.uniform(size * 0.46, max(size * 0.46, 0.52 - size * 0.4)))
    return 0.5 + float(rng.uniform(-room, room))


def _sizes(name: str, kind: str) -> tuple[float, float]:
    if kind in ("lunar", "landscape", "sky") and name in ("earth", "moon", "sun", "ringed_planet"):
        return (0.42, 0.55) if name in ("sun", "ringed_planet") else (0.26, 0.45)
    low, high = {
        "earth": (0.3, 0.8),
        "moon": (0.26, 0.8),
        "sun": (0.42, 0.75),
        "ringed_planet": (0.42, 0.8),
        "rocket": (0.42, 0.8),
        "launch": (0.6, 0.95),
        "plume": (0.42, 0.75),
        "satellite": (0.4, 0.75),
        "astronaut": (0.38, 0.75),
    }.get(name, (0.3, 0.5))
    return low, high


def _turn(rng: np.random.Generator, name: str, kind: str) -> float:
    if name in ("earth", "moon", "sun", "house", "tree", "balloon"):
        return 0.0
    if kind == "space":
        return float(rng.uniform(-60, 60))
    return float(rng.uniform(-14, 14))


def _seen(name: str) -> tuple[str, ...]:
    return ("rocket", "plume") if name == "launch" else (name,)
