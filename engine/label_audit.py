"""Precision and recall of the accepted images, with 90 % intervals, from images drawn with known probabilities.

x is how far an image's log odds lie above the cut in force: an image is accepted from 0 on. The collection falls into
strata by x: the accepted images, and three below the cut. Within a stratum images are drawn evenly, by random numbers
that belong to the images: what was drawn follows from the labels alone, and a sample stays even when images come or
the cut moves. Labels chosen by the policy of the review are nearer to the cut than images are, and are never used here.

The share of hits among the accepted has Jeffreys' prior, Beta(.5, .5). Below the cut hits are too rare for that: there
it is Beta(.5, .5 / m - .5), as vague, around the mean m = sigmoid(steepness x + level) over the stratum. Seven times in
ten hits fall off as photographs have it, steepness .85 and level N(-2, 1.2), else more slowly, .6 and N(-1, 1.5): a
few audited images cannot tell, and a wide interval says so. The level is the attribute's own, and learnt from all
strata together: hits close below the cut make hits farther down likelier. What is known of the audited images is kept
apart from what is inferred of the others, so that a full audit leaves no doubt.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from colonnade.engine.beta import drawn_quantiles

__all__ = [
    "AUDIT_SHARES",
    "Audit",
    "Draw",
    "Estimate",
    "audit",
    "draw",
    "precision_at",
    "strata",
]

AUDIT_SHARES = (0.6, 0.2, 0.12, 0.08)
"""Of the images drawn, per stratum: accepted, less than 1 below the cut, less than 3 below, the rest."""

_EDGES = (0.0, -1.0, -3.0)
_LEVEL = 0.9
_LEAST_SHARE = 2e-5
_FALLS = ((0.85, -2.0, 1.2, 0.7), (0.6, -1.0, 1.5, 0.3))
"""Steepness, mean and standard deviation of the level, and how likely that is."""
_GRID = np.linspace(-3, 3, 25)
_STEEPNESS = np.concatenate([np.full(len(_GRID), steepness) for steepness, _, _, _ in _FALLS])
_LEVELS = np.concatenate([mean + deviation * _GRID for _, mean, deviation, _ in _FALLS])
_LOG_PRIOR = np.concatenate([math.log(likely) - 0.5 * _GRID**2 for _, _, _, likely in _FALLS])
_VAGUE = 0.5
_BINS, _LOWEST = 240, -24.0
_DRAWS, _NEARLY = 4000, 1e-9


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with its 90 % interval."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Audit:
    """What audited images say of the accepted ones."""

    precision: Estimate | None
    """None where nothing is accepted."""
    recall: Estimate | None
    """None where nothing is accepted, and as long as no audited image shows the attribute."""
    accepted: int
    """Accepted images."""
    audited: int
    """Images with a usable answer from an audit, and those of them that are accepted."""
    audited_accepted: int
    undecided: int = 0
    """Audited images that count half, for people are unsure of them or disagree."""


@dataclass(frozen=True, slots=True)
class Draw:
    """The next image of an audit."""

    index: int
    """Its place in the arrays given."""
    probability: float
    """The chance of each draw to be this image: its stratum's share over the images in it. Weights are 1 over it."""
    stratum: int


def strata(x: np.ndarray) -> np.ndarray:
    """int64 [n]: 0 for accepted images, 1 to 3 the farther below the cut."""
    return np.searchsorted(-np.asarray(_EDGES), -np.asarray(x, dtype=np.float64))


def draw(x: np.ndarray, image_id: np.ndarray, audited: np.ndarray, *, seed: str) -> Draw | None:
    """The next image to audit: of the stratum farthest behind its share, that of the smallest random number. None when
    all are audited.

    Args:
        x: float [n], log odds minus the cut in force.
        image_id: int64 [n].
        audited: bool [n], those drawn already, whatever the answer was.
        seed: what the images' random numbers depend on, such as the attribute's code.
    """
    codes = strata(x)
    sizes = np.bincount(codes, minlength=len(AUDIT_SHARES))
    done = np.bincount(codes[audited], minlength=len(AUDIT_SHARES))
    shares = _shares(sizes)
    behind = np.where(done < sizes, shares * (done.sum() + 1) - done, -np.inf)
    stratum = int(np.argmax(behind))
    if done[stratum] >= sizes[stratum]:
        return None
    open_ = np.flatnonzero((codes == stratum) & ~audited)
    index = int(open_[np.argmin(_random_numbers(image_id[open_], seed))])
    return Draw(index, float(shares[stratum] / sizes[stratum]), stratum)


def _shares(sizes: np.ndarray) -> np.ndarray:
    shares = np.where(sizes > 0, AUDIT_SHARES, 0.0)
    return np.asarray(shares / shares.sum() if shares.any() else shares)


def _random_numbers(image_id: np.ndarray, seed: str) -> np.ndarray:
    """uint64 [n], a hash (splitmix64) of id and seed."""
    salt = np.frombuffer(hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()[:8], dtype="<u8")
    with np.errstate(over="ignore"):
        z = image_id.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + salt
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Images of one stratum on one side of the cut. Trials and hits are worth equally many of equal weight."""

    accepted: bool
    size: int
    audited: int
    known: float
    """Hits among the audited; what is undecided counts half."""
    trials: float
    hits: float
    expected: np.ndarray | None
    """float [levels], the expected share of hits at each level below the cut; None above it."""

    @property
    def rest(self) -> int:
        return max(self.size - self.audited, 0)

    @property
    def prior(self) -> np.ndarray:
        """The Beta distribution's two numbers, float [levels, 2]."""
        if self.expected is None:
            return np.full((len(_LEVELS), 2), 0.5)
        return np.stack([np.full(len(_LEVELS), _VAGUE), _VAGUE * (1 / self.expected - 1)], axis=1)

    @property
    def posterior(self) -> np.ndarray:
        return np.asarray(self.prior + np.array([self.hits, self.trials - self.hits]))

    def evidence(self) -> np.ndarray:
        """Log likelihood of the levels, float [levels]."""
        return np.asarray(_log_beta(self.posterior) - _log_beta(self.prior))

    def draws(self, levels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Hits in all, drawn from the posterior at levels int [draws]."""
        a, b = self.posterior[levels].T
        return np.asarray(self.known + generator.binomial(self.rest, generator.beta(a, b)))


def _log_beta(numbers: np.ndarray) -> np.ndarray:
    return np.array([math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b) for a, b in numbers])


def _hits(pieces: Sequence[_Piece]) -> np.ndarray:
    """Hits in all of each piece, drawn from the joint posterior: float [pieces, draws]."""
    generator = np.random.default_rng(0)
    log_mass = _LOG_PRIOR + sum(piece.evidence() for piece in pieces)
    mass = np.exp(log_mass - log_mass.max())
    levels = generator.choice(len(_LEVELS), size=_DRAWS, p=mass / mass.sum())
    return np.array([piece.draws(levels, generator) for piece in pieces], dtype=np.float64)


def audit(
    x: np.ndarray, at: np.ndarray, present: np.ndarray, probability: np.ndarray, *, cut: float = 0.0
) -> Audit:
    """Precision and recall of the accepted images.

    Args:
        x: float [n], log odds minus the cut in force, of all images.
        at: float [m], the same of the audited images.
        present: float [m] from 0 to 1, the answers; .5 for an image that people are unsure of or disagree on.
        probability: float [m], as `Draw.probability` was when the image was drawn.
        cut: another cut to look at; images are accepted from there on.

    Raises:
        ValueError: a probability is not in (0, 1], or the lengths differ.
    """
    pieces = _pieces(x, at, present, probability, cut)
    accepted = [piece for piece in pieces if piece.accepted]
    return Audit(
        precision=_precision(pieces),
        recall=_recall(pieces) if accepted and any(piece.known for piece in pieces) else None,
        accepted=sum(piece.size for piece in accepted),
        audited=len(at),
        audited_accepted=sum(piece.audited for piece in accepted),
        undecided=int(((np.asarray(present) > 0) & (np.asarray(present) < 1)).sum()),
    )


def precision_at(
    x: np.ndarray, at: np.ndarray, present: np.ndarray, probability: np.ndarray, cut: float = 0.0
) -> Estimate | None:
    """Only the precision of `audit`, which takes less time."""
    return _precision(_pieces(x, at, present, probability, cut))


def _pieces(
    x: np.ndarray, at: np.ndarray, present: np.ndarray, probability: np.ndarray, cut: float
) -> list[_Piece]:
    x, at = np.asarray(x, dtype=np.float64), np.asarray(at, dtype=np.float64)
    present, probability = np.asarray(present, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    if not at.shape == present.shape == probability.shape:
        raise ValueError("audited images, answers and probabilities must be of one length")
    if not ((probability > 0) & (probability <= 1)).all():
        raise ValueError("a probability of selection must be above 0 and at most 1")
    of_all, of_audited = 2 * strata(x) + (x < cut), 2 * strata(at) + (at < cut)
    found = []
    for code in np.flatnonzero(np.bincount(of_all)).tolist():
        inside, mine = of_all == code, of_audited == code
        # Only ratios count; as shares of the largest weight, their squares cannot overflow.
        weight = probability[mine].min(initial=1.0) / probability[mine]
        trials = float(weight.sum() ** 2 / (weight**2).sum()) if len(weight) else 0.0
        hits = trials * float(weight @ present[mine] / weight.sum()) if len(weight) else 0.0
        found.append(
            _Piece(
                accepted=code % 2 == 0,
                size=int(inside.sum()),
                audited=int(mine.sum()),
                known=float(present[mine].sum()),
                trials=trials,
                hits=min(hits, trials),
                expected=_expected(x[inside]) if code > 1 else None,
            )
        )
    return found


def _expected(x: np.ndarray) -> np.ndarray:
    """The mean share of hits, float [levels], among images at x below the cut."""
    counts, edges = np.histogram(np.clip(x, _LOWEST, 0), bins=_BINS, range=(_LOWEST, 0))
    odds = _STEEPNESS[:, None] * (edges[1:] + edges[:-1]) / 2 + _LEVELS[:, None]
    return np.asarray((1 / (1 + np.exp(-odds))) @ counts / counts.sum() + _LEAST_SHARE)


def _precision(pieces: Sequence[_Piece]) -> Estimate | None:
    accepted = [piece for piece in pieces if piece.accepted]
    if not accepted:
        return None
    if len(accepted) == 1 and accepted[0].expected is None:
        return _single(accepted[0])
    hits = _hits(pieces)[[piece.accepted for piece in pieces]].sum(axis=0)
    return _summary(hits / sum(piece.size for piece in accepted))


def _single(piece: _Piece) -> Estimate:
    a, b = piece.posterior[0]
    tails = (1 - _LEVEL) / 2, (1 + _LEVEL) / 2
    none, every = piece.hits <= _NEARLY, piece.hits >= piece.trials - _NEARLY
    if none != every:  # Nothing speaks for one of the ends: all of the tail is at the other.
        tails = (0.0, _LEVEL) if none else (1 - _LEVEL, 1.0)
    quantiles = drawn_quantiles(tails, a, b, piece.rest)
    return _around(
        *(float(piece.known + part) / piece.size for part in (piece.rest * a / (a + b), *quantiles))
    )


def _recall(pieces: Sequence[_Piece]) -> Estimate:
    hits = _hits(pieces)
    found, total = hits[[piece.accepted for piece in pieces]].sum(axis=0), hits.sum(axis=0)
    shares = found / total  # some are known
    missed = any(piece.known for piece in pieces if not piece.accepted)
    return _summary(shares) if missed else _summary(shares, 1 - _LEVEL, 1.0)


def _summary(shares: np.ndarray, low: float = (1 - _LEVEL) / 2, high: float = (1 + _LEVEL) / 2) -> Estimate:
    return _around(float(shares.mean()), *np.quantile(shares, [low, high]).tolist())


def _around(value: float, low: float, high: float) -> Estimate:
    """The interval, wide enough for the estimate: of the last few images a 90 % interval can be one number beside the
    mean."""
    return Estimate(value, min(low, value), max(high, value))
