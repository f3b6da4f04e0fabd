"""Jobs: what runs, ran and failed; what is stale, what it would cost, and a key to do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textual.app import ComposeResult

from colonnade.tui.job_rows import Paces, headline, job_row, outcome_rows
from colonnade.tui.keys import action
from colonnade.tui.screens.base import one_line
from colonnade.tui.screens.jobs_columns import FILES, JOBS, LINES
from colonnade.tui.screens.jobs_starting import JobsStarting
from colonnade.tui.widgets.line import TextLines, folded_rows, keyed
from colonnade.tui.widgets.window_table import Column, ListSource, WindowTable

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord
    from colonnade.tui.session import Session

__all__ = ["JobsScreen"]

View = Literal["plan", "files", "log"]

_LOG_LINES = 5_000
_LEAST_SHARED = 8
"""Lines of the two tables together, below which they have half each."""


@dataclass(frozen=True, slots=True)
class _Plan:
    lines: tuple[str, ...]
    empty: bool
    looked: bool


class JobsScreen(JobsStarting):
    """The jobs above; below, of the one under the cursor, its files or its log, or the plan of stale work."""

    NAME = "jobs"
    AUTO_FOCUS = "#jobs"
    DEFAULT_CSS = """
    JobsScreen #jobs { height: 1fr; }
    JobsScreen #about { background: $panel; text-style: bold; height: auto; max-height: 4; }
    JobsScreen #below { height: 1fr; }
    JobsScreen.-flat #about, JobsScreen.-flat #below { display: none; }
    """
    BINDINGS: ClassVar = [
        action("jobs.run_plan", "r", "run_plan", "do what is stale: start a sync"),
        action("jobs.start", "s", "start", "start a job"),
        action("jobs.stop", "x", "stop", "stop this job; what it finished is kept"),
        action("jobs.resume", "u", "resume", "start this job's command again"),
        action("jobs.plan", "p", "view('plan')", "what is stale, with a look at the folders"),
        action("jobs.files", "f", "view('files')", "files that this job could not read, with reasons"),
        action("jobs.log", "v", "view('log')", "this job's log, and what it printed"),
        action("jobs.panel", "tab", "other_panel", "other panel"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._paces = Paces()
        self._plan: _Plan | None = None
        self._view: View = "plan"
        self._shown: tuple[str, tuple[Any, ...]] = ("", ())
        self._table_height: int | str = ""

    def compose_body(self) -> ComposeResult:
        yield WindowTable(
            JOBS,
            id="jobs",
            empty="no job has run yet: {jobs.run_plan:r} does what is stale, {jobs.start:s} starts one",
        )
        yield TextLines(id="about")
        yield WindowTable(LINES, id="below", heading=False)

    @property
    def table(self) -> WindowTable:
        """The jobs."""
        return self.query_one("#jobs", WindowTable)

    @property
    def below(self) -> WindowTable:
        """The plan, the files or the log."""
        return self.query_one("#below", WindowTable)

    def on_mount(self) -> None:
        self.call_after_refresh(self.get_ready)

    def session_ready(self) -> None:
        self.hint("{jobs.run_plan:r} runs what is stale  {jobs.start:s} starts  {app.help:?} keys")
        self.background("jobs", self.session.jobs, self.show_records)
        self._make_plan(look=False)

    def resumed(self) -> None:
        self.show_records(self.colonnade.jobs or self._records)
        if self._plan is None:
            self._make_plan(look=False)

    def snapshot_changed(self) -> None:
        self._plan = None
        if self.is_current:
            self._make_plan(look=False)

    def jobs_changed(self, records: Sequence[JobRecord]) -> None:
        if self.is_current:
            self.show_records(records)
        else:
            self._paces.note(records)

    def go_back(self) -> bool:
        if self.below.has_focus:
            self.table.focus()
            return True
        return False

    # the jobs

    def show_records(self, records: Sequence[JobRecord]) -> None:
        before = {record.id: record.state for record in self._records}
        self._records = tuple(records)
        self._paces.note(records)
        rows = [job_row(record, self._paces.of(record)) for record in records]
        places = {row[0]: n for n, row in enumerate(rows)}
        place = places.get(self._here or "", 0)
        if place == self.table.cursor:
            self.table.show(ListSource(rows), keep=True)
        else:
            self.table.show(ListSource(rows), row=place)
        for record in records:
            if before.get(record.id) == "running" != record.state:
                (self.say if record.state == "done" else self.warn)(headline(record))
        self._show_below()

    def on_window_table_cursor_moved(self, message: WindowTable.CursorMoved) -> None:
        if message.table is self.table:
            here = str(message.values[0]) if message.values else None
            if here != self._here:
                self._here = here
                self._show_below()

    def on_window_table_chosen(self, message: WindowTable.Chosen) -> None:
        if message.table is self.table:
            self.action_view("log" if self.record and not self.record.outcomes else "files")

    def action_other_panel(self) -> None:
        (self.table if self.below.has_focus else self.below).focus()

    # below them

    def on_resize(self) -> None:
        self._share_rows()

    def _share_rows(self) -> None:
        """The table takes the rows of its jobs, as far as what stands below has at least half or needs less."""
        about = len(self.query_one("#about", TextLines).lines)
        room = self.size.height - 2 - about
        needed = max(1, self.table.count) + 1
        wanted = min(needed, max(room // 2, room - self.below.count - self.below.heading), max(3, room - 1))
        height = wanted if room >= _LEAST_SHARED else "1fr"
        if self._table_height != height:
            self._table_height = height
            self.table.styles.height = height

    def action_view(self, view: View) -> None:
        self._view = view
        if view == "plan":
            self._make_plan(look=True)
        self._show_below()

    def _show_below(self) -> None:
        record = self.record
        if self._view == "plan" or record is None:
            plan = self._plan
            if plan is None:
                self._put("plan", "what is stale: looking ...", LINES, [])
                return
            about = "what is stale: nothing" if plan.empty else "what is stale: {jobs.run_plan:r} does it"
            about += "" if plan.looked else " (without a look at the folders; {jobs.plan:p} looks)"
            self._put("plan", about, LINES, folded_rows(plan.lines, self.size.width - 4))
        elif self._view == "files":
            rows = outcome_rows(record)
            self._put(
                f"files {record.id}",
                headline(record),
                FILES if rows else LINES,
                rows or [_no_files(record)],
            )
        else:
            self.background("log", partial(self._read_log, record), partial(self._show_log, record))

    def _read_log(self, record: JobRecord) -> list[str]:
        logged = self.session.job_log(record.id).splitlines()[-_LOG_LINES:]
        said = self.session.job_printed(record)
        return [*logged, "it printed:", *(f"  {line}" for line in said)] if said else logged

    def _show_log(self, record: JobRecord, lines: list[str]) -> None:
        if self._view == "log" and self.record is not None and self.record.id == record.id:
            rows = folded_rows(lines or ["nothing was logged"], self.size.width - 4)
            self._put(f"log {record.id}", headline(self.record), LINES, rows, end=True)

    def _put(
        self,
        what: str,
        about: str,
        columns: tuple[Column, ...],
        rows: Sequence[tuple[Any, ...]],
        *,
        end: bool = False,
    ) -> None:
        """Show rows below; where they are the same as before, nothing is drawn."""
        lines = wrap(keyed(self, about), max(20, self.size.width - 2), max_lines=4, subsequent_indent="  ")
        self.query_one("#about", TextLines).show(tuple(f" {line}" for line in lines))
        if (what, tuple(rows)) == self._shown:
            self._share_rows()
            return
        same = what == self._shown[0]
        at_end = self.below.cursor >= self.below.count - 1
        self._shown = (what, tuple(rows))
        self.below.heading = columns is FILES
        if same and not (end and at_end):
            self.below.show(ListSource(rows), keep=True, columns=columns)
        else:
            self.below.show(ListSource(rows), row=len(rows) - 1 if end else 0, columns=columns)
        self._share_rows()

    # what is stale

    def _make_plan(self, *, look: bool) -> None:
        work = partial(_read_plan, self.session, look)
        self.background("plan", work, self._planned, failed=self._not_planned)

    def _planned(self, plan: _Plan) -> None:
        self._plan = plan
        self._show_below()

    def _not_planned(self, error: Exception) -> None:
        self._plan = _Plan((f"the plan cannot be made: {one_line(error)}",), False, False)
        self._show_below()


def _read_plan(session: Session, look: bool) -> _Plan:
    """The plan, and before it what stands in the way of one."""
    problems = session.overview().problems
    found = session.plan(scan=look)
    lines = [f"! {line}" for line in problems]
    lines += [str(line) for line in found["lines"] if line not in problems]
    return _Plan(tuple(lines), bool(found["empty"]), look)


def _no_files(record: JobRecord) -> tuple[str]:
    waiting = "none so far" if record.state == "running" else "none"
    return (f" files that could not be read: {waiting}",)
