"""Files of vectors: what is read, and what is refused with its place."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_files import column, image_file, vectors, write

from colonnade.engine.errors import InputError
from colonnade.engine.import_files import MAX_DIMENSION, collect, open_vectors, unit_vectors

CHOICES = ("path", "id")


def read(path: Path, name: str | None = None) -> tuple[tuple[str, ...], np.ndarray]:
    source = open_vectors(path, name_column=name, name_choices=CHOICES)
    return source.names, collect(source)


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()], ids=str)
@pytest.mark.parametrize("fixed", [True, False])
def test_reads_every_float_type(tmp_path: Path, kind: pa.DataType, fixed: bool) -> None:
    block = vectors(5) * 3
    path = write(tmp_path / "v.parquet", id=list("abcde"), embedding=column(block, kind, fixed=fixed))
    names, read_back = read(path)
    assert names == tuple("abcde")
    assert read_back.dtype == np.float32
    assert np.allclose(np.linalg.norm(read_back, axis=1), 1, atol=1e-6)
    assert np.allclose(read_back, block / 3, atol=1e-3)


def test_names_may_be_numbers_and_large_strings_and_dictionaries(tmp_path: Path) -> None:
    embedding = column(vectors(2))
    for names in (
        pa.array([7, 8]),
        pa.array(["7", "8"], pa.large_string()),
        pa.array(["7", "8"]).dictionary_encode(),
    ):
        assert read(write(tmp_path / "v.parquet", id=names, embedding=embedding))[0] == ("7", "8")


def test_large_lists_and_another_column_name(tmp_path: Path) -> None:
    block = vectors(2, 3)
    path = write(tmp_path / "v.parquet", id=["a", "b"], v=pa.array(list(block), pa.large_list(pa.float32())))
    assert np.allclose(read(path)[1], block, atol=1e-6)


def test_many_row_groups(tmp_path: Path) -> None:
    block = vectors(1000, 4)
    table = pa.table({"id": [str(i) for i in range(1000)], "embedding": column(block)})
    pq.write_table(table, tmp_path / "v.parquet", row_group_size=37)
    assert np.allclose(read(tmp_path / "v.parquet")[1], block, atol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e-40, 1e-30, 1.0, 1e30, 1e300])
def test_unit_length_at_any_size(size: float) -> None:
    block = np.array([[3.0, 4.0], [1.0, 0.0]]) * size
    assert np.allclose(unit_vectors(block, Path("v"), 0), [[0.6, 0.8], [1.0, 0.0]])


def refuse(path: Path, *words: str, name: str | None = None) -> None:
    with pytest.raises(InputError) as caught:
        read(path, name)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    for word in words:
        assert word in text


def test_refuses_what_is_no_parquet(tmp_path: Path) -> None:
    refuse(tmp_path / "none.parquet", "no such file")
    refuse(tmp_path, "not a file")
    (tmp_path / "t.parquet").write_text("prompt,embedding\n")
    refuse(tmp_path / "t.parquet", "not a Parquet file")
    (tmp_path / "e.parquet").write_bytes(b"")
    refuse(tmp_path / "e.parquet", "not a Parquet file")
    os.mkfifo(tmp_path / "fifo")
    refuse(tmp_path / "fifo", "not a file")


def test_whole_numbers_are_vectors_too(tmp_path: Path) -> None:
    for kind in (pa.int8(), pa.int64(), pa.uint8()):
        values = pa.array([[3, 4], [0, 100]], pa.list_(kind))
        source = write(tmp_path / "v.parquet", id=["a", "b"], embedding=values)
        assert np.allclose(read(source)[1], [[0.6, 0.8], [0.0, 1.0]])


def test_refuses_wrong_columns(tmp_path: Path) -> None:
    embedding = column(vectors(2))
    path = tmp_path / "v.parquet"
    refuse(
        write(path, name=["a", "b"], embedding=embedding), "none of the columns path, id", "name, embedding"
    )
    refuse(write(path, id=["a", "b"], embedding=embedding), "no column 'x'", name="x")
    refuse(write(path, id=["a", "b"]), "no column `embedding`")
    refuse(write(path, id=["a", "b"], embedding=["x", "y"]), "no column `embedding`")
    refuse(write(path, id=["a", "b"], v=[[1, 2], [3, 4]]), "no column `embedding`")
    refuse(write(path, id=["a", "b"], embedding=[["1"], ["2"]]), "no column `embedding`")
    refuse(write(path, id=["a", "b"], v=embedding, w=embedding), "no column `embedding`")
    refuse(write(path, id=[0.5, 1.5], embedding=embedding), "must hold text or whole numbers")
    refuse(write(path, id=[b"a", b"b"], embedding=embedding), "must hold text or whole numbers")


def test_refuses_wrong_names(tmp_path: Path) -> None:
    path, embedding = tmp_path / "v.parquet", column(vectors(3))
    refuse(write(path, id=["a", "b", "a"], embedding=embedding), "row 3", "'a' occurs twice")
    refuse(write(path, id=["a", None, "c"], embedding=embedding), "row 2", "empty")
    refuse(write(path, id=["a", "b", ""], embedding=embedding), "row 3", "empty")
    refuse(write(path, id=["a", "b", "x" * 5000], embedding=embedding), "row 3", "longer than 4,096")
    refuse(write(path, id=["a", "b", "x" * 50_000], embedding=embedding), "longer than 4,096")


def test_refuses_text_that_is_not_unicode(tmp_path: Path) -> None:
    names = pa.array([b"a", b"\xff\xfe", b"c"]).view(pa.string())
    refuse(write(tmp_path / "v.parquet", id=names, embedding=column(vectors(3))), "damaged")


def test_refuses_wrong_vectors(tmp_path: Path) -> None:
    path, ids = tmp_path / "v.parquet", ["a", "b", "c"]
    for bad in (np.nan, np.inf, -np.inf):
        block = vectors(3)
        block[1, 2] = bad
        refuse(image_file(path, ids, block), "row 2", "not finite")
    block = vectors(3)
    block[2] = 0
    refuse(image_file(path, ids, block), "row 3", "all zeros")
    lists = pa.list_(pa.float32())
    refuse(
        write(path, path=ids, embedding=pa.array([[1, 2], [1, 2], [1]], lists)), "row 3", "1 numbers", "has 2"
    )
    refuse(write(path, path=ids, embedding=pa.array([[1, 2], None, [1, 2]], lists)), "row 2", "missing")
    refuse(
        write(path, path=ids, embedding=pa.array([[1, 2], [1, None], [1, 2]], lists)),
        "row 2",
        "missing number",
    )
    refuse(write(path, path=ids, embedding=pa.array([[], [], []], lists)), "vectors of 0 numbers")
    refuse(write(path, path=ids, embedding=pa.array([None, [1], [1]], lists)), "vectors of 0 numbers")


def test_refuses_no_rows_and_too_long_vectors(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    for kind in (pa.list_(pa.float32()), pa.list_(pa.float32(), 8)):
        refuse(write(path, path=pa.array([], pa.string()), embedding=pa.array([], kind)), "0 rows")
    refuse(image_file(path, ["a"], np.ones((1, MAX_DIMENSION + 1), np.float32)), f"1 to {MAX_DIMENSION}")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Truncation and flipped bytes: an InputError or vectors of unit length, never another exception."""
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    whole = image_file(path, [f"n{i}" for i in range(20)], vectors(20)).read_bytes()
    if data.draw(st.booleans()):
        broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    else:
        broken = bytearray(whole)
        for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=8)):
            broken[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(broken))
    try:
        names, block = read(path)
    except InputError:
        return
    assert len(names) == len(block)
    assert np.allclose(np.linalg.norm(block, axis=1), 1, atol=1e-5)
