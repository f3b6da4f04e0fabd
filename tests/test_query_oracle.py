"""Random queries on random stores find what an oracle in plain Python finds, in the order it gives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_oracle import CODES, contents, expressions, single, verdict
from query_stores import Content, Score, build_store

from colonnade.engine.expression_text import to_text
from colonnade.engine.expression_tree import Expression
from colonnade.engine.query import run_query

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


def sort_value(content: Content, name: str, row: Mapping[str, Any]) -> Any:
    if name == "never":
        return None
    if name in row:
        return row[name]
    logit, confidence, _ = own(content, name.split(".", maxsplit=1)[0], row)
    return single(logit if "logit" in name else confidence)
