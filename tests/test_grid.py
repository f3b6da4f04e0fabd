"""Pages of thumbnails in a running app."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from app_driving import until
from PIL import Image
from textual.app import App, ComposeResult
from textual.message import Message

from colonnade.tui.widgets.grid import Grid, GridItem


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


class Shows(App[None]):
    ENABLE_COMMAND_PALETTE = False
    CSS: ClassVar[str] = "Grid { width: 60; height: 18; }"

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Message] = []

    def compose(self) -> ComposeResult:
        yield Grid()

    def on_grid_moved(self, message: Grid.Moved) -> None:
        self.told.append(message)

    def on_grid_toggled(self, message: Grid.Toggled) -> None:
        self.told.append(message)

    def on_grid_opened(self, message: Grid.Opened) -> None:
        self.told.append(message)


def lines(grid: Grid) -> list[str]:
    return [grid.render_line(y).text for y in range(grid.size.height)]


def items(folder: Path, count: int) -> list[GridItem]:
    for n in range(count):
        Image.new("RGB", (40, 40), (20 * n, 0, 0)).save(folder / f"{n}.png")
    return [GridItem(100 + n, folder / f"{n}.png", f"{n}.png") for n in range(count)]


async def filled(grid: Grid, y: int, x: int, width: int = 18) -> None:
    def is_drawn() -> bool:
        styles = [segment.style for segment in grid.render_line(y).crop(x, x + width)]
        return any(style and style.bgcolor and style.bgcolor.name.startswith("color(") for style in styles)

    await until(is_drawn, f"a picture at {x}, {y}")


@pytest.mark.asyncio
async def test_pages_cursor_and_toggles(tmp_path: Path) -> None:
    app = Shows()
    async with app.run_test() as pilot:
        grid = app.query_one(Grid)
        grid.show(items(tmp_path, 8), on=[101])
        grid.focus()
        await pilot.pause()
        assert (grid.capacity, grid.page) == (6, (1, 2))
        assert lines(grid)[8].split() == [">[", "]", "0.png", "[x]", "1.png", "[", "]", "2.png"]
        for y, x in ((3, 0), (3, 38), (12, 0), (12, 38)):
            await filled(grid, y, x)
        await pilot.press("right", "down", "space", "enter")
        assert [type(message).__name__ for message in app.told] == ["Moved", "Moved", "Toggled", "Opened"]
        assert grid.item == GridItem(104, tmp_path / "4.png", "4.png")
        assert grid.on == frozenset({101, 104})
        assert lines(grid)[17].split()[3:6] == [">[x]", "4.png", "["]
        await pilot.press("space", "pagedown")
        assert (grid.on, grid.page, grid.item and grid.item.id) == (frozenset({101}), (2, 2), 107)
        await filled(grid, 3, 19)
        assert lines(grid)[8].split()[-1] == "7.png"
        await pilot.press("right", "down", "end", "home", "up", "left", "pageup")
        assert grid.item and grid.item.id == 100
        assert all(grid.render_line(y).cell_length == 60 for y in range(18))
        await pilot.click(grid, offset=(25, 3))
        assert grid.item.id == 101
        await pilot.click(grid, offset=(25, 3))
        assert grid.on == frozenset()


@pytest.mark.asyncio
async def test_hostile_broken_and_none(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"nothing")
    app = Shows()
    async with app.run_test() as pilot:
        grid = app.query_one(Grid)
        await pilot.press("right", "space", "end", "enter")
        assert grid.item is None
        names = ("\x1b]0;x\x07", "[@click=app.quit]x[/]", "\u202etxt", "漢字" * 20, "\ud800")
        grid.show(
            [GridItem(n, None, name, reason=f"gone {name}") for n, name in enumerate(names)]
            + [GridItem(9, tmp_path / "bad.png", "bad.png")]
        )
        await until(lambda: "known format" in " ".join(lines(grid)), "the reason")
        text = "".join(lines(grid))
        assert not {"\x1b", "\x07", "\u202e", "\ud800"} & set(text)
        assert "[@click=app" in text
        assert all(grid.render_line(y).cell_length == 60 for y in range(18))
        grid.show([])
        await pilot.resize_terminal(10, 4)
        await pilot.resize_terminal(80, 24)
