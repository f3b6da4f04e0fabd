"""What can be done to one attribute, or to several that are marked; each becomes an edit that is not saved yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from colonnade.engine.vocabulary_model import BaseAttribute, Rule
from colonnade.tui.screens.vocabulary_list import VocabularyList
from colonnade.tui.screens.vocabulary_work import Step

if TYPE_CHECKING:
    from colonnade.engine.vocabulary import Vocabulary

__all__ = ["VocabularyActions"]


class VocabularyActions(VocabularyList):
    """Add, edit, rename, duplicate, remove, group, reorder, import."""

    # one attribute

    def _named(self) -> str | None:
        """The attribute under the cursor, or the word that there is none."""
        code = self.code
        if code is None:
            faulty = self.work is not None and self.work.vocabulary is None
            self._nothing(
                "the file has faults: mend them first ({vocabulary.editor:E})"
                if faulty
                else "no attribute here: {vocabulary.add:a} adds one"
            )
        elif self.work is not None and self.work.attribute(code) is None:
            self.warn(f"{code}: no longer in the vocabulary; `colonnade drop {code}` removes its scores")
            return None
        return code

    def action_edit(self) -> None:
        if (code := self._named()) is not None:
            self.edit(code)

    def action_add(self) -> None:
        self.add()

    def action_derive(self) -> None:
        vocabulary = self._vocabulary()
        codes = [code for code in vocabulary.codes if code in self.marked] if vocabulary else []
        self.add(Rule(all_of=tuple(codes)))

    def action_rename(self) -> None:
        if (code := self._named()) is not None:
            self.ask(f"another code for {code}", partial(self._rename, code), value=code)

    def _rename(self, code: str, new: str) -> None:
        new = new.strip()
        if not new or new == code:
            return
        was_marked = code in self.marked

        def made() -> None:
            self.renamed(code, new)
            if was_marked:
                self.marked.add(new)
                self.table.redraw()

        self.add_steps([Step("rename", {"code": code, "new": new}, f"rename {code} to {new}", new)], made)

    def action_duplicate(self) -> None:
        if (code := self._named()) is not None:
            self.ask(f"a copy of {code}, under the code", partial(self._duplicate, code), value=f"{code}_2")

    def _duplicate(self, code: str, new: str) -> None:
        if new := new.strip():
            self.add_steps([Step("duplicate", {"code": code, "new": new}, f"copy {code} to {new}", new)])

    def action_shift(self, step: int) -> None:
        code, vocabulary = self._named(), self._vocabulary()
        if code is None or vocabulary is None:
            return
        if self.sorting is not None:
            self.warn("in the file's order alone: {table.sort:o} until the list is in it")
            return
        base = isinstance(vocabulary.attribute(code), BaseAttribute)
        codes = [attribute.code for attribute in (vocabulary.base if base else vocabulary.derived)]
        place = codes.index(code) + step
        if not 0 <= place < len(codes):
            self.warn(f"{code} is the {'first' if step < 0 else 'last'} of its list")
            return
        after = place if step < 0 else place + 1
        before = codes[after] if after < len(codes) else None
        words = f"move {code} {'up' if step < 0 else 'down'}"
        self.add_steps([Step("move", {"code": code, "before": before}, words, code)])

    # several

    def _chosen(self) -> list[str]:
        """The marked attributes, in the file's order, or the one under the cursor."""
        vocabulary = self._vocabulary()
        marked = [code for code in vocabulary.codes if code in self.marked] if vocabulary is not None else []
        if marked:
            return marked
        code = self._named()
        return [] if code is None else [code]

    def _vocabulary(self) -> Vocabulary | None:
        return self.work.vocabulary if self.work is not None else None

    def action_mark(self) -> None:
        if (code := self._named()) is not None:
            self.marked ^= {code}
            self.table.redraw(self.table.cursor)
            self.table.action_move(1)
            self.say(f"{len(self.marked)} marked")

    def action_unmark(self) -> None:
        self.marked.clear()
        self.table.redraw()

    def action_remove(self) -> None:
        codes, vocabulary = self._chosen(), self._vocabulary()
        if not codes or vocabulary is None:
            return
        users = {user for code in codes for user in vocabulary.users(code)} - set(codes)
        if not users:
            self._remove(codes, from_rules=True)
            return
        words = f"the rules of {', '.join(sorted(users))} name it"
        choices = [("keep", f"{words}: remove nothing"), ("remove", "take it out of those rules as well")]
        self.ask(
            f"remove {', '.join(codes)}?",
            lambda answer: self._remove(codes, from_rules=True) if answer == "remove" else None,
            choices=lambda typed: [choice for choice in choices if choice[0].startswith(typed.strip())],
        )

    def _remove(self, codes: Sequence[str], *, from_rules: bool) -> None:
        vocabulary = self._vocabulary()
        derived = {a.code for a in vocabulary.derived} if vocabulary is not None else set()
        ordered = sorted(codes, key=lambda code: code not in derived)  # rules before what they name
        self.add_steps(
            [Step("remove", {"code": code, "from_rules": from_rules}, f"remove {code}") for code in ordered],
            lambda: self.say(
                f"{', '.join(codes)} removed; {{vocabulary.undo:u}} takes it back, {{vocabulary.save:^S}} saves"
            ),
        )

    def action_group(self) -> None:
        codes, vocabulary = self._chosen(), self._vocabulary()
        if not codes or vocabulary is None:
            return
        groups = sorted({a.type for a in vocabulary.attributes if a.type})

        def choices(typed: str) -> Iterable[tuple[str, str, str]]:
            wanted = typed.strip()
            some = [(group, "", group) for group in groups if group.startswith(wanted)]
            if wanted and wanted not in groups:
                some.insert(0, (wanted, "a new group", wanted))
            return some if wanted else [*some, ("(none)", "no group", "")]

        self.ask(f"group of {', '.join(codes)[:60]}", partial(self._group, codes), choices=choices)

    def _group(self, codes: Sequence[str], group: str) -> None:
        group = group.strip()
        words = f"group {', '.join(codes)}: {group or 'none'}"
        self.marked.clear()
        self.add_steps([Step("group", {"codes": tuple(codes), "type": group}, words, codes[0])])

    def action_import(self) -> None:
        if self._vocabulary() is None:
            self._named()
            return

        def choices(typed: str) -> Iterable[tuple[str, str]]:
            from colonnade.vocab import shipped

            wanted = typed.strip()
            return [(name, "ships with Colonnade") for name in shipped() if name.startswith(wanted)]

        self.ask("take in a vocabulary that ships, or a file", self._import, choices=choices)

    def _import(self, other: str) -> None:
        if other := other.strip():
            self.add_steps([Step("import", {"other": other}, f"take in {other}")])
