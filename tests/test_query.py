"""Queries against an oracle in plain Python, and what a result offers."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_stores import Content, Score, build_store, image

from colonnade.engine.console import run_sql
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.expression import ExpressionError
from colonnade.engine.expression_tree import (
    And,
    Between,
    Compare,
    Constant,
    Expression,
    In,
    InSelection,
    InSet,
    IsNull,
    Like,
    Not,
    Operand,
    Or,
    Truth,
    to_text,
)
from colonnade.engine.query import run_query, wide_table
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS

CODES = ("earth", "moon", "order", "never")
SHARD = 1 << 17

# --- the oracle ---------------------------------------------------------------------------------------


def verdict(
    node: Expression, row: Mapping[str, Any], scores: dict[str, Score], sets: set[str]
) -> bool | None:
    """What a bound-free expression says of one image, by Kleene's logic, one condition at a time."""

    def inner(part: Expression) -> bool | None:
        return verdict(part, row, scores, sets)

    def value(operand: Operand) -> Any:
        if operand.kind == "name" and operand.name in row:
            return row[operand.name]
        logit, confidence, status = scores.get(operand.name, (None, None, None))
        if operand.kind == "source":
            return None if operand.name not in scores else "clip_zero_shot"
        found = {"name": confidence, "logit": logit, "status": status}[operand.kind]
        return np.float32(found) if isinstance(found, float) else found

    def fit(operand: Operand, literal: Any) -> Any:
        if operand.name == "taken" and operand.kind == "name":
            return datetime.fromisoformat(literal)
        scored = operand.kind == "logit" or (operand.kind == "name" and operand.name in CODES)
        with np.errstate(over="ignore"):
            return np.float32(literal) if scored else literal

    def compare(operator: str, left: Any, right: Any) -> bool | None:
        if left is None:
            return None
        outcomes = {"=": left == right, "!=": left != right, "<": left < right}
        outcomes |= {"<=": left <= right, ">": left > right, ">=": left >= right}
        return bool(outcomes[operator])

    def negate(found: bool | None, negated: bool = True) -> bool | None:
        return found if found is None or not negated else not found

    match node:
        case Constant(constant):
            return constant
        case Not(part):
            return negate(inner(part))
        case And(parts):
            found = [inner(part) for part in parts]
            return False if False in found else None if None in found else True
        case Or(parts):
            found = [inner(part) for part in parts]
            return True if True in found else None if None in found else False
        case Truth(name, tentative):
            status = scores.get(name, (None, None, None))[2]
            return None if status is None else status == "accepted" or (tentative and status == "tentative")
        case InSet(name) | InSelection(name):
            return name in sets
        case Compare(operand, operator, literal):
            return compare(operator, value(operand), fit(operand, literal))
        case Between(operand, low, high, negated):
            ends = [
                compare(">=", value(operand), fit(operand, low)),
                compare("<=", value(operand), fit(operand, high)),
            ]
            return negate(None if None in ends else all(ends), negated)
        case In(operand, literals, negated):
            left = value(operand)
            return (
                None
                if left is None
                else negate(any(left == fit(operand, item) for item in literals), negated)
            )
        case Like(operand, pattern, negated):
            left = value(operand)
            return None if left is None else negate(like(left, pattern), negated)
        case IsNull(operand, negated):
            asked = (
                Operand("status", operand.name)
                if operand.kind == "name" and operand.name in CODES
                else operand
            )
            return (value(asked) is None) != negated
    raise AssertionError(node)


def like(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(like(text[n:], pattern[1:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and like(text[1:], pattern[1:])


# --- random stores and expressions --------------------------------------------------------------------

GRID = [0.0, 0.25, 0.5, 0.7999999523162842, 0.8, 0.800000011920929, 1.0]
confidences = st.sampled_from(GRID)


def score(confidence: float) -> Score:
    status = "accepted" if confidence >= 0.8 else "tentative" if confidence >= 0.5 else "rejected"
    return (20.0 + 10 * confidence, confidence, status)


scores = st.one_of(confidences.map(score), st.just((None, None, None)), st.just((None, None, "rejected")))
ids = st.lists(
    st.sampled_from([0, 1, 2, 3, 4, 5, SHARD, SHARD + 1, 3 * SHARD]), min_size=0, max_size=7, unique=True
)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    chosen = draw(ids)
    images = [
        image(
            image_id,
            path=draw(st.sampled_from(["a.jpg", "b_1.jpg", "dir/it's.png", "%", "Ünïcode.JPG"])),
            width=draw(st.sampled_from([None, 1, 640, 641])),
            taken=draw(st.sampled_from([None, datetime(2021, 5, 3), datetime(2021, 5, 3, 12)])),
            state=draw(st.sampled_from(["ok", "ok", "ok", "missing"])),
        )
        for image_id in chosen
    ]
    together = draw(st.booleans())
    tables = {
        code: {n: draw(scores) for n in chosen if together or draw(st.booleans())} for code in CODES[:3]
    }
    sets = {name: [n for n in chosen if draw(st.booleans())] for name in ("chosen", "other")}
    return Content(images, tables, sets)


attributes = st.sampled_from(CODES)
numbers = st.sampled_from([*GRID, -1, 0, 1, 2, 1e39, -1e39])
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
paths = st.sampled_from(["a.jpg", "%.jpg", "_.jpg", "%'%", "%", "", "b_1%", "Ü%"])


def kinds(names: st.SearchStrategy[str], kind: str = "name") -> st.SearchStrategy[Operand]:
    return names.map(lambda name: Operand(kind, name))


number_operands = kinds(attributes) | kinds(attributes, "logit") | kinds(st.just("width"))
number_values = numbers | st.sampled_from([20, 25.5, 28.0, 640, 10**17])
text_conditions = [
    (kinds(st.just("path")), paths),
    (kinds(attributes, "source"), st.sampled_from(["clip_zero_shot", "x"])),
    (kinds(attributes, "status"), st.sampled_from(["accepted", "tentative", "rejected"])),
    (kinds(st.just("taken")), st.sampled_from(["2021-05-03", "2021-05-03T12:00", "2022-01-01"])),
]


def about(
    operand: st.SearchStrategy[Operand], value: st.SearchStrategy[Any]
) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(Compare, operand, operators, value),
        st.builds(Between, operand, value, value, st.booleans()),
        st.builds(In, operand, st.lists(value, min_size=1, max_size=3).map(tuple), st.booleans()),
        st.builds(IsNull, operand, st.booleans()),
    )


conditions = st.one_of(
    st.builds(Constant, st.booleans()),
    st.builds(Truth, attributes, st.booleans()),
    st.builds(InSet, st.sampled_from(["chosen", "other", "empty"])),
    st.builds(InSelection, st.sampled_from(["chosen", "other", "empty"])),
    st.builds(Like, kinds(st.just("path")) | kinds(attributes, "status"), paths, st.booleans()),
    about(number_operands, number_values),
    *(about(operand, value) for operand, value in text_conditions),
)
expressions = st.recursive(
    conditions,
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, min_size=2, max_size=3).map(tuple).map(And)
        | st.lists(inner, min_size=2, max_size=3).map(tuple).map(Or)
    ),
    max_leaves=5,
)

fresh = itertools.count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("stores with [brackets] * and 'quotes'")


@given(
    content=contents(),
    commits=st.sampled_from([1, 1, 2]),
    trees=st.lists(expressions, min_size=1, max_size=10),
)
@settings(max_examples=20, deadline=None)
def test_matches_what_the_oracle_matches(
    folder: Path, content: Content, commits: int, trees: list[Expression]
) -> None:
    snapshot = build_store(folder / f"{next(fresh)}", content, commits=commits).snapshot()
    rows = {row["image_id"]: row for row in content.images}
    for tree in trees:
        expected = []
        for image_id in sorted(rows):
            own = {code: table[image_id] for code, table in content.scores.items() if image_id in table}
            member = {name for name, ids in content.sets.items() if image_id in ids}
            visible = rows[image_id]["state"] == "ok"
            if visible and verdict(tree, rows[image_id], own, member) is True:
                expected.append(image_id)
        result = run_query(
            snapshot,
            to_text(tree),
            CODES,
            ["chosen", "other", "empty"],
            columns=["image_id"],
            selections={**content.sets, "empty": []},
        )
        assert [row[0] for row in result] == expected, to_text(tree)
        assert result.count == len(expected)


sort_keys = st.sampled_from(
    ["earth", "-earth", "earth asc", "moon.logit", "width", "-width", "path desc", "never"]
)


@given(
    content=contents(), keys=st.lists(sort_keys, min_size=1, max_size=2), limit=st.none() | st.integers(0, 5)
)
@settings(max_examples=20, deadline=None)
def test_order_and_limit(folder: Path, content: Content, keys: list[str], limit: int | None) -> None:
    snapshot = build_store(folder / f"{next(fresh)}", content).snapshot()
    columns = ["path", "earth", "image_id", "moon.status", "never", "width"]
    result = run_query(
        snapshot, "earth? or width > 1", CODES, columns=columns, sort=", ".join(keys), limit=limit
    )
    rows = [
        row
        for row in content.images
        if row["state"] == "ok"
        and (own(content, "earth", row)[2] in ("accepted", "tentative") or (row["width"] or 0) > 1)
    ]
    rows.sort(key=lambda row: row["image_id"])
    for key in reversed(keys):
        name = key.removeprefix("-").split()[0]
        natural = name in ("earth", "moon.logit", "never")
        descending = key.endswith(" desc") or (not key.endswith(" asc") and natural != key.startswith("-"))
        values = {row["image_id"]: sort_value(content, name, row) for row in rows}
        there = [row for row in rows if values[row["image_id"]] is not None]
        there.sort(key=lambda row: values[row["image_id"]], reverse=descending)
        rows = there + [row for row in rows if values[row["image_id"]] is None]
    expected = [
        (
            row["path"],
            single(own(content, "earth", row)[1]),
            row["image_id"],
            own(content, "moon", row)[2],
            None,
            row["width"],
        )
        for row in rows[:limit]
    ]
    assert list(result) == expected
    assert result.count == len(expected)


def own(content: Content, code: str, row: Mapping[str, Any]) -> Score:
    return content.scores[code].get(row["image_id"], (None, None, None))


def single(value: float | None) -> float | None:
    return None if value is None else float(np.float32(value))


def sort_value(content: Content, name: str, row: Mapping[str, Any]) -> Any:
    if name == "never":
        return None
    if name in row:
        return row[name]
    logit, confidence, _ = own(content, name.split(".", maxsplit=1)[0], row)
    return single(logit if "logit" in name else confidence)


# --- examples -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    content = Content(
        [
            image(1, path="one.jpg", taken=datetime(2021, 5, 3, 10), mtime=datetime(2024, 1, 2, tzinfo=UTC)),
            image(2, path="two.jpg", width=4000),
            image(3, path="three.jpg", state="missing"),
            image(SHARD + 4, path="four.jpg", path_bytes=b"f\xffur.jpg"),
        ],
        {
            "earth": {1: score(0.8), 2: score(0.5), 3: score(1.0), SHARD + 4: score(0.1)},
            "order": {1: score(0.9)},
        },
        {"chosen": [1, 3]},
    )
    return build_store(tmp_path_factory.mktemp("query") / "store", content)


def found(store: Store, text: str, **options: Any) -> list[int]:
    codes = ("earth", "order", "moon")
    return [row[0] for row in run_query(store.snapshot(), text, codes, columns=["image_id"], **options)]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("earth", [1]),
        ("earth?", [1, 2]),
        ("not earth", [2, SHARD + 4]),
        ("not earth?", [SHARD + 4]),
        ("earth >= 0.8", [1]),
        ("earth > 0.8", []),
        ("earth <= 0.8", [1, 2, SHARD + 4]),
        ("earth = 0.8", [1]),
        ("earth in (0.8, 0.1)", [1, SHARD + 4]),
        ("not order", []),
        ("order is null", [2, SHARD + 4]),
        ("order or not order", [1]),
        ("moon or true", [1, 2, SHARD + 4]),
        ("not moon", []),
        ("logit(order) is not null and logit(earth) > 27.5", [1]),
        ("state = 'missing'", [3]),
        ("earth and state in ('ok', 'missing')", [1, 3]),
        ("in_set(chosen)", [1]),
        ("in_set(chosen) and state is not null", [1, 3]),
        ("taken >= '2021'", [1]),
        ("taken < '2021-05-03T10:00:01'", [1]),
        ("mtime > '2024-01-01T23:59:59'", [1]),
        ("mtime = '2024-01-02T02:00+02:00'", [1]),
        ("path_bytes is not null", [SHARD + 4]),
        ("width = 4000.0", [2]),
        ("width > 99999999999999999999999999", []),
        ("source(order) = 'clip_zero_shot'", [1]),
        ("source = 'file' and earth", [1]),
    ],
)
def test_examples(store: Store, text: str, ids: list[int]) -> None:
    assert found(store, text) == ids


def test_default_columns_and_warnings(store: Store) -> None:
    result = run_query(store.snapshot(), "earth? and (moon or order?)", ("earth", "moon", "order"))
    assert result.columns == ("image_id", "path", "earth", "moon", "order")
    assert list(result) == [(1, "one.jpg", single(0.8), None, single(0.9))]
    assert result.warnings == ("moon has no scores yet: run colonnade tag moon",)


def test_columns(store: Store) -> None:
    columns = ["path", "earth.status", "earth.logit", "earth.source", "mtime", "taken", "moon", "path"]
    result = run_query(store.snapshot(), "order", ("earth", "moon", "order"), columns=columns, limit=5)
    assert result.columns == ("path", "earth.status", "earth.logit", "earth.source", "mtime", "taken", "moon")
    taken, modified = datetime(2021, 5, 3, 10), datetime(2024, 1, 2)
    assert result.fetch() == [("one.jpg", "accepted", 28.0, "clip_zero_shot", modified, taken, None)]
    for name, message in [
        ("pth", 'did you mean "path"'),
        ("earth.confidnce", "there are confidence, logit"),
        ("e", "unknown column"),
    ]:
        with pytest.raises(InputError, match=message):
            run_query(store.snapshot(), "true", ("earth",), columns=[name])


@pytest.mark.parametrize("sort", [" ", "nothing", "earth up", "earth desc now", "earth,,", "--earth", "desc"])
def test_wrong_sort_keys(store: Store, sort: str) -> None:
    with pytest.raises(InputError):
        found(store, "true", sort=sort)


def test_sorting_by_confidence_is_highest_first(store: Store) -> None:
    assert found(store, "true", sort="earth") == [1, 2, SHARD + 4]
    assert found(store, "true", sort="-earth") == [SHARD + 4, 2, 1]
    assert found(store, "true", sort="earth desc") == [1, 2, SHARD + 4]
    assert found(store, "true", sort="earth asc") == [SHARD + 4, 2, 1]
    assert found(store, "true", sort="order") == [1, 2, SHARD + 4]
    assert found(store, "true", sort="path", limit=2) == [SHARD + 4, 1]
    assert found(store, "true", sort="-width, path desc") == [2, 1, SHARD + 4]
    with pytest.raises(InputError, match="0 or more"):
        found(store, "true", limit=-1)


def test_the_users_text_never_reaches_the_sql(store: Store) -> None:
    evil = "'); DROP TABLE x; --"
    assert found(store, f"path = '{evil.replace(chr(39), chr(39) * 2)}'") == []
    with pytest.raises(ExpressionError):
        found(store, '"earth""; DROP TABLE x; --" > 1')


def test_an_empty_store(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", Content([]))
    result = run_query(store.snapshot(), "moon and width > 5", ("moon",), sort="moon", limit=3)
    assert (result.count, result.fetch()) == (0, [])
    assert result.columns == ("image_id", "path", "moon")


def test_large_expressions_run(store: Store) -> None:
    wide = " or ".join(["earth > 0.9"] * 620)
    assert found(store, wide) == []
    deep = "not " * 98 + "earth"
    assert found(store, deep) == [1]
    listed = ", ".join(str(n) for n in range(1500))
    assert found(store, f"image_id in ({listed})") == [1, 2]


# --- side by side -------------------------------------------------------------------------------------


def wide_store(path: Path, dropped: dict[str, int]) -> tuple[Store, dict[str, np.ndarray]]:
    """131,072 images, more than a row group, with scores that stand in a sawtooth; a row may be left out."""
    ids = np.arange(SHARD)
    store = Store.create(path, vocabulary=b"base_attributes: []", model="hash")
    values = {
        code: ((ids * step) % 1009 / 1009).astype(np.float32)
        for code, step in [("a", 7), ("b", 11), ("c", 13)]
    }
    images = pa.table({"image_id": ids, "state": ["ok"] * SHARD})
    for name in SCHEMAS["images"].names:
        if name not in images.column_names:
            images = images.append_column(name, pa.nulls(SHARD, SCHEMAS["images"].field(name).type))
    with open_stage(store.path, command="test") as stage:
        stage.append("images", None, 0, images, read=())
        for code, confidence in values.items():
            keep = ids != dropped.get(code, -1)
            words = np.where(confidence >= 0.5, "accepted", "rejected")
            rows = {"image_id": ids[keep], "confidence": confidence[keep]}
            rows |= dict.fromkeys(("logit", "log_odds"), confidence[keep])
            rows |= {"status": words[keep]} | {
                name: ["x"] * int(keep.sum()) for name in ("label_source", "model", "definition")
            }
            stage.append("scores", code, 0, pa.table(rows), read=())
            values[code] = np.where(keep, confidence, np.float32(np.nan))
        stage.commit()
    return store, values


@pytest.mark.parametrize("dropped", [{}, {"b": 0}, {"b": 130_000, "c": 130_000}, {"a": 5, "b": 6, "c": 7}])
def test_partitions_side_by_side_over_row_groups(tmp_path: Path, dropped: dict[str, int]) -> None:
    store, values = wide_store(tmp_path / "s", dropped)
    a, b, c = values["a"], values["b"], values["c"]

    def ids(text: str, **options: Any) -> list[int]:
        return [row[0] for row in run_query(store.snapshot(), text, "abc", columns=["image_id"], **options)]

    assert ids("a > 0.9 and b < 0.2 and not c") == np.flatnonzero((a > 0.9) & (b < 0.2) & (c < 0.5)).tolist()
    rows = run_query(
        store.snapshot(), "a > 0.95 or b > 0.99", "abc", columns=["image_id", "a", "b", "c"]
    ).fetch()
    wanted = np.flatnonzero((a > 0.95) | (b > 0.99))
    assert [row[0] for row in rows] == wanted.tolist()
    for column, code in enumerate("abc", 1):
        got = np.array([np.nan if row[column] is None else row[column] for row in rows], dtype=np.float32)
        np.testing.assert_array_equal(got, values[code][wanted])
    order = np.lexsort((np.arange(SHARD), -np.nan_to_num(c, nan=-1)))
    assert ids("a is null or a >= 0", sort="c", limit=50) == order[:50].tolist()
    wide = wide_table(store.snapshot(), ["a", "b", "c"]).arrow()
    for code in "abc":
        np.testing.assert_array_equal(wide[code].to_numpy(), values[code])
    sql = "SELECT count(*), sum(a), max(b) FROM wide WHERE c > 0.5 AND image_id > 125000"
    chosen = (c > 0.5) & (np.arange(SHARD) > 125_000)
    ((number, total, most),) = run_sql(store.snapshot(), sql).fetch()
    assert (number, most) == (int(chosen.sum()), float(np.nanmax(b[chosen])))
    assert total == pytest.approx(float(np.nansum(a[chosen], dtype=np.float64)))


def test_frames(store: Store) -> None:
    result = run_query(store.snapshot(), "earth?", ("earth",))
    table = result.arrow()
    assert table.column_names == ["image_id", "path", "earth"] and table.num_rows == 2
    assert str(table.schema.field("earth").type) == "float"
    assert result.polars().rows() == list(result)
    assert list(result.pandas()["path"]) == ["one.jpg", "two.jpg"]
    assert sum(batch.num_rows for batch in result.batches()) == 2
    assert list(result) == list(result) == [tuple(row.values()) for row in table.to_pylist()]
    assert [len(block) for block in result.blocks(1)] == [1, 1]
    assert result.fetch(1) == [(1, "one.jpg", single(0.8))]


def test_a_damaged_or_missing_file_is_a_store_error(tmp_path: Path) -> None:
    content = Content([image(1)], {"earth": {1: score(0.9)}})
    store = build_store(tmp_path / "s", content)
    snapshot = store.snapshot()
    result = run_query(snapshot, "earth", ("earth",))
    path = snapshot.files("scores", "earth")[0].path
    path.chmod(0o644)
    path.write_bytes(b"PAR1 not any more")
    with pytest.raises(StoreError, match="colonnade verify"):
        result.fetch()
    path.unlink()
    with pytest.raises(StoreError):
        _ = run_query(snapshot, "earth", ("earth",)).count


def test_what_a_count_imports(store: Store) -> None:
    code = (
        "import sys\n"
        "from colonnade.engine.snapshots import open_snapshot\n"
        "from colonnade.engine.query import run_query\n"
        "text = \"earth and width > 1 and path like '%'\"\n"
        "print(run_query(open_snapshot(sys.argv[1]), text, ('earth',)).count)\n"
        "print([m for m in ('numpy', 'pyarrow', 'pandas', 'polars', 'yaml', 'torch') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store.path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["1", "[]"]


def test_a_result_names_its_columns(store: Store) -> None:
    assert repr(run_query(store.snapshot(), "earth", ("earth",))) == "QueryResult(image_id, path, earth)"
