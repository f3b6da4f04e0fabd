"""The vocabulary's file in the app: edits shown before they are saved, and saved unless it changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from colonnade.engine.errors import InputError
from colonnade.tui.session_base import SessionBase

if TYPE_CHECKING:
    from colonnade.engine.lint import Finding
    from colonnade.engine.vocabulary import Attribute, Fault, Rule, Vocabulary
    from colonnade.tui.session_rules import RuleDraft

__all__ = ["EDITS", "Edited", "VocabularyEdits"]


@dataclass(frozen=True)
class Edited:
    """What an edit makes of the vocabulary's file."""

    before: bytes
    """The file as it was edited; what `save_vocabulary` takes as `expected`."""
    after: bytes
    diff: tuple[str, ...]
    """Lines of a unified diff; text from outside, as everything is."""
    saved: bool


class VocabularyEdits(SessionBase):
    """Edits that keep the file's comments and order."""

    def vocabulary_source(self) -> bytes:
        """The file as it is now.

        Raises:
            InputError: it cannot be read.
            StoreError: it is missing.
        """
        from colonnade.engine.store import Store
        from colonnade.engine.vocabulary import read_source

        store = Store(self.path)
        if not store.vocabulary_path.exists():
            store.vocabulary()  # says what to do
        return read_source(store.vocabulary_path)

    def vocabulary_faults(self, source: bytes | None = None) -> tuple[Fault, ...]:
        """Everything that is wrong with the file (or with `source`), with lines and hints; empty if it is right."""
        from colonnade.engine.vocabulary import VocabularyError, parse_vocabulary

        try:
            parse_vocabulary(self.vocabulary_source() if source is None else source, "vocabulary.yaml")
        except VocabularyError as error:
            return error.faults
        return ()

    def lint(self) -> tuple[Finding, ...]:
        """Advice on the vocabulary that needs no model.

        Raises:
            VocabularyError: the file is wrong.
        """
        from colonnade.engine.lint import lint

        vocabulary = self.vocabulary()
        return tuple(lint(vocabulary, queries=tuple(self._now().saved.values())))

    def vocabulary(self) -> Vocabulary:
        """The user's vocabulary.

        Raises:
            VocabularyError: the file is wrong; every fault is named.
            StoreError: the file is missing.
        """
        state = self._now()
        if state.fault is not None:
            raise state.fault
        return state.vocabulary

    def edit_vocabulary(
        self, op: str, *, source: bytes | None = None, save: bool = True, **values: Any
    ) -> Edited:
        """Change the vocabulary's file, or (`save=False`) see what a change would make of it.

        Args:
            op: `add` (code, label, description, type, prompts, accepted, tentative or rule), `edit` (code and what
                changes; prompts=() and type="" take them away), `rename` (code, new), `duplicate` (code, new), `remove`
                (code, from_rules), `group` (codes, type), `move` (code, before: a code, or None for the end), `import`
                (other: a file, or a vocabulary that ships).
            source: what to change in the place of the file as it is now: handing on `after` makes one of several edits.

        Raises:
            InputError: the edit is wrong, in one line a fault.
            ConflictError: the file changed while it was edited; nothing was written.
        """
        edit = EDITS.get(op)
        if edit is None:
            raise InputError(f"{op!r}: not an edit; there are {', '.join(EDITS)}")
        before = self.vocabulary_source() if source is None else source
        after: bytes = edit(before, "vocabulary.yaml", **values)
        if save:
            self.save_vocabulary(before, after)
        old, new = (text.decode("utf-8", "replace").splitlines() for text in (before, after))
        diff = unified_diff(old, new, "vocabulary.yaml", "as edited", n=2, lineterm="")
        return Edited(before, after, tuple(diff), save)

    def save_vocabulary(self, expected: bytes, source: bytes) -> None:
        """Write the file, if it still says what was read from it.

        Raises:
            VocabularyError: `source` is not a valid vocabulary.
            ConflictError: the file changed since `expected` was read; nothing was written.
            StoreError: the disk refuses.
        """
        from colonnade.engine.vocabulary import parse_vocabulary
        from colonnade.engine.vocabulary_edit import save_vocabulary

        parse_vocabulary(source, "vocabulary.yaml")
        save_vocabulary(self.path / "vocabulary.yaml", expected, source)

    def draft_rule(self, text: str) -> RuleDraft:
        """An expression as the rule of a derived attribute, or what of it a rule cannot say."""
        from colonnade.tui.session_rules import draft_rule

        return draft_rule(self._names(), self.vocabulary(), text)

    def save_derived(
        self, code: str, text: str, *, label: str = "", description: str = "", type: str | None = None
    ) -> Rule:
        """Add an attribute that is derived by what an expression says; gives its rule.

        Raises:
            InputError: a rule cannot say it, the code is taken or no code.
            ConflictError: the file changed meanwhile.
        """
        draft = self.draft_rule(text)
        if draft.rule is None:
            raise InputError(draft.problems[0])
        self.edit_vocabulary(
            "add",
            code=code,
            label=label or code.replace("_", " ").capitalize(),
            description=description or f"Where {' '.join(text.split())}"[:500],
            type=type,
            rule=draft.rule,
        )
        return draft.rule

    def save_query(self, name: str, text: str) -> None:
        """Keep an expression as `@name`, in the place of an earlier one of that name.

        Raises:
            InputError: not a usable name, or it would use itself.
            ExpressionError: the expression is wrong.
            StoreError: the file cannot be written.
        """
        from colonnade.engine.queries_file import save_query

        self._names().bound(text)
        save_query(self.path, name, text if text.strip() else "true")


def _add(
    source: bytes,
    name: str,
    *,
    code: str,
    description: str,
    label: str = "",
    type: str | None = None,
    prompts: Sequence[str] = (),
    accepted: float | None = None,
    tentative: float | None = None,
    rule: Rule | None = None,
) -> bytes:
    from colonnade.engine.vocabulary import BaseAttribute, DerivedAttribute, Thresholds, parse_vocabulary
    from colonnade.engine.vocabulary_edit import add_attributes

    default = parse_vocabulary(source, name).thresholds
    label = label or code.replace("_", " ").capitalize()
    attribute: Attribute
    if rule is not None:
        attribute = DerivedAttribute(code, label, description, type or None, rule)
    else:
        own = Thresholds(
            default.accepted if accepted is None else accepted,
            default.tentative if tentative is None else tentative,
        )
        attribute = BaseAttribute(code, label, description, type or None, tuple(prompts) or None, own)
    return add_attributes(source, [attribute], name)


def _edit(source: bytes, name: str, *, code: str, **changes: Any) -> bytes:
    from colonnade.engine.vocabulary_edit import Changes, edit_attribute

    if isinstance(changes.get("prompts"), list):
        changes["prompts"] = tuple(changes["prompts"])
    try:
        wanted = Changes(**changes)
    except TypeError as error:
        raise InputError(f"{code}: {error}") from None
    return edit_attribute(source, code, wanted, name)


def _rename(source: bytes, name: str, *, code: str, new: str) -> bytes:
    from colonnade.engine.vocabulary_edit import rename_attribute

    return rename_attribute(source, code, new, name)


def _duplicate(source: bytes, name: str, *, code: str, new: str) -> bytes:
    from dataclasses import replace

    from colonnade.engine.vocabulary import parse_vocabulary
    from colonnade.engine.vocabulary_edit import add_attributes

    attribute = parse_vocabulary(source, name).attribute(code)
    return add_attributes(source, [replace(attribute, code=new, label=f"{attribute.label} (copy)")], name)


def _remove(source: bytes, name: str, *, code: str, from_rules: bool = False) -> bytes:
    from colonnade.engine.vocabulary_edit import remove_attribute

    return remove_attribute(source, code, name, from_rules=from_rules)


def _group(source: bytes, name: str, *, codes: Sequence[str], type: str) -> bytes:
    for code in codes:
        source = _edit(source, name, code=code, type=type)
    return source


def _move(source: bytes, name: str, *, code: str, before: str | None) -> bytes:
    from colonnade.tui.vocabulary_move import move_attribute

    return move_attribute(source, code, before, name)


def _import(source: bytes, name: str, *, other: str) -> bytes:
    from colonnade.engine.vocabulary import parse_vocabulary, vocabulary_source
    from colonnade.engine.vocabulary_edit import import_vocabulary

    theirs, their_name = vocabulary_source(other)
    return import_vocabulary(source, parse_vocabulary(theirs, their_name), name).source


EDITS: dict[str, Callable[..., bytes]] = {
    "add": _add,
    "edit": _edit,
    "rename": _rename,
    "duplicate": _duplicate,
    "remove": _remove,
    "group": _group,
    "move": _move,
    "import": _import,
}
"""Edits by name; each takes the file's bytes, what messages call it, and values by name."""
