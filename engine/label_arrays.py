"""The labels of a fit as arrays, checked, and what two looks at an image are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FAR", "SLIPS", "Labels", "as_given", "checked", "of_both"]

FAR = 60.0
"""No log odds farther from the cut than that are told apart."""
SLIPS = 0.1
"""How many answers are taken for slips where one is judged by the others."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Arrays [n] as `fit_labels` takes them, checked."""

    x: np.ndarray
    present: np.ndarray
    weight: np.ndarray
    sure: np.ndarray

    @property
    def answers(self) -> list[tuple[float, bool, bool]]:
        return list(zip(self.x.tolist(), self.present.tolist(), self.sure.tolist(), strict=True))

    @property
    def slips(self) -> np.ndarray:
        """How many answers of each kind are taken for slips where one is judged by the others."""
        return np.where(self.sure, of_both(np.array(SLIPS)), SLIPS)


def of_both(slips: np.ndarray) -> np.ndarray:
    """The share of wrong ones among pairs of looks that agree, from the share of slips."""
    return np.asarray(slips**2 / (slips**2 + (1 - slips) ** 2))


def as_given(
    x: np.ndarray, present: np.ndarray, weight: np.ndarray | None, sure: np.ndarray | None
) -> Labels:
    x = np.asarray(x, dtype=np.float64)
    present = np.asarray(present, dtype=bool)
    weight = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=np.float64)
    sure = np.zeros(len(x), dtype=bool) if sure is None else np.asarray(sure, dtype=bool)
    if not x.shape == present.shape == weight.shape == sure.shape or x.ndim != 1:
        shapes = f"x {x.shape}, present {present.shape}, weight {weight.shape} and sure {sure.shape}"
        raise ValueError(f"{shapes} must be of one length")
    if np.isnan(x).any() or not (np.isfinite(weight) & (weight >= 0)).all():
        raise ValueError("x must be numbers, weights finite and not negative")
    return Labels(np.clip(x, -FAR, FAR), present, weight, sure)


def checked(x: np.ndarray, present: np.ndarray, weight: np.ndarray | None, sure: np.ndarray | None) -> Labels:
    """In a fixed order, so that sums over them do not depend, in their last bits, on the order of the labels."""
    given = as_given(x, present, weight, sure)
    order = np.lexsort((given.sure, given.weight, given.present, given.x))
    return Labels(given.x[order], given.present[order], given.weight[order], given.sure[order])
