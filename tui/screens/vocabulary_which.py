"""Which images enter and which leave, if what is typed were saved: all of them, each with its picture."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message

from colonnade.tui.keys import action
from colonnade.tui.screens.browse_preview import no_picture
from colonnade.tui.screens.vocabulary_editing import VocabularyEditing
from colonnade.tui.screens.vocabulary_form import Form
from colonnade.tui.screens.vocabulary_rule import RuleTable
from colonnade.tui.screens.vocabulary_tried_text import decimal
from colonnade.tui.screens.vocabulary_trying import MOST, Changes, changes, failure_lines
from colonnade.tui.widgets.line import TextLine, TextLines, folded, keyed
from colonnade.tui.widgets.picture import Picture
from colonnade.tui.widgets.window_table import Column, ListSource, WindowTable

__all__ = ["VocabularyWhich", "WhichPanel"]


_WHICH, _SAVE, _LEAVE = "{form.which:^E} which", "{vocabulary.save:^S} save", "{app.back:Esc} leave"


def _confidence(value: Any) -> str:
    return "-" if value is None else decimal(float(value))


_COLUMNS = (
    Column("mark", "", 1, index=1, sortable=False),
    Column("before", "before", 6, "right", render=_confidence, index=2, sortable=False),
    Column("after", "after", 5, "right", render=_confidence, index=3, sortable=False),
    Column("path", "path", index=4, cut="left", sortable=False),
)


class WhichPanel(Vertical):
    """The images that enter, then those that leave, and the picture of the one under the cursor."""

    DEFAULT_CSS = """
    WhichPanel { height: 1fr; }
    WhichPanel > TextLines { background: $boost; text-style: bold; }
    WhichPanel Horizontal { height: 1fr; }
    BaseScreen.-tiny WhichPanel Picture, BaseScreen.-flat WhichPanel Picture { display: none; }
    BaseScreen.-tall WhichPanel { height: 3fr; }
    """
    BINDINGS: ClassVar = [action("which.close", "ctrl+e,tab", "close", "back to the words", priority=True)]

    class Closed(Message):
        """Back to the form."""

    def __init__(self) -> None:
        super().__init__(id="which")
        self.shows: int | None = None
        """The image whose picture is shown."""

    def compose(self) -> ComposeResult:
        yield TextLines((" looking which images enter and which leave ...",), id="which-title")
        with Horizontal():
            yield WindowTable(_COLUMNS, id="which-list")
            yield Picture(id="which-picture")
        yield TextLine(id="which-path", cut="left")

    def on_mount(self) -> None:
        self.query_one(WindowTable).focus()

    def fill(self, found: Changes) -> None:
        """Show the images, or why there are none."""
        heading = folded(keyed(self, _heading(found)), self.size.width - 2)
        self.query_one("#which-title", TextLines).show(tuple(f" {line}" for line in heading))
        rows = [(one.image_id, one.mark, one.before, one.after, one.path) for one in found.rows]
        self.query_one(WindowTable).show(ListSource(rows))

    def show(self, image_id: int, path: str, file: Path | None, reason: str | None) -> None:
        """Show the picture of an image."""
        self.shows = image_id
        self.query_one("#which-path", TextLine).tell(f" {path}")
        self.query_one(Picture).show(file, reason)

    def action_close(self) -> None:
        """Go back to the form."""
        self.post_message(self.Closed())


def _heading(found: Changes) -> str:
    if not found.rows:
        return found.refused or "no image enters and none leaves"
    listed = {mark: sum(1 for one in found.rows if one.mark == mark) for mark in "+-"}
    text = f"{found.entering:,} enter (+), {found.leaving:,} leave (-)"
    if found.entering > listed["+"] or found.leaving > listed["-"]:
        text += f"; the first {MOST} of each are listed"
    return text


class VocabularyWhich(VocabularyEditing):
    """The list of what a draft changes, and the keys that act while something is edited."""

    def __init__(self) -> None:
        super().__init__()
        self.meter = ""
        """How far the running job is."""

    @property
    def which(self) -> WhichPanel | None:
        """The list of images that enter and leave, while it is open."""
        found = self.query(WhichPanel)
        return found.first() if found else None

    def on_form_which_asked(self, event: Form.WhichAsked) -> None:
        event.stop()
        draft = event.draft
        if draft.wording.is_empty if draft.rule is None else not draft.rule.codes:
            self.say("nothing is typed yet that could be tried")
            return
        vocabulary = self.work.vocabulary if self.work is not None else None
        if self.which is not None:
            return
        self.add_class("-which")
        panel = WhichPanel()
        self.mount(panel, after="#form")
        self.opens(panel)
        look = partial(changes, self.session, draft, draft.chosen, vocabulary)
        self.background("which", look, self._show_which, failed=self._no_which)

    def _show_which(self, found: Changes) -> None:
        if (panel := self.which) is not None:
            panel.fill(found)

    def _no_which(self, error: Exception) -> None:
        if (panel := self.which) is not None:
            panel.fill(Changes(0, 0, (), "; ".join(failure_lines(error))))

    def close_which(self) -> bool:
        self.forget("which")
        panel, form = self.which, self.form
        if panel is None:
            return False
        panel.remove()
        self.forget("which-picture")
        self.remove_class("-which")
        if form is not None:
            form.focus_again()
        return True

    def on_which_panel_closed(self, event: WhichPanel.Closed) -> None:
        event.stop()
        self.close_which()

    def on_window_table_cursor_moved(self, event: WindowTable.CursorMoved) -> None:
        if event.table.id != "which-list" or event.values is None:
            return
        image_id, _, _, _, path = event.values
        read = partial(self.session.image_row, image_id)

        def show(row: Any) -> None:
            if (panel := self.which) is not None:
                panel.show(image_id, path, row.file, no_picture(row))

        self.background("which-picture", read, show)

    # keys

    def on_descendant_focus(self, _: events.DescendantFocus) -> None:
        self.tell_keys()

    def tell_keys(self) -> None:
        """Show what runs and the keys that act now, at the end of the status line."""
        form, short = self.form, f"{_WHICH}  {_SAVE}  {_LEAVE}"
        if form is None or not self.has_class("-editing"):
            keys = short = f"{{app.help:?}} keys  {{vocabulary.add:a}} add  {_SAVE}"
        elif self.which is not None:
            keys = short = "{which.close:^E} or {app.back:Esc} back to the form"
        elif isinstance(self.focused, RuleTable):
            keys = f"{{rule.cycle:space}} all/any/none/off  {_WHICH} images  {_SAVE}  {_LEAVE}"
        else:
            second = "" if form.draft.rule is not None else "  {form.other:tab} two wordings"
            keys = f"{{form.before:↑}}{{form.next:↓}} fields{second}  {_WHICH} images  {_SAVE}  {_LEAVE}"
        meter = f"{self.meter}   " if self.meter else ""
        choices = (meter + keys, meter + short, short)
        room = self.size.width - 3
        self.hint(next((one for one in choices if len(keyed(self, one)) <= room), short))
