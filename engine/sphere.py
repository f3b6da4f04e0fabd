"""Places on a sphere: unit vectors, latitude and longitude, and the two angles that UMAP optimises."""

from __future__ import annotations

import numpy as np

__all__ = ["from_angles", "from_degrees", "normalised", "to_angles", "to_degrees"]


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Rows [n, k] scaled to unit length, as float64; a row of zeros stays as it is."""
    vectors = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def from_degrees(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Unit vectors float64 [n, 3] of places in degrees; z points to the north pole, x to 0 N 0 E."""
    north, east = np.radians(latitude, dtype=np.float64), np.radians(longitude, dtype=np.float64)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=1)


def to_degrees(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(latitude float32 [n] in -90..90, longitude float32 [n] in -180..180) of unit vectors [n, 3].

    A pole has longitude 0.
    """
    x, y, z = np.asarray(vectors, dtype=np.float64).T
    radius = np.hypot(x, y)
    latitude = np.degrees(np.arctan2(z, radius))
    longitude = np.where(radius > 1e-12, np.degrees(np.arctan2(y, x)), 0.0)
    return latitude.astype(np.float32), longitude.astype(np.float32)


def from_angles(angles: np.ndarray) -> np.ndarray:
    """Unit vectors float64 [n, 3] of UMAP's haversine output [n, 2].

    UMAP's first angle counts from a pole (it adds a quarter turn to get a latitude), its second is a longitude; both
    are in radians and may have gone round any number of times, or over a pole. Rows that are not finite stay so.
    """
    polar, east = np.asarray(angles, dtype=np.float64).T
    with np.errstate(invalid="ignore"):
        return np.stack([np.sin(polar) * np.cos(east), np.sin(polar) * np.sin(east), np.cos(polar)], axis=1)


def to_angles(vectors: np.ndarray) -> np.ndarray:
    """The inverse of `from_angles`: float64 [n, 2], the first in 0..pi, the second in -pi..pi."""
    x, y, z = np.asarray(vectors, dtype=np.float64).T
    return np.stack([np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)], axis=1)
