"""SQL as it is typed: tokens, completion, the place of an error, what is remembered."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.tui.sql_history import MAX_STATEMENTS, History, history_path, read_history, write_history
from colonnade.tui.sql_text import Names, complete, place_of_error, tokens

NAMES = Names(
    {
        "images": ("image_id", "path", "width"),
        "scores": ("image_id", "attribute_code", "confidence", "status"),
        "wide": ("image_id", "path", "moon", "order"),
    },
    codes=("moon", "order"),
    values=(("status", ("accepted", "tentative", "rejected")),),
)


def kinds(text: str) -> list[tuple[str, str]]:
    return [(token.kind, text[token.start : token.end]) for token in tokens(text)]


def test_tokens() -> None:
    text = "SELECT count(*), \"a\"\"b\" FROM x -- no 'string'\nWHERE y >= 1.5e3 AND z = 'it''s'"
    assert kinds(text) == [
        ("keyword", "SELECT"), ("function", "count"), ("operator", "("), ("operator", "*"), ("operator", ")"),
        ("operator", ","), ("quoted", '"a""b"'), ("keyword", "FROM"), ("name", "x"), ("comment", "-- no 'string'"),
        ("keyword", "WHERE"), ("name", "y"), ("operator", ">"), ("operator", "="), ("number", "1.5e3"),
        ("keyword", "AND"), ("name", "z"), ("operator", "="), ("string", "'it''s'"),
    ]  # fmt: skip
    assert kinds("x /* open\nSELECT") == [("name", "x"), ("comment", "/* open\nSELECT")]
    assert kinds("'open\nSELECT") == [("string", "'open\nSELECT")]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="abS '\"-/*\n0.;€\x1b\u202e$(", max_size=40), st.integers(0, 40))
def test_nothing_that_is_typed_fails(text: str, cursor: int) -> None:
    end = 0
    for token in tokens(text):
        assert end <= token.start < token.end <= len(text)
        assert not text[end : token.start].strip()
        end = token.end
    found = complete(text, min(cursor, len(text)), NAMES)
    assert 0 <= found.start <= len(text)


@pytest.mark.parametrize(
    ("text", "first", "absent"),
    [
        ("", "SELECT", "moon"),
        ("SELECT * FROM ", "images", "SELECT"),
        ("SELECT * FROM wi", "wide", "width"),
        ("select pa| FROM images", "path", "images"),
        ("select co| FROM scores", "confidence", "path"),
        ("SELECT ord| FROM wide", '"order"', "path"),
        ("SELECT s.| FROM scores AS s", "image_id", "path"),
        ("SELECT w.mo| FROM images i JOIN wide w USING (image_id)", "moon", "path"),
        ("SELECT i.mo| FROM images i JOIN wide w USING (image_id)", None, "moon"),
        ("SELECT * FROM scores WHERE attribute_code = 'm", "moon", "path"),
        ("SELECT * FROM scores WHERE attribute_code IN ('moon', 'o", "order", "path"),
        ("SELECT * FROM scores WHERE status = 'te", "tentative", "path"),
        ("SELECT * FROM images WHERE path = 'm", None, "moon"),
        ("SELECT * FROM images wh", "where", "moon"),
        ("SELECT * FROM images WH", "WHERE", "moon"),
        ("SELECT medi", "median(", "moon"),
        ("SELECT 1", None, "path"),
        ("-- SEL", None, "SELECT"),
    ],
)
def test_completion(text: str, first: str | None, absent: str) -> None:
    cursor = text.index("|") if "|" in text else len(text)
    found = complete(text.replace("|", ""), cursor, NAMES)
    assert (found.choices[0] if found.choices else None) == first
    assert absent not in found.choices


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("SELEC 1", (0, 0, 5)),
        ("SELECT 1,\n  nope", (1, 2, 6)),
        ("SELECT * FROM nope", (0, 14, 18)),
        ("SELECT '" + "x" * 200 + "' AS a, nope, '" + "y" * 200 + "'", (0, 216, 220)),
    ],
)
def test_the_place_of_an_error(text: str, place: tuple[int, int, int]) -> None:
    with pytest.raises(duckdb.Error) as caught, duckdb.connect() as connection:
        connection.execute(text)
    assert place_of_error(str(caught.value), text) == place


def test_the_place_of_an_unknown_name() -> None:
    message = 'Catalog Error: Table with name imagez does not exist!\nDid you mean "images"?'
    assert place_of_error(message, "SELECT 'imagez'\nFROM Imagez") == (1, 5, 11)
    assert place_of_error(message, "SELECT 1") is None


def test_messages_without_a_place() -> None:
    for message in ("", "LINE 9: x\n        ^", "LINE 1: x", "Invalid Input Error: x"):
        assert place_of_error(message, "x") is None


def test_history(tmp_path: Path) -> None:
    history = History()
    for n in range(MAX_STATEMENTS + 20):
        history = history.with_statement(f"SELECT {n}")
    history = history.with_statement("SELECT 50 ").with_statement("  ").with_statement("x" * 30_000)
    assert len(history.statements) == MAX_STATEMENTS
    assert history.statements[-1] == "SELECT 50"
    path = history_path(tmp_path / "store", {"XDG_STATE_HOME": str(tmp_path / "state")})
    write_history(path, History(history.statements, "draft \ud800"))
    assert read_history(path) == History(history.statements, "draft \ud800")
    assert path.stat().st_mode & 0o777 == 0o600
    assert history_path(tmp_path / "other", {"XDG_STATE_HOME": "/x"}).name != path.name
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "source", [b"", b"[]", b"{", b'{"statements": 5, "draft": ""}', b"[" * 100_000, b"\xff"]
)
def test_a_damaged_history_is_none(tmp_path: Path, source: bytes) -> None:
    (tmp_path / "x.json").write_bytes(source)
    assert read_history(tmp_path / "x.json") == History()
    assert read_history(tmp_path / "absent") == History()


def test_a_state_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_history(tmp_path / "file" / "x.json", History())
