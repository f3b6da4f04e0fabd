"""crossfilter's SQLite files: both layouts, matched to files by UUID, and nothing in them is run."""

from __future__ import annotations

import pickle
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_stores import image
from vector_files import add_files, new_store, stored_vectors, vectors

from colonnade.engine.errors import InputError
from colonnade.engine.import_crossfilter import import_crossfilter, match_stems, open_table
from colonnade.engine.msgpack_vectors import Malformed, decode_vector
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files

UUIDS = tuple(str(UUID(int=i + (1 << 120))) for i in range(4))


def pack(array: np.ndarray, **other: object) -> bytes:
    """As msgpack_numpy.packb does it."""
    document = {
        b"nd": True,
        b"type": array.dtype.str,
        b"kind": b"",
        b"shape": array.shape,
        b"data": array.tobytes(),
    }
    packed: bytes = msgpack.packb(document | {key.encode(): value for key, value in other.items()})
    return packed


def database(
    path: Path,
    rows: Mapping[object, object],
    table: str = "SIGLIP2_EMBEDDINGS",
    columns: tuple[str, str] = ("UUID", "EMBEDDING"),
) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {table} ({columns[0]} TEXT PRIMARY KEY, {columns[1]} BLOB)")
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", rows.items())
        connection.execute("CREATE TABLE IF NOT EXISTS UMAP_MODEL (MODEL BLOB)")
        connection.execute("INSERT INTO UMAP_MODEL VALUES (?)", [pickle.dumps(_Bomb())])
    connection.close()
    return path


class _Bomb:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('unpickled')",))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path / "s")


@pytest.mark.parametrize(
    ("table", "columns", "key"),
    [
        ("SIGLIP2_EMBEDDINGS", ("UUID", "EMBEDDING"), "crossfilter-siglip2"),
        ("IMAGE_EMBEDDINGS", ("UUID_STRING", "SEMANTIC_EMBEDDING"), "crossfilter-image"),
        ("EMBEDDINGS", ("UUID_STRING", "SEMANTIC_EMBEDDING"), "crossfilter"),
    ],
)
def test_both_layouts(store: Store, tmp_path: Path, table: str, columns: tuple[str, str], key: str) -> None:
    block = vectors(4)
    path = database(tmp_path / "c.db", dict(zip(UUIDS, map(pack, block * 7), strict=True)), table, columns)
    before = path.read_bytes()
    done = import_crossfilter(store, path)
    assert (done.model, done.images, done.new, done.activated) == (key, 4, 4, True)
    stored = stored_vectors(store, key)
    assert all(
        np.allclose(stored[uuid], vector, atol=1e-6) for uuid, vector in zip(UUIDS, block, strict=True)
    )
    rows = read_files(store.snapshot().files("images"), ["uuid", "source"]).to_pylist()
    assert [row["uuid"] for row in rows] == list(UUIDS)
    assert store.settings.active is not None
    assert store.settings.active.logit_scale == 100
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.db", "s"], "no journal beside the file"
    number = store.snapshot().number
    assert import_crossfilter(store, path).unchanged == 4
    assert store.snapshot().number == number


def test_key_and_scale(store: Store, tmp_path: Path) -> None:
    path = database(tmp_path / "c.db", {UUIDS[0]: pack(vectors(1)[0])})
    import_crossfilter(store, path, key="siglip", logit_scale=112.0, logit_bias=-16.0)
    import_crossfilter(store, path, key="siglip")
    active = store.settings.active
    assert active is not None
    assert (active.key, active.logit_scale, active.logit_bias) == ("siglip", 112.0, -16.0)


def test_several_tables_need_a_choice(store: Store, tmp_path: Path) -> None:
    path = database(tmp_path / "c.db", {UUIDS[0]: pack(vectors(1)[0])})
    database(path, {UUIDS[1]: pack(vectors(1)[0])}, "FAKE_EMBEDDINGS")
    with pytest.raises(InputError, match="--type"):
        import_crossfilter(store, path)
    assert import_crossfilter(store, path, kind="fake").model == "crossfilter-fake"
    with pytest.raises(InputError, match="of type clip"):
        import_crossfilter(store, path, kind="clip")


def test_files_of_a_root_get_their_vectors(store: Store, tmp_path: Path) -> None:
    """A UUID is a file's name without extension, in any folder and in either case; copies share the vector."""
    folder = tmp_path / "photos"
    folder.mkdir()
    block = vectors(4)
    path = database(tmp_path / "c.db", dict(zip(UUIDS, map(pack, block), strict=True)))

    def scan(scanned: Store) -> None:
        assert scanned.settings.roots[0].path == folder.resolve()
        add_files(
            scanned,
            image(0, path=f"x/{UUIDS[0]}.jpg"),
            image(1, path=f"{UUIDS[1].upper()}.JPG"),
            image(2, path=f"y/{UUIDS[2]}.jpg", content_hash="same"),
            image(3, path=f"z/{UUIDS[2]}.png", content_hash="same"),
            image(4, path=f"y/{UUIDS[3]}.jpg"),
            image(5, path=f"z/{UUIDS[3]}.jpg"),
            image(6, path="else.jpg"),
        )

    done = import_crossfilter(store, path, root=folder, scan=scan)
    assert (done.images, done.new, done.updated) == (4, 1, 4)
    assert done.unclear == (UUIDS[3],)
    stored = stored_vectors(store, done.model)
    assert set(stored) == {
        f"x/{UUIDS[0]}.jpg", f"{UUIDS[1].upper()}.JPG", f"y/{UUIDS[2]}.jpg", f"z/{UUIDS[2]}.png", UUIDS[3]
    }  # fmt: skip
    assert np.array_equal(stored[f"y/{UUIDS[2]}.jpg"], stored[f"z/{UUIDS[2]}.png"])
    import_crossfilter(store, path, root=folder, scan=lambda store: None)
    assert len(store.settings.roots) == 1


def test_names_that_only_their_case_tells_apart(store: Store) -> None:
    add_files(
        store,
        image(0, path="Ab.jpg"),
        image(1, path="aB.jpg"),
        image(2, path="CD.jpg"),
        image(3, path="x/EF.jpg"),
        image(4, path="y/EF.jpg"),
        image(5, path="gh.jpg"),
        image(6, path="Ij.jpg", content_hash="7" * 32),
        image(7, path="iJ.jpg", content_hash="7" * 32),
    )

    def match(*names: str) -> tuple[list[int], list[int], tuple[str, ...]]:
        found = match_stems(store.snapshot(), names)
        return found.rows.tolist(), found.ids.tolist(), found.unclear

    assert match("ab", "aB") == ([1], [1], ("ab",)), "by its very name where it has one"
    assert match("ab") == ([], [], ("ab",))
    assert match("cd", "gh") == ([0, 1], [2, 5], ())
    assert match("cd", "Cd") == ([], [], ("cd", "Cd")), "one file, which two rows may mean"
    assert match("ef", "zz", "ZZ") == ([], [], ("ef",))
    assert match("ij") == ([0, 0], [6, 7], ()), "copies of one picture, whatever their case"


def test_a_real_scan(store: Store, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "photos" / "sub"
    folder.mkdir(parents=True)
    for number, uuid in enumerate(UUIDS[:3]):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{uuid}.jpg")
    path = database(tmp_path / "c.db", dict(zip(UUIDS, map(pack, vectors(4)), strict=True)))
    done = import_crossfilter(store, path, root=tmp_path / "photos")
    assert (done.new, done.updated, done.unclear) == (1, 3, ())


def refuse(store: Store, path: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        import_crossfilter(store, path)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    assert store.snapshot().number == 1
    assert store.settings.models == ()


def test_refuses_other_files(store: Store, tmp_path: Path) -> None:
    refuse(store, tmp_path / "none.db", "no such file")
    refuse(store, tmp_path, "not a file")
    (tmp_path / "t.db").write_text("no database, but more than sixteen characters")
    refuse(store, tmp_path / "t.db", "not a SQLite file")
    (tmp_path / "h.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 200)
    refuse(store, tmp_path / "h.db", "not a readable SQLite file")
    (tmp_path / "e.db").write_bytes(b"")
    refuse(store, tmp_path / "e.db", "not a SQLite file")
    with sqlite3.connect(tmp_path / "o.db") as connection:
        connection.execute("CREATE TABLE other (a, b)")
    connection.close()
    refuse(store, tmp_path / "o.db", "no table of vectors")
    refuse(store, database(tmp_path / "n.db", {}), "no rows")


def test_refuses_changes_that_are_still_in_the_log(store: Store, tmp_path: Path) -> None:
    path = database(tmp_path / "c.db", {UUIDS[0]: pack(vectors(1)[0])})
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("INSERT INTO SIGLIP2_EMBEDDINGS VALUES ('x', x'00')")
    connection.commit()
    try:
        refuse(store, path, "wal_checkpoint")
    finally:
        connection.close()


def test_views_and_generated_columns_run_nothing(store: Store, tmp_path: Path) -> None:
    """A stranger's schema may hold expressions; none of them is evaluated."""
    path = tmp_path / "c.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE VIEW A_EMBEDDINGS AS SELECT 'x' AS UUID, randomblob(9) AS EMBEDDING")
        connection.execute(
            "CREATE TABLE B_EMBEDDINGS (UUID TEXT, x, EMBEDDING BLOB AS (zeroblob(1000000000)) VIRTUAL)"
        )
        connection.execute("INSERT INTO B_EMBEDDINGS (UUID) VALUES ('u')")
    connection.close()
    refuse(store, path, "no table of vectors")


@pytest.mark.parametrize(
    ("blob", "word"),
    [
        (None, "not a BLOB"),
        ("text", "not a BLOB"),
        (7, "not a BLOB"),
        (b"", "not msgpack"),
        (b"\xc1", "not msgpack"),
        (msgpack.packb([1.0, 2.0]), "not a msgpack-numpy array"),
        (msgpack.packb({"nd": False, "type": "<f4", "data": b"0000"}), "not a msgpack-numpy array"),
        (pack(np.ones(3, "<i4")), "little-endian floats"),
        (pack(np.ones(3, ">f4")), "little-endian floats"),
        (pack(np.ones(3, "<c8")), "little-endian floats"),
        (pack(np.ones(3, "<f4"), type=[["a", "<f4"]], kind=b"V"), "little-endian floats"),
        (pack(np.ones(3, "<f4"), kind=b"O", data=pickle.dumps(_Bomb())), "unpickled"),
        (pack(np.ones(3, "<f4"), type="O", data=pickle.dumps(_Bomb())), "little-endian floats"),
        (pack(np.ones((2, 2), "<f4")), "of shape"),
        (pack(np.ones(3, "<f4"), shape=[4]), "of shape"),
        (pack(np.ones(3, "<f4"), shape=[-3]), "of shape"),
        (pack(np.ones(3, "<f4"), shape=[True]), "array"),
        (pack(np.ones(3, "<f4"), shape=7), "array"),
        (pack(np.ones(0, "<f4")), "of shape"),
        (pack(np.ones(20_000, "<f4")), "of shape"),
        (pack(np.ones(60_000, "<f4")), "bytes"),
        (msgpack.packb(msgpack.ExtType(1, b"x")), "not msgpack"),
        (b"\x91" * 5000 + b"\xc0", "not msgpack"),
    ],
)
def test_what_is_no_vector_is_refused(blob: object, word: str) -> None:
    with pytest.raises(Malformed, match=word):
        decode_vector(blob)


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8"])
def test_vectors_of_any_float(kind: str) -> None:
    array = vectors(1)[0].astype(kind)
    assert np.array_equal(decode_vector(pack(array)), array)
    assert np.array_equal(decode_vector(pack(array[None])), array)
    old = msgpack.packb(
        {b"nd": True, b"type": kind, b"shape": (8,), b"data": array.tobytes()}, use_bin_type=False
    )
    assert np.array_equal(decode_vector(old), array)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_vectors_are_refused_or_read(data: st.DataObject) -> None:
    blob = bytearray(pack(vectors(1)[0]))
    for place in data.draw(st.lists(st.integers(0, len(blob) - 1), min_size=1, max_size=6)):
        blob[place] ^= data.draw(st.integers(1, 255))
    try:
        assert decode_vector(bytes(blob)).dtype.kind == "f"
    except Malformed:
        pass


def test_a_wrong_row_stores_nothing(store: Store, tmp_path: Path) -> None:
    good = pack(vectors(1)[0])
    bad = np.full(8, np.nan, np.float32)
    cases: list[tuple[dict[object, object], tuple[str, ...]]] = [
        ({UUIDS[0]: good, UUIDS[1]: pack(bad)}, ("row 2", "not finite")),
        ({UUIDS[0]: good, UUIDS[1]: pack(bad * 0)}, ("row 2",)),
        ({UUIDS[0]: good, UUIDS[1]: pack(np.ones(7, np.float32))}, ("row 2", "7 numbers", "has 8")),
        ({UUIDS[0]: good, UUIDS[1]: None}, ("row 2", "not a BLOB")),
        ({UUIDS[0]: good, UUIDS[1]: b"x" * 500_000}, ("SQLite",)),
        ({UUIDS[0]: good, "": good}, ("row 2", "empty")),
        ({UUIDS[0]: good, None: good}, ("row 2", "not text")),
        ({UUIDS[0]: good, b"\xff": good}, ("row 2", "not text")),
    ]
    for number, (rows, words) in enumerate(cases):
        refuse(store, database(tmp_path / f"{number}.db", rows), *words)
    assert not store.settings.roots


def test_a_wrong_file_adds_no_root(store: Store, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    path = database(tmp_path / "c.db", {UUIDS[0]: b"x"})
    with pytest.raises(InputError):
        import_crossfilter(store, path, root=tmp_path / "photos")
    with pytest.raises(InputError, match="not a folder"):
        good = database(tmp_path / "d.db", {UUIDS[0]: pack(vectors(1)[0])})
        import_crossfilter(store, good, root=tmp_path / "nowhere")
    assert store.settings.roots == ()


def test_a_name_that_needs_quoting(tmp_path: Path) -> None:
    path = database(tmp_path / "a?b#c %41.db", {UUIDS[0]: pack(vectors(1)[0])})
    assert open_table(path).names == UUIDS[:1]


def test_without_msgpack_it_says_what_to_install(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(InputError, match=r"pip install 'colonnade\[crossfilter\]'"):
        import_crossfilter(store, tmp_path / "c.db")
