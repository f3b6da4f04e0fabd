"""Which image of an attribute to ask about next, and what one more answer would be worth.

The image that tells most about the cut is near it: the unlabelled one nearest to the posterior mean of the labels so
far, jittered by max(.25, half its posterior deviation), so that answers do not pile up in one place.

An answer that the others make doubtful is worth more than a new one: its image is shown to the same reviewer once more.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from colonnade.engine.label_fit import LabelFit, expected_deviation, fit_labels, slip_probabilities

__all__ = ["Chosen", "Doubt", "choose_image", "doubt", "doubtful_answer", "is_second_look", "second_look"]

_LEAST_JITTER, _JITTER_SHARE = 0.25, 0.5
_NORMAL_90 = 1.645
_SECOND_LOOKS = 5
_DOUBTFUL = 0.09
"""From which probability of a slip on the same reviewer is asked again: of 20 answers some six where one in ten is a
slip, four where none is."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """An image to ask about."""

    index: int
    """Its place in the arrays given."""
    probability: float
    """The chance that it was this one, over the jitter."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Images on which the cut's 90 % interval leaves open whether they belong to the accepted ones."""

    now: int
    expected: float
    """The same once one more image is labelled."""
    at_stake: int
    """Images from the interval's lower end upwards."""

    @property
    def worth(self) -> float:
        """What one more label is worth: how many images it is expected to settle."""
        return max(self.now - self.expected, 0.0)


def choose_image(x: np.ndarray, eligible: np.ndarray, fit: LabelFit, *, seed: str) -> Chosen | None:
    """The next image to label; None when none is left.

    Args:
        x: float [n], log odds minus the cut of the base fit.
        eligible: bool [n], images that may be asked about.
        fit: of the labels so far.
        seed: what the jitter depends on. Another one for each question, the same when it is asked again.
    """
    open_ = np.flatnonzero(eligible)
    if not open_.size:
        return None
    generator = np.random.default_rng(
        int.from_bytes(hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest())
    )
    jitter = max(_LEAST_JITTER, _JITTER_SHARE * fit.delta_sd)
    goal = fit.center + jitter * generator.normal()
    places = x[open_]
    nearest = places[np.argmin(np.abs(places - goal))]
    tied = open_[places == nearest]
    low = places[places < nearest].max(initial=-math.inf)
    high = places[places > nearest].min(initial=math.inf)
    # Every goal between the middles towards the images on both sides leads here.
    edges = ((low + nearest) / 2, (high + nearest) / 2)
    below, up_to = (_normal_below((edge - fit.center) / jitter) for edge in edges)
    index = tied[generator.integers(len(tied))]
    return Chosen(int(index), float(np.clip((up_to - below) / len(tied), 1e-9, 1.0)))


def is_second_look(asked: int) -> bool:
    """Whether the question after so many is about an image that somebody else has judged: one in five is.

    Without those, reviewers would never judge the same image, and no majority could undo a slip.
    """
    return asked % _SECOND_LOOKS == _SECOND_LOOKS - 1


def second_look(
    x: np.ndarray, present: np.ndarray, sure: np.ndarray, eligible: np.ndarray, *, least: float = 0.0
) -> int | None:
    """The judged image whose answer is likeliest a slip, as a place in the arrays; None where none is eligible.

    Args:
        x: float [n], log odds minus the cut of the base fit, of the judged images.
        present, sure: bool [n], the answers, and which of them rest on two looks.
        eligible: bool [n], images that may be asked about.
        least: none whose probability of a slip is smaller.
    """
    if not eligible.any():
        return None
    open_ = np.flatnonzero(eligible)
    slips = slip_probabilities(x, present, sure, of=open_)
    likeliest = int(np.argmax(slips))
    return int(open_[likeliest]) if slips[likeliest] >= least else None


def doubtful_answer(x: np.ndarray, present: np.ndarray, sure: np.ndarray, eligible: np.ndarray) -> int | None:
    """The answer that the others speak against, so that its reviewer is asked again; None where they do not.

    Args:
        x, present, sure: as for `second_look`.
        eligible: bool [n], answers of that reviewer that no second look confirmed yet.
    """
    return second_look(x, present, sure, eligible, least=_DOUBTFUL)


def _normal_below(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2))


def doubt(x: np.ndarray, labelled: np.ndarray, present: np.ndarray, sure: np.ndarray | None = None) -> Doubt:
    """How many images the labels leave open, and how many they will once one more is labelled near the cut.

    Args:
        x: float [n], log odds minus the cut of the base fit, of all images.
        labelled: float [m], the same of the labelled ones.
        present: bool [m], the answers.
        sure: bool [m], which of them rest on two looks; none by default.
    """
    fit = fit_labels(labelled, present, sure=sure)
    nearest = float(x[np.argmin(np.abs(x - fit.center))]) if len(x) else fit.center
    after = expected_deviation(labelled, present, nearest, sure=sure)
    edges = fit.center - _NORMAL_90 * fit.delta_sd, fit.center + _NORMAL_90 * fit.delta_sd
    now, at_stake = int(((x >= edges[0]) & (x < edges[1])).sum()), int((x >= edges[0]).sum())
    # In proportion to the interval: images are too few there to be counted in the part that goes away.
    return Doubt(now, now * min(after / fit.delta_sd, 1.0), at_stake)
