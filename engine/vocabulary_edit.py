"""Edits of a vocabulary file that keep the user's comments, order and layout.

Every edit takes the file's bytes and returns new ones, so that it can be shown as a diff before it is saved.
An edit is tried in place; what comes out must read back as just the vocabulary that was meant, else the file
goes through ruamel.yaml, and where that fails too the edit is refused. Only `save_vocabulary` writes.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from colonnade.engine.durable import atomic_write, store_errors
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.vocabulary import (
    Attribute,
    BaseAttribute,
    DerivedAttribute,
    Vocabulary,
    VocabularyError,
    parse_vocabulary,
)
from colonnade.engine.vocabulary_change import (
    Changes,
    changed,
    cleaned,
    differences,
    fields,
    mapped,
    rebased,
    renamer,
)
from colonnade.engine.vocabulary_splice import Text, UnusualLayoutError

__all__ = [
    "Changes",
    "Imported",
    "add_attributes",
    "edit_attribute",
    "import_vocabulary",
    "remove_attribute",
    "rename_attribute",
    "save_vocabulary",
]

_BOM = b"\xef\xbb\xbf"
_LOCK_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Imported:
    """What importing a vocabulary came to."""

    source: bytes
    added: tuple[str, ...]
    identical: tuple[str, ...]
    conflicts: tuple[str, ...]
    """Codes that say something else in the two files; the file imported into keeps its own."""


def add_attributes(source: bytes, attributes: Sequence[Attribute], name: str) -> bytes:
    """The file with attributes added, each at the end of its list; rules may name one another.

    Raises:
        InputError: a code is taken, a rule names an unknown code, or some text is not allowed.
    """
    before = parse_vocabulary(source, name)
    attributes = [cleaned(attribute) for attribute in attributes]
    for attribute in attributes:
        if attribute.code in before:
            line = before.attribute(attribute.code).line
            raise InputError(
                f"{name}:{line}: {attribute.code} is there already; edit it, or choose another code"
            )
    base = tuple(a for a in attributes if isinstance(a, BaseAttribute))
    derived = tuple(a for a in attributes if isinstance(a, DerivedAttribute))
    wanted = replace(before, base=(*before.base, *base), derived=(*before.derived, *derived))

    def edit(text: Text) -> Text:
        text = text.append("base_attributes", [fields(a, before.thresholds) for a in base])
        return text.append("derived_attributes", [fields(a, before.thresholds) for a in derived])

    return _edited(source, wanted, name, edit)


def edit_attribute(source: bytes, code: str, changes: Changes, name: str) -> bytes:
    """The file with some fields of one attribute changed.

    Raises:
        InputError: no such attribute, a field that its kind does not have, or a value that is not allowed.
    """
    before = parse_vocabulary(source, name)
    attribute = before.attribute(code)
    fresh = cleaned(changed(attribute, changes, before.thresholds))
    wanted = replace(
        before,
        base=tuple(fresh if a.code == code and isinstance(fresh, BaseAttribute) else a for a in before.base),
        derived=tuple(
            fresh if a.code == code and isinstance(fresh, DerivedAttribute) else a for a in before.derived
        ),
    )

    def edit(text: Text) -> Text:
        for path, value in differences(attribute, fresh, changes):
            text = text.set(code, path, value)
        return text

    return _edited(source, wanted, name, edit)


def rename_attribute(source: bytes, old: str, new: str, name: str) -> bytes:
    """The file with another code for an attribute, in the rules that name it as well.

    Raises:
        InputError: no such attribute, or the new code is taken, no code, or the one it has.
    """
    before = parse_vocabulary(source, name)
    line = before.attribute(old).line
    if new == old:
        raise InputError(f"{name}:{line}: {old} is its code already; nothing was renamed")
    if new in before:
        raise InputError(f"{name}:{before.attribute(new).line}: {new} is there already; choose another code")
    codes = renamer(old, new)
    wanted = replace(
        before,
        base=tuple(replace(a, code=codes((a.code,))[0]) for a in before.base),
        derived=tuple(
            replace(a, code=codes((a.code,))[0], rule=mapped(a.rule, codes)) for a in before.derived
        ),
    )
    return _edited(source, wanted, name, lambda text: text.rename(old, new), {new: old})


def remove_attribute(source: bytes, code: str, name: str, *, from_rules: bool = False) -> bytes:
    """The file without an attribute. Comments outside the attribute stay.

    Args:
        from_rules: take it out of the rules that name it; otherwise such rules are an error.

    Raises:
        InputError: no such attribute, a rule names it, or a rule would be left without conditions.
    """
    before = parse_vocabulary(source, name)
    before.attribute(code)
    users = [user for user in before.users(code) if user != code]
    if users and not from_rules:
        listed = ", ".join(users)
        raise InputError(
            f"{code} is used by the rule of {listed}; change those first, or remove it from rules too (--from-rules)"
        )

    def without(codes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(other for other in codes if other != code)

    derived = tuple(replace(a, rule=mapped(a.rule, without)) for a in before.derived if a.code != code)
    for attribute in derived:
        if not attribute.rule.codes:
            raise InputError(
                f"the rule of {attribute.code} has no condition but {code}; remove {attribute.code} first"
            )
    wanted = replace(before, base=tuple(a for a in before.base if a.code != code), derived=derived)

    def edit(text: Text) -> Text:
        for user in users:
            text = text.drop_from_rule(user, code)
        return text.remove(code)

    return _edited(source, wanted, name, edit)


def import_vocabulary(source: bytes, other: Vocabulary, name: str) -> Imported:
    """The file with the attributes of another vocabulary that it does not have yet.

    An attribute that says the same in both is skipped, one that says something else is a conflict and is left
    as it is here. Own thresholds come along; the other file's defaults and templates do not.

    Raises:
        InputError: the result would not be a valid vocabulary, for example because of a cycle of rules.
    """
    mine = parse_vocabulary(source, name)
    added: list[Attribute] = []
    identical: list[str] = []
    conflicts: list[str] = []
    for code in other.codes:
        theirs = other.attribute(code)
        if code not in mine:
            added.append(rebased(theirs, other.thresholds, mine.thresholds))
        elif fields(theirs, other.thresholds) == fields(mine.attribute(code), mine.thresholds):
            identical.append(code)
        else:
            conflicts.append(code)
    fresh = add_attributes(source, added, name) if added else source
    return Imported(fresh, tuple(a.code for a in added), tuple(identical), tuple(conflicts))


def save_vocabulary(path: Path, expected: bytes, source: bytes) -> None:
    """Replace a vocabulary file atomically, if it still says what was read from it.

    Raises:
        ConflictError: the file changed since `expected` was read; nothing is written.
        StoreError: the disk refuses.
    """
    if source == expected:
        return
    with store_errors(path), _folder_lock(path.resolve().parent):
        atomic_write(path, source, expected=expected)


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Hold off other edits between comparing and replacing. Leaves no file behind."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(f"{folder}: locked by another edit; wait for it and try again") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _edited(
    source: bytes,
    wanted: Vocabulary,
    name: str,
    edit: Callable[[Text], Text],
    renamed: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes that say what is wanted: edited in place, else by ruamel.yaml.

    Raises:
        VocabularyError: what is wanted is not a valid vocabulary.
        InputError: it is, but the file's layout defeats both ways.
    """
    from colonnade.engine.vocabulary_reconcile import reconcile

    bom = _BOM if source.startswith(_BOM) else b""
    text = source.removeprefix(_BOM).decode("utf-8")
    faults: VocabularyError | None = None

    def attempts() -> Iterable[str | None]:
        try:
            yield edit(Text(text)).text
        except UnusualLayoutError:
            yield None
        yield reconcile(text, wanted, renamed or {})

    for attempt in attempts():
        if attempt is None:
            continue
        fresh = bom + attempt.encode("utf-8")
        try:
            if _meaning(parse_vocabulary(fresh, f"{name} as edited")) == _meaning(wanted):
                return fresh
        except VocabularyError as error:
            faults = faults or error
    if faults is not None:
        raise faults
    raise InputError(
        f"{name}: its layout cannot be edited by program (anchors, odd nesting); edit it by hand"
    )


def _meaning(vocabulary: Vocabulary) -> tuple[object, ...]:
    """What a vocabulary says, apart from where it says it."""
    return (
        vocabulary.thresholds,
        vocabulary.templates,
        tuple(replace(attribute, line=0) for attribute in vocabulary.base),
        tuple(replace(attribute, line=0) for attribute in vocabulary.derived),
    )
