"""How one definition of a score differs from another, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from colonnade.engine.provenance import Definition, why_stale

__all__ = ["definition_change"]

Known = Mapping[str, Mapping[str, Any]]
_MAX_INPUTS = 3


def definition_change(old: str | None, new: str | None, known: Known, depth: int = 3) -> str:
    """Why scores of definition `new` are not those of `old`: "thresholds changed (accepted 0.8 -> 0.7)".

    Args:
        known: the definitions of both snapshots.
        depth: through how many derived attributes the inputs' changes are told; a damaged table may hold circles.
    """
    now = known.get(new or "")
    if now is None:
        return "definition unknown"
    wanted = Definition(str(new), {"fit": None, "rule": None, **now})
    logit = str(now.get("logit"))
    behind = Definition(logit, {"model": None, "prompts": None, **known.get(logit, {})})
    why = why_stale(old, wanted, known, None if now.get("kind") == "derived" else behind)
    if why is None:
        return "the same definition"
    details = _details(known.get(old or "", {}), now, known, why, depth)
    return f"{why} ({details})" if details else why


def _details(old: Mapping[str, Any], new: Mapping[str, Any], known: Known, why: str, depth: int) -> str:
    if why in ("calibration changed", "background changed"):
        return _fit(old.get("fit"), new.get("fit"))
    if why == "thresholds changed":
        return _fields(old.get("thresholds"), new.get("thresholds"))
    if why == "rule changed":
        return _rule(old.get("rule"), new.get("rule"))
    if why == "inputs changed":
        return _inputs(old.get("inputs"), new.get("inputs"), known, depth) if depth else ""
    before, after = known.get(str(old.get("logit")), {}), known.get(str(new.get("logit")), {})
    if why == "prompt changed":
        return _prompts(_words(before.get("prompts")), _words(after.get("prompts")))
    if why == "model changed":
        return f"{before.get('model')} -> {after.get('model')}"
    if why == "model settings changed":
        names = ("logit_scale", "logit_bias")
        return _fields({n: before.get(n) for n in names}, {n: after.get(n) for n in names})
    return ""


def _fields(old: object, new: object) -> str:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return ""
    names = dict.fromkeys((*old, *new))
    changed = [name for name in names if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {_short(old.get(name))} -> {_short(new.get(name))}" for name in changed)


def _fit(old: object, new: object) -> str:
    """What differs of two fits; of an axis or a background only that it is another."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return ""
    others = [f"another {n}" for n in ("axis", "background") if n in old and n in new and old[n] != new[n]]
    plain = [{k: v for k, v in fit.items() if k not in ("axis", "background")} for fit in (old, new)]
    return ", ".join(filter(None, [*others, _fields(*plain)]))


def _rule(old: object, new: object) -> str:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return ""
    said = []
    for name in ("all_of", "any_of", "none_of"):
        before, after = _words(old.get(name)), _words(new.get(name))
        marks = [*(f"+{w}" for w in after if w not in before), *(f"-{w}" for w in before if w not in after)]
        if marks:
            said.append(f"{name} {' '.join(marks)}")
    return ", ".join(said)


def _prompts(before: Sequence[str], after: Sequence[str]) -> str:
    gone = [prompt for prompt in before if prompt not in after]
    come = [prompt for prompt in after if prompt not in before]
    if len(gone) == len(come) == 1:
        return f"{_short(gone[0])} -> {_short(come[0])}"
    if not gone and not come:
        return "their order or number"
    return ", ".join(
        part
        for part in (f"{len(come)} added" if come else "", f"{len(gone)} removed" if gone else "")
        if part
    )


def _inputs(old: object, new: object, known: Known, depth: int) -> str:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return ""
    changed = [code for code in new if old.get(code) != new.get(code)]
    said = []
    for code in changed[:_MAX_INPUTS]:
        before, after = old.get(code), new.get(code)
        if before is None or after is None:
            said.append(f"{code}: {'scored now' if before is None else 'not scored'}")
        else:
            said.append(f"{code}: {definition_change(str(before), str(after), known, depth - 1)}")
    if len(changed) > _MAX_INPUTS:
        said.append(f"{len(changed) - _MAX_INPUTS} more")
    return "; ".join(said)


def _words(value: object) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list) else []


def _short(value: object) -> str:
    text = (
        f"{value:.6g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)
    )
    return text if len(text) <= 60 else text[:59] + "…"
