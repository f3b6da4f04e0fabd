"""The map without a terminal: projection and back, cells, the lasso against brute force, crowds."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from colonnade.tui.map_clusters import crowds, label_crowds, smoothed
from colonnade.tui.map_lasso import cells_in_polygon, in_polygon, in_rectangle, inside
from colonnade.tui.map_paint import EDGE, HALF, NAME, paint, with_names
from colonnade.tui.map_view import DOTS, Frame, Points, View, draw, hammer, outline, unhammer

VIEWS = st.builds(
    View,
    st.integers(2, 120),
    st.integers(2, 50),
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.floats(1, 200),
)
CELLS = st.tuples(st.integers(0, 39), st.integers(0, 15))


def sphere(count: int, seed: int = 0) -> np.ndarray:
    """float64 [count, 3], unit length."""
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def points(vectors: np.ndarray) -> Points:
    return Points(np.arange(len(vectors)) * 3, np.ascontiguousarray(vectors.T, dtype=np.float32))


def groups(per: int = 200) -> tuple[Points, np.ndarray]:
    """Three crowds, well apart, on the front of the globe; the number of each image's."""
    centres = np.array([[0.7, -0.7, 0.1], [0.9, 0.1, 0.4], [0.6, 0.75, -0.3]])
    of = np.arange(3 * per) % 3
    vectors = centres[of] + np.random.default_rng(1).normal(0, 0.03, (3 * per, 3))
    return points(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)), of


@given(st.integers(1, 50), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_projection_and_back(count: int, seed: int) -> None:
    vectors = sphere(count, seed)
    plane = hammer(vectors)
    assert np.all((plane[:, 0] / (2 * np.sqrt(2))) ** 2 + (plane[:, 1] / np.sqrt(2)) ** 2 <= 1 + 1e-9)
    np.testing.assert_allclose(unhammer(plane), vectors, atol=1e-6)
    # Hammer's own formula
    north, east = np.arcsin(vectors[:, 2]), np.arctan2(vectors[:, 1], vectors[:, 0])
    depth = np.sqrt(1 + np.cos(north) * np.cos(east / 2))
    expected = np.stack(
        [2 * np.sqrt(2) * np.cos(north) * np.sin(east / 2) / depth, np.sqrt(2) * np.sin(north) / depth],
        axis=1,
    )
    np.testing.assert_allclose(plane, expected, atol=1e-6)


@given(VIEWS, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_place_has_a_dot_and_a_dot_a_place(view: View, seed: int) -> None:
    vectors = sphere(20, seed)
    vectors = vectors[vectors @ view.rotation[:, 0] > -0.99]  # at the back, left and right are the same place
    back = view.place(view.dots(vectors))
    np.testing.assert_allclose(back, vectors, atol=1e-5)
    centre = view.dots(view.rotation[:, :1].T)
    np.testing.assert_allclose(centre, [[view.width, 2 * view.height]], atol=1e-6)
    assert np.isnan(view.place(np.array([[-1e6, 0]]))).all()


def test_equal_areas_of_the_globe_take_equal_areas_of_the_screen() -> None:
    view = View(200, 100)
    dots = view.dots(sphere(400_000))
    grid, _, _ = np.histogram2d(dots[:, 0], dots[:, 1], bins=(40, 20), range=((0, 400), (0, 400)))
    inner = grid[14:26, 8:12]  # whole boxes well inside the ellipse
    assert inner.std() / inner.mean() < 0.05
    ellipse = np.pi * 2 * np.sqrt(2) * np.sqrt(2) * view.scale**2
    assert inner.mean() == pytest.approx(400_000 * (10 * 20) / ellipse, rel=0.03)


@given(VIEWS, st.floats(-30, 30), st.floats(-30, 30), st.floats(0.1, 10))
@settings(max_examples=60, deadline=None)
def test_turning_and_zooming_stay_on_the_globe(view: View, right: float, up: float, factor: float) -> None:
    for other in (
        view.turned(right, up),
        view.zoomed(factor),
        view.zoomed(factor, (view.width, 2.0 * view.height)),
    ):
        assert -90 <= other.latitude <= 90
        assert -180 <= other.longitude <= 180
        assert 1 <= other.zoom <= 256
    here = view.place(np.array([[view.width + 3.0, 2.0 * view.height + 3]]))[0]
    if np.isfinite(here).all():
        found = view.centred(here).dots(here[None])[0]
        np.testing.assert_allclose(found, [view.width, 2 * view.height], atol=1e-3)


def test_zooming_keeps_the_place_under_the_cursor() -> None:
    view, at = View(80, 22, 10, 20, 2), (100.0, 30.0)
    place = view.place(np.array([at]))[0]
    for factor in (1.5, 2, 4):
        assert np.abs(view.zoomed(factor, at).dots(place[None])[0] - at).max() < 4


@given(VIEWS, st.integers(0, 1000))
@example(View(7, 2, 0.0, 0.0, 1.0), 1)
@settings(max_examples=40, deadline=None)
def test_the_frame_counts_what_is_on_the_screen(view: View, seed: int) -> None:
    vectors = sphere(300, seed).astype(np.float32)
    some = points(vectors)
    marked = np.arange(300) % 3 == 0
    frame = draw(some, view, marked=marked, half=~marked)
    dots = view.dots(vectors)
    cells = np.floor(dots / (2, 4)).astype(int)
    edge = (
        np.abs(dots / (2, 4) - np.round(dots / (2, 4))).min(axis=1) * 2 < 0.05
    )  # float32 may round these otherwise
    on = (cells >= 0).all(axis=1) & (cells[:, 0] < view.width) & (cells[:, 1] < view.height)
    sure = ~edge
    assert np.array_equal((frame.cell_of >= 0)[sure], on[sure])
    expected = cells[:, 1] * view.width + cells[:, 0]
    assert np.array_equal(frame.cell_of[sure & on], expected[sure & on])
    assert frame.counts.sum() == (frame.cell_of >= 0).sum()
    assert np.array_equal(frame.marked + frame.half, frame.counts)
    assert np.array_equal(frame.dots > 0, frame.counts > 0)
    none = draw(some, view, only=np.zeros(300, bool))
    assert not none.dots.any()
    assert np.array_equal(none.counts, frame.counts)


def test_no_image_and_crowded_dots() -> None:
    empty = draw(points(np.empty((0, 3))), View(10, 5))
    assert empty.shown == 0
    assert not empty.dots.any()
    assert crowds(empty)[0] == []
    crowded = draw(points(sphere(200_000)), View(30, 10))
    assert 0 < np.unpackbits(crowded.dots).mean() < 0.7, "dithered, so that there is light and shade"


@given(st.lists(CELLS, min_size=0, max_size=7), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_polygon_against_brute_force(corners: list[tuple[int, int]], seed: int) -> None:
    view = View(40, 16, 20, 30, 1.5)
    some = points(sphere(200, seed))
    frame = draw(some, view)
    dots = view.dots(some.vectors.T)
    found = in_polygon(some, frame, corners)
    polygon = [(2 * column + 1, 4 * row + 2) for column, row in corners]
    expected = [
        len(corners) >= 3 and cell >= 0 and _brute(float(x), float(y), polygon)
        for (x, y), cell in zip(dots, frame.cell_of, strict=True)
    ]
    assert found.tolist() == expected


def _brute(x: float, y: float, polygon: list[tuple[int, int]]) -> bool:
    """Crossings of the ray to the right of (x, y), an edge at a time."""
    odd, j = False, len(polygon) - 1
    for i, (xi, yi) in enumerate(polygon):
        xj, yj = polygon[j]
        if (yi > y) != (yj > y) and x < (xj - xi) * (y - yi) / (yj - yi) + xi:
            odd = not odd
        j = i
    return odd


@given(CELLS, CELLS, st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_rectangle_takes_its_cells(one: tuple[int, int], other: tuple[int, int], seed: int) -> None:
    some = points(sphere(200, seed))
    frame = draw(some, View(40, 16, 0, 0, 2))
    found = in_rectangle(frame, one, other)
    left, right = sorted((one[0], other[0]))
    top, bottom = sorted((one[1], other[1]))
    rows, columns = np.divmod(frame.cell_of, 40)
    expected = (
        (frame.cell_of >= 0) & (columns >= left) & (columns <= right) & (rows >= top) & (rows <= bottom)
    )
    assert np.array_equal(found, expected)


def test_a_polygon_of_cells_is_drawn_with_its_corners() -> None:
    cells = cells_in_polygon(10, 6, [(1, 1), (8, 1), (8, 4), (1, 4)])
    assert cells[2:4, 2:8].all()
    assert cells[1, 1]
    assert not cells[:, 0].any()
    assert cells_in_polygon(4, 4, [(1, 1)]).sum() == 1
    assert not cells_in_polygon(4, 4, [(9, 9), (-1, 2)]).any()
    square = np.array([(0, 0), (2, 0), (2, 2), (0, 2)], dtype=float)
    assert inside(np.array([[1, 1], [3, 1], [-1, 1]]), square).tolist() == [True, False, False]


def test_crowds_are_found_and_told_apart() -> None:
    some, of = groups()
    frame = draw(some, View(80, 22))
    found, owner = crowds(frame)
    assert len(found) == 3
    assert sum(cluster.images for cluster in found) > 500
    accepted = {"red": of == 0, "green": of == 1, "everywhere": np.ones(len(of), bool), "nowhere": of == 9}
    accepted["rare"] = (of == 2) & (np.arange(len(of)) % 50 == 2)
    named = label_crowds(
        frame, found, owner, [(code, partial(np.asarray, flags)) for code, flags in accepted.items()]
    )
    by_group = {}
    for cluster in named:
        members = np.flatnonzero(frame.cell_of == cluster.row * 80 + cluster.column)
        by_group[int(of[members[0]])] = cluster
    assert by_group[0].code == "red"
    assert by_group[1].code == "green"
    assert by_group[2].code is None, "nothing common sets it apart"
    assert by_group[0].share > 0.95
    assert by_group[0].lift > 20
    assert by_group[0].text.startswith("red ")
    assert smoothed(frame.counts).sum() == pytest.approx(frame.counts.sum(), rel=0.01)


def test_the_paint() -> None:
    some, of = groups()
    view = View(80, 22)
    frame = draw(some, view, marked=of == 0, half=of == 1)
    painted = paint(frame, "density", chosen=of == 2)
    assert len(painted.rows) == 22
    assert {len(row) for row in painted.rows} == {80}
    assert set("".join(painted.rows)) <= {" ", *(chr(0x2801 + i) for i in range(255))}
    assert painted.levels.max() == 5
    inside = painted.chosen[frame.counts > 0].mean()
    assert 0 < inside < 1
    shares = paint(frame, "attribute")
    by_cell = {int(group): shares.levels.reshape(-1)[frame.cell_of[of == group]] for group in range(3)}
    assert set(by_cell[0].tolist()) == {5}
    assert set(by_cell[1].tolist()) == {HALF}
    assert set(by_cell[2].tolist()) == {1}
    assert (painted.levels[np.array([[c == " " for c in row] for row in painted.rows])] == EDGE).all()
    found, owner = crowds(frame)
    named = label_crowds(frame, found, owner, [("code_of_a_length", lambda: of == 0)])
    with_text, on_screen = with_names(painted, named)
    assert {cluster.text for cluster in on_screen} == {cluster.text for cluster in named} - {""}
    assert sum("code_of_a_length 1" in row for row in with_text.rows) == 1
    assert (with_text.levels == NAME).sum() == len(max((c.text for c in named), key=len))
    assert {len(row) for row in with_text.rows} == {80}


def test_braille_bits_and_the_edge() -> None:
    assert DOTS.sum() == 255
    edge = outline(View(80, 22))
    assert 0 < (edge > 0).mean() < 0.2
    assert not outline(View(80, 22, 0, 0, 50)).any()
    frame = draw(points(np.array([[1.0, 0, 0]])), View(10, 5))
    assert isinstance(frame, Frame)
    assert (frame.counts[2, 5], chr(0x2800 + int(frame.dots[2, 5]))) == (1, "⠄")


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys, colonnade.tui.map_view, colonnade.tui.map_lasso, colonnade.tui.map_clusters\n"
        "import colonnade.tui.map_paint, colonnade.tui.map_data, colonnade.tui.screens.map\n"
        "heavy = {'umap', 'numba', 'sklearn', 'scipy', 'torch', 'pyarrow'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
