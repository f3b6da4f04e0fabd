"""What must hold of scores and of the definitions behind them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from colonnade.engine.calibration import UNKNOWN, Fit, fit_from_json, fit_statuses, judge
from colonnade.engine.columns import SHARD_BITS, STATUSES
from colonnade.engine.errors import StoreError
from colonnade.engine.findings import Findings, Tally
from colonnade.engine.snapshots import DataFile
from colonnade.engine.tables import read_table
from colonnade.engine.verify_logits import LogitSample
from colonnade.engine.verify_lost import VectorIds

__all__ = ["ScoreRows", "read_definition_rows"]

TOLERANCE = 1e-6
_CODES = {"rejected": 0, "tentative": 1, "accepted": 2}
_MODELS = 64
"""Of how many models in one batch the vectors are looked for."""
_SOURCES = {"confidence": "clip_zero_shot", "derived": "derived_rule"}
_ADVICE = "`colonnade tag --force` and `derive --force` write them anew"


def read_definition_rows(
    store: Path, files: Sequence[DataFile], findings: Findings
) -> dict[str, Mapping[str, Any]]:
    """Hash -> document of the definitions that are what their hash says; the others are faults."""
    known: dict[str, Mapping[str, Any]] = {}
    try:
        data = read_table("definitions", list(files))
    except StoreError:
        return known  # the file itself is told of where its rows are read
    where = "_tables/definitions" if not files else str(files[0].path.parent.relative_to(store))
    for name, text in zip(data["definition"].to_pylist(), data["json"].to_pylist(), strict=True):
        fault = _definition_fault(name, text)
        if fault is None and name in known:
            fault = "occurs twice"
        if fault is None:
            known[name] = json.loads(text)
        else:
            findings.fault(where, f"definition {str(name)[:40]}: {fault}", _ADVICE)
    for name, document in known.items():
        if document.get("kind") == "confidence" and document.get("logit") not in known:
            what = f"definition {name}: builds on the logits {document.get('logit')}, which are missing"
            findings.fault(where, what, _ADVICE)
    return known


def _definition_fault(name: object, text: object) -> str | None:
    if not isinstance(name, str) or not isinstance(text, str):
        return "has no text"
    if hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16] != name:
        return "is not the hash of its text"
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return "its text is not JSON"
    if not isinstance(document, dict) or document.get("kind") not in ("logit", *_SOURCES):
        return "its text does not say of what kind it is"
    return None


@dataclass(frozen=True, slots=True)
class _Expectation:
    """What the rows of one definition must be."""

    source: str
    fit: Fit | None
    accepted: float
    tentative: float
    model: str | None
    logit: str = ""
    """The logits' definition."""


@dataclass(slots=True)
class ScoreRows:
    """Checks rows of the scores table, batch by batch."""

    definitions: Mapping[str, Mapping[str, Any]]
    findings: Findings
    sample: LogitSample
    vectors: VectorIds
    _expected: dict[str, _Expectation | None] = field(default_factory=dict)

    def check(self, batch: pa.RecordBatch, ids: np.ndarray, tally: Tally) -> None:
        """Tally what is wrong with a batch whose text columns are dictionary-encoded."""
        confidence, logit, odds = (_floats(batch, name) for name in ("confidence", "logit", "log_odds"))
        unknown = np.asarray(batch.column("confidence").is_null())
        tally.rows(np.isnan(confidence) & ~unknown, "with a confidence that is not a number", ids)
        tally.rows((confidence < 0) | (confidence > 1), "with a confidence outside 0 to 1", ids)
        no_logit = np.asarray(batch.column("logit").is_null())
        tally.rows(~no_logit & ~np.isfinite(logit), "with a logit that is not finite", ids)
        no_odds = np.asarray(batch.column("log_odds").is_null())
        tally.rows(~no_odds & ~np.isfinite(odds), "with log odds that are not finite", ids)
        status = self._statuses(batch, ids, tally)
        tally.rows(~unknown & (status == UNKNOWN), "with a confidence but no status", ids)
        self._check_vectors(batch, ids)
        words, codes = _words(batch, "definition")
        for code, word in enumerate(words):
            mine = codes == code
            expected = self._expectation(word)
            if expected is None:
                tally.rows(mine, f"of definition {str(word)[:40]}, which the definitions table lacks", ids)
                continue
            self._check_words(batch, mine, expected, ids, tally)
            if expected.source == "derived_rule":
                tally.rows(mine & ~(no_logit & no_odds), "of a derived attribute with a logit", ids)
                continue
            tally.rows(mine & (no_logit | unknown), "of a base attribute without a logit or confidence", ids)
            self.sample.check(expected.logit, ids, mine, logit, tally)
            if expected.fit is None:
                continue
            if expected.fit.method == "fixed":
                tally.rows(mine & ~no_odds, "of a fixed calibration with log odds", ids)
            else:
                tally.rows(mine & no_odds, "without the log odds that their calibration needs", ids)
            _check_values(expected, mine, (logit, odds), confidence, status, ids, tally)
        tally.rows(codes < 0, "without a definition", ids)

    def _check_vectors(self, batch: pa.RecordBatch, ids: np.ndarray) -> None:
        """That base rows are of images with a vector of their model; told of at the end, once for each model."""
        sources, kinds = _words(batch, "label_source")
        if not len(ids) or "clip_zero_shot" not in sources:
            return
        shard = int(ids[0]) >> SHARD_BITS
        base = (kinds == sources.index("clip_zero_shot")) & (ids >> SHARD_BITS == shard)
        words, codes = _words(batch, "model")
        for code, word in enumerate(words[:_MODELS]):
            mine = base & (codes == code)
            self.vectors.check(str(word), shard, ids if mine.all() else ids[mine])

    def _statuses(self, batch: pa.RecordBatch, ids: np.ndarray, tally: Tally) -> np.ndarray:
        words, codes = _words(batch, "status")
        status = np.full(len(codes), UNKNOWN, dtype=np.int8)
        for code, word in enumerate(words):
            if word in _CODES:
                status[codes == code] = _CODES[word]
            else:
                tally.rows(codes == code, f"with a status other than {', '.join(STATUSES)}", ids)
        return status

    def _check_words(
        self, batch: pa.RecordBatch, mine: np.ndarray, expected: _Expectation, ids: np.ndarray, tally: Tally
    ) -> None:
        for column, value in (("label_source", expected.source), ("model", expected.model)):
            words, codes = _words(batch, column)
            if value is None:
                continue
            right = codes == words.index(value) if value in words else np.zeros(len(codes), dtype=bool)
            tally.rows(mine & ~right, f"whose {column} is not {value}, as their definition has it", ids)

    def _expectation(self, name: str) -> _Expectation | None:
        if name not in self._expected:
            self._expected[name] = self._expect(name)
        return self._expected[name]

    def _expect(self, name: str) -> _Expectation | None:
        document = self.definitions.get(name)
        source = _SOURCES.get(str(document.get("kind"))) if document else None
        if document is None or source is None:
            return None
        if source == "derived_rule":
            return _Expectation(source, None, 1.0, 1.0, None)
        behind = self.definitions.get(str(document.get("logit")), {})
        model = behind.get("model")
        try:
            thresholds = document["thresholds"]
            accepted, tentative = float(thresholds["accepted"]), float(thresholds["tentative"])
            if not (math.isfinite(accepted) and math.isfinite(tentative)):
                raise ValueError("thresholds that are not finite")
        except (KeyError, TypeError, ValueError):
            self.findings.fault("definitions", f"definition {name}: has no thresholds", _ADVICE)
            return _Expectation(source, None, 1.0, 1.0, None)
        try:
            fit = fit_from_json(document.get("fit"))
        except StoreError as error:
            self.findings.note(f"definition {name}: {error}; its confidences were not recomputed")
            fit = None
        named = model if isinstance(model, str) else None
        return _Expectation(source, fit, accepted, tentative, named, str(document.get("logit")))


def _check_values(
    expected: _Expectation,
    mine: np.ndarray,
    numbers: tuple[np.ndarray, np.ndarray],
    confidence: np.ndarray,
    status: np.ndarray,
    ids: np.ndarray,
    tally: Tally,
) -> None:
    """That confidence and status are what the logits and log odds, float32 [n] each, give."""
    assert expected.fit is not None
    logit, odds = numbers
    with np.errstate(invalid="ignore"):
        wanted, _ = judge(expected.fit, expected.accepted, expected.tentative, logit, odds)
        off = ~(np.abs(wanted - confidence) <= TOLERANCE)
    known = mine & np.isfinite(logit) & ~np.isnan(confidence)
    if expected.fit.axis is not None:
        known &= np.isfinite(odds)
    tally.rows(known & off, "whose confidence is not what their logit and fit give", ids)
    right = fit_statuses(expected.fit, confidence, expected.accepted, expected.tentative, odds)
    tally.rows(known & (right != status), "whose status is not what their definition's thresholds give", ids)


def _floats(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """float32 [n], nan for null."""
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=False), dtype=np.float32)


def _words(batch: pa.RecordBatch, name: str) -> tuple[list[str], np.ndarray]:
    """The dictionary of a text column, and each row's place in it (int32 [n], -1 for null)."""
    column = batch.column(name)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column.dictionary.to_pylist(), column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
