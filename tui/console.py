"""What every command shares: finding the store, narrating on stderr, data on stdout, progress."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colonnade.tui.safe import safe

if TYPE_CHECKING:
    from colonnade.engine.store import Store

__all__ = [
    "AtOption",
    "JsonOption",
    "Progress",
    "RootState",
    "StoreOption",
    "add_group",
    "emit",
    "emit_json",
    "error_line",
    "folder_of",
    "open_store",
    "print_table",
    "progress",
    "safe",
    "say",
    "set_root_state",
    "store_path",
]


def folder_of(text: str | Path) -> Path:
    """A folder's path as it was given; "" is a mistake, such as an unset variable, and not the folder one is in."""
    if not str(text):
        raise typer.BadParameter('"" is no folder; `.` is the one you are in')
    return Path(text)


StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        "-s",
        parser=folder_of,
        metavar="DIR",
        help="The store; else $COLONNADE_STORE, else the nearest one upwards.",
    ),
]


def _or_of_group(value: bool) -> bool:
    return value or _root_state().json


JsonOption = Annotated[
    bool, typer.Option("--json", callback=_or_of_group, help="One JSON document on stdout.")
]
AtOption = Annotated[
    int | None, typer.Option("--at", metavar="N", help="Read snapshot N instead of the live one.")
]


@dataclass(frozen=True)
class RootState:
    """What the options before the command said; `json` is that of the group a command is in."""

    store: Path | None = None
    quiet: bool = False
    json: bool = False


_ROOT_STATE: ContextVar[RootState | None] = ContextVar("root_state", default=None)


def set_root_state(state: RootState) -> None:
    """Remember the options before the command, for the command that follows."""
    _ROOT_STATE.set(state)


def _root_state() -> RootState:
    return _ROOT_STATE.get() or RootState()


def add_group(
    app: typer.Typer,
    name: str,
    text: str,
    commands: Mapping[str, Any],
    *,
    alone: Callable[..., None] | None = None,
) -> None:
    """Add a group of commands; --store and --json may stand before the command of the group, too.

    Args:
        text: the group's help.
        alone: what the group does without a command, with the arguments `store` and `json_`; by default it shows its
            help.
    """
    group = typer.Typer(help=text, no_args_is_help=alone is None, invoke_without_command=alone is not None)

    def options(context: typer.Context, store: StoreOption = None, json_: JsonOption = False) -> None:
        state = _root_state()
        set_root_state(replace(state, store=store or state.store, json=json_))
        if context.invoked_subcommand is None:
            if alone is not None:
                alone(store=store, json_=json_)
        elif json_:
            command: Any = context.command
            chosen = command.commands.get(context.invoked_subcommand)
            if chosen is not None and all(parameter.name != "json_" for parameter in chosen.params):
                raise typer.BadParameter(f"`{name} {context.invoked_subcommand}` has no --json")

    group.callback()(options)
    for command_name, function in commands.items():
        group.command(command_name)(function)
    app.add_typer(group, name=name)


def store_path(store: Path | None) -> Path:
    """The store's folder by option, environment or search upwards.

    Raises:
        StoreError: there is none.
    """
    from colonnade.engine.errors import StoreError

    given = store or _root_state().store
    if given is not None:
        return given
    if named := os.environ.get("COLONNADE_STORE"):
        return Path(named)
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise StoreError("the working directory was deleted; go to another one and run it again") from None
    for folder in (here, *here.parents):
        if (folder / "colonnade.toml").is_file():
            return folder
    raise StoreError(f"no store in {here} or above; name one with --store, or make one: colonnade init DIR")


def open_store(store: Path | None) -> Store:
    """Open the store that the options name."""
    from colonnade.engine.store import Store as EngineStore

    return EngineStore(store_path(store))


def say(text: str) -> None:
    """Narrate a line on stderr; silent under --quiet."""
    if not _root_state().quiet:
        sys.stderr.write(safe(text) + "\n")
        sys.stderr.flush()


def error_line(text: str) -> None:
    """An error on stderr, also under --quiet. Line breaks in it are the engine's own, one fault a line."""
    for line in text.split("\n"):
        sys.stderr.write(safe(line) + "\n")
    sys.stderr.flush()


def emit(text: str, *, end: str = "\n") -> None:
    """A line of data on stdout: verbatim into a pipe or file, sanitised on a terminal."""
    if sys.stdout.isatty():
        text = safe(text)
    sys.stdout.buffer.write((text + end).encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def emit_json(document: object) -> None:
    """One JSON document on stdout. Characters outside ASCII are escaped, so that no terminal can be harmed."""
    import json

    sys.stdout.write(json.dumps(document, indent=2, default=str, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], right: set[str] | None = None
) -> None:
    """An aligned table on stdout; `right` names the columns to align right."""
    from rich.cells import cell_len

    right = right or set()
    lines = [[safe(name) for name in columns], *([safe(value) for value in row] for row in rows)]
    widths = [max(cell_len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = []
        for i, (text, width) in enumerate(zip(line, widths, strict=True)):
            padding = " " * (width - cell_len(text))
            cells.append(padding + text if columns[i] in right else text + padding)
        emit("  ".join(cells).rstrip())


class Progress:
    """A line on stderr that is rewritten while work goes on; nothing when stderr is no terminal."""

    def __init__(self, what: str, *, shown: bool) -> None:
        self._what = what
        self._shown = shown
        self._started = time.monotonic()
        self._before: int | None = 0
        """What was done at `_started`; None until the first news of a phase, which may be of a whole batch."""
        self._last = 0.0
        self._width = 0

    def phase(self, what: str) -> None:
        """Go on to another kind of work: its rate is counted from what is done of it by now."""
        if what != self._what:
            self._what = what
            self._started = time.monotonic()
            self._before = None

    def update(self, done: int, total: int | None = None, failures: int = 0) -> None:
        """Show `done` of `total`, with rate and time left; at most ten times a second."""
        now = time.monotonic()
        if self._before is None:
            self._before = done
        if not self._shown or (now - self._last < 0.1 and done != total):
            return
        self._last = now
        elapsed = max(now - self._started, 1e-6)
        rate = (done - self._before) / elapsed
        parts = [f"{self._what}: {done:,}" + (f" of {total:,}" if total else "")]
        if elapsed > 1 and rate > 0:
            parts.append(f"{rate:,.1f}/s")
            if total and done < total:
                parts.append(f"{_duration((total - done) / rate)} left")
        if failures:
            parts.append(f"{failures:,} failed")
        line = ", ".join(parts)
        sys.stderr.write("\r" + line + " " * max(0, self._width - len(line)))
        sys.stderr.flush()
        self._width = len(line)

    def close(self) -> None:
        if self._shown and self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """A progress line for a piece of work, wiped when it ends."""
    line = Progress(what, shown=sys.stderr.isatty() and not _root_state().quiet)
    try:
        yield line
    finally:
        line.close()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
