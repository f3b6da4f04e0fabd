"""Derived scores against what their rule makes of the stored scores of its inputs, where they were made from these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from colonnade.engine.derive import derive
from colonnade.engine.errors import StoreError
from colonnade.engine.findings import Findings, Tally
from colonnade.engine.freshness import inputs_digest
from colonnade.engine.scoring import codes_of_statuses
from colonnade.engine.snapshots import DataFile
from colonnade.engine.tables import Footer, read_files, read_footer
from colonnade.engine.vocabulary import Rule

__all__ = ["check_derived"]

_TOLERANCE = 1e-6
_BLOCK_ROWS = 16_384
_KEPT = 64
"""Inputs of a shard that are kept for the next rule, about 0.7 MB each."""
_MOST_INPUTS = 256


@dataclass(frozen=True, eq=False)
class _Scores:
    """The stored rows of one cell."""

    ids: np.ndarray
    """int64 [n], ascending."""
    confidence: np.ndarray
    """float32 [n], nan where there is none."""
    status: np.ndarray
    """int8 [n]."""


def check_derived(
    store: Path,
    files: Sequence[DataFile],
    definitions: Mapping[str, Mapping[str, Any]],
    findings: Findings,
    advice: Callable[[DataFile], str],
) -> None:
    """Tell of derived rows that their own rule does not give.

    A cell is compared where its inputs are still those that it was made from, as its definition and its footer tell
    them: what is stale is not wrong. Nor is it compared where a file of it or of an input has a fault already.

    Args:
        files: of the scores table, checked before.
        definitions: hash -> document, of those that are sound.
        advice: what to do about a file.
    """
    if findings.more:  # places of faults that are not known
        return
    shards: dict[int, dict[str, list[DataFile]]] = {}
    for file in files:
        shards.setdefault(file.shard, {}).setdefault(file.partition or "", []).append(file)
    faulty = {fault.where for fault in findings.faults}
    rules = _Rules(definitions, findings)
    for _, cells in sorted(shards.items()):
        shard = _Shard(store, cells, rules, faulty)
        for code in sorted(cells):
            try:
                shard.check(code, findings, advice)
            except (StoreError, OSError):  # gone since, or told of where its rows were read
                continue


@dataclass(slots=True)
class _Rules:
    """The rules and inputs of derived definitions."""

    definitions: Mapping[str, Mapping[str, Any]]
    findings: Findings
    _known: dict[str, tuple[Rule, Mapping[str, Any]] | None] = field(default_factory=dict)

    def of(self, name: str | None) -> tuple[Rule, Mapping[str, Any]] | None:
        """(rule, input -> its definition's hash); None where it is no derived definition or not to be understood."""
        if name is None or self.definitions.get(name, {}).get("kind") != "derived":
            return None
        if name not in self._known:
            self._known[name] = found = _parsed(self.definitions[name])
            if found is None:
                what = (
                    f"definition {name}: a rule of another version, or of more than {_MOST_INPUTS} attributes"
                )
                self.findings.note(f"{what}; its rows were not recomputed")
        return self._known[name]


def _parsed(document: Mapping[str, Any]) -> tuple[Rule, Mapping[str, Any]] | None:
    parts, inputs = document.get("rule"), document.get("inputs")
    if not isinstance(parts, dict) or not isinstance(inputs, dict):
        return None
    lists = [parts.get(name) for name in ("all_of", "any_of", "none_of")]
    if not all(isinstance(part, list) and all(isinstance(code, str) for code in part) for part in lists):
        return None
    rule = Rule(*(tuple(part or ()) for part in lists))
    right = 0 < len(rule.codes) <= _MOST_INPUTS and set(rule.codes) == inputs.keys()
    return (rule, inputs) if right and parts.keys() <= {"all_of", "any_of", "none_of"} else None


@dataclass(slots=True)
class _Shard:
    """The cells of one shard: code -> files."""

    store: Path
    cells: Mapping[str, Sequence[DataFile]]
    rules: _Rules
    faulty: set[str]
    _footers: dict[str, list[Footer]] = field(default_factory=dict)
    _kept: dict[str, _Scores] = field(default_factory=dict)

    def check(self, code: str, findings: Findings, advice: Callable[[DataFile], str]) -> None:
        """Compare a cell, if it is of a derived attribute and made from what is stored."""
        files, (footer, *more) = self.cells[code], self._footers_of(code)
        found = self.rules.of(footer.definition)
        if found is None or more or not self._sound(code):
            return
        rule, inputs = found
        if not self._made_from(footer, inputs):
            return
        given = {name: self._input(name, inputs) for name in inputs if name in self.cells}
        stored = self._read(files)
        tally = Tally()
        _compare(rule, stored, given, tally)
        where = str(files[0].path.relative_to(self.store))
        for what in tally:
            findings.fault(where, what, advice(files[0]))

    def _made_from(self, footer: Footer, inputs: Mapping[str, Any]) -> bool:
        """Whether the inputs are those that a cell was made from."""
        present: dict[str, tuple[int, int]] = {}
        for code, definition in inputs.items():
            footers = self._footers_of(code)
            if any(own.definition is None or own.definition != definition for own in footers):
                return False
            if not self._sound(code):
                return False
            digest = sum(own.id_digest for own in footers) % 2**64
            present[code] = sum(own.rows for own in footers), digest
        return footer.inputs == inputs_digest(present)

    def _footers_of(self, code: str) -> list[Footer]:
        if code not in self._footers:
            self._footers[code] = [read_footer(file) for file in self.cells.get(code, ())]
        return self._footers[code]

    def _sound(self, code: str) -> bool:
        return not any(
            str(file.path.relative_to(self.store)) in self.faulty for file in self.cells.get(code, ())
        )

    def _input(self, code: str, needed: Mapping[str, Any]) -> _Scores:
        if code not in self._kept:
            for other in [name for name in self._kept if name not in needed]:
                if len(self._kept) < _KEPT:
                    break
                del self._kept[other]
            self._kept[code] = self._read(self.cells[code])
        return self._kept[code]

    def _read(self, files: Sequence[DataFile]) -> _Scores:
        data = read_files(files, ["image_id", "confidence", "status"])
        ids = data["image_id"].to_numpy()
        first = next(iter(self._kept.values()), None)
        if first is not None and np.array_equal(first.ids, ids):
            ids = first.ids
        confidence = np.asarray(data["confidence"].to_numpy(zero_copy_only=False), dtype=np.float32)
        return _Scores(ids, confidence, codes_of_statuses(data["status"]))


def _compare(rule: Rule, stored: _Scores, given: Mapping[str, _Scores], tally: Tally) -> None:
    lacking = [own.ids[~np.isin(own.ids, stored.ids)] for own in given.values() if own.ids is not stored.ids]
    lost = np.unique(np.concatenate(lacking)) if lacking else np.empty(0, np.int64)
    tally.rows(np.ones(len(lost), dtype=bool), "missing, of images that its inputs have", lost)
    aligned = {code: _aligned(stored.ids, given.get(code)) for code in rule.codes}
    for start in range(0, len(stored.ids), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        inputs = {code: (confidence[part], status[part]) for code, (confidence, status) in aligned.items()}
        wanted, right = derive(rule, inputs)
        confidence, status, ids = stored.confidence[part], stored.status[part], stored.ids[part]
        off = (np.isnan(wanted) != np.isnan(confidence)) | (np.abs(wanted - confidence) > _TOLERANCE)
        tally.rows(off, "whose confidence is not what their rule makes of the stored scores", ids)
        tally.rows(status != right, "whose status is not what their rule makes of the stored scores", ids)


def _aligned(ids: np.ndarray, own: _Scores | None) -> tuple[np.ndarray, np.ndarray]:
    """(confidence float32 [n], status int8 [n]) by image; unknown where the input lacks it."""
    if own is not None and own.ids is ids:
        return own.confidence, own.status
    confidence, status = np.full(len(ids), np.nan, dtype=np.float32), np.full(len(ids), -1, dtype=np.int8)
    if own is not None and len(ids):
        places = np.minimum(np.searchsorted(ids, own.ids), len(ids) - 1)
        here = ids[places] == own.ids
        confidence[places[here]], status[places[here]] = own.confidence[here], own.status[here]
    return confidence, status
