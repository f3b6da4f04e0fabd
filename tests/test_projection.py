"""The map: fitting, placing what is new, refusals, and that nothing heavy is loaded but for a fit."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cli_process import colonnade
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_stores import MODEL, add_images, sound_store, unit_vectors

from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.jobs import list_jobs
from colonnade.engine.projection import LEAST_IMAGES, map_images, projection_state
from colonnade.engine.projection_fit import fit_sphere
from colonnade.engine.projection_place import nearest_rows, place
from colonnade.engine.projection_rows import Parameters, projection_rows, read_map
from colonnade.engine.settings import update_settings
from colonnade.engine.sphere import from_angles, from_degrees, normalised, to_angles, to_degrees
from colonnade.engine.stage import open_stage
from colonnade.engine.status import read_status
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.vector_columns import vectors_of
from colonnade.engine.verify import verify

PARAMETERS = Parameters("0123456789abcdef", 0, 10_000, 20, 40, 15, 0.3, 0.03, 300, "0.5.12")
ANGLES = st.floats(-400, 400, allow_nan=False)


def new_store(path: Path, images: int) -> Store:
    store = Store.create(path, model="")
    update_settings(store.path, lambda old: old.with_model(MODEL, activate=True))
    if images:
        add_images(store, images)
    return store


def vectors_in(store: Store) -> tuple[np.ndarray, np.ndarray]:
    rows = read_files(store.snapshot().files("embeddings", MODEL.key))
    return rows["image_id"].to_numpy(), vectors_of(rows["embedding"])


def put_map(store: Store, ids: np.ndarray, parameters: Parameters = PARAMETERS) -> np.ndarray:
    """Commit a map of some images as a fit would; returns their places."""
    places = normalised(np.random.default_rng(3).normal(size=(len(ids), 3)))
    with open_stage(store.path, command="map") as stage:
        cell = store.snapshot().cell("projections", MODEL.key, 0)
        rows = projection_rows(ids, places, parameters, how="fitted")
        stage.replace("projections", MODEL.key, 0, rows, read=cell)
        stage.commit()
    return places


def rows_of(store: Store) -> dict[int, tuple[float, float]]:
    rows = read_map(store.snapshot().files("projections", MODEL.key))
    places = zip(rows.latitude.tolist(), rows.longitude.tolist(), strict=True)
    return dict(zip(rows.ids.tolist(), places, strict=True))


@given(st.lists(st.tuples(ANGLES, ANGLES), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_umap_s_angles_become_degrees_and_back(pairs: list[tuple[float, float]]) -> None:
    angles = np.array(pairs)
    vectors = from_angles(angles)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-9)
    # What umap's documentation plots.
    np.testing.assert_allclose(vectors[:, 0], np.sin(angles[:, 0]) * np.cos(angles[:, 1]), atol=1e-12)
    np.testing.assert_allclose(vectors[:, 2], np.cos(angles[:, 0]), atol=1e-12)
    latitude, longitude = to_degrees(vectors)
    assert np.abs(latitude).max() <= 90
    assert np.abs(longitude).max() <= 180
    np.testing.assert_allclose(from_degrees(latitude, longitude), vectors, atol=1e-6)
    np.testing.assert_allclose(from_angles(to_angles(vectors)), vectors, atol=1e-9)


def test_poles_and_the_date_line() -> None:
    vectors = np.array([[0, 0, 1.0], [0, 0, -1], [-1, 1e-9, 0], [-1, -1e-9, 0], [1e-17, -1e-17, 1]])
    latitude, longitude = to_degrees(vectors)
    np.testing.assert_allclose(latitude, [90, -90, 0, 0, 90])
    np.testing.assert_allclose(longitude, [0, 0, 180, -180, 0])


@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_nearest_rows_against_sorting(count: int, among: int, wanted: int, seed: int) -> None:
    wanted = min(wanted, among)
    left, right = unit_vectors(count, seed), unit_vectors(among, seed + 1)
    rows, cosines = nearest_rows(left, right, wanted)
    expected = np.sort(left @ right.T, axis=1)[:, ::-1][:, :wanted]
    np.testing.assert_allclose(cosines, expected, atol=1e-6)
    np.testing.assert_allclose(np.einsum("ij,ikj->ik", left, right[rows]), cosines, atol=1e-6)


def test_an_image_is_placed_with_its_group_and_not_between_groups() -> None:
    group = np.zeros((12, 8), np.float32)
    group[:6, 0], group[6:, 0] = 0.8, 0.8
    group[:6, 1], group[6:, 2] = 0.6, 0.6
    group += np.random.default_rng(0).normal(0, 0.01, group.shape).astype(np.float32)
    group = normalised(group).astype(np.float32)
    places = normalised(np.array([[1, 0.02 * i, 0] for i in range(6)] + [[0, 0.02 * i, 1] for i in range(6)]))
    new = normalised(np.array([[0.8, 0.45, 0.35, 0, 0, 0, 0, 0]])).astype(np.float32)
    (found,) = place(new, group, places)
    assert found @ normalised(places[:6].mean(axis=0, keepdims=True))[0] > 0.99
    assert np.array_equal(place(np.empty((0, 8), np.float32), group, places), np.empty((0, 3)))
    one = place(new, group[:1], places[:1])
    np.testing.assert_allclose(one, places[:1])


def test_new_images_are_placed_and_the_others_stay(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s", 40)
    ids, vectors = vectors_in(store)
    places = put_map(store, ids[:20])
    before = rows_of(store)
    assert projection_state(store.snapshot(), MODEL) == (20, 20, PARAMETERS)
    status = read_status(store)
    assert (status.mapped, status.embedded) == (20, 40)
    told: list[tuple[str, int, int]] = []
    outcome = map_images(store, progress=lambda *one: told.append(one))
    assert (outcome.fitted, outcome.placed, outcome.removed, outcome.images) == (0, 20, 0, 40)
    assert told[-1] == ("place", 20, 20)
    after = rows_of(store)
    assert set(after) == set(ids.tolist())
    assert before.items() <= after.items()
    expected = place(vectors[20:], vectors[:20], from_degrees(*to_degrees(places)))
    found = from_degrees(*np.array([after[i] for i in ids[20:].tolist()]).T)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert projection_state(store.snapshot(), MODEL) == (40, 0, PARAMETERS)
    assert verify(store.path).sound
    number = store.snapshot().number
    assert map_images(store).placed == 0
    assert store.snapshot().number == number, "nothing to do commits nothing"
    add_images(store, 50)
    grown = map_images(store)
    assert (grown.placed, grown.images, grown.outgrown) == (50, 90, True)
    assert rows_of(store).items() >= after.items()


def test_rows_of_images_without_a_vector_go(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s", 12)
    ids, _ = vectors_in(store)
    put_map(store, ids)
    cell = store.snapshot().cell("embeddings", MODEL.key, 0)
    with open_stage(store.path, command="test") as stage:
        rows = read_files(cell).slice(3)
        stage.replace("embeddings", MODEL.key, 0, rows, read=cell)
        stage.commit()
    assert projection_state(store.snapshot(), MODEL) == (9, 0, PARAMETERS)
    outcome = map_images(store)
    assert (outcome.removed, outcome.placed) == (3, 0)
    assert set(rows_of(store)) == set(ids[3:].tolist())


@pytest.mark.parametrize("count", [0, 1, LEAST_IMAGES - 1])
def test_fewer_than_five_images_are_refused_in_words(tmp_path: Path, count: int) -> None:
    store = new_store(tmp_path / "s", count)
    with pytest.raises(InputError, match=f"at least 5 images with a vector of toy, and {count} ha"):
        map_images(store)
    ran = colonnade(store.path, "map")
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)


def test_refusals(tmp_path: Path) -> None:
    empty = Store.create(tmp_path / "e", model="")
    with pytest.raises(InputError, match="no embeddings yet"):
        map_images(empty)
    assert projection_state(empty.snapshot(), None) == (0, 0, None)
    store = new_store(tmp_path / "s", 12)
    put_map(store, vectors_in(store)[0])
    with pytest.raises(InputError, match="--sample 10000; add --refit"):
        map_images(store, sample=7)
    with pytest.raises(InputError, match="--seed 0; add --refit"):
        map_images(store, seed=1)
    assert map_images(store, sample=10_000, seed=0).fitted == 0
    with pytest.raises(InputError, match="at least 5"):
        map_images(store, sample=4)
    assert colonnade(store.path, "map", "--sample", 4).code == 2
    ran = colonnade(store.path, "map", "--seed", 3)
    assert (ran.code, "add --refit" in ran.err) == (3, True)


def test_damage_is_one_line(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s", 12)
    put_map(store, vectors_in(store)[0][:8])
    (file,) = store.snapshot().files("projections", MODEL.key)
    file.path.chmod(0o644)
    file.path.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(StoreError, match="damaged"):
        map_images(store)


@pytest.mark.parametrize(
    "text",
    [None, "", "{}", "[]", "[" * 5000, '{"fit": 1}', "x" * 20_000, '{"how":"fitted","fit":"a","seed":1e999}'],
)
def test_foreign_parameters_are_no_fit(tmp_path: Path, text: str | None) -> None:
    store = new_store(tmp_path / "s", 6)
    ids, _ = vectors_in(store)
    rows = projection_rows(ids, normalised(np.ones((6, 3))), PARAMETERS, how="fitted")
    rows = rows.set_column(3, "parameters", pa.array([text] * 6, pa.string()))
    with open_stage(store.path, command="test") as stage:
        stage.append("projections", MODEL.key, 0, rows, read=())
        stage.commit()
    assert projection_state(store.snapshot(), MODEL) == (6, 0, None)
    assert not read_map(store.snapshot().files("projections", MODEL.key)).fitted.any()


def test_nothing_heavy_is_loaded_but_for_a_fit(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s", 12)
    put_map(store, vectors_in(store)[0][:8])
    code = (
        "import sys\nfrom colonnade.engine.store import Store\n"
        "from colonnade.engine.projection import map_images\nimport colonnade.tui.commands.map\n"
        f"assert map_images(Store({str(store.path)!r})).placed == 4\n"
        "heavy = {'umap', 'numba', 'sklearn', 'torch', 'textual'} & sys.modules.keys(); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_map_made_anew_meanwhile_is_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process makes a new map while images are placed: they are placed on the new one."""
    store = new_store(tmp_path / "s", 40)
    ids, _ = vectors_in(store)
    put_map(store, ids[:20])
    other = replace(PARAMETERS, fit="f" * 16)
    done: list[Any] = []
    real = place

    def slow(*args: np.ndarray) -> np.ndarray:
        if not done:
            done.append(put_map(store, ids[10:25], other))
        return real(*args)

    monkeypatch.setattr("colonnade.engine.projection.place", slow)
    told: list[str] = []
    outcome = map_images(store, on_conflict=told.append)
    assert (outcome.placed, outcome.parameters) == (25, other)
    assert len(told) == 1
    assert read_map(store.snapshot().files("projections", MODEL.key)).fits == {other}


def test_images_added_meanwhile_do_not_hinder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(tmp_path / "s", 30)
    ids, _ = vectors_in(store)
    put_map(store, ids[:20])
    done: list[Any] = []
    real = place

    def slow(*args: np.ndarray) -> np.ndarray:
        if not done:
            done.append(add_images(store, 7))
        return real(*args)

    monkeypatch.setattr("colonnade.engine.projection.place", slow)
    assert map_images(store, on_conflict=pytest.fail).placed == 10
    assert projection_state(store.snapshot(), MODEL).missing == 7
    assert map_images(store).placed == 7


@pytest.mark.slow
def test_fit_commits_a_sound_map_that_a_seed_repeats(tmp_path: Path) -> None:
    store = sound_store(tmp_path / "s", 60)
    assert projection_state(store.snapshot(), MODEL).parameters is None, "a map of unknown origin"
    told: list[str] = []
    outcome = map_images(store, sample=40, seed=7, progress=lambda phase, *_: told.append(phase))
    assert (outcome.fitted, outcome.placed, outcome.outgrown) == (40, 20, False)
    assert list(dict.fromkeys(told)) == ["neighbours", "fit", "place"]
    state = projection_state(store.snapshot(), MODEL)
    assert (state.placed, state.missing) == (60, 0)
    assert state.parameters is not None
    assert (state.parameters.fitted, state.parameters.images, state.parameters.seed) == (40, 60, 7)
    first = rows_of(store)
    assert np.isfinite(np.array(list(first.values()))).all()
    assert verify(store.path).sound
    ran = colonnade(store.path, "map", "--refit", "--seed", 7, "--sample", 40, "--json")
    assert (ran.code, ran.json["fitted"], ran.json["placed"], ran.err) == (0, 40, 20, "")
    assert rows_of(store) == first
    assert not any(b"sklearn" in file.path.read_bytes() for file in store.snapshot().files("projections"))
    map_images(store, refit=True, sample=40, seed=8)
    assert rows_of(store) != first


@pytest.mark.slow
def test_the_smallest_and_the_dullest_collections_have_a_map() -> None:
    """Five images; images that are all the same: places are finite and of unit length."""
    for vectors in (unit_vectors(5), np.repeat(unit_vectors(1), 30, axis=0), unit_vectors(9, dimension=2)):
        places = fit_sphere(vectors, seed=0)
        np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1)


@pytest.mark.slow
def test_alike_images_are_near_each_other() -> None:
    """Ten groups of vectors: of an image's nearest five on the map, nearly all are of its group."""
    centres, noise = unit_vectors(10, 1, 64), np.random.default_rng(2).normal(0, 0.05, (400, 64))
    group = np.arange(400) % 10
    vectors = normalised(centres[group] + noise).astype(np.float32)
    places = fit_sphere(vectors, seed=0).astype(np.float32)
    rows, _ = nearest_rows(places, places, 6, own=True)
    assert np.mean(group[rows[:, 1:]] == group[:, None]) > 0.9
    held = normalised(centres[group] + noise[::-1]).astype(np.float32)
    later = place(held, vectors, places.astype(np.float64)).astype(np.float32)
    rows, _ = nearest_rows(later, places, 5)
    assert np.mean(group[rows] == group[:, None]) > 0.9


@pytest.mark.slow
def test_an_interrupted_fit_leaves_the_map_as_it_was(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s", 3000)
    ids, _ = vectors_in(store)
    put_map(store, ids)
    before, number = rows_of(store), store.snapshot().number
    process = subprocess.Popen(
        [sys.executable, "-m", "colonnade.tui.cli", "-s", str(store.path), "map", "--refit"],
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not any(job.phase == "fit" and job.done for job in list_jobs(store.path)):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.count(b"\n")) == (130, 1)
    assert [job.state for job in list_jobs(store.path)] == ["interrupted"]
    assert (rows_of(store), store.snapshot().number) == (before, number)
    assert not list((store.path / "_stage").iterdir())
