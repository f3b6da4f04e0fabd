"""Hashing as it goes on a disk that does not answer; importable by worker processes."""

from __future__ import annotations

import os
import time

from colonnade.engine.facts import hash_file

PARENT = "PID_OF_THE_SCAN"


def hash_elsewhere(path: str) -> str | None:
    """`hash_file` on a disk that does not answer for some files; an error in the process that scans."""
    assert os.environ[PARENT] != str(os.getpid()), "hashed where nothing limits the time"
    if "stuck" in path:
        time.sleep(100)
    return hash_file(path)
