"""The same keys in other programs that show the same rows: a stock Textual DataTable, and harlequin."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyte
import tui_datatable
from tui_conditions import Conditions
from tui_keys import Moves, move
from tui_terminal import Memory, Size, Terminal, marked_row

__all__ = ["Case", "Rival", "measure_datatable", "measure_harlequin"]

_IDLE_SECONDS = 5.0
_F5, _F10, _CTRL_A, _CTRL_J = "\x1b[15~", "\x1b[21~", "\x01", "\n"


@dataclass(frozen=True)
class Case:
    """What all programs show, and where."""

    store: Path
    size: Size
    environment: Mapping[str, str]
    conditions: Conditions
    keys: int
    """Cursor keys that are pressed; of other kinds fewer."""
    folder: Path
    """For what a program needs."""
    patience: float
    """Seconds after which a program that shows no rows is given up."""


@dataclass(frozen=True)
class Rival:
    """What was measured of another program; None where it did not come to that."""

    name: str
    frame: float | None = None
    """Seconds to its first whole frame."""
    rows: float | None = None
    """Seconds until rows are there; of harlequin from when the query is run."""
    moves: Moves | None = None
    idle: float | None = None
    """Bytes a second without a key."""
    memory: Memory | None = None
    notes: tuple[str, ...] = ()


def measure_datatable(case: Case) -> Rival:
    """All rows in a DataTable."""
    name = "DataTable"
    arguments = [sys.executable, tui_datatable.__file__, str(case.store), *case.conditions.codes]
    with Terminal(arguments, case.size, case.environment) as terminal:
        (rows,) = terminal.first(lambda screen: marked_row(screen) is not None, patience=case.patience)
        if rows.seconds is None:
            held, images = terminal.memory().now, case.conditions.images
            note = f"none of {images:,} rows after {case.patience:.0f} s, {held:,.0f} MB by then: given up"
            return Rival(name, notes=(note,))
        moves = move(terminal, case.keys)
        return Rival(name, rows.seconds, rows.seconds, moves, _idle(terminal), terminal.memory())


def measure_harlequin(case: Case, program: str | None) -> Rival:
    """The rows as the result of a query, in full screen."""
    name = "harlequin"
    if program is None:
        return Rival(name, notes=("not installed",))
    view = case.folder / "harlequin.sql"
    view.write_text(
        f"CREATE VIEW results AS {tui_datatable.results_sql(case.store, case.conditions.codes)};\n"
    )
    arguments = [program, "--no-download-tzdata", "--init-path", str(view), "--viewer-max-rows", "-1"]
    with Terminal(arguments, case.size, case.environment) as terminal:
        terminal.first(_panes, patience=case.patience)  # which compiles its modules
    with Terminal(arguments, case.size, case.environment) as terminal:
        (frame,) = terminal.first(_panes, patience=case.patience)
        if frame.seconds is None:
            return Rival(name, notes=(f"no frame after {case.patience:.0f} s: {_words(terminal)}",))
        terminal.settle(2.0)
        for keys in (_CTRL_A, "\x1b[200~FROM results\x1b[201~"):  # it keeps what was typed the last time
            terminal.send(keys)
            terminal.settle(0.7)
        (rows,) = terminal.press(
            _CTRL_J, lambda screen: ".jpg" in "".join(screen.display), quiet=1.0, patience=case.patience
        )
        if rows.seconds is None:
            note = f"no rows after {case.patience:.0f} s: {_words(terminal)}"
            return Rival(name, frame.seconds, notes=(note,))
        for keys in (_F5, _F10):
            terminal.send(keys)
            terminal.settle(1.0)
        if marked_row(terminal.screen) is None:
            note = f"no cursor in its rows: {_words(terminal)}"
            return Rival(name, frame.seconds, rows.seconds, memory=terminal.memory(), notes=(note,))
        moves = move(terminal, case.keys)
        return Rival(name, frame.seconds, rows.seconds, moves, _idle(terminal), terminal.memory())


def _idle(terminal: Terminal) -> float:
    terminal.settle(1.0, 5.0)
    return terminal.listen(_IDLE_SECONDS) / _IDLE_SECONDS


def _panes(screen: pyte.Screen) -> bool:
    text = "\n".join(screen.display)
    return all(pane in text for pane in ("Data Catalog", "Query Editor", "Query Results"))


def _words(terminal: Terminal) -> str:
    return " ".join(terminal.text.split())[:300]
