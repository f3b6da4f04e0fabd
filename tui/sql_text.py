"""SQL as it is being typed: its tokens, what may come next, and where DuckDB says it is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["KEYWORDS", "Completion", "Names", "Token", "complete", "place_of_error", "tokens"]

Kind = Literal["keyword", "function", "name", "quoted", "number", "string", "comment", "operator"]

MAX_CHARACTERS = 50_000
"""Longer texts are neither coloured nor completed."""

KEYWORDS = tuple(
    """
    SELECT FROM WHERE GROUP BY ORDER HAVING LIMIT OFFSET JOIN LEFT RIGHT FULL INNER OUTER CROSS ON USING AS AND OR NOT
    IN IS NULL LIKE ILIKE BETWEEN CASE WHEN THEN ELSE END WITH RECURSIVE UNION ALL EXCEPT INTERSECT DISTINCT ASC DESC
    NULLS FIRST LAST OVER PARTITION WINDOW ROWS RANGE QUALIFY FILTER EXISTS TRUE FALSE CAST VALUES TABLE DESCRIBE
    SUMMARIZE SHOW EXPLAIN ANALYZE SAMPLE PIVOT UNPIVOT INTERVAL ESCAPE ANTI SEMI ASOF POSITIONAL NATURAL EXCLUDE
    REPLACE
    """.split()  # noqa: SIM905 (a list of words is read faster)
)
FUNCTIONS = tuple(
    """
    abs any_value approx_count_distinct arg_max arg_min array_agg avg bool_and bool_or ceil coalesce concat contains
    corr count date_part date_trunc dense_rank first floor greatest histogram if ifnull json_extract lag last lead
    least length list list_cosine_similarity list_inner_product ln lower max median min mode nullif ntile
    quantile_cont rank regexp_extract regexp_matches replace round row_number sqrt starts_with stddev strftime
    string_agg substring sum trim upper year
    """.split()  # noqa: SIM905
)
_RESERVED = frozenset(
    """
    all analyse analyze and any array as asc both case cast check collate column constraint create default desc
    describe distinct do else end except false fetch for foreign from group having in initially intersect into lambda
    lateral leading limit not null offset on only or order pivot placing primary qualify references returning select
    show some summarize symmetric table then to trailing true union unique unpivot using variadic when where window
    with
    """.split()  # noqa: SIM905
)
_WORDS = frozenset(KEYWORDS)
_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<string>[eE]?'(?:[^']|'')*(?:'|\Z)|\$\$.*?(?:\$\$|\Z))
  | (?P<quoted>"(?:[^"]|"")*(?:"|\Z))
  | (?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<name>[^\W\d]\w*)
  | (?P<operator>[^\w\s'"])
    """,
    re.VERBOSE | re.DOTALL,
)
_ALIAS = re.compile(r"\b(?:from|join|,)\s*(\w+)(?:\s+(?:as\s+)?(\w+))?", re.IGNORECASE)
_WORD = re.compile(r"(?:(\w+)\.)?(\w*)\Z")
_UNKNOWN = re.compile(r"(?:with name |[Cc]olumn |[Aa]lias )\"?(\w+)\"?")
_PLACE = re.compile(r"^LINE (\d+): ?(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text; what is not closed reaches to the end."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Names:
    """What a statement may name."""

    views: dict[str, tuple[str, ...]]
    """View -> its columns."""
    codes: tuple[str, ...] = ()
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Columns of few values, with them: they are offered inside a string that is compared with the column."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What may stand where the cursor is, instead of the text from `start` to it."""

    start: int
    choices: tuple[str, ...]


def tokens(text: str) -> list[Token]:
    """The tokens of a text, white space left out; never fails."""
    found = []
    for match in _TOKEN.finditer(text[:MAX_CHARACTERS]):
        kind: Kind = match.lastgroup  # type: ignore[assignment]
        if kind == "name":
            word = match.group()
            if word.upper() in _WORDS:
                kind = "keyword"
            elif text[match.end() : match.end() + 1] == "(":
                kind = "function"
        found.append(Token(kind, match.start(), match.end()))
    return found


def complete(text: str, cursor: int, names: Names) -> Completion:
    """What may be typed at `cursor`, likeliest first; at most 50. Nothing inside comments."""
    before = text[:cursor]
    if len(text) > MAX_CHARACTERS:
        return Completion(cursor, ())
    inside = next((token for token in tokens(text) if token.start < cursor <= token.end), None)
    if inside is not None and inside.kind == "comment":
        return Completion(cursor, ())
    if inside is not None and inside.kind == "string" and _is_open(text, inside, cursor):
        return _in_string(before, inside.start + 1, names)
    if inside is not None and inside.kind == "quoted":
        typed, start = before[inside.start + 1 :], inside.start
        return Completion(start, _matching(typed, [f'"{name}"' for name in _columns(text, names)]))
    match = _WORD.search(before)
    assert match is not None  # it matches the empty text
    typed = match[2]
    start = cursor - len(typed)
    if match[1] is not None:
        view = _aliases(text, names).get(match[1].lower())
        return Completion(
            start, _matching(typed, [_quoted(name) for name in names.views.get(view or "", ())])
        )
    if inside is not None and inside.kind == "number":
        return Completion(cursor, ())
    words = [before[token.start : token.end].upper() for token in tokens(before[:start])[-1:]]
    views, columns = list(names.views), [_quoted(name) for name in _columns(text, names)]
    if words and words[0] in ("FROM", "JOIN", "TABLE", "DESCRIBE", "SUMMARIZE"):
        return Completion(start, _matching(typed, [*views, *(["("] if not typed else [])]))
    if not typed and not words:
        return Completion(start, ("SELECT", "FROM", "WITH", "DESCRIBE", "SUMMARIZE", "SHOW", "EXPLAIN"))
    keywords = [word.lower() if typed.islower() else word for word in KEYWORDS]
    functions = [f"{name}(" for name in FUNCTIONS] if typed else []
    return Completion(start, _matching(typed, [*columns, *keywords, *functions, *views]))


def _is_open(text: str, token: Token, cursor: int) -> bool:
    """Whether the cursor is inside a string, not behind its end."""
    whole = text[token.start : token.end]
    return cursor < token.end or len(whole) < 2 or not whole.endswith("'")


def _in_string(before: str, start: int, names: Names) -> Completion:
    around = before[: start - 1].lower()
    typed = before[start:]
    for column, values in (("attribute_code", names.codes), *names.values):
        if re.search(rf"\b{column}\"?\s*(?:=|<>|!=|(?:not\s+)?in\s*\([^()]*)\s*\Z", around):
            return Completion(start, _matching(typed, list(values)))
    return Completion(start, ())


def _aliases(text: str, names: Names) -> dict[str, str]:
    """Lower-case name in the statement -> view."""
    found = {view.lower(): view for view in names.views}
    for match in _ALIAS.finditer(text):
        view = found.get(match[1].lower())
        if view is not None and match[2] and match[2].upper() not in _WORDS:
            found[match[2].lower()] = view
    return found


def _columns(text: str, names: Names) -> list[str]:
    """The columns of the views that the text names, of all of them while it names none."""
    words = {match.lower() for match in re.findall(r"\w+", text)}
    views = [view for view in names.views if view in words] or list(names.views)
    return list(dict.fromkeys(column for view in views for column in names.views[view]))


def _quoted(name: str) -> str:
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in _RESERVED
    return name if plain else '"' + name.replace('"', '""') + '"'


def _matching(typed: str, choices: Sequence[str]) -> tuple[str, ...]:
    wanted = typed.lower()
    heads = [each for each in choices if each.lower().lstrip('"').startswith(wanted)]
    inner = [each for each in choices if len(wanted) > 1 and wanted in each.lower() and each not in heads]
    return tuple(dict.fromkeys(each for each in (*heads, *inner) if each.lower() != wanted))[:50]


def place_of_error(message: str, text: str) -> tuple[int, int, int] | None:
    """Row, first column and the column after the last, from 0, of what DuckDB's message is about, if it says so.

    It underlines the place below an excerpt of the line, or it names what it does not know.
    """
    match = _PLACE.search(message)
    carets = message[match.end() + 1 :].split("\n", 1)[0] if match else ""
    lines = text.split("\n")
    if match is None or carets.strip("^ ") != "" or "^" not in carets or not 0 < int(match[1]) <= len(lines):
        return _place_of_name(message, text)
    line = lines[int(match[1]) - 1]
    at = line.find(match[2].removeprefix("...").removesuffix("..."))
    if at < 0:
        return None
    cut = 3 if match[2].startswith("...") else 0
    start = at + carets.index("^") - len(f"LINE {match[1]}: ") - cut
    start = min(max(0, start), len(line))
    return int(match[1]) - 1, start, min(start + carets.count("^"), len(line))


def _place_of_name(message: str, text: str) -> tuple[int, int, int] | None:
    match = _UNKNOWN.search(message)
    for token in tokens(text) if match else ():
        word = text[token.start : token.end]
        if (
            match
            and token.kind in ("name", "quoted", "function")
            and word.strip('"').lower() == match[1].lower()
        ):
            before = text[: token.start]
            column = token.start - (before.rfind("\n") + 1)
            return before.count("\n"), column, column + len(word)
    return None
