"""A store with damaged files in the app: no screen shows a wrong or an empty answer as if it were one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from app_driving import lines_of, opened, until
from screen_stores import apollo_store

from colonnade.engine.errors import StoreError
from colonnade.engine.snapshots import open_snapshot
from colonnade.engine.store import Store
from colonnade.engine.tag import tag
from colonnade.tui.app import ColonnadeApp
from colonnade.tui.screens.browse import BrowseScreen
from colonnade.tui.screens.calibration import CalibrationScreen
from colonnade.tui.screens.review import ReviewScreen
from colonnade.tui.screens.sql import SqlScreen
from colonnade.tui.session import Session
from colonnade.tui.session_damage import damage_words
from colonnade.tui.sql_worker import SqlFault, SqlRows, SqlTask, answer
from colonnade.tui.widgets.picture import Picture
from colonnade.tui.widgets.window_table import WindowTable

ADVICE = ("colonnade verify", "colonnade restore N")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return apollo_store(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(whole, tmp_path / "apollo", symlinks=True)
    yield tmp_path / "apollo"


def overwritten(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def missing(path: Path) -> None:
    path.unlink()


WAYS = (overwritten, truncated, missing)


def damage(store: Path, table: str, way: Callable[[Path], None], partition: str | None = None) -> None:
    """Damage the live snapshot's files of a table, or of one partition."""
    for file in open_snapshot(store).files(table, partition):
        for part in (file.path.parent, file.path):
            part.chmod(0o755)
        data = file.path.read_bytes()
        file.path.unlink()  # other snapshots may have the same file by another name
        file.path.write_bytes(data)
        way(file.path)


def shown(table: WindowTable) -> str:
    """What a table shows, in one line."""
    return " ".join(" ".join(lines_of(table)).split())


@pytest.mark.parametrize("way", WAYS)
def test_a_session_refuses_what_it_cannot_read(store: Path, way: Callable[[Path], None]) -> None:
    damage(store, "scores", way, "earth")
    session = Session(store)
    assert session.find("moon").count > 0
    for text in ("earth", "not earth", "earth >= 0.5", "earth is null", "moon or earth?"):
        with pytest.raises(StoreError) as raised:
            session.find(text)
        told = damage_words(raised.value)
        assert told is not None and told.startswith("the scores of earth cannot be read"), told
        assert all(word in told for word in ADVICE)
    rows = {row.code: row for row in session.attributes()}
    assert rows["earth"].state == "damaged" and rows["moon"].state != "damaged" and rows["moon"].accepted
    session.close()


@pytest.mark.parametrize("way", WAYS)
def test_images_that_cannot_be_read_are_not_none(store: Path, way: Callable[[Path], None]) -> None:
    damage(store, "images", way)
    session = Session(store)
    overview = session.overview()
    assert overview.damage.startswith("the images cannot be read") and overview.problems[0] == overview.damage
    assert not any("no images yet" in line or "no attribute is scored" in line for line in overview.problems)
    for ask in (session.attributes, session.find, lambda: session.find("earth")):
        with pytest.raises(StoreError):
            ask()
    session.close()


def test_a_store_without_images_or_scores_is_not_damaged(tmp_path: Path) -> None:
    session = Session(Store.create(tmp_path / "new", model="demo").path)
    assert not session.overview().damage and session.find().count == 0
    assert all("cannot be read" not in line for line in session.overview().problems)
    session.close()


def test_a_snapshot_without_its_facts_is_told(store: Path) -> None:
    facts = (store / "live").resolve() / "snapshot.json"
    facts.parent.chmod(0o755)
    facts.chmod(0o644)
    facts.write_bytes(b"{broken")
    session = Session(store)
    assert session.find("earth").count
    first = session.overview().problems[0]
    assert "snapshot.json" in first and "nothing can be saved" in first and "colonnade verify" in first
    session.close()


@pytest.mark.parametrize("way", WAYS)
def test_sql_says_that_it_cannot_be_read(store: Path, way: Callable[[Path], None]) -> None:
    damage(store, "scores", way, "earth")
    count = answer(SqlTask(str(store), "SELECT count(*) FROM images", 60))
    assert isinstance(count, SqlRows) and count.rows == [(480,)]
    assert isinstance(answer(SqlTask(str(store), "SELECT path AS earth FROM images", 60)), SqlRows)
    for text in ("SELECT count(*) FROM scores", "SELECT max(earth) FROM wide"):
        found = answer(SqlTask(str(store), text, 60))
        assert isinstance(found, SqlFault) and "earth" in (damage_words(found.message) or ""), found
    damage(store, "images", way)
    found = answer(SqlTask(str(store), "SELECT count(*) FROM images", 60))
    assert isinstance(found, SqlFault) and damage_words(found.message), found


@pytest.mark.asyncio
@pytest.mark.parametrize("way", WAYS)
async def test_browse_shows_why_and_keeps_showing_it(store: Path, way: Callable[[Path], None]) -> None:
    damage(store, "scores", way, "earth")
    async with opened(store) as (pilot, app):
        screen = app.screen
        assert isinstance(screen, BrowseScreen)
        await until(lambda: screen.table.count and screen.attributes, "results")
        assert any("earth" in line and "damaged" in line for line in lines_of(screen.attribute_list))
        await until(lambda: "the scores of earth cannot be read" in screen.status.message, "the reason")
        screen.change("earth")
        await until(lambda: "cannot be read" in shown(screen.table), "the reason in the results' place")
        assert screen.table.count == 0 and "hits" not in lines_of(screen.line)[0]
        await pilot.press("down", "f", "tab", "tab")
        assert all(word in shown(screen.table) for word in ("the scores of earth", *ADVICE))
        screen.change("moon")
        await until(lambda: screen.table.count and "hits" in lines_of(screen.line)[0], "other answers go on")
        tag(Store(store), codes=["earth"], force=True)
        await until(lambda: "damaged" not in shown(screen.attribute_list), "mended")
        screen.change("earth")
        await until(lambda: screen.hits is not None and screen.hits.text == "earth", "an answer")


async def told_on_every_screen(app: ColonnadeApp) -> dict[str, str]:
    """What the screens tell of a store whose images cannot be read."""
    told = {}
    browse = app.screen
    assert isinstance(browse, BrowseScreen)
    await until(lambda: "cannot be read" in shown(browse.table), "browse")
    await until(lambda: "cannot be read" in shown(browse.attribute_list), "attributes")
    told["browse"] = shown(browse.table)
    browse.session.attribute = "earth"
    app.open_screen("calibration")
    await until(lambda: isinstance(app.screen, CalibrationScreen) and app.screen.is_ready, "calibration")
    calibration = app.screen
    assert isinstance(calibration, CalibrationScreen)
    await until(lambda: "cannot be read" in shown(calibration.table), "calibration", 60)
    told["calibration"] = shown(calibration.table)
    app.open_screen("review")
    await until(lambda: isinstance(app.screen, ReviewScreen) and app.screen.is_ready, "review")
    review = app.screen
    assert isinstance(review, ReviewScreen)
    await until(lambda: "cannot be read" in str(review.query_one(Picture).reason), "review", 60)
    told["review"] = str(review.query_one(Picture).reason)
    app.open_screen("sql")
    await until(lambda: isinstance(app.screen, SqlScreen) and app.screen.is_ready, "sql")
    sql = app.screen
    assert isinstance(sql, SqlScreen)
    sql.editor.set_statement("SELECT count(*) FROM images")
    sql.action_run()
    await until(lambda: "cannot be read" in shown(sql.table), "sql", 60)
    told["sql"] = shown(sql.table)
    return told


@pytest.mark.asyncio
@pytest.mark.slow
async def test_every_screen_says_that_the_images_cannot_be_read(store: Path) -> None:
    damage(store, "images", truncated)
    async with opened(store) as (_, app):
        told = await told_on_every_screen(app)
        assert all(all(word in text for word in ADVICE) for text in told.values()), told
        assert "images cannot be read" in app.facts("browse")[0]


@pytest.mark.asyncio
async def test_a_store_that_cannot_be_opened_says_so_until_the_end(store: Path) -> None:
    (store / "live").unlink()
    (store / "live").symlink_to("elsewhere")
    app = ColonnadeApp(store)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.trouble, "the reason")
        screen = app.screen
        assert isinstance(screen, BrowseScreen)
        await pilot.press("down", "3", "4")
        assert isinstance(app.screen, BrowseScreen) and "elsewhere" in shown(screen.table)
        assert "no attributes yet" not in shown(screen.attribute_list)
        app.leave()
