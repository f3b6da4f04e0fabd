"""Ops of the helper on calibrations and labels: the table, cuts, fits, reviews. An answer is saved, then told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from colonnade.engine.errors import InputError

if TYPE_CHECKING:
    from colonnade.engine.review import Question, Review
    from colonnade.tui.helper_ops import Helper

__all__ = ["JUDGE_OPS"]

MAX_REVIEWER = 200
_ReviewKey = tuple[str, str, bool]


def calibration_table(helper: Helper, codes: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The calibration table, a row each: what `colonnade calibration --json` tells, and `cells` with its columns."""
    from colonnade.engine.calibration_table import calibration_table as table
    from colonnade.tui.calibration_text import COLUMNS, as_cells, as_json

    store = helper.store
    rows = table(store, store.snapshot(), store.vocabulary(), codes)
    return [as_json(row) | {"cells": dict(zip(COLUMNS, as_cells(row), strict=True))} for row in rows]


def calibration_receipt(helper: Helper, code: str) -> dict[str, Any]:
    """The receipt of an attribute's calibration: `lines` for people, and what `--json` tells."""
    from colonnade.engine.calibration_receipt import receipt
    from colonnade.tui.receipt_text import receipt_json, receipt_lines

    found = receipt(helper.store, code)
    return {**receipt_json(found), "lines": receipt_lines(found)}


def fit_in_force(helper: Helper, code: str) -> dict[str, Any]:
    """What the confidences of an attribute follow from, for moving its cut: see `session_distribution.Axis`."""
    from colonnade.engine.calibration_store import active_model, base_attribute
    from colonnade.engine.tag import plan_tag

    store = helper.store
    snapshot, vocabulary = store.snapshot(), store.vocabulary()
    attribute = base_attribute(vocabulary, code)
    (work,) = plan_tag(snapshot, vocabulary, active_model(store), codes=[code])
    stale = [c.reason for c in work.cells if c.reason != "new images" and c.task.name != "CONFIDENCE"]
    if not snapshot.files("scores", code) or stale or work.to_make or work.fit is None:
        why = work.to_make or ", ".join(dict.fromkeys(stale)) or "not scored yet"
        raise InputError(f"{code}: {why}; tag it first (Jobs, or `colonnade tag {code}`)")
    fit = work.fit
    return {
        "code": code,
        "method": fit.method,
        "column": "logit" if fit.axis is None else "log_odds",
        "center": fit.center,
        "scale": fit.scale,
        "cut": fit.cut,
        "slope": 1.0 if fit.method == "fixed" else fit.slope,
        "no_signal": fit.no_signal,
        "gate": fit.gate,
        "accepted": attribute.thresholds.accepted,
        "tentative": attribute.thresholds.tentative,
    }


def set_cut(helper: Helper, code: str, cut: float, dry_run: bool = False) -> dict[str, Any]:
    """Put the cut of an attribute (the log odds of confidence .80) elsewhere, or say what that would do."""
    from colonnade.engine.fit_run import set_cut as move
    from colonnade.tui.calibration_text import run_json

    return run_json(move(helper.store, code, cut, dry_run=dry_run), dry_run=dry_run)


def fit_attributes(
    helper: Helper,
    codes: Sequence[str] | None = None,
    method: str | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Fit attributes anew, or say what that would do."""
    from colonnade.engine.fit_run import fit_attributes as fit
    from colonnade.tui.calibration_text import run_json

    if method not in (None, "fixed", "auto", "labels"):
        raise InputError(f"{method[:40]!r}: the methods are fixed, auto and labels")
    run = fit(
        helper.store,
        codes,
        method,
        dry_run=dry_run,
        load=helper.load,
        progress=lambda done, total: helper.progress("fit", done, total),
    )
    return run_json(run, dry_run=dry_run)


def labels(helper: Helper, codes: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """What is labelled, per attribute."""
    from dataclasses import asdict

    from colonnade.engine.labels import list_labels

    store = helper.store
    return [asdict(row) for row in list_labels(store.snapshot(), store.vocabulary(), codes)]


def label(
    helper: Helper,
    code: str,
    image_id: int,
    present: bool | None,
    content_hash: str | None,
    reviewer: str = "",
) -> None:
    """Save what somebody says of one image, chosen by hand; `content_hash` is of the picture that was shown."""
    from colonnade.engine.calibration_store import base_attribute
    from colonnade.engine.review_answers import IMPORTED, Answer, save_answer

    base_attribute(helper.store.vocabulary(), code)
    if present is not None and not isinstance(present, bool):
        raise InputError("an answer is yes, no or unsure")
    answer = Answer(image_id, _reviewer(reviewer), present, None, IMPORTED, None)
    save_answer(helper.store, code, answer, content_hash)


def labels_worth(helper: Helper, codes: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Of which attribute one more label is worth most, that one first."""
    from dataclasses import asdict

    from colonnade.engine.review_worth import worth_by_attribute

    store = helper.store
    found = worth_by_attribute(store, store.snapshot(), store.vocabulary(), codes)
    return [
        {
            "code": item.code,
            "labels": item.labels,
            "worth": item.doubt.worth if item.doubt is not None else None,
            "doubt": asdict(item.doubt) if item.doubt is not None else None,
            "why": item.why,
        }
        for item in found
    ]


def review(
    helper: Helper,
    code: str,
    reviewer: str = "",
    audit: bool = False,
    restart: bool = False,
) -> dict[str, Any]:
    """The question to ask next of this reviewer and attribute, and what the answers show so far."""
    key = (code, _reviewer(reviewer), audit)
    if restart:
        helper.reviews.pop(key, None)
    current = _review(helper, key)
    return _asked(current, current.next())


def review_page(
    helper: Helper, code: str, reviewer: str = "", audit: bool = False, count: int = 24
) -> dict[str, Any]:
    """Several questions at once, for a page of thumbnails; each is answered by `review_answer`."""
    current = _review(helper, (code, _reviewer(reviewer), audit), fresh=True)
    questions = list(current.listing(max(1, min(count, 500)), own=False))
    return {"questions": [_question(question) for question in questions]} | _standing(current)


def review_answer(
    helper: Helper,
    code: str,
    question: dict[str, Any],
    present: bool | None,
    reviewer: str = "",
    audit: bool = False,
    ask: bool = True,
) -> dict[str, Any]:
    """Save an answer to a question that was asked; then (unless `ask` is false) the next question."""
    current = _review(helper, (code, _reviewer(reviewer), audit))
    if present is not None and not isinstance(present, bool):
        raise InputError("an answer is yes, no or unsure")
    try:
        asked = _as_question(code, question)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{code}: not a question that was asked") from None
    current.answer(asked, present)
    return _asked(current, current.next() if ask else None)


def review_back(
    helper: Helper, code: str, reviewer: str = "", audit: bool = False, steps: int = 1
) -> dict[str, Any]:
    """The question answered `steps` answers ago (1: the last one), with what was said; no question if there is none."""
    current = _review(helper, (code, _reviewer(reviewer), audit))
    answers = current.answers
    before = current.again(answers[-steps]) if 0 < steps <= len(answers) else None
    return _asked(current, before)


def _review(helper: Helper, key: _ReviewKey, *, fresh: bool = False) -> Review:
    """The review that goes on; a new one where none does, or the scores it was begun on are no more."""
    from colonnade.engine.review import Review

    code, reviewer, audit = key
    store = helper.store
    scores = tuple(file.name for file in store.snapshot().files("scores", code))
    held = helper.reviews.get(key)
    if fresh or held is None or held[0] != scores:
        held = (scores, Review(store, code, reviewer=reviewer, audit=audit))
        helper.reviews[key] = held
    found: Review = held[1]
    return found


def _reviewer(name: str) -> str:
    if not isinstance(name, str) or len(name) > MAX_REVIEWER or not name.isprintable():
        raise InputError(f"a reviewer's name has at most {MAX_REVIEWER} characters that can be printed")
    return name.strip()


def _asked(current: Review, question: Question | None) -> dict[str, Any]:
    return {"question": None if question is None else _question(question)} | _standing(current)


def _standing(current: Review) -> dict[str, Any]:
    from colonnade.tui.review_text import standing_json

    return {"label": current.attribute.label, "standing": standing_json(current.standing())}


def _question(question: Question) -> dict[str, Any]:
    from colonnade.tui.review_text import finite

    return {
        "image_id": question.image_id,
        "root": question.root,
        "path": question.path,
        "shown": question.shown,
        "file": str(question.file) if question.file is not None else None,
        "content_hash": question.content_hash,
        "above": finite(question.above),
        "policy": question.policy,
        "probability": question.probability,
        "said": None if question.said is None else {"present": question.said.present},
        "look": question.look,
    }


def _as_question(code: str, document: dict[str, Any]) -> Question:
    """The question that an answer is to, as far as saving it needs."""
    from colonnade.engine.review import Question

    content_hash, probability = document["content_hash"], document["probability"]
    return Question(
        code=code,
        image_id=int(document["image_id"]),
        root=None,
        path=str(document["path"]),
        file=None,
        content_hash=None if content_hash is None else str(content_hash),
        above=0.0,
        policy=str(document["policy"]),
        probability=None if probability is None else float(probability),
        look=document.get("look") is True,
    )


JUDGE_OPS: dict[str, Callable[..., Any]] = {
    "calibration_table": calibration_table,
    "calibration_receipt": calibration_receipt,
    "fit_in_force": fit_in_force,
    "set_cut": set_cut,
    "fit_attributes": fit_attributes,
    "labels": labels,
    "label": label,
    "labels_worth": labels_worth,
    "review": review,
    "review_page": review_page,
    "review_answer": review_answer,
    "review_back": review_back,
}
