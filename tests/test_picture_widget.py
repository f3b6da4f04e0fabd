"""Pictures and grids of them in a running app."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

import pytest
from app_driving import until
from PIL import Image
from textual.app import App, ComposeResult

from colonnade.tui.picture_protocol import PictureProtocol, prepare
from colonnade.tui.widgets.picture import Picture, pictures_of

RED, BLUE = (215, 0, 0), (0, 0, 215)


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)


def image(path: Path, colour: tuple[int, int, int] = RED, size: tuple[int, int] = (40, 40)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


class Shows(App[None]):
    ENABLE_COMMAND_PALETTE = False
    CSS: ClassVar[str] = "Picture { width: 30; height: 10; }"
    picture_protocol = PictureProtocol()

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[Path | None, str | None]] = []

    def compose(self) -> ComposeResult:
        yield Picture()

    def on_picture_shown(self, message: Picture.Shown) -> None:
        self.shown.append((message.path, message.reason))

    async def until(self, count: int) -> None:
        await until(lambda: len(self.shown) >= count, f"{count} shown")


def drawn(widget: Picture) -> list[str]:
    return [widget.render_line(y).text for y in range(widget.size.height)]


def backgrounds(widget: Picture, y: int) -> list[str]:
    styles = [segment.style for segment in widget.render_line(y)]
    return [style.bgcolor.name for style in styles if style and style.bgcolor]


@pytest.mark.asyncio
async def test_a_picture_is_drawn_in_its_proportions(tmp_path: Path) -> None:
    app = Shows()
    async with app.run_test() as pilot:
        widget = app.query_one(Picture)
        widget.show(image(tmp_path / "wide.png", size=(60, 20)))
        await app.until(1)
        await pilot.pause()
        assert widget.reason is None
        assert [name for name in backgrounds(widget, 5) if name.startswith("color(")] == ["color(160)"]
        assert [y for y in range(10) if "color(160)" in backgrounds(widget, y)] == [2, 3, 4, 5, 6]
        widget.show(image(tmp_path / "high.png", size=(20, 60)))
        await app.until(2)
        line = widget.render_line(4)
        assert [len(segment.text) for segment in line] == [11, 7, 12]
        assert all(widget.render_line(y).cell_length == 30 for y in range(10))


@pytest.mark.asyncio
async def test_the_last_of_many_is_decoded_and_the_rest_are_not(tmp_path: Path) -> None:
    app = Shows()
    async with app.run_test():
        widget = app.query_one(Picture)
        paths = [image(tmp_path / f"{n}.png", BLUE if n == 9 else RED) for n in range(10)]
        for path in paths:
            widget.show(path)
            await asyncio.sleep(0)
        await app.until(1)
        assert app.shown == [(paths[-1], None)]
        source = pictures_of(app)
        assert source.peek(paths[-1], 30, 10, "64")
        assert not any(source.peek(path, 30, 10, "64") for path in paths[:-1])


@pytest.mark.asyncio
async def test_a_remembered_picture_shows_at_once(tmp_path: Path) -> None:
    app = Shows()
    async with app.run_test():
        widget = app.query_one(Picture)
        first, second = image(tmp_path / "a.png"), image(tmp_path / "b.png", BLUE)
        for n, path in enumerate((first, second)):
            widget.show(path)
            await app.until(n + 1)
        assert "color(20)" in backgrounds(widget, 5)
        widget.show(first)
        assert "color(160)" in backgrounds(widget, 5)
        image(first, BLUE, (80, 80))
        await app.until(3)
        assert "color(20)" in backgrounds(widget, 5)


@pytest.mark.asyncio
async def test_a_broken_picture_gives_its_reason_safely(tmp_path: Path) -> None:
    app = Shows()
    async with app.run_test() as pilot:
        widget = app.query_one(Picture)
        (tmp_path / "x.jpg").write_bytes(b"no picture")
        widget.show(tmp_path / "x.jpg")
        await app.until(1)
        assert "not an image in a known format" in " ".join("".join(drawn(widget)).split())
        widget.show(tmp_path / "y.jpg", "missing \x1b[31m[@click=app.quit]x[/] [/]")
        await app.until(2)
        await pilot.pause()
        text = " ".join("".join(drawn(widget)).split())
        assert "\x1b" not in text
        assert "[@click=app.quit]" in text
        widget.show(None)
        await app.until(3)
        await pilot.pause()
        assert not "".join(drawn(widget)).strip()
        assert app.shown[1:] == [(tmp_path / "y.jpg", widget_reason()), (None, None)]


def widget_reason() -> str:
    return "missing \N{REPLACEMENT CHARACTER}[31m[@click=app.quit]x[/] [/]"


@pytest.mark.asyncio
async def test_another_size_is_another_picture(tmp_path: Path) -> None:
    app = Shows()
    async with app.run_test() as pilot:
        widget = app.query_one(Picture)
        widget.show(image(tmp_path / "a.png"))
        await app.until(1)
        widget.styles.width, widget.styles.height = 8, 20
        await app.until(2)
        await pilot.pause()
        assert [y for y in range(20) if "color(160)" in backgrounds(widget, y)] == [8, 9, 10, 11]
        widget.styles.width = 0
        await pilot.pause(0.2)


@pytest.mark.asyncio
async def test_no_color_shows_density(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = Shows()
    async with app.run_test():
        widget = app.query_one(Picture)
        widget.show(image(tmp_path / "a.png", (255, 255, 255)))
        await app.until(1)
        assert drawn(widget)[5].strip() == "@" * 20


@pytest.mark.asyncio
async def test_sixteen_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLORTERM")
    monkeypatch.setenv("TERM", "linux")
    app = Shows()
    async with app.run_test():
        widget = app.query_one(Picture)
        widget.show(image(tmp_path / "a.png", (255, 0, 0)))
        await app.until(1)
        assert "color(9)" in backgrounds(widget, 5)


@pytest.mark.asyncio
async def test_off_shows_nothing(tmp_path: Path) -> None:
    app = Shows()
    app.picture_protocol = PictureProtocol("off")
    async with app.run_test() as pilot:
        widget = app.query_one(Picture)
        widget.show(image(tmp_path / "a.png"))
        await app.until(1)
        await pilot.pause()
        assert app.shown == [(tmp_path / "a.png", None)]
        assert not "".join(drawn(widget)).strip()


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["kitty", "sixel"])
async def test_pixels_go_through_textual_image(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("textual_image")
    app = Shows()
    app.picture_protocol = prepare(kind, {})  # type: ignore[arg-type]
    assert app.picture_protocol.kind == kind
    async with app.run_test() as pilot:
        widget = app.query_one(Picture)
        widget.show(image(tmp_path / "a.png"))
        await app.until(1)
        await pilot.pause()
        pixels = widget.query_one(".pixels")
        assert pixels.display
        across, down = app.picture_protocol.cell
        assert (pixels.size.width * across, pixels.size.height * down) == (10 * down, 10 * down)
        widget.show(tmp_path / "gone.jpg")
        await app.until(2)
        assert not pixels.display
        assert "not there" in "".join(drawn(widget))


@pytest.mark.parametrize(
    ("setting", "environment", "kind"),
    [
        ("auto", {"TERM": "xterm-256color"}, "blocks"),
        ("auto", {"TERM": "xterm-kitty"}, "kitty"),
        ("auto", {"TERM": "xterm-kitty", "TMUX": "/tmp/x"}, "blocks"),
        ("auto", {"TERM": "xterm-kitty", "SSH_TTY": "/dev/pts/1"}, "blocks"),
        ("kitty", {"TERM": "xterm-kitty", "SSH_TTY": "/dev/pts/1"}, "kitty"),
        ("auto", {"TERM": "foot-extra"}, "sixel"),
        ("auto", {"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "sixel"),
        ("iterm2", {}, "sixel"),
        ("blocks", {"TERM": "xterm-kitty"}, "blocks"),
        ("off", {"TERM": "xterm-kitty"}, "off"),
    ],
)
def test_what_is_used_where(setting: str, environment: dict[str, str], kind: str) -> None:
    pytest.importorskip("textual_image")
    assert prepare(setting, environment).kind == kind  # type: ignore[arg-type]


def test_without_textual_image_there_are_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "textual_image.renderable", None)
    monkeypatch.setitem(__import__("sys").modules, "textual_image", None)
    asked = prepare("kitty", {})
    assert asked.kind == "blocks"
    assert "colonnade[images]" in (asked.warning or "")
    assert prepare("auto", {"TERM": "xterm-kitty"}) == PictureProtocol()
