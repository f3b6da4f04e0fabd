"""Jobs as rows of a table: state in words, progress, rate, time left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from colonnade.tui.amounts import count_of

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord

__all__ = ["HEADINGS", "Pace", "Paces", "bar", "duration", "headline", "job_row", "meter", "outcome_rows"]

HEADINGS = ("id", "state", "command", "phase", "progress", "count", "rate", "left", "began")
"""What a row holds; the id is not shown. `left` is the time left of the phase or, of what ended, the time it took."""

_WAITING_S = 3.0
"""A rate is told once a phase has been watched for so long."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the present phase of a job goes."""

    per_second: float
    seconds_left: float | None


@dataclass
class _Start:
    phase: str
    done: int
    seconds: float


class Paces:
    """Rates of running jobs by what their records said since a phase was first seen."""

    def __init__(self) -> None:
        self._starts: dict[str, _Start] = {}
        self._latest: dict[str, Pace | None] = {}

    def note(self, records: Sequence[JobRecord]) -> None:
        """Take in what the records say now."""
        running = [record for record in records if record.state == "running"]
        self._starts = {record.id: self._starts[record.id] for record in running if record.id in self._starts}
        self._latest = {}
        for record in running:
            start = self._starts.get(record.id)
            if start is None or start.phase != record.phase or record.done < start.done:
                start = self._starts[record.id] = _Start(record.phase, record.done, record.seconds)
            self._latest[record.id] = _pace(record, start)

    def of(self, record: JobRecord) -> Pace | None:
        """The pace of a running job; None while it is not known."""
        return self._latest.get(record.id)


def _pace(record: JobRecord, start: _Start) -> Pace | None:
    done, seconds = record.done - start.done, record.seconds - start.seconds
    if done <= 0 or seconds < _WAITING_S:
        return None
    rate = done / seconds
    left = max(0, record.total - record.done) / rate if record.total else None
    return Pace(rate, left)


def job_row(record: JobRecord, pace: Pace | None) -> tuple[str, ...]:
    """A job as texts, in the order of HEADINGS."""
    running = record.state == "running"
    total = record.total
    shown = f"{record.done:,}/{total:,}" if total else f"{record.done:,}" if record.done else ""
    if record.failures:
        shown += f" !{record.failures:,}"
    rate = left = ""
    if pace is not None:
        rate = f"{pace.per_second:,.0f}/s" if pace.per_second >= 10 else f"{pace.per_second:.1f}/s"
        left = duration(pace.seconds_left) if pace.seconds_left is not None else ""
    elif not running:
        if record.embedded_per_second:
            rate = f"{record.embedded_per_second:,.0f}/s"
        left = duration(record.seconds)
    phase = record.phase if running else ""
    progress = bar(record.done, total) if running and total else ""
    command = " ".join(record.command)
    return record.id, record.state, command, phase, progress, shown, rate, left, _clock(record.started)


def meter(running: Sequence[JobRecord]) -> str:
    """How far the first of the running jobs is, in a few words with a figure, and how many more there are."""
    first = running[0]
    if first.total:
        figure = f"{100 * first.done // first.total} %"
    else:
        figure = f"{first.done:,}" if first.done else f"since {_clock(first.started)}"
    name = " ".join(first.command[:1])[:24]
    more = f" +{len(running) - 1}" if len(running) > 1 else ""
    return (
        f"{' '.join(word for word in (f'{name}:', first.phase, figure) if word)}{more}  {{app.help:?}} keys"
    )


def bar(done: int, total: int, width: int = 10) -> str:
    """`████░░░░░░ 41%`."""
    part = min(1.0, max(0.0, done / total)) if total > 0 else 0.0
    full = int(part * width)
    return f"{'█' * full}{'░' * (width - full)} {int(100 * part):2d}%"


def duration(seconds: float) -> str:
    """`4 s`, `3 min`, `2 h 05`."""
    if seconds < 9.5:
        return f"{max(0.0, seconds):.1f} s" if seconds < 1 else f"{seconds:.0f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d}"


def headline(record: JobRecord) -> str:
    """One line on one job; keys stand in it as `keys.with_keys` has them."""
    words = [f"{' '.join(record.command)}: {record.state}"]
    if record.state == "killed":  # how to go on comes first: narrow terminals cut the end off
        words += ["{jobs.resume:u} runs it again", "its process is gone, what it had finished is kept"]
    if record.state == "running":
        words += [record.phase] if record.phase else []
        words.append(f"process {record.pid}, since {_clock(record.started)}")
    else:
        words.append(f"after {duration(record.seconds)}")
    if record.failures:
        words.append(count_of(record.failures, "file") + " could not be read")
    if record.message:
        words.append(record.message)
    return ", ".join(words)


def outcome_rows(record: JobRecord) -> list[tuple[str, str]]:
    """(path, reason) of the files that could not be read, and how many more there are."""
    rows = list(record.outcomes)
    more = record.failures - len(rows)
    if rows and more > 0:
        rows.append((f"... and {more:,} more", "SELECT path, error FROM images WHERE state = 'unreadable'"))
    return rows


def _clock(stamp: Any) -> str:
    """A moment of a record (UTC) in the time of this place."""
    try:
        moment = datetime.fromisoformat(str(stamp).replace("Z", "+00:00"))
    except ValueError:
        return str(stamp)[:16]
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone(timedelta()))
    local = moment.astimezone()
    today = local.date() == datetime.now(local.tzinfo).date()
    return local.strftime("%H:%M:%S" if today else "%m-%d %H:%M")
