"""The whole app is usable by keyboard alone: every binding is driven where it has something to do.

A walk is one run of the app on a store with some of everything: pictures, scores, a map, labels, jobs. What is between
the bindings of a walk are the keys that lead to the next situation. Of each key: it does the action it is bound to, no
exception comes, and something is other than before: what is drawn, the focus, the screen, the selection or the store.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from key_driving import Jobs, Press, Step, Type, Warned, declared, driving, keys_of
from screen_stores import OTHER_WORDS, apollo_store
from textual.drivers.headless_driver import HeadlessDriver

UNSEEN = {
    "app.redraw": "draws what is there already; test_frames looks at what is sent",
    "app.suspend": "stops the process, which is no process of its own here; test_app does it in a terminal",
}
"""What rightly changes nothing that can be seen here, and why."""

PANELS: tuple[Step, ...] = ("app.help f1", "help.close escape", "app.palette colon", "prompt.cancel")
"""What opens over any screen."""
TABLE: tuple[Step, ...] = (
    *("table.last end", "table.first home", "table.last G", "table.first g"),
    *(
        "table.down",
        "table.up",
        "table.page_down pagedown",
        "table.page_up pageup",
        "table.right",
        "table.left",
    ),
)
"""Going about in a table of some rows and columns."""

WALKS: dict[str, tuple[Step, ...]] = {
    "looking": (
        *("app.vocabulary", "app.calibration", "app.review", "app.map", "app.sql", "app.jobs", "app.browse"),
        *(
            "app.back",
            "app.help question_mark",
            "help.close escape",
            "app.help f1",
            "help.close question_mark",
        ),
        *("app.palette colon", "prompt.down", "prompt.up", Type("mark"), "prompt.complete", "prompt.cancel"),
        *("app.palette ctrl+p", "prompt.cancel", "app.theme", "app.interrupt", "app.quit", Press("1")),
        # Browse: the results, a picture large, marks, what opens below
        *("table.page_down", "table.page_up", "table.sort", "table.choose"),
        *("picture.next", "picture.previous", "picture.close escape", Press("enter"), "picture.close enter"),
        *("browse.mark", "browse.marks", Press("escape"), "browse.unmark"),
        *("browse.preview", "browse.export", Press("escape"), "browse.similar", Press("escape")),
        *("browse.words", Press("escape"), "browse.explain", Press("tab tab"), "explain.close x"),
        *("browse.explain", Press("tab tab"), "explain.close escape"),
        # the query, and the attributes that make it
        *("browse.query i", Type("ear"), "query.complete", "query.leave escape", "browse.facets"),
        *("browse.query equals_sign", Type(" and moon?"), "query.leave down", *TABLE, *PANELS),
        *("browse.save", Press("escape"), "browse.undo", "browse.clear"),
        *("browse.panel", "browse.panel_back", Press("shift+tab"), "table.down down", "table.sort"),
        *("attributes.cycle", "attributes.more", "attributes.less"),
        *("attributes.much_more", "attributes.much_less", "table.choose", "browse.tag", Jobs("end")),
        # SQL
        *(
            Press("6"),
            "sql.edit i",
            Type("SELECT * FROM "),
            "sql_editor.complete",
            "sql_editor.complete_back",
        ),
        *(Press("escape"), "sql.new", Type("FROM images LIMIT 40"), "sql.run ctrl+j", *TABLE, "table.sort"),
        *("sql.row", Press("v"), "table.choose", "sql.limit", Press("escape"), "sql.export", Press("escape")),
        *("sql.edit slash", Type(" "), "sql.run f5", "sql.history", Press("escape i")),
        *("sql_editor.older", "sql_editor.newer", "sql_editor.undo", "sql_editor.redo", Press("escape")),
        *(
            *PANELS,
            Press("n"),
            Type("SELECT count(*) FROM range(100000000000)"),
            Press("ctrl+j escape", True),
        ),
        "sql.stop",
    ),
    "vocabulary": (
        *(Press("2"), *PANELS, *TABLE, "table.sort", Press("o o"), "vocabulary.mark", "vocabulary.unmark"),
        *("vocabulary.find", Type("porthole"), Press("enter"), "vocabulary.higher", "vocabulary.lower"),
        *("vocabulary.view", "vocabulary.panel", Press("escape"), "vocabulary.undo", "vocabulary.again"),
        *("vocabulary.rename", Press("escape"), "vocabulary.duplicate", Press("escape")),
        *("vocabulary.group", Press("escape"), "vocabulary.import", Press("escape")),
        *("vocabulary.remove x", Press("escape"), "vocabulary.remove delete", Press("escape")),
        *("table.choose", Press("escape"), "vocabulary.edit", Press("ctrl+u"), Type(OTHER_WORDS)),
        *("form.which", "table.down", "which.close ctrl+e", Press("ctrl+e"), "which.close tab"),
        *("form.before", "form.next", "form.other_back", "form.other", Press("escape"), "vocabulary.save"),
        *("vocabulary.derive", Type("two"), Press("down down down down"), "table.down", "table.choose"),
        *("rule.cycle", "rule.all", "rule.any", "rule.none", Press("escape"), "vocabulary.drop"),
        *("vocabulary.add", Press("escape"), "vocabulary.editor"),
        *("vocabulary.browse", Press("2"), "vocabulary.tag", Jobs("end")),
    ),
    "judging": (
        *(Press("3"), *PANELS, *TABLE, "table.sort", "calibration.receipt", "table.down", Press("escape")),
        *("calibration.auto", Press("escape escape"), "calibration.labels", Press("escape escape")),
        *("table.choose", "line.right", "line.left", "line.far_right", "line.back"),
        *("line.far_left", Press("backspace"), "line.other", Press("tab"), "line.scale", "line.labels"),
        *("line.save enter", Press("right"), "line.save ctrl+s", "calibration.undo", "calibration.review"),
        # Review
        *(*PANELS, "review.yes", "review.no", "review.unsure", "review.back", "review.more"),
        *("review.choose", Press("enter"), "review.page", "grid.right", "grid.left", "grid.down", "grid.up"),
        *("grid.page_down", "grid.page_up", "grid.last", "grid.first", "grid.toggle", "grid.open"),
        *(Press("escape"), "review.save ctrl+s", Press("g"), "review.fit", "review.save enter"),
        *("review.audit", "review.next_attribute"),
    ),
    "map_and_jobs": (
        *(
            Press("5"),
            *PANELS,
            "map.crowd",
            "map.crowd_before",
            "map.left",
            "map.right",
            "map.up",
            "map.down",
        ),
        *("map.far_left", "map.far_right", "map.far_up", "map.far_down", "map.turn_west", "map.turn_east"),
        *("map.turn_north", "map.turn_south", "map.nearer", "map.farther", "map.whole 0", Press("n")),
        *("map.centre", "map.whole home", "map.colours", "map.attribute", Press("escape")),
        *("map.attribute_before", "map.attribute_after", "map.only", Press("n"), "map.next_image"),
        *("map.mark", "map.side", "map.rectangle", Press("shift+right shift+down"), "map.take"),
        *("map.save", Press("escape"), "map.polygon", Press("escape"), "map.update", Jobs("end")),
        *("map.refit", Jobs("end")),
        # Jobs
        *(Press("7"), *PANELS, *TABLE, "table.sort", Press("end up up up"), "table.choose"),
        *(Press("p"), "jobs.files", "jobs.log", "jobs.plan", "jobs.panel", Press("escape")),
        *(Jobs("begin"), Press("home"), Warned("jobs.stop", "that it has ended then"), Jobs("end")),
        *("jobs.start", Press("escape end"), "jobs.resume", Jobs("end"), "jobs.run_plan", Jobs("end")),
    ),
    "first_run": (
        *(Press("enter ctrl+u"), Type("PHOTOS"), Press("enter home"), "first_run.remove d"),
        *(Press("enter ctrl+u"), Type("PHOTOS"), Press("enter home"), "first_run.remove delete"),
        *("table.choose", Press("ctrl+u"), Type("PHOTOS"), Press("enter home"), "table.down", "table.up"),
        *(Press("down down enter"), Type("demo"), Press("enter"), "first_run.go r", "first_run.go ctrl+s"),
        Warned("first_run.browse", "there are no images yet in Browse"),
    ),
}
"""Each is one run of the app."""


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with some of everything, `apollo`, and of its pictures, `photos`."""
    folder = tmp_path_factory.mktemp("every_key")
    apollo_store(folder)
    return folder


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "VISUAL", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(
        "EDITOR", f"{sys.executable} -c 'import sys; open(sys.argv[2], chr(97)).write(chr(35))'"
    )
    # A terminal that can be given to an editor.
    monkeypatch.setattr(HeadlessDriver, "can_suspend", True)
    monkeypatch.setattr(HeadlessDriver, "suspend_application_mode", lambda _: None)
    monkeypatch.setattr(HeadlessDriver, "resume_application_mode", lambda _: None)
    monkeypatch.chdir(tmp_path)


def test_every_key_is_driven() -> None:
    bound = {(identity, key) for identity, keys in declared().items() for key in keys}
    driven = {pair for walk in WALKS.values() for step in walk for pair in keys_of(step)}
    missing = {pair for pair in bound - driven if pair[0] not in UNSEEN}
    assert not missing, f"no walk drives {sorted(missing)}"
    assert driven <= bound, f"no binding: {sorted(driven - bound)}"
    assert not {identity for identity, _ in driven} & UNSEEN.keys()


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("name", WALKS)
async def test_every_key_does_something(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store = tmp_path / "store"
    if name != "first_run":
        shutil.copytree(collection / "apollo", store, symlinks=True)
    async with driving(store, collection / "photos", monkeypatch) as driver:
        await driver.walk(WALKS[name])
    print("\n".join(driver.said))
    assert not driver.faults, "\n".join(driver.faults)
