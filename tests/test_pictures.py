"""Pictures as cells: orientation, proportions, colours, hostile and broken files, what is remembered."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from colonnade.tui.picture_cells import NO_COLOUR, Cells, Pixels, Request, ansi_lines, mode_of, runs
from colonnade.tui.picture_worker import render
from colonnade.tui.pictures import PictureSource

RED, GREEN, BLUE = (215, 0, 0), (0, 215, 0), (0, 0, 215)


@pytest.fixture(scope="module")
def source() -> Iterator[PictureSource]:
    with PictureSource(workers=1, time_limit_s=20) as pictures:
        yield pictures


def picture(path: Path, size: tuple[int, int] = (120, 80), **options: object) -> Path:
    """Red on the left, blue on the right, a green stripe along the top."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    image.paste(GREEN, (0, 0, size[0], size[1] // 4))
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def cells(path: Path, columns: int = 30, rows: int = 15, mode: str = "64") -> Cells:
    shown = render(Request(str(path), columns, rows, mode))  # type: ignore[arg-type]
    assert isinstance(shown, Cells), shown
    return shown


def at(shown: Cells, x: float, y: float) -> int:
    """The colour at a place in 0..1."""
    row, column = int(y * shown.rows * 2), int(x * shown.columns)
    return shown.colours[row * shown.columns + column]


def rgb(colour: int) -> tuple[int, int, int]:
    levels = (0, 95, 135, 175, 215, 255)
    if colour >= 232:
        return (8 + 10 * (colour - 232),) * 3
    return levels[(colour - 16) // 36], levels[(colour - 16) // 6 % 6], levels[(colour - 16) % 6]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = Image.open(picture(tmp_path / "upright.png"))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    stored.save(path, exif=exif)
    shown = cells(path)
    assert (shown.columns, shown.rows) == (30, 10)
    assert [rgb(at(shown, *place)) for place in ((0.5, 0.1), (0.2, 0.7), (0.8, 0.7))] == [GREEN, RED, BLUE]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 60), st.integers(1, 40))
def test_proportions(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, columns: int, rows: int
) -> None:
    path = tmp_path_factory.mktemp("p") / "x.png"
    Image.new("RGB", (width, height), RED).save(path)
    shown = cells(path, columns, rows)
    assert 1 <= shown.columns <= columns
    assert 1 <= shown.rows <= rows
    assert len(shown.colours) == 2 * shown.rows * shown.columns
    ratio = max(width / columns, height / (2 * rows))
    assert shown.columns == max(1, round(width / ratio))
    lines = [shown.colours[n * shown.columns :][: shown.columns] for n in range(2 * shown.rows)]
    empty = [line == bytes([NO_COLOUR]) * shown.columns for line in lines]
    assert sum(empty) == (max(1, round(height / ratio)) % 2)
    assert not any(empty[:-1])


def test_few_colours_and_few_bytes(tmp_path: Path) -> None:
    image = Image.effect_mandelbrot((300, 300), (-2.0, -1.5, 1.0, 1.5), 100).convert("RGB")
    image.paste(Image.linear_gradient("L").resize((300, 100)), (0, 200))
    image.save(tmp_path / "x.png")
    shown = cells(tmp_path / "x.png", 60, 30)
    assert len(set(shown.colours)) <= 64
    assert min(shown.colours) >= 16
    assert sum(len(line.encode()) for line in ansi_lines(shown, "64")) < 16_000
    plain = cells(picture(tmp_path / "plain.png"), 60, 30)
    assert sum(len(line.encode()) for line in ansi_lines(plain, "64")) < 4_500


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([NO_COLOUR, 16, 17, 200]), min_size=8, max_size=8))
def test_runs_draw_what_the_cells_say(colours: list[int]) -> None:
    shown = Cells(4, 1, bytes(colours))
    drawn = []
    for text, front, back in runs(shown, 0):
        assert front != NO_COLOUR or "▀" not in text
        for letter in text:
            drawn.append(
                {"▀": (front, back), "▄": (back, front), "█": (front, front), " ": (back, back)}[letter]
            )
    assert drawn == list(zip(colours[:4], colours[4:], strict=True))


def test_sixteen_colours(tmp_path: Path) -> None:
    shown = cells(picture(tmp_path / "x.png"), mode="16")
    assert max(set(shown.colours) - {NO_COLOUR}) <= 15
    text = "".join(ansi_lines(shown, "16"))
    assert "38;5" not in text
    assert "48;5" not in text
    assert re.fullmatch(r"(?:[▀▄█ ]|\x1b\[[\d;]*m)+", text)


def test_without_colour(tmp_path: Path) -> None:
    image = Image.new("L", (60, 60), 0)
    image.paste(255, (30, 0, 60, 60))
    image.save(tmp_path / "x.png")
    shown = cells(tmp_path / "x.png", 10, 5, "text")
    assert shown.text == ("     @@@@@",) * 5 or all(row[0] == " " and row[-1] == "@" for row in shown.text)
    assert ansi_lines(shown, "text") == list(shown.text)


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({"TERM": "xterm-256color"}, "64"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "64"),
        ({"TERM": "xterm-kitty"}, "64"),
        ({"TERM": "linux"}, "16"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "text"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "64"),
        ({"TERM": "dumb"}, "text"),
        ({}, "text"),
    ],
)
def test_what_the_terminal_can_do(environment: dict[str, str], mode: str) -> None:
    assert mode_of(environment) == mode


def test_pixels(tmp_path: Path) -> None:
    shown = render(Request(str(picture(tmp_path / "x.png")), 90, 90, "pixels"))
    assert isinstance(shown, Pixels)
    assert (shown.width, shown.height, len(shown.indices)) == (90, 60, 90 * 60)
    left = 3 * shown.indices[59 * 90]
    assert tuple(shown.palette[left : left + 3]) == RED


def png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_what_gives_no_picture_gives_one_line(tmp_path: Path, source: PictureSource) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    files = {
        "empty.jpg": b"",
        "text.jpg": b"\x1b]0;owned\x07 not a picture",
        "cut.png": picture(tmp_path / "whole.png").read_bytes()[:200],
        "bomb.png": png(60_000, 60_000, zlib.compress(b"\0" * 10_000)),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for name in (*files, "pipe.jpg", "folder.jpg", "gone.jpg", "nul\0.jpg", "x" * 300):
        loaded = source.load(tmp_path / name, 20, 10)
        assert loaded.cells is None, name
        assert loaded.reason, name
        assert loaded.reason.isprintable(), name
        (line,) = source.ansi_lines(tmp_path / name, 20, 10, "64")
        assert line == f"[{loaded.reason}]"
    assert "pixels" in (source.load(tmp_path / "bomb.png", 20, 10).reason or "")


def test_names_of_any_bytes(tmp_path: Path, source: PictureSource) -> None:
    path = tmp_path / os.fsdecode(b"\xff\x1b[31m\nx.png")
    picture(tmp_path / "x.png").rename(path)
    assert source.load(path, 20, 10).cells


def test_remembered_until_the_file_changes(tmp_path: Path, source: PictureSource) -> None:
    path = picture(tmp_path / "x.png")
    assert source.peek(path, 20, 10, "64") is None
    first = source.load(path, 20, 10)
    assert source.load(path, 20, 10) is first
    assert source.peek(path, 20, 10, "64") is first
    assert source.peek(path, 21, 10, "64") is None
    Image.new("RGB", (50, 50), BLUE).save(path)
    again = source.load(path, 20, 10)
    assert again.cells
    assert again.cells != first.cells
    assert source.peek(path, 20, 10, "64") is again


def test_what_is_remembered_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: PictureSource
) -> None:
    monkeypatch.setattr("colonnade.tui.pictures.CACHE_BYTES", 3000)
    path = picture(tmp_path / "x.png")
    for width in range(10, 20):
        source.load(path, width, 10)
    kept = [width for width in range(10, 20) if source.peek(path, width, 10, "64")]
    assert 0 < len(kept) < 10
    assert kept[-1] == 19


@pytest.mark.slow
def test_a_decoder_that_hangs_costs_its_worker_alone(tmp_path: Path) -> None:
    slow = tmp_path / "slow.png"  # 400 million pixels of nothing
    rows = zlib.compressobj(1)
    body = b"".join(rows.compress(b"\0" * (3 * 20_000 + 1)) for _ in range(20_000)) + rows.flush()
    slow.write_bytes(png(20_000, 20_000, body))
    with PictureSource(workers=1, time_limit_s=1.0) as pictures:
        assert pictures.load(picture(tmp_path / "x.png"), 20, 10).cells
        assert "took longer than" in (pictures.load(slow, 20, 10).reason or "")
        assert pictures.load(tmp_path / "x.png", 21, 10).cells


def test_closing_ends_the_workers_and_who_waits(tmp_path: Path) -> None:
    path = picture(tmp_path / "x.png", (6000, 6000))
    pictures = PictureSource(workers=1)
    assert pictures.load(path, 20, 10).reason == "closed"
    pictures.open()
    reasons: list[str | None] = []
    threads = [
        threading.Thread(target=lambda n=n: reasons.append(pictures.load(path, n, 10).reason))
        for n in (30, 40, 50)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    pictures.close()
    for thread in threads:
        thread.join(10)
    assert reasons == ["closed"] * 3
    pictures.open()
    assert pictures.load(picture(tmp_path / "small.png"), 20, 10).cells
    pictures.close()


def test_this_process_imports_no_decoder() -> None:
    code = (
        "import sys, colonnade.tui.pictures as p\n"
        "with p.PictureSource() as s: s.load(__import__('pathlib').Path('/nothing'), 5, 5)\n"
        "print([m for m in ('PIL', 'numpy', 'torch', 'pyarrow', 'textual', 'rich') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
