"""What a wording changes before it is saved: every image that enters or leaves is seen, two wordings compared."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from app_driving import lines_of, until
from sound_stores import sound_store
from vocabulary_driving import fill, form_of, said, store_of, vocabulary

from colonnade.engine.jobs import JobRecord
from colonnade.engine.vocabulary import Rule
from colonnade.tui.screens import vocabulary_which
from colonnade.tui.screens.vocabulary import VocabularyScreen
from colonnade.tui.screens.vocabulary_form import Prompts
from colonnade.tui.screens.vocabulary_rule import RuleTable
from colonnade.tui.screens.vocabulary_tried_text import axis_of, name_lines, result_lines, spread
from colonnade.tui.screens.vocabulary_trying import Changes, TriedPicture, changes
from colonnade.tui.screens.vocabulary_which import WhichPanel
from colonnade.tui.session import Session
from colonnade.tui.session_model import TryResult
from colonnade.tui.widgets.cells import text_cells
from colonnade.tui.widgets.line import TextLines
from colonnade.tui.widgets.window_table import WindowTable

ONE = TryResult(
    prompts=("p",), images=50_000, embedded=1_000_000, method="fixed: the demo model brings its own fits",
    best=(), accepted=12_217, tentative=1_118, before=42, entering=460, leaving=410, entering_images=(),
    leaving_images=(), logits=(1, 2, 3, 4), low=-2.0, high=2.0, cut=1.5, confidences=tuple(range(32)),
    nearest=(("earth_through_porthole", 0.9), ("mission_control", 0.5), ("moon", 0.25)), seconds=0.0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return store_of(tmp_path / "s")


def test_two_wordings_share_an_axis() -> None:
    other = replace(ONE, logits=(7, 0, 0, 5), low=0.0, high=16.0)
    axis = axis_of((ONE, other), 8)
    assert (axis.low, axis.step, axis.count) == (-4.0, 4.0, 5)
    assert spread(ONE, axis) == (3, 7, 0, 0, 0)
    assert spread(other, axis) == (0, 7, 0, 0, 5)
    alone = axis_of((ONE,), 8)
    assert (alone.low, alone.step, alone.count) == (-2.0, 1.0, 4)
    assert spread(ONE, alone) == ONE.logits
    lines = [result_lines(each, 38, axis)[-2] for each in (ONE, other)]
    assert all("-4.0 " in line and line.endswith(" 16.0") for line in lines)


@pytest.mark.parametrize("width", [24, 38, 58, 78, 118])
def test_nothing_of_a_try_is_cut(width: int) -> None:
    lines = result_lines(ONE, width, axis_of((ONE,), max(4, width - 20)))
    assert all(text_cells(line) <= width for line in lines), lines
    words = " ".join(" ".join(lines).split())
    for text in ("accepted 12,217 of 50,000 sampled, of 1,000,000 (24.4 %), tentative 1,118", "brings its own fits",
                 "460 enter (+), 410 leave (-)", "accepted from 1.50"):  # fmt: skip
        assert text in words


def test_more_than_one_of_each_is_named() -> None:
    pictures = [
        TriedPicture(n, mark, f".{n + 10}", f"folder/{mark.strip() or 'b'}_{n:04}.jpg", None, None)
        for mark in " +-"
        for n in range(9)
    ]
    lines = name_lines(pictures, 2, 78)
    assert len(lines) == 2
    assert lines[0].startswith("+ .10 +_0000.jpg  .11 +_0001.jpg") and lines[0].count(".jpg") > 3
    assert lines[1].startswith("- .10 -_0000.jpg  .11 -_0001.jpg")
    assert all(text_cells(line) <= 78 for line in lines)
    assert [line[0] for line in name_lines(pictures, 6, 78)] == [" ", " ", "+", "+", "-", "-"]
    assert len(name_lines(pictures, 27, 78)) == 27, "one a line, with its folder, where there is room"
    assert "folder/+_0000.jpg" in "\n".join(name_lines(pictures, 27, 78))
    assert name_lines(pictures, 0, 78) == ()
    assert len(name_lines(pictures, 1, 20)) == 1
    (line,) = name_lines(pictures, 1, 78)
    assert "+ .10 +_0000.jpg  .11" in line and "- .10 -_0000.jpg  .11" in line and text_cells(line) <= 78


@pytest.mark.slow
def test_confidences_before_and_after(tmp_path: Path) -> None:
    session = Session(sound_store(tmp_path / "s").path)
    try:
        stored = {row[0]: row[1] for row in session.find("", columns=["image_id", "earth"]).block(0)}
        loose = session.try_wording("earth", accepted=0.1, tentative=0.05, limit=200)
        assert loose.entering_images
        for image in (*loose.entering_images, *loose.best):
            assert image.before == pytest.approx(stored[image.image_id], abs=1e-6)
        other = session.try_wording("earth", prompts=["a photo of the moon"], limit=200)
        assert len(other.leaving_images) == other.leaving
        assert all(image.before == pytest.approx(stored[image.image_id]) for image in other.leaving_images)
        assert all(image.before is None for image in session.try_wording(description="the moon").best)
        for found in (loose, other):
            step = (found.high - found.low) / len(found.logits)
            assert float.hex(step).startswith("0x1.0000000000000p"), (
                "a power of two: bins of two can be added"
            )
            assert found.low % step == 0 and len(found.logits) <= 256
    finally:
        session.close()


def rows_of(table: WindowTable) -> list[tuple[object, ...]]:
    return [tuple(table.row_values(n) or ()) for n in range(table.count)]


def panel_text(screen: VocabularyScreen) -> str:
    found = screen.query(WhichPanel)
    if not found:
        return ""
    return " ".join(" ".join(found.first().query_one("#which-title", TextLines).lines).split())


@pytest.mark.asyncio
async def test_keys_typed_ahead_are_for_the_list_that_opens(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def slowly(*arguments: object) -> Changes:
        assert go.wait(30)
        return changes(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(vocabulary_which, "changes", slowly)
    async with vocabulary(store) as (pilot, screen):
        await until(lambda: screen.table.count == 4, "the list")
        await pilot.press("end", "e")
        form = await form_of(pilot, screen)
        form.query_one(RuleTable).focus()
        await pilot.press("home", "down", "a", "ctrl+e")
        await until(lambda: bool(screen.query(WhichPanel)), "the panel, at once")
        assert "looking" in panel_text(screen)
        go.set()
        await until(lambda: "12 enter" in panel_text(screen), "the images")
        assert screen.query_one(WhichPanel).query_one(WindowTable).has_focus
        assert form.draft.rule == Rule(("earth",))


@pytest.mark.parametrize("size", [(80, 24), (200, 50), (20, 5)])
@pytest.mark.asyncio
async def test_all_that_enter_and_leave_are_listed(store: Path, size: tuple[int, int]) -> None:
    async with vocabulary(store, size) as (pilot, screen):
        await until(lambda: screen.table.count == 4, "the list")
        await pilot.press("end", "e")  # both: earth and moon
        form = await form_of(pilot, screen)
        assert form.draft.rule == Rule(("earth", "moon"))
        form.query_one(RuleTable).focus()
        await pilot.press("home", "down", "a")  # earth alone
        await until(lambda: form.draft.rule == Rule(("earth",)), "the rule")
        await pilot.press("ctrl+e")
        await until(lambda: bool(screen.query(WhichPanel)), "the panel")
        panel = screen.query_one(WhichPanel)
        table = panel.query_one(WindowTable)
        await until(lambda: table.count == 12, "the images")
        await until(lambda: table.values is not None, "rows")
        assert "12 enter (+), 0 leave (-)" in panel_text(screen)
        assert table.has_focus
        row = rows_of(table)[0]
        session = screen.session
        ((_, before, earth),) = [
            each for each in session.find("", columns=["image_id", "both", "earth"]).block(0) if each[0] == row[0]
        ]  # fmt: skip
        assert row[1:4] == ("+", before, earth)
        await pilot.press("down")
        await until(lambda: panel.shows == table.values[0] if table.values else False, "its picture")
        if size[0] > 20:
            assert str(table.values[4] if table.values else "?") in "\n".join(
                lines_of(panel.query_one("#which-path"))
            )
            assert "^E" in said(screen)
        panel.show(0, "folder/" * 40 + "end.jpg", None, "no file")
        assert lines_of(panel.query_one("#which-path"))[0].rstrip().endswith("end.jpg")
        await pilot.press("escape")
        await until(lambda: not screen.query(WhichPanel), "back to the form")
        assert screen.form is form and form.has_focus_within
        await pilot.press("ctrl+e")
        await until(lambda: bool(screen.query(WhichPanel)), "the panel again")
        await pilot.press("ctrl+e")
        await until(lambda: not screen.query(WhichPanel), "closed by its key")
        await pilot.press("ctrl+e")
        await until(lambda: bool(screen.query(WhichPanel)), "the panel again")
        await pilot.press("ctrl+s")
        await until(lambda: screen.form is None and not screen.query(WhichPanel), "saved")


@pytest.mark.asyncio
async def test_where_nothing_enters_or_leaves_it_says_so(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("d")
        form = await form_of(pilot, screen)
        await pilot.press("ctrl+e")
        await until(lambda: "nothing" in said(screen), "why")
        form.query_one(RuleTable).focus()
        await pilot.press("home", "a", "ctrl+e")
        await until(lambda: "not scored as saved" in panel_text(screen), "why")
        await pilot.press("escape")
        await until(lambda: not screen.query(WhichPanel), "back to the form")
        assert screen.form is form


@pytest.mark.slow
@pytest.mark.asyncio
async def test_all_that_a_wording_changes_are_listed(tmp_path: Path) -> None:
    path = sound_store(tmp_path / "s").path
    async with vocabulary(path, (80, 24)) as (pilot, screen):
        await pilot.press("enter")
        form = await form_of(pilot, screen)
        form.query_one("#prompts", Prompts).text = "a photo of the moon"
        lines = screen.query_one("#try-a-lines", TextLines)
        await until(lambda: "enter (+)" in "\n".join(lines.lines) and " 0 leave" not in "\n".join(lines.lines),
                    "what it changes", 60)  # fmt: skip
        await pilot.press("ctrl+e")
        await until(lambda: bool(screen.query(WhichPanel)), "the panel", 60)
        table = screen.query_one(WhichPanel).query_one(WindowTable)
        found = screen.session.try_wording("earth", prompts=["a photo of the moon"], limit=200)
        await until(lambda: table.count == found.entering + found.leaving > 0, "the images")
        marks = [row[1] for row in rows_of(table)]
        assert (marks.count("+"), marks.count("-")) == (found.entering, found.leaving)


@pytest.mark.asyncio
async def test_the_footer_shows_the_keys_that_act(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        assert "a add" in said(screen)
        await pilot.press("e")
        form = await form_of(pilot, screen)
        assert "a add" not in said(screen) and "?" not in said(screen)
        for text in ("^S save", "^E", "tab", "Esc"):
            assert text in said(screen)
        await fill(pilot, form, description="the earth")
        await pilot.press("escape")
        await until(lambda: "a add" in said(screen), "the keys of the list")
        await pilot.press("d")
        form = await form_of(pilot, screen)
        form.query_one(RuleTable).focus()
        await until(lambda: "space" in said(screen), "the keys of the rule")


@pytest.mark.asyncio
async def test_the_meter_of_a_job_does_not_run_into_what_is_said(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        record = JobRecord(
            id="j", command=("tag", "--derive"), pid=1, started="", updated="",
        )  # fmt: skip
        screen.jobs_changed([record])
        assert "tag runs" in said(screen) and "tag:" not in said(screen)
        message = "tag runs as process 14506: 7 shows how far; it goes on when you quit"
        screen.say(message)
        assert said(screen).strip() == message
        screen.say("short")
        screen.jobs_changed([replace(record, phase="scores", done=4, total=10)])
        assert "tag: scores 40 %" in said(screen) and said(screen).startswith(" short  ")
        await pilot.press("e")
        await form_of(pilot, screen)
        assert "^S save" in said(screen)
