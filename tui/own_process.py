"""Starting modules of this package as processes, into which no folder of a stranger brings code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["own_command", "own_environment"]


def own_command(module: str, *words: str) -> list[str]:
    """The command line that runs a module of the package.

    Without -P, Python looks for modules in the folder that the process runs in first: a `yaml.py` that lies in a
    stranger's store would be imported.
    """
    return [sys.executable, "-P", "-m", module, *words]


def own_environment(**more: str) -> dict[str, str]:
    """The environment for it: this process's, in which no entry of PYTHONPATH is relative to a working directory.

    An empty entry, as `PYTHONPATH=$PYTHONPATH:/mine` leaves behind, would mean the folder that the process runs in.
    """
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    entries = [str(Path(entry).absolute()) for entry in given if entry]
    home = str(Path(__file__).parents[2])
    if sys.path[:1] == [home]:  # run where it was unpacked, by `python -m`: it is found in no other way
        entries.append(home)
    safe = {"PYTHONPATH": os.pathsep.join(entries), "PYTHONSAFEPATH": "1"}  # the latter for its own children
    return {**os.environ, **safe, **more}
