"""The SQL console in a running app, on a small store."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import duckdb
import pytest
from app_driving import until
from query_stores import Content, build_store, image
from textual.pilot import Pilot
from textual.widgets import Input

from colonnade.engine.errors import InputError, StoreError
from colonnade.tui.app import ColonnadeApp
from colonnade.tui.screens.sql import SqlScreen
from colonnade.tui.sql_export import Export
from colonnade.tui.sql_history import history_path, read_history
from colonnade.tui.sql_run import FailedStatement, SqlConsole, StoppedError, names_of
from colonnade.tui.sql_worker import SqlRows, SqlTask, answer

SLOW = "SELECT count(*) FROM range(100000) a, range(1000000) b WHERE hash(a.range, b.range) = 7"
HOSTILE = "\x1b]0;x\x07[@click=app.quit]\u202e[/].jpg"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    images = [image(n) for n in range(400)] + [image(400, path=HOSTILE)]
    scores = {n: (25.0 + n / 100, n / 401, "accepted" if n > 300 else "rejected") for n in range(401)}
    return build_store(tmp_path / "s", Content(images, {"moon": scores, "order": scores})).path


@asynccontextmanager
async def opened(store: Path) -> AsyncIterator[tuple[Pilot[None], SqlScreen]]:
    app = ColonnadeApp(store)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(lambda: app.session is not None, "a session")
        app.open_screen("sql")
        await until(lambda: isinstance(app.screen, SqlScreen) and app.screen.is_ready, "the screen")
        screen = app.screen
        assert isinstance(screen, SqlScreen)
        await until(lambda: bool(screen._names.views), "names")
        yield pilot, screen
        await pilot.press("escape", "escape", "q")
        app.close_session()


async def run(pilot: Pilot[None], screen: SqlScreen, text: str) -> None:
    screen.editor.set_statement(text)
    before = screen._rows
    await pilot.press("f5")
    await until(
        lambda: not screen._runs and (screen._rows is not before or screen.status.kind == "bad"), text
    )
    await pilot.pause()


def shown(screen: SqlScreen) -> list[str]:
    return [screen.table.render_line(y).text.rstrip() for y in range(screen.table.size.height)]


@pytest.mark.asyncio
async def test_a_statement_and_its_result(store: Path) -> None:
    async with opened(store) as (pilot, screen):
        assert "wide, images, scores" in shown(screen)[1]
        await run(pilot, screen, "SELECT image_id, moon, path FROM wide ORDER BY image_id")
        lines = shown(screen)
        assert lines[0].split() == ["image_id", "moon", "path"]
        assert lines[2].split() == ["1", "0.00249377", "0001.jpg"]
        assert "401 rows" in screen.status.message
        assert screen.table.has_focus
        await pilot.press("end")
        assert screen.table.cursor == 400
        text = "\n".join(shown(screen))
        assert "[@click=app.quit]" in text
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
        await pilot.press("enter")
        await pilot.pause()
        panel = screen.query_one("#row")
        assert panel.display
        assert "400" in panel.render_line(0).text
        assert not {"\x1b", "\x07", "\u202e"} & set(panel.render_line(1).text)
        await pilot.press("escape")
        assert not panel.display
        assert read_history(history_path(store)).statements == (screen.editor.text,)


@pytest.mark.asyncio
async def test_an_error_names_its_place_and_the_next_key_takes_it_away(store: Path) -> None:
    async with opened(store) as (pilot, screen):
        await run(pilot, screen, "SELECT path\nFROM imagez")
        assert screen.status.message.startswith("line 2, column 6: Table with name imagez")
        assert screen.editor.cursor_location == (1, 5)
        styles = [span for span in screen.editor.get_line(1).spans if "underline" in str(span.style)]
        assert [(span.start, span.end) for span in styles] == [(5, 11)]
        await pilot.press("x")
        assert not [span for span in screen.editor.get_line(1).spans if "underline" in str(span.style)]
        for text in (
            "DELETE FROM images",
            "COPY images TO 'x.csv'",
            "SELECT * FROM '/etc/passwd'",
            "SELECT 1; SELECT 2",
        ):
            await run(pilot, screen, text)
            assert screen.status.kind == "bad", text
            assert "\n" not in screen.status.message


@pytest.mark.asyncio
async def test_typing_completes_and_enter_behind_a_semicolon_runs(store: Path) -> None:
    async with opened(store) as (pilot, screen):
        await pilot.press("i", *"select mo")
        line = screen.query_one("#choices")
        assert "tab: moon" in line.render_line(0).text
        await pilot.press("tab")
        assert screen.editor.text == "select moon"
        await pilot.press(*" from w", "tab", *" where stat", "tab", "backspace")
        await pilot.press(*"us = 're", "escape")
        assert screen.table.has_focus
        screen.editor.set_statement("SELECT 42 AS answer;")
        await pilot.press("i", "enter")
        await until(lambda: screen._rows is not None and not screen._runs, "a result")
        await pilot.pause()
        assert shown(screen)[1].split() == [">", "42"]
        await pilot.press("i", "up")
        assert screen.editor.text == "SELECT 42 AS answer;"
        await pilot.press("ctrl+down", "escape", "n")
        assert screen.editor.text == ""
        await pilot.press("escape", "p")
        await until(lambda: isinstance(screen.focused, Input), "the question")
        await pilot.press(*"answer", "enter")
        await pilot.pause()
        assert screen.editor.text == "SELECT 42 AS answer;"
        await pilot.press("escape", "n", "a", "ctrl+underscore", "ctrl+up")
        assert screen.editor.text == "SELECT 42 AS answer;"


@pytest.mark.asyncio
async def test_what_runs_can_be_stopped(store: Path) -> None:
    async with opened(store) as (pilot, screen):
        screen.editor.set_statement(SLOW)
        await pilot.press("f5")
        await until(lambda: screen._runs, "a run")
        await pilot.press("f5")
        assert "a statement runs" in screen.status.message
        await pilot.press("escape")
        await until(lambda: not screen._runs, "an end")
        assert screen.status.message.startswith("stopped")
        screen._limit_s = 0.2
        screen.editor.set_statement(SLOW)
        await pilot.press("f5")
        await until(lambda: screen.status.kind == "bad", "the time limit")
        assert "took longer than 0.2 s" in screen.status.message


@pytest.mark.asyncio
async def test_the_draft_is_there_again(store: Path) -> None:
    async with opened(store) as (pilot, screen):
        await pilot.press("i", *"select 1 as unfinished")
        await pilot.press("escape")
    async with opened(store) as (_, screen):
        await until(lambda: screen.editor.text == "select 1 as unfinished", "the draft")


@pytest.fixture
def console(store: Path) -> Iterator[SqlConsole]:
    with SqlConsole(store) as made:
        yield made


def rows_of(store: Path, text: str) -> SqlRows:
    """What a statement gives, without another process."""
    found = answer(SqlTask(str(store), text, 60))
    assert isinstance(found, SqlRows), found
    return found


def test_rows_are_bounded(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colonnade.tui.sql_worker.MAX_ROWS", 1000)
    rows = rows_of(store, "SELECT range AS n FROM range(5000)")
    assert (rows.count, rows.complete) == (1024, False)
    assert len(rows.block(0)) == 256
    whole = rows_of(store, "SELECT range AS n FROM range(900)")
    assert (whole.count, whole.complete, whole.block(3)[-1]) == (900, True, (899,))
    monkeypatch.setattr("colonnade.tui.sql_worker.MAX_BYTES", 1 << 20)
    long = rows_of(store, "SELECT repeat('x', 100000) AS x FROM range(3000)")
    assert not long.complete
    assert len(long.rows[0][0]) == 4000


def test_values_of_any_type(store: Path) -> None:
    rows = rows_of(
        store,
        "SELECT 'x'::BLOB, [1.5::FLOAT for i in range(512)], {'a': 1}, MAP {'k': 2}, NULL, 1e300, 10::HUGEINT, "
        "TIMESTAMPTZ '2024-01-02 03:04:05+00', DATE '2024-01-02', INTERVAL 1 DAY, 1.25::DECIMAL(9, 2), true, "
        "'NaN'::DOUBLE, UUID '00000000-0000-0000-0000-000000000001'",
    )
    (row,) = rows.rows
    assert all(value is None or isinstance(value, bool | int | float | str) for value in row)
    assert row[0] == "78"
    assert row[1].endswith("512 numbers]")


def test_faults(store: Path, console: SqlConsole) -> None:
    assert not console.cancel()
    with pytest.raises(FailedStatement, match="column") as caught:
        console.run("SELECT nope FROM images")
    assert caught.value.place == (0, 7, 11)
    with pytest.raises(FailedStatement, match="characters"):
        console.run("SELECT 1 -- " + "x" * 20_000)
    with SqlConsole(store / "nothing") as elsewhere, pytest.raises(StoreError):
        elsewhere.run("SELECT 1")


def test_a_process_that_dies_is_replaced(console: SqlConsole) -> None:
    with pytest.raises(FailedStatement, match=r"took longer than 0\.5 s"):
        console.run(SLOW, time_limit_s=0.5)
    stopped: list[bool] = []
    timer = threading.Timer(0.5, lambda: stopped.append(console.cancel()))
    timer.start()
    with pytest.raises(StoppedError):
        console.run(SLOW)
    timer.join()
    assert stopped == [True]
    assert console.run("SELECT 42").rows == [(42,)]


def test_names_of_a_store(store: Path) -> None:
    names = names_of(store)
    assert names.codes == ("moon", "order")
    assert {"moon", "order", "path"} <= set(names.views["wide"])


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_export(store: Path, tmp_path: Path, suffix: str) -> None:
    snapshot = names_snapshot(store)
    target = tmp_path / f"out.{suffix}"
    told = Export(store, snapshot, "SELECT image_id, path FROM images ORDER BY 1", target).run()
    assert str(target) in told
    if suffix == "jsonl":
        lines = target.read_text().splitlines()
        assert (len(lines), json.loads(lines[3])) == (401, {"image_id": 3, "path": "0003.jpg"})
    else:
        with duckdb.connect() as connection:
            found = connection.execute(f"SELECT count(*), max(image_id) FROM '{target}'").fetchall()
        assert found == [(401, 400)]
    with pytest.raises(InputError, match="already"):
        Export(store, snapshot, "SELECT 1", target).run()


def names_snapshot(store: Path) -> int:
    from colonnade.engine.snapshots import open_snapshot

    return open_snapshot(store).number


def test_an_export_that_fails_leaves_nothing(store: Path, tmp_path: Path) -> None:
    snapshot = names_snapshot(store)
    for name, text, words in (
        ("x.doc", "SELECT 1", "end the name"),
        ("no/folder.csv", "SELECT 1", "folder"),
        ("x.csv", "SELECT nope", "nope"),
    ):
        with pytest.raises(Exception, match=words):
            Export(store, snapshot, text, tmp_path / name).run()
    export = Export(store, snapshot, SLOW, tmp_path / "x.csv")
    export.cancel()
    with pytest.raises(Exception, match="stopped"):
        export.run()
    assert not list(tmp_path.glob("*x.csv*"))


@pytest.mark.asyncio
async def test_exporting_from_the_screen(store: Path, tmp_path: Path) -> None:
    async with opened(store) as (pilot, screen):
        await pilot.press("e")
        assert "run a statement first" in screen.status.message
        await run(pilot, screen, "SELECT path FROM images")
        await pilot.press("e")
        await pilot.pause()
        await pilot.press("enter")
        await until(lambda: (tmp_path / "result.csv").exists() and screen._export is None, "the file")
        await until(lambda: "wrote" in screen.status.message, "the word")
        await pilot.press("t", "escape", "v", "x", "o", "p", "escape")
