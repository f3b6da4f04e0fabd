"""`verify` finds each thing that can be wrong, and nothing in a sound store; it never hangs or looks outside."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sound_stores import MODEL, add_images, embedding_rows, rows, unit_vectors

from colonnade.engine.errors import StoreError
from colonnade.engine.garbage import collect
from colonnade.engine.snapshots import DataFile
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, write_parquet
from colonnade.engine.verify import verify


def faults(store: Store) -> str:
    """All faults as text; each has a place, and says what to do."""
    report = verify(store.path)
    assert report.sound == (not report.faults)
    for fault in report.faults:
        assert fault.where
        assert fault.what
        assert fault.advice
        assert "\n" not in str(fault)
    return "\n".join(str(fault) for fault in report.faults)


def test_a_sound_store(store: Store) -> None:
    report = verify(store.path)
    assert report.faults == ()
    assert report.notes == ()
    assert report.snapshots == 5
    assert report.rows == 40 * 6 + 2 + 4 + 5 + 2 + 5
    assert report.bytes == sum(
        {f.stat().st_ino: f.stat().st_size for f in store.path.glob("_tables/**/*.parquet")}.values()
    )


def test_progress_ends_at_the_whole(store: Store) -> None:
    seen: list[tuple[int, int]] = []
    verify(store.path, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]


def test_it_only_reads(store: Store) -> None:
    def state() -> list[tuple[str, int, int]]:
        return sorted(
            (str(path), path.lstat().st_mtime_ns, path.lstat().st_size) for path in store.path.rglob("*")
        )

    before = state()
    verify(store.path)
    assert state() == before


Edit = Callable[[dict[str, list[Any]]], None]


def rewrite(store: Store, table: str, partition: str | None, edit: Edit) -> None:
    """Commit rows that a sound program would not write."""
    snapshot = store.snapshot()
    cell = snapshot.cell(table, partition, 0)
    columns = read_files(cell).to_pydict()
    edit(columns)
    schema = pa.schema([(f.name, f.type) for f in pq.read_schema(cell[0].path)])
    with open_stage(store.path, command="test") as stage:
        stage.replace(table, partition, 0, pa.table(columns, schema=schema), read=cell)
        stage.commit()


def put(column: str, value: Any, row: int = 2) -> Edit:
    def edit(columns: dict[str, list[Any]]) -> None:
        columns[column][row] = value

    return edit


def change(column: str, function: Callable[[Any], Any], row: int = 2) -> Edit:
    def edit(columns: dict[str, list[Any]]) -> None:
        columns[column][row] = function(columns[column][row])

    return edit


def twice(columns: dict[str, list[Any]]) -> None:
    for name in ("root", "path"):
        columns[name][5] = columns[name][6]


def another_status(word: str) -> str:
    return {"accepted": "tentative", "tentative": "rejected", "rejected": "accepted"}[word]


WRONG_ROWS: list[tuple[str, str | None, Edit, str]] = [
    ("images", None, put("state", "lost"), "1 row with a state other than ok, unreadable, missing (first: image 2)"),
    ("images", None, put("source", None), "with a source other than"),
    ("images", None, put("bytes", -1), "with bytes below 0"),
    ("images", None, put("state", "unreadable"), "unreadable without a reason"),
    ("images", None, put("path", None), "without a path"),
    ("images", None, twice, "1 images have the root and path of another"),
    ("images", None, put("image_id", 70_000, 39), "never given out (40 is the next)"),
    ("images", None, put("image_id", 70_000, 39), "images: rows are lost: in shard 0 there are vectors of images that"),
    ("embeddings", MODEL.key, change("embedding", lambda v: [2 * x for x in v]), "not of unit length (first: image 2)"),
    ("embeddings", MODEL.key, put("embedding", [float("nan")] * 8), "whose vector is not finite"),
    ("embeddings", MODEL.key, put("embedding", None), "missing vectors"),
    ("embeddings", MODEL.key, put("image_id", 39_000, 39), "images that the images table lacks (1 in one file"),
    ("prompts", MODEL.key, put("kind", "other", 0), "of a kind other than attribute, background"),
    ("prompts", MODEL.key, lambda c: c["prompt"].__setitem__(0, c["prompt"][1]), "of a prompt that another row has"),
    ("scores", "earth", put("confidence", 1.5), "with a confidence outside 0 to 1"),
    ("scores", "earth", put("confidence", float("nan")), "with a confidence that is not a number"),
    ("scores", "earth", put("confidence", None), "of a base attribute without a logit or confidence"),
    ("scores", "earth", change("confidence", lambda c: c + 1e-5), "confidence is not what their logit and fit give"),
    ("scores", "earth", change("status", another_status), "status is not what their definition's thresholds give"),
    ("scores", "earth", put("status", "maybe"), "with a status other than accepted, tentative, rejected"),
    ("scores", "earth", put("logit", float("inf")), "with a logit that is not finite"),
    ("scores", "earth", put("logit", None), "of a base attribute without a logit"),
    ("scores", "earth", put("label_source", "derived_rule"), "whose label_source is not clip_zero_shot"),
    ("scores", "earth", put("model", "another"), "whose model is not toy"),
    ("scores", "earth", put("definition", "0123456789abcdef"), "which the definitions table lacks"),
    ("scores", "earth", put("definition", None), "without a definition"),
    ("scores", "both", put("logit", 1.0), "of a derived attribute with a logit"),
    ("definitions", None, change("json", lambda text: text + " ", 0), "is not the hash of its text"),
    ("definitions", None, put("json", None, 0), "has no text"),
    ("labels", "earth", put("policy", "guess"), "drawn otherwise than by"),
    ("labels", "earth", put("probability", 0.0), "with a probability outside 0 to 1"),
    ("labels", "earth", put("reviewed_at", None), "without the time"),
    ("labels", "earth", put("image_id", 77, 3), "of images that the images table lacks"),
    ("sets", "best of", put("image_id", 39_999, 4), "of images that the images table lacks"),
    ("projections", MODEL.key, put("latitude", 91.0), "with a latitude beyond 90"),
    ("projections", MODEL.key, put("longitude", None), "with a longitude beyond 180"),
    ("calibrations", "earth", put("scale", 0.0, 0), "whose center or scale is no number"),
    ("calibrations", "earth", put("fit", "{", 0), "whose fit is not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "partition", "edit", "words"),
    WRONG_ROWS,
    ids=[f"{row[0]}: {row[3][:50]}" for row in WRONG_ROWS],
)
def test_wrong_rows(store: Store, table: str, partition: str | None, edit: Edit, words: str) -> None:
    rewrite(store, table, partition, edit)
    assert words in faults(store)


def own_definition(document: object) -> dict[str, str]:
    text = json.dumps(document)
    return {"definition": hashlib.sha256(text.encode()).hexdigest()[:16], "json": text}


def appending(row: dict[str, str]) -> Edit:
    def edit(columns: dict[str, list[Any]]) -> None:
        for name, value in row.items():
            columns[name].append(value)

    return edit


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "does not say of what kind"),
        ({"kind": "magic"}, "does not say of what kind"),
        (
            {"kind": "confidence", "logit": "feedfeedfeedfeed"},
            "builds on the logits feedfeedfeedfeed, which are missing",
        ),
    ],
)
def test_wrong_definitions(store: Store, document: object, words: str) -> None:
    rewrite(store, "definitions", None, appending(own_definition(document)))
    assert words in faults(store)


def test_fits_of_a_newer_version_are_noted(store: Store) -> None:
    """They cannot be recomputed here; that alone is not wrong."""
    snapshot = store.snapshot()
    data = read_files(snapshot.files("definitions"))
    known = dict(zip(data["definition"].to_pylist(), data["json"].to_pylist(), strict=True))
    used = read_files(snapshot.files("scores", "earth"))["definition"][0].as_py()
    made = own_definition(json.loads(known[used]) | {"fit": {"method": "of the future", "cut": 3}})
    rewrite(store, "definitions", None, appending(made))
    rewrite(store, "scores", "earth", lambda c: c.update(definition=[made["definition"]] * 40))
    report = verify(store.path)
    assert report.sound, report.faults
    assert "unknown method" in report.notes[0]


def data_file(store: Store, table: str = "scores", partition: str | None = "earth") -> DataFile:
    return store.snapshot().files(table, partition)[0]


def replace_file(file: DataFile, data: pa.Table, **options: Any) -> None:
    """Put another file in the place of one, with a name that fits its content."""
    file.path.unlink()
    digest = write_parquet(file.table, data, file.path) if not options else None
    if digest is None:
        pq.write_table(data, file.path, **options)
        digest = hashlib.sha256(file.path.read_bytes()).hexdigest()
    file.path.rename(file.path.with_name(f"part-{file.shard:05d}-{digest[:12]}.parquet"))


def test_a_flipped_byte(store: Store) -> None:
    path = data_file(store, "embeddings", MODEL.key).path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    said = faults(store)
    assert "its content has the SHA-256" in said
    assert "_tables/embeddings/" in said


def test_a_flipped_byte_in_an_old_snapshot(store: Store) -> None:
    old = data_file(store, "sets", "best of").path
    with open_stage(store.path, command="test") as stage:
        stage.drop("sets", "best of", read=store.snapshot().files("sets", "best of"))
        stage.commit()
    old.write_bytes(old.read_bytes()[:-1])
    said = faults(store)
    assert "_tables/sets/" in said
    assert "gc --keep-snapshots 1 --keep-seconds 0" in said
    collect(store.path, keep_snapshots=1, keep_seconds=0)
    assert verify(store.path).sound


@pytest.mark.parametrize("kind", ["gone", "cut", "not parquet", "link", "pipe", "folder", "sparse"])
def test_damaged_files(store: Store, tmp_path: Path, kind: str) -> None:
    """Found, and found soon: nothing is waited for and no link is followed."""
    path = data_file(store).path
    content = path.read_bytes()
    path.unlink()
    if kind == "cut":
        path.write_bytes(content[:100])
    elif kind == "not parquet":
        path.write_bytes(b"hello")
    elif kind == "link":
        (tmp_path / "outside.parquet").write_bytes(content)
        path.symlink_to(tmp_path / "outside.parquet")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "sparse":
        path.touch()
        os.truncate(path, 1 << 36)
    started = time.monotonic()
    said = faults(store)
    assert "attribute_code=earth" in said
    assert time.monotonic() - started < 5
    if kind == "link":
        assert "a link (to " in said


def test_a_file_of_absurd_claims(store: Store) -> None:
    file = data_file(store, "sets", "best of")
    many = pa.table({"image_id": np.arange(200_000)})
    replace_file(file, many, compression="zstd")
    assert "claims 200,000 rows; a shard has at most 131,072" in faults(store)


def test_missing_columns(store: Store) -> None:
    file = data_file(store)
    replace_file(file, read_files([file], ["image_id", "logit", "log_odds"]), compression="none")
    assert "the column confidence is missing" in faults(store)


def test_footers_that_are_not_true(store: Store) -> None:
    file = data_file(store)
    data = read_files([file])
    facts = {"id_digest": "00", "min_id": 3, "max_id": 4, "definition": "x", "model": "y"}
    replace_file(file, data.replace_schema_metadata({"colonnade": json.dumps(facts)}), compression="none")
    said = faults(store)
    for words in (
        "its footer's id digest",
        "its footer says ids 3 to 4",
        "its footer says definition x",
        "model y",
    ):
        assert words in said
    assert "`colonnade tag earth --force`" in said


def test_unsorted_ids(store: Store) -> None:
    file = data_file(store, "sets", "best of")
    replace_file(file, pa.table({"image_id": [3, 1, 1]}), compression="none")
    said = faults(store)
    assert "with the image id of the row before" in said
    assert "out of the order of image ids" in said


def test_the_same_id_in_two_files(store: Store) -> None:
    read = store.snapshot().cell("sets", "best of", 0)
    with open_stage(store.path, command="test") as stage:
        stage.append("sets", "best of", 0, rows("sets", [{"image_id": i} for i in (4, 9)]), read=read)
        stage.commit()
    assert "shard 0: 1 image ids are in more than one file" in faults(store)


def test_another_shard(store: Store) -> None:
    path = data_file(store, "sets", "best of").path
    path.rename(path.with_name(path.name.replace("part-00000", "part-00003")))
    assert "do not belong to shard 3" in faults(store)


def test_vectors_of_another_length(store: Store) -> None:
    read = store.snapshot().cell("embeddings", MODEL.key, 0)
    with open_stage(store.path, command="test") as stage:
        data = embedding_rows(np.arange(40), unit_vectors(40, dimension=6))
        stage.replace("embeddings", MODEL.key, 0, data, read=read)
        stage.commit()
    assert "of 6 numbers instead of 8" in faults(store)


def test_an_unknown_model_is_noted(store: Store) -> None:
    with open_stage(store.path, command="test") as stage:
        stage.append("embeddings", "other", 0, embedding_rows(np.arange(40), unit_vectors(40)), read=())
        stage.commit()
    report = verify(store.path)
    assert report.sound
    assert "model other is not in colonnade.toml" in report.notes[0]


def snapshot_file(store: Store, name: str) -> Path:
    return store.snapshot().path / name


def spoil(path: Path, text: str | None) -> None:
    path.unlink()
    if text is not None:
        path.write_text(text)


NAMES: list[tuple[str, Callable[[Store], object], str]] = [
    ("live outside", lambda s: relink(s.path / "live", "/etc"), "outside _snap/"),
    ("live dangling", lambda s: relink(s.path / "live", "_snap/00000009"), "snapshot 9, which is missing"),
    ("live gone", lambda s: (s.path / "live").unlink(), "live: missing; make it anew: ln -sfn _snap/00000005 "),
    ("top link", lambda s: relink(s.path / "scores", "/etc"), "scores: leads to '/etc' instead of live/scores"),
    ("top link gone", lambda s: (s.path / "sets").unlink(), "make it anew: ln -s live/sets sets"),
    ("table link", lambda s: relink(snapshot_file(s, "sets"), "/etc"), "outside _tables/sets/"),
    ("table link gone", lambda s: snapshot_file(s, "sets").unlink(), "_snap/00000005/sets: "),
    ("old table link", lambda s: (s.path / "_snap/00000002/sets").unlink(), "_snap/00000002/sets: "),
    ("version gone", lambda s: shutil.rmtree(s.snapshot().version("sets")), "not a folder of the store"),
    ("facts", lambda s: spoil(snapshot_file(s, "snapshot.json"), "[]"), "snapshot.json: not an object"),
    ("facts gone", lambda s: spoil(snapshot_file(s, "snapshot.json"), None), "snapshot.json: "),
    ("ids fell", lambda s: spoil(snapshot_file(s, "snapshot.json"), '{"next_image_id": 3}'), "given out twice"),
    ("no date", lambda s: spoil(snapshot_file(s, "snapshot.json"), '{"next_image_id": 40}'), "when it was made"),
    ("vocabulary", lambda s: spoil(snapshot_file(s, "vocabulary.yaml"), "a: 1"), "vocabulary.yaml: "),
    ("vocabulary gone", lambda s: spoil(snapshot_file(s, "vocabulary.yaml"), None), "vocabulary.yaml: missing"),
    ("settings", lambda s: spoil(s.path / "colonnade.toml", "format = 1\nmodel = 3"), "colonnade.toml: damaged"),
    ("settings gone", lambda s: spoil(s.path / "colonnade.toml", None), "colonnade.toml: "),
    ("foreign file", lambda s: (data_file(s).path.parent / "x.parquet").touch(), "not the name of a data file"),
    ("foreign folder", lambda s: (data_file(s).path.parents[1] / "x").mkdir(), "not the name of a partition"),
    ("foreign in a snapshot", lambda s: (s.snapshot().path / "x").mkdir(), "_snap/00000005/x: not part of"),
    ("partition link", lambda s: relink(data_file(s).path.parents[1] / "attribute_code=x", "/etc"), "(to '/etc')"),
    ("empty partition", lambda s: (data_file(s).path.parents[1] / "attribute_code=x").mkdir(), "what it held is lost"),
    ("folder link", lambda s: relink_folder(s.path / "_stage", "/etc"), "_stage: not a folder"),
]  # fmt: skip


def relink(link: Path, target: str) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def relink_folder(folder: Path, target: str) -> None:
    folder.rmdir()
    folder.symlink_to(target)


@pytest.mark.parametrize(("act", "words"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
def test_wrong_names(store: Store, act: Callable[[Store], object], words: str) -> None:
    act(store)
    assert words in faults(store)


@pytest.mark.parametrize("act", [Path.unlink, lambda live: relink(live, "_snap/00000009")])
def test_live_is_made_anew_as_it_is_told(store: Store, act: Callable[[Path], object]) -> None:
    number = store.snapshot().number
    moved = store.path.rename(store.path.with_name("a store; of mine"))
    act(moved / "live")
    (fault,) = verify(moved).faults
    subprocess.run(fault.advice.removeprefix("make it anew: "), shell=True, check=True)
    assert Store(moved).snapshot().number == number
    assert verify(moved).sound


def test_a_store_without_live_is_not_taken_for_none(store: Store) -> None:
    (store.path / "live").unlink()
    with pytest.raises(StoreError, match=r"live: missing; make it anew: ln -sfn _snap/00000005 ") as told:
        Store(store.path)
    assert "init" not in str(told.value)


def test_a_live_that_is_a_folder_cannot_be_made_anew_by_a_link(store: Store) -> None:
    (store.path / "live").unlink()
    (store.path / "live").mkdir()
    assert "live: not a link" in faults(store)
    assert "ln -s" not in faults(store)


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here"):
        verify(tmp_path)


def test_very_many_faults_are_counted(store: Store) -> None:
    folder = data_file(store).path.parent
    for number in range(1500):
        (folder / f"{number}.x").touch()
    report = verify(store.path)
    assert len(report.faults) == 1000
    assert report.more_faults == 500


def test_drips(store: Store) -> None:
    """Several files in a cell are as sound as one."""
    for seed in range(3):
        add_images(store, 5, seed=seed)
    report = verify(store.path)
    assert report.sound, report.faults
    assert len(store.snapshot().cell("images", None, 0)) == 4
