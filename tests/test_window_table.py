"""The windowed table: what it draws, what it reads, and how far it goes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from app_driving import HOSTILE, lines_of, until
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult

from colonnade.tui.safe import safe
from colonnade.tui.widgets.cells import Cell, fit
from colonnade.tui.widgets.table_source import BLOCK_ROWS, layout
from colonnade.tui.widgets.window_table import Column, ListSource, WindowTable

COLUMNS = (Column("path", "path", cut="left"), Column("number", "number", 9, "right"))


class Numbers:
    """A million rows that remember which blocks were read."""

    def __init__(self, count: int = 1_000_000, *, held: bool = False) -> None:
        self.count = count
        self.read: list[int] = []
        self.threads: set[int] = set()
        self.released = threading.Event()
        """Until it is set, blocks of a source that is held do not come."""
        if not held:
            self.released.set()

    def block(self, k: int, /) -> Sequence[tuple[Any, ...]]:
        self.released.wait(60)
        self.read.append(k)
        self.threads.add(threading.get_ident())
        rows = range(k * BLOCK_ROWS, min((k + 1) * BLOCK_ROWS, self.count))
        return [(f"folder/{n:07d}.jpg", n) for n in rows]


class Shown(App[None]):
    """A table alone."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []
        self.table = WindowTable(COLUMNS, empty="nothing here")

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self.table.focus()

    def on_window_table_cursor_moved(self, event: WindowTable.CursorMoved) -> None:
        self.told.append((event.row, event.values))

    def on_window_table_sort_asked(self, event: WindowTable.SortAsked) -> None:
        self.told.append((event.column, event.descending))

    def on_window_table_failed(self, event: WindowTable.Failed) -> None:
        self.told.append(event.error)


@pytest.mark.asyncio
async def test_a_million_rows_are_read_in_few_blocks() -> None:
    app, source = Shown(), Numbers()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.show(source)
        await until(lambda: app.table.values)
        assert lines_of(app.table)[1] == "> folder/0000000.jpg" + " " * 18 + "0"
        await pilot.press("end")
        await until(lambda: app.table.values and app.table.values[1] == 999_999)
        assert app.table.cursor == 999_999
        await pilot.press("pageup", "up", "home")
        await until(lambda: app.table.values and app.table.values[1] == 0)
        assert len(source.read) < 12
        assert threading.get_ident() not in source.threads


@pytest.mark.asyncio
async def test_the_cursor_goes_as_far_as_there_are_rows() -> None:
    app = Shown()
    async with app.run_test(size=(40, 6)) as pilot:
        app.table.show(ListSource([(f"{n}", n) for n in range(7)]))
        for key, row in (
            ("up", 0),
            ("down", 1),
            ("pagedown", 6),
            ("down", 6),
            ("pageup", 1),
            ("end", 6),
            ("home", 0),
        ):
            await pilot.press(key)
            assert app.table.cursor == row, key
        assert [line[:1] for line in lines_of(app.table)].count(">") == 1


@pytest.mark.asyncio
async def test_an_empty_table_says_so() -> None:
    app = Shown()
    async with app.run_test(size=(40, 6)) as pilot:
        app.table.show(ListSource([]))
        await pilot.press("down", "pagedown", "end", "enter", "o")
        assert "nothing here" in lines_of(app.table)[1]
        assert app.table.values is None


@pytest.mark.asyncio
async def test_other_rows_keep_the_place_or_go_where_they_are_told() -> None:
    app = Shown()
    async with app.run_test(size=(40, 12)):
        app.table.show(Numbers())
        await until(lambda: app.table.values)
        app.table.go_to(5000)
        await until(lambda: app.table.values and app.table.values[1] == 5000)
        app.table.show(Numbers(), keep=True)
        await until(lambda: app.table.values and app.table.values[1] == 5000)
        app.table.show(Numbers(100), keep=True)
        await until(lambda: app.table.count == 100 and app.table.values)
        assert app.table.cursor == 99
        app.table.show(Numbers(), row=777)
        await until(lambda: app.table.count == 1_000_000)
        assert app.table.values is not None and app.table.values[1] == 777


@pytest.mark.asyncio
async def test_the_old_rows_stay_until_the_new_ones_are_read() -> None:
    app = Shown()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.show(Numbers(10))
        await until(lambda: app.table.values)
        late = Numbers(500, held=True)
        app.table.show(late)
        await pilot.pause()
        assert app.table.count == 10
        app.table.show(Numbers(20))
        await until(lambda: app.table.count == 20)
        late.released.set()
        await until(lambda: late.read, "the rows that come too late")
        await pilot.pause()
        assert app.table.count == 20


@pytest.mark.asyncio
async def test_a_block_that_cannot_be_read_is_told() -> None:
    class Broken(Numbers):
        def block(self, k: int, /) -> Sequence[tuple[Any, ...]]:
            raise ValueError("the disk is gone")

    app = Shown()
    async with app.run_test(size=(40, 12)):
        app.table.show(Broken())
        await until(lambda: any(isinstance(one, ValueError) for one in app.told))


@pytest.mark.asyncio
async def test_sorting_by_a_column_asks_and_turns() -> None:
    app = Shown()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.show(ListSource([("a", 1), ("b", 2)]))
        await pilot.press("right", "o")
        assert app.told[-1] == ("number", False)
        app.table.show(ListSource([("a", 1), ("b", 2)]), sort=("number", False))
        await pilot.press("o")
        assert app.told[-1] == ("number", True)
        assert "number▲" in lines_of(app.table)[0]


@pytest.mark.asyncio
async def test_marks_and_cursor_are_told_without_colour() -> None:
    app = Shown()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.marked = lambda row: row[1] == 2
        app.table.show(ListSource([("a", 1), ("b", 2), ("c", 3)]))
        await pilot.press("down")
        lines = lines_of(app.table)
        assert [line[:2] for line in lines[1:4]] == ["  ", ">*", "  "]


@pytest.mark.asyncio
async def test_hostile_text_is_made_harmless() -> None:
    app = Shown()
    async with app.run_test(size=(60, 6)):
        app.table.show(ListSource([(HOSTILE, Cell(HOSTILE, "bad"))]))
        line = lines_of(app.table)[1]
        assert safe(line) == line
        assert "[@click=app.quit]" in "".join(line.split("\N{REPLACEMENT CHARACTER}")) or "…" in line


@given(
    st.text(max_size=80),
    st.integers(0, 30),
    st.sampled_from(["left", "right"]),
    st.sampled_from(["left", "right"]),
)
@settings(max_examples=60, deadline=None)
def test_a_fitted_text_has_its_width_and_is_safe(text: str, width: int, align: str, cut: str) -> None:
    fitted = fit(text, width, align, cut)
    assert cell_len(fitted) == width
    assert safe(fitted) == fitted


@given(st.lists(st.integers(0, 20), max_size=8), st.integers(1, 120), st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_a_layout_fits_into_its_room(widths: list[int], room: int, first: int) -> None:
    columns = [Column(str(n), str(n), width) for n, width in enumerate(widths)]
    spans = layout(columns, room, first)
    assert sum(width for _, width in spans) + max(0, len(spans) - 1) <= room
    assert [index for index, _ in spans] == list(range(first, first + len(spans)))
    assert all(width > 0 for _, width in spans)
