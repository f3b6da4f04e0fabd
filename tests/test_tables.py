"""Parquet files: their form, their footers, and damaged ones."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_stores import image
from sound_stores import embedding_rows, label, rows, unit_vectors

from colonnade.engine.columns import IMAGE_COLUMNS, TABLES
from colonnade.engine.errors import StoreError
from colonnade.engine.schemas import SCHEMAS, column_fault, embeddings_schema, prompts_schema
from colonnade.engine.scoring import scores_table
from colonnade.engine.snapshots import DataFile
from colonnade.engine.tables import (
    conform,
    id_digest,
    read_embeddings,
    read_files,
    read_footer,
    read_table,
    write_parquet,
)
from colonnade.engine.vector_columns import vectors_column, vectors_of


def written(folder: Path, table: str, data: pa.Table, name: str = "f.parquet") -> DataFile:
    write_parquet(table, conform(table, data), folder / name)
    return DataFile(table, None, 0, name, folder / name)


def some_scores(ids: list[int], definition: str = "d") -> pa.Table:
    count = len(ids)
    return scores_table(
        np.array(ids, np.int64), logit=np.zeros(count, np.float32), confidence=np.full(count, 0.5, np.float32),
        status=np.ones(count, np.int8), label_source="clip_zero_shot", model="m", definition=definition,
    )  # fmt: skip


SAMPLES: dict[str, pa.Table] = {
    "images": pa.Table.from_pylist(
        [
            image(0, taken=datetime(2020, 1, 2, 3, 4, 5)),
            image(7, path="é/\udcff.jpg".encode("utf-8", "replace").decode()),
        ],
        SCHEMAS["images"],
    ),
    "embeddings": embedding_rows(np.array([1, 2]), unit_vectors(2)),
    "prompts": pa.table([["p"], ["attribute"], vectors_column(unit_vectors(1))], schema=prompts_schema(8)),
    "scores": some_scores([1, 2, 3]),
    "definitions": rows("definitions", [{"definition": "d", "json": "{}"}]),
    "labels": rows("labels", [label(3, present=None), label(4, present=True)]),
    "calibrations": rows(
        "calibrations",
        [
            {
                "model": "m",
                "method": "fixed",
                "center": 1.0,
                "scale": 2.0,
                "fitted_at": datetime(2024, 1, 1, tzinfo=UTC),
            }
        ],
    ),
    "sets": rows("sets", [{"image_id": 5}]),
    "projections": rows(
        "projections", [{"image_id": 5, "latitude": 1.5, "longitude": -2.5, "parameters": "{}"}]
    ),
}


def test_every_table_has_a_sample() -> None:
    assert set(SAMPLES) == set(TABLES)
    assert SCHEMAS["images"].names == list(IMAGE_COLUMNS)


@pytest.mark.parametrize("table", TABLES)
def test_round_trip(tmp_path: Path, table: str) -> None:
    """Arrow, and DuckDB as people use it, read back what was written."""
    file = written(tmp_path, table, SAMPLES[table])
    back = read_files([file])
    assert back.to_pylist() == SAMPLES[table].to_pylist()
    assert column_fault(table, pq.read_schema(file.path)) is None
    with duckdb.connect() as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM '{file.path}'").fetchone() or (None,)
    assert count == SAMPLES[table].num_rows


def test_form_of_the_files(tmp_path: Path) -> None:
    """Sorted ids, DELTA_BINARY_PACKED; no dictionary on floats; whole groups; the digest of the content."""
    data = some_scores(list(range(200_000, 0, -1)))
    digest = write_parquet("scores", conform("scores", data), tmp_path / "f.parquet")
    assert digest == hashlib.sha256((tmp_path / "f.parquet").read_bytes()).hexdigest()
    metadata = pq.read_metadata(tmp_path / "f.parquet")
    assert [metadata.row_group(i).num_rows for i in range(2)] == [122_880, 77_120]
    columns = {
        metadata.row_group(0).column(i).path_in_schema: metadata.row_group(0).column(i) for i in range(8)
    }
    assert "DELTA_BINARY_PACKED" in columns["image_id"].encodings
    for name in ("logit", "log_odds", "confidence"):
        assert not columns[name].has_dictionary_page
    assert columns["status"].has_dictionary_page
    assert np.all(np.diff(pq.read_table(tmp_path / "f.parquet")["image_id"].to_numpy()) == 1)


def test_the_same_rows_make_the_same_file(tmp_path: Path) -> None:
    assert write_parquet("scores", some_scores([1, 2]), tmp_path / "a") == write_parquet(
        "scores", some_scores([1, 2]), tmp_path / "b"
    )


def test_footers(tmp_path: Path) -> None:
    footer = read_footer(written(tmp_path, "scores", some_scores([9, 4, 6])))
    assert (footer.rows, footer.min_id, footer.max_id) == (3, 4, 9)
    assert (footer.definition, footer.model) == ("d", "m")
    assert footer.id_digest == id_digest(np.array([4, 6, 9]))
    mixed = pa.concat_tables([some_scores([1], "d"), some_scores([2], "e")]).unify_dictionaries()
    assert read_footer(written(tmp_path, "scores", mixed, "g")).definition is None


@given(st.sets(st.integers(0, 2**40), min_size=1), st.randoms())
@settings(max_examples=50, deadline=None)
def test_digests_add_up(ids: set[int], random: object) -> None:
    """In any order and any split; another set has another digest."""
    array = np.array(sorted(ids), dtype=np.int64)
    shuffled = list(ids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert id_digest(np.array(shuffled)) == id_digest(array)
    half = len(array) // 2
    assert (id_digest(array[:half]) + id_digest(array[half:])) % 2**64 == id_digest(array)
    assert id_digest(array) != id_digest(array + 1)


def test_conform_refuses() -> None:
    with pytest.raises(ValueError, match="twice"):
        conform("sets", pa.table({"image_id": [3, 1, 3]}))
    with pytest.raises(ValueError, match="null"):
        conform("sets", pa.table({"image_id": pa.array([3, None], pa.int64())}))
    with pytest.raises(ValueError, match="column logit is missing"):
        conform("scores", pa.table({"image_id": [3]}))
    assert conform("sets", pa.table({"image_id": [3, 1, 2]}))["image_id"].to_pylist() == [1, 2, 3]


def test_files_of_a_cell_read_as_one(tmp_path: Path) -> None:
    files = [
        written(
            tmp_path,
            "embeddings",
            embedding_rows(np.array(ids), unit_vectors(len(ids), seed=ids[0])),
            str(ids[0]),
        )
        for ids in ([5, 9], [1, 7])
    ]
    data = read_files(files)
    assert data["image_id"].to_pylist() == [1, 5, 7, 9]
    np.testing.assert_array_equal(vectors_of(data["embedding"])[[1, 3]], unit_vectors(2, seed=5))
    blocks = list(read_embeddings(files, batch_rows=1))
    assert [ids.tolist() for ids, _ in blocks] == [[5], [9], [1], [7]]
    assert all(vectors.shape == (1, 8) for _, vectors in blocks)


def test_vectors_of_a_part_of_a_column() -> None:
    vectors = unit_vectors(6, seed=3)
    column = vectors_column(vectors)
    np.testing.assert_array_equal(vectors_of(column[2:5]), vectors[2:5])
    np.testing.assert_array_equal(
        vectors_of(pa.chunked_array([column[1:3], column[4:]])), vectors[[1, 2, 4, 5]]
    )
    with pytest.raises(ValueError, match="1 vectors are null"):
        vectors_of(pa.array([[1.0, 0.0], None], pa.list_(pa.float32(), 2)))


def test_no_files() -> None:
    assert read_table("sets", []).schema == SCHEMAS["sets"]
    assert read_table("scores", [], ["image_id"]).column_names == ["image_id"]
    with pytest.raises(ValueError, match="at least one"):
        read_files([])


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "missing", "column", "type", "folder"])
def test_damaged_files(tmp_path: Path, damage: str) -> None:
    """One line that names the file, whatever is wrong with it."""
    file = written(tmp_path, "embeddings", embedding_rows(np.arange(50), unit_vectors(50)))
    content = file.path.read_bytes()
    if damage == "empty":
        file.path.write_bytes(b"")
    elif damage == "text":
        file.path.write_bytes(b"PAR1 not really PAR1")
    elif damage == "cut":
        file.path.write_bytes(content[:-20])
    elif damage == "flipped":
        file.path.write_bytes(content[:40] + bytes(255 - b for b in content[40:600]) + content[600:])
    elif damage == "missing":
        file.path.unlink()
    elif damage == "column":
        pq.write_table(pa.table({"image_id": [1]}), file.path)
    elif damage == "type":
        pq.write_table(pa.table({"image_id": ["1"], "embedding": [[1.0]]}), file.path)
    else:
        file.path.unlink()
        file.path.mkdir()
    for read in (lambda: read_files([file]), lambda: list(read_embeddings([file]))):
        with pytest.raises(StoreError) as caught:
            read()
        assert str(file.path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "facts",
    [
        "[]",
        "{",
        '{"id_digest": 5}',
        '{"id_digest": "x"}',
        '{"min_id": []}',
        "[" * 100_000,
        '{"min_id": 1e999}',
    ],
)
def test_damaged_footers(tmp_path: Path, facts: str) -> None:
    table = rows("sets", [{"image_id": 1}]).replace_schema_metadata({"colonnade": facts})
    pq.write_table(table, tmp_path / "f")
    with pytest.raises(StoreError, match="damaged"):
        read_footer(DataFile("sets", "a", 0, "f", tmp_path / "f"))


def test_words_in_footers_that_are_no_text(tmp_path: Path) -> None:
    table = rows("sets", [{"image_id": 1}]).replace_schema_metadata(
        {"colonnade": '{"definition": ["x"], "model": 1}'}
    )
    pq.write_table(table, tmp_path / "f")
    footer = read_footer(DataFile("sets", "a", 0, "f", tmp_path / "f"))
    assert (footer.definition, footer.model) == (None, None)


def test_column_faults() -> None:
    assert column_fault("embeddings", embeddings_schema(512)) is None
    assert (
        column_fault("embeddings", pa.schema([("image_id", pa.int64())])) == "the column embedding is missing"
    )
    assert "is string, not int64" in str(column_fault("sets", pa.schema([("image_id", pa.string())])))
    wide = SCHEMAS["sets"].append(pa.field("more", pa.int8()))
    assert column_fault("sets", wide) is None
    assert column_fault("scores", SCHEMAS["scores"].remove(1), ["image_id", "status"]) is None
