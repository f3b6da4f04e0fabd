"""Timing whole processes: wall time and peak memory of each, as the operating system accounts them."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COLONNADE = str(Path(sys.executable).with_name("colonnade"))


@dataclass(frozen=True)
class Run:
    """One finished process."""

    seconds: float
    peak_mb: float
    stdout: str


def run(command: Sequence[str], *, ok: tuple[int, ...] = (0,)) -> Run:
    """Run a command to its end; exits if it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment())
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in ok:
        sys.exit(f"{' '.join(command[:6])} ...: exit status {process.returncode}")
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Run(seconds, usage.ru_maxrss / scale, output)


def _environment() -> dict[str, str]:
    """Modules are compiled once, as an installation by pip has them, whatever the shell says."""
    compiled = str(Path(tempfile.gettempdir()) / "colonnade-bench-compiled")
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return own | {"PYTHONPYCACHEPREFIX": compiled}


def median_seconds(command: Sequence[str], runs: int) -> float:
    return statistics.median(run(command).seconds for _ in range(runs))


def pairs(first: Sequence[str], second: Sequence[str], runs: int = 5) -> tuple[float, float, float]:
    """Median seconds of two commands run in turn, and the median of their ratios pair by pair."""
    run(first)
    run(second)
    both = [(run(first).seconds, run(second).seconds) for _ in range(runs)]
    ratio = statistics.median(one / two for one, two in both)
    return statistics.median(one for one, _ in both), statistics.median(two for _, two in both), ratio


def row(what: str, seconds: float, floor: float | None = None, note: str = "") -> None:
    """One line of a benchmark's table."""
    ratio = "" if floor is None else f"  floor {floor:8.3f} s  ratio {seconds / floor:5.2f}"
    print(f"{what:<58} {seconds:8.3f} s{ratio}  {note}".rstrip(), flush=True)
