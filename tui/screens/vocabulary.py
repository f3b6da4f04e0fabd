"""Vocabulary: the attributes' words, what they do to the collection, and what saving them would redo."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import SuspendNotSupported

from colonnade.tui.keys import action
from colonnade.tui.screens.vocabulary_actions import VocabularyActions
from colonnade.tui.screens.vocabulary_work import FILE
from colonnade.tui.widgets.window_table import WindowTable

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord
    from colonnade.tui.job_start import Started

__all__ = ["VocabularyScreen"]


class VocabularyScreen(VocabularyActions):
    """The keys of the vocabulary."""

    NAME = "vocabulary"
    AUTO_FOCUS = "#list"
    BINDINGS: ClassVar = [
        action(
            "vocabulary.edit", "e", "edit", "edit this attribute (also enter): words are tried as you type"
        ),
        action("vocabulary.add", "a", "add", "add an attribute"),
        action(
            "vocabulary.derive",
            "d",
            "derive",
            "add an attribute by a rule; of what is marked, if anything is",
        ),
        action("vocabulary.rename", "r", "rename", "another code, in rules as well"),
        action("vocabulary.duplicate", "c", "duplicate", "a copy under another code"),
        action("vocabulary.remove", "x,delete", "remove", "remove this attribute, or the marked ones"),
        action("vocabulary.group", "y", "group", "put this attribute, or the marked ones, into a group"),
        action("vocabulary.higher", "K,shift+up", "shift(-1)", "move it up in the file"),
        action("vocabulary.lower", "J,shift+down", "shift(1)", "move it down in the file"),
        action("vocabulary.mark", "m,space", "mark", "mark, for actions on several"),
        action("vocabulary.unmark", "M", "unmark", "no marks"),
        action("vocabulary.find", "slash", "find", "go to an attribute"),
        action("vocabulary.import", "i", "import", "take in a vocabulary that ships, or a file"),
        action("vocabulary.view", "v", "view", "what is not saved, as a diff; again: about the attribute"),
        action("vocabulary.undo", "u", "undo", "take the last edit back"),
        action("vocabulary.drop", "X", "drop", "drop every edit that is not saved"),
        action("vocabulary.again", "R", "again", "read the file again; edits are made anew on it"),
        action("vocabulary.save", "ctrl+s", "save", "save the edits"),
        action("vocabulary.tag", "t", "tag", "tag what is stale, as a job"),
        action("vocabulary.browse", "b", "browse", "show its images in Browse"),
        action("vocabulary.editor", "E", "editor", "open the file in your editor ($VISUAL, $EDITOR)"),
        action("vocabulary.panel", "tab", "other_panel", "other panel"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._job_told: dict[str, str] = {}

    def go_back(self) -> bool:
        if self.close_which():
            pass
        elif self.form is not None:
            self.close_form()
        elif self.below.has_focus:
            self.table.focus()
        elif self.view != "about":
            self.view = "about"
            self._show_below()
        else:
            return False
        return True

    def on_window_table_chosen(self, event: WindowTable.Chosen) -> None:
        if event.table is self.table:
            if self.work is not None and self.work.vocabulary is None:
                self.action_editor()
            else:
                self.action_edit()

    # the list and the panels

    def action_find(self) -> None:
        vocabulary = self._vocabulary()
        if vocabulary is None or not vocabulary.codes:
            self._named()
            return

        def choices(typed: str) -> Iterable[tuple[str, str]]:
            wanted = typed.strip().casefold()
            found = [
                (a.code, a.label) for a in vocabulary.attributes if wanted in f"{a.code} {a.label}".casefold()
            ]
            return sorted(found, key=lambda one: not one[0].startswith(wanted))

        self.ask("go to", self._go_to, choices=choices)

    def _go_to(self, code: str) -> None:
        self._here = code
        self.show_list()

    def action_view(self) -> None:
        self.view = "about" if self.view != "about" else "outside" if self.outside is not None else "diff"
        self._show_below()

    def action_other_panel(self) -> None:
        (self.table if self.below.has_focus else self.below).focus()

    def action_browse(self) -> None:
        if (code := self._named()) is not None:
            self.colonnade.show_query(code)

    # the file

    def action_save(self) -> None:
        self.save_all()

    def action_undo(self) -> None:
        self.undo_step()

    def action_drop(self) -> None:
        self.drop_steps()

    def action_again(self) -> None:
        self.rebase_steps()

    def action_editor(self) -> None:
        """Open the file in the user's editor, at the fault or the attribute under the cursor."""
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
        work, line = self.work, 1
        if work is not None and work.vocabulary is None and self.table.cursor < len(work.faults):
            line = work.faults[self.table.cursor].line
        elif work is not None and (found := work.attribute(self.code)) is not None:
            line = found.line
        path = self.session.path / FILE
        if not editor:
            self.warn(f"set EDITOR to open it from here; or edit {path}, line {line}: the list follows")
            return
        fault: Exception | None = None
        try:
            words = [*shlex.split(editor), f"+{line}", str(path)]
            with self.app.suspend():
                try:
                    subprocess.run(words, check=False)
                except (OSError, ValueError) as error:  # caught in here: else the terminal is not taken back
                    fault = error
        except SuspendNotSupported:
            self.warn(f"no editor can be opened here; edit {path}, line {line}: the list follows")
        except ValueError as error:
            fault = error
        if fault is not None:
            self.fail(f"{editor}: {fault}; edit {path}, line {line}")
        self.read_file()

    # tagging

    def action_tag(self) -> None:
        """Tag what is stale as saved; where only rules are, derive."""
        if self._is_reading:
            self._nothing("")
            return
        if self.is_read_only():
            return
        stale = [row for row in self.rows.values() if row.state.startswith(("stale", "not scored"))]
        words = ("derive",) if stale and all(row.derived for row in stale) else ("tag", "--derive")
        unsaved = self.work is not None and self.work.is_changed
        rest = " of what is saved; {vocabulary.save:^S} saves the rest" if unsaved else ""
        self.say(f"starting {words[0]}{rest} ...")
        start = partial(self.session.start_job, words)
        self.background("start", start, partial(self._started, words[0]))

    def _started(self, name: str, started: Started) -> None:
        if started.ended:
            self.say(f"{name}: {started.message or 'done'}")
        else:
            self.say(
                f"{name} runs as process {started.pid}: {{app.jobs:7}} shows how far; it goes on when you quit"
            )

    def jobs_changed(self, records: Sequence[JobRecord]) -> None:
        """Tell how a tagging ends, and what is to follow."""
        for record in records:
            before = self._job_told.get(record.id)
            if before == "running" and record.state != "running" and self.is_current:
                said = f": {record.message}" if record.message else ""
                done = record.state == "done"
                (self.say if done else self.warn)(f"{' '.join(record.command)} {record.state}{said}")
        self._job_told = {record.id: record.state for record in records}
        running = next((one for one in records if one.state == "running"), None)
        self.meter = _meter(running) if running is not None else ""
        self.tell_keys()


def _meter(job: JobRecord) -> str:
    """How far a job is, as short as can be."""
    share = f"{100 * job.done // job.total} %" if job.total else ""
    said = " ".join(part for part in (job.phase, share) if part)
    name = " ".join(job.command[:1])
    return f"{name}: {said}" if said else f"{name} runs"
