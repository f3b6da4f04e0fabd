"""What the calibration screen changes: cuts saved, fits tried and saved, taken back; and the receipt of it all."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from colonnade.tui.screens.base import BaseScreen, one_line
from colonnade.tui.screens.browse_preview import ExplainPanel
from colonnade.tui.screens.calibration_attribute import AttributePanel
from colonnade.tui.screens.calibration_saving import Done, fit, is_refused, save_lines, take_back
from colonnade.tui.widgets.window_table import WindowTable

if TYPE_CHECKING:
    from colonnade.tui.cut_lines import CutLines

__all__ = ["CalibrationChanges"]

_METHODS = {"auto": "auto, without labels", "labels": "with the labels"}


class CalibrationChanges(BaseScreen):
    """The part of the screen that writes."""

    def __init__(self) -> None:
        super().__init__()
        self._open: str | None = None
        self._tried: str | None = None
        """The method of a fit that was tried and waits to be saved."""
        self._fit_wanted: str | None = None
        """The method of a fit to be tried once the attribute is shown, which would take the place of its words."""
        self._done: list[Done] = []

    @property
    def table(self) -> WindowTable:
        """The attributes."""
        return self.query_one("#calibrations", WindowTable)

    @property
    def panel(self) -> AttributePanel:
        """The attribute that is open."""
        return self.query_one(AttributePanel)

    @property
    def here(self) -> str | None:
        """The attribute that is open, else the one under the cursor."""
        return self._open or (str(self.table.values[0]) if self.table.values else None)

    def open_attribute(self, code: str) -> None:
        """Show an attribute's distribution."""

    def read_again(self) -> None:
        """Read the table and the open attribute anew."""

    # saving, fitting, taking back

    def _is_saving(self) -> bool:
        """Whether a change is on its way, said in words: one in its place would take the way back to it."""
        saving = "save" in self._at_work
        if saving:
            self.say("the change before is not done yet")
        return saving

    def on_attribute_panel_save_asked(self) -> None:
        lines = self.panel.lines
        if self._is_saving():
            return
        if self._tried is not None and self._open is not None:
            self._fit(self._open, self._tried, dry_run=False)
        elif lines is None or not lines.moved:
            self.say("the lines stand where they are saved: {line.left:←} {line.right:→} move one")
        elif not self.is_read_only():
            self.say(f"{lines.found.code}: saving, and making its scores anew ...")
            self.background(
                "save", partial(save_lines, self.session, lines), partial(self._saved, lines=lines)
            )

    def action_fit(self, method: str) -> None:
        code = self.here
        if code is None:
            self.warn("no attribute is chosen")
            return
        if self.is_read_only() or self._is_saving():
            return
        if self._open is None:
            self.open_attribute(code)
            self._fit_wanted = method
        else:
            self._fit(code, method, dry_run=True)

    def _fit(self, code: str, method: str, *, dry_run: bool) -> None:
        doing = "trying a fit" if dry_run else "fitting"
        self.say(f"{code}: {doing} {_METHODS[method]} ...")

        def progress(what: str, done: int, total: int) -> None:
            count = f" {done:,} of {total:,}" if total else ""
            self.app.call_later(self.say, f"{code}: {what}{count}")

        work = partial(fit, self.session, code, method, progress, dry_run=dry_run)
        then = partial(self._fit_tried, code, method) if dry_run else self._saved
        group = "fit" if dry_run else "save"
        self.background(group, work, then, failed=partial(self._not_fitted, code))

    def _fit_tried(self, code: str, method: str, words: str) -> None:
        if code == self._open:
            self._tried = method
            self.panel.say(f"not saved: {words} - {{line.save:enter}} saves, {{app.back:Esc}} drops it")
            self.say("a fit was tried; nothing is saved yet")

    def _not_fitted(self, code: str, error: Exception) -> None:
        self._tried = None
        (self.warn if is_refused(error) else self.fail)(one_line(error))

    def _saved(self, done: Done, lines: CutLines | None = None) -> None:
        if lines is not None and self.panel.lines is lines:
            self.panel.lines = None  # saved, so nothing to warn of; what is read anew has them
        self._done.append(done)
        self._tried = None
        self.say(done.words)
        self.read_again()

    def action_undo(self) -> None:
        if not self._done:
            self.say("nothing was saved here since the app was opened")
        elif not (self.is_read_only() or self._is_saving()):
            done = self._done[-1]
            self.say(f"{done.code}: taking back ...")
            self.background("save", partial(take_back, self.session, done), partial(self._taken_back, done))

    def _taken_back(self, done: Done, words: str) -> None:
        self._done.remove(done)
        self._tried = None
        self.say(words)
        self.read_again()

    # the receipt

    def action_receipt(self) -> None:
        code = self.here
        if code is not None:
            work = partial(self.session.calibration_receipt, code)
            self.background("receipt", work, partial(self._show_receipt, code))

    async def _mount_receipt(self, code: str, lines: list[str]) -> None:
        for old in self.query(ExplainPanel):
            await old.remove()
        panel = ExplainPanel()
        await self.mount(panel)
        panel.tell(f"{code}: what its confidences follow from, and what changed", lines)
        panel.query_one(WindowTable).focus()

    def _show_receipt(self, code: str, receipt: dict[str, Any]) -> None:
        self.run_worker(self._mount_receipt(code, list(receipt["lines"])), group="receipt", exclusive=True)

    def on_explain_panel_closed(self) -> None:
        for panel in self.query(ExplainPanel):
            panel.remove()
        (self.panel if self._open else self.table).focus()
