"""Derived attributes: a rule over other attributes, in three-valued logic. Pure functions on arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colonnade.engine.vocabulary import Rule

__all__ = ["ACCEPTED", "REJECTED", "STATUS_CODES", "TENTATIVE", "UNKNOWN", "derive"]

ACCEPTED, TENTATIVE, REJECTED, UNKNOWN = 2, 1, 0, -1
STATUS_CODES: dict[str | None, int] = {
    "accepted": ACCEPTED,
    "tentative": TENTATIVE,
    "rejected": REJECTED,
    None: UNKNOWN,
}


def derive(
    rule: Rule, inputs: Mapping[str, tuple[NDArray[np.float32], NDArray[Any]]]
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Evaluate a rule for n images at once.

    The status is accepted if every `all_of` is accepted, one `any_of` is accepted (where any is named) and
    every `none_of` is below tentative. What was not scored is unknown: one condition that fails rejects
    whatever the others are; otherwise one unknown condition makes the whole unknown.

    The confidence is min(all_of, max(any_of), 1 - max(none_of)) over the parts that the rule has. Where an
    input's confidence is missing, the result is nan unless every value the missing one could have (0 to 1)
    gives the same: an `all_of` of 0 makes the confidence 0 whatever else is missing. Where the status is
    unknown the confidence is nan. So a rejection can come without a confidence, never the reverse.

    Args:
        rule: what to evaluate; at least one code.
        inputs: for every code of the rule (confidence float32 [n], nan where missing; status [n]: int8 of
            2 accepted, 1 tentative, 0 rejected, -1 unknown, or the words with None for unknown).

    Returns:
        confidence float32 [n] and status int8 [n] (accepted, rejected or unknown).

    Raises:
        ValueError: the rule names nothing, or the arrays differ in length.
        KeyError: an input is missing, or a status is not a known word.
    """
    parts = (rule.all_of, rule.any_of, rule.none_of)
    codes = dict.fromkeys(code for part in parts for code in part)
    if not codes:
        raise ValueError("the rule names no attribute")
    confidences = {code: np.asarray(inputs[code][0], dtype=np.float32) for code in codes}
    statuses = {code: _coded(inputs[code][1]) for code in codes}
    lengths = {len(array) for array in confidences.values()} | {len(array) for array in statuses.values()}
    if len(lengths) != 1:
        raise ValueError("the arrays of the inputs differ in length")
    status = _status(rule, statuses)
    low, high = _confidence(rule, confidences, np.float32(0)), _confidence(rule, confidences, np.float32(1))
    known = (low == high) & (status != UNKNOWN)
    return np.where(known, low, np.float32(np.nan)), status


def _coded(status: NDArray[Any]) -> NDArray[np.int8]:
    array = np.asarray(status)
    if array.dtype.kind in "iu":
        return array.astype(np.int8)
    return np.array([STATUS_CODES[word] for word in array.tolist()], dtype=np.int8)


def _status(rule: Rule, statuses: Mapping[str, NDArray[np.int8]]) -> NDArray[np.int8]:
    """Kleene's "and" is the minimum of 0 false, 1 unknown, 2 true; "or" is the maximum."""

    def truth(code: str, test: Callable[[NDArray[np.int8]], NDArray[np.bool_]]) -> NDArray[np.int8]:
        status = statuses[code]
        return np.where(status == UNKNOWN, 1, np.where(test(status), 2, 0)).astype(np.int8)

    conditions = [truth(code, lambda status: status == ACCEPTED) for code in rule.all_of]
    if rule.any_of:
        any_of = [truth(code, lambda status: status == ACCEPTED) for code in rule.any_of]
        conditions.append(np.maximum.reduce(any_of))
    conditions += [truth(code, lambda status: status < TENTATIVE) for code in rule.none_of]
    verdict = np.minimum.reduce(conditions)
    return np.array([REJECTED, UNKNOWN, ACCEPTED], dtype=np.int8)[verdict]


def _confidence(
    rule: Rule, confidences: Mapping[str, NDArray[np.float32]], missing: np.float32
) -> NDArray[np.float32]:
    """The rule's confidence if every missing one counted as much (`missing` 1) or as little (0) as it can."""

    def filled(code: str, value: np.float32) -> NDArray[np.float32]:
        return np.where(np.isnan(confidences[code]), value, confidences[code])

    terms = [filled(code, missing) for code in rule.all_of]
    if rule.any_of:
        terms.append(np.maximum.reduce([filled(code, missing) for code in rule.any_of]))
    if rule.none_of:
        against = [filled(code, np.float32(1) - missing) for code in rule.none_of]
        terms.append(np.float32(1) - np.maximum.reduce(against))
    result: NDArray[np.float32] = np.minimum.reduce(terms)
    return result
