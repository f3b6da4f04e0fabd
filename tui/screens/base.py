"""What every screen is: a header line, a body, a status line, and the ways to run work and to speak.

How to write one::

    class JobsScreen(BaseScreen):
        NAME = "jobs"                                   # as in screens/registry.py
        BINDINGS = [action("jobs.stop", "x", "stop", "stop this job")]      # keys.action: identity, keys, action, words

        def compose_body(self):                         # between header and status line; Horizontal, Vertical, widgets
            yield WindowTable(COLUMNS, id="jobs")

        def session_ready(self):                        # once: self.session is open and the body is mounted
            self.reload()
        def resumed(self):                              # each time the screen comes back, after the first
        def snapshot_changed(self):                     # the store moved on: read again, keep the user's place
        def jobs_changed(self, records):                # the records under STORE/jobs changed
        def closing(self):                              # the app ends: write down what is not saved; quick, no waiting
        def go_back(self) -> bool:                      # Esc: close what is open, True; False: the app goes back

        def reload(self):                               # blocking work: never on the event loop
            self.background("jobs", self.session.jobs, self.loaded)             # loaded(result) runs on the loop

- `background(group, work, then, failed=None, delay=0)`: runs `work()` in a thread. Of one group at most one runs and
  only the latest asked for comes next; results that were overtaken are dropped. An exception goes to
  `failed(error)`, by default to the status line in one line. `delay` in seconds debounces.
- `say(text)`, `warn(text)`, `fail(error)`: the status line, until the next key. `hint(text)`: its lasting right end.
- `ask(title, then, ...)`: a panel at the bottom with a text field and, with `choices`, a list to pick from, as `Prompt`
  says; `then(answer)` runs on enter, nothing on Esc. Where no choice matches, the answer is the text as typed.
- Selection shared by all screens: `self.session.query`, `.sort`, `.attribute`, `.image`, `.marks`: read them in
  `session_ready` and `resumed`, assign them when the user moves.
- `self.app.open_screen("browse")` goes to another screen. Sizes: the screen has the classes `-tiny` (under 50
  columns), `-narrow` (50 to 109), `-wide` (110 to 159), `-full` (160 up), and `-flat` (under 12 lines), `-low` (12 to
  29), `-tall`.
- Nothing may be redrawn when nothing changed: no clock, no blinking, no LoadingIndicator, no ProgressBar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from colonnade.tui.session_damage import damage_words
from colonnade.tui.widgets.status_line import HeaderLine, StatusLine
from colonnade.tui.widgets.window_table import WindowTable

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord
    from colonnade.tui.app import ColonnadeApp
    from colonnade.tui.session import Session

__all__ = ["BaseScreen", "one_line", "superseded"]

T = TypeVar("T")


def one_line(error: BaseException) -> str:
    """An error as one line for people: an engine's message as it is (of damage in short), others with their kind."""
    from colonnade.engine.errors import ColonnadeError

    text = " ".join(str(error).split())
    told = isinstance(error, ColonnadeError) or type(error).__name__ == "HelperError"
    return damage_words(text) or (text if told and text else f"{type(error).__name__}: {text}")


def superseded(error: Exception) -> bool:
    """Whether a newer request took this one's place: nothing to tell."""
    return type(error).__name__ == "SupersededError" or getattr(error, "kind", "") == "superseded"


@dataclass
class _Job:
    work: Callable[[], Any]
    then: Callable[[Any], None]
    failed: Callable[[Exception], None]
    number: int


class BaseScreen(Screen[None]):
    """A screen of the app; see the module's description."""

    NAME: ClassVar[str] = ""
    LEGEND: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(sign, what it means) of the signs on the screen; the help panel shows them."""
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (50, "-narrow"), (110, "-wide"), (160, "-full")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (12, "-low"), (30, "-tall")]  # noqa: RUF012

    @dataclass
    class Finished(Message):
        """Work in a thread ended; `call` is what follows."""

        call: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.header, self.status = HeaderLine(), StatusLine()
        self._at_work: dict[str, _Job] = {}
        self._next_work: dict[str, _Job] = {}
        self._work_numbers: dict[str, int] = {}
        self._is_ready = False
        self._came = False

    # what a screen fills in

    def compose_body(self) -> ComposeResult:
        """The widgets between header and status line."""
        yield from ()

    def session_ready(self) -> None:
        """The session is open and the body mounted; comes once."""

    def resumed(self) -> None:
        """The screen is in front again."""

    def snapshot_changed(self) -> None:
        """The store has a new snapshot."""

    def jobs_changed(self, records: Sequence[JobRecord]) -> None:
        """The records of jobs changed."""

    def not_opened(self, words: str) -> None:
        """There will be no session: show why, as long as the screen is there."""

    def query_given(self) -> None:
        """Another screen is about to show the session's query in Browse."""

    def closing(self) -> None:
        """The app ends: save what is not."""

    def go_back(self) -> bool:
        """Esc: close what is open here and answer True; False lets the app go back to the screen before."""
        return False

    @property
    def takes_keys(self) -> bool:
        """Whether keys have something to act on, shortly after the screen was opened."""
        came, focused = self._came or self.colonnade.session is None, self.focused
        waits = isinstance(focused, WindowTable) and not focused.is_filled
        return came and not waits and (focused is not None or not self.focus_chain)

    # what a screen uses

    @property
    def colonnade(self) -> ColonnadeApp:
        """The app."""
        return cast("ColonnadeApp", self.app)

    @property
    def session(self) -> Session:
        """The session; there is one from `session_ready` on."""
        session = self.colonnade.session
        assert session is not None
        return session

    def background(
        self,
        group: str,
        work: Callable[[], T],
        then: Callable[[T], None],
        *,
        failed: Callable[[Exception], None] | None = None,
        delay: float = 0.0,
    ) -> None:
        """Run `work()` in a thread, then `then(result)` on the event loop; of a group only the latest counts."""
        number = self._work_numbers[group] = self._work_numbers.get(group, 0) + 1
        job = _Job(work, then, failed or self.fail, number)
        if delay:
            self.set_timer(delay, lambda: self._start_work(group, job))
        else:
            self._start_work(group, job)

    def forget(self, group: str) -> None:
        """Drop what runs or waits in a group: its results do not come."""
        self._work_numbers[group] = self._work_numbers.get(group, 0) + 1
        self._next_work.pop(group, None)

    def say(self, text: str) -> None:
        """Tell something in the status line."""
        self.status.tell(text)

    def warn(self, text: str) -> None:
        """Tell what needs attention in the status line."""
        self.status.tell(text, "warn")

    def fail(self, error: Exception | str) -> None:
        """Tell what went wrong in the status line."""
        self.status.tell(error if isinstance(error, str) else one_line(error), "bad")

    def is_read_only(self) -> bool:
        """Whether nothing can be written here; said in words."""
        if self.session.writable:
            return False
        self.warn("the store is read-only for you: copy it to a place of your own to change it")
        return True

    def hint(self, text: str) -> None:
        """What stands at the right end of the status line."""
        self.status.hint(text)

    def ask(
        self,
        title: str,
        then: Callable[[str], None],
        *,
        value: str = "",
        choices: Callable[[str], Iterable[tuple[str, ...]]] | None = None,
        check: Callable[[str], str | None] | None = None,
    ) -> None:
        """Ask for a text in a panel at the bottom; the arguments are those of `Prompt`."""
        from colonnade.tui.widgets.prompt import Prompt

        opened = self.query(Prompt)
        back = opened.first().back if opened else self.focused
        opened.remove()
        prompt = Prompt(title, then, value=value, choices=choices, check=check, back=back)
        self.mount(prompt)
        self.opens(prompt)

    def opens(self, widget: Widget) -> None:
        """What is typed from now on is for a widget that is about to get the focus."""
        self.colonnade.typeahead.hold_until(lambda: widget.has_focus or widget.has_focus_within)

    # how it works

    def compose(self) -> ComposeResult:
        self.update_facts()
        yield self.header
        yield from self.compose_body()
        yield self.status

    def on_mount(self) -> None:
        self.call_after_refresh(self.get_ready)  # its widgets are mounted after it

    def on_screen_resume(self) -> None:
        if self._is_ready:
            self.update_facts()
            self.resumed()

    def get_ready(self) -> None:
        """Begin, as soon as the screen is mounted and the session open; called by both."""
        if self.is_mounted and self.header.is_attached:
            self.update_facts()
            if not self._is_ready and self.colonnade.session is not None:
                self._is_ready = True
                self.call_after_refresh(self._session_came)

    def _session_came(self) -> None:
        self._came = True
        self.session_ready()
        if self.colonnade.jobs:
            self.jobs_changed(self.colonnade.jobs)

    def update_facts(self) -> None:
        """Bring the header line up to date."""
        self.header.update_facts(self.colonnade.facts(self.NAME))

    @property
    def is_ready(self) -> bool:
        """Whether `session_ready` was called."""
        return self._is_ready

    def on_base_screen_finished(self, message: Finished) -> None:
        message.stop()
        message.call()

    def _start_work(self, group: str, job: _Job) -> None:
        if job.number != self._work_numbers[group]:
            return
        if group in self._at_work:
            self._next_work[group] = job
            return
        self._at_work[group] = job

        def run() -> None:
            try:
                result = job.work()
            except Exception as error:  # whatever the work raises is told, and ends nothing else
                call = partial(job.failed, error)
            else:
                call = partial(job.then, result)
            self.post_message(self.Finished(lambda: self._finish_work(group, job, call)))

        self.run_worker(run, thread=True, group=f"background-{group}", exit_on_error=False)

    def _finish_work(self, group: str, job: _Job, call: Callable[[], None]) -> None:
        self._at_work.pop(group, None)
        waiting = self._next_work.pop(group, None)
        if waiting is not None:
            self._start_work(group, waiting)
        if job.number == self._work_numbers[group]:
            call()
