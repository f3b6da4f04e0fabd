"""The query language: what parses, what is refused and where, canonical text, completions."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.columns import IMAGE_COLUMNS
from colonnade.engine.errors import InputError
from colonnade.engine.expression import ExpressionError, bind, expand, parse, to_text
from colonnade.engine.expression_completion import complete
from colonnade.engine.expression_tree import (
    KEYWORDS,
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
    Saved,
    Truth,
    operands,
    selections,
)

CODES = ("earth", "moon", "diagram", "window", "order", "table", "like", "logit", "status", "in_set")


def name(text: str) -> Operand:
    return Operand("name", text)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("earth", Truth("earth")),
        ("earth?", Truth("earth", True)),
        ("earth ?", Truth("earth", True)),
        ("not earth?", Not(Truth("earth", True))),
        ("TRUE", Constant(True)),
        ("False", Constant(False)),
        ("earth >= 0.8", Compare(name("earth"), ">=", 0.8)),
        ("earth==.5", Compare(name("earth"), "=", 0.5)),
        ("earth<>1e-3", Compare(name("earth"), "!=", 0.001)),
        ("width > -3", Compare(name("width"), ">", -3)),
        ("logit(earth) > 27", Compare(Operand("logit", "earth"), ">", 27)),
        ("Logit (earth) > 27", Compare(Operand("logit", "earth"), ">", 27)),
        ("logit > 0.5 and logit", And((Compare(name("logit"), ">", 0.5), Truth("logit")))),
        ("in_set", Truth("in_set")),
        ("in_set(chosen)", InSet("chosen")),
        ("in_selection(map) and earth", And((InSelection("map"), Truth("earth")))),
        ("In_Selection (map)", InSelection("map")),
        ("in_selection", Truth("in_selection")),
        ("window or order or table", Or((Truth("window"), Truth("order"), Truth("table")))),
        ('"like" and "not"?', And((Truth("like"), Truth("not", True)))),
        ("anding or notes or inside", Or((Truth("anding"), Truth("notes"), Truth("inside")))),
        ("a or b and c", Or((Truth("a"), And((Truth("b"), Truth("c")))))),
        ("(a or b) and c", And((Or((Truth("a"), Truth("b"))), Truth("c")))),
        ("not a and b", And((Not(Truth("a")), Truth("b")))),
        ("a between 1 and 2 and b", And((Between(name("a"), 1, 2), Truth("b")))),
        ("a not between 1 and 2", Between(name("a"), 1, 2, True)),
        ("format IN ('JPEG', 'PNG')", In(name("format"), ("JPEG", "PNG"))),
        ("width not in (1)", In(name("width"), (1,), True)),
        ("path like '%it''s%'", Like(name("path"), "%it's%")),
        ("path not like 'x'", Like(name("path"), "x", True)),
        ("taken is null", IsNull(name("taken"))),
        ("taken is not null", IsNull(name("taken"), True)),
        ("status(earth) = 'tentative'", Compare(Operand("status", "earth"), "=", "tentative")),
        ("@fine and\n\tearth", And((Saved("fine"), Truth("earth")))),
    ],
)
def test_parses(text: str, tree: Expression) -> None:
    assert parse(text) == tree
    assert parse(to_text(tree)) == tree


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "is empty"),
        ("   ", 0, "is empty"),
        ("earth >", 7, "ends too early; expected a number or text"),
        ("earth moon", 6, 'unexpected "moon"; expected `and`'),
        ("earth & moon", 6, "write `and`"),
        ("earth || moon", 6, "write `or`"),
        ("!earth", 0, "write `not`"),
        ('path = "x.jpg"', 7, "single quotes: 'x.jpg'"),
        ("taken = null", 8, "is null"),
        ("earth > moon", 8, "names stand on the left"),
        ("log(earth) > 1", 3, "the functions are logit, source, status and in_set"),
        ("like > 0.5", 0, 'written "like"'),
        ("(earth", 6, "expected `)`"),
        ("earth)", 5, "unexpected"),
        ("earth > 1e999", 8, "too large"),
        ("path = 'x", 7, "closing quote"),
        ("earth > 0.8and moon", 8, "not a number"),
        ("earth; moon", 5, "one expression"),
        ("earth \x1b[31m", 6, "U+001B"),
    ],
)
def test_refuses_with_the_position(text: str, position: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    error = caught.value
    assert (error.position, error.text) == (position, text)
    assert message in error.message
    lines = str(error).split("\n")
    assert lines[0] == error.message and len(lines) == 3
    assert lines[2] == " " * (2 + position) + "^"
    assert str(error).replace("\n", "").isprintable()


def test_a_long_expression_is_shown_around_the_fault() -> None:
    text = " and ".join(["earth"] * 300) + " and earht > > 1"
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    _, shown, caret = str(caught.value).split("\n")
    assert len(shown) < 120
    assert shown[len(caret) - 1] == ">" and shown.startswith("  ...")


@pytest.mark.parametrize(
    "deep", ["(" * 101 + "a" + ")" * 101, "not " * 101 + "a", "(" * 4000, "not (b or " * 60 + "a" + ")" * 60]
)
def test_nesting_is_bounded(deep: str) -> None:
    with pytest.raises(InputError, match="deeper than 100"):
        parse(deep)


def test_size_is_bounded_but_generous() -> None:
    with pytest.raises(InputError, match="10,000 is the most"):
        parse("a" * 10_001)
    wide = parse(" or ".join(["a"] * 1900))
    assert isinstance(wide, Or) and len(wide.parts) == 1900
    assert parse("(" * 100 + "a" + ")" * 100) == Truth("a")
    with pytest.raises(InputError, match="not valid UTF-8"):
        parse("path = 'caf\udce9'")


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True) | st.sampled_from(sorted(KEYWORDS))
numbers = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
operand_nodes = st.builds(Operand, st.sampled_from(["name", "logit", "source", "status"]), names)
values = numbers | texts
conditions = st.one_of(
    st.builds(Constant, st.booleans()),
    st.builds(Truth, names, st.booleans()),
    st.builds(InSet, names),
    st.builds(InSelection, names),
    st.builds(Saved, st.from_regex(r"[a-z][a-z0-9_]{0,8}q", fullmatch=True)),
    st.builds(Compare, operand_nodes, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), values),
    st.builds(Between, operand_nodes, values, values, st.booleans()),
    st.builds(In, operand_nodes, st.lists(values, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(Like, operand_nodes, texts, st.booleans()),
    st.builds(IsNull, operand_nodes, st.booleans()),
)
trees = st.recursive(
    conditions,
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, min_size=2, max_size=3).map(tuple).map(And)
        | st.lists(inner, min_size=2, max_size=3).map(tuple).map(Or)
    ),
    max_leaves=8,
)


@given(trees)
@settings(max_examples=60, deadline=None)
def test_canonical_text_parses_to_the_same_tree(tree: Expression) -> None:
    assert parse(to_text(tree)) == tree


@given(st.text(st.sampled_from("ab ()'\"?@=<>!,.%0189andornotinlikebetwisul_\x00\u202eé\ud800"), max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_text_parses_or_is_an_input_error(text: str) -> None:
    try:
        tree = parse(text)
    except InputError as error:
        assert str(error)
    else:
        assert parse(to_text(tree)) == tree


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("eart > 0.5", 0, 'unknown attribute "eart"; did you mean "earth"?'),
        ("moon and eart", 9, 'unknown attribute "eart"; did you mean "earth"?'),
        ("widht > 5", 0, 'did you mean "width"?'),
        ("logit(erth) > 1", 6, 'did you mean "earth"?'),
        ("Earth", 0, 'did you mean "earth"?'),
        ("zzzzzzzz", 0, 'unknown attribute "zzzzzzzz"'),
        ("width", 0, "compare it: width > 1000"),
        ("path?", 0, "compare it: path ="),
        ("logit(width) > 1", 6, "unknown attribute"),
        ("in_set(chosn)", 7, 'unknown set "chosn"; did you mean "chosen"?'),
        ("earth = 'accepted'", 8, "is a number"),
        ("width in (1, 'x')", 10, "is a number"),
        ("path > 5", 7, "path is text"),
        ("format = 'jpeg'", 9, 'unknown format "jpeg"; did you mean "JPEG"? there are JPEG, PNG'),
        ("state in ('ok', 'gone')", 10, 'unknown state "gone"; there are ok, unreadable, missing'),
        ("status(earth) = 'acepted'", 16, 'did you mean "accepted"?'),
        ("earth like 'x'", 11, "works on text"),
        ("path_bytes = 'x'", 13, "is null"),
        ("taken > 2024", 8, "taken is time"),
        ("taken > 'tomorrow'", 8, "write it like"),
        ("taken > '2024-02-30'", 8, "write it like"),
        ("taken > '2024-02-03T10:00Z'", 8, "leave the zone out"),
        ("mtime between '2024' and '0001-01-01T00:00+14:00'", 14, "write it like"),
        ("@later", 0, "not available"),
        (
            "earth or in_selection(map)",
            22,
            "known to the running app alone; save the selection as a set first",
        ),
    ],
)
def test_binding_refuses_with_the_position(text: str, position: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        bind(parse(text), CODES, ["chosen"], text=text)
    assert caught.value.position == position
    assert message in caught.value.message


def test_selections_are_bound_where_there_are_some() -> None:
    tree = parse("not in_selection(map) and @s")
    text = "not in_selection(map) and @s"
    saved = {"s": "in_selection(marks)"}
    expanded = expand(tree, text, saved)
    assert bind(expanded, CODES, selections=["map", "marks"], text=text) == expanded
    assert selections(expanded) == ("map", "marks")
    for there, position, message in (
        (["marks"], 17, 'unknown selection "map"'),
        (["map"], 26, 'unknown selection "marks"'),
        ([], 17, 'unknown selection "map"'),
        (None, 17, "save the selection as a set first, and write in_set(NAME)"),
    ):
        with pytest.raises(ExpressionError) as caught:
            bind(expanded, CODES, selections=there, text=text)
        assert (caught.value.position, message in caught.value.message) == (position, True)


def test_binding_tells_columns_from_attributes() -> None:
    text = "width > 1 and window > 0.5 and source(earth) = 'x' and source = 'file' and state = 'ok'"
    kinds = [(operand.kind, operand.name) for operand in operands(bind(parse(text), CODES))]
    assert kinds == [
        ("image", "width"),
        ("confidence", "window"),
        ("source", "earth"),
        ("image", "source"),
        ("image", "state"),
    ]


def test_times_are_bound_as_the_column_stores_them() -> None:
    def value(text: str) -> object:
        bound = bind(parse(text), CODES)
        assert isinstance(bound, Compare)
        return bound.value

    assert value("taken > '2024'") == datetime(2024, 1, 1)
    assert value("taken > '2024-05'") == datetime(2024, 5, 1)
    assert value("taken > '2024-05-06 07:08'") == datetime(2024, 5, 6, 7, 8)
    assert value("mtime > '2024-05-06'") == datetime(2024, 5, 6, tzinfo=UTC)
    assert value("mtime > '2024-05-06T02:00+02:00'") == datetime(2024, 5, 6, tzinfo=UTC)


def test_saved_queries_are_put_in() -> None:
    saved = {"near": "earth >= 0.8 or @round", "round": "moon"}
    text = "not @near and window"
    tree = expand(parse(text), text, saved)
    assert tree == parse("not (earth >= 0.8 or (moon)) and window")
    with pytest.raises(ExpressionError) as caught:
        bind(
            expand(parse("window and @bad"), "window and @bad", {"bad": "eart"}),
            CODES,
            text="window and @bad",
        )
    assert caught.value.position == 11


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({}, 'unknown saved query "a"'),
        ({"a": "@finee", "fine": "true"}, 'did you mean "fine"?'),
        ({"a": "@b", "b": "@a"}, "uses itself"),
        ({"a": "earth >"}, 'in the saved query "@a": the expression ends too early'),
        (
            {
                "a": " and ".join(["@b"] * 20),
                "b": " and ".join(["@c"] * 20),
                "c": " or ".join(["earth"] * 99),
            },
            "10,000",
        ),
        ({"a": "not " * 60 + "@b", "b": "not " * 60 + "earth"}, "deeper than 100"),
    ],
)
def test_saved_queries_are_bounded(saved: dict[str, str], message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        expand(parse("@a"), "@a", saved)
    assert message in caught.value.message
    assert caught.value.position == 0


@pytest.mark.parametrize(
    ("before", "start", "wanted", "unwanted"),
    [
        ("", 0, {"earth", "width", "not", "true", "logit(", '"like"'}, {"and", ">="}),
        ("ea", 0, {"earth"}, {"moon"}),
        ("earth and m", 10, {"moon", "mtime"}, {"and"}),
        ("earth ", 6, {"and", "or", "between", ">=", "is"}, {"earth", "true"}),
        ("earth >= 0.8 ", 13, {"and", "or"}, {"between"}),
        ("logit(", 6, {"earth", "moon"}, {"width", "logit("}),
        ("in_set(", 7, {"chosen"}, {"earth"}),
        ("status(earth) = ", 16, {"'accepted'", "'tentative'"}, {"earth"}),
        ("status(earth) = 'accepted' and path = ", 38, set(), {"'accepted'"}),
        ("@f", 1, {"fine"}, {"false"}),
        ("(earth or NO", 10, {"not"}, {"null"}),
        ("earth > > ", 10, set(), {"earth"}),
        ("path = 'ea", 8, set(), {"earth"}),
    ],
)
def test_completions(before: str, start: int, wanted: set[str], unwanted: set[str]) -> None:
    found = complete(before, CODES, ["chosen"], ["fine"])
    assert found.start == start
    assert wanted <= set(found.options)
    assert not unwanted & set(found.options)


def test_a_selection_is_offered_where_there_is_one() -> None:
    assert "in_selection(" not in complete("in", CODES).options
    assert "in_selection(" in complete("in", CODES, selections=["map"]).options
    assert complete("earth and in_selection(", CODES, selections=["marks", "map"]).options == ("map", "marks")


def test_completions_inside_a_text() -> None:
    found = complete("ea and moon", CODES, position=2)
    assert found.options == ("earth",)
    assert set(IMAGE_COLUMNS) <= set(complete("", CODES).options)


def test_importing_the_language_is_cheap() -> None:
    code = (
        "import sys, colonnade.engine.expression; "
        "print([m for m in ('lark', 'duckdb', 'numpy', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("state = ", ("'ok'", "'unreadable'", "'missing'")),
        ("earth and state != ", ("'ok'", "'unreadable'", "'missing'")),
        ("state in (", ("'ok'", "'unreadable'", "'missing'")),
        ("format = ", ("'JPEG'", "'PNG'", "'GIF'", "'TIFF'", "'BMP'", "'WEBP'", "'AVIF'", "'HEIF'")),
        ("source = ", ("'file'", "'import'")),
        ("path = ", ()),
        ("state = 'ok' and path = ", ()),
    ],
)
def test_values_of_columns_that_have_few_are_offered(before: str, wanted: tuple[str, ...]) -> None:
    options = complete(before, CODES).options
    assert tuple(option for option in options if option.startswith("'")) == wanted
