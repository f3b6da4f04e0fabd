"""Definitions: what a stored score stands for, as JSON behind a short hash.

A cell is fresh exactly when the definition it carries is the one that would be made now. All comparisons of
staleness are comparisons of these hashes, told in words by `why_stale`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from colonnade.engine.calibration import Fit
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage
from colonnade.engine.tables import SCHEMAS, read_table
from colonnade.engine.vocabulary import Rule, Thresholds

__all__ = [
    "Definition",
    "confidence_definition",
    "derived_definition",
    "logit_definition",
    "read_definitions",
    "store_definitions",
    "why_stale",
]


@dataclass(frozen=True, slots=True)
class Definition:
    """A hash and the JSON document it stands for."""

    hash: str
    document: Mapping[str, Any]

    @property
    def json(self) -> str:
        return _canonical(self.document)


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _define(document: Mapping[str, Any]) -> Definition:
    digest = hashlib.sha256(_canonical(document).encode("utf-8", "surrogatepass")).hexdigest()
    return Definition(digest[:16], document)


def logit_definition(model: Model, prompts: Sequence[str]) -> Definition:
    """What a logit depends on besides the image."""
    return _define(
        {
            "kind": "logit",
            "model": model.key,
            "logit_scale": model.logit_scale,
            "logit_bias": model.logit_bias,
            "prompts": list(prompts),
        }
    )


def confidence_definition(logit: Definition, fit: Fit | None, thresholds: Thresholds) -> Definition:
    """What a base attribute's confidence and status depend on besides the image.

    Args:
        fit: None for one that is still to be made: the definition is then no stored one's.
    """
    return _define(
        {
            "kind": "confidence",
            "logit": logit.hash,
            "fit": fit.as_json() if fit is not None else {"method": "to be made"},
            "thresholds": {"accepted": thresholds.accepted, "tentative": thresholds.tentative},
        }
    )


def derived_definition(rule: Rule, inputs: Mapping[str, str | None]) -> Definition:
    """What a derived attribute depends on: its rule, and its inputs' definitions (None: not scored)."""
    return _define(
        {
            "kind": "derived",
            "rule": {"all_of": list(rule.all_of), "any_of": list(rule.any_of), "none_of": list(rule.none_of)},
            "inputs": dict(inputs),
        }
    )


def read_definitions(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Hash -> document, of every definition in a snapshot. Damaged rows are left out."""
    data = read_table("definitions", snapshot.files("definitions"))
    known: dict[str, dict[str, Any]] = {}
    for name, text in zip(data["definition"].to_pylist(), data["json"].to_pylist(), strict=True):
        try:
            document = json.loads(text)
        except (TypeError, ValueError):
            continue
        if isinstance(name, str) and isinstance(document, dict):
            known[name] = document
    return known


def store_definitions(stage: Stage, definitions: Iterable[Definition]) -> None:
    """Have the commit of `stage` hold these definitions besides those that the store has."""
    wanted = {definition.hash: definition.json for definition in definitions}

    def merge(live: Snapshot, stage: Stage) -> None:
        files = live.cell("definitions", None, 0)
        data = read_table("definitions", files)
        known = dict(zip(data["definition"].to_pylist(), data["json"].to_pylist(), strict=True))
        if wanted.keys() <= known.keys():
            return
        merged = dict(sorted((known | wanted).items()))
        rows = pa.table(
            {"definition": list(merged), "json": list(merged.values())}, schema=SCHEMAS["definitions"]
        )
        stage.replace("definitions", None, 0, rows, read=files)

    stage.late(merge)


def why_stale(
    stored: str | None,
    wanted: Definition,
    known: Mapping[str, Mapping[str, Any]],
    wanted_logit: Definition | None = None,
) -> str | None:
    """Why a cell with the definition `stored` is not what is `wanted`, in a word or two; None if it is fresh.

    Args:
        stored: the hash that the cell carries; None where the cell is missing or of several definitions.
        known: the definitions of the store.
        wanted_logit: for a base attribute, the logit's definition behind `wanted`.
    """
    if stored == wanted.hash:
        return None
    old = known.get(stored or "")
    if old is None:
        return "unknown origin" if stored else "new"
    if old.get("kind") != wanted.document["kind"]:
        return "kind changed"
    if wanted_logit is None:
        return "rule changed" if old.get("rule") != wanted.document["rule"] else "inputs changed"
    if old.get("logit") == wanted_logit.hash:
        return _why_fit(old.get("fit"), wanted.document["fit"])
    before = known.get(str(old.get("logit")), {})
    if before.get("model") != wanted_logit.document["model"]:
        return "model changed"
    if before.get("prompts") != wanted_logit.document["prompts"]:
        return "prompt changed"
    return "model settings changed"


def _why_fit(old: object, new: object) -> str:
    if old == new:
        return "thresholds changed"
    backgrounds = [fit.get("background") if isinstance(fit, Mapping) else None for fit in (old, new)]
    return (
        "background changed"
        if None not in backgrounds and len(set(backgrounds)) > 1
        else "calibration changed"
    )
