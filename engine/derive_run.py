"""Computing derived attributes from stored scores: only what depends on something that changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from colonnade.engine.derive import derive
from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.freshness import AttributeWork, Task, inputs_digest
from colonnade.engine.freshness_derived import derived_work
from colonnade.engine.provenance import read_definitions, store_definitions
from colonnade.engine.scoring import codes_of_statuses, scores_table
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, conflict_retries, open_stage, retrying
from colonnade.engine.store import Store
from colonnade.engine.tables import id_digest, read_files, read_footer
from colonnade.engine.vocabulary import DerivedAttribute, Rule, Vocabulary, nearest

__all__ = ["derive_attributes", "plan_derive"]

Scores = tuple[np.ndarray, np.ndarray, np.ndarray]
"""ids int64 [n], confidence float32 [n] with nan, status int8 [n]."""


def plan_derive(
    snapshot: Snapshot,
    vocabulary: Vocabulary,
    *,
    codes: Sequence[str] | None = None,
    force: bool = False,
    pending: Sequence[AttributeWork] = (),
) -> tuple[AttributeWork, ...]:
    """What the derived attributes need, inputs before users.

    Args:
        codes: only these and the derived attributes that they are made of.
        pending: work on base attributes that will be done first.

    Raises:
        InputError: a code is not a derived attribute of the vocabulary.
    """
    known = read_definitions(snapshot)
    before = {work.code: work for work in pending}
    planned = []
    for attribute in _chosen(vocabulary, codes):
        work = derived_work(snapshot, attribute, known, before, force=force)
        before[work.code] = work
        planned.append(work)
    return tuple(planned)


def _chosen(vocabulary: Vocabulary, codes: Sequence[str] | None) -> list[DerivedAttribute]:
    derived = {attribute.code: attribute for attribute in vocabulary.derived}
    if codes is None:
        return [derived[code] for code in vocabulary.derived_order]
    for code in codes:
        if code not in derived:
            hint = nearest(code, list(derived))
            raise InputError(
                f"{code}: a base attribute; use `colonnade tag {code}`"
                if code in vocabulary.codes
                else f"{code!r}: no such derived attribute" + (f"; did you mean {hint!r}?" if hint else "")
            )
    wanted = set(codes)
    for code in reversed(vocabulary.derived_order):
        if code in wanted:
            wanted |= set(derived[code].rule.codes) & derived.keys()
    return [derived[code] for code in vocabulary.derived_order if code in wanted]


def derive_attributes(
    store: Store,
    *,
    codes: Sequence[str] | None = None,
    force: bool = False,
    on_conflict: Callable[[str], None] | None = None,
) -> tuple[str, ...]:
    """Compute every stale derived attribute from the stored scores; returns the codes that were written.

    Raises:
        InputError: an unknown code, or a wrong vocabulary.
    """
    for _ in conflict_retries(store.path, on_conflict):
        snapshot, vocabulary = store.snapshot(), store.vocabulary()
        work = [w for w in plan_derive(snapshot, vocabulary, codes=codes, force=force) if w.cells]
        if not work:
            return ()
        try:
            with open_stage(store.path, command="derive", say=on_conflict) as stage:
                _derive_all(snapshot, vocabulary, stage, work)
                store_definitions(stage, [w.definition for w in work])
                stage.commit(vocabulary=vocabulary.source)
        except ConflictError as error:
            if on_conflict:
                on_conflict(retrying(error))
            continue
        return tuple(w.code for w in work)
    raise AssertionError("unreachable")


def _derive_all(
    snapshot: Snapshot, vocabulary: Vocabulary, stage: Stage, work: Sequence[AttributeWork]
) -> None:
    rules = {attribute.code: attribute.rule for attribute in vocabulary.derived}
    for shard in sorted({cell.shard for item in work for cell in item.cells}):
        made: dict[str, Scores] = {}
        for item in work:
            cell = next((cell for cell in item.cells if cell.shard == shard), None)
            if cell is None:
                continue
            old = snapshot.cell("scores", item.code, shard)
            if cell.task is Task.REMOVE:
                stage.drop("scores", item.code, read=old)
                continue
            inputs = {code: _input(snapshot, stage, made, code, shard) for code in rules[item.code].codes}
            ids, confidence, status = _evaluate(rules[item.code], inputs)
            made_from = {code: (len(own), id_digest(own)) for code, (own, _, _) in inputs.items()}
            made[item.code] = (ids, confidence, status)
            rows = scores_table(
                ids,
                logit=None,
                confidence=confidence,
                status=status,
                label_source="derived_rule",
                model=_model_of(snapshot, rules, item.code, shard),
                definition=item.definition.hash,
            )
            stage.replace("scores", item.code, shard, rows, read=old, inputs=inputs_digest(made_from))


def _model_of(snapshot: Snapshot, rules: Mapping[str, Rule], code: str, shard: int) -> str:
    """The model behind a derived attribute: that of the first scored base attribute that it is made of."""
    if code in rules:
        return next(filter(None, (_model_of(snapshot, rules, own, shard) for own in rules[code].codes)), "")
    footers = (read_footer(file) for file in snapshot.cell("scores", code, shard))
    return next((footer.model for footer in footers if footer.model), "")


def _input(snapshot: Snapshot, stage: Stage, made: Mapping[str, Scores], code: str, shard: int) -> Scores:
    if code in made:
        return made[code]
    files = snapshot.cell("scores", code, shard)
    stage.require("scores", code, shard, read=files)
    if not files:
        return np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int8)
    data = read_files(files, ["image_id", "confidence", "status"])
    confidence = data["confidence"].to_numpy(zero_copy_only=False).astype(np.float32)
    return data["image_id"].to_numpy(), confidence, codes_of_statuses(data["status"])


def _evaluate(rule: Rule, inputs: Mapping[str, Scores]) -> Scores:
    """The rule over the union of the inputs' images; an image that an input lacks is unknown to it."""
    every = [ids for ids, _, _ in inputs.values()]
    ids = (
        every[0]
        if all(np.array_equal(every[0], other) for other in every[1:])
        else np.unique(np.concatenate(every))
    )
    aligned: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for code, (own, confidence, status) in inputs.items():
        full_confidence = np.full(len(ids), np.nan, dtype=np.float32)
        full_status = np.full(len(ids), -1, dtype=np.int8)
        places = np.searchsorted(ids, own)
        full_confidence[places] = confidence
        full_status[places] = status
        aligned[code] = (full_confidence, full_status)
    confidence, status = derive(rule, aligned)
    return ids, confidence, status
