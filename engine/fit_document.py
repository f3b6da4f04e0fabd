"""Fits as the `calibrations` table holds them: whole, as JSON text, and checked in every part when read.

A store may come from anybody: the text is bounded before it is parsed, and each value has its type and range.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from colonnade.engine.calibration import LARGEST, METHODS, Fit, bounded
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.fit_parts import AutoBase, LabelPart
from colonnade.engine.sketch import sketch_or_none

__all__ = ["axis_digest", "fit_from_text", "fit_text"]

_FORMAT = 1
_MAX_TEXT = 4 << 20
_MAX_LIST = 1000
_MAX_WORDS = 1000
_DIGEST = re.compile(r"[0-9a-f]{16}")
_LABEL_NUMBERS = ("delta", "center", "slope", "delta_sd", "delta_low", "delta_high", "lapse")


def axis_digest(axis: Mapping[str, Any]) -> str:
    """16 hex digits that stand for an axis, given as JSON."""
    text = json.dumps(axis, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fit_text(fit: Fit) -> str:
    """A fit, whole, as JSON text."""
    document: dict[str, Any] = {"format": _FORMAT, "method": fit.method, "chosen": fit.chosen}
    if fit.axis is None:
        document |= {"center": fit.center, "scale": fit.scale}
    if fit.method != "fixed":
        document |= {"cut": fit.cut, "slope": fit.slope, "no_signal": fit.no_signal, "moved": fit.moved}
        document["gate"] = fit.gate
    if fit.method == "labels" and fit.axis is None:
        document["logit"] = fit.logit
    if fit.base is not None:
        document["base"] = _base_json(fit.base)
    if fit.labels is not None:
        part = fit.labels
        document["labels"] = {name: getattr(part, name) for name in (*_LABEL_NUMBERS, "present", "absent")}
    return json.dumps(document, sort_keys=True, allow_nan=False)


def _base_json(base: AutoBase) -> dict[str, Any]:
    names = (
        "cut",
        "slope",
        "no_signal",
        "gate",
        "logit",
        "vector",
        "background",
        "count",
        "embedded",
        "snapshot",
        "seed",
    )
    return {name: getattr(base, name) for name in names} | {
        "axis": base.axis.as_json(),
        "metrics": dict(base.metrics),
        "quantiles": list(base.quantiles),
        "competing": [list(pair) for pair in base.competing],
    }


def fit_from_text(text: object, code: str) -> Fit:
    """The inverse of `fit_text`.

    Args:
        code: the attribute's, for the message.

    Raises:
        StoreError: not a fit, or a damaged one; one line that says what to do.
    """
    remedy = f"`colonnade calibration fit {code}` makes it anew"
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        raise StoreError(f"the stored calibration of {code} is missing or too long; {remedy}")
    try:
        document = json.loads(text, parse_constant=_refuse)
        if not isinstance(document, dict):
            raise ValueError("not an object")
        if document.get("format") != _FORMAT or document.get("method") not in METHODS:
            raise StoreError(
                f"the stored calibration of {code} is of an unknown kind; use the version that made it, or {remedy}"
            )
        return _fit(document)
    except StoreError:
        raise
    except (KeyError, TypeError, ValueError, InputError, RecursionError, OverflowError) as error:
        what = " ".join(str(error).split())[:100]
        raise StoreError(f"the stored calibration of {code} is damaged ({what}); {remedy}") from None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _fit(document: Mapping[str, Any]) -> Fit:
    method, chosen = document["method"], _truth(document, "chosen")
    if method == "fixed":
        return Fit("fixed", _number(document, "center"), _number(document, "scale"), chosen=chosen)
    place: dict[str, Any]
    if "base" in document:
        base = _base(_object(document, "base"))
        place = {"base": base, "axis": axis_digest(base.axis.as_json()), "background": base.background}
    else:
        place = {name: _number(document, name) for name in ("center", "scale")}
        place["logit"] = _digest(document, "logit")
    return Fit(
        method,
        chosen=chosen,
        cut=_number(document, "cut"),
        slope=_number(document, "slope"),
        no_signal=_truth(document, "no_signal"),
        gate=_gate(document),
        moved=_truth(document, "moved"),
        labels=_labels(_object(document, "labels")) if method == "labels" else None,
        **place,
    )


def _base(document: Mapping[str, Any]) -> AutoBase:
    from colonnade.engine.auto_axis import axis_from_json

    quantiles = sketch_or_none(document["quantiles"])
    if quantiles is None:
        raise ValueError("quantiles")
    slope = _number(document, "slope")
    if not bounded(slope, 1 / LARGEST):
        raise ValueError("slope")
    try:
        axis = axis_from_json(_object(document, "axis"))
    except StoreError:
        raise ValueError("axis") from None
    if axis.background != document["background"]:
        raise ValueError("background")
    return AutoBase(
        axis=axis,
        cut=_number(document, "cut"),
        slope=slope,
        no_signal=_truth(document, "no_signal"),
        gate=_gate(document),
        logit=_digest(document, "logit"),
        vector=_digest(document, "vector"),
        background=_digest(document, "background"),
        count=_count(document, "count"),
        embedded=_count(document, "embedded"),
        snapshot=_count(document, "snapshot"),
        seed=_count(document, "seed"),
        metrics=_metrics(_object(document, "metrics")),
        quantiles=quantiles,
        competing=_competing(document["competing"]),
    )


def _gate(document: Mapping[str, Any]) -> float | None:
    return None if document.get("gate") is None else _number(document, "gate")


def _labels(document: Mapping[str, Any]) -> LabelPart:
    numbers = {name: _number(document, name) for name in _LABEL_NUMBERS}
    return LabelPart(**numbers, present=_count(document, "present"), absent=_count(document, "absent"))


def _metrics(document: Mapping[str, Any]) -> dict[str, float | str]:
    if len(document) > _MAX_LIST:
        raise ValueError("metrics")
    for name, value in document.items():
        _words(name)
        if isinstance(value, str):
            _words(value)
        else:
            _number(document, name)
    return dict(document)


def _competing(stored: object) -> tuple[tuple[str, float], ...]:
    if not isinstance(stored, list) or len(stored) > _MAX_LIST:
        raise ValueError("competing")
    found = []
    for pair in stored:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError("competing")
        found.append((_words(pair[0]), _number({"share": pair[1]}, "share")))
    return tuple(found)


def _number(document: Mapping[str, Any], name: str) -> float:
    value = document[name]
    if not bounded(value):
        raise ValueError(name)
    return float(value)


def _count(document: Mapping[str, Any], name: str) -> int:
    value = document[name]
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(name)
    return value


def _truth(document: Mapping[str, Any], name: str) -> bool:
    value = document[name]
    if not isinstance(value, bool):
        raise ValueError(name)
    return value


def _digest(document: Mapping[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError(name)
    return value


def _words(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_WORDS:
        raise ValueError("a phrase")
    value.encode()
    return value


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document[name]
    if not isinstance(value, dict):
        raise ValueError(name)
    return value
