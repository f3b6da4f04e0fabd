from __future__ import annotations

import os
import random
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.errors import InputError
from colonnade.engine.images import FileEntry, Problem, file_path, name_of, one_line, uuid_of, walk

NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: b"/" not in name and b"\0" not in name)
AWKWARD = st.lists(st.sampled_from([b"\\", b"x", b"e", b"9", b"\xe9", b"\xc3\xa9", b"a"]), min_size=1).map(
    b"".join
)


def put(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def files(root: Path) -> list[str]:
    return [found.path for found in walk(root) if isinstance(found, FileEntry)]


def problems(root: Path) -> list[Problem]:
    return [found for found in walk(root) if isinstance(found, Problem)]


def test_images_by_extension_in_a_stable_order(tmp_path: Path) -> None:
    wanted = ["A.JPG", "b.tiff", "c/1.heic", "c/d/2.webp", "e/3.jfif", "z.avif"]
    for name in random.Random(1).sample(wanted, len(wanted)):
        put(tmp_path / name)
    for name in ("notes.txt", "jpg", "c/x.jpg.part", ".hidden.jpg", ".cache/x.jpg", "c/.d/x.png", "._A.JPG"):
        put(tmp_path / name)
    (tmp_path / "folder.jpg").mkdir()
    put(tmp_path / "folder.jpg" / "in.gif")
    found = files(tmp_path)
    assert sorted(found) == sorted([*wanted, "folder.jpg/in.gif"])
    assert found == files(tmp_path)
    assert problems(tmp_path) == []


def test_entries_say_what_stat_says(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jpg", b"12345")
    os.utime(path, ns=(0, 1_234_567_890_123_456_789))
    assert list(walk(tmp_path)) == [FileEntry("a.jpg", 5, 1_234_567_890_123_456)]


def test_a_hidden_root_is_walked(tmp_path: Path) -> None:
    put(tmp_path / ".photos" / "a.jpg")
    assert files(tmp_path / ".photos") == ["a.jpg"]


def test_links_are_followed_once_and_never_for_ever(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(root / "real" / "a.jpg")
    outside = put(tmp_path / "outside" / "b.jpg")
    put(tmp_path / "outside" / "deep" / "c.jpg")
    (root / "a_loop").symlink_to(root)
    (root / "real" / "up").symlink_to("..")
    (root / "a_link_to_real").symlink_to("real")
    (root / "out").symlink_to(outside.parent)
    (tmp_path / "outside" / "deep" / "back").symlink_to(root)
    (root / "file.jpg").symlink_to(outside)
    (root / "self").symlink_to("self")
    assert files(root) == ["file.jpg", "real/a.jpg", "out/b.jpg", "out/deep/c.jpg"]
    assert [problem.path for problem in problems(root)] == ["self"]


def test_links_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "disk").symlink_to("/nowhere/photos")
    (tmp_path / "a.jpg").symlink_to("/nowhere/a.jpg")
    found = {problem.path: problem for problem in problems(tmp_path)}
    assert found["disk"].blind  # it may be a folder on a disk that is not mounted
    assert not found["a.jpg"].blind
    assert "not there" in found["disk"].reason


def test_special_files_are_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        (tmp_path / "null.gif").symlink_to("/dev/null")
        assert list(walk(tmp_path)) == []


def test_a_root_that_is_not_there_or_no_folder(tmp_path: Path) -> None:
    assert [problem.path for problem in problems(tmp_path / "gone")] == [""]
    assert [problem.path for problem in problems(put(tmp_path / "file"))] == [""]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_folders_without_permission_are_problems(tmp_path: Path) -> None:
    put(tmp_path / "closed" / "a.jpg")
    put(tmp_path / "open" / "b.jpg")
    (tmp_path / "closed").chmod(0)
    try:
        assert files(tmp_path) == ["open/b.jpg"]
        assert problems(tmp_path) == [Problem("closed", "permission denied")]
    finally:
        (tmp_path / "closed").chmod(stat.S_IRWXU)


def test_folders_that_cannot_be_listed_are_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "closed" / "a.jpg")
    put(tmp_path / "open" / "b.jpg")
    scandir = os.scandir

    def refusing(path: bytes) -> object:
        if os.fspath(path).endswith(b"closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert list(map(type, walk(tmp_path))) == [Problem, FileEntry]
    assert problems(tmp_path) == [Problem("closed", "permission denied")]


def test_a_store_among_the_images_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "colonnade.toml")
    put(tmp_path / "_tables" / "images" / "x.jpg")
    put(tmp_path / "_snap" / "y.jpg")
    put(tmp_path / "holiday" / "z.jpg")
    (tmp_path / "images").symlink_to("_tables/images")
    assert files(tmp_path) == ["holiday/z.jpg"]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    names = [
        b"caf\xe9.jpg",
        b"caf\\xe9.jpg",
        b"caf\\\\xe9.jpg",
        "café.jpg".encode(),
        b"a\\b.jpg",
        b"d\xff/i.jpg",
    ]
    for name in names:
        raw = os.fsencode(tmp_path) + b"/" + name
        os.makedirs(os.path.dirname(raw), exist_ok=True)  # noqa: PTH103, PTH120 (bytes)
        Path(os.fsdecode(raw)).write_bytes(name)
    found = [entry for entry in walk(tmp_path) if isinstance(entry, FileEntry)]
    texts = {entry.path for entry in found}
    assert texts == {
        r"caf\xe9.jpg",
        r"caf\\xe9.jpg",
        r"caf\\\\xe9.jpg",
        "café.jpg",
        r"a\b.jpg",
        r"d\xff/i.jpg",
    }
    assert {entry.path for entry in found if entry.path_bytes is None} == {"café.jpg", r"a\b.jpg"}
    for entry in found:
        content = file_path(tmp_path, entry.path, entry.path_bytes).read_bytes()
        assert content == (entry.path_bytes or entry.path.encode())


@settings(max_examples=60, deadline=None)
@given(st.lists(NAMES | AWKWARD, unique=True, max_size=20))
def test_no_two_names_share_a_text(names: list[bytes]) -> None:
    texts = [name_of(name) for name in names]
    assert len({text for text, _ in texts}) == len(names)
    for name, (text, verbatim) in zip(names, texts, strict=True):
        assert verbatim == (text.encode() == name)


@settings(max_examples=25, deadline=None)
@given(
    st.sets(
        st.lists(st.sampled_from(["a", "b.jpg", "c.png", ".h", "d.txt", "é"]), min_size=1, max_size=4).map(
            "/".join
        ),
        max_size=12,
    )
)
def test_walk_agrees_with_a_plain_listing(tmp_path_factory: pytest.TempPathFactory, paths: set[str]) -> None:
    root = tmp_path_factory.mktemp("root")
    for path in sorted(paths, key=len, reverse=True):
        if not (root / path).exists():
            try:
                put(root / path)
            except (FileExistsError, NotADirectoryError):
                continue
    expected = {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file()
        and path.suffix in (".jpg", ".png")
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    found = files(root)
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_times_beyond_what_a_column_holds(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jpg")
    os.utime(path, ns=(0, -5_000))
    assert list(walk(tmp_path)) == [FileEntry("a.jpg", 1, -5)]


def test_uuid_names() -> None:
    value = "0b5e7c2a-90f1-4c1e-8a55-3d2f1b6c7d8e"
    assert uuid_of(f"x/{value}.jpg") == value
    assert uuid_of(f"{value.upper()}.JPG") == value
    for other in (
        f"{value}",
        f"x-{value}.jpg",
        f"{value}.orig.jpg",
        value.replace("-", "") + ".jpg",
        "a.jpg",
        "",
    ):
        assert uuid_of(other) is None


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x.jpg", "a/../../x.jpg", "a\0b.jpg"])
def test_paths_that_leave_the_root_are_refused(path: str) -> None:
    with pytest.raises(InputError, match="does not stay inside"):
        file_path("/photos", path)
    with pytest.raises(InputError):
        file_path("/photos", "x", path.encode())


@given(st.text())
def test_one_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 300
    assert line.isprintable()
