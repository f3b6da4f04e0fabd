"""People's judgements: what is read, what stands, and what is set aside."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_stores import image
from vector_files import add_files, new_store, vectors

from colonnade.engine.errors import InputError
from colonnade.engine.import_embeddings import import_vectors
from colonnade.engine.label_export import FORMATS, render_labels
from colonnade.engine.label_files import read_judgements
from colonnade.engine.labels import CodeLabels, export_labels, import_labels, list_labels
from colonnade.engine.review_answers import IMPORTED, Answer, save_answer
from colonnade.engine.settings import Model
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_files

UUID = "0b5e1f00-aaaa-4bbb-8ccc-0123456789ab"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Files 0 to 3, of which 2 and 3 have one path in two roots, and an imported image named 77."""
    made = new_store(tmp_path / "s")
    add_files(
        made,
        image(0, path="a.jpg", content_hash="h0"),
        image(1, path=f"x/{UUID}.jpg", uuid=UUID, content_hash="h1"),
        image(2, path="same.jpg", root="one", content_hash="h2"),
        image(3, path="same.jpg", root="two", content_hash="h3"),
    )
    import_vectors(made, Model("m", "", 8, 1.0), ["77"], vectors(1))
    return made


def judgements(path: Path, rows: Sequence[Mapping[str, Any]], kind: str = "csv") -> Path:
    """A file of these rows."""
    file = path / f"l.{kind}"
    if kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), file)
    else:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        file.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    return file


def stored(store: Store, code: str = "earth") -> dict[tuple[int, str], bool | None]:
    files = store.snapshot().files("labels", code)
    rows = read_files(files).to_pylist() if files else []
    return {(row["image_id"], row["reviewer"]): row["present"] for row in rows}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format(store: Store, tmp_path: Path, kind: str) -> None:
    rows = [
        {
            "path": "a.jpg",
            "code": "earth",
            "present": "yes",
            "reviewer": "ann",
            "reviewed_at": "2026-05-01T12:00:00Z",
        },
        {
            "path": f"x/{UUID}.jpg",
            "code": "earth",
            "present": "no",
            "reviewer": "ann",
            "reviewed_at": "2026-05-01",
        },
        {"path": "a.jpg", "code": "moon", "present": "unsure", "reviewer": "", "reviewed_at": ""},
    ]
    done = import_labels(store, judgements(tmp_path, rows, kind))
    assert (done.read, done.written, done.set_aside, done.skipped) == (3, 3, 0, ())
    assert stored(store) == {(0, "ann"): True, (1, "ann"): False}
    assert stored(store, "moon") == {(0, ""): None}
    row = read_files(store.snapshot().files("labels", "earth")).to_pylist()[0]
    assert row["content_hash"] == "h0"
    assert row["reviewed_at"] == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert (row["policy"], row["probability"]) == ("imported", None)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(True, True), (1, True), ("1", True), ("YES", True), ("true", True), (False, False), (0, False), ("No", False),
     (None, None), ("unsure", None), ("null", None), ("U", None)],
)  # fmt: skip
def test_answers(tmp_path: Path, value: object, wanted: bool | None) -> None:
    path = judgements(tmp_path, [{"path": "a", "code": "c", "present": value}], "jsonl")
    found, faults = read_judgements(path)
    assert faults == []
    assert found[0].present is wanted


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ({"path": "a.jpg"}, 0),
        ({"image_id": 1}, 1),
        ({"image_id": "1"}, 1),
        ({"uuid": UUID.upper()}, 1),
        ({"id": "77"}, 4),
        ({"id": "3"}, 3),
        ({"path": "same.jpg", "root": "two"}, 3),
        ({"path": "same.jpg"}, "2 images of path 'same.jpg'"),
        ({"path": "none.jpg"}, "no image of path 'none.jpg'"),
        ({"image_id": 99}, "no image of image_id '99'"),
        ({"image_id": "x"}, "no image of image_id 'x'"),
        ({"uuid": "x"}, "no image of uuid 'x'"),
        ({"path": ""}, "no image: one of"),
        ({"path": 1.5}, "must be text"),
        ({"path": "x" * 5000}, "longer than"),
        ({"path": "\ud800"}, "not Unicode"),
    ],
)
def test_naming_images(store: Store, tmp_path: Path, names: dict[str, object], wanted: int | str) -> None:
    path = judgements(tmp_path, [names | {"code": "earth", "present": True}], "jsonl")
    if isinstance(wanted, int):
        import_labels(store, path)
        assert stored(store) == {(wanted, ""): True}
    else:
        with pytest.raises(InputError, match=wanted):
            import_labels(store, path)


def test_unknown_lines_are_named_and_refuse_all(store: Store, tmp_path: Path) -> None:
    rows = [
        {"path": "a.jpg", "code": "earth", "present": "yes"},
        {"path": "none.jpg", "code": "earth", "present": "yes"},
        {"path": "a.jpg", "code": "eart", "present": "yes"},
        {"path": "a.jpg", "code": "earth", "present": "maybe"},
        {"path": "a.jpg", "code": "", "present": "yes"},
    ]
    path = judgements(tmp_path, rows)
    number = store.snapshot().number
    with pytest.raises(InputError) as caught:
        import_labels(store, path)
    lines = str(caught.value).split("\n")
    assert [line.removeprefix(str(path)) for line in lines[:4]] == [
        ":3: no image of path 'none.jpg'",
        ":4: no attribute 'eart' in the vocabulary; did you mean earth?",
        ":5: present is 'maybe'; it must be yes, no or unsure",
        ":6: no code",
    ]
    assert "nothing was imported" in lines[4]
    assert store.snapshot().number == number
    done = import_labels(store, path, skip_unknown=True)
    assert [fault.line for fault in done.skipped] == [3, 4, 5, 6]
    assert stored(store) == {(0, ""): True}


def test_a_derived_attribute_has_no_labels(store: Store, tmp_path: Path) -> None:
    code = store.vocabulary().derived[0].code
    with pytest.raises(InputError, match=f":2: {code} is derived by a rule; label what that names: "):
        import_labels(store, judgements(tmp_path, [{"path": "a.jpg", "code": code, "present": "yes"}]))


def test_tables_as_pandas_writes_them(store: Store, tmp_path: Path) -> None:
    """With the numbers of the rows, and whole numbers as fractions where some are missing."""
    table = pd.DataFrame(
        {
            "image_id": [0, None],
            "path": [None, "same.jpg"],
            "root": [None, "two"],
            "code": "earth",
            "present": [True, False],
        }
    )
    table.to_parquet(tmp_path / "l.parquet")
    import_labels(store, tmp_path / "l.parquet")
    assert stored(store) == {(0, ""): True, (3, ""): False}
    table.drop(columns="image_id")[1:].assign(code="moon").to_csv(tmp_path / "l.csv")
    import_labels(store, tmp_path / "l.csv")
    assert stored(store, "moon") == {(3, ""): False}


def test_an_answer_put_right_from_elsewhere_stays_in_the_audit(store: Store, tmp_path: Path) -> None:
    audit = {"reviewer": "ann", "policy": "audit", "probability": 0.25, "code": "earth"}
    import_labels(
        store,
        judgements(
            tmp_path,
            [
                {"image_id": 0, "present": "no", **audit},
                {"image_id": 1, "present": "yes", **audit},
                {"image_id": 2, "present": "no", **audit, "policy": "audit again"},
            ],
        ),
    )

    def chosen() -> list[tuple[bool, str, float | None]]:
        rows = read_files(store.snapshot().files("labels", "earth")).to_pylist()
        return [(row["present"], row["policy"], row["probability"]) for row in rows]

    plain = [{"image_id": place, "code": "earth", "reviewer": "ann", "present": "yes"} for place in range(3)]
    assert import_labels(store, judgements(tmp_path, plain)).written == 2, "one says what is known"
    assert chosen() == [(True, "audit", 0.25), (True, "audit", 0.25), (True, "audit", 0.25)]
    save_answer(store, "earth", Answer(0, "ann", False, None, IMPORTED, None), "h0")
    assert chosen()[0] == (False, "audit", 0.25)
    change_picture(store, 0, "other")
    save_answer(store, "earth", Answer(0, "ann", True, None, IMPORTED, None), "other")
    assert chosen()[0] == (True, IMPORTED, None), "it was another picture that was drawn"


def test_many_faults_are_cut(store: Store, tmp_path: Path) -> None:
    rows = [{"path": f"n{i}", "code": "earth", "present": "yes"} for i in range(1000)]
    with pytest.raises(InputError) as caught:
        import_labels(store, judgements(tmp_path, rows))
    assert len(str(caught.value).split("\n")) == 22
    assert "and 980 more" in str(caught.value)


def test_line_numbers_of_quoted_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text('path,code,present\n"a\nb",c,yes\nd,c,perhaps\ne,c\nf,c,yes,more\n')
    found, faults = read_judgements(path)
    assert [(judgement.line, judgement.image) for judgement in found] == [(2, ("path", "a\nb"))]
    assert [fault.line for fault in faults] == [4, 5, 6]


def test_the_newest_of_a_reviewer_stands(store: Store, tmp_path: Path) -> None:
    def answer(present: str, reviewer: str, day: int) -> dict[str, str]:
        time = f"2026-05-{day:02}T00:00:00"
        return {
            "path": "a.jpg",
            "code": "earth",
            "present": present,
            "reviewer": reviewer,
            "reviewed_at": time,
        }

    import_labels(
        store, judgements(tmp_path, [answer("yes", "ann", 5), answer("no", "ann", 9), answer("no", "bob", 1)])
    )
    assert stored(store) == {(0, "ann"): False, (0, "bob"): False}
    done = import_labels(store, judgements(tmp_path, [answer("yes", "ann", 7), answer("yes", "bob", 2)]))
    assert done.written == 1
    assert stored(store) == {(0, "ann"): False, (0, "bob"): True}
    number = store.snapshot().number
    assert import_labels(store, judgements(tmp_path, [answer("yes", "bob", 2)])).written == 0
    assert store.snapshot().number == number


def test_importing_again_without_times_changes_nothing(store: Store, tmp_path: Path) -> None:
    path = judgements(tmp_path, [{"path": "a.jpg", "code": "earth", "present": "yes"}])
    assert import_labels(store, path).written == 1
    assert import_labels(store, path).written == 0
    path = judgements(tmp_path, [{"path": "a.jpg", "code": "earth", "present": "no"}])
    assert import_labels(store, path).written == 1, "another answer, made now"


def change_picture(store: Store, image_id: int, content: str) -> None:
    cell = store.snapshot().cell("images", None, 0)
    rows = [
        r | ({"content_hash": content} if r["image_id"] == image_id else {})
        for r in read_files(cell).to_pylist()
    ]
    with open_stage(store.path, command="test") as stage:
        stage.replace("images", None, 0, pa.Table.from_pylist(rows, SCHEMAS["images"]), read=cell)
        stage.commit()


def test_labels_of_a_changed_picture_are_set_aside(store: Store, tmp_path: Path) -> None:
    rows = [{"image_id": i, "code": "earth", "present": "yes", "reviewer": "ann"} for i in range(5)]
    import_labels(store, judgements(tmp_path, rows))
    change_picture(store, 2, "other")
    (earth,) = list_labels(store.snapshot(), store.vocabulary())
    assert earth == CodeLabels("earth", 4, 0, 0, 4, ("ann",), 1, True)
    labels = list(export_labels(store.snapshot()))
    assert [label["current"] for label in labels] == [True, True, False, True, True]
    assert len(stored(store)) == 5, "kept"
    import_labels(store, judgements(tmp_path, [rows[2]]))
    (earth,) = list_labels(store.snapshot(), store.vocabulary())
    assert (earth.yes, earth.set_aside) == (5, 0), "judged anew"


@pytest.mark.parametrize("kind", FORMATS)
def test_round_trip(store: Store, tmp_path: Path, kind: str) -> None:
    """What is exported comes back as it was, into the same store and into another one; set aside stays set aside."""
    rows = [
        {"image_id": 0, "code": "earth", "present": "yes", "reviewer": "ann"},
        {"image_id": 0, "code": "earth", "present": "unsure", "reviewer": 'bob, "the" reviewer\n'},
        {"image_id": 3, "code": "earth", "present": "no", "reviewer": ""},
        {"image_id": 4, "code": "moon", "present": "no", "reviewer": "ann"},
    ]
    import_labels(store, judgements(tmp_path, rows))
    change_picture(store, 3, "other")
    before = list(export_labels(store.snapshot()))
    assert sorted((label["code"], label["image_id"]) for label in before) == [
        ("earth", 0), ("earth", 0), ("earth", 3), ("moon", 4)
    ]  # fmt: skip
    path = tmp_path / f"out.{kind}"
    path.write_bytes(render_labels(before, kind))
    number = store.snapshot().number
    assert import_labels(store, path).written == 0
    assert store.snapshot().number == number
    for code in ("earth", "moon"):
        with open_stage(store.path, command="test") as stage:
            stage.drop("labels", code, read=store.snapshot().files("labels", code))
            stage.commit()
    done = import_labels(store, path)
    assert (done.written, done.set_aside) == (4, 1)
    assert list(export_labels(store.snapshot())) == before


def test_labels_of_other_policies_survive_the_import_of_their_export(store: Store, tmp_path: Path) -> None:
    row = {
        "image_id": 0, "content_hash": "h0", "present": True, "reviewer": "ann", "policy": "policy",
        "reviewed_at": datetime(2026, 1, 1, tzinfo=UTC), "probability": 0.25,
    }  # fmt: skip
    with open_stage(store.path, command="test") as stage:
        stage.append("labels", "earth", 0, pa.Table.from_pylist([row], SCHEMAS["labels"]), read=())
        stage.commit()
    path = tmp_path / "out.csv"
    path.write_bytes(render_labels(export_labels(store.snapshot()), "csv"))
    import_labels(store, path)
    assert read_files(store.snapshot().files("labels", "earth")).to_pylist() == [row]


def test_list_of_codes(store: Store, tmp_path: Path) -> None:
    assert list_labels(store.snapshot(), store.vocabulary()) == ()
    import_labels(store, judgements(tmp_path, [{"image_id": 0, "code": "moon", "present": "no"}]))
    assert [row.code for row in list_labels(store.snapshot(), store.vocabulary())] == ["moon"]
    (earth,) = list_labels(store.snapshot(), store.vocabulary(), ["earth"])
    assert earth == CodeLabels("earth", 0, 0, 0, 0, (), 0, True)
    with pytest.raises(InputError, match="did you mean earth"):
        list_labels(store.snapshot(), store.vocabulary(), ["erth"])
    store.vocabulary_path.write_text("base_attributes: []\n")
    (orphan,) = list_labels(store.snapshot(), store.vocabulary())
    assert (orphan.code, orphan.known) == ("moon", False)


def test_the_table_holds_one_row_for_an_image_and_reviewer(store: Store) -> None:
    def stage_rows(*keys: tuple[int, str | None]) -> None:
        rows = [{"image_id": i, "reviewer": reviewer, "present": True} for i, reviewer in keys]
        with open_stage(store.path, command="test") as stage:
            stage.append("labels", "earth", 0, pa.Table.from_pylist(rows, SCHEMAS["labels"]), read=())
            stage.commit()

    with pytest.raises(ValueError, match="twice"):
        stage_rows((1, "ann"), (0, "bob"), (1, "ann"))
    stage_rows((2, "bob"), (1, None), (2, "ann"), (1, "zed"))
    data = read_files(store.snapshot().files("labels", "earth"), ["image_id", "reviewer"]).to_pylist()
    assert [(row["image_id"], row["reviewer"]) for row in data] == [
        (1, "zed"),
        (1, None),
        (2, "ann"),
        (2, "bob"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("l.txt", b"", "come as"),
        ("l.csv", b"", "no column"),
        ("l.csv", b"path,code\na,b\n", "no column present"),
        ("l.csv", b"code,present\na,b\n", "image_id or path"),
        ("l.csv", b"path,code,present\n\xff,b,yes\n", "not UTF-8"),
        ("l.csv", b'path,code,present\n"a,b,yes\n', "not CSV"),
        ("l.csv", b"path,code,present\n" + b"x" * 200_000, "not CSV"),
        ("l.jsonl", b"x" * (1 << 21), "longer than 1 MiB"),
        ("l.parquet", b"PAR1", "damaged Parquet"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes, word: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=word) as caught:
        read_judgements(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_lines_that_are_no_objects(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(b'{"path": "a", "code": "c", "present": null}\n\n[1]\nnot json\n\xff\n' + b"[" * 100_000)
    found, faults = read_judgements(path)
    assert len(found) == 1
    assert [fault.line for fault in faults] == [3, 4, 5, 6]


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_judgements(tmp_path / "none.csv")
    with pytest.raises(InputError, match="not a file"):
        read_judgements(tmp_path)


@pytest.mark.parametrize(
    "time", ["2999-01-01", "yesterday", "2026-13-01", "0001-01-01T00:00:00+14:00", 5, [1], "9" * 500]
)
def test_wrong_times(tmp_path: Path, time: object) -> None:
    row = {"path": "a", "code": "c", "present": True, "reviewed_at": time}
    _, faults = read_judgements(judgements(tmp_path, [row], "jsonl"))
    assert "reviewed_at" in faults[0].message


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200), kind=st.sampled_from(["csv", "jsonl", "parquet"]))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes, kind: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{kind}"
    head = b"path,code,present\n" if kind == "csv" else b""
    path.write_bytes(head + content)
    try:
        read_judgements(path)
    except InputError:
        pass


def test_vectors_do_not_disturb_labels(store: Store, tmp_path: Path) -> None:
    """Another vector voids scores, not judgements."""
    import_labels(store, judgements(tmp_path, [{"id": "77", "code": "earth", "present": "yes"}]))
    import_vectors(store, Model("m", "", 8, 1.0), ["77"], np.asarray(vectors(1, seed=9)))
    assert stored(store) == {(4, ""): True}


@pytest.mark.parametrize(("probability", "faults"), [("1e-300", 1), ("1e-13", 1), ("1e-12", 0), ("1", 0)])
def test_an_audit_with_an_impossible_probability_is_refused(
    tmp_path: Path, probability: str, faults: int
) -> None:
    row = {"path": "a.jpg", "code": "earth", "present": "yes", "policy": "audit", "probability": probability}
    read, wrong = read_judgements(judgements(tmp_path, [row]))
    assert (len(read), len(wrong)) == (1 - faults, faults)
    assert all("at least 1e-12" in fault.message for fault in wrong)
