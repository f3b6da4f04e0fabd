"""What `plan` foretells of a collection that grows, shrinks or goes away is what `sync` then reports."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cli_process import colonnade
from collections_on_disk import make_store, scan, write_image
from PIL import Image

from colonnade.engine.embed import embed
from colonnade.engine.fit_run import fit_attributes
from colonnade.engine.import_embeddings import import_vectors
from colonnade.engine.prompts import store_prompts
from colonnade.engine.registry import use_model
from colonnade.engine.scoring import unit_length
from colonnade.engine.settings import Model
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_files
from colonnade.engine.tag import tag

TWO = """\
base_attributes:
  - {code: moon, label: Moon, description: the Moon}
  - {code: sun, label: Sun, description: the Sun}
derived_attributes:
  - {code: sky, label: Sky, description: any, rule: {any_of: [moon, sun]}}
"""
TWO_TEMPLATES = TWO + "templates: ['one {description}', 'two {description}']\n"


def add(store: Store, first: int, count: int) -> None:
    for number in range(first, first + count):
        write_image(store.settings.roots[0].path / f"{number:03d}.jpg", number)


def planned(plan: dict[str, Any]) -> dict[str, int]:
    base = [item for item in plan["attributes"] if not item["derived"]]
    return {
        "embedded": plan["images_to_embed"],
        "prompts": len(plan["prompts_to_encode"]),
        "phrases": plan["phrases_to_encode"],
        "calibrated": len(plan["to_calibrate"]),
        "rows": sum(item["rows"] for item in base),
        "scored": len(base),
        "derived": len(plan["attributes"]) - len(base),
    }


def done(outcomes: dict[str, dict[str, int]]) -> dict[str, int]:
    embedded, scored = outcomes["embed"], outcomes["tag"]
    return {
        "embedded": embedded["embedded"] + embedded["copies, vector shared"],
        "prompts": scored["prompts encoded"],
        "phrases": scored["background phrases encoded"],
        "calibrated": scored["attributes calibrated"],
        "rows": scored["rows scored"],
        "scored": scored["attributes scored"],
        "derived": outcomes["derive"]["attributes derived"],
    }


def plan_and_sync(store: Store) -> dict[str, int]:
    """What was planned, which is what was done, and of which nothing is left."""
    before = colonnade(store.path, "plan", "--json")
    after = colonnade(store.path, "sync", "--json")
    assert (before.code, after.code) == (1, 0), after.err
    foretold = planned(before.json)
    assert foretold == done(after.json["outcomes"])
    derived = {item["code"]: item["rows"] for item in before.json["attributes"] if item["derived"]}
    assert derived == {code: rows_of(store, code) for code in derived}
    again = colonnade(store.path, "plan", "--json")
    assert (again.code, again.json["empty"]) == (0, True)
    return foretold


def rows_of(store: Store, code: str) -> int:
    return int(read_files(store.snapshot().files("scores", code)).num_rows)


@pytest.mark.parametrize("vocabulary", [TWO, TWO_TEMPLATES])
def test_images_that_are_yet_to_be_embedded_count_for_the_first_fit(tmp_path: Path, vocabulary: str) -> None:
    store = make_store(tmp_path, images=250, vocabulary=vocabulary)
    scan(store)
    embed(store, limit=100)
    found = plan_and_sync(store)
    assert (found["embedded"], found["calibrated"], found["rows"]) == (150, 2, 500)
    assert found["phrases"] > 1000


def test_a_store_that_grows_past_what_auto_needs_is_fitted_and_scored_anew(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=150, vocabulary=TWO)
    found = plan_and_sync(store)
    assert (found["calibrated"], found["phrases"], found["rows"]) == (0, 0, 300)
    add(store, 150, 40)
    found = plan_and_sync(store)
    assert (found["calibrated"], found["phrases"], found["rows"]) == (0, 0, 80), "still fewer than 200"
    add(store, 190, 30)
    assert tag(store).attributes == (), "the images to come are not there yet"
    found = plan_and_sync(store)
    assert (found["calibrated"], found["rows"]) == (2, 440)
    assert found["phrases"] > 1000
    add(store, 220, 10)
    found = plan_and_sync(store)
    assert found == {
        "embedded": 10, "prompts": 0, "phrases": 0, "calibrated": 0, "rows": 20, "scored": 2, "derived": 1,
    }  # fmt: skip


def test_an_attribute_that_changes_is_scored_for_the_images_to_come_as_well(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=6, vocabulary=TWO)
    plan_and_sync(store)
    store.vocabulary_path.write_text(TWO.replace("the Sun", "our Sun"))
    add(store, 6, 2)
    found = plan_and_sync(store)
    assert (found["embedded"], found["prompts"], found["rows"]) == (2, 1, 8 + 2)


@pytest.mark.parametrize("embedded", [False, True])
def test_what_the_scan_will_find_counts_once(tmp_path: Path, embedded: bool) -> None:
    store = make_store(tmp_path, images=9, vocabulary=TWO)
    scan(store)
    if embedded:
        plan_and_sync(store)
    photos = tmp_path / "photos"
    write_image(photos / "001.jpg", 501)
    os.utime(photos / "001.jpg", (5, 5))
    (photos / "002.jpg").unlink()
    (photos / "sub").mkdir()
    (photos / "003.jpg").rename(photos / "sub" / "003.jpg")
    add(store, 9, 1)
    found = plan_and_sync(store)
    assert (found["embedded"], found["rows"]) == ((2, 4) if embedded else (9, 18))


def test_an_image_that_comes_back_before_it_was_embedded_is_to_be(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=3, vocabulary=TWO)
    scan(store)
    one = tmp_path / "photos" / "001.jpg"
    one.rename(tmp_path / "aside.jpg")
    assert plan_and_sync(store)["embedded"] == 2
    (tmp_path / "aside.jpg").rename(one)
    found = plan_and_sync(store)
    assert (found["embedded"], found["rows"]) == (1, 2)


def test_a_linked_folder_that_goes_before_it_is_embedded_is_no_work(tmp_path: Path) -> None:
    away = tmp_path / "away"
    write_image(away / "deep" / "a.jpg", 90)
    store = make_store(tmp_path, images=0, vocabulary=TWO)
    (tmp_path / "photos" / "link").symlink_to(away)
    scan(store)
    away.rename(tmp_path / "gone")
    for _ in range(2):
        assert colonnade(store.path, "sync").code == 1, "there is something to tell"
        plan = colonnade(store.path, "plan", "--json")
        assert (plan.code, plan.json["images_to_embed"], plan.json["scan"]["unseen"]) == (1, 0, 1)
        assert plan.json["empty"]
    assert "to embed" not in colonnade(store.path, "status").out
    add(store, 1, 2)
    assert colonnade(store.path, "sync", "--json").json["outcomes"]["embed"]["embedded"] == 2
    (tmp_path / "gone").rename(away)
    assert plan_and_sync(store)["embedded"] == 1


def test_files_that_were_only_touched_are_told_from_those_that_changed(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=6, vocabulary=TWO)
    plan_and_sync(store)
    photos = tmp_path / "photos"
    for number in range(4):
        os.utime(photos / f"{number:03d}.jpg", (5, 5))
    with (photos / "005.jpg").open("ab") as file:
        file.write(b"\0")
    plan = colonnade(store.path, "plan", "--json").json
    assert (plan["images_to_embed"], plan["images_perhaps"]) == (5, 4)
    assert (plan["scan"]["changed"], plan["scan"]["same_size"]) == (5, 4)
    told = colonnade(store.path, "plan").out
    assert "at most 5 images to embed" in told and "4 of them only if" in told
    after = colonnade(store.path, "sync", "--json").json["outcomes"]
    assert (after["scan"]["touched, same content"], after["embed"]["embedded"]) == (4, 1)
    assert colonnade(store.path, "plan").code == 0


@pytest.mark.parametrize("kept_time", [True, False])
@pytest.mark.parametrize("folder", [".", "deeper"])
def test_files_elsewhere_are_told_by_size_and_time(tmp_path: Path, kept_time: bool, folder: str) -> None:
    store = make_store(tmp_path, images=6, vocabulary=TWO)
    plan_and_sync(store)
    photos = tmp_path / "photos"
    (photos / "deeper").mkdir()
    for number in range(4):
        name = f"other-{number}.jpg" if folder == "." else f"{number:03d}.jpg"
        moved = (photos / f"{number:03d}.jpg").rename(photos / folder / name)
        if not kept_time:
            os.utime(moved, (number, number))
    plan = colonnade(store.path, "plan", "--json").json
    assert (plan["scan"]["looks_moved"], plan["scan"]["vanished"]) == ((4, 0) if kept_time else (0, 4))
    assert (plan["images_to_embed"], plan["images_perhaps"]) == ((0, 0) if kept_time else (4, 4))
    assert bool(plan["attributes"]) is not kept_time
    after = colonnade(store.path, "sync", "--json").json["outcomes"]
    assert (after["scan"]["moved, embedding kept"], after["embed"]["embedded"]) == (4, 0)
    assert colonnade(store.path, "plan").code == 0


def test_copies_that_were_read_are_not_priced_as_images_to_decode(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=3, vocabulary=TWO)
    photos = tmp_path / "photos"
    scan(store)
    shutil.copy(photos / "000.jpg", photos / "twin.jpg")
    scan(store)
    assert colonnade(store.path, "plan", "--json").json["copies"] == 1
    plan_and_sync(store)
    for number in range(4):
        shutil.copy(photos / "001.jpg", photos / f"copy{number}.jpg")
    for number in range(2):
        shutil.copy(write_image(tmp_path / "fresh.jpg", 70), photos / f"fresh{number}.jpg")
    scan(store)
    plan = colonnade(store.path, "plan", "--json").json
    assert (plan["images_to_embed"], plan["copies"]) == (6, 5)
    told = colonnade(store.path, "plan").out
    assert "5 of them copies" in told
    after = colonnade(store.path, "sync", "--json").json["outcomes"]["embed"]
    assert (after["embedded"], after["copies, vector shared"]) == (1, 5)


def test_another_picture_of_the_name_and_size_of_one_that_is_gone_is_planned(tmp_path: Path) -> None:
    """Uncompressed scans all have one size."""
    store = make_store(tmp_path, images=3, vocabulary=TWO)
    photos = tmp_path / "photos"
    for number in (3, 4):
        with Image.open(write_image(photos / "x.jpg", number)) as image:
            image.save(photos / f"{number}.bmp")
    (photos / "x.jpg").unlink()
    plan_and_sync(store)
    (photos / "new").mkdir()
    with Image.open(write_image(tmp_path / "x.jpg", 77)) as image:
        image.save(photos / "new" / "3.bmp")
    os.utime(photos / "new" / "3.bmp", (9, 9))
    (photos / "3.bmp").unlink()
    plan = colonnade(store.path, "plan", "--json").json
    assert (plan["images_to_embed"], plan["images_perhaps"]) == (1, 1)
    assert plan_and_sync(store)["embedded"] == 1


def test_what_was_changed_and_changed_back_before_it_was_derived_needs_no_deriving(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=6, vocabulary=TWO)
    plan_and_sync(store)
    store.vocabulary_path.write_text(TWO.replace("the Sun", "our Sun"))
    tag(store)
    assert [work.code for work in store.plan().derived] == ["sky"]
    store.vocabulary_path.write_text(TWO)
    found = plan_and_sync(store)
    assert (found["scored"], found["derived"]) == (1, 0)


def test_files_that_can_be_opened_now_are_work(tmp_path: Path) -> None:
    """Refused so far, as a run by somebody who may not read them leaves them."""
    store = make_store(tmp_path, images=3, vocabulary=TWO)
    plan_and_sync(store)

    def refuse(path: str, **columns: object) -> None:
        snapshot = store.snapshot()
        rows = read_files(snapshot.files("images")).to_pylist()
        for row in rows:
            if row["path"] == path:
                row |= {"state": "unreadable", **columns}
        with open_stage(store.path, command="test") as stage:
            table = pa.Table.from_pylist(rows, SCHEMAS["images"])
            stage.replace("images", None, 0, table, read=snapshot.files("images"))
            stage.commit()

    refuse("001.jpg", error="permission denied", content_hash=None)
    plan = colonnade(store.path, "plan", "--json")
    assert (plan.code, plan.json["empty"], plan.json["scan"]["changed"]) == (1, False, 1)
    assert colonnade(store.path, "sync").code == 0
    assert colonnade(store.path, "plan").code == 0
    refuse("001.jpg", error="input/output error", content_hash=None)
    plan = colonnade(store.path, "plan", "--json")
    assert plan.json["scan"]["retried"] == 1, "that it opens tells nothing of whether it can be read"


def put_prompts(store: Store, model: Model) -> None:
    vocabulary = store.vocabulary()
    prompts = [text for attribute in vocabulary.base for text in vocabulary.prompts(attribute.code)]
    vectors = unit_length(np.random.default_rng(4).standard_normal((len(prompts), 8)).astype(np.float32))
    with open_stage(store.path, command="test") as stage:
        store_prompts(stage, model, dict(zip(prompts, vectors, strict=True)))
        stage.commit()


def test_a_model_with_fewer_images_leaves_fewer_derived_rows(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store", vocabulary=TWO.encode(), model="hash")
    many = Model("many", "", 8, 100.0)
    for model, count in ((many, 13), (replace(many, key="few"), 3)):
        block = unit_length(np.random.default_rng(count).standard_normal((count, 8)).astype(np.float32))
        import_vectors(store, model, [f"{number}.jpg" for number in range(count)], block)
        put_prompts(store, model)
    use_model(store, "many")
    assert plan_and_sync(store)["rows"] == 26
    use_model(store, "few")
    assert plan_and_sync(store)["rows"] == 6
    assert rows_of(store, "sky") == 3
    use_model(store, "many")
    assert plan_and_sync(store)["rows"] == 26


def put_answers(store: Store, code: str) -> None:
    """Yes and no in turn, to every image."""
    seen = read_files(store.snapshot().files("images"), ["image_id", "content_hash"]).to_pylist()
    rows = [
        {**image, "present": image["image_id"] % 2 == 0, "reviewer": "ann", "policy": "policy",
         "reviewed_at": datetime(2024, 1, 1, tzinfo=UTC)}
        for image in seen
    ]  # fmt: skip
    with open_stage(store.path, command="test") as stage:
        stage.append("labels", code, 0, pa.Table.from_pylist(rows, SCHEMAS["labels"]), read=())
        stage.commit()


@pytest.mark.slow
def test_answers_about_images_to_come_count_for_the_fit_of_another_model(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=40, vocabulary=TWO)
    plan_and_sync(store)
    put_answers(store, "sun")
    fit_attributes(store, ["sun"], "labels")
    store.sync()
    use_model(store, "demo")
    assert plan_and_sync(store)["calibrated"] == 1
