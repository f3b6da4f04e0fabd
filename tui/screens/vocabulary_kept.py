"""What was edited of the vocabulary, or begun, and not saved when the app ended: kept in the user's state folder."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from colonnade.engine.vocabulary_model import Rule
from colonnade.tui.screens.vocabulary_draft import Draft, Wording
from colonnade.tui.screens.vocabulary_work import RESTORED, Step
from colonnade.tui.sql_history import history_path

__all__ = ["forget_edits", "keep_edits", "kept_drafts", "kept_edits"]

_MAX_BYTES = 32 << 20
_MOST_DRAFTS = 1000
_LISTS = ("all_of", "any_of", "none_of")
_TEXTS = ("code", "label", "type", "accepted", "tentative")


def _path(store: Path) -> Path:
    return history_path(store).with_suffix(".vocabulary.json")


def keep_edits(store: Path, base: bytes, source: bytes, drafts: Sequence[Draft] = ()) -> None:
    """Write down what a vocabulary's file says, what it was edited to, what was begun; where that fails, it is lost."""
    path = _path(store)
    texts = {"base": base, "source": source}
    document: dict[str, Any] = {name: base64.b64encode(text).decode() for name, text in texts.items()}
    document["drafts"] = [_plain(draft) for draft in drafts]
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(document))
        fresh.replace(path)


def kept_edits(store: Path) -> Step | None:
    """The edits that were kept, as one step; None without any."""
    try:
        document = _document(store)
        values = {name: base64.b64decode(document[name]) for name in ("base", "source")}
    except (ValueError, KeyError, TypeError):
        return None
    return Step(RESTORED, values, "edits of last time") if values["base"] != values["source"] else None


def kept_drafts(store: Path) -> tuple[Draft, ...]:
    """What was begun and not finished; a file that is damaged holds none."""
    try:
        return tuple(_draft(plain) for plain in _document(store).get("drafts", ())[:_MOST_DRAFTS])
    except (ValueError, KeyError, TypeError):
        return ()


def forget_edits(store: Path) -> None:
    """There is nothing to keep any more."""
    with suppress(OSError):
        _path(store).unlink(missing_ok=True)


def _document(store: Path) -> Mapping[str, Any]:
    try:
        with _path(store).open("rb") as file:
            document = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _plain(draft: Draft) -> dict[str, Any]:
    rule = None if draft.rule is None else {name: getattr(draft.rule, name) for name in _LISTS}
    wordings = [[each.description, each.prompts] for each in draft.wordings]
    texts = {name: getattr(draft, name) for name in _TEXTS}
    return {"old": draft.old, **texts, "wordings": wordings, "chosen": draft.chosen, "rule": rule}


def _draft(plain: Mapping[str, Any]) -> Draft:
    """The draft that was written down.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    texts = [plain[name] for name in _TEXTS]
    wordings = tuple(Wording(*pair) for pair in plain["wordings"])
    rule = plain["rule"]
    if rule is not None:
        rule = Rule(*(tuple(rule[name]) for name in _LISTS))
        texts += rule.codes
    texts += [text for each in wordings for text in (each.description, each.prompts)]
    old, chosen = plain["old"], plain["chosen"]
    sound = isinstance(chosen, int) and 0 <= chosen < len(wordings) <= 2
    if not sound or not all(isinstance(text, str) for text in (*texts, old or "")):
        raise ValueError("not a draft")
    fields = dict(zip(_TEXTS, texts, strict=False))
    return Draft(old, **fields, wordings=wordings, chosen=chosen, rule=rule)
