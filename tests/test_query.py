"""What queries find by example, and what a result offers."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from query_oracle import SHARD, score, single
from query_stores import Content, build_store, image

from colonnade.engine.console import run_sql
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.expression import ExpressionError
from colonnade.engine.query import MAX_LIMIT, run_query, wide_table
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS


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
    with pytest.raises(InputError, match="the limit is -1"):
        found(store, "true", limit=-1)
    for limit in (MAX_LIMIT + 1, 1 << 63, 10**20):
        with pytest.raises(InputError, match="the limit is"):
            found(store, "true", limit=limit)
    assert found(store, "true", limit=MAX_LIMIT) == found(store, "true")


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
