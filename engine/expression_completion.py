"""What may be typed next in an expression."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from colonnade.engine.columns import IMAGE_COLUMNS, IMAGE_VALUES, STATUSES
from colonnade.engine.expression import grammar
from colonnade.engine.expression_tree import FUNCTIONS, KEYWORDS, MAX_CHARACTERS, WORDS

if TYPE_CHECKING:
    from lark import Token

__all__ = ["Completions", "complete"]


@dataclass(frozen=True, slots=True)
class Completions:
    """What may stand at a place in an expression."""

    start: int
    """Where the word begins that an option replaces."""
    options: tuple[str, ...]
    """Whole words, names first."""


def complete(
    text: str,
    codes: Collection[str],
    sets: Collection[str] = (),
    saved: Collection[str] = (),
    *,
    selections: Collection[str] = (),
    position: int | None = None,
) -> Completions:
    """What can be typed at `position` (default: the end of `text`), given what stands before it."""
    before = text[:position]
    word = re.search(r"([^\W\d]\w*)?$", before)
    start = word.start() if word else len(before)
    if len(before) > MAX_CHARACTERS:
        return Completions(start, ())
    from lark import UnexpectedInput

    state = grammar().parse_interactive(before[:start])
    try:
        tokens = list(state.iter_parse())
    except UnexpectedInput:
        return Completions(start, ())
    typed = before[start:].lower()
    accepted: set[str] = state.accepts()  # type: ignore[no-untyped-call]
    names = _names(accepted, tokens, codes, sets, saved, selections)
    options = [*names, *_words(accepted, tokens, bool(selections))]
    return Completions(start, tuple(option for option in options if option.lower().startswith(typed)))


def _names(
    accepted: set[str],
    tokens: list[Token],
    codes: Collection[str],
    sets: Collection[str],
    saved: Collection[str],
    selections: Collection[str],
) -> Iterator[str]:
    if "NAME" not in accepted:
        return
    types = [token.type for token in tokens]
    if types[-1:] == ["AT"]:
        yield from sorted(saved)
    elif types[-2:] == ["_IN_SET", "LPAR"]:
        yield from sorted(sets)
    elif types[-2:] == ["_IN_SELECTION", "LPAR"]:
        yield from sorted(selections)
    else:
        yield from (f'"{code}"' if code in KEYWORDS else code for code in codes)
        if types[-2:] != ["FUNCTION", "LPAR"]:
            yield from IMAGE_COLUMNS


def _words(accepted: set[str], tokens: list[Token], selected: bool) -> Iterator[str]:
    if "STRING" in accepted:
        yield from (f"'{value}'" for value in _values(tokens))
    if "FUNCTION" in accepted:
        yield from (f"{function}(" for function in FUNCTIONS)
        yield "in_set("
        if selected:
            yield "in_selection("
    yield from (word for name, word in WORDS.items() if name in accepted)
    if "OPERATOR" in accepted:
        yield from (">=", "<=", ">", "<", "=", "!=")


def _values(tokens: list[Token]) -> tuple[str, ...]:
    """What the last operand may be compared with, where that is one of few words."""
    if _compares_status(tokens):
        return STATUSES
    names = [token for token in tokens if token.type in ("NAME", "QUOTED")]
    return IMAGE_VALUES.get(names[-1].lower(), ()) if names and names[-1].type == "NAME" else ()


def _compares_status(tokens: list[Token]) -> bool:
    """Whether the last operand is `status(name)`: no other name stands after it."""
    names = [index for index, token in enumerate(tokens) if token.type in ("NAME", "QUOTED")]
    return bool(names) and names[-1] >= 2 and tokens[names[-1] - 2].lower() == "status"
