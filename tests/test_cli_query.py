"""The commands query, sql and export as processes: stdout is data, stderr is narration, exit codes are API."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from query_stores import Content, build_store, image

from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.formats import Listing, shortest, write_paths, write_text
from colonnade.engine.output_file import output_file
from colonnade.engine.queries_file import read_queries, save_query
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store

COLONNADE = (sys.executable, "-m", "colonnade.tui.cli")
VOCABULARY = """
base_attributes:
  - {code: moon, label: Moon, description: the Moon}
  - {code: earth, label: Earth, description: the Earth}
  - {code: diagram, label: Diagram, description: a diagram}
"""
MODIFIED = datetime(2024, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)
CONTENT = Content(
    [
        image(1, path="a/one.jpg", mtime=MODIFIED, taken=datetime(2021, 5, 3, 10)),
        image(2, path='two "quoted", \x1b[31mred.jpg'),
        image(3, path="f\ufffdur.jpg", path_bytes=b"f\xffur.jpg"),
        image(4, path="line\nbreak.jpg"),
        image(5, root=None, path="https://example.org/5", source="import"),
        image(6, path="gone.jpg", state="missing"),
    ],
    {
        "earth": {
            n: (25.0 + n, n / 10, "accepted" if n > 3 else "tentative" if n == 3 else "rejected")
            for n in range(1, 7)
        },
        "moon": {1: (27.0, 0.8, "accepted"), 2: (None, None, None)},
    },
    {"chosen": [1, 2]},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    home = tmp_path_factory.mktemp("cli")
    (home / "photos").mkdir()
    return build_store(home / "store", CONTENT, vocabulary=VOCABULARY, root=home / "photos")


def colonnade(
    store: Store | None, *arguments: str | Path, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    command: list[str | Path] = [
        *COLONNADE,
        *([] if store is None else ["-s", str(store.path)]),
        *arguments,
    ]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)


def output(store: Store, *arguments: str | Path, stdin: bytes | None = None) -> str:
    done = colonnade(store, *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def fails(store: Store, code: int, *arguments: str | Path) -> str:
    done = colonnade(store, *arguments)
    assert (done.returncode, done.stdout) == (code, b""), done.stderr
    assert b"Traceback" not in done.stderr
    return done.stderr.decode()


# --- query --------------------------------------------------------------------------------------------


def test_count(store: Store) -> None:
    done = colonnade(store, "query", "earth?", "--count")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"3\n", b"")
    assert output(store, "query", "earth? or diagram", "--count", "--limit", "2") == "2\n"


def test_what_is_null_where_all_others_are_equal(store: Store) -> None:
    assert output(store, "query", "path_bytes is null", "--count") == "4\n"
    assert output(store, "query", "path_bytes is not null", "--count") == "1\n"


def test_table(store: Store) -> None:
    done = colonnade(
        store, "query", "moon or moon is null", "--columns", "image_id,moon,taken", "--sort", "moon"
    )
    assert done.stdout.decode().split("\n")[:3] == [
        "image_id    moon  taken",
        "       1  0.8000  2021-05-03T10:00:00",
        "       2",
    ]


def test_a_table_is_sanitised(store: Store) -> None:
    assert "\x1b" not in output(store, "query", "image_id = 2")


def test_json_and_jsonl(store: Store) -> None:
    arguments = ("query", "moon", "--columns", "path,moon,moon.logit,mtime,width,error")
    row = {
        "path": "a/one.jpg",
        "moon": 0.8,
        "moon.logit": 27.0,
        "mtime": "2024-01-02T03:04:05.600000",
        "width": 640,
        "error": None,
    }
    assert json.loads(output(store, *arguments, "--format", "json")) == [row]
    assert [json.loads(line) for line in output(store, *arguments, "-f", "jsonl").splitlines()] == [row]
    assert json.loads(output(store, "query", "false", "--format", "json")) == []
    assert output(store, "query", "false", "--format", "jsonl") == ""
    assert len(json.loads(output(store, "query", "true", "--format", "json"))) == 5


def test_csv(store: Store) -> None:
    text = output(store, "query", "image_id <= 2", "--columns", "image_id,path,moon,taken", "--format", "csv")
    assert list(csv.reader(io.StringIO(text))) == [
        ["image_id", "path", "moon", "taken"],
        ["1", "a/one.jpg", "0.8", "2021-05-03T10:00:00"],
        ["2", 'two "quoted", \x1b[31mred.jpg', "", ""],
    ]


def test_paths(store: Store, tmp_path: Path) -> None:
    photos = os.fsencode(store.settings.roots[0].path)
    done = colonnade(store, "query", "image_id in (1, 3, 5)", "--format", "paths")
    assert done.stdout == photos + b"/a/one.jpg\n" + photos + b"/f\xffur.jpg\nhttps://example.org/5\n"
    done = colonnade(store, "query", "image_id in (3, 4)", "--format", "paths", "--null")
    assert done.stdout == photos + b"/f\xffur.jpg\0" + photos + b"/line\nbreak.jpg\0"
    assert done.stderr == b""
    done = colonnade(store, "query", "image_id = 4", "--format", "paths", "-o", tmp_path / "list.txt")
    assert (
        b"line break" in done.stderr
        and (tmp_path / "list.txt").read_bytes() == photos + b"/line\nbreak.jpg\n"
    )


def test_output_files(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    target.write_bytes(b"old")
    assert output(store, "query", "earth", "--output", target) == ""
    rows = duckdb.execute(f"SELECT image_id, earth FROM '{target}'").fetchall()
    assert rows == [(4, pytest.approx(0.4)), (5, pytest.approx(0.5))]
    output(store, "query", "earth", "--output", tmp_path / "o.jsonl")
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 2
    assert sorted(os.listdir(tmp_path)) == ["o.jsonl", "out.parquet"]
    assert "no folder" in fails(store, 3, "query", "earth", "-o", tmp_path / "no" / "o.csv")
    fails(store, 2, "sql", "SELECT 1", "--time-limit", "nan")
    assert "a folder" in fails(store, 3, "query", "earth", "-f", "csv", "-o", tmp_path)
    assert colonnade(store, "query", "earth", "-f", "parquet").stdout.startswith(b"PAR1")


@pytest.mark.slow
def test_wrong_arguments_exit_2(store: Store, tmp_path: Path) -> None:
    fails(store, 2, "query")
    fails(store, 2, "query", "earth", "--saved")
    fails(store, 2, "query", "earth", "--format", "xml")
    fails(store, 2, "query", "earth", "--null")
    fails(store, 2, "query", "earth", "--limit", "-1")
    fails(store, 2, "query", "earth", "--count", "--format", "csv")
    fails(store, 2, "query", "earth", "--columns", "path", "--format", "paths")
    fails(store, 2, "query", "earth", "-o", tmp_path / "what")
    fails(store, 2, "query", "earth", "-o", tmp_path / "x.csv", "-f", "table")
    fails(store, 2, "sql", "SELECT 1", "--format", "paths")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_wrong_input_exits_3(store: Store) -> None:
    message = fails(store, 3, "query", "eart > 0.5 and moon")
    assert message.split("\n") == [
        'colonnade: unknown attribute "eart"; did you mean "earth"?',
        "  eart > 0.5 and moon",
        "  ^",
        "",
    ]
    assert 'did you mean "diagram"' in fails(store, 3, "query", "diagrm")
    assert fails(store, 3, "query", "earth and in_selection(map)", "--save", "mine").split("\n")[0] == (
        "colonnade: a selection is known to the running app alone; save the selection as a set first, and write "
        "in_set(NAME)"
    )
    assert not (store.path / "queries.yaml").exists()
    assert 'did you mean "path"' in fails(store, 3, "query", "earth", "--columns", "pth")
    assert "did you mean" in fails(store, 3, "query", "earth", "--sort", "erth")
    assert "no snapshot 99" in fails(store, 3, "query", "earth", "--at", "99")
    assert "not valid UTF-8" in fails(store, 3, "query", os.fsdecode(b"path = '\xff'"))
    assert "no store" in colonnade(None, "query", "earth", "-s", "/nonexistent").stderr.decode()
    assert colonnade(None, "query", "earth", "-s", "/nonexistent").returncode == 4


def test_an_attribute_without_scores_warns(store: Store) -> None:
    done = colonnade(store, "query", "diagram or moon", "--columns", "image_id", "--format", "csv")
    assert done.stdout == b"image_id\n1\n"
    assert done.stderr == b"warning: diagram has no scores yet: run colonnade tag diagram\n"
    assert colonnade(store, "--quiet", "query", "not diagram", "--count").stderr == b""


def test_a_limit_has_bounds(store: Store) -> None:
    for limit in ("-1", "1000000001", "9223372036854775808", "9" * 20):
        assert "--limit" in fails(store, 2, "query", "earth", "--limit", limit)
    assert output(store, "query", "earth", "--count", "--limit", "1000000000") == "2\n"
    assert output(store, "sql", "SELECT 1 AS a", "--time-limit", "1e300", "-f", "csv") == "a\n1\n"


def test_nothing_is_no_name(store: Store, tmp_path: Path) -> None:
    for words in (
        ["query", "earth", "--columns", ""],
        ["query", "earth", "--sort", " "],
        ["status", "-s", ""],
    ):
        fails(store, 2, *words)
    for words in (["-s", "", "status"], ["init", ""]):
        done = subprocess.run([*COLONNADE, *words], capture_output=True, check=False, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, b""), done.stderr
    assert not list(tmp_path.iterdir())


def test_a_plan_is_drawn_on_lines_of_its_own(store: Store) -> None:
    drawn = output(store, "sql", 'EXPLAIN SELECT 1 AS "a\x1b"')
    assert drawn.splitlines()[0] == "physical_plan"
    assert len(drawn.splitlines()) > 3
    assert "\ufffd\u2502" not in drawn
    assert "\x1b" not in drawn
    assert (
        json.loads(output(store, "sql", "EXPLAIN SELECT 1", "-f", "json"))[0]["explain_key"]
        == "physical_plan"
    )


@pytest.mark.parametrize("name", ["one.jpg", "scan.TIFF", "link.csv"])
def test_no_picture_is_written_over(store: Store, tmp_path: Path, name: str) -> None:
    picture = tmp_path / name
    if name == "link.csv":
        (tmp_path / "linked.png").write_bytes(b"picture")
        picture.symlink_to("linked.png")
    else:
        picture.write_bytes(b"picture")
    for words in (["query", "earth", "-f", "csv", "-o"], ["query", "earth", "-f", "paths", "-o"]):
        assert "an image, which would be lost" in fails(store, 3, *words, picture)
    assert "an image" in fails(store, 3, "export", "-f", "csv", picture)
    assert picture.read_bytes() == b"picture"


def test_one_is_one(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    store = build_store(tmp_path / "s", CONTENT, vocabulary=VOCABULARY, root=tmp_path / "photos")
    done = colonnade(store, "query", "image_id = 4", "-f", "paths")
    assert done.stderr == b"warning: 1 name has a line break inside; use --null\n"


def test_time_travel(tmp_path: Path) -> None:
    store = build_store(tmp_path / "store", CONTENT, vocabulary=VOCABULARY)
    before = store.snapshot()
    with open_stage(store.path, command="test") as stage:
        stage.drop("scores", "earth", read=before.files("scores", "earth"))
        stage.commit()
    assert output(store, "query", "earth", "--count") == "0\n"
    assert output(store, "query", "earth", "--count", "--at", str(before.number)) == "2\n"
    done = colonnade(store, "query", "diagram", "--count", "--at", str(before.number))
    assert done.stderr.decode() == f"warning: diagram has no scores at snapshot {before.number}\n"
    absent = fails(store, 3, "explain", "id:1", "comet", "--at", str(before.number))
    assert f"no such attribute at snapshot {before.number}" in absent
    assert (
        output(store, "sql", "SELECT count(*) n FROM scores", "--at", str(before.number), "-f", "csv")
        == "n\n8\n"
    )


@pytest.mark.slow
def test_saved_queries(tmp_path: Path) -> None:
    store = build_store(tmp_path / "store", CONTENT, vocabulary=VOCABULARY)
    assert json.loads(output(store, "query", "--saved", "--format", "json")) == []
    done = colonnade(store, "query", "earth >= 0.3 and path like '%'", "--save", "near", "--count")
    assert (done.returncode, done.stdout) == (0, b"3\n")
    assert output(store, "query", "@near and not moon", "--count") == "0\n"
    assert output(store, "query", "@near", "--save", "again", "--count") == "3\n"
    rows = json.loads(output(store, "query", "--saved", "--format", "json"))
    assert rows == [
        {"name": "near", "expression": "earth >= 0.3 and path like '%'"},
        {"name": "again", "expression": "@near"},
    ]
    assert "uses itself" in fails(store, 3, "query", "@again", "--save", "near")
    assert "unknown saved query" in fails(store, 3, "query", "@nera")
    assert 'did you mean "image_id"?' in fails(store, 3, "query", "id = 3")
    assert "; there is: chosen" in fails(store, 3, "query", "in_set(nothing)")
    assert "a query's name" in fails(store, 3, "query", "earth", "--save", "Bad name")
    fails(store, 3, "query", "eart", "--save", "wrong")
    assert list(read_queries(store.path)) == ["near", "again"]


def test_a_closed_pipe_is_no_error(store: Store) -> None:
    command = shlex.join([*COLONNADE, "-s", str(store.path), "sql", "FROM range(1000000)", "-f", "csv"])
    script = f"{command} | head -n 2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("range\n0\n0\n", "")


def test_a_terminal_gets_nothing_dangerous(store: Store) -> None:
    for extra in (["-f", "csv"], ["-f", "jsonl"], ["-f", "paths"], []):
        ours, theirs = pty.openpty()
        command = [
            *COLONNADE,
            "-s",
            str(store.path),
            "query",
            "image_id = 2",
            *extra,
        ]
        done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, check=False, timeout=60)
        os.close(theirs)
        seen = os.read(ours, 65536)
        os.close(ours)
        assert done.returncode == 0 and b"red.jpg" in seen and b"\x1b" not in seen, extra
    ours, theirs = pty.openpty()
    command = [*COLONNADE, "-s", str(store.path), "sql", "EXPLAIN SELECT 1"]
    subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, check=True, timeout=60)
    os.close(theirs)
    seen = os.read(ours, 65536)
    os.close(ours)
    assert seen.count(b"\n") > 3 and "\ufffd".encode() not in seen
    ours, theirs = pty.openpty()
    command = [*COLONNADE, "-s", str(store.path), "query", "true", "-f", "parquet"]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2 and b"binary" in done.stderr


# --- sql and export -----------------------------------------------------------------------------------


def test_sql(store: Store, tmp_path: Path) -> None:
    assert output(store, "sql", "SELECT count(*) AS n FROM images", "--format", "csv") == "n\n6\n"
    assert output(
        store, "sql", "-", "-f", "jsonl", stdin=b"SELECT moon, earth FROM wide WHERE image_id = 1;\n"
    ) == ('{"moon": 0.8, "earth": 0.1}\n')
    described = json.loads(output(store, "sql", "DESCRIBE wide", "-f", "json"))
    assert [row["column_name"] for row in described][-3:] == ["moon", "earth", "diagram"]
    kinds = output(
        store,
        "sql",
        "SELECT [1, 2] AS a, {'x': DATE '2024-01-02'} AS b, 1.5::DECIMAL(3, 1) AS c",
        "-f",
        "jsonl",
    )
    assert json.loads(kinds) == {"a": [1, 2], "b": {"x": "2024-01-02"}, "c": 1.5}
    output(store, "sql", "SELECT 1 AS x", "-o", tmp_path / "x.parquet")
    assert duckdb.execute(f"FROM '{tmp_path}/x.parquet'").fetchall() == [(1,)]


def test_sql_values_that_formats_lack(store: Store, tmp_path: Path) -> None:
    odd = "SELECT 'nan'::double a, '-inf'::float b, null c, 12345678901234567890.12::decimal(38, 2) d"
    assert output(store, "sql", odd, "--format", "csv").splitlines()[1] == "nan,-inf,,12345678901234567890.12"
    assert json.loads(output(store, "sql", odd, "--format", "json"))[0]["a"] is None
    target = tmp_path / "span.parquet"
    said = fails(store, 3, "sql", "SELECT INTERVAL 1 DAY AS span", "--output", target)
    assert "parquet has no such type" in said and not target.exists()


@pytest.mark.parametrize("name", ["vocabulary.yaml", "colonnade.toml", "live/images/x.csv", "_snap/x.csv"])
def test_no_output_takes_the_place_of_a_store_s_own_file(store: Store, name: str) -> None:
    before = store.vocabulary_path.read_bytes()
    said = fails(store, 3, "sql", "SELECT 1", "--format", "csv", "--output", store.path / name)
    assert "one of the files of the store" in said
    assert store.vocabulary_path.read_bytes() == before
    assert not (store.path / name).exists() or not name.endswith("csv")


def test_nearest_images_are_written_as_the_file_s_name_says(store: Store, tmp_path: Path) -> None:
    assert "name the format" in fails(store, 2, "similar", "a/one.jpg", "--output", tmp_path / "a.txt")


def test_sql_refusals(store: Store) -> None:
    assert "only reads" in fails(store, 3, "sql", "CREATE TABLE x (a INT)")
    assert "disabled" in fails(store, 3, "sql", "SELECT * FROM read_text('/etc/passwd')")
    assert len(fails(store, 3, "sql", "SELECT nothing FROM images").splitlines()) == 1
    assert "longer than" in fails(
        store,
        3,
        "sql",
        "SELECT sum(a.range * b.range) FROM range(9999999) a, range(9999999) b",
        "--time-limit",
        "0.2",
    )
    done = colonnade(store, "sql", "-", stdin=b"SELECT '\xff'")
    assert done.returncode == 3 and b"UTF-8" in done.stderr


def test_export(store: Store, tmp_path: Path) -> None:
    done = colonnade(store, "export", tmp_path / "all.parquet")
    assert (
        done.returncode == 0 and b"5 rows written" in done.stderr and b"diagram has no scores" in done.stderr
    )
    rows = duckdb.execute(
        f"SELECT image_id, round(moon::DOUBLE, 2), diagram FROM '{tmp_path}/all.parquet'"
    ).fetchall()
    assert rows == [(1, 0.8, None), (2, None, None), (3, None, None), (4, None, None), (5, None, None)]
    output(store, "export", tmp_path / "some.csv", "--query", "moon", "--columns", "path,moon")
    assert (tmp_path / "some.csv").read_text() == "path,moon\na/one.jpg,0.8\n"
    output(store, "export", tmp_path / "plain", "--format", "jsonl", "--query", "moon")
    assert json.loads((tmp_path / "plain").read_text()) == {"image_id": 1, "path": "a/one.jpg", "moon": 0.8}
    fails(store, 3, "export", tmp_path / "none" / "x.csv")


@pytest.mark.parametrize("command", ["query", "sql", "export"])
def test_help_has_an_example(command: str) -> None:
    done = colonnade(None, command, "--help")
    assert done.returncode == 0 and b"Example: colonnade " in done.stdout


# --- the engine's part --------------------------------------------------------------------------------


def test_shortest() -> None:
    import numpy as np

    for value in (0.8, 0.1, 1 / 3, 27.123456, 1e-30, 3.4e38, 0.0, -0.5, 16777216.0):
        single = float(np.float32(value))
        assert np.float32(shortest(single)) == np.float32(value)
        assert repr(shortest(single)) == repr(float(str(np.float32(value))))
    assert shortest(float("inf")) == float("inf")


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), output_file(target) as sink:
        sink.write(b"new")
        raise KeyboardInterrupt
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["out.csv"]
    (tmp_path / "link").symlink_to(target)
    with output_file(tmp_path / "link") as sink:
        sink.write(b"new")
    assert target.read_text() == "new" and (tmp_path / "link").is_symlink()


def test_images_of_an_unknown_root_are_left_out_and_counted() -> None:
    rows = Listing(
        ("root", "path", "path_bytes"),
        [("elsewhere", "x.jpg", None), ("here", "y.jpg", None), (None, "z", None)],
    )
    sink = io.BytesIO()
    assert write_paths(rows, {"here": Path("/here")}, sink) == (2, 0, 1)
    assert sink.getvalue() == b"/here/y.jpg\nz\n"


def test_columns_of_one_name_are_numbered_in_json(store: Store) -> None:
    text = output(store, "sql", "SELECT 1 AS x, 2 AS x, 3 AS x_1, 4 AS x", "--format", "jsonl")
    assert json.loads(text) == {"x": 1, "x_2": 2, "x_1": 3, "x_3": 4}
    text = output(store, "sql", "SELECT 1 AS x, 2 AS x", "--format", "json")
    assert json.loads(text) == [{"x": 1, "x_1": 2}]


def test_values_that_json_does_not_have() -> None:
    sink = io.BytesIO()
    write_text(Listing(("a", "b"), [(float("nan"), b"\xff\x00")], ("DOUBLE", "BLOB")), "jsonl", sink)
    assert sink.getvalue() == b'{"a": null, "b": "ff00"}\n'


def test_queries_file_keeps_comments(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", Content([]))
    path = store.path / "queries.yaml"
    path.write_text("# mine\nfirst: earth  # good\nsecond: 'moon'")
    save_query(store.path, "third", "\"like\" and path like '%\\x'")
    save_query(store.path, "first", "not earth")
    assert path.read_text() == (
        '# mine\nfirst: "not earth"  # good\nsecond: \'moon\'\nthird: "\\"like\\" and path like \'%\\\\x\'"\n'
    )
    assert read_queries(store.path)["third"] == "\"like\" and path like '%\\x'"


@pytest.mark.parametrize(
    "content",
    [
        "- a",
        "first: [a]",
        "first: {a: b}",
        "Bad: a",
        "a: 1\na: 2",
        "a: *b",
        "a: 'x",
        "\x00",
        "a: !!python/name:os.x y",
        "? [a]\n: b",
    ],
)
def test_a_wrong_queries_file_is_an_input_error(tmp_path: Path, content: str) -> None:
    store = build_store(tmp_path / "s", Content([]))
    (store.path / "queries.yaml").write_text(content)
    with pytest.raises(InputError, match=r"queries\.yaml"):
        read_queries(store.path)
    with pytest.raises(InputError):
        save_query(store.path, "name", "true")
    assert (store.path / "queries.yaml").read_text() == content


def test_a_queries_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", Content([]))
    (tmp_path / "outside").write_text("a: b")
    (store.path / "queries.yaml").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError):
        save_query(store.path, "name", "true")
    assert (tmp_path / "outside").read_text() == "a: b"
