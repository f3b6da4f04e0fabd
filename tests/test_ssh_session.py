"""A whole session over ssh and tmux, from an empty folder to a collection that plain DuckDB reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from session_over_ssh import check, report, session
from ssh_line import NoLineError


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_from_nothing_to_a_reviewed_collection_over_ssh(tmp_path: Path) -> None:
    try:
        done = session(tmp_path)
    except NoLineError as error:
        pytest.skip(f"no session over ssh can be had here: {error}")
    print("\n".join(report(done)))
    assert len(check(done)) > 15
    words = [sys.executable, "-m", "colonnade.tui.cli", "-s", str(done.store), "verify"]
    verified = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert not any(step.received == 0 for step in done.steps)
    to_user, from_user = done.carried
    assert 0 < to_user < 400_000 and 0 < from_user < 400_000, (to_user, from_user)
    assert os.listdir(tmp_path / "photos")
