from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.images import FileEntry, Problem
from colonnade.engine.scan_diff import KnownImages, Moves, RootDiff, diff_images

PATHS = st.sampled_from(["a.jpg", "b.jpg", "x/a.jpg", "x/b.jpg", "x/y/a.jpg", "xy/a.jpg", "y/a.jpg", "x.jpg"])
FOLDERS = st.sampled_from(["", "x", "x/y", "y", "a.jpg", "nowhere"])
SIZES = st.integers(0, 1)


@dataclass(frozen=True)
class Row:
    size: int
    mtime: int
    missing: bool
    retry: bool


ROWS = st.dictionaries(PATHS, st.builds(Row, SIZES, SIZES, st.booleans(), st.booleans()))
FILES = st.dictionaries(PATHS, st.tuples(SIZES, SIZES))
PROBLEMS = st.lists(st.builds(Problem, FOLDERS, st.just("why"), st.booleans()), max_size=2)


def columns(rows: dict[str, Row]) -> KnownImages:
    values = list(rows.values())
    return KnownImages(
        ids=np.arange(len(rows), dtype=np.int64) + 100,
        paths=list(rows),
        sizes=np.array([row.size for row in values], dtype=np.int64),
        mtimes=np.array([row.mtime for row in values], dtype=np.int64),
        missing=np.array([row.missing for row in values], dtype=np.bool_),
        retry=np.array([row.retry for row in values], dtype=np.bool_),
        refused=np.zeros(len(values), np.bool_),
    )


def oracle(
    rows: dict[str, Row], files: dict[str, tuple[int, int]], problems: list[Problem]
) -> dict[str, str]:
    """Path -> what a scan would do with it, straight from the words of the design."""

    def hidden(path: str) -> bool:
        return any(
            problem.blind and (problem.path in ("", path) or path.startswith(problem.path + "/"))
            for problem in problems
        )

    said = {path: "new" for path in files if path not in rows}
    for path, row in rows.items():
        there = files.get(path)
        if there is None:
            said[path] = "absent" if row.missing else "unseen" if hidden(path) else "vanished"
        elif there != (row.size, row.mtime):
            said[path] = "changed"
        elif row.missing:
            said[path] = "returned"
        else:
            said[path] = "retried" if row.retry else "unchanged"
    return said


def told(rows: dict[str, Row], diff: RootDiff) -> dict[str, str]:
    paths = list(rows)
    said = {entry.path: "new" for entry in diff.new}
    for name in ("changed", "retried"):
        for row, entry in getattr(diff, name):
            assert paths[row] == entry.path
            said[entry.path] = name
    for name in ("returned", "vanished", "absent"):
        said.update((paths[row], name) for row in getattr(diff, name))
    return said


@settings(max_examples=60, deadline=None)
@given(ROWS, FILES, PROBLEMS)
def test_against_the_words_of_the_design(
    rows: dict[str, Row], files: dict[str, tuple[int, int]], problems: list[Problem]
) -> None:
    found: list[FileEntry | Problem] = [
        *problems,
        *(FileEntry(path, *values) for path, values in files.items()),
    ]
    diff = diff_images(columns(rows), iter(found))
    expected = oracle(rows, files, problems)
    counted = Counter(expected.values())
    assert (diff.unchanged, diff.unseen) == (counted["unchanged"], counted["unseen"])
    assert told(rows, diff) == {
        path: what for path, what in expected.items() if what not in ("unchanged", "unseen")
    }
    assert diff.problems == problems


@settings(max_examples=60, deadline=None)
@given(ROWS, FILES)
def test_after_a_scan_there_is_nothing_to_do(rows: dict[str, Row], files: dict[str, tuple[int, int]]) -> None:
    after = {path: Row(*values, missing=False, retry=False) for path, values in files.items()}
    after |= {
        path: Row(row.size, row.mtime, True, row.retry) for path, row in rows.items() if path not in files
    }
    diff = diff_images(columns(after), (FileEntry(path, *values) for path, values in files.items()))
    assert not (diff.new or diff.changed or diff.retried or diff.returned or diff.vanished)
    assert (diff.unchanged, len(diff.absent)) == (len(files), len(set(rows) - set(files)))


def test_a_path_is_of_the_row_that_is_there() -> None:
    for missing in ([True, False, True], [False, True, True], [True, True, False]):
        there = missing.index(False)
        known = KnownImages(
            ids=np.arange(3, dtype=np.int64),
            paths=["a.jpg"] * 3,
            sizes=np.array([0, 1, 2], dtype=np.int64),
            mtimes=np.zeros(3, np.int64),
            missing=np.array(missing),
            retry=np.zeros(3, np.bool_),
            refused=np.zeros(3, np.bool_),
        )
        diff = diff_images(known, [FileEntry("a.jpg", there, 0)])
        assert (diff.unchanged, len(diff.absent)) == (1, 2)
        diff = diff_images(known, [FileEntry("a.jpg", 9, 0)])
        assert ([row for row, _ in diff.changed], len(diff.absent)) == ([there], 2)
        diff = diff_images(known, [])
        assert (diff.vanished, len(diff.absent)) == ([there], 2)


def test_a_row_whose_path_has_a_file_is_given_out_once_it_is_released() -> None:
    moves = Moves([1, 2], ["r", "r"], ["a.jpg", "b.jpg"], [7, 7], [1, 1], ["0" * 32] * 2, held=[1, 2])
    assert moves.take("r", "x.jpg", "0" * 32) is None
    assert moves.holds("0" * 32) and not moves.holds("1" * 32)
    moves.release(2)
    assert moves.take("r", "a.jpg", "0" * 32, same_name=True) is None
    assert moves.take("r", "a.jpg", "0" * 32) == (2, "r", "b.jpg")
    moves.keep(1)
    assert not moves.holds("0" * 32)
    assert moves.take("r", "a.jpg", "0" * 32) is None


NAMED = st.tuples(st.sampled_from(["r", "s"]), PATHS, st.sampled_from(["1", "2", "3"]))


@settings(max_examples=60, deadline=None)
@given(st.lists(NAMED, unique=True, max_size=8), st.lists(NAMED, unique=True, max_size=8))
def test_moves_are_one_to_one_complete_and_by_name_first(
    gone: list[tuple[str, str, str]], new: list[tuple[str, str, str]]
) -> None:
    moves = Moves(
        list(range(len(gone))),
        [root for root, _, _ in gone],
        [path for _, path, _ in gone],
        [0] * len(gone),
        [0] * len(gone),
        [content * 32 for _, _, content in gone],
    )
    assert len(moves) == len(gone)
    matched: dict[int, tuple[str, str, str]] = {}
    left: list[tuple[str, str, str]] = []
    for same_name, files in ((True, new), (False, left)):
        for file in list(files):
            root, path, content = file
            row = moves.take(root, path, content * 32, same_name=same_name)
            if row is None:
                if same_name:
                    left.append(file)
                continue
            assert row.image_id not in matched
            assert gone[row.image_id] == (row.root, row.path, content)
            matched[row.image_id] = file

    def most(*keys: Counter[Any]) -> int:
        return (keys[0] & keys[1]).total()

    by_content = most(Counter(content for *_, content in gone), Counter(content for *_, content in new))
    assert len(matched) == by_content
    names = [Counter((path.split("/")[-1], content) for _, path, content in side) for side in (gone, new)]
    by_name = sum(gone[row][1].split("/")[-1] == file[1].split("/")[-1] for row, file in matched.items())
    assert by_name == most(*names)


def test_lookalikes_have_name_and_size() -> None:
    moves = Moves([1], ["r"], ["old/a.jpg"], [7], [0], ["0" * 32])
    entries = [FileEntry("new/a.jpg", 7, 0), FileEntry("a.jpg", 8, 0), FileEntry("old/b.jpg", 7, 0)]
    assert moves.lookalikes(entries).tolist() == [True, False, False]
    assert Moves([], [], [], [], [], []).lookalikes(entries).tolist() == [False] * 3
    assert Moves([], [], [], [], [], []).take("r", "a.jpg", "0" * 32) is None


LOOKS = st.tuples(st.sampled_from(["a.jpg", "b.jpg"]), st.integers(1, 2), st.integers(1, 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(LOOKS, max_size=8), st.lists(LOOKS, max_size=8))
def test_likely_rows_are_named_once_by_size_and_time_and_name_first(
    gone: list[tuple[str, int, int]], new: list[tuple[str, int, int]]
) -> None:
    count = len(gone)
    moves = Moves(
        [10 + row for row in range(count)],
        ["r"] * count,
        [f"old{row}/{name}" for row, (name, _, _) in enumerate(gone)],
        [size for _, size, _ in gone],
        [time for _, _, time in gone],
        [f"{(7 * row) % 10}" * 32 for row in range(count)],
    )
    entries = [FileEntry(f"new{row}/{name}", size, time) for row, (name, size, time) in enumerate(new)]
    left, expected = list(range(count)), [-1] * len(new)
    for named in (True, False):
        for place, (name, size, time) in enumerate(new):
            fitting = [
                row for row in left if gone[row][1:] == (size, time) and (gone[row][0] == name or not named)
            ]
            if fitting and expected[place] < 0:
                expected[place] = 10 + fitting[0]
                left.remove(fitting[0])
    assert moves.likely(entries).tolist() == expected
    sizes = {size for _, size, _ in gone}
    assert moves.of_a_size(entries).tolist() == [size in sizes for _, size, _ in new]


def test_many_files_of_one_content_are_matched_in_time() -> None:
    count = 20_000
    moves = Moves(
        range(count),
        ["r"] * count,
        [f"{n}.jpg" for n in range(count)],
        [0] * count,
        [0] * count,
        ["0" * 32] * count,
    )
    assert len({moves.take("r", f"x{n}.jpg", "0" * 32) for n in range(count)}) == count
