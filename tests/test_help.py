"""The help panel can be read over whatever a screen shows."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from app_driving import ESCAPE, Terminal, browsing, lines_of, moon_store, until
from screen_stores import apollo_store

from colonnade.tui.widgets.help_panel import HelpPanel
from colonnade.tui.widgets.window_table import WindowTable

END, F1 = "\x1b[F", "\x1bOP"
PATIENCE_S = 90.0
SITUATIONS = (
    (("\r", "PNG"), "next result"),
    ((ESCAPE, "1 of 478", "3", "> earth", "\r", "method labels"), "the line a hundredth down"),
    (("4", "Earth?"), "yes, it shows that"),
)
"""Keys and what they lead to, one after the other; the first key of the help there."""


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return apollo_store(tmp_path_factory.mktemp("help"))


def panel(terminal: Terminal, left: int) -> list[str]:
    """What stands from a column on, between the header and the status line."""
    return [line[left:] for line in terminal.screen.display[1:-1]]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
def test_nothing_is_drawn_over_it(collection: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    columns, rows = size
    environment = {"XDG_STATE_HOME": str(tmp_path), "COLONNADE_CONFIG": str(tmp_path / "none.toml")}
    environment |= {"COLUMNS": "80", "LINES": "24"}  # as programs that use readline leave them behind
    with Terminal.on_app("ui", collection, columns=columns, lines=rows, environment=environment) as terminal:
        terminal.wait_for("478 hits", PATIENCE_S)
        terminal.wait_for("1 of 478", PATIENCE_S)
        for way, first in SITUATIONS:
            for key, there in zip(way[::2], way[1::2], strict=True):
                terminal.press(key, 0.2)
                terminal.wait_for(there, PATIENCE_S)
            terminal.settle(1.0)  # the picture
            terminal.press(F1)
            terminal.wait_for("Keys. They can be changed", PATIENCE_S)
            terminal.settle(1.5)  # what is below it may be drawn anew
            left = terminal.screen.display[1].index(" Keys. They")
            shown = panel(terminal, left)
            end = time.monotonic() + PATIENCE_S
            while not all(line.strip() for line in shown[:22]) and time.monotonic() < end:
                terminal.settle(0.5)
                shown = panel(terminal, left)
            assert first in shown[2], terminal.text
            cells = [terminal.screen.buffer[y][x] for y in range(1, rows - 1) for x in range(left, columns)]
            assert len({cell.bg for cell in cells}) == 2, (
                f"more than the panel and its cursor:{terminal.text}"
            )
            assert all(line.strip() for line in shown[:22]), terminal.text
            terminal.press(END)
            terminal.wait_for("how to quit", PATIENCE_S)
            assert "how to quit" in "".join(terminal.screen.display[1:-1])
            terminal.press(ESCAPE)


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(44, 20), (80, 24), (120, 36)])
async def test_its_last_row_can_be_reached_and_no_words_are_cut(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with browsing(moon_store(tmp_path / "s", images=30), size) as (pilot, screen):
        await pilot.press("question_mark")
        await until(
            lambda: screen.query(HelpPanel) and screen.query_one(HelpPanel).query_one(WindowTable).values
        )
        panel = screen.query_one(HelpPanel)
        table = panel.query_one(WindowTable)
        assert (panel.region.y, panel.region.bottom) == (1, size[1] - 1)
        assert table.region.bottom == panel.region.bottom
        shown = lines_of(table)
        while table.cursor < table.count - 1:
            await pilot.press("pagedown")
            shown += lines_of(table)
        assert not [line for line in shown if line.endswith("…")]
        assert sum("how to quit" in line for line in shown)
        told = [words for _, words, _ in panel._rows]
        assert told.index("mark the image, or take its mark away") < told.index("row up") < told.index("back")


@pytest.mark.asyncio
async def test_signs_are_explained_behind_the_keys_of_the_screen(tmp_path: Path) -> None:
    async with browsing(moon_store(tmp_path / "s", images=30)) as (pilot, screen):
        await pilot.press("question_mark")
        await until(lambda: screen.query(HelpPanel))
        rows = screen.query_one(HelpPanel)._rows
        signs = [keys for keys, _, group in rows if group == "sign"]
        assert {"ask", "yes  yes?", "no  no?", "* attribute", "=attribute"} <= set(signs)
        groups = [group for *_, group in rows]
        assert groups.index("browse") < groups.index("sign") < groups.index("table")
