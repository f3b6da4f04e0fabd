"""The SQL console: what the views show, and that nothing else can be reached or changed."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from query_stores import Content, build_store, image

from colonnade.engine.console import run_sql
from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.formats import write_text
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, embeddings_schema, prompts_schema
from colonnade.engine.views import VIEW_COLUMNS, VIEWS, views_sql

CONTENT = Content(
    [
        image(1, path="one.jpg", taken=datetime(2021, 5, 3, 10), mtime=datetime(2024, 1, 2, tzinfo=UTC)),
        image(2, path="two.jpg"),
        image(3, path="gone.jpg", state="missing"),
    ],
    {
        "earth": {1: (28.0, 0.9, "accepted"), 2: (20.0, 0.1, "rejected"), 3: (28.0, 0.9, "accepted")},
        "order": {1: (25.0, 0.6, "tentative")},
        "earth_only": {1: (None, 0.4, "rejected"), 2: (None, None, None)},
    },
    {"chosen": [2], "weird name'": [1]},
    frozenset({"earth_only"}),
)
MODELS = {"demo-1a2b": [0.0, 1.0], "ViT-B-32/openai 100%": [0.0, 0.6, 0.8]}


def fill_more(store: Store) -> None:
    """The tables that queries do not read."""
    moment = datetime(2024, 1, 2, 3, tzinfo=UTC)
    label = (1, "f" * 64, True, "ann", moment, "audit", 0.5)
    fit = ("demo-1a2b", "fixed", 25.5, 1.5, moment, "{}")
    with open_stage(store.path, command="test") as stage:
        for model, vector in MODELS.items():
            rows = {"image_id": [1, 2], "embedding": [vector, vector]}
            schema = embeddings_schema(len(vector))
            stage.append("embeddings", model, 0, pa.table(rows, schema=schema), read=())
            prompts = {"prompt": ["a photo"], "kind": ["attribute"], "embedding": [vector]}
            stage.append("prompts", model, 0, pa.table(prompts, schema=prompts_schema(len(vector))), read=())
        for table, partition, row in [
            ("labels", "earth", label),
            ("calibrations", "earth", fit),
            ("definitions", None, ("0" * 16, "{}")),
            ("projections", "demo-1a2b", (1, 0.5, 0.25, "{}")),
        ]:
            schema = SCHEMAS[table]
            columns = {name: [value] for name, value in zip(schema.names, row, strict=True)}
            stage.append(table, partition, 0, pa.table(columns, schema=schema), read=())
        stage.commit()


def make(path: Path) -> Store:
    store = build_store(path, CONTENT)
    fill_more(store)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make(tmp_path_factory.mktemp("console [x]* it's") / "store")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_store(tmp_path_factory.mktemp("console") / "empty", Content([]))


EXPECTED = {
    "SELECT image_id, state, mtime, taken FROM images ORDER BY 1 LIMIT 1": [
        (1, "ok", datetime(2024, 1, 2), datetime(2021, 5, 3, 10))
    ],
    "SELECT attribute_code, count(*) FROM scores GROUP BY 1 ORDER BY 1": [
        ("earth", 3),
        ("earth_only", 2),
        ("order", 1),
    ],
    "SELECT image_id, status FROM derived ORDER BY 1": [(1, "rejected"), (2, None)],
    'SELECT path, earth > 0.5, "order" IS NULL FROM wide ORDER BY image_id': [
        ("one.jpg", True, False),
        ("two.jpg", False, True),
    ],
    "SELECT model, len(embedding), embedding[-1] FROM embeddings WHERE image_id = 1 ORDER BY 2": [
        ("demo-1a2b", 2, 1.0),
        ("ViT-B-32/openai 100%", 3, pytest.approx(0.8)),
    ],
    "SELECT model, prompt, kind FROM prompts ORDER BY 1 LIMIT 1": [
        ("ViT-B-32/openai 100%", "a photo", "attribute")
    ],
    "SELECT attribute_code, present, reviewed_at, probability FROM labels": [
        ("earth", True, datetime(2024, 1, 2, 3), 0.5)
    ],
    "SELECT attribute_code, model, center, fitted_at FROM calibrations": [
        ("earth", "demo-1a2b", 25.5, datetime(2024, 1, 2, 3))
    ],
    "SELECT * FROM sets ORDER BY 1": [("chosen", 2), ("weird name'", 1)],
    "SELECT json FROM definitions": [("{}",)],
    "SELECT model, latitude FROM projections": [("demo-1a2b", 0.5)],
}


@pytest.mark.parametrize("sql", EXPECTED)
def test_views(store: Store, sql: str) -> None:
    assert run_sql(store.snapshot(), sql).fetch() == EXPECTED[sql]


@pytest.mark.parametrize("view", VIEWS)
def test_an_empty_store_has_the_same_columns(store: Store, empty: Store, view: str) -> None:
    codes = ["earth", "order"]
    described = [run_sql(s.snapshot(), f"DESCRIBE {view}", codes).fetch() for s in (store, empty)]
    assert described[0] == described[1]
    assert run_sql(empty.snapshot(), f"FROM {view}", codes).fetch() == []


def test_view_columns_are_those_of_the_tables() -> None:
    for table, schema in SCHEMAS.items():
        assert set(schema.names) == set(VIEW_COLUMNS[table]) - {"attribute_code", "set_name"} - (
            {"model"} if table == "projections" else set()
        )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "select 1 ; -- and a comment; with a semicolon",
        "/* first */ WITH t AS (SELECT 1 AS x) SELECT * FROM t",
        "FROM images",
        "VALUES (1), (2)",
        "TABLE sets",
        "DESCRIBE wide",
        "SHOW TABLES",
        "SUMMARIZE scores",
        "EXPLAIN SELECT * FROM wide",
        "EXPLAIN ANALYZE SELECT count(*) FROM scores",
        "EXPLAIN (FORMAT json) SELECT 1",
        "SELECT * FROM query_table('images')",
        "SELECT * FROM query('SELECT count(*) FROM ' || 'sco' || 'res')",
        "SELECT table_name FROM information_schema.tables",
        "SELECT 'Earth; \u00e9', now()",
    ],
)
def test_reading_statements(store: Store, sql: str) -> None:
    result = run_sql(store.snapshot(), sql)
    rows = result.fetch()
    assert rows and result.count == len(rows)
    assert all(len(row) == len(result.columns) for row in rows)


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"])
def test_infinite_dates_are_words(store: Store, kind: str) -> None:
    """The last day there is, which Python has for them, is a date of its own."""
    dates = "('infinity'), ('-infinity'), ('9999-12-31'), (NULL), ('2024-01-02')"
    if kind == "TIMESTAMP_NS":
        dates = dates.replace("9999", "2200")
    sql = f"SELECT day::{kind} AS day, day FROM (VALUES {dates}) AS t(day) -- end"
    result = run_sql(store.snapshot(), sql)
    assert (result.columns, result.types) == (("day", "day"), (kind, "VARCHAR"))
    rows = result.fetch()
    assert [str(day)[:10] for day, _ in rows] == [str(text) for _, text in rows]
    assert all(isinstance(day, date) for day, _ in rows[2::2])
    assert rows[3][0] is None
    assert str(result.arrow().schema.field(0).type).startswith(("date", "timestamp"))
    buffer = io.BytesIO()
    write_text(result, "csv", buffer)
    assert buffer.getvalue().decode().splitlines()[1:3] == ["infinity,infinity", "-infinity,-infinity"]


def test_dates_keep_the_order_of_their_rows(store: Store) -> None:
    sql = "SELECT DATE '2000-01-01' + (n * 7919 % 20011)::INTEGER AS day FROM range(20011) AS r(n) ORDER BY day DESC"
    days = [day for (day,) in run_sql(store.snapshot(), sql)]
    assert days == sorted(days, reverse=True)
    assert len(set(days)) == 20_011


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("list({})", [["2024-01-02 03:04:05+00"]]),
        ("[[{}]]", [[["2024-01-02 03:04:05+00"]]]),
        ("array_value({}, {})", [["2024-01-02 03:04:05+00"] * 2]),
        (
            "{{'TIMESTAMP WITH TIME ZONE': 1, 'a {{0}} \"b': {}}}",
            [{"TIMESTAMP WITH TIME ZONE": 1, 'a {0} "b': "2024-01-02 03:04:05+00"}],
        ),
        ("map([{}], ['TIMESTAMP WITH TIME ZONE'])", [{"2024-01-02 03:04:05+00": "TIMESTAMP WITH TIME ZONE"}]),
        ("union_value(a := {})", ["2024-01-02 03:04:05+00"]),
    ],
)
def test_instants_inside_others_come_as_text(store: Store, expression: str, rows: list[object]) -> None:
    moment = "TIMESTAMPTZ '2024-01-02 03:04:05+00'"
    sql = f"SELECT {expression.format(moment, moment)} AS a, 'x' AS b"
    result = run_sql(store.snapshot(), sql)
    assert [list(row[0]) if isinstance(row[0], tuple) else row[0] for row in result] == rows
    assert result.arrow().num_rows == 1
    for name in ("csv", "json", "jsonl"):
        sink = io.BytesIO()
        assert write_text(result, name, sink) == 1
        assert b"2024-01-02 03:04:05+00" in sink.getvalue()


def test_what_python_cannot_hold_is_one_line_without_a_traceback(store: Store) -> None:
    result = run_sql(store.snapshot(), "SELECT TIMESTAMPTZ '2024-01-02 03:04:05+00'::VARIANT AS a")
    for name in ("csv", "json", "jsonl"):
        sink = io.BytesIO()
        try:
            write_text(result, name, sink)
        except InputError as error:
            assert "Traceback" not in str(error)
            assert "File" not in str(error)
            assert name == "csv" or not sink.getvalue()


def test_instants_come_as_text_and_names_may_repeat(store: Store) -> None:
    result = run_sql(store.snapshot(), "SELECT TIMESTAMPTZ '2024-01-02 03:04:05+00' AS a, 1 AS a; -- end")
    ((first, second),) = result.fetch()
    assert result.columns == ("a", "a") and second == 1
    assert isinstance(first, str) and first.startswith("2024-01-0")


OUTSIDE = "/etc/passwd"
ATTACKS = [
    f"SELECT * FROM '{OUTSIDE}'",
    f"SELECT * FROM read_text('{OUTSIDE}')",
    f"SELECT * FROM read_csv('{OUTSIDE}')",
    f"SELECT * FROM read_csv_auto('{OUTSIDE}')",
    f"SELECT * FROM read_blob('{OUTSIDE}')",
    f"SELECT * FROM read_json('{OUTSIDE}')",
    f"SELECT * FROM read_ndjson_objects('{OUTSIDE}')",
    f"SELECT * FROM sniff_csv('{OUTSIDE}')",
    f"SELECT * FROM glob('{OUTSIDE}')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM glob('**')",
    "SELECT * FROM read_text('STORE/colonnade.toml')",
    "SELECT * FROM read_text('STORE/vocabulary.yaml')",
    "SELECT * FROM read_parquet('STORE/../outside.parquet')",
    "SELECT * FROM parquet_metadata('STORE/../outside.parquet')",
    "SELECT * FROM parquet_schema('STORE/../outside.parquet')",
    "SELECT * FROM parquet_kv_metadata('STORE/../outside.parquet')",
    "SELECT * FROM read_parquet('FILE/../../../../../outside.parquet')",
    "SELECT * FROM read_text('https://example.org/')",
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    f"SELECT * FROM query_table('{OUTSIDE}')",
    "SELECT getenv('HOME')",
    "SELECT * FROM enable_logging('x')",
    "SELECT * FROM secret_variable",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "COPY (SELECT 1) TO 'STORE/evil.csv'",
    "COPY images TO 'STORE/evil.parquet'",
    "COPY (SELECT 1) TO 'FILE' (USE_TMP_FILE false)",
    "ATTACH 'STORE/evil.db'",
    "ATTACH ':memory:' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "PRAGMA version",
    "SET threads = 1",
    "RESET threads",
    "SET VARIABLE x = 1",
    "SET enable_external_access = true",
    "EXPORT DATABASE 'STORE/evil'",
    "IMPORT DATABASE 'STORE/evil'",
    "CREATE TABLE t (a INTEGER)",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW images AS SELECT 1",
    "CREATE MACRO f() AS 1",
    "CREATE SECRET s (TYPE s3)",
    "CREATE SEQUENCE s",
    "DROP VIEW images",
    "ALTER VIEW images RENAME TO other",
    "INSERT INTO images VALUES (1)",
    "UPDATE images SET path = 'x'",
    "DELETE FROM images",
    "TRUNCATE images",
    "WITH gone AS (DELETE FROM images RETURNING *) SELECT * FROM gone",
    "CALL enable_logging()",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "USE memory",
    "DETACH memory",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "DEALLOCATE x",
    "COMMENT ON VIEW images IS 'x'",
    "EXPLAIN ANALYZE CREATE TABLE t (a INTEGER)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'STORE/evil.csv'",
    "EXPLAIN /* comment */ ANALYZE CREATE TABLE t (a INTEGER)",
    "EXPLAIN (ANALYZE) ATTACH ':memory:' AS other",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW images",
    "SELECT 1 /* ; */; SET threads = 1 -- ;",
    "",
    "   ",
    ";",
    "-- nothing",
    "SELEC 1",
    "SELECT nothing FROM images",
    "SELECT * FROM nothing",
    "SELECT 1/0 AS x, error('stop')",
    "SELECT 'unclosed",
    "SELECT \x00",
    "SELECT '\udcff'",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_one_line_input_errors(store: Store, attack: str, tmp_path: Path) -> None:
    secret_variable = [1]
    outside = store.path.parent / "outside.parquet"
    duckdb.execute(
        f"COPY (SELECT 1) TO '{str(outside).replace(chr(39), chr(39) * 2)}'"
    ) if not outside.exists() else None
    snapshot = store.snapshot()
    data = snapshot.files("images")[0].path
    sql = attack.replace("STORE", str(store.path).replace("'", "''")).replace(
        "FILE", str(data).replace("'", "''")
    )
    before = tree(store.path)
    content = data.read_bytes()
    with pytest.raises(InputError) as caught:
        run_sql(snapshot, sql).fetch()
    message = str(caught.value)
    assert message.startswith("sql: ") and "\n" not in message and "root:" not in message
    assert tree(store.path) == before and data.read_bytes() == content and secret_variable == [1]


def tree(path: Path) -> list[str]:
    return sorted(str(file) for file in path.rglob("*"))


def test_errors_tell_what_is_near(store: Store) -> None:
    with pytest.raises(InputError, match='Did you mean "images"'):
        run_sql(store.snapshot(), "SELECT * FROM imags")
    with pytest.raises(InputError, match="erth"):
        run_sql(store.snapshot(), "SELECT erth FROM wide")


def test_own_files_can_be_read_by_name(store: Store) -> None:
    path = str(store.snapshot().files("images")[0].path).replace("'", "''")
    assert run_sql(store.snapshot(), f"SELECT count(*) FROM read_parquet('{path}')").fetch() == [(3,)]


@pytest.mark.parametrize("kind", ["link", "linked folder"])
def test_links_in_a_strangers_store_are_refused(tmp_path: Path, kind: str) -> None:
    store = make(tmp_path / "store")
    outside = tmp_path / "outside"
    outside.mkdir()
    file = store.snapshot().files("scores", "earth")[0].path
    shutil.copy(file, outside / file.name)
    if kind == "link":
        file.unlink()
        file.symlink_to(outside / file.name)
    else:
        shutil.rmtree(file.parent)
        file.parent.symlink_to(outside)
    with pytest.raises(StoreError, match="refused"):
        run_sql(store.snapshot(), "SELECT 1")


def test_a_store_named_by_a_link_works(store: Store, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(store.path)
    assert run_sql(Store(tmp_path / "link").snapshot(), "SELECT count(*) FROM images").fetch() == [(3,)]


def test_limits(store: Store) -> None:
    snapshot = store.snapshot()
    started = time.monotonic()
    with pytest.raises(InputError, match="longer than"):
        run_sql(
            snapshot,
            "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b",
            time_limit_s=0.2,
        ).fetch()
    assert time.monotonic() - started < 5
    with pytest.raises(InputError, match="memory"):
        run_sql(snapshot, "SELECT list(range) FROM range(100000000)", memory_bytes=64 << 20).fetch()
    with pytest.raises(InputError, match="the most"):
        run_sql(snapshot, "SELECT 1 --" + "x" * 1_000_000)
    first = next(iter(run_sql(snapshot, "FROM range(100000000000)")))
    assert first == (0,)


def test_many_attributes(tmp_path: Path) -> None:
    codes = [f"a{n:03d}" for n in range(70)]
    scores = {code: {1: (1.0, n / 100, "rejected")} for n, code in enumerate(codes)}
    store = build_store(tmp_path / "s", Content([image(1), image(2)], scores))
    rows = run_sql(
        store.snapshot(), "SELECT * EXCLUDE (mtime) FROM wide ORDER BY image_id", [*codes, "none"]
    ).fetch()
    assert [round(value, 2) for value in rows[0][-71:-1]] == [n / 100 for n in range(70)]
    assert rows[0][-1] is None and rows[1][-71:] == (None,) * 71


# --- views.sql ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "with [x]* it's ?", "attribute_code=zz", 'quo"te\nline; DROP'])
def test_views_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(tmp_path / name)
    text = views_sql(store.path, store.snapshot())
    monkeypatch.chdir("/")
    with duckdb.connect() as connection:
        connection.execute(text)
        connection.execute(text)
        for sql, rows in EXPECTED.items():
            assert connection.execute(sql).fetchall() == rows, sql
        store.path.rename(tmp_path / "moved")
        moved = str(tmp_path / "moved").replace("'", "''")
        connection.execute(f"SET VARIABLE colonnade_store = '{moved}'")
        assert connection.execute("SELECT count(*) FROM scores").fetchone() == (6,)


def test_views_file_of_an_empty_store(empty: Store) -> None:
    with duckdb.connect() as connection:
        connection.execute(views_sql(empty.path, empty.snapshot(), ["earth"]))
        for view in VIEWS:
            assert connection.execute(f"FROM {view}").fetchall() == []
        assert connection.execute("SELECT earth FROM wide").fetchall() == []


def test_views_file_shows_what_is_live(tmp_path: Path) -> None:
    store = make(tmp_path / "s")
    with duckdb.connect() as connection:
        connection.execute(views_sql(store.path, store.snapshot()))
        with open_stage(store.path, command="test") as stage:
            files = store.snapshot().files("scores", "order")
            stage.drop("scores", "order", read=files)
            stage.commit()
        assert connection.execute("SELECT DISTINCT attribute_code FROM scores ORDER BY 1").fetchall() == [
            ("earth",),
            ("earth_only",),
        ]


def test_a_path_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    plain = make(tmp_path / "cafe").path
    store = Store(plain.rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))))
    with pytest.raises(StoreError, match="not UTF-8"):
        run_sql(store.snapshot(), "FROM images")
    with pytest.raises(StoreError, match="not UTF-8"):
        views_sql(store.path, store.snapshot())


def test_what_the_console_imports(store: Store) -> None:
    code = (
        "import sys\n"
        "from colonnade.engine.snapshots import open_snapshot\n"
        "from colonnade.engine.console import run_sql\n"
        "print(run_sql(open_snapshot(sys.argv[1]), 'SELECT count(*), now() FROM wide').fetch()[0][0])\n"
        "print([m for m in ('numpy', 'pyarrow', 'pandas', 'lark', 'yaml', 'torch') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store.path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["2", "[]"]
