"""What to say of an expression that the grammar refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colonnade.engine.expression_tree import FUNCTIONS, WORDS, ExpressionError

if TYPE_CHECKING:
    from lark.parsers.lalr_interactive_parser import InteractiveParser

__all__ = ["syntax_error"]

_EXPECTED = {
    **{name: f"`{word}`" for name, word in WORDS.items() if name not in ("TRUE", "FALSE")},
    "NAME": "a name",
    "OPERATOR": "a comparison",
    "NUMBER": "a number",
    "STRING": "text in single quotes",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "COMMA": "`,`",
    "$END": "the end",
}
_CHARACTER_HINTS = {
    "'": "the text has no closing quote",
    '"': "the quoted name has no closing quote",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    "%": "text patterns are written like '%.jpg'",
    "*": "there is no arithmetic here",
    ";": "one expression at a time",
}


def syntax_error(text: str, error: Any, state: InteractiveParser) -> ExpressionError:
    """The error for what lark raised in `state`, with the position and what could have stood there."""
    token = getattr(error, "token", None)
    if token is None:
        position = int(error.pos_in_stream)
        char = text[position]
        hint = _CHARACTER_HINTS.get(char, "see `colonnade query --help` for the language")
        if char.isdigit() or char in "+-.":
            return ExpressionError("not a number", text, position)
        return ExpressionError(f"unexpected {_shown(char)}; {hint}", text, position)
    accepted: set[str] = state.accepts()  # type: ignore[no-untyped-call]
    expected = [words for name, words in _EXPECTED.items() if name in accepted]
    at_end = token.type == "$END"
    position = len(text.rstrip()) if at_end else (token.start_pos or 0)
    what = "the expression ends too early" if at_end else f"unexpected {_shown(str(token))}"
    if "STRING" in accepted and token.type == "QUOTED":
        hint = f"text goes in single quotes: '{token[1:-1]}'"
    elif "STRING" in accepted and token.type == "_NULL":
        hint = "a missing value is asked for with `is null`"
    elif "STRING" in accepted and token.type == "NAME":
        hint = "names stand on the left of a comparison; text goes in single quotes"
    elif token.type == "LPAR" and "OPERATOR" in accepted:
        hint = f"the functions are {', '.join(FUNCTIONS)} and in_set"
    elif token.type.lstrip("_").lower() in WORDS.values() and "NAME" in accepted:
        hint = f'an attribute of this name is written "{token}"'
    else:
        hint = f"expected {_listed(expected)}"
    return ExpressionError(f"{what}; {hint}", text, position)


def _shown(text: str) -> str:
    short = text if len(text) <= 40 else text[:37] + "..."
    return '"' + "".join(char if char.isprintable() else f"U+{ord(char):04X}" for char in short) + '"'


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
