"""The vocabulary's file on its way: read, edited step by step, saved, or found changed by someone else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from colonnade.engine.errors import ConflictError
from colonnade.tui.amounts import count_of
from colonnade.tui.screens.base import BaseScreen, one_line
from colonnade.tui.screens.vocabulary_draft import Draft
from colonnade.tui.screens.vocabulary_kept import forget_edits, keep_edits, kept_drafts, kept_edits
from colonnade.tui.screens.vocabulary_work import (
    FILE,
    Folded,
    Step,
    Work,
    diff_lines,
    fold,
    redo,
    redo_words,
    row_pace,
)
from colonnade.tui.session_problems import lacking

if TYPE_CHECKING:
    from colonnade.tui.session_model import AttributeRow

__all__ = ["VocabularySaving"]


class VocabularySaving(BaseScreen):
    """What is edited, and how it reaches the file."""

    def __init__(self) -> None:
        super().__init__()
        self.work: Work | None = None
        self.steps: tuple[Step, ...] = ()
        """The edits asked for; those of `work` are made."""
        self.outside: bytes | None = None
        """The file as someone else changed it, while there are edits of the old one."""
        self.trouble = ""
        """Why the file cannot be read."""
        self.rows: dict[str, AttributeRow] = {}
        self.drafts: dict[str, Draft] = {}
        """What was begun and could not become an edit yet, by its slot."""
        self._afterwards: Callable[[], None] | None = None
        self._refused: Callable[[str], None] | None = None

    # what a part above fills in

    def work_changed(self, code: str | None) -> None:
        """The list is to be shown anew, with the cursor on `code` where it is given."""

    def outside_changed(self) -> None:
        """The file was changed by someone else while it was edited."""

    def plan_changed(self) -> None:
        """What saving would redo is to be told anew."""

    # reading

    def read_file(self) -> None:
        """Look at the file; where it changed, take it, unless there are edits of what it was."""
        session = self.session
        self.background("file", session.vocabulary_source, self._read, failed=self._not_read)

    def _not_read(self, error: Exception) -> None:
        self.trouble = one_line(error)
        self.work_changed(None)

    def _read(self, source: bytes) -> None:
        self.trouble = ""
        work = self.work
        if work is not None and source == work.base:
            if self.outside is not None:  # it was changed back
                self.outside = None
                self.work_changed(None)
            return
        if work is not None and self.steps:
            if source == work.source:  # someone made the very same edits
                self.steps = ()
            elif source != self.outside:
                self.outside = source
                self.outside_changed()
                return
            else:
                return
        self.outside = None
        if work is None:
            self._take_kept()
        self._fold(source)

    def _take_kept(self) -> None:
        """Go on with what was not saved when the app ended."""
        kept, drafts = kept_edits(self.session.path), kept_drafts(self.session.path)
        self.drafts = {draft.slot: draft for draft in drafts}
        said = []
        if kept is not None:
            self.steps = (kept,)
            said.append(
                "edits of last time that were not saved: {vocabulary.view:v} shows them,"
                " {vocabulary.save:^S} saves them, {vocabulary.drop:X} drops them"
            )
        said += [f"begun and not finished: {draft.name}, {draft.key} goes on with it" for draft in drafts[:3]]
        if said:
            self.say("; ".join(said))

    def closing(self) -> None:
        work, path, drafts = self.work, self.session.path, tuple(self.drafts.values())
        if work is None:
            return
        if work.vocabulary is None:  # while the file is faulty, what was kept stays so
            kept = kept_edits(path)
            base, source = (kept.values["base"], kept.values["source"]) if kept else (b"", b"")
            if drafts:
                keep_edits(path, base, source, drafts)
        elif work.is_changed or drafts:
            keep_edits(path, work.base, work.source, drafts)
        else:
            forget_edits(path)

    # editing

    def add_steps(
        self,
        steps: Sequence[Step],
        then: Callable[[], None] | None = None,
        refused: Callable[[str], None] | None = None,
    ) -> None:
        """Make edits after those there are; `then` follows once they are made, `refused` (why) if one is not."""
        work = self.work
        if work is None or work.vocabulary is None:
            self._nothing(
                "the file has faults: mend them first ({vocabulary.editor:E} opens it in your editor)"
            )
            return
        self.steps += tuple(steps)
        self._afterwards, self._refused = then, refused
        self._fold(work.base)
        self._hold_keys()

    def _hold_keys(self) -> None:
        """What is typed while an edit is made or saved is for the vocabulary as it is then."""
        self.colonnade.typeahead.hold_until(lambda: not self._at_work.keys() & {"fold", "save"})

    def undo_step(self) -> None:
        """Take the last edit back."""
        if self.work is None or not self.steps:
            self._nothing("nothing to take back: all is saved")
            return
        last = self.steps[-1]
        self.steps = self.steps[:-1]
        self.say(f"taken back: {last.words}")
        self._fold(self.work.base)

    def drop_steps(self) -> None:
        """Take every edit back, and the file as it is."""
        count, begun = len(self.steps), [draft.name for draft in self.drafts.values()]
        if self.work is None or not (count or begun):
            self._nothing("nothing to drop: all is saved")
            return
        base = self.work.base if self.outside is None else self.outside
        self.steps, self.outside = (), None
        self.drafts.clear()
        edits = [count_of(count, "edit")] if count else []
        self.say(f"{', '.join([*edits, *begun])} dropped; {FILE} is as it was")
        self._fold(base)

    def rebase_steps(self) -> None:
        """Make the edits anew on the file as someone else changed it."""
        if self.outside is None:
            self.say("the file is as it was read")
            self.read_file()
            return
        base, self.outside = self.outside, None
        self.say(f"{count_of(len(self.steps), 'edit')} made anew on the file as it is now")
        self._fold(base)

    def _fold(self, base: bytes) -> None:
        session, steps, known = self.session, self.steps, self.work
        self.background("fold", partial(fold, session, base, steps, known), self._folded)

    def _folded(self, folded: Folded) -> None:
        before = self.work
        self.work = folded.work
        refused = {id(step) for step, _ in folded.refused}
        self.steps = tuple(step for step in self.steps if id(step) not in refused)
        grown = before is not None and len(folded.work.steps) > len(before.steps)
        self.work_changed(folded.work.steps[-1].code if grown else None)
        then, self._afterwards = self._afterwards, None
        refuse, self._refused = self._refused or self.fail, None
        if folded.refused:
            step, reason = folded.refused[-1]
            refuse(f"{step.words}: {reason}")
        elif then is not None:
            then()

    def _nothing(self, why: str) -> None:
        """Tell why a key does nothing."""
        self.warn(f"{FILE} is still being read: press it again" if self._is_reading else why)

    @property
    def _is_reading(self) -> bool:
        return self.work is None and not self.trouble

    # saving

    def save(self) -> None:
        """Write the file, unless it changed meanwhile."""
        work, session = self.work, self.session
        if work is None or work.vocabulary is None:
            self._nothing(
                "nothing to save: the file has faults, mend them first ({vocabulary.editor:E} opens your editor)"
            )
        elif not work.is_changed:
            self.say("nothing to save")
        elif self.outside is not None:
            self.outside_changed()
        elif not session.writable:
            self.warn(
                "the store is read-only for you: {vocabulary.view:v} shows the edits;"
                " copy the store to a place of your own"
            )
        else:
            write = partial(session.save_vocabulary, work.base, work.source)
            self.background("save", write, lambda _: self._saved(work), failed=self._not_saved)
            self._hold_keys()

    def _saved(self, work: Work) -> None:
        count = len(work.steps)
        self.steps = self.steps[count:]
        again = ""
        if work.before is not None and work.vocabulary is not None:
            made = redo(work.before, work.vocabulary)
            again = (
                "; {vocabulary.tag:t} tags what is stale"
                if made.worded or made.judged or made.derived
                else ""
            )
        self.say(f"saved: {count_of(count, 'edit')}{again}")
        self._fold(work.source)

    def _not_saved(self, error: Exception) -> None:
        self.fail(error)
        if isinstance(error, ConflictError):
            self.read_file()

    # what it costs

    def outside_lines(self) -> tuple[str, ...]:
        """What someone else changed, as a diff."""
        if self.work is None or self.outside is None:
            return ()
        return diff_lines(self.work.base, self.outside, f"{FILE} as read", f"{FILE} now")

    def diff(self) -> tuple[str, ...]:
        """What is not saved, as a diff."""
        return (
            diff_lines(self.work.base, self.work.source, FILE, "as edited") if self.work is not None else ()
        )

    def plan_line(self, work: Work | None = None) -> str:
        """What saving would redo; without edits, what is stale as saved.

        Args:
            work: the vocabulary with what is being typed, where that is not an edit yet.
        """
        work = work or self.work
        if work is None or work.before is None or work.vocabulary is None:
            return "plan: none while the file has faults"
        overview = self.colonnade.overview
        if not work.is_changed:
            stale = [row for row in self.rows.values() if row.state.startswith(("stale", "not scored"))]
            if not stale:
                known = any(row.state for row in self.rows.values())
                return "plan: all is saved and fresh" if known else "plan: all is saved"
            by_rules = all(row.derived for row in stale)  # which take scores, not vectors
            if not by_rules and overview is not None and not overview.damage and (lacks := lacking(overview)):
                return f"plan: all is saved; {lacks}"
            return f"plan: all is saved; {count_of(len(stale), 'attribute')} not fresh, {{vocabulary.tag:t}} tags them"
        images = overview.embedded if overview is not None else 0
        words = redo_words(redo(work.before, work.vocabulary), images, row_pace(self.colonnade.jobs, images))
        return f"plan: {count_of(len(work.steps), 'edit')}, {{vocabulary.save:^S}} saves; then {words}"
