"""The part of the Jobs screen that starts jobs and stops them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from colonnade.tui.screens.base import BaseScreen
from colonnade.tui.screens.jobs_columns import STARTABLE

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord
    from colonnade.tui.job_start import Started

__all__ = ["JobsStarting"]


class JobsStarting(BaseScreen):
    """Starting, resuming and stopping."""

    def __init__(self) -> None:
        super().__init__()
        self._records: tuple[JobRecord, ...] = ()
        self._here: str | None = None
        """The id of the job that has the cursor."""

    @property
    def record(self) -> JobRecord | None:
        """The job under the cursor."""
        return next((record for record in self._records if record.id == self._here), None)

    def show_records(self, records: Sequence[JobRecord]) -> None:
        """Show the jobs as they are now."""

    def action_run_plan(self) -> None:
        if self.is_read_only():
            return
        self._start(("sync",))

    def action_start(self) -> None:
        if self.is_read_only():
            return

        def choices(typed: str) -> Iterable[tuple[str, str]]:
            first = typed.split()[:1]
            if len(typed.split()) > 1 and first[0] in dict(STARTABLE):
                return [(typed.strip(), dict(STARTABLE)[first[0]])]
            return [(name, words) for name, words in STARTABLE if name.startswith(first[0] if first else "")]

        self.ask("start which job?", self._start_words, choices=choices)

    def _start_words(self, text: str) -> None:
        if text.strip():
            self._start(tuple(text.split()))

    def action_resume(self) -> None:
        record = self.record
        if record is None:
            self.warn("no job is chosen")
        elif record.state == "running":
            self.warn("it is running")
        elif not self.is_read_only():
            self._start(record.command)

    def _start(self, words: Sequence[str]) -> None:
        self.say(f"starting {' '.join(words)} ...")
        work: Callable[[], Started] = partial(self.session.start_job, tuple(words))
        self.background("start", work, partial(self._started, tuple(words)))

    def _started(self, words: tuple[str, ...], started: Started) -> None:
        if started.ended:
            self.say(f"{' '.join(words)}: {started.message or 'done'}")
        else:
            self.say(f"{' '.join(words)} runs as process {started.pid}; it goes on when you quit")
        self._here = started.job or self._here
        self.background("jobs", self.session.jobs, self.show_records)

    def action_stop(self) -> None:
        record = self.record
        if record is None or record.state != "running":
            self.warn("no running job is chosen")
            return
        self.background("stop", partial(self.session.stop_job, record.id), partial(self._stopped, record))

    def _stopped(self, record: JobRecord, asked: bool) -> None:
        name = " ".join(record.command)
        self.say(
            f"{name}: asked to stop; what it finished is kept"
            if asked
            else f"{name}: was not running any more"
        )
