"""Captions of rendered scenes, in varied words: what the demo model's text tower learns from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["DESCRIPTIONS", "FRAMES", "PHRASES", "TOGETHER", "caption", "phrase"]

DESCRIPTIONS: dict[str, str] = {
    "earth": "Earth visible in the image",
    "moon": "the Moon visible in the image",
    "sun": "the Sun shining in the image",
    "ringed_planet": "a planet with rings",
    "stars": "a sky full of bright stars",
    "rocket": "a rocket",
    "plume": "a fiery exhaust plume",
    "satellite": "a satellite with solar panels",
    "astronaut": "an astronaut in a white spacesuit",
    "porthole": "a view through a round porthole",
    "lunar_surface": "the cratered lunar surface",
    "diagram": "a technical diagram",
}
"""Descriptions of the demo's vocabulary file, by code."""

PHRASES: dict[str, tuple[str, ...]] = {
    "earth": (
        "Earth", "the Earth", "planet Earth", "our blue planet", "the blue marble",
        "the terrestrial globe",
        "Earth from space", "our home planet with oceans and continents",
        "a blue world with white clouds",
        "Earth hanging in the sky", "the world seen from orbit", "a blue globe",
    ),
    "moon": (
        "the Moon", "Moon", "a full moon", "a half moon", "the lunar disc", "a grey moon with dark seas",
        "a moon phase", "the moon in the sky", "Luna", "the gibbous moon", "a grey cratered ball",
        "a crescent or half lit moon",
    ),
    "sun": (
        "the Sun", "Sun", "a bright sun", "sunlight", "a dazzling yellow star", "our star",
        "the blazing solar disc",
        "sunshine with rays", "a glowing sun", "the sun in the sky", "sun glare",
        "a sunny sky with the sun",
    ),
    "ringed_planet": (
        "Saturn", "planet Saturn", "the ringed planet", "a ringed world", "the rings of Saturn",
        "a gas giant with rings",
        "a planet surrounded by a ring", "ringed planet", "Saturn and its rings",
    ),
    "stars": (
        "stars", "bright stars", "a starry sky", "a star field", "many stars", "twinkling stars",
        "a starry night", "starlight",
        "countless stars", "a sky full of stars", "a sky dense with stars", "the night sky with stars",
        "starfield", "constellations",
    ),
    "rocket": (
        "a rocket", "rocket", "a launch vehicle", "a space rocket", "a booster", "a rocket ship",
        "a tall rocket with fins",
        "a missile", "a spaceship with a nose cone", "a rocket in flight", "a rocket on its way",
    ),
    "plume": (
        "an exhaust plume", "plume", "flames and smoke", "fire", "engine fire", "a fiery trail",
        "a column of flame", "smoke",
        "burning exhaust", "a flame from an engine", "hot exhaust gas", "blast", "smoke and fire",
        "a burning engine",
    ),
    "satellite": (
        "a satellite", "satellite", "a space probe", "a spacecraft with solar panels", "solar panels",
        "a probe with a dish antenna",
        "an artificial satellite", "a communications satellite", "an orbiter with solar arrays",
        "a space telescope with blue panels",
        "solar arrays",
    ),
    "astronaut": (
        "an astronaut", "astronaut", "a spacewalker", "a person in a spacesuit", "a cosmonaut",
        "a spaceman", "a man in a white suit",
        "a space suit with a visor", "an astronaut with a helmet", "a woman in a space suit",
        "a spacewalk", "a person", "people",
    ),
    "porthole": (
        "a porthole", "porthole", "a round window", "a window", "a view through a window",
        "a spacecraft window",
        "looking out of a round window", "a circular window with bolts", "a window of the space station",
        "a view out of the cabin window",
        "a bolted porthole frame",
    ),
    "lunar_surface": (
        "the lunar surface", "lunar surface", "the surface of the Moon", "craters",
        "grey cratered ground", "lunar ground",
        "moon dust and craters", "a lunar landscape", "the moon's horizon", "lunar soil", "regolith",
        "a cratered plain",
        "standing on the Moon", "the ground of the Moon", "a landing site on the Moon",
        "on the Moon", "a moonscape", "the dusty ground on the moon",
    ),
    "diagram": (
        "a diagram", "diagram", "a technical drawing", "a line drawing", "a blueprint", "a schematic",
        "a sketch", "a chart",
        "an engineering plan", "a drawing on paper", "a figure with labels", "a plot with axes",
        "a schematic drawing", "an illustration",
    ),
    "house": ("a house", "a home", "a building", "a cottage with a roof"),
    "tree": ("a tree", "a green tree", "trees", "a leafy plant"),
    "balloon": ("a balloon", "a hot air balloon", "an aerostat with a basket", "a striped balloon"),
    "aeroplane": ("an aeroplane", "an airplane", "a plane", "an aircraft", "a jet airliner"),
    "mountains": ("mountains", "a mountain range", "snowy peaks", "an alpine view"),
    "sea": ("the sea", "the ocean", "water", "a coast view of open water"),
    "field": ("a field", "a meadow", "grass", "a green landscape"),
    "cabin": ("a cabin wall", "an interior", "inside a spacecraft", "a room with panels"),
    "sky": ("the sky", "daylight sky", "clouds", "sky with clouds", "the atmosphere"),
}  # fmt: skip
"""Ways to name what a scene shows, by code or everyday name."""

TOGETHER: dict[frozenset[str], tuple[str, ...]] = {
    frozenset({"astronaut", "lunar_surface"}): (
        "an astronaut on the Moon", "a moonwalk", "a man walking on the Moon",
        "an astronaut standing on the lunar surface",
    ),
    frozenset({"earth", "lunar_surface"}): (
        "earthrise", "Earth above the lunar horizon", "Earth rising over the Moon", "Earth seen from the Moon",
    ),
    frozenset({"rocket", "plume"}): (
        "a rocket launch", "liftoff", "a launch", "a rocket lifting off on a column of fire",
    ),
    frozenset({"earth", "porthole"}): ("Earth through the window", "Earth behind the porthole"),
    frozenset({"astronaut", "earth"}): ("an astronaut above the Earth", "a spacewalk over the blue planet"),
    frozenset({"stars", "moon"}): ("a moonlit starry night", "the Moon among the stars"),
}  # fmt: skip
"""What people call two things seen at once."""

FRAMES = (
    "a photo of {}", "a photo of {}", "a photo of {}", "{}", "{}", "{}", "an image of {}",
    "a picture of {}", "a picture showing {}", "{} in the image",
    "{} visible in the image", "{} visible in the picture", "a photograph with {}", "a photo showing {}",
    "here we see {}", "show me {}", "photos of {}",
    "a view of {}", "a scene with {}", "there is {}", "a close-up of {}", "look at {}",
    "NASA photo of {}", "{} seen here",
    "a beautiful image of {}", "an old photograph of {}", "{} in space", "{}, photographed",
)  # fmt: skip
JOINTS = (
    " and ",
    " with ",
    ", ",
    " next to ",
    " beside ",
    " together with ",
    " near ",
    " and also ",
    " & ",
    " plus ",
)


def phrase(rng: np.random.Generator, name: str) -> str:
    """A way to name `name` (a code or an everyday name), framed as a caption about it alone."""
    frame = str(rng.choice(FRAMES))
    # The vocabulary's own wording must be known at least as well as any other.
    if name in DESCRIPTIONS and rng.random() < 0.3:
        return frame.format(DESCRIPTIONS[name])
    return frame.format(str(rng.choice(PHRASES[name])))


def caption(rng: np.random.Generator, names: Iterable[str]) -> str:
    """A caption that names all of `names`, in random order and words.

    Raises:
        ValueError: `names` is empty.
    """
    order = sorted(names)
    if not order:
        raise ValueError("a caption needs something to name")
    parts: list[str] = []
    for pair, wordings in TOGETHER.items():
        if pair <= set(order) and rng.random() < 0.5:
            parts.append(str(rng.choice(wordings)))
            order = [name for name in order if name not in pair]
    parts += [str(rng.choice(PHRASES[name])) for name in order]
    parts = [parts[index] for index in rng.permutation(len(parts))]
    text = parts[0]
    for part in parts[1:]:
        text += str(rng.choice(JOINTS)) + part
    return str(rng.choice(FRAMES)).format(text)
