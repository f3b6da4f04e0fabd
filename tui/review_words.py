"""What the answers of a review show, for the app's review screen, from the JSON of a standing.

Keys stand in the texts as `keys.with_keys` has them.
"""

from __future__ import annotations

from typing import Any

from colonnade.tui.amounts import count_of

__all__ = ["done_words", "place_words", "standing_words"]

_SAID = {True: "yes", False: "no", None: "unsure"}


def standing_words(standing: dict[str, Any], *, audit: bool) -> tuple[str, str]:
    """(labels, precision and recall so far; what one more label would be worth)."""
    parts = [f"{standing['labels']:,} settled: {standing['yes']:,} yes, {standing['no']:,} no"]
    parts += [f"{standing[name]:,} {name}" for name in ("unsettled", "disputed") if standing[name]]
    found = standing["audit"]
    if found["audited"]:
        recall = _interval(found["recall"]) if found["recall"] else "not known yet"
        parts.append(f"precision {_interval(found['precision'])}  recall {recall}")
    else:
        parts.append(
            "precision and recall: not known yet"
            if audit
            else "an audit ({review.audit:a}) shows precision and recall"
        )
    return "   ".join(parts), _worth(standing, audit=audit)


def _worth(standing: dict[str, Any], *, audit: bool) -> str:
    width, doubt = standing["width_after_one_more"], standing["in_doubt"]
    if audit:
        if width is None:
            return "nothing is accepted: there is no precision to know"
        precision = standing["audit"]["precision"]
        now = precision["high"] - precision["low"] if precision else 1.0
        return f"one more label: precision's 90 % interval from {now:.2f} to about {width:.2f} wide"
    if not doubt["now"]:
        return "no image is in doubt"
    after = doubt["after_one_more"]
    open_ = f"in doubt (the cut may lie on either side): {count_of(doubt['now'], 'image')}"
    return f"{open_}; after one more label {after:,.0f}"


def done_words(standing: dict[str, Any], answered: int, *, exhausted: bool) -> str:
    """What to do when the budget is used up, or nothing is left to ask."""
    what = "nothing is left to ask" if exhausted else f"{count_of(answered, 'answer')} given"
    more = "" if exhausted else ", {review.more:+} asks ten more"
    more += ", {review.next_attribute:N} goes where a label is worth most"
    if standing["ready"]:
        return f"{what}: {{review.fit:f}} moves the cut by the labels{more}"
    need = "the cut needs two labels of each kind, or five in all"
    return f"{what}; {need}{more}"


def place_words(question: dict[str, Any], answered: int, budget: int) -> str:
    """Which question it is."""
    said = question.get("said")
    if said and question.get("look"):
        return f"look again: you said {_SAID[said['present']]}"
    if said:
        return f"again: you said {_SAID[said['present']]}"
    return f"{answered + 1} of {budget}"


def _interval(estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return "-"
    value, low, high = (_share(estimate[name]) for name in ("value", "low", "high"))
    return f"{value} ({low}-{high})"


def _share(value: float) -> str:
    return "1.00" if value >= 0.995 else f"{value:.2f}"[1:]
