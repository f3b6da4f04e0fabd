"""The calibration screen: the table, lines that keys move, what saving changes, and taking it back."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_driving import browsing, lines_of, moon_store, opened, until
from sound_stores import sound_store
from textual import events
from textual.pilot import Pilot

from colonnade.engine.calibration_table import calibration_table
from colonnade.tui.calibration_text import COLUMNS, as_cells
from colonnade.tui.cut_lines import CutLines, change_words, share
from colonnade.tui.screens import calibration, calibration_changes
from colonnade.tui.screens.calibration import CalibrationScreen
from colonnade.tui.screens.calibration_columns import FULL, NARROW, WIDE, sorted_rows, table_rows
from colonnade.tui.screens.calibration_saving import Opened, read_attribute
from colonnade.tui.session import Session
from colonnade.tui.session_distribution import Axis, Distribution
from colonnade.tui.widgets.histogram import Histogram
from colonnade.tui.widgets.line import TextLine
from colonnade.tui.widgets.thumbnails import PictureStrip


def distribution(values: list[float], **changes: object) -> Distribution:
    facts = {"code": "earth", "method": "fixed", "column": "logit", "center": 10.0, "scale": 2.0, "cut": 0.0}
    facts |= {"slope": 1.0, "no_signal": False, "gate": None, "accepted": 0.8, "tentative": 0.5, **changes}
    found = np.sort(np.array(values))
    return Distribution(Axis(**facts), 1, np.arange(len(values)), found)  # type: ignore[arg-type]


@asynccontextmanager
async def calibrating(
    store: Path, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Pilot[None], CalibrationScreen]]:
    async with opened(store, size) as (pilot, app):
        app.open_screen("calibration")
        await until(lambda: isinstance(app.screen, CalibrationScreen) and app.screen.is_ready, "the screen")
        screen = app.screen
        assert isinstance(screen, CalibrationScreen)
        await until(lambda: screen.table.count, "the table")
        await pilot.pause()
        yield pilot, screen


def text(screen: CalibrationScreen, name: str) -> str:
    return lines_of(screen.query_one(f"#{name}", TextLine))[0]


async def open_first(pilot: Pilot[None], screen: CalibrationScreen) -> CutLines:
    await pilot.press("enter")
    await until(lambda: screen.panel.lines is not None and screen.panel.has_focus, "a distribution")
    await pilot.pause()
    assert screen.panel.lines is not None
    return screen.panel.lines


def test_lines_count_what_they_cut() -> None:
    found = distribution([float(value) for value in range(101)])
    lines = CutLines.saved(found)
    assert not lines.moved and lines.change_words() == "" and lines.can_move
    accepted = lines.counts[0]
    up = lines.with_cut_moved(5)
    assert up.counts[0] == accepted - 5 and up.changed == (0, 5)
    assert up.accepted_at - up.tentative_at == pytest.approx(lines.accepted_at - lines.tentative_at)
    assert "5 would leave" in up.change_words()
    assert lines.with_cut_moved(-5).changed == (5, 0)
    assert lines.with_cut_moved(9999).counts[0] == 0
    assert lines.with_cut_moved(-9999).counts[0] == 101
    lower = lines.with_threshold_moved(-40)
    assert lower.tentative == 0.1 and lower.counts[0] == accepted and lower.counts[1] > lines.counts[1]
    assert "0.5 -> 0.1" in lower.change_words()
    assert lines.with_threshold_moved(999).tentative == 0.8
    assert lines.with_threshold_moved(-999).tentative == 0.01


def test_bins_hold_every_image() -> None:
    found = distribution([0.0, 0.1, 5.0, 9.99, 10.0])
    assert CutLines.saved(found).bins(10) == np.histogram(found.values, 10)[0].tolist()
    assert CutLines.saved(distribution([])).bins(4) == [0] * 4
    assert sum(CutLines.saved(distribution([3.0, 3.0])).bins(7)) == 2


def test_without_signal_a_line_comes_in_from_the_top() -> None:
    lines = CutLines.saved(distribution([float(value) for value in range(100)], no_signal=True))
    assert lines.counts == (0, 0, 100) and "nothing is accepted" in lines.place_words()
    assert lines.with_cut_moved(-3).counts[0] == 2
    assert not CutLines.saved(distribution([1.0], accepted=1.0)).can_move


def test_what_a_fit_does_in_words() -> None:
    counts = {"accepted": 10, "tentative": 1, "rejected": 5}
    change = {"code": "earth", "fit": {"method": "auto", "no_signal": False}, "entering": 2, "leaving": 5}
    change |= {"before": counts, "after": {**counts, "accepted": 7}, "fallback": None}
    assert change_words({"changes": [change]}) == "earth by auto: accepted 10 -> 7 (2 enter, 5 leave)"
    assert "already" in change_words({"changes": []})
    assert "sync" in change_words({"changes": [], "waiting": ["moon"]})
    assert (share(26, 100), share(1, 1000), share(0, 0)) == ("26 %", "0.1 %", "-")


def test_rows_without_a_value_come_last() -> None:
    rows: list[dict[str, Any]] = [
        {"code": code, "mean": mean, "cells": {}} for code, mean in (("a", None), ("b", 1.0), ("c", 2.0))
    ]
    assert [row["code"] for row in sorted_rows(rows, ("mean", True))] == ["c", "b", "a"]
    assert [row["code"] for row in sorted_rows(rows, ("mean", False))] == ["b", "c", "a"]
    assert {column.name for column in NARROW} == {column.name for column in WIDE} == {c.name for c in FULL}


def test_that_another_fit_comes_is_not_cut_off_in_the_table(tmp_path: Path) -> None:
    store = sound_store(tmp_path / "s")
    row = calibration_table(store, store.snapshot(), store.vocabulary())[0]
    assert row.distribution.scored
    words = as_cells(replace(row, to_make="the background changed"))[COLUMNS.index("method")]
    assert "auto" in words
    assert all(len(words) <= column.width for column in FULL if column.name == "method")


@pytest.mark.asyncio
async def test_a_key_that_comes_with_enter_is_for_what_enter_opens(tmp_path: Path) -> None:
    store = sound_store(tmp_path / "s").path
    async with calibrating(store) as (_, screen):
        for key in ("enter", "right"):
            screen.app.post_message(events.Key(key, None))
        await until(lambda: screen.panel.lines is not None and screen.panel.lines.moved, "a line moved")
        assert screen.table.column == 0


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_line_is_moved_saved_and_taken_back(tmp_path: Path) -> None:
    store = sound_store(tmp_path / "s").path
    async with calibrating(store) as (pilot, screen):
        assert "earth" in lines_of(screen.table)[1]
        before = screen.session.find("earth").count
        lines = await open_first(pilot, screen)
        assert not screen.table.display
        assert text(screen, "counts").startswith(f" accepted {before}")
        picture = lines_of(screen.query_one(Histogram))
        assert any("[accepted]" in line for line in picture) and "█" in "".join(picture)
        for _ in range(60):
            if screen.panel.lines is not None and screen.panel.lines.changed[1] >= 2:
                break
            await pilot.press("right")
        moved = screen.panel.lines
        assert moved is not None
        entering, leaving = moved.changed
        assert (entering, leaving >= 2) == (0, True)
        assert f"{leaving} would leave" in text(screen, "change")
        strip = screen.query_one("#above", PictureStrip)
        await until(
            lambda: strip.ids and strip.ids == moved.found.near(moved.accepted_at, 3)[0][: len(strip.ids)],
            "the strip",
        )
        await pilot.press("escape")
        assert screen.panel.lines is moved and "not saved" in screen.status.message
        await pilot.press("right", "left", "enter")
        await until(lambda: f"{leaving} left" in screen.status.message, "saved")
        assert screen.go_back() and not screen.has_class("-open")  # what is saved needs no warning
        await pilot.press("enter")
        await until(lambda: screen.panel.lines is not None and not screen.panel.lines.moved, "as saved")
        await until(lambda: screen.session.find("earth").count == before - leaving, "the new counts")
        await pilot.press("u")
        await until(lambda: screen.session.find("earth").count == before, "taken back")
        await until(
            lambda: (
                screen.panel.lines is not None
                and screen.panel.lines.accepted_at == pytest.approx(lines.accepted_at)
            ),
            "the line stands where it stood",
        )
        await pilot.press("escape")
        assert screen.table.has_focus and screen.table.display


@pytest.mark.asyncio
async def test_keys_typed_ahead_wait_for_the_table_and_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colonnade.tui.typeahead._OPENING_S", 60.0)  # on a busy machine, too
    for name in ("calibration_table", "distribution"):
        read = getattr(Session, name)

        def slow(*given: Any, read: Any = read) -> Any:
            time.sleep(0.4)
            return read(*given)

        monkeypatch.setattr(Session, name, slow)
    async with browsing(sound_store(tmp_path / "s").path) as (pilot, browse):
        await pilot.press("3", "enter")
        screen = browse.colonnade.base_screen
        assert isinstance(screen, CalibrationScreen)
        await until(lambda: screen._open, "the attribute")
        await pilot.press("right")
        await until(lambda: screen.panel.lines is not None and screen.panel.lines.moved, "a line that moved")


@pytest.mark.asyncio
async def test_a_second_enter_leaves_the_first_to_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, seen = Session.save_cut, threading.Event()

    def slow(*given: Any) -> Any:
        seen.wait(60)
        return save(*given)

    monkeypatch.setattr(Session, "save_cut", slow)
    async with calibrating(sound_store(tmp_path / "s").path) as (pilot, screen):
        lines = await open_first(pilot, screen)
        await pilot.press("right", "enter", "enter")
        assert "not done yet" in screen.status.message
        seen.set()
        await until(lambda: screen._done and not screen._at_work, "saved")
        await pilot.press("u")
        await until(
            lambda: (
                screen.panel.lines is not None
                and screen.panel.lines.accepted_at == pytest.approx(lines.accepted_at)
            ),
            "the line stands where it stood",
        )


@pytest.mark.asyncio
async def test_a_fit_that_was_tried_outlasts_another_size(tmp_path: Path) -> None:
    async with calibrating(sound_store(tmp_path / "s").path) as (pilot, screen):
        lines = await open_first(pilot, screen)
        screen._fit_tried(lines.found.code, "auto", "2 would enter")
        await pilot.resize_terminal(100, 30)
        await until(lambda: screen.size.width == 100 and screen.panel.size.width == 100, "the size")
        await pilot.pause()
        assert (screen._tried, "2 would enter" in text(screen, "change")) == ("auto", True)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_fit_that_was_tried_stays_however_late_its_attribute_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_attribute

    def slowly(session: Session, code: str) -> Opened:
        time.sleep(1.5)
        return read(session, code)

    monkeypatch.setattr(calibration, "read_attribute", slowly)
    monkeypatch.setattr(calibration_changes, "fit", lambda *_, **__: "2 would enter")
    async with calibrating(sound_store(tmp_path / "s").path, (120, 36)) as (pilot, screen):
        await pilot.press("a")
        await until(lambda: screen.panel.lines is not None, "the attribute")
        await until(lambda: screen._tried and "2 would enter" in text(screen, "change"), "the fit", 10.0)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_fits_are_tried_before_they_are_saved(tmp_path: Path) -> None:
    store = sound_store(tmp_path / "s").path
    async with calibrating(store, (200, 50)) as (pilot, screen):
        await pilot.press("a")
        await until(lambda: screen.status.kind in ("bad", "warn") or screen._tried, "an answer")
        await pilot.press("tab")
        assert screen.panel.moving == "tentative" and "vocabulary" in text(screen, "change")
        await pilot.press("L")
        await until(lambda: "labels" in screen.status.message or screen._tried, "an answer")
        await pilot.press("d")
        await until(lambda: screen.query("ExplainPanel"), "the receipt")
        await pilot.press("escape")
        await until(lambda: not screen.query("ExplainPanel"), "the receipt is closed")
        assert screen.table.display


@pytest.mark.slow
@pytest.mark.asyncio
async def test_it_says_what_to_do_without_scores_and_at_any_size(tmp_path: Path) -> None:
    store = moon_store(tmp_path / "s", images=20, hostile=True)
    async with calibrating(store) as (pilot, screen):
        await pilot.press("end", "enter")
        await until(lambda: "reading" not in text(screen, "counts"), "why there is no distribution")
        assert screen.panel.lines is None and len(text(screen, "counts")) > 10
        await pilot.press("escape")
        for size in ((20, 5), (200, 50), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.press("a", "L", "u", "d", "enter", "left", "tab", "y", "backspace", "escape")
            await pilot.pause()
        assert screen.status.display


def test_few_images_make_few_bars() -> None:
    values = np.random.default_rng(3).normal(0, 2, 240)
    found = distribution(values.tolist())
    assert 16 <= found.bins_for(200) < 40
    assert found.bins_for(12) == 12 and found.bins_for(30) <= 30
    many = distribution(np.random.default_rng(3).normal(0, 2, 200_000).tolist())
    assert many.bins_for(120) == 120
    assert distribution([1.0]).bins_for(80) == 80 and distribution([1.0] * 9).bins_for(80) == 80


@pytest.mark.asyncio
async def test_few_images_are_no_comb(tmp_path: Path) -> None:
    async with calibrating(sound_store(tmp_path / "s", images=240).path, (200, 50)) as (pilot, screen):
        await open_first(pilot, screen)
        shown = screen.query_one(Histogram)
        heights = shown.heights()
        turns = [after - before for before, after in pairwise(heights) if after != before]
        assert len(heights) == shown.size.width > 100
        assert len(turns) < 45, "as many steps as bins, not as columns"
        lines = screen.panel.lines
        assert lines is not None and max(heights) == 1.0
        column = shown.column_of(lines.found.low)
        assert column == 0 and heights[0] > 0 and heights[-1] > 0


@pytest.mark.asyncio
async def test_center_and_scale_stand_where_there_is_room_and_what_is_left_out_is_told(
    tmp_path: Path,
) -> None:
    store = moon_store(tmp_path / "s", images=20)
    async with calibrating(store, (200, 50)) as (_, screen):
        head = lines_of(screen.table)[0].split()
        assert "center" in head and "scale" in head
        await until(lambda: "1 derived attribute left out" in lines_of(screen.status)[-1], "what is left out")


def test_center_scale_and_when_are_those_of_the_fit() -> None:
    cells = {**dict.fromkeys(COLUMNS, "-"), "fitted": "2026-11-21 19:11", "on": "478"}
    rows = table_rows([{"cells": cells, "center": 25.53, "scale": 1.5}, {"cells": cells, "center": None}])
    shown = ("center", "scale", "fitted", "on")
    places = [column.index for column in FULL if column.name in shown and column.index is not None]
    told = [[row[place] for place in places] for row in rows]
    assert told == [["25.5", "1.5", "2026-11-21 19:11", "478"], ["-", "-", "2026-11-21 19:11", "478"]]
    fits: list[dict[str, Any]] = [
        {"code": code, "fitted_at": when, "cells": {}}
        for code, when in (("a", None), ("b", "2026"), ("c", "2025"))
    ]
    assert [row["code"] for row in sorted_rows(fits, ("fitted", False))] == ["c", "b", "a"]
