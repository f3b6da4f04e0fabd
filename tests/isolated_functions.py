"""Functions for worker processes: they misbehave as decoders of hostile files do."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path


def behave(item: str) -> str:
    """`double:x`, `sleep:s`, `spin`, `segfault`, `kill`, `exit`, `raise`, `noise`, `big:n`, `once:path`."""
    kind, _, rest = item.partition(":")
    match kind:
        case "double":
            return rest + rest
        case "sleep":
            time.sleep(float(rest))
        case "hang":  # holds the interpreter lock, as a decoder may: no Python code runs beside it
            ctypes.PyDLL(None).usleep(int(float(rest) * 1e6))
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "leave":
            sys.exit("leaving")
        case "raise":
            raise ValueError("no \x1b[31mgood\n" + "x" * 10_000)
        case "noise":
            os.write(1, b"garbage on stdout\n")
            os.write(2, b"garbage on stderr\n")
            print("more")
        case "big":
            return "x" * int(rest)
        case "once":  # crashes for the first process that gets it
            if not Path(rest).exists():
                Path(rest).touch()
                ctypes.string_at(0)
            return "second time"
        case "modules":
            return " ".join(sys.modules)
        case "threads":
            return str(threading.active_count())
        case "path":
            return "\n".join(sys.path)
        case "pid":
            return str(os.getpid())
    return item


def read_item_or_misbehave(item: tuple[int, str, int], max_pixels: int) -> object:
    """`facts.read_item`, but files named so crash, hang or take their time."""
    from colonnade.engine.facts import read_item

    name = Path(item[1]).stem
    if name.startswith(("segfault", "hang", "slow")):
        behave({"segfault": "segfault", "hang": "hang:100", "slow": "sleep:0.3"}[name.partition("_")[0]])
    return read_item(item, max_pixels)
