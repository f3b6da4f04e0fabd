"""The session: what the terminal app knows of a store, held against the engine's own answers."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_stores import Content, build_store, fill, image
from session_stores import CODES, VOCABULARY, expressions, names, score, small_content, status

from colonnade.engine.errors import ColonnadeError, InputError, StoreError
from colonnade.engine.expression_tree import ExpressionError
from colonnade.engine.query import run_query
from colonnade.engine.store import Store
from colonnade.tui.session import Session
from colonnade.tui.session_hits import BLOCK
from colonnade.tui.session_model import SupersededError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_store(
        tmp_path_factory.mktemp("s") / "store", small_content(), vocabulary=VOCABULARY, commits=3
    )


@pytest.fixture
def session(store: Store) -> Session:
    return Session(store.path)


def expected(store: Store, text: str, **options: Any) -> list[tuple[Any, ...]]:
    snapshot = store.snapshot()
    codes = (*store.vocabulary().codes, *snapshot.partitions("scores"))
    return run_query(snapshot, text, codes, **options).fetch()


def rows_of(session: Session, text: str, **options: Any) -> list[tuple[Any, ...]]:
    hits = session.find(text, **options)
    rows = [row for number in range(hits.blocks) for row in hits.block(number)]
    assert hits.count == len(rows)
    assert hits.block(hits.blocks) == []
    return rows


sorts = st.sampled_from(
    [None, "earth", "-earth", "moon", "sun.status", "-sun.status", "path", "-path", "width, path", "-width, earth",
     "taken", "-taken", "logit_missing", "earth.logit", "moon.source", "empty", "-mtime, -image_id"]
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(expressions, sorts)
def test_hits_are_what_the_engine_finds(store: Store, shared: Session, text: str, sort: str | None) -> None:
    sort = None if sort == "logit_missing" else sort
    assert rows_of(shared, text, sort=sort) == expected(store, text, sort=sort)
    hits = shared.find(text, sort=sort)
    ids = hits.ids()
    assert [hits.position_of(i) for i in ids[:5]] == list(range(min(5, len(ids))))
    assert hits.position_of(10_000) is None


@pytest.fixture(scope="module")
def shared(store: Store) -> Session:
    return Session(store.path)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_hits_of_random_stores(data: st.DataObject) -> None:
    ids = sorted(data.draw(st.sets(st.integers(0, 300_000), min_size=1, max_size=30)))
    confidences = st.one_of(st.none(), st.floats(0, 1, width=32))
    scores = {
        code: {
            i: (None if (c := data.draw(confidences)) is None else c * 9, c, status(c))
            for i in data.draw(st.lists(st.sampled_from(ids), unique=True))
        }
        for code in CODES
    }
    states = {i: data.draw(st.sampled_from(["ok", "ok", "ok", "missing"])) for i in ids}
    content = Content(
        [image(i, state=states[i]) for i in ids], scores, {"chosen": ids[::2], "best of": ids[:1]}
    )
    texts = data.draw(st.lists(expressions, min_size=1, max_size=4))
    with tempfile.TemporaryDirectory() as folder:
        store = build_store(Path(folder) / "s", content, commits=data.draw(st.integers(1, 2)))
        session = Session(store.path)
        for text in texts:
            sort = data.draw(st.sampled_from([None, "earth", "-path", "moon.status, -sun"]))
            assert rows_of(session, text, sort=sort) == expected(store, text, sort=sort)
            hits = session.find(text)
            assert session.facets(hits) == {
                code: len(expected(store, f"({text}) and {code}"))
                for code in CODES
                if store.snapshot().files("scores", code)
            }
        session.close()


def test_columns_of_every_kind(store: Store, session: Session) -> None:
    snapshot = store.snapshot()
    names = [
        "image_id", "root", "path", "path_bytes", "uuid", "bytes", "mtime", "width", "format", "taken", "state",
        "earth", "earth.logit", "moon.status", "moon.source", "empty.status", "empty.source", "empty",
    ]  # fmt: skip
    hits = session.find("earth?", columns=names)
    assert hits.columns == tuple(names)
    found = run_query(snapshot, "earth?", CODES, columns=names)
    assert hits.types == found.types
    assert [row for k in range(hits.blocks) for row in hits.block(k)] == found.fetch()


def test_numbers_that_are_none(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    scores = {i: (x, x, "rejected") for i, x in enumerate((0.1, nan, None, inf, -inf, 0.9))}
    store = build_store(tmp_path / "s", Content([image(i) for i in range(6)], {"earth": scores}))
    session = Session(store.path)
    for text in (
        "earth > 0.5", "earth != 0.9", "not earth > 0.5", "earth between 0 and 1e300", "logit(earth) in (0.1, 0.9)",
        "earth not between 0 and 0.5", "not logit(earth) in (0.1)", "logit(earth) is null", "earth is null",
    ):  # fmt: skip
        assert [row[0] for row in rows_of(session, text)] == [row[0] for row in expected(store, text)], text


def test_an_empty_text_is_every_image(session: Session) -> None:
    hits = session.find()
    assert hits.count == 588
    assert hits.columns == ("image_id", "path")
    assert hits.blocks == -(-588 // BLOCK)
    assert hits.ids(0, 3) == [0, 1, 2]
    assert hits.nearest_position(49) == 49  # unreadable: the one after it
    assert hits.nearest_position(599) == 587
    assert session.find("false").nearest_position(3) is None


def test_unscored_attributes_are_told(session: Session) -> None:
    assert session.find("earth and not empty").warnings == (
        "empty has no scores yet: run colonnade tag empty",
    )
    assert session.find("earth").warnings == ()


def test_check_complete_and_errors(session: Session) -> None:
    assert session.check("earth >= 0.8 and moon?").ok
    assert session.check("").ok
    wrong = session.check("earth and mon")
    assert (wrong.ok, wrong.position) == (False, 10)
    assert wrong.message == 'unknown attribute "mon"; did you mean "moon"?'
    assert "\n" not in session.check("earth >= ").message
    assert "earth" in session.complete("not ea").options
    assert session.complete("in_set(").options == ("best of", "chosen")
    with pytest.raises(ExpressionError):
        session.find("earth and")
    with pytest.raises(InputError):
        session.find("earth", sort="nothing")
    assert not session.check("x" * 20_000).ok
    assert not session.check("\ud800").ok


@pytest.mark.parametrize(
    ("text", "code", "delta", "after"),
    [
        ("", "earth", 0.01, "earth >= 0.81"),
        ("true", "moon", -0.05, "moon >= 0.85"),
        ("earth", "earth", 0.01, "earth >= 0.81"),
        ("earth?", "earth", 0.01, "earth >= 0.51"),
        ("not earth", "earth", 0.01, "earth < 0.81"),
        ("not  earth? and moon", "earth", -0.01, "earth < 0.49 and moon"),
        ("earth  >=  .5 and moon", "earth", 0.05, "earth >= 0.55 and moon"),
        ("not earth <= 0.5", "earth", 0.01, "earth > 0.51"),
        ("(moon or earth < 0.5)", "earth", 0.5, "(moon or earth < 1.00)"),
        ("moon or sun", "earth", 0.0, "(moon or sun) and earth >= 0.80"),
        ("earth > 0.995", "earth", 0.05, "earth > 1.00"),
        ("both", "both", 0.01, "both >= 0.81"),
    ],
)
def test_step(session: Session, text: str, code: str, delta: float, after: str) -> None:
    assert session.step(text, code, delta) == after
    assert session.check(after).ok


def test_step_refuses_what_has_no_threshold(session: Session) -> None:
    for text in ("logit(earth) > 3", "earth between 0.1 and 0.2", "earth is null", "earth and"):
        with pytest.raises(InputError):
            session.step(text, "earth", 0.01)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", ["earth", "earth?", "not earth?", ""]),
        ("moon", ["moon and earth", "moon and earth?", "moon and not earth?", "moon"]),
        ("moon or sun", ["(moon or sun) and earth", "(moon or sun) and earth?"]),
        ("earth >= .9 and moon", ["earth? and moon", "not earth? and moon", "moon", "moon and earth"]),
        ("earth < 0.3 and (moon or sun)", ["(moon or sun)"]),
        ("moon and earth < 0.3 and width between 1 and 2", ["moon and width between 1 and 2"]),
    ],
)
def test_cycle(session: Session, text: str, steps: list[str]) -> None:
    for after in steps:
        text = session.cycle(text, "earth")
        assert text == after
        assert session.check(text).ok


def test_cycle_refuses_what_stands_inside(session: Session) -> None:
    for text in ("(earth or moon) and sun", "earth or moon", "not (earth)", "earth is null", "earth and ("):
        with pytest.raises(InputError):
            session.cycle(text, "earth")


def test_conditions(session: Session) -> None:
    text = "earth >= .8 and moon? and not sun and (both or in_set(chosen)) and path like 'empty' and \"empty\" < 1"
    found = session.conditions(text)
    assert {code: (c.operator, c.threshold, c.whole) for code, c in found.items()} == {
        "earth": (">=", 0.8, True),
        "moon": ("tentative", None, True),
        "sun": ("not accepted", None, True),
        "both": ("accepted", None, False),
        "empty": ("<", 1.0, True),
    }
    assert text[slice(*found["sun"].span)] == "not sun"
    assert session.conditions("earth and") == {}


@settings(max_examples=60, deadline=None)
@given(expressions, names, st.floats(-1, 1))
def test_edits_of_any_text_parse(shared: Session, text: str, code: str, delta: float) -> None:
    after = []
    with suppress(InputError):
        after.append(shared.step(text, code, delta))
    with suppress(InputError):
        after.append(shared.cycle(text, code))
    assert all(shared.check(edited).ok for edited in after), after


def test_overview_and_attributes(session: Session) -> None:
    overview = session.overview()
    assert (overview.images, overview.ok, overview.unreadable) == (600, 588, 12)
    assert (overview.attributes, overview.derived, overview.roots) == (5, 1, 0)
    rows = {row.code: row for row in session.attributes()}
    assert list(rows) == ["earth", "moon", "sun", "empty", "both"]
    assert rows["earth"].accepted == session.find("earth").count
    assert rows["sun"].tentative == session.find("sun? and not sun").count
    assert rows["sun"].unscored == session.find("sun is null").count
    assert rows["moon"].thresholds == (0.9, 0.5)
    assert (rows["both"].thresholds, rows["both"].derived) == (None, True)
    assert rows["empty"].state == rows["both"].state == "not scored"


def test_one_image(session: Session) -> None:
    row = session.image_row(14)
    assert (row.shown, row.path, row.width, row.state) == ("photos/0/0014.jpg", "0/0014.jpg", 101, "ok")
    assert row.file is None  # the store has no such root
    assert {score.code: score.status for score in session.scores(14)}["moon"] is not None
    assert {score.code: score.status for score in session.scores(15)}["moon"] is None
    for image_id in (-1, 10_000, 1 << 60):
        with pytest.raises(InputError, match="search again"):
            session.image_row(image_id)


def test_a_changed_store_is_noticed_and_the_place_is_kept(tmp_path: Path) -> None:
    content = small_content()
    store = build_store(tmp_path / "s", content, vocabulary=VOCABULARY)
    session = Session(store.path)
    before = session.find("earth")
    assert not session.notice()
    first = session.snapshot
    later = Content([image(i) for i in range(700, 710)], {"earth": {i: score(0.9) for i in range(700, 710)}})
    fill(store, later)
    assert session.notice()
    assert not session.notice()
    assert session.snapshot == first + 1
    after = session.find("earth")
    assert after.count == before.count + 10
    assert after.position_of(before.ids(5, 6)[0]) == 5
    assert before.block(0)  # what was found before still reads
    store.vocabulary_path.write_text(VOCABULARY.replace("label: Sun", "label: Our star"))
    assert session.notice()
    assert {row.code: row.label for row in session.attributes()}["sun"] == "Our star"


def test_named_faults_take_one_line(tmp_path: Path) -> None:
    nowhere = Session(tmp_path / "nowhere")
    assert not nowhere.notice()
    with pytest.raises(StoreError, match="no store here"):
        nowhere.overview()
    empty = Session(Store.create(tmp_path / "empty", model="hash").path)
    assert empty.find("").count == 0
    assert empty.find("true").block(0) == []
    assert empty.attributes() == ()
    problems = empty.overview().problems
    assert any("root add" in line for line in problems)
    assert any("no attributes" in line for line in problems)
    store = build_store(tmp_path / "s", small_content(), vocabulary=VOCABULARY)
    session = Session(store.path)
    store.vocabulary_path.write_text("base_attributes: [{code: earth}, {code: 7}]\n")
    assert session.find("earth").count  # the last vocabulary that was right still serves
    assert any("more)" in line for line in session.overview().problems)
    assert all("\n" not in line for line in session.overview().problems)
    with pytest.raises(InputError):
        session.vocabulary()
    store.vocabulary_path.unlink()
    session.notice()
    assert any("missing; restore it" in line for line in session.overview().problems)
    (store.path / "queries.yaml").write_text("- not a query\n")
    session.notice()
    assert session.find("earth").count
    with pytest.raises(InputError):
        session.named_queries()


def test_a_damaged_file_is_told_in_one_line(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", small_content(), vocabulary=VOCABULARY)
    for file in store.snapshot().files("scores", "moon"):
        file.path.chmod(0o644)
        file.path.write_bytes(b"PAR1 nonsense PAR1")
    session = Session(store.path)
    assert session.find("earth").count
    for ask in (
        lambda: session.find("moon > 0.5"),
        lambda: session.facets(session.find("")),
    ):
        with pytest.raises(StoreError) as caught:
            ask()
        assert "\n" not in str(caught.value)
    damaged = {row.code for row in session.attributes() if row.state == "damaged"}
    assert damaged == {"moon"}


def test_hostile_text_comes_as_it_is(tmp_path: Path) -> None:
    paths = [
        "\x1b[2J.jpg",
        "[/][@click=app.quit].jpg",
        "\u202egpj.exe",
        "a\nb.jpg",
        "x" * 4000,
        "'; DROP TABLE x; --",
    ]
    store = build_store(tmp_path / "s", Content([image(i, path=path) for i, path in enumerate(paths)]))
    session = Session(store.path)
    assert [row[1] for row in session.find("").block(0)] == paths
    assert [row[1] for row in session.find("", sort="-path").block(0)] == sorted(paths, reverse=True)
    assert session.image_row(3).path == "a\nb.jpg"
    assert not session.check('"\x1b[2J" and [/]').ok


def test_an_older_search_gives_way(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from colonnade.tui import session_match

    inside, go_on = threading.Event(), threading.Event()
    ask = session_match.Matcher._ask

    def slow(self: Any, node: Any, wanted: bool) -> Any:
        inside.set()
        assert go_on.wait(10)
        return ask(self, node, wanted)

    monkeypatch.setattr(session_match.Matcher, "_ask", slow)
    outcome: list[object] = []

    def older() -> None:
        try:
            outcome.append(session.find("path like '%1%'"))
        except ColonnadeError as error:
            outcome.append(error)

    thread = threading.Thread(target=older)
    thread.start()
    assert inside.wait(10)
    newer = session.find("earth")
    go_on.set()
    thread.join(10)
    assert newer.count
    assert isinstance(outcome[0], SupersededError)
    monkeypatch.undo()
    assert session.find("path like '%1%'").count


def test_many_threads_at_once(store: Store) -> None:
    session = Session(store.path)
    wanted = {code: len(expected(store, code)) for code in ("earth", "moon", "sun")}
    wrong: list[object] = []

    def ask(code: str) -> None:
        for _ in range(10):
            try:
                hits = session.find(code, sort="path")
                if hits.count != wanted[code] or len(hits.block(0)) != min(BLOCK, hits.count):
                    wrong.append(hits)
            except SupersededError:
                pass
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=ask, args=(code,)) for code in wanted for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    session.close()


def test_columns_beyond_the_budget_are_dropped(store: Store) -> None:
    session = Session(store.path)
    session._columns._budget = 8000
    for code in ("earth", "moon", "sun"):
        hits = session.find(f"{code} > 0.5", sort=code)
        assert [row[0] for row in hits.block(0)] == [
            row[0] for row in expected(store, f"{code} > 0.5", sort=code)[:BLOCK]
        ]
    assert session._columns.nbytes < 12_000


def test_a_selection_is_asked_for_like_a_set(store: Store) -> None:
    """It lies in the session's memory: nothing is written, and no more than a set is asked for by it."""
    session = Session(store.path)
    before = sorted(path.name for path in store.path.rglob("*"))
    session.select("map", np.array([500, 7, 49, 3, 3, 10**12]))
    assert session.find("in_selection(map)").ids() == [3, 7, 500]
    assert session.find("in_selection(map) and state is not null").ids() == [3, 7, 49, 500], (
        "49 is unreadable"
    )
    assert session.find("not in_selection(map)").count == session.find("true").count - 3
    assert session.find("in_selection(map) and earth >= 0.5", "-earth").ids() == [
        row[0] for row in expected(store, "image_id in (3, 7, 500) and earth >= 0.5", sort="-earth")
    ]
    hits = session.find("in_selection(map)")
    assert session.facets(hits)["earth"] == session.find("image_id in (3, 7, 500) and earth").count
    assert session.conditions("in_selection(map) and earth").keys() == {"earth"}
    assert session.step("in_selection(map)", "earth", 0.0) == "in_selection(map) and earth >= 0.80"
    assert session.cycle("in_selection(map) and earth", "earth") == "in_selection(map) and earth?"
    assert session.complete("in_se").options == ("in_set(", "in_selection(")
    assert session.complete("in_selection(").options == ("map",)
    assert sorted(path.name for path in store.path.rglob("*")) == before


def test_a_selection_says_where_it_comes_from(session: Session) -> None:
    assert session.complete("in_se").options == ("in_set(",)
    said = session.check("earth and in_selection(map)")
    assert (said.position, said.message) == (
        23,
        "nothing is selected on the map yet: a lasso there selects",
    )
    assert session.check("in_selection(marks)").message == "no image is marked yet"
    session.marks = {3, 5}
    assert session.find("in_selection(marks)").ids() == [3, 5]
    said = session.check("in_selection(nothing)")
    assert (said.position, said.message) == (13, 'unknown selection "nothing"')


def test_hits_know_when_what_they_name_changed(session: Session) -> None:
    session.select("map", [1, 2])
    session.query = "in_selection(map)"
    hits = session.find("in_selection(map)")
    assert session.is_asked(hits)
    session.marks = {9}
    assert session.is_asked(hits)
    session.select("map", [2, 3])
    assert not session.is_asked(hits)
    assert hits.ids() == [1, 2], "what was found stays as it was"
    session.query = "earth"
    assert session.is_asked(session.find("earth"))
    assert not session.is_asked(session.find("earth", "-path"))


@settings(max_examples=30, deadline=None)
@given(expressions, st.sets(st.integers(0, 620), max_size=40))
def test_a_selection_in_any_expression(store: Store, text: str, ids: set[int]) -> None:
    session = Session(store.path)
    session.marks = ids
    whole = f"not (in_selection(marks) and ({text})) or {text}" if ids else text
    snapshot = store.snapshot()
    codes = (*store.vocabulary().codes, *snapshot.partitions("scores"))
    found = run_query(snapshot, whole, codes, columns=["image_id"], selections={"marks": sorted(ids)})
    assert session.find(whole).ids() == [row[0] for row in found]


def test_read_only_is_told(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", small_content(), vocabulary=VOCABULARY)
    session = Session(store.path)
    assert session.writable
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    store.path.chmod(0o555)
    try:
        assert not session.writable
        assert any("read-only" in line for line in session.overview().problems)
    finally:
        store.path.chmod(0o755)
