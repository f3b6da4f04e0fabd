"""The lines of the calibration screen cut as the engine does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from colonnade.engine.calibration import ACCEPTED, REJECTED, TENTATIVE, Fit, judge
from colonnade.tui.cut_lines import CutLines
from colonnade.tui.session_distribution import Axis, Distribution

ODDS = np.linspace(-6, 6, 241, dtype=np.float32) + np.float32(0.013)


def counted(fit: Fit, accepted: float, tentative: float) -> tuple[int, int, int]:
    _, status = judge(fit, accepted, tentative, ODDS, ODDS)
    return tuple(int((status == code).sum()) for code in (ACCEPTED, TENTATIVE, REJECTED))  # type: ignore[return-value]


@pytest.mark.parametrize(("accepted", "tentative"), [(0.8, 0.5), (0.8, 0.2), (1.0, 0.5), (0.8, 0.0), (0, 0)])
@pytest.mark.parametrize("gate", [None, -1.0, 0.5, 2.0])
@pytest.mark.parametrize("no_signal", [False, True])
def test_lines_that_were_not_moved_count_as_the_statuses_are(
    accepted: float, tentative: float, gate: float | None, no_signal: bool
) -> None:
    fit = Fit("auto", cut=0.4, slope=1.3, no_signal=no_signal, gate=gate, axis="a", background="b")
    axis = Axis(
        "earth", "auto", "log_odds", None, None, fit.cut, fit.slope, no_signal, gate, accepted, tentative
    )
    lines = CutLines.saved(Distribution(axis, 1, np.arange(len(ODDS)), ODDS.astype(np.float64)))
    assert lines.counts == counted(fit, accepted, tentative)
    if tentative > 0:
        lower = lines.with_threshold_moved(-10)
        assert lower.counts == counted(fit, accepted, lower.tentative)
    if lines.can_move:
        up = lines.with_cut_moved(7)
        moved = replace(
            fit, cut=axis.eighty(up.accepted_at), chosen=True, moved=True, no_signal=False, gate=None
        )
        assert up.counts == counted(moved, accepted, tentative)
