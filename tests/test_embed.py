"""What `embed` makes of files that change, fail or have copies, and of a model chosen meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import clip_models
import numpy as np
import pyarrow.parquet as pq
import pytest
from cli_process import colonnade, process
from collections_on_disk import (
    embedding_of,
    image_states,
    make_store,
    scan,
    unopenable,
    vectors_by_path,
    write_image,
)

from colonnade.engine import embed_copies, pipeline, scan_run
from colonnade.engine.decode import DecodeError
from colonnade.engine.embed import embed
from colonnade.engine.embedder import Embedder, load_embedder
from colonnade.engine.embedder_hash import HashEmbedder
from colonnade.engine.embedding_rows import add_vectors
from colonnade.engine.errors import ConflictError, ModelError, StoreError
from colonnade.engine.garbage import collect
from colonnade.engine.registry import use_model
from colonnade.engine.search import similar_to_file
from colonnade.engine.settings import update_settings
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.sync import make_plan, run_plan
from colonnade.engine.tables import read_files
from colonnade.engine.verify import verify


def damage(path: Path) -> None:
    """Cut a file's picture short, which its header does not show."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def photos_of(store: Store) -> Path:
    return store.settings.roots[0].path


def sync(store: Store) -> Any:
    return run_plan(store, make_plan(store))


def breaking(monkeypatch: pytest.MonkeyPatch, names: set[str], error: DecodeError) -> None:
    """Have the files of these names fail in the decoder."""
    honest = pipeline.embed_files

    def flawed(embedder: Embedder, items: Any, **options: Any) -> Any:
        given = list(items)
        bad = [item[0] for item in given if item[1].name in names]
        causes = {} if error.cause is None else dict.fromkeys(bad, error.cause)
        failures = tuple((image_id, str(error)) for image_id in bad)
        none = np.zeros((0, embedder.dimension), np.float32)
        yield from honest(embedder, [item for item in given if item[0] not in bad], **options)
        if bad:
            yield pipeline.EmbeddedBatch(np.zeros(0, np.int64), none, failures, causes)

    monkeypatch.setattr(pipeline, "embed_files", flawed)


def test_a_file_changed_since_the_scan_gives_its_copies_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=1)
    photos = photos_of(store)
    write_image(photos / "a.jpg", 5)
    shutil.copy(photos / "a.jpg", photos / "b.jpg")
    expected = embedding_of(photos / "b.jpg")
    scan(store)
    write_image(photos / "a.jpg", 77)
    os.utime(photos / "a.jpg", (5, 5))
    outcome = embed(store)
    assert (outcome.embedded, outcome.shared, outcome.left, outcome.failed) == (2, 0, 1, 0)
    found = vectors_by_path(store)
    assert found.keys() == {"000.jpg", "b.jpg"} and (found["b.jpg"] == expected).all()
    assert set(image_states(store).values()) == {("ok", None)}
    sync(store)
    assert make_plan(store).empty
    assert (vectors_by_path(store)["a.jpg"] == embedding_of(photos / "a.jpg")).all()


def test_a_file_that_changes_in_the_decoder(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", 1)
    status = path.stat()
    for version, cause in (((status.st_size, 7), "changed"), ((1, status.st_mtime_ns // 1000), "changed")):
        (batch,) = pipeline.embed_files(HashEmbedder(), [(3, path, version)])
        assert batch.failures == ((3, "changed since it was scanned"),) and batch.causes == {3: cause}
    (batch,) = pipeline.embed_files(
        HashEmbedder(), [(3, path, (status.st_size, status.st_mtime_ns // 1000)), (4, path, None)]
    )
    assert batch.ids.tolist() == [3, 4]


def test_a_failure_says_nothing_about_newer_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(tmp_path, images=2)
    scan(store)
    breaking(monkeypatch, {"000.jpg"}, DecodeError("image file is truncated"))

    def meanwhile(done: int, total: int, failures: int) -> None:
        if failures:
            write_image(photos_of(store) / "000.jpg", 99)
            os.utime(photos_of(store) / "000.jpg", (9, 9))
            scan(store)

    embed(store, progress=meanwhile)
    assert image_states(store) == {"000.jpg": ("ok", None), "001.jpg": ("ok", None)}
    monkeypatch.undo()
    sync(store)
    assert vectors_by_path(store).keys() == {"000.jpg", "001.jpg"}


def test_copies_of_a_damaged_picture_fail_with_it(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=1)
    photos = photos_of(store)
    damage(write_image(photos / "c.jpg", 3))
    for number in range(3):
        shutil.copy(photos / "c.jpg", photos / f"c{number}.jpg")
    outcome = sync(store).embed
    assert (outcome.embedded, outcome.failed, outcome.left) == (1, 4, 0)
    assert {path for path, _ in outcome.failures} == {"c.jpg", "c0.jpg", "c1.jpg", "c2.jpg"}
    states = image_states(store)
    assert states.pop("000.jpg") == ("ok", None)
    assert {state for state, _ in states.values()} == {"unreadable"} and len(states) == 4
    assert not any(error and "--retry" in error for _, error in states.values())
    assert make_plan(store).empty


def test_a_copy_is_decoded_where_only_the_file_is_to_blame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path, images=1)
    photos = photos_of(store)
    for number in range(3):
        shutil.copy(photos / "000.jpg", photos / f"copy{number}.jpg")
    scan(store)
    (photos / "000.jpg").unlink()
    breaking(monkeypatch, {"copy0.jpg"}, DecodeError("input/output error", "file"))
    outcome = embed(store)
    assert (outcome.embedded, outcome.shared, outcome.failed, outcome.left) == (1, 1, 1, 1)
    assert vectors_by_path(store).keys() == {"copy1.jpg", "copy2.jpg"}
    assert image_states(store)["copy0.jpg"] == (
        "unreadable",
        "input/output error; the next sync tries it again",
    )


def test_what_the_system_would_not_give_is_tried_again_by_the_next_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path, images=2)
    scan(store)
    breaking(monkeypatch, {"000.jpg"}, DecodeError("permission denied", "file"))
    monkeypatch.setattr(scan_run, "read_item", unopenable)
    monkeypatch.setattr("colonnade.engine.scan.can_open", lambda path: False)
    refused = {
        "000.jpg": ("unreadable", "permission denied; the next sync tries it again"),
        "001.jpg": ("ok", None),
    }
    for decoded in (1, 0):
        outcome = sync(store)
        assert (outcome.embed.embedded, outcome.failures) == (decoded, 1)
        assert image_states(store) == refused
        plan = make_plan(store)
        assert (plan.empty, plan.retries) == (True, 1)
    monkeypatch.undo()
    assert sync(store).embed.embedded == 1
    assert set(image_states(store).values()) == {("ok", None)}
    plan = make_plan(store)
    assert (plan.empty, plan.retries) == (True, 0)
    assert vectors_by_path(store).keys() == {"000.jpg", "001.jpg"}


@pytest.mark.parametrize("reason", ["crashed (SIGKILL)", "took longer than 30 s", "x" * 300])
@pytest.mark.parametrize(("again", "decoded"), [("retry", 1), ("force", 5)])
def test_what_failed_for_a_passing_reason_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, again: str, decoded: int
) -> None:
    store = make_store(tmp_path, images=3)
    sync(store)
    write_image(photos_of(store) / "new.jpg", 50)
    shutil.copy(photos_of(store) / "new.jpg", photos_of(store) / "twin.jpg")
    breaking(monkeypatch, {"new.jpg"}, DecodeError(reason, "worker"))
    sync(store)
    monkeypatch.undo()
    for name in ("new.jpg", "twin.jpg"):
        state, error = image_states(store)[name]
        assert state == "unreadable" and error is not None and len(error) <= 300
        assert error.startswith(reason[:200]) and error.endswith(
            "; run `colonnade embed --retry` to try again"
        )
    assert make_plan(store).empty
    write_image(photos_of(store) / "other.jpg", 70)
    scan(store)
    outcome = embed(store, force=again == "force", retry=again == "retry")
    assert (outcome.embedded, outcome.shared, outcome.failed) == (decoded, 1, 0)
    assert set(image_states(store).values()) == {("ok", None)}
    assert len(vectors_by_path(store)) == (6 if again == "force" else 5)
    sync(store)
    assert make_plan(store).empty


def test_force_removes_no_score_where_the_vector_is_the_same(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=3)
    sync(store)
    files = store.snapshot().files("scores")
    assert files
    assert embed(store, force=True).embedded == 3
    assert store.snapshot().files("scores") == files
    assert make_plan(store).empty


def add_missing(store: Store, name: str) -> None:
    """Embed one more image, in a data file of its own, and let its picture vanish."""
    write_image(photos_of(store) / name, 77)
    sync(store)
    (photos_of(store) / name).unlink()
    scan(store)


def embedding_files(store: Store) -> list[DataFile]:
    """The largest first."""
    files = store.snapshot().files("embeddings")
    return sorted(files, key=lambda file: file.path.stat().st_size, reverse=True)


def vectors_damaged(file: DataFile) -> None:
    """Damage the vectors of a data file; its ids can be read."""
    start = pq.read_metadata(file.path).row_group(0).column(1).data_page_offset
    content = bytearray(file.path.read_bytes())
    content[start : start + 40] = bytes(40)
    file.path.write_bytes(content)
    read_files([file], ["image_id"])
    with pytest.raises(StoreError, match="damaged"):
        read_files([file])


@pytest.mark.parametrize("way", [vectors_damaged, lambda file: os.truncate(file.path, 100)])
def test_force_makes_a_damaged_file_anew(
    tmp_path: Path, way: Callable[[DataFile], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colonnade.engine.embed.COMMIT_IMAGES", 2)
    store = make_store(tmp_path, images=6)
    sync(store)
    before = vectors_by_path(store)
    add_missing(store, "gone.jpg")
    damaged, _ = embedding_files(store)
    way(damaged)
    said: list[str] = []
    assert embed(store, force=True, batch=2, on_conflict=said.append).embedded == 6
    assert len(said) == 1 and damaged.name in said[0]
    after = vectors_by_path(store)
    assert after.keys() == {*before, "gone.jpg"}  # the latter is in another file
    assert all(np.array_equal(after[path], vector) for path, vector in before.items())
    scored = read_files(store.snapshot().files("scores", "earth"), ["image_id"])["image_id"].to_pylist()
    assert scored == [6]  # the others' scores stood for vectors that nobody can compare with
    sync(store)
    assert make_plan(store).empty
    collect(store.path, keep_snapshots=1, keep_seconds=0)
    assert verify(store.path).sound


def stage_two(store: Store, snapshot: Snapshot, stage: Stage, ids: list[int]) -> tuple[DataFile, ...]:
    model = store.settings.active
    assert model is not None
    vectors = np.eye(model.dimension, dtype=np.float32)[: len(ids)]
    return add_vectors(stage, snapshot, model, 0, np.array(ids), vectors, mend=True)


def test_a_damaged_file_is_replaced_only_if_the_cell_is_as_it_was_read(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=3)
    sync(store)
    snapshot = store.snapshot()
    (file,) = snapshot.files("embeddings")
    add_missing(store, "gone.jpg")
    os.truncate(file.path, 100)
    with open_stage(store.path, command="embed") as stage:
        assert stage_two(store, snapshot, stage, [0, 1]) == (file,)
        with pytest.raises(ConflictError, match="changed meanwhile"):
            stage.commit()


def test_a_damaged_file_that_has_none_of_the_images_stays(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=3)
    sync(store)
    add_missing(store, "gone.jpg")
    _, damaged = embedding_files(store)
    vectors_damaged(damaged)
    with open_stage(store.path, command="embed") as stage:
        assert stage_two(store, store.snapshot(), stage, [0, 1]) == ()
        stage.commit()
    assert damaged.name in {file.name for file in embedding_files(store)}


def test_a_file_that_is_not_there_is_not_taken_for_damaged(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    sync(store)
    snapshot = store.snapshot()
    snapshot.files("embeddings")[0].path.unlink()
    with open_stage(store.path, command="embed") as stage, pytest.raises(StoreError):
        stage_two(store, snapshot, stage, [0, 1])


def test_force_keeps_the_reason_of_what_fails_again(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=1)
    damage(write_image(photos_of(store) / "bad.jpg", 3))
    (photos_of(store) / "text.jpg").write_text("no picture")
    sync(store)
    before = image_states(store)
    outcome = embed(store, force=True)
    assert (outcome.embedded, outcome.failed) == (1, 2)
    sync(store)
    assert image_states(store) == before and make_plan(store).empty


def unloadable(spec: str) -> Embedder:
    raise ModelError(f"{spec}: cannot be loaded")


def test_a_copy_of_an_embedded_image_needs_no_model(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=3)
    sync(store)
    photos = photos_of(store)
    for name in ("copy.jpg", "again.jpg"):
        shutil.copy(photos / "001.jpg", photos / name)
    scan(store)
    seen: list[tuple[int, int, int]] = []
    outcome = embed(store, load=unloadable, progress=lambda *told: seen.append(told))
    assert (outcome.embedded, outcome.shared, outcome.left) == (0, 2, 0)
    assert seen == [(2, 2, 0)]
    found = vectors_by_path(store)
    assert len(found) == 5
    assert all((found[name] == found["001.jpg"]).all() for name in ("copy.jpg", "again.jpg"))


def test_many_copies_are_shared_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(tmp_path, images=3)
    sync(store)
    photos = photos_of(store)
    for number in range(7):
        shutil.copy(photos / f"{number % 3:03d}.jpg", photos / f"copy{number}.jpg")
    write_image(photos / "copy3a.jpg", 50)
    scan(store)
    monkeypatch.setattr(embed_copies, "_BLOCK_IMAGES", 3)
    before = store.snapshot().number
    with pytest.raises(ModelError, match="cannot be loaded"):
        embed(store, load=unloadable)
    assert store.snapshot().number == before + 3
    found = vectors_by_path(store)
    assert len(found) == 10
    assert all((found[f"copy{number}.jpg"] == found[f"{number % 3:03d}.jpg"]).all() for number in range(7))


@pytest.mark.parametrize("gone", ["folder", "files"])
@pytest.mark.parametrize("how", [{}, {"force": True}, {"retry": True}])
def test_no_model_is_loaded_where_no_file_is_there(tmp_path: Path, gone: str, how: dict[str, Any]) -> None:
    store = make_store(tmp_path, images=2)
    photos = photos_of(store)
    broken = (photos / "000.jpg").read_bytes()[:700]
    (photos / "broken.jpg").write_bytes(broken)
    scan(store)
    assert embed(store).failed == 1
    write_image(photos / "new.jpg", 9)
    scan(store)
    if gone == "folder":
        photos.rename(tmp_path / "away")
    else:
        for file in photos.iterdir():
            file.unlink()
    before = store.snapshot().number
    outcome = embed(store, load=unloadable, **how)
    assert (outcome.embedded, outcome.shared, outcome.failed) == (0, 0, 0)
    assert outcome.left >= 1
    assert store.snapshot().number == before


def test_copies_are_kept_where_the_model_for_the_rest_cannot_be_loaded(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    sync(store)
    photos = photos_of(store)
    shutil.copy(photos / "001.jpg", photos / "copy.jpg")
    write_image(photos / "new.jpg", 50)
    shutil.copy(photos / "new.jpg", photos / "twin.jpg")
    scan(store)
    with pytest.raises(ModelError, match="cannot be loaded"):
        embed(store, load=unloadable)
    assert vectors_by_path(store).keys() == {"000.jpg", "001.jpg", "copy.jpg"}
    outcome = embed(store)
    assert (outcome.embedded, outcome.shared) == (1, 1)


def test_copies_and_new_pictures_are_counted_together(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    sync(store)
    photos = photos_of(store)
    shutil.copy(photos / "001.jpg", photos / "copy.jpg")
    write_image(photos / "new.jpg", 50)
    scan(store)
    seen: list[tuple[int, int, int]] = []
    outcome = embed(store, progress=lambda *told: seen.append(told))
    assert (outcome.embedded, outcome.shared) == (1, 1)
    assert seen[-1] == (2, 2, 0)


def test_what_has_a_vector_is_not_shared_but_made_anew_where_it_is_forced(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    sync(store)
    shutil.copy(photos_of(store) / "001.jpg", photos_of(store) / "copy.jpg")
    scan(store)
    outcome = embed(store, force=True)
    assert (outcome.embedded, outcome.shared) == (2, 1)


def test_the_command_tries_again_what_failed_and_that_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path, images=3)
    breaking(monkeypatch, {"001.jpg"}, DecodeError("took longer than 30 s", "worker"))
    sync(store)
    monkeypatch.undo()
    write_image(photos_of(store) / "new.jpg", 50)
    scan(store)
    for embedded in (1, 0):
        done = colonnade(store.path, "embed", "--retry", "--json")
        assert (done.code, done.json["outcomes"]["embed"]["embedded"]) == (0, embedded)
    assert vectors_by_path(store).keys() == {"000.jpg", "001.jpg", "002.jpg"}
    assert set(image_states(store).values()) == {("ok", None)}


def test_a_copy_of_what_could_not_be_decoded_gives_it_its_vector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path, images=1)
    breaking(monkeypatch, {"000.jpg"}, DecodeError("crashed (SIGKILL)", "worker"))
    sync(store)
    shutil.copy(photos_of(store) / "000.jpg", photos_of(store) / "copy.jpg")
    sync(store)
    monkeypatch.undo()
    assert image_states(store)["000.jpg"][0] == "unreadable"
    outcome = embed(store, retry=True, load=unloadable)
    assert (outcome.embedded, outcome.shared) == (0, 1)
    assert set(image_states(store).values()) == {("ok", None)}


def test_a_sync_of_a_copy_imports_no_torch(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    sync(store)
    active = store.settings.active
    assert active is not None
    gone = replace(active, spec=f"local-dir:{tmp_path / 'gone'}")
    update_settings(store.path, lambda now: replace(now, spec=gone.spec, models=(gone,)))
    shutil.copy(photos_of(store) / "001.jpg", photos_of(store) / "copy.jpg")
    done = process(store.path, "sync", "--json")
    assert done.code == 0 and done.err.endswith("heavy: []")
    outcomes = done.json["outcomes"]
    assert outcomes["embed"]["copies, vector shared"] == 1 and outcomes["tag"]["rows scored"] == 3
    assert make_plan(store).empty


def test_a_model_chosen_while_another_loads_stays_chosen(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    scan(store)

    def slow(spec: str) -> Embedder:
        embedder = load_embedder(spec)
        use_model(store, "demo")
        return embedder

    assert embed(store, load=slow).embedded == 2
    assert store.settings.spec == "demo" and store.settings.active is None
    assert [model.spec for model in store.settings.models] == ["hash"]


def test_a_limit_counts_the_pictures_that_are_decoded(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=5)
    photos = photos_of(store)
    shutil.copy(photos / "004.jpg", photos / "copy.jpg")
    scan(store)
    (photos / "000.jpg").unlink()
    write_image(photos / "001.jpg", 60)
    os.utime(photos / "001.jpg", (9, 9))
    found = []
    for _ in range(4):
        outcome = embed(store, limit=1)
        found.append((outcome.embedded, outcome.shared, outcome.left))
    assert found == [(1, 0, 2), (1, 0, 2), (1, 1, 2), (0, 0, 2)]


@pytest.mark.parametrize("change", [{"key": "hash-of-other-weights"}, {"dimension": 4}])
def test_a_picture_is_compared_with_embeddings_of_the_same_weights_alone(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    store = make_store(tmp_path, images=2)
    sync(store)
    asked = photos_of(store) / "001.jpg"
    assert (similar_to_file(store, asked) == embedding_of(asked)).all()
    active = store.settings.active
    assert active is not None
    update_settings(store.path, lambda now: now.with_model(replace(active, **change), activate=True))
    with pytest.raises(ModelError, match=r"weights are hash now|vectors of 512 numbers"):
        similar_to_file(store, asked)


def test_vectors_imported_under_the_name_of_a_model_compare_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path, images=1)
    sync(store)
    monkeypatch.setattr(HashEmbedder, "key", "hash-0123")
    assert similar_to_file(store, photos_of(store) / "000.jpg").shape == (512,)


def test_a_tokenizer_with_more_tokens_than_the_text_tower_is_one_line(tmp_path: Path) -> None:
    clip_models.save(tmp_path / "model", clip_models.changed(clip_models.VIT, "text_cfg", vocab_size=1000))
    embedder = load_embedder(f"local-dir:{tmp_path / 'model'}", device="cpu")
    with pytest.raises(ModelError, match="its text tower knows 1000 tokens") as caught:
        embedder.encode_prompts(["the Earth"])
    assert "\n" not in str(caught.value)
