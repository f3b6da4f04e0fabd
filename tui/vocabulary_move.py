"""Putting an attribute elsewhere in its list: its lines move as they are, with the comments right above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from colonnade.engine.errors import InputError
from colonnade.engine.vocabulary import Attribute, Vocabulary, VocabularyError, parse_vocabulary

__all__ = ["move_attribute"]


def move_attribute(source: bytes, code: str, before: str | None, name: str) -> bytes:
    """The file with an attribute before another one of its list; None: at the end.

    Raises:
        InputError: no such attribute, the two are of different lists, or the file's layout cannot be moved by program.
    """
    vocabulary = parse_vocabulary(source, name)
    listed = _list_of(vocabulary, code)
    codes = [attribute.code for attribute in listed]
    if before is not None and before not in codes:
        raise InputError(
            f"{code} and {before} are of different lists; base and derived attributes do not mix"
        )
    if before == code:
        return source
    wanted = [other for other in codes if other != code]
    wanted.insert(wanted.index(before) if before is not None else len(wanted), code)
    if wanted == codes:
        return source
    moved = _rearranged(source.decode("utf-8"), listed, [codes.index(other) for other in wanted]).encode()
    try:
        found = parse_vocabulary(moved, name)
    except VocabularyError:
        found = None
    by_code = {attribute.code: replace(attribute, line=0) for attribute in vocabulary.attributes}
    if found is None or [replace(a, line=0) for a in _list_of(found, code)] != [by_code[c] for c in wanted]:
        raise InputError(f"{name}: its layout cannot be moved by program; move {code} by hand")
    if {a.code: replace(a, line=0) for a in found.attributes} != by_code:
        raise InputError(f"{name}: its layout cannot be moved by program; move {code} by hand")
    return moved


def _list_of(vocabulary: Vocabulary, code: str) -> Sequence[Attribute]:
    vocabulary.attribute(code)
    base = [attribute.code for attribute in vocabulary.base]
    return vocabulary.base if code in base else vocabulary.derived


def _rearranged(text: str, listed: Sequence[Attribute], order: Sequence[int]) -> str:
    """The text with the items of a block list in another order."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    starts = [_with_comments(lines, attribute.line - 1) for attribute in listed]
    ends = [*starts[1:], _end(lines, listed[-1].line - 1)]
    items = [lines[start:end] for start, end in zip(starts, ends, strict=True)]
    return "".join(
        [*lines[: starts[0]], *(line for place in order for line in items[place]), *lines[ends[-1] :]]
    )


def _with_comments(lines: Sequence[str], start: int) -> int:
    while start > 0 and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start


def _end(lines: Sequence[str], start: int) -> int:
    """The line after the last item: the next that is not further in than its dash."""
    dash = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    for number in range(start + 1, len(lines)):
        line = lines[number]
        if not line.strip():
            continue
        if len(line) - len(line.lstrip()) <= dash:
            break
        end = number + 1
    return end
