"""Celestial bodies as square RGBA pictures: Earth, the Moon, the Sun, a ringed planet, a field of stars."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from colonnade.engine.demo.shapes import (
    Floats,
    cloudy,
    disc,
    from_rgba,
    jitter,
    mix,
    noise,
    shade,
)

__all__ = ["earth", "moon", "ringed_planet", "stars", "sun"]


def earth(rng: np.random.Generator, pixels: int) -> Image.Image:
    """A blue globe with continents, clouds and a thin bright atmosphere."""
    x, y, _ = disc(pixels)
    inner = 0.94
    globe = _plain(pixels, jitter(rng, (28, 84, 176), 16))
    land = cloudy(noise(rng, pixels, pixels, 4), float(rng.uniform(0.5, 0.58)), 0.04)
    globe = mix(globe, jitter(rng, (74, 122, 56), 22), land)
    dry = cloudy(noise(rng, pixels, pixels, 5), 0.55, 0.08) * land
    globe = mix(globe, jitter(rng, (168, 138, 84), 18), dry)
    globe = mix(globe, (240, 244, 250), cloudy(np.abs(y), 0.8, 0.06))
    cover = float(rng.uniform(0.48, 0.6))
    globe = mix(globe, (246, 248, 252), 0.92 * cloudy(noise(rng, pixels, pixels, 6), cover, 0.12))
    light = shade(x / inner, y / inner, *_light(rng, 0.35), ambient=float(rng.uniform(0.05, 0.2)))
    globe = globe * light[..., None]
    radius = np.hypot(x, y)
    rim = np.clip(1 - np.abs(radius - inner) / 0.06, 0, 1).astype(np.float32)
    globe = mix(globe, (130, 190, 255), 0.75 * rim * light)
    alpha = np.clip((inner - radius) * pixels / 2 + 0.5, 0, 1) + 0.6 * rim * (radius > inner)
    return from_rgba(globe, alpha.astype(np.float32))


def moon(rng: np.random.Generator, pixels: int) -> Image.Image:
    """A grey disc with dark seas and craters, from half to fully lit."""
    x, y, inside = disc(pixels, 0.98)
    tone = int(rng.integers(168, 216))
    warm = int(rng.integers(-4, 14))
    globe = _plain(pixels, (tone, tone - warm // 3, tone - warm))
    seas = cloudy(noise(rng, pixels, pixels, 4), float(rng.uniform(0.48, 0.56)), 0.08)
    globe = mix(globe, (tone * 0.55, tone * 0.55, tone * 0.56), 0.85 * seas)
    for _ in range(int(rng.integers(7, 16))):
        angle, distance = rng.uniform(0, 2 * math.pi), math.sqrt(rng.uniform(0, 0.75))
        radius = float(rng.uniform(0.05, 0.15))
        away = np.hypot(x - distance * math.cos(angle), y - distance * math.sin(angle)) / radius
        globe = mix(globe, (tone * 0.5,) * 3, 0.6 * cloudy(1 - away, 0.0, 0.2))
        ring = np.clip(1 - np.abs(away - 1) / 0.25, 0, 1).astype(np.float32)
        globe = mix(globe, (min(255, tone * 1.2),) * 3, 0.7 * ring)
    grain = noise(rng, pixels, pixels, 24, 2)[..., None]
    light = shade(x, y, *_light(rng, 0.1), ambient=float(rng.uniform(0.02, 0.1)))
    return from_rgba(globe * (0.85 + 0.3 * grain) * light[..., None], inside)


def sun(rng: np.random.Generator, pixels: int) -> Image.Image:
    """A dazzling yellow-white disc in a wide glow, often with rays."""
    x, y, _ = disc(pixels)
    radius = np.hypot(x, y)
    core = float(rng.uniform(0.36, 0.5))
    hue = jitter(rng, (255, 196, 60), 24)
    rgb = mix(_plain(pixels, hue), (255, 252, 226), np.clip((core - radius) / 0.12 + 0.4, 0, 1))
    glow = np.clip((1 - radius) / (1 - core), 0, 1) ** 1.7 * rng.uniform(0.6, 0.95)
    if rng.random() < 0.6:
        arms = int(rng.integers(4, 9))
        turn = float(rng.uniform(0, math.pi))
        spokes = np.abs(np.cos(np.arctan2(y, x) * arms / 2 + turn)) ** 14
        glow = glow + spokes * np.clip(1 - radius, 0, 1) * 0.9
    alpha = np.maximum(glow, np.clip((core - radius) * pixels / 3 + 0.5, 0, 1))
    return from_rgba(rgb, alpha.astype(np.float32))


def ringed_planet(rng: np.random.Generator, pixels: int) -> Image.Image:
    """A banded ochre globe within a broad tilted ring, as Saturn."""
    x, y, _ = disc(pixels)
    size = float(rng.uniform(0.46, 0.54))
    planet = jitter(rng, (214, 178, 118), 20)
    bands = 0.82 + 0.18 * np.sin(y / size * float(rng.uniform(7, 12)) + float(rng.uniform(0, 6)))
    light = shade(x / size, y / size, *_light(rng, 0.55), ambient=0.12)
    globe = _plain(pixels, planet) * bands[..., None] * light[..., None]
    ball = np.clip((size - np.hypot(x, y)) * pixels / 2 + 0.5, 0, 1)
    flat = float(rng.uniform(0.22, 0.36))
    around = np.hypot(x, y / flat)
    ring = cloudy(around, 0.64, 0.04) * cloudy(1 - around, 0.02, 0.04)
    gap = np.clip(1 - np.abs(around - 0.83) / 0.03, 0, 1)
    ring = ring * (1 - 0.8 * gap)
    front = ring * np.where((y > 0) | (ball < 0.5), 1.0, 0.0)
    rgb = mix(globe, jitter(rng, (226, 204, 160), 14), front.astype(np.float32))
    return from_rgba(rgb, np.maximum(ball, front).astype(np.float32))


def stars(rng: np.random.Generator, canvas: Image.Image) -> None:
    """Paint a dense field of bright stars over `canvas` (RGB), in place."""
    width, height = canvas.size
    unit = min(width, height)
    draw = ImageDraw.Draw(canvas)
    density = float(rng.uniform(90, 200))
    # Positions cover the widest canvas there is (2:1), so that the picture does not depend on its aspect.
    for _ in range(round(density * 4)):
        across, down = rng.uniform(-0.5, 1.5, 2)
        radius = max(0.6, float(rng.uniform(0.006, 0.0135)) * unit)
        color = jitter(rng, (238, 238, 240), 17)
        sparkle = bool(rng.random() < 0.12)
        x, y = across * unit + (width - unit) / 2, down * unit + (height - unit) / 2
        if sparkle:
            draw.line([x - 3 * radius, y, x + 3 * radius, y], fill=color, width=max(1, round(radius * 0.7)))
            draw.line([x, y - 3 * radius, x, y + 3 * radius], fill=color, width=max(1, round(radius * 0.7)))
            radius *= 1.4
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)


def _plain(pixels: int, color: tuple[float, float, float]) -> Floats:
    return np.broadcast_to(np.asarray(color, np.float32), (pixels, pixels, 3)).astype(np.float32)


def _light(rng: np.random.Generator, least_frontal: float) -> tuple[float, float]:
    return float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(least_frontal, 0.95))
