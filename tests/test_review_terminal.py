"""What keys the bare terminal of `review` makes of the bytes that come."""

from __future__ import annotations

import os
import pty
import sys

import pytest

from colonnade.tui.review_terminal import Terminal

TYPED = b"x\x1b[By\x1bOPn\x1b[1;2Nu"
"""Letters, and between them an arrow, F1 and a key whose sequence ends with what would be an answer."""


@pytest.mark.parametrize("cut", range(1, len(TYPED)))
def test_a_sequence_is_no_answer_wherever_a_slow_line_cuts_it(
    monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    here, there = pty.openpty()
    with os.fdopen(there) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with Terminal() as terminal:
            keys = ""
            for part in (TYPED[:cut], TYPED[cut:]):
                os.write(here, part)
                keys += terminal._typed()
            assert keys == "xynu"
    os.close(here)


def test_a_key_counts_from_when_the_picture_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = pty.openpty()
    with os.fdopen(there) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with Terminal() as terminal:
            os.write(here, b"y")
            terminal.draw(["a picture"])
            os.write(here, b"n")
            assert terminal.key("yn") == "n"
    os.close(here)
