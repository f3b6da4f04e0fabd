"""Whatever is done to a store whose attributes are fitted: a sync leaves nothing to do, and everything sound."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from collections_on_disk import data_files
from crash_helpers import assert_sound
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted_stores import images, planted_store, put_background, put_images

from colonnade.engine.calibration_store import active_model, store_fits
from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.fit_run import fit_attributes, set_cut
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS, read_files
from colonnade.engine.tag import tag

OPERATIONS = st.sampled_from(
    ["new images", "other images", "background", "prompt", "threshold", "new attribute", "remove attribute", "label",
     "fit", "fit fixed", "fit labels", "forget", "cut", "tag one", "derive", "sync"]
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_store(tmp_path_factory.mktemp("property"), 205).path


@pytest.mark.slow
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    rounds=st.lists(st.lists(OPERATIONS, min_size=1, max_size=4), min_size=1, max_size=3),
    random=st.randoms(use_true_random=False),
)
def test_after_a_sync_the_plan_is_empty(
    made: Path, tmp_path_factory: pytest.TempPathFactory, rounds: list[list[str]], random: Random
) -> None:
    folder = tmp_path_factory.mktemp("store")
    shutil.copytree(made, folder / "store", symlinks=True)
    store, numbers = Store(folder / "store"), count(1000)
    for operations in rounds:
        for operation in operations:
            _apply(operation, store, folder, next(numbers), random)
        store.sync()
        assert store.plan().empty, operations
        assert_sound(store.path)
        before = data_files(store), data_files(store, "calibrations")
        tag(store, force=True)
        derive_attributes(store, force=True)
        assert (data_files(store), data_files(store, "calibrations")) == before, operations
        embedded = read_files(store.snapshot().files("embeddings"), ["image_id"]).num_rows
        for code in store.vocabulary().codes:
            assert read_files(store.snapshot().files("scores", code), ["image_id"]).num_rows == embedded
    shutil.rmtree(folder)


def _apply(operation: str, store: Store, folder: Path, number: int, random: Random) -> None:
    text = store.vocabulary_path.read_text()
    code = random.choice(["cat", "dog", "ghost"])
    match operation:
        case "new images":
            put_images(store, folder, images(random.randint(1, 30), seed=number)[0], first=number * 100)
        case "other images":
            put_images(store, folder, images(random.randint(1, 30), seed=number)[0])
        case "background":
            put_background(store, folder, range(random.randint(45, 80)))
        case "prompt":
            old, new = ("[cat]", "[cat, cat again]") if "[cat]" in text else ("[cat, cat again]", "[cat]")
            store.vocabulary_path.write_text(text.replace(old, new))
        case "threshold":
            rest = text.split("\n", 1)[1] if text.startswith("thresholds") else text
            store.vocabulary_path.write_text(f"thresholds: {{accepted: 0.{60 + number % 30}}}\n" + rest)
        case "new attribute":
            line = (
                f"  - {{code: a{number}, label: A, description: a, prompts: [cat again]}}\nderived_attributes"
            )
            store.vocabulary_path.write_text(text.replace("derived_attributes", line, 1))
        case "remove attribute":
            lines = [line for line in text.splitlines(keepends=True) if "code: a" not in line]
            store.vocabulary_path.write_text("".join(lines))
        case "label":
            _label(store, code, number)
        case "fit":
            fit_attributes(store, [code])
        case "fit fixed":
            fit_attributes(store, [code], "fixed")
        case "fit labels":
            fit_attributes(store, method="labels")
        case "forget":
            store_fits(store, {code: None}, active_model(store))
        case "cut" if not any(work.code == code for work in store.plan().base):
            set_cut(store, code, float(random.randint(-8, 3)))
        case "tag one":
            tag(store, codes=[code])
        case "derive":
            derive_attributes(store)
        case "sync":
            store.sync()


def _label(store: Store, code: str, number: int) -> None:
    rng = np.random.default_rng(number)
    rows = [
        {"image_id": int(image), "content_hash": None, "present": bool(rng.random() < 0.5), "reviewer": f"r{number}",
         "policy": "policy", "reviewed_at": datetime(2024, 1, 1, tzinfo=UTC)}
        for image in rng.choice(205, size=12, replace=False)
    ]  # fmt: skip
    files = store.snapshot().cell("labels", code, 0)
    with open_stage(store.path, command="test") as stage:
        before = [read_files(files)] if files else []
        data = pa.concat_tables([*before, pa.Table.from_pylist(rows, SCHEMAS["labels"])])
        stage.replace("labels", code, 0, data, read=files)
        stage.commit()
