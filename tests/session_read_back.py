"""What plain DuckDB, which knows nothing of Colonnade, finds in a store after a session in the app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

__all__ = ["read_back"]


def read_back(
    store: Path, said: dict[str, Any], *, images: int, new: str, derived: str, named: str
) -> list[str]:
    """Compare a store with what the app's screens said; gives what was found, in words.

    Args:
        said: numbers and labels as the screens showed them.
        new: the attribute that was added.
        derived: the attribute that was saved from a query.
        named: the set that the lasso became.

    Raises:
        AssertionError: the store says something else.
    """
    found: list[str] = []
    with duckdb.connect() as database:

        def rows(sql: str, *values: Any) -> list[Any]:
            return database.execute(sql, values).fetchall()

        def holds(what: str, is_: object, should: object) -> None:
            assert is_ == should, f"{what}: the store says {is_}, the screen said {should}"
            found.append(f"{what}: {is_}")

        def count(sql: str, *values: Any) -> int:
            return int(rows(f"SELECT count(*) FROM {sql}", *values)[0][0])

        database.execute((store / "views.sql").read_text())
        holds("images", count("images WHERE state = 'ok'"), images)
        codes = {row[0] for row in rows("SELECT DISTINCT attribute_code FROM scores")}
        holds("new columns", {new, derived} <= codes, True)
        wide = {row[0] for row in rows("DESCRIBE wide")}
        holds("columns of `wide`", {new, derived} <= wide, True)
        holds(f"scores of {new}", count(f"wide WHERE {new} IS NOT NULL"), images)

        status = "scores WHERE attribute_code = ? AND status = ?"
        holds(f"accepted as {new}, its line moved", count(status, new, "accepted"), said["accepted"])
        holds("accepted before, as the try had said", said["before"], said["tried"])
        holds("by as many more", said["accepted"] - said["before"], said["entering"])
        for name, number in said["sql"].items():
            holds(f"{name} as {new}, as SQL showed it", count(status, new, name), number)
        holds(f"calibrations of {new}", count("calibrations WHERE attribute_code = ?", new), 1)
        follows = f"""scores JOIN calibrations USING (attribute_code)
            WHERE attribute_code = '{new}' AND (confidence >= 0.8) = (status = 'accepted')
            AND abs(confidence - 1 / (1 + exp(-(logit - center) / scale))) < 1e-4"""
        holds(f"scores of {new} that follow from its line", count(follows), images)

        files = f"read_parquet('{store}/scores/attribute_code={{}}/*.parquet')"
        conditions = f"""{files.format(new)} AS a
            JOIN {files.format("stars")} AS b USING (image_id)
            JOIN {files.format("diagram")} AS c USING (image_id)
            WHERE a.status = 'accepted' AND b.status = 'accepted' AND c.status = 'rejected'"""
        holds("three conditions on the bare files", count(conditions), said["hits"])
        holds(f"accepted as {derived}", count(status, derived, "accepted"), said["hits"])
        holds(f"rows of {derived}", count("derived WHERE attribute_code = ?", derived), images)

        labels = rows(
            "SELECT path, present FROM labels JOIN images USING (image_id) WHERE attribute_code = ?", new
        )
        holds("labels", len(labels), len(said["labels"]))
        holds("each label as it was given", dict(labels) == said["labels"], True)
        holds(f"images of the set {named}", count("sets WHERE set_name = ?", named), said["selected"])
        holds(
            "of these known",
            count("sets SEMI JOIN images USING (image_id) WHERE set_name = ?", named),
            said["selected"],
        )
        holds("images on the map", count("projections WHERE latitude BETWEEN -90 AND 90"), images)
    text = (store / "vocabulary.yaml").read_text()
    assert f"code: {new}" in text and f"code: {derived}" in text, text
    return found
